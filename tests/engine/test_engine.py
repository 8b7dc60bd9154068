"""The compiled engine against the NumPy one: passes over rows, training, state, losses that are not finite."""

import numpy as np
import pytest
import random_networks as nets
from both_engines import CLOSE, assert_lists_close, pair
from compiled import ISAS, Engine
from engine_calls import gradient_of, layers_of, set_layers, set_states, states_of
from random_networks import HEADS, fill, flat, outputs_for, targets, targets_of_every_kind, train

from fastmlp import reference
from fastmlp import spec as specs
from fastmlp.spec import NetworkSpec

#: Widths that leave panels of every ISA empty, half full, full and one column over.
SIZES = [(1, 1), (3, 5, 2), (33, 17, 9), (16, 32, 64, 8), (70, 130, 1)]


# --- every method against the reference ------------------------------------------------------------------------------


def network(loss, output, sizes, dtype):
    """With hidden activations that differ from layer to layer and from output to output."""
    names = specs.ACTIVATION_NAMES
    hidden = [names[(i + len(output)) % len(names)] for i in range(len(sizes) - 2)]
    return NetworkSpec.make((*sizes[:-1], outputs_for(loss, sizes[-1])), hidden, output, loss, dtype)


def random_rows(spec, n=43):
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, spec.sizes[0])).astype(spec.dtype), rng.random(n) * rng.integers(0, 2, n)


every_network = [
    # That threads change no bit of any loss is held by test_bits.py.
    pytest.mark.parametrize(("dtype", "threads"), [("float32", 3), ("float64", 1)]),
    pytest.mark.parametrize("sizes", SIZES, ids=str),
    pytest.mark.parametrize(("loss", "output"), HEADS),
]


def of_every_network(test):
    for mark in every_network:
        test = mark(test)
    return test


@of_every_network
def test_outputs_and_losses_of_rows(loss, output, sizes, dtype, threads):
    spec = network(loss, output, sizes, dtype)
    X, _ = random_rows(spec)
    for y in targets_of_every_kind(spec, len(X)):
        found = []
        for engine in pair(spec):
            predicted, evaluated = (np.full((len(X), spec.sizes[-1]), np.nan, dtype) for _ in range(2))
            row_loss = np.full(len(X), np.nan)
            engine.predict(X, predicted, threads)
            engine.evaluate(X, y, evaluated, row_loss, threads)
            found.append([predicted, evaluated, row_loss])
        assert_lists_close(*found, **CLOSE[dtype])


@of_every_network
def test_gradients(loss, output, sizes, dtype, threads):
    spec = network(loss, output, sizes, dtype)
    X, weight = random_rows(spec)
    for y in targets_of_every_kind(spec, len(X)):
        for w in (None, weight):
            ours, theirs = (gradient_of(engine, X, y, w, threads) for engine in pair(spec))
            assert ours[0] == pytest.approx(theirs[0], rel=CLOSE[dtype]["rtol"])
            assert_lists_close(ours[1], theirs[1], **CLOSE[dtype])
            assert_lists_close(ours[2], theirs[2], **CLOSE[dtype])


@of_every_network
def test_traces(loss, output, sizes, dtype, threads):
    spec = network(loss, output, sizes, dtype)
    X, _ = random_rows(spec)
    ours, theirs = pair(spec)
    for y in targets_of_every_kind(spec, len(X)):
        for got, wanted in zip(ours.trace(X, y, threads), theirs.trace(X, y, threads), strict=True):
            assert_lists_close(got, wanted, **CLOSE[dtype])
    by_outputs = np.random.default_rng(1).normal(size=(len(X), spec.sizes[-1])).astype(dtype)
    for got, wanted in zip(
        ours.trace(X, None, threads, by_outputs), theirs.trace(X, None, threads, by_outputs), strict=True
    ):
        assert_lists_close(got, wanted, **CLOSE[dtype])
    assert ours.trace(X, None, threads)[2] is None


@pytest.mark.parametrize(("loss", "output"), HEADS)
def test_weights_of_zero_teach_nothing(loss, output):
    spec = network(loss, output, (33, 17, 9), "float32")
    X, _ = random_rows(spec)
    for y in targets_of_every_kind(spec, len(X)):
        value, *gradient = gradient_of(fill(Engine(spec), spec), X, y, np.zeros(len(X)), 2)
        assert value == 0
        assert not flat(gradient).any()


