"""Several outputs of each target in the compiled engine: the same bits on every processor, NumPy's numbers."""

import numpy as np
import pytest
from compiled import ISAS, Engine
from engine_calls import gradient_of
from random_networks import central_differences, fill, flat

import fastmlp
from fastmlp import reference
from fastmlp.spec import NetworkSpec

RNG = np.random.default_rng(0)
X, TARGETS = RNG.normal(size=(50, 4)), RNG.normal(size=(50, 11))
LOSSES = [fastmlp.Quantile([0.1, 0.5, 0.8]), fastmlp.GaussianNLL(0.01)]
GAPS = TARGETS > 0.5
COUNTED = [  # weights of targets, some of which are missing
    fastmlp.Quantile([0.1, 0.5, 0.8], ignore_nan=True, output_weights=range(7)),
    fastmlp.GaussianNLL(0.01, ignore_nan=True, output_weights=range(11)),
    fastmlp.LogCosh(ignore_nan=True, output_weights=range(11)),
]
every_loss = pytest.mark.parametrize("loss", [*LOSSES, *COUNTED], ids=lambda loss: repr(loss).split(",")[0])


def network(loss, dtype):
    """With more outputs than a panel of the widest vectors of float64 has, where each target has several."""
    outputs = {1: 11, 2: 22, 3: 21}[loss.heads]
    return NetworkSpec.make([4, 9, outputs], "tanh", loss=loss, dtype=dtype)


def targets_of(loss, outputs):
    y = TARGETS[:, : loss.target_width(outputs)]
    return np.where(GAPS[:, : y.shape[1]], np.nan, y) if loss.ignores_nan else y


def computed(engine, spec, threads):
    y = targets_of(spec.loss, spec.sizes[-1])
    out, losses = np.empty((50, spec.sizes[-1]), spec.dtype), np.empty(50)
    engine.evaluate(X, y, out, losses, threads)
    predicted = np.empty_like(out)
    engine.predict(X, predicted, threads)
    assert predicted.tobytes() == out.tobytes()
    loss, *gradient = gradient_of(engine, X, y, None, threads)
    return [out, losses, np.array(loss), flat(gradient)]


@every_loss
def test_processors_and_threads_agree_to_the_bit(loss):
    for dtype in ("float32", "float64"):
        spec = network(loss, dtype)
        found = [
            b"".join(array.tobytes() for array in computed(fill(Engine(spec, isa), spec), spec, threads))
            for isa in ISAS
            for threads in (1, 2, 3)
        ]
        assert len(set(found)) == 1


@every_loss
def test_the_numpy_engine_agrees(loss):
    for dtype, tolerance in (("float32", 1e-5), ("float64", 1e-12)):
        spec = network(loss, dtype)
        pairs = [computed(fill(kind(spec), spec), spec, 2) for kind in (Engine, reference.Engine)]
        for found, wanted in zip(*pairs, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


@every_loss
def test_gradient_by_central_differences(loss):
    spec = network(loss, "float64")
    engine, y = fill(Engine(spec), spec), targets_of(loss, spec.sizes[-1])

    def losses():
        out, row_loss = np.empty((50, spec.sizes[-1])), np.empty(50)
        engine.evaluate(X, y, out, row_loss, 1)
        return row_loss / 50

    gradient = flat(gradient_of(engine, X, y, None, 2)[1:])
    step = 1e-7 if loss.name == "quantile" else 1e-5  # that meets no kink, or is of the least error
    np.testing.assert_allclose(gradient, central_differences(engine, losses, step), rtol=1e-6, atol=1e-7)
