"""Rows without a target, targets that are NaN, and weights of targets: as if the rows and terms were not there."""

import json

import numpy as np
import pytest
from random_networks import targets

import fastmlp
from fastmlp.spec import LOSSES, Loss
from fastmlp.spec.losses.base import ElementwiseLoss

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
#: Those of the first rows are all missing, of the last ones none.
GAPS = RNG.random((60, 3)) < np.linspace(1.2, -0.3, 60)[:, np.newaxis]
ELEMENTWISE = {name: kind for name, kind in LOSSES.items() if issubclass(kind, ElementwiseLoss)}
every_loss = pytest.mark.parametrize("kind", ELEMENTWISE.values(), ids=ELEMENTWISE)
WEIGHTS = (0.5, 0.0, 3.0)


def network(loss, n_targets, backend=None, **given):
    sizes = [4, 7, n_targets * fastmlp.spec.as_loss(loss).heads]
    return fastmlp.MLP(sizes, activation="tanh", loss=loss, dtype="float64", seed=1, backend=backend, **given)


def of_target(net, loss, k):
    """The network of one target alone."""
    one, heads = network(loss, 1, net.backend), loss.heads
    columns = slice(k * heads, (k + 1) * heads)
    one.weights = [net.weights[0], net.weights[1][:, columns]]
    one.biases = [net.biases[0], net.biases[1][columns]]
    return one


@every_loss
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_a_loss_is_of_the_targets_that_are_there(backend, kind, reduction):
    loss = kind(reduction=reduction, ignore_nan=True, output_weights=WEIGHTS)
    net = network(loss, 3, backend)
    full = targets(net._learner.spec, 60)
    y = np.where(GAPS, np.nan, full)
    rows, sensitivities = np.zeros(60), np.zeros((60, net.sizes[-1]))
    for k, weight in enumerate(WEIGHTS):
        one = of_target(net, kind(reduction=reduction), k)
        part = weight * ~GAPS[:, k] / (3 if reduction == "mean" else 1)
        rows += part * [one.evaluate(X[[row]], full[[row], k])["loss"] for row in range(60)]
        columns = slice(k * loss.heads, (k + 1) * loss.heads)
        sensitivities[:, columns] = part[:, np.newaxis] * one.trace(X, full[:, k]).sensitivities[-1]
    there = ~GAPS.all(axis=1)
    assert 0 < there.sum() < 60
    np.testing.assert_allclose(net.trace(X, y).sensitivities[-1], sensitivities, rtol=1e-12, atol=1e-15)
    value, _, (_, bias) = net.loss_and_grad(X, y)
    assert value == pytest.approx(rows.sum() / there.sum(), rel=1e-12)
    assert net.evaluate(X, y)["loss"] == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(bias, sensitivities.sum(axis=0) / there.sum(), rtol=1e-11, atol=1e-15)


@every_loss
def test_weights_of_one_and_targets_that_are_all_there_change_no_bit(backend, kind):
    plain, counted = (
        network(loss, 3, backend) for loss in (kind(), kind(ignore_nan=True, output_weights=[1.0, 1.0, 1.0]))
    )
    y = targets(plain._learner.spec, 60)
    for net in (plain, counted):
        net.fit(X, y, epochs=2, batch_size=8)
    if backend == "cython" or kind().heads == 1:  # NumPy adds up the heads of a target first
        np.testing.assert_allclose(counted.predict(X), plain.predict(X), rtol=0 if backend == "cython" else 1e-12)


@pytest.mark.parametrize("case", ["cross_entropy", "squared_error", "binary_cross_entropy"])
def test_rows_without_target_are_rows_that_weigh_nothing(backend, case):
    rng, without = np.random.default_rng(3), np.arange(60) % 3 == 0
    weight = rng.integers(1, 3, 60) + 0.0
    if case == "cross_entropy":
        loss, n, full = fastmlp.CrossEntropy(ignore_index=-100), 4, rng.integers(0, 4, 60)
        y = np.where(without, -100, full)
    else:
        loss, n, full = LOSSES[case](ignore_nan=True), 1, rng.integers(0, 2, 60) + 0.0
        y = np.where(without, np.nan, full)
    ours, theirs = network(loss, n, backend), network(case, n, backend)
    ours.fit(X, y, sample_weight=weight, epochs=2, batch_size=8, validation_data=(X, y), metrics=["mse"])
    theirs.fit(X, full, sample_weight=weight * ~without, epochs=2, batch_size=8)
    assert ours.predict(X).tobytes() == theirs.predict(X).tobytes()
    assert ours.evaluate(X, y, weight) == pytest.approx(theirs.evaluate(X[~without], full[~without], weight[~without]))

    def count(y_true, y_pred):
        assert np.isfinite(y_true).all()
        return len(y_true)

    assert ours.evaluate(X, y, metrics=[count])["count"] == 40
    slopes, wanted = ours.input_gradient(X, y), ours.input_gradient(X, full)
    np.testing.assert_array_equal(slopes, np.where(without[:, np.newaxis], 0.0, wanted))
    ours.fit([(X[part], y[part]) for part in (slice(0, 1), slice(1, 60))], epochs=1)  # the first batch teaches nothing


