"""Rows that are mixed with the next of their batch: the same bits however a step is shared out, and as NumPy's."""

import numpy as np
import pytest
from both_engines import CLOSE, pair
from compiled import ISAS, Engine
from engine_calls import layers_of
from random_networks import fill, flat, targets

from fastmlp import spec as specs
from fastmlp.spec import Adam, NetworkSpec, Run

#: Sizes, batch, rows and whether targets are labels: steps are cut and shared out in every way that there is.
WAYS = {
    "few rows": ((37, 45, 33), 1, 5, False),
    "rows": ((13, 70, 5), 40, 100, False),
    "rows of classes": ((13, 70, 35), 40, 100, True),
    "panels": ((37, 145, 33, 3), 2, 9, True),
    "microbatches": ((37, 45, 33), 1100, 1500, True),
    "parts": ((290, 300, 9), 1000, 1300, False),
}
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def train(engine, spec, batch_size, n, *, labels=False, threads=1):
    """Losses and parameters of an epoch of weighted rows."""
    rng = np.random.default_rng(n)
    X, y = rng.normal(size=(n, spec.sizes[0])).astype("float32"), targets(spec, n, labels=labels)
    steps = -(-n // batch_size)
    losses, weight, order = np.full(steps, np.nan), rng.random(n), rng.permutation(n)
    run = Run(X, y, weight, order, batch_size, Adam(0.01).scalars(0, steps), losses, seed=3)
    run.mixing = rng.random(steps)
    engine.use_optimizer("adam")
    assert engine.train(run, threads).status == "done"
    return losses, flat(layers_of(engine))


@each_way
def test_same_bits_on_every_isa_and_however_a_step_is_shared_out(way):
    sizes, batch_size, n, labels = way
    spec, results = NetworkSpec.make(sizes, "tanh", output="softmax", dropout=0.2), {}
    for isa in ISAS:
        for threads in (1, 3) if isa != "scalar" or n < 1000 else (2,):
            engine = fill(Engine(spec, isa), spec)
            found = train(engine, spec, batch_size, n, labels=labels, threads=threads)
            results[isa, threads] = [part.tobytes() for part in found]
    wanted = results["scalar", 1 if n < 1000 else 2]
    assert [key for key, found in results.items() if found != wanted] == []


@each_way
def test_both_engines_mix_the_same(way):
    sizes, batch_size, n, labels = way
    spec = NetworkSpec.make(sizes, "tanh", output="softmax", dtype="float64")
    found = [train(engine, spec, batch_size, n, labels=labels, threads=2) for engine in pair(spec)]
    np.testing.assert_allclose(found[0][0], found[1][0], **CLOSE["float64"])
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_engine_checks_shares_where_it_takes_the_pointer(dtype):
    spec = NetworkSpec.make((3, 2), dtype=dtype)
    engine = fill(Engine(spec), spec)
    engine.use_optimizer("adam")
    X, y = np.zeros((4, 3), dtype), np.zeros((4, 2), dtype)
    run = Run(X, y, None, np.arange(4), 2, Adam().scalars(0, 2), np.empty(2))
    for mixing in (np.zeros(1), np.array([0.5, 1.5]), np.array([np.nan, 0.5])):
        run.mixing = mixing
        with pytest.raises(ValueError, match="mixing"):
            engine.train(run, 1)
    run.mixing, run.row_losses, run.row_norms = np.zeros(2), np.empty(4), np.empty(4)
    with pytest.raises(ValueError, match="no losses of their own"):
        engine.train(run, 1)
    hinge = NetworkSpec.make((3, 2), loss="hinge", dtype=dtype)
    other = fill(Engine(hinge), hinge)
    other.use_optimizer("adam")
    run.row_losses = run.row_norms = None
    with pytest.raises(ValueError, match="the loss is hinge"):
        other.train(run, 1)
    assert engine.n_steps == other.n_steps == 0


def test_losses_that_take_classes_and_are_no_hinges_mix():
    assert {name for name, loss in specs.LOSSES.items() if loss.labels and loss.mixes} >= {"cross_entropy", "focal"}
    assert not any(loss.mixes for name, loss in specs.LOSSES.items() if "hinge" in name or "perceptron" in name)
