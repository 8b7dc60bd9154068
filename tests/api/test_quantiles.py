"""Several quantiles of each target: outputs side by side, which are put in their order where they are predicted."""

import copy
import pickle

import numpy as np
import pytest

import fastmlp
from fastmlp.metrics import Pinball
from fastmlp.spec import Loss

LEVELS = (0.1, 0.5, 0.8)
SEVERAL = fastmlp.Quantile(LEVELS)
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(50, 4)), RNG.normal(size=(50, 2))
WEIGHT = RNG.integers(0, 3, 50) + 0.0


def network(loss=SEVERAL, outputs=6, **given):
    return fastmlp.MLP([4, 7, outputs], activation="tanh", loss=loss, dtype="float64", seed=1, **given)


def crossed(outputs):
    """Whether the outputs of some target are out of their order."""
    return (np.diff(outputs.reshape(len(outputs), -1, len(LEVELS))) < 0).any()


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["rows alike", "weights"])
def test_several_quantiles_are_the_losses_of_each(backend, weight, reduction):
    net = network(fastmlp.Quantile(LEVELS, reduction=reduction), backend=backend)
    loss, dW, db = net.loss_and_grad(X, Y, weight)
    total, part = 0.0, 1 if reduction == "sum" else 1 / 3
    for head, q in enumerate(LEVELS):
        one = network(fastmlp.Quantile(q, reduction=reduction), 2, backend=backend)
        one.weights = [net.weights[0], net.weights[1][:, head::3]]
        value, each_dW, each_db = one.loss_and_grad(X, Y, weight)
        total += part * value
        np.testing.assert_allclose(dW[1][:, head::3], part * each_dW[1], rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(db[1][head::3], part * each_db[1], rtol=1e-12, atol=1e-15)
        sensitivities = net.trace(X, Y).sensitivities[1][:, head::3]
        np.testing.assert_allclose(sensitivities, part * one.trace(X, Y).sensitivities[1], rtol=1e-12)
    assert loss == pytest.approx(total, rel=1e-13)
    assert net.evaluate(X, Y, weight)["loss"] == pytest.approx(loss, rel=1e-13)


@pytest.mark.parametrize("rows", [1, 7, 1100])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_have_them_in_their_order(backend, dtype, rows):
    net = fastmlp.MLP([4, 60, 6], loss=SEVERAL, dtype=dtype, seed=0, backend=backend)
    inputs = np.random.default_rng(rows).normal(size=(rows, 4))
    raw = net.trace(inputs).outputs[-1]
    assert crossed(raw)
    wanted = np.sort(raw.reshape(rows, 2, 3), axis=2).reshape(rows, 6)
    np.testing.assert_allclose(net.predict(inputs), wanted, rtol=1e-5, atol=1e-6)
    assert not crossed(net.predict(inputs))
    assert net.predict(inputs, threads=2).tobytes() == net.predict(inputs, threads=1).tobytes()
    assert not crossed(net.predict(inputs, out=np.empty((rows, 6), dtype)))


def test_outputs_that_are_lost_end_behind_the_others(backend):
    net = network(outputs=3, backend=backend)
    net.weights, net.biases = [np.zeros((4, 7)), np.full((7, 3), [1e308, -1e308, 0.0])], [np.full(7, 50.0), [0, 0, 2.0]]
    found = net.predict(X[:2])
    np.testing.assert_array_equal(found, [[-np.inf, 2.0, np.inf]] * 2)


def test_metrics_are_of_their_own_quantiles(backend):
    net = network(backend=backend)
    outputs = net.predict(X)
    found = net.evaluate(X, Y, WEIGHT)
    assert list(found) == ["loss", "pinball_0.1", "pinball", "pinball_0.8"]
    for head, q in enumerate(LEVELS):
        assert found[Pinball(q).name] == pytest.approx(Pinball(q)(Y, outputs[:, head::3], WEIGHT), rel=1e-12)

    def width(y_true, y_pred):
        return y_pred.shape[1] / y_true.shape[1]

    of_the_median = net.evaluate(X, Y, metrics=["mse", "r2", "mae", "d2_pinball_0.8", width])
    assert of_the_median["mse"] == pytest.approx(np.square(outputs[:, 1::3] - Y).mean(), rel=1e-12)
    assert of_the_median["width"] == 3.0
    with pytest.raises(ValueError, match=r"metrics\[0\]: there is no output for the quantile 0.9: .* 0.1, 0.5, 0.8"):
        net.evaluate(X, Y, metrics=["pinball_0.9"])
    assert "val_pinball_0.1" in net.fit(X, Y, epochs=1, validation_data=(X, Y)).metrics


def test_copies_and_files_have_them(backend, tmp_path):
    net = network(backend=backend)
    net.fit(X, Y, epochs=1, batch_size=8)
    net.save(tmp_path / "net.safetensors")
    others = [fastmlp.load(tmp_path / "net.safetensors", backend), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)]
    net.fit(X, Y, epochs=1, batch_size=8)
    for other in others:
        assert repr(other) == repr(net)
        other.fit(X, Y, epochs=1, batch_size=8)
        assert other.predict(X).tobytes() == net.predict(X).tobytes()
    assert "Quantile((0.1, 0.5, 0.8))" in repr(net)
    assert Loss.from_dict({"name": "quantile", "q": [0.1, 0.5, 0.8]}) == SEVERAL
    assert fastmlp.Quantile([0.3]) == fastmlp.Quantile(0.3)


