"""A row of an integer weight counts as that many rows, with every loss: in steps of all rows, and in measures."""

import numpy as np
import pytest
from random_networks import HEADS, outputs_for, targets_of_every_kind

import fastmlp

TIMES = np.array([3, 1, 0, 2, 5, 1, 1, 4, 0, 2, 1, 3])
REPEATED = np.repeat(np.arange(len(TIMES)), TIMES)
#: Every loss with one output activation, and several quantiles.
LOSSES = [*{loss: (loss, output) for loss, output in HEADS}.values(), (fastmlp.Quantile([0.1, 0.5, 0.9]), "identity")]


@pytest.mark.parametrize(("loss", "output"), LOSSES, ids=lambda part: part if isinstance(part, str) else "quantiles")
def test_an_integer_weight_is_a_row_repeated(backend, loss, output):
    X, weight = np.random.default_rng(0).normal(size=(len(TIMES), 4)), TIMES.astype(float)
    given = {"activation": "tanh", "output": output, "loss": loss, "dtype": "float64", "seed": 3, "backend": backend}
    weighted, repeated = (fastmlp.MLP([4, 6, outputs_for(loss, 3)], **given) for _ in range(2))
    for y in targets_of_every_kind(weighted._learner.spec, len(X)):
        for _ in range(10):
            weighted.step(X, y, weight, optimizer=fastmlp.SGD(0.02, momentum=0.9))
            repeated.step(X[REPEATED], y[REPEATED], optimizer=fastmlp.SGD(0.02, momentum=0.9))
        pairs = zip((*weighted.weights, *weighted.biases), (*repeated.weights, *repeated.biases), strict=True)
        for one, other in pairs:
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)
        found = weighted.evaluate(X, y, weight)
        assert found == pytest.approx(weighted.evaluate(X[REPEATED], y[REPEATED]), rel=1e-10, abs=1e-12)
