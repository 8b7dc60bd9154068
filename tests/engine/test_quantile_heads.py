"""Several quantiles of each target in the compiled engine: the same bits on every processor, NumPy's numbers."""

import numpy as np
from compiled import ISAS, Engine
from engine_calls import gradient_of
from random_networks import central_differences, fill, flat

import fastmlp
from fastmlp import reference
from fastmlp.spec import NetworkSpec

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(50, 4)), RNG.normal(size=(50, 7))
SPECS = [
    NetworkSpec.make([4, 9, 21], "tanh", loss=fastmlp.Quantile([0.1, 0.5, 0.8]), dtype=dtype)
    for dtype in ("float32", "float64")
]


def computed(engine, spec, threads):
    out, losses = np.empty((50, 21), spec.dtype), np.empty(50)
    engine.evaluate(X, Y, out, losses, threads)
    loss, *gradient = gradient_of(engine, X, Y, None, threads)
    return [out, losses, np.array(loss), flat(gradient)]


def test_processors_and_threads_agree_to_the_bit():
    for spec in SPECS:
        found = [
            b"".join(array.tobytes() for array in computed(fill(Engine(spec, isa), spec), spec, threads))
            for isa in ISAS
            for threads in (1, 2, 3)
        ]
        assert len(set(found)) == 1


def test_the_numpy_engine_agrees():
    for spec, tolerance in zip(SPECS, (1e-5, 1e-12), strict=True):
        pairs = [computed(fill(kind(spec), spec), spec, 2) for kind in (Engine, reference.Engine)]
        for found, wanted in zip(*pairs, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


def test_gradient_by_central_differences():
    spec = SPECS[1]
    engine = fill(Engine(spec), spec)

    def losses():
        out, row_loss = np.empty((50, 21)), np.empty(50)
        engine.evaluate(X, Y, out, row_loss, 1)
        return row_loss / 50

    gradient = flat(gradient_of(engine, X, Y, None, 2)[1:])
    np.testing.assert_allclose(gradient, central_differences(engine, losses, 1e-7), rtol=1e-6, atol=1e-7)
