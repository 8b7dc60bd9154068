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