def test_outputs_begin_at_the_quantiles_of_the_targets(backend):
    net = fastmlp.MLP([4, 6], loss=SEVERAL, init="zeros", dtype="float64", backend=backend)
    net.init_output_bias(Y)
    wanted = np.quantile(Y, LEVELS, axis=0, method="inverted_cdf").T.ravel()
    np.testing.assert_array_equal(net.predict(X[:1])[0], wanted)
    net.init_output_bias(Y, WEIGHT)
    wanted = np.quantile(np.repeat(Y, WEIGHT.astype(int), axis=0), LEVELS, axis=0, method="inverted_cdf").T.ravel()
    np.testing.assert_array_equal(net.predict(X[:1])[0], wanted)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: fastmlp.Quantile([0.5, 0.1]), ValueError, r"each number larger than the one before, got \[0.5, 0.1\]"),
        (lambda: fastmlp.Quantile([0.5, 1.0]), ValueError, r"q\[1\] must be >= 0 and < 1, got 1.0"),
        (lambda: fastmlp.Quantile([0.1, 0.1000001]), ValueError, r"differ in six digits, .* got \(0.1, 0.1000001\)"),
        (lambda: fastmlp.Quantile([]), ValueError, "q must be a number or several, got none"),
        (lambda: fastmlp.Quantile("0.5"), TypeError, "q must be a real number"),
        (lambda: network(outputs=4), ValueError, "sizes must end with a multiple of 3, .* got 4"),
        (lambda: network().fit(X, np.ones((50, 6))), ValueError, r"shape \(50, 2\): one column for each 3 outputs"),
        (lambda: network().to_c("quantiles.h"), ValueError, "several outputs of each target"),
    ],
)
def test_what_is_refused(use, error, message):
    with pytest.raises(error, match=message):
        use()


def test_coverage_of_a_spread_that_grows(backend):
    """Targets x + (0.2 + x) e with normal e: 0.8 of held-out rows lie between the quantiles 0.1 and 0.9."""
    rng = np.random.default_rng(5)
    x = rng.uniform(0, 1, size=(12000, 1))
    y = x[:, 0] + (0.2 + x[:, 0]) * rng.normal(size=len(x))
    net = fastmlp.MLP([1, 16, 3], activation="tanh", loss=fastmlp.Quantile([0.1, 0.5, 0.9]), seed=0, backend=backend)
    net.init_output_bias(y[:8000])
    schedule = fastmlp.schedules.Cosine(0.01, steps=10, by="epoch")
    net.fit(x[:8000], y[:8000], epochs=10, batch_size=64, optimizer=fastmlp.Adam(schedule))
    low, median, high = net.predict(x[8000:]).T
    covered = np.mean((low <= y[8000:]) & (y[8000:] <= high))
    crossing = np.mean((low > median) | (median > high))
    print(f"coverage of 0.1 to 0.9: {covered:.4f}; crossing: {crossing:.4f}")  # which pytest -rP shows
    assert covered == pytest.approx(0.8, abs=0.02)
    assert np.mean(y[8000:] <= median) == pytest.approx(0.5, abs=0.03)
    assert (low <= median).all()
    assert (median <= high).all()
    spread = (high - low)[np.argsort(x[8000:, 0])]
    assert spread[-400:].mean() > 3 * spread[:400].mean()  # 1.2 / 0.2 of the truth
