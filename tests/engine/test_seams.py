"""The seams of a step: hooks at the loss and between gradient and update, which change nothing unless they mean to."""

import numpy as np
import pytest
from compiled import ISAS, Engine
from engine_calls import gradient_of, layers_of, states_of
from random_networks import OPTIMIZERS, fill, flat, targets

from fastmlp import reference
from fastmlp.spec import SGD, NetworkSpec, Run

#: Sizes, batch and rows: whose steps are cut and shared out in every way that there is.
WAYS = {
    "rows": ((13, 21, 5), 40, 100),
    "panels": ((37, 45, 33), 2, 9),
    "two microbatches": ((5, 3, 1), 300, 700),
    "microbatches": ((37, 45, 33), 1100, 1500),
    "parts": ((290, 300, 9), 1000, 1300),
}
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
each_number = pytest.mark.parametrize("threads", [1, 2, -2])


def problem(way, loss="squared_error", dtype="float32"):
    sizes, batch_size, n = way
    spec = NetworkSpec.make(sizes, "tanh", loss=loss, dtype=dtype)
    rng = np.random.default_rng(0)
    return spec, rng.normal(size=(n, sizes[0])), targets(spec, n), rng.permutation(n), batch_size, rng.random(n)


def train(engine, X, y, order, batch_size, weight, threads=1, optimizer=OPTIMIZERS["adam_decay"], **hooks):
    """(outcome, losses) of a run from the first step of the optimizer on."""
    losses = np.full(-(-len(order) // batch_size), np.nan)
    engine.use_optimizer(optimizer.name)
    table = optimizer.scalars(0, len(losses))
    return engine.train(Run(X, y, weight, order, batch_size, table, losses, **hooks), threads), losses


def everything(engine, losses):
    return [part.tobytes() for part in (losses, flat(layers_of(engine)), *map(flat, states_of(engine)))]


@pytest.fixture(params=["numpy", "compiled"])
def engine_of(request):
    """Makes an engine with random parameters for a specification."""
    kind = reference.Engine if request.param == "numpy" else Engine
    return lambda spec: fill(kind(spec), spec)


# ---- between gradient and update ------------------------------------------------------------------------------------


@each_way
@each_number
def test_a_hook_that_only_looks_at_the_gradient_changes_no_bit(engine_of, way, threads):
    spec, X, y, order, batch_size, weight = problem(way)
    results, steps = [], []
    for hooks in ({}, {"at_gradient": lambda step, gradient: steps.append((step, gradient.squared_norm()))}):
        engine = engine_of(spec)
        outcome, losses = train(engine, X, y, order, batch_size, weight, threads, **hooks)
        assert (outcome.status, engine.n_steps) == ("done", len(losses))
        results.append(everything(engine, losses))
    assert results[0] == results[1]
    assert [step for step, _ in steps] == list(range(len(losses)))
    assert all(norm > 0 for _, norm in steps)


@each_way
@each_number
def test_the_stored_gradient_is_that_of_the_batch(way, threads):
    spec, X, y, order, batch_size, weight = problem(way)
    engine, found = fill(Engine(spec), spec), []

    def look(step, gradient):
        rows = order[step * batch_size : (step + 1) * batch_size]
        _, *wanted = gradient_of(engine, X[rows], y[rows], weight[rows], 1)
        found.append((flat(wanted).tobytes(), gradient.read()))

    train(engine, X, y, order, batch_size, weight, threads, at_gradient=look)
    assert len(found) == -(-len(order) // batch_size)
    for wanted, gradient in found:
        arrays = [
            *(gradient[name] for name in gradient if "weight" in name),
            *(gradient[n] for n in gradient if "bias" in n),
        ]
        assert np.concatenate([array.ravel() for array in arrays]).tobytes() == wanted


@each_way
def test_what_a_hook_writes_is_what_the_update_takes(engine_of, way):
    spec, X, y, order, batch_size, weight = problem(way)
    engine, half = engine_of(spec), engine_of(spec)
    train(engine, X, y, order, batch_size, weight, optimizer=SGD(0.5))

    def halve(step, gradient):
        gradient.write({name: tensor / 2 for name, tensor in gradient.read().items()})

    train(half, X, y, order, batch_size, weight, optimizer=SGD(1.0), at_gradient=halve)
    np.testing.assert_allclose(flat(layers_of(half)), flat(layers_of(engine)), rtol=1e-5, atol=1e-6)
    frozen = engine_of(spec)
    before = flat(layers_of(frozen)).tobytes()

    def erase(step, gradient):
        gradient.write({name: np.zeros_like(tensor) for name, tensor in gradient.read().items()})

    train(frozen, X, y, order, batch_size, weight, optimizer=SGD(1.0), at_gradient=erase)
    assert flat(layers_of(frozen)).tobytes() == before


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(20, 3), (40, 9, 2), (70, 33, 12, 5), (50, 1)], ids=str)
def test_the_norm_of_a_gradient_is_the_same_on_every_isa(sizes, dtype):
    """Also of layers so narrow that W^T is what is updated, on some ISAs and not on others."""
    spec, X, y, order, batch_size, weight = problem((sizes, 30, 90), dtype=dtype)
    norms = {}
    for isa in ISAS:
        found = norms.setdefault(isa, [])

        def look(step, gradient, found=found):
            wanted = sum(float((tensor.astype("f8") ** 2).sum()) for tensor in gradient.read().values())
            found.append(gradient.squared_norm())
            assert found[-1] == pytest.approx(wanted, rel=1e-6)

        train(fill(Engine(spec, isa), spec), X, y, order, batch_size, weight, at_gradient=look)
    assert len({tuple(found) for found in norms.values()}) == 1


# ---- at the loss ----------------------------------------------------------------------------------------------------


@each_way
@each_number
def test_a_hook_that_only_looks_at_the_loss_changes_no_bit(engine_of, way, threads):
    """But of batches that would be cut into microbatches, whose sums are others."""
    spec, X, y, order, batch_size, weight = problem(way)
    results, seen = [], []

    def look(step, rows, outputs, row_loss, deltas):
        share = weight[order[rows]] / weight[order[step * batch_size : (step + 1) * batch_size]].sum()
        np.testing.assert_allclose(deltas, (outputs - y[order[rows]]) * share[:, np.newaxis], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(row_loss, ((outputs - y[order[rows]]) ** 2).sum(axis=1) / 2, rtol=1e-4)
        seen.extend(range(rows.start, rows.stop))

    for hooks in ({}, {"at_loss": look}):
        engine = engine_of(spec)
        outcome, losses = train(engine, X, y, order, batch_size, weight, threads, **hooks)
        assert outcome.status == "done"
        results.append(everything(engine, losses))
    assert seen == list(range(len(order)))
    if batch_size < 256 or spec.sizes[0] > 256:
        assert results[0] == results[1]
    else:
        for one, other in zip(*results, strict=True):
            kind = "f8" if one is results[0][0] else spec.dtype
            np.testing.assert_allclose(np.frombuffer(one, kind), np.frombuffer(other, kind), rtol=2e-2, atol=1e-4)


@each_way
def test_a_loss_of_ones_own(engine_of, way):
    """Twice the squared error at half the rate is the squared error."""
    spec, X, y, order, batch_size, weight = problem(way)
    plain, own = engine_of(spec), engine_of(spec)
    _, losses = train(plain, X, y, order, batch_size, weight, optimizer=SGD(0.5))

    def twice(step, rows, outputs, row_loss, deltas):
        deltas *= 2
        row_loss *= 2

    outcome, doubled = train(own, X, y, order, batch_size, weight, 2, optimizer=SGD(0.25), at_loss=twice)
    assert outcome.status == "done"
    np.testing.assert_allclose(doubled, 2 * losses, rtol=1e-5)
    np.testing.assert_allclose(flat(layers_of(own)), flat(layers_of(plain)), rtol=1e-4, atol=1e-5)


@each_way
@each_number
def test_a_loss_that_a_hook_leaves_as_nan_ends_the_run(engine_of, way, threads):
    spec, X, y, order, batch_size, weight = problem(way)
    engine, calls = engine_of(spec), []

    def spoil(step, rows, outputs, row_loss, deltas):
        if step == 1:
            calls.append(flat(layers_of(engine)).tobytes())
            row_loss[-1] = np.nan

    outcome, losses = train(engine, X, y, order, batch_size, weight, threads, at_loss=spoil)
    assert (outcome.steps, outcome.status, engine.n_steps) == (1, "non_finite", 1)
    assert np.isfinite(losses[0])
    assert flat(layers_of(engine)).tobytes() == calls[0]


# ---- both -----------------------------------------------------------------------------------------------------------


@each_way
@each_number
@pytest.mark.parametrize("seam", ["at_loss", "at_gradient"])
def test_what_a_hook_raises_ends_the_run_before_the_update(engine_of, way, threads, seam):
    spec, X, y, order, batch_size, weight = problem(way)
    engine, error = engine_of(spec), KeyError("enough")

    def give_up(step, *_):
        if step == 1:
            raise error

    outcome, _ = train(engine, X, y, order, batch_size, weight, threads, **{seam: give_up})
    assert (outcome.steps, outcome.status, engine.n_steps) == (1, "interrupted", 1)
    assert outcome.exception is error
    first, _ = train(one := engine_of(spec), X, y, order[:batch_size], batch_size, weight, **{seam: lambda *_: None})
    assert first.status == "done"
    assert flat(layers_of(engine)).tobytes() == flat(layers_of(one)).tobytes()


@each_number
@pytest.mark.parametrize("seam", ["at_loss", "at_gradient"])
def test_a_hook_may_read_the_engine_and_not_change_it(engine_of, threads, seam):
    spec, X, y, order, batch_size, weight = problem(WAYS["rows"])
    engine, found = engine_of(spec), []

    def use(step, *_):
        out = np.empty((len(X), spec.sizes[-1]), spec.dtype)
        assert engine.predict(X, out, threads)
        found.append((engine.running(), engine.n_steps))
        for change in (lambda: engine.write(engine.read()), lambda: engine.use_optimizer("sgd")):
            with pytest.raises(RuntimeError, match="in the middle of its training"):
                change()

    outcome, losses = train(engine, X, y, order, batch_size, weight, threads, **{seam: use})
    assert outcome.status == "done"
    assert found == [("training", step) for step in range(len(losses))]
