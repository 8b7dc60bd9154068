"""Means and variances of targets: outputs side by side, of which predictions are means, and deviations if asked for."""

import copy
import pickle

import numpy as np
import pytest

import fastmlp

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(50, 4)), RNG.normal(size=(50, 2))
WEIGHT = RNG.integers(0, 3, 50) + 0.0


def network(dtype="float64", **given):
    given = {"activation": "tanh", "loss": "gaussian_nll", "dtype": dtype, "seed": 1} | given
    return fastmlp.MLP([4, 7, 4], **given)


def variances(signals, eps=1e-6):
    """By the formula, of what the network computes."""
    return np.log1p(np.exp(signals)) + eps


@pytest.mark.parametrize("rows", [1, 3, 1100])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_are_means_and_deviations(backend, dtype, rows):
    net = network(dtype, backend=backend)
    inputs = np.random.default_rng(rows).normal(size=(rows, 4))
    raw, tolerance = net.trace(inputs).outputs[-1], {"rtol": 1e-6 if dtype == "float32" else 1e-13, "atol": 1e-7}
    mean, std = net.predict(inputs, return_std=True)
    np.testing.assert_allclose(mean, raw[:, ::2], **tolerance)
    np.testing.assert_allclose(std, np.sqrt(variances(raw[:, 1::2])), **tolerance)
    assert mean.shape == std.shape == (rows, 2)
    assert mean.dtype == std.dtype == dtype
    assert mean.flags.c_contiguous
    out = np.empty((rows, 2), dtype)
    assert net.predict(inputs, out=out) is out
    for found in (out, net.predict(inputs), net.predict(inputs, threads=2)):
        assert found.tobytes() == mean.tobytes()


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["rows alike", "weights"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_the_loss_is_the_likelihood(backend, reduction, weight):
    net = network(loss=fastmlp.GaussianNLL(reduction=reduction), backend=backend)
    mean, std = net.predict(X, return_std=True)
    densities = np.exp(-np.square((Y - mean) / std) / 2) / std
    rows = getattr(-np.log(densities), reduction)(axis=1)
    found = net.evaluate(X, Y, weight, metrics=["r2", "mse"])
    assert found["loss"] == pytest.approx(np.average(rows, weights=weight), rel=1e-13)
    assert found["loss"] == pytest.approx(net.loss_and_grad(X, Y, weight)[0], rel=1e-13)
    assert found["mse"] == pytest.approx(np.average(np.square(Y - mean).mean(axis=1), weights=weight), rel=1e-13)
    assert list(net.evaluate(X, Y)) == ["loss", "r2"]


def test_copies_and_files_have_it(backend, tmp_path):
    net = network(loss=fastmlp.GaussianNLL(0.01), backend=backend)
    net.fit(X, Y, epochs=1, batch_size=8)
    net.save(tmp_path / "net.safetensors")
    others = [fastmlp.load(tmp_path / "net.safetensors", backend), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)]
    net.fit(X, Y, epochs=1, batch_size=8)
    for other in others:
        assert repr(other) == repr(net)
        other.fit(X, Y, epochs=1, batch_size=8)
        for found, wanted in zip(other.predict(X, return_std=True), net.predict(X, return_std=True), strict=True):
            assert found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["rows alike", "weights"])
def test_outputs_begin_at_mean_and_deviation_of_the_targets(backend, weight):
    net = network(init="zeros", backend=backend)
    far = Y * [1e-2, 30.0] + [5.0, -400.0]
    net.init_output_bias(far, weight)
    mean, std = net.predict(X[:1], return_std=True)
    wanted = np.average(far, axis=0, weights=weight)
    np.testing.assert_allclose(mean[0], wanted, rtol=1e-12)
    np.testing.assert_allclose(std[0], np.sqrt(np.average(np.square(far - wanted), axis=0, weights=weight)), rtol=1e-9)
    net.init_output_bias(np.ones((50, 2)))  # no spread: the least that there is
    assert net.predict(X[:1], return_std=True)[1].max() < 2e-3


def test_ensembles_have_the_deviation_of_the_mixture(backend):
    nets = [network(seed=seed, backend=backend) for seed in (1, 2, 3)]
    mean, std = fastmlp.Ensemble(nets).predict(X, return_std=True)
    means, deviations = np.array([net.predict(X, return_std=True) for net in nets]).swapaxes(0, 1)
    np.testing.assert_allclose(mean, means.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(std, np.sqrt((deviations**2 + means**2).mean(axis=0) - mean**2), rtol=1e-9)
    with pytest.raises(ValueError, match="4 identity outputs, means and deviations: their mean means nothing"):
        fastmlp.Ensemble([nets[0], network(loss="squared_error", backend=backend)])


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: fastmlp.GaussianNLL(0.0), ValueError, "eps must be > 0, got 0.0"),
        (lambda: fastmlp.MLP([4, 3], loss="gaussian_nll"), ValueError, "sizes must end with a multiple of 2"),
        (lambda: network().fit(X, np.ones((50, 4))), ValueError, r"shape \(50, 2\): one column for each 2 outputs"),
        (lambda: network().predict(X, return_std=1), TypeError, "return_std must be True or False, got 1"),
        (lambda: network().predict(X, out=np.empty((50, 4))), ValueError, r"out must have shape \(50, 2\)"),
        (
            lambda: network(loss="mse").predict(X, return_std=True),
            ValueError,
            "for the loss 'gaussian_nll', .* not 'squ",
        ),
        (lambda: network().to_c("gaussian.h"), ValueError, "several outputs of each target"),
    ],
)
def test_what_is_refused(use, error, message):
    with pytest.raises(error, match=message):
        use()


def test_a_spread_that_grows_is_found(backend):
    """Targets x + (0.2 + x) e with normal e: their means and deviations, on held-out rows."""
    rng = np.random.default_rng(5)
    x = rng.uniform(0, 1, size=(4000, 1))
    y = x[:, 0] + (0.2 + x[:, 0]) * rng.normal(size=len(x))
    net = fastmlp.MLP([1, 16, 2], activation="tanh", loss="gaussian_nll", seed=0, backend=backend)
    net.init_output_bias(y)
    schedule = fastmlp.schedules.Cosine(0.01, steps=10, by="epoch")
    net.fit(x, y, epochs=10, batch_size=64, optimizer=fastmlp.Adam(schedule))
    grid = np.linspace(0.1, 0.9, 9)[:, np.newaxis]
    mean, std = net.predict(grid, return_std=True)
    np.testing.assert_allclose(mean, grid, atol=0.12)
    np.testing.assert_allclose(std, 0.2 + grid, rtol=0.15)