@pytest.mark.parametrize(("loss", "output"), [head for head in HEADS if head[1] != "sign"])
def test_random_networks_have_something_to_learn(loss, output):
    """Or what agrees with the reference may agree in nothing."""
    for sizes in SIZES[1:4]:  # of more than one output: a softmax of one is 1
        spec = network(loss, output, sizes, "float32")
        X, weight = random_rows(spec)
        for w in (None, weight):
            value, *gradient = gradient_of(fill(Engine(spec), spec), X, targets(spec, len(X)), w, 2)
            assert value > 0
            assert flat(gradient).any()


def test_a_sign_at_the_end_teaches_nothing():
    spec = network("squared_error", "sign", (33, 17, 9), "float32")
    X, _ = random_rows(spec)
    value, *gradient = gradient_of(fill(Engine(spec), spec), X, targets(spec, len(X)), None, 2)
    assert value > 0
    assert not flat(gradient).any()


#: Losses and optimizers meet in the gradient alone: each is here with one of the others.
TRAININGS = {f"{loss}-adam": (loss, nets.with_state("adam")) for loss in specs.LOSS_NAMES} | {
    f"cross_entropy-{name}": ("cross_entropy", optimizer) for name, optimizer in nets.OPTIMIZERS.items()
}


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("batch_size", [1, 3, 16, 57, 1000])
@pytest.mark.parametrize(("loss", "optimizer"), TRAININGS.values(), ids=TRAININGS)
def test_train(loss, optimizer, batch_size, threads):
    spec = NetworkSpec.make([19, 35, 18, 4], ["tanh", "softplus"], loss=loss, dtype="float64")
    rng, n = np.random.default_rng(2), 57
    X, y = rng.normal(size=(n, 19)), targets(spec, n, labels=loss == "cross_entropy")
    weight = rng.random(n) * rng.integers(0, 3, n)
    order = rng.integers(0, n, 70)  # some rows more than once, some never
    for w in (None, weight):
        results = []
        for engine in pair(spec):
            squared_weights = np.full(-(-len(order) // batch_size), np.nan)
            run, losses = train(
                engine, X, y, order, batch_size, optimizer, weight=w, threads=threads, squared_weights=squared_weights
            )
            assert run == specs.Outcome(len(losses), "done", None)
            state = [flat(slot) for slot in states_of(engine)]
            results.append([losses, squared_weights, flat(layers_of(engine)), *state])
        assert_lists_close(*results, rtol=1e-8, atol=1e-11)
        before = layers_of(pair(spec)[0])
        assert not np.allclose(results[0][2], flat(before), atol=1e-4)
        assert results[0][1][0] == pytest.approx(sum((W * W).sum() for W in before[0]), rel=1e-13)


def test_the_last_smaller_batch_is_the_mean_of_its_own_rows():
    spec = NetworkSpec.make([3, 2], dtype="float64")
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))
    for batch_size, last in ((3, slice(6, 7)), (5, slice(5, 7))):
        engine = fill(Engine(spec), spec)
        # No step moves anything: each loss is that of the first parameters.
        _, losses = train(engine, X, y, np.arange(7), batch_size, specs.SGD(1e-300))
        row_loss = np.empty(7)
        engine.evaluate(X, y, np.empty((7, 2)), row_loss, 1)
        assert losses[-1] == pytest.approx(row_loss[last].mean(), rel=1e-14)


