"""Losses by the names of other libraries, and what they mean: sums and means over the outputs of a row."""

import json

import numpy as np
import pytest

import fastmlp
from fastmlp.spec import MEANS, Loss, SquaredError, as_loss

# ---- means over outputs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MEANS)
def test_a_mean_over_outputs_is_a_loss_of_its_own(name):
    loss = as_loss(name)
    kind = type(loss)
    assert loss == kind(reduction="mean") != kind()
    assert loss.params == kind().params
    for each in (loss, kind()):
        assert Loss.from_dict(json.loads(json.dumps(each.to_dict()))) == each
        assert eval(repr(each), dict(vars(fastmlp))) == each
        assert eval(each.written(), dict(vars(fastmlp))) in (each, each.name)
    assert "reduction" not in kind().to_dict()
    with pytest.raises(ValueError, match="reduction must be one of 'sum', 'mean', got 'none'"):
        kind(reduction="none")


@pytest.mark.parametrize("weight", [None, [1.0, 3.0, 0.0, 2.0]], ids=["rows alike", "weights"])
@pytest.mark.parametrize("name", MEANS)
def test_a_mean_over_outputs_is_a_part_of_the_sum(backend, name, weight):
    rng, kind = np.random.default_rng(0), type(as_loss(name))
    X, y = rng.normal(size=(4, 2)), rng.dirichlet(np.ones(5), 4)
    ours, theirs = (
        fastmlp.MLP([2, 3, 5], activation="tanh", loss=loss, dtype="float64", seed=0, backend=backend)
        for loss in (kind(), name)
    )
    factor = (2 if kind is SquaredError else 1) / 5
    assert theirs.evaluate(X, y, weight)["loss"] == pytest.approx(
        factor * ours.evaluate(X, y, weight)["loss"], rel=1e-13
    )
    for one, other in zip(ours.trace(X, y).sensitivities, theirs.trace(X, y).sensitivities, strict=True):
        np.testing.assert_allclose(other, factor * one, rtol=1e-13)
    (value, dW, db), (mean, mean_dW, mean_db) = (net.loss_and_grad(X, y, weight) for net in (ours, theirs))
    assert mean == pytest.approx(factor * value, rel=1e-13)
    for one, other in zip((*dW, *db), (*mean_dW, *mean_db), strict=True):
        np.testing.assert_allclose(other, factor * one, rtol=1e-12, atol=1e-15)
    assert theirs.step(X, y, weight) == pytest.approx(mean, rel=1e-13)


# ---- margins --------------------------------------------------------------------------------------------------------


def test_a_perceptron_that_answers_nothing_learns(backend):
    net = fastmlp.MLP([2, 1], loss="perceptron", init="zeros", backend=backend)
    net.step([[1.0, 2.0], [0.0, 1.0]], [[1.0], [-1.0]], optimizer=fastmlp.SGD(1.0))
    assert net.weights[0].ravel().tolist() == [0.5, 0.5]
    assert net.biases[0].tolist() == [0.0]


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "perceptron"])
def test_an_answer_is_right_by_its_sign(backend, loss):
    net = fastmlp.MLP([1, 1], loss=loss, backend=backend)
    net.weights, net.biases = [[[1.0]]], [[0.0]]
    X = [[0.1], [-0.1], [3.0], [-3.0]]
    assert net.evaluate(X, [[1.0], [-1.0], [1.0], [1.0]])["accuracy"] == 0.75
    with pytest.raises(ValueError, match=r"must lie in \[-1, 1\]"):
        net.evaluate(X, [[1.0], [2.0], [1.0], [1.0]])


def test_a_hinge_of_one_class_is_refused():
    with pytest.raises(ValueError, match="take one output for each class"):
        fastmlp.MLP([3, 1], loss="multi_hinge")


def test_a_report_of_clipped_probabilities_is_of_the_plain_loss():
    with pytest.raises(ValueError, match=r"clip .* must be 0.0 here, got 0.25"):
        fastmlp.CrossEntropy(0.25, label_smoothing=0.1)
    with pytest.raises(ValueError, match=r"clip .* must be 0.0 here, got 0.25"):
        fastmlp.BinaryCrossEntropy(0.25, pos_weight=2.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fastmlp.CrossEntropy(label_smoothing=1.0), "label_smoothing must be >= 0 and < 1, got 1.0"),
        (lambda: fastmlp.BinaryCrossEntropy(pos_weight=0.0), "pos_weight must be > 0, got 0.0"),
        (lambda: fastmlp.Focal(0.0), "gamma must be > 0, got 0.0"),
        (lambda: fastmlp.BinaryFocal(-1.0), "gamma must be > 0, got -1.0"),
    ],
)
def test_parameters_have_their_ranges(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "loss",
    [
        fastmlp.CrossEntropy(label_smoothing=0.1),
        fastmlp.BinaryCrossEntropy(label_smoothing=0.1, pos_weight=3.0, reduction="mean"),
        fastmlp.Focal(1.5),
        fastmlp.Hinge(reduction="mean"),
    ],
    ids=lambda loss: loss.name,
)
def test_parameters_go_into_files(backend, tmp_path, loss):
    net = fastmlp.MLP([2, 3], loss=loss, seed=0, backend=backend)
    net.save(tmp_path / "net.safetensors")
    other = fastmlp.load(tmp_path / "net.safetensors", backend)
    X, y = np.eye(2), np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert other.evaluate(X, y) == net.evaluate(X, y)
    assert repr(other) == repr(net)


def test_files_hold_no_parameters_that_are_the_default_ones():
    assert fastmlp.CrossEntropy(0.25).to_dict() == {"name": "cross_entropy", "clip": 0.25}
    assert fastmlp.BinaryCrossEntropy(0.25).to_dict() == {"name": "binary_cross_entropy", "clip": 0.25}
    assert fastmlp.Huber(0.5).to_dict() == {"name": "huber", "delta": 0.5}