def test_metrics_are_of_the_targets_that_are_there(backend):
    y = np.where(GAPS, np.nan, RNG.normal(size=(60, 3)))
    net, weight = network(fastmlp.SquaredError(ignore_nan=True), 3, backend), RNG.integers(0, 3, 60) + 0.0
    found = net.evaluate(X, y, weight, metrics=["mse", "mae", "rmse", "r2", "d2_absolute_error", "pinball"])
    columns = [np.flatnonzero(~np.isnan(each)) for each in y.T]
    for name, value in found.items():
        if name != "loss":
            metric = fastmlp.metrics.METRICS[name]
            each = [metric(y[rows, k], net.predict(X)[rows, k], weight[rows]) for k, rows in enumerate(columns)]
            assert value == pytest.approx(np.mean(each), rel=1e-12), name
    with pytest.raises(ValueError, match=r"metrics\[0\]: cosine_similarity is not defined for rows of which some"):
        net.evaluate(X, y, metrics=["cosine_similarity"])
    answers = network(fastmlp.BinaryCrossEntropy(ignore_nan=True), 3, backend)
    there, yes = ~np.isnan(y), y > 0
    right = (answers.predict(X) >= 0.5) == yes
    accuracy = answers.evaluate(X, np.where(there, yes, np.nan))["accuracy"]
    assert accuracy == pytest.approx(right[there].mean(), rel=1e-12)


def test_outputs_begin_at_the_targets_that_are_there(backend):
    y = np.where(GAPS, np.nan, RNG.normal(size=(60, 3)))
    for loss, wanted in (
        (fastmlp.SquaredError(ignore_nan=True), np.nanmean(y, axis=0)),
        (fastmlp.GaussianNLL(ignore_nan=True), np.nanmean(y, axis=0)),
        (fastmlp.Quantile([0.2, 0.5], ignore_nan=True), np.nanquantile(y, [0.2, 0.5], 0, method="inverted_cdf").T),
    ):
        net = network(loss, 3, backend, init="zeros")
        net.init_output_bias(y)
        np.testing.assert_allclose(net.predict(X[:1]).ravel(), wanted.ravel(), rtol=1e-12)
    with pytest.raises(ValueError, match="nothing but NaN in column 1"):
        net.init_output_bias(y * [1, np.nan, 1])


def test_class_weights_count_the_rows_that_have_a_class(backend):
    y = np.array([0, 0, 0, 1, -1, -1] * 10)
    ours, theirs = network(fastmlp.CrossEntropy(ignore_index=-1), 2, backend), network("cross_entropy", 2, backend)
    rows = np.flatnonzero(y >= 0)
    ours.fit(X, y, epochs=1, batch_size=60, class_weight="balanced", shuffle=False)
    theirs.fit(X[rows], y[rows], epochs=1, batch_size=60, class_weight="balanced", shuffle=False)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-10)


@pytest.mark.parametrize(
    "loss",
    [fastmlp.Huber(0.5, ignore_nan=True), fastmlp.Gamma(output_weights=[1, 2]), fastmlp.CrossEntropy(ignore_index=7)],
    ids=lambda loss: loss.name,
)
def test_files_and_reprs_have_them(loss):
    assert Loss.from_dict(json.loads(json.dumps(loss.to_dict()))) == loss
    assert eval(repr(loss), dict(vars(fastmlp))) == loss
    assert eval(loss.written(), dict(vars(fastmlp))) == loss
    assert type(loss)().to_dict().keys().isdisjoint({"ignore_nan", "output_weights", "ignore_index", "reduction"})


NAN = np.where(GAPS, np.nan, 0.5)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: fastmlp.Huber(ignore_nan=1), TypeError, "ignore_nan must be True or False, got 1"),
        (lambda: fastmlp.Huber(output_weights=2.0), TypeError, "output_weights must be a sequence of numbers, got 2.0"),
        (lambda: fastmlp.Huber(output_weights=[1, -1]), ValueError, r"output_weights\[1\] must be >= 0, got -1"),
        (lambda: fastmlp.Huber(output_weights=[0, 0]), ValueError, "output_weights must have a number > 0"),
        (lambda: fastmlp.CrossEntropy(ignore_index=1.0), TypeError, "ignore_index must be an integer, got 1.0"),
        (lambda: network(fastmlp.Huber(output_weights=[1, 2]), 3), ValueError, "one for each of 3 targets, got 2"),
        (lambda: network("mse", 3).fit(X, NAN), ValueError, "y has nan at row 0, column"),
        (lambda: network(fastmlp.Huber(ignore_nan=True), 3).fit(X, NAN * np.inf), ValueError, "y has inf at row"),
        (lambda: network(fastmlp.Huber(ignore_nan=True), 3).fit(X, NAN * np.nan), ValueError, "no target that counts"),
        (lambda: network(fastmlp.Gamma(ignore_nan=True), 3).fit(X, -NAN), ValueError, "must be greater than 0"),
        (lambda: network(fastmlp.Huber(ignore_nan=True), 3).fit(X, NAN, mixup=0.2), ValueError, "mixup must be 0 with"),
        (
            lambda: network(fastmlp.Huber(ignore_nan=True), 3, normalize_targets="standard"),
            ValueError,
            "normalize_targets is measured on targets, of which",
        ),
        (
            lambda: network(fastmlp.CrossEntropy(ignore_index=-1), 3).fit(X, np.full(60, -2)),
            ValueError,
            r"y has -2 at row 0; classes must lie in \[0, 3\)",
        ),
    ],
)
def test_what_is_refused(use, error, message):
    with pytest.raises(error, match=message):
        use()


def test_an_index_may_be_that_of_a_class_and_of_any_dtype():
    for ignored, dtype in ((0, np.uint8), (255, np.uint8), (2, np.int64)):
        net = network(fastmlp.CrossEntropy(ignore_index=ignored), 3)
        y = np.array([1, 2, 1, 0] * 15, dtype)
        y[::2] = ignored
        kept = np.flatnonzero(y != ignored)
        assert net.evaluate(X, y) == pytest.approx(net.evaluate(X[kept], y[kept]))