def test_runs_of_other_batch_sizes_follow_each_other():
    """The workspace of one batch size must not leave anything behind for the next."""
    spec = NetworkSpec.make([5, 40, 3], "tanh", dtype="float64")
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(64, 5)), targets(spec, 64)
    engines = pair(spec)
    step = 0
    for number, batch_size in enumerate((64, 3, 17, 1, 64)):
        order = rng.permutation(64)
        for engine in engines:
            train(engine, X, y, order, batch_size, nets.OPTIMIZERS["adam"], threads=1 + number % 3, start=step)
        step += -(-64 // batch_size)
    np.testing.assert_allclose(*(flat(layers_of(e)) for e in engines), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("widths", [(37, 45, 3), (290, 300, 3)], ids=["microbatches", "parts"])
@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_train_with_batches_too_large_for_the_caches(optimizer, widths):
    """They are cut, two of them alike; the smaller batch after them goes through the network in one."""
    spec = NetworkSpec.make(widths, "tanh", loss="cross_entropy", dtype="float64")
    rng, n = np.random.default_rng(13), 10_200
    X, y, weight = rng.normal(size=(n, widths[0])), targets(spec, n, labels=True), rng.integers(0, 3, n) / 2
    order, results = rng.permutation(n), []
    for engine in pair(spec):
        squared_weights = np.empty(3)
        _, losses = train(
            engine, X, y, order, 5000, nets.OPTIMIZERS[optimizer], weight=weight,
            threads=2, squared_weights=squared_weights,
        )  # fmt: skip
        results.append([losses, squared_weights, flat(layers_of(engine))])
    assert_lists_close(*results, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", specs.OPTIMIZER_NAMES)
def test_state_can_be_taken_out_and_put_back(name):
    spec = NetworkSpec.make([35, 20, 3], dtype="float32")
    optimizer = nets.with_state(name)
    rng = np.random.default_rng(5)
    X, y, order = rng.normal(size=(40, 35)), targets(spec, 40), rng.permutation(40)
    through = fill(Engine(spec), spec)
    train(through, X, y, np.concatenate([order, order]), 8, optimizer)
    halves = fill(Engine(spec), spec)
    train(halves, X, y, order, 8, optimizer)
    state = states_of(halves)
    assert all(flat(slot).any() for slot in state)
    resumed = Engine(spec)
    set_layers(resumed, *layers_of(halves))
    resumed.use_optimizer(name)
    assert not any(flat(slot).any() for slot in states_of(resumed))  # a new optimizer starts from zero
    set_states(resumed, state)
    resumed.n_steps = halves.n_steps
    train(resumed, X, y, order, 8, optimizer, start=5)
    assert flat(layers_of(resumed)).tobytes() == flat(layers_of(through)).tobytes()
    for ours, theirs in zip(states_of(resumed), states_of(through), strict=True):
        assert flat(ours).tobytes() == flat(theirs).tobytes()
    with pytest.raises(ValueError, match=f"kind must be one of 'parameters'.*, got 'state.{len(state)}'"):
        set_states(resumed, [*state, layers_of(resumed)])
    resumed.use_optimizer(None)
    assert states_of(resumed) == []


def test_parameters_come_back_as_copies():
    spec = NetworkSpec.make([37, 70, 3], dtype="float32")
    engine = Engine(spec)
    assert not flat(layers_of(engine)).any()
    fill(engine, spec)
    weights, biases = layers_of(engine)
    wanted = layers_of(fill(reference.Engine(spec), spec))
    assert flat((weights, biases)).tobytes() == flat(wanted).tobytes()
    for array in [*weights, *biases]:
        assert array.flags.c_contiguous
        array.fill(9)
    assert flat(layers_of(engine)).tobytes() == flat(wanted).tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("batch_size", [2, 20])
def test_a_loss_that_is_not_finite_stops_before_its_update(batch_size, threads, bad):
    spec = NetworkSpec.make([4, 9, 2], dtype="float32")
    rng = np.random.default_rng(6)
    X, y, order = rng.normal(size=(60, 4)), targets(spec, 60), np.arange(60)
    X[46, 3] = bad
    step = 46 // batch_size
    engine, clean = fill(Engine(spec), spec), fill(Engine(spec), spec)
    run, losses = train(engine, X, y, order, batch_size, specs.SGD(0.01), threads=threads)
    assert run == specs.Outcome(step, "non_finite", None)
    _, wanted = train(clean, X, y, order[: step * batch_size], batch_size, specs.SGD(0.01))
    np.testing.assert_array_equal(losses[:step], wanted)
    assert flat(layers_of(engine)).tobytes() == flat(layers_of(clean)).tobytes()


# --- where numbers end -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("output", "loss"), [("softmax", "cross_entropy"), ("logistic", "binary_cross_entropy")])
def test_deltas_that_would_end_in_denormal_numbers_are_zero(output, loss):
    for dtype, gone, kept in (("float32", -60.0, -30.0), ("float64", -400.0, -60.0)):
        spec = NetworkSpec.make([1, 4], output=output, loss=loss, dtype=dtype)
        engine = Engine(spec)
        set_layers(engine, [np.zeros((1, 4), dtype)], [np.array([0.0, 0.0, gone, kept], dtype)])
        y = np.array([[1.0, 0.0, 0.0, 0.0]], dtype)
        _, _, (gradient,) = gradient_of(engine, np.ones((1, 1), dtype), y, None, 1)
        assert gradient[2] == 0
        assert gradient[3] == pytest.approx(np.exp(kept) / (2 if output == "softmax" else 1), rel=1e-6, abs=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("dead", [[1], [0, 2], [16], [3, 20, 39]], ids=str)
@pytest.mark.parametrize("isa", ["numpy", *ISAS])
def test_a_class_with_neither_target_nor_probability_is_no_loss(isa, dead, dtype):
    """Its shifted logit is -infinity, which 0 times would be NaN. The others share the probability."""
    n = max(3, max(dead) + 1)
    largest = float(np.finfo(dtype).max)
    alive = np.setdiff1d(np.arange(n), dead)
    bias = np.full(n, largest)
    bias[dead] = -largest
    spec = NetworkSpec.make([2, n], output="softmax", loss="cross_entropy", dtype=dtype)
    engine = reference.Engine(spec) if isa == "numpy" else Engine(spec, isa)
    set_layers(engine, [np.zeros((2, n), dtype)], [bias.astype(dtype)])
    y = np.zeros((5, n))
    y[:, alive] = np.random.default_rng(0).dirichlet(np.ones(len(alive)), 5)
    X, out, row_loss = np.ones((5, 2)), np.empty((5, n), dtype), np.empty(5)
    engine.evaluate(X, y, out, row_loss, 1)
    assert not out[:, dead].any()
    np.testing.assert_allclose(out[:, alive], 1 / len(alive), rtol=1e-6)
    np.testing.assert_allclose(row_loss, np.log(len(alive)) * y.sum(axis=1), rtol=1e-6, atol=1e-12)
    loss, (gradient,), (by_bias,) = gradient_of(engine, X, y, None, 1)
    np.testing.assert_allclose(loss, row_loss.mean(), rtol=1e-6, atol=1e-12)
    assert not gradient[:, dead].any()
    np.testing.assert_allclose(by_bias[alive], (1 / len(alive) - y[:, alive]).mean(axis=0), rtol=1e-4, atol=1e-6)
    run, losses = train(engine, X, y, np.arange(5), 5, nets.OPTIMIZERS["sgd"])
    assert run.status == "done"
    np.testing.assert_allclose(losses[0], loss, rtol=1e-6)
    assert np.isfinite(flat(layers_of(engine))).all()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("sizes", "batch"),
    [((5, 3, 1), 8), ((37, 45, 33), 2), ((5, 3, 1), 300), ((37, 45, 33), 5000), ((290, 300, 9), 1000)],
    ids=["rows", "panels", "two microbatches", "microbatches", "parts"],
)
def test_a_step_whose_loss_is_not_finite_changes_nothing(sizes, batch, threads):
    """However the batch is cut, and wherever in it the bad row is."""
    spec = NetworkSpec.make(sizes, "tanh")
    rng = np.random.default_rng(0)
    X, order = rng.normal(size=(3 * batch, sizes[0])).astype("float32"), np.arange(3 * batch)
    one = fill(Engine(spec), spec)
    train(one, X, targets(spec, 3 * batch), order[:batch], batch, nets.OPTIMIZERS["adam"], threads=threads)
    for bad in (batch, batch + batch // 2, 2 * batch - 1):
        y = targets(spec, 3 * batch)
        y[bad, -1] = 1e30
        engine = fill(Engine(spec), spec)
        run, losses = train(engine, X, y, order, batch, nets.OPTIMIZERS["adam"], threads=threads)
        assert (run.status, run.steps) == ("non_finite", 1)
        assert np.isfinite(losses[0])
        assert flat(layers_of(engine)).tobytes() == flat(layers_of(one)).tobytes()
        for found, wanted in zip(states_of(engine), states_of(one), strict=True):
            assert flat(found).tobytes() == flat(wanted).tobytes()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("sizes", [(37, 70, 33), (290, 300, 9)], ids=str)
def test_batches_of_another_size_find_room(sizes, threads):
    """Larger and smaller ones, in microbatches, in parts and whole, are trained as by an engine that knew no others."""
    spec = NetworkSpec.make(sizes, "tanh")
    X = np.random.default_rng(0).normal(size=(1200, sizes[0])).astype("float32")
    y = targets(spec, 1200)
    engine = fill(Engine(spec), spec)
    for batch in (3, 1, 64, 200, 7, 1100, 300, 1200, 130):
        fresh = Engine(spec)
        set_layers(fresh, *layers_of(engine))
        order = np.arange(1200)[: 2 * batch]
        found = [
            train(each, X, y, order, batch, nets.OPTIMIZERS["momentum"], threads=threads) for each in (engine, fresh)
        ]
        assert found[0][1].tobytes() == found[1][1].tobytes()
        assert flat(layers_of(engine)).tobytes() == flat(layers_of(fresh)).tobytes()
