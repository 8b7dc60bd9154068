"""Dropout and noise in the engines, against a formula and slopes, and the same bits however a step is shared out."""

import numpy as np
import pytest
from both_engines import CLOSE
from compiled import ISAS, Engine
from engine_calls import cut, gradient_of, layers_of, set_layers, states_of
from random_networks import central_differences, fill, flat, targets

from fastmlp import reference
from fastmlp.reference.random import DROPOUT, NOISE, elements, quantile53
from fastmlp.spec import ACTIVATION_NAMES, SGD, Adam, NetworkSpec, Run

SEED = 2**63 + 11
#: Sizes, batch and rows: whose steps are cut and shared out in every way that there is.
WAYS = {
    "few rows": ((37, 45, 33), 1, 5),
    "rows": ((13, 70, 5), 40, 100),
    "panels": ((37, 145, 33, 3), 2, 9),
    "two microbatches": ((5, 3, 1), 300, 700),
    "microbatches": ((37, 45, 33), 1100, 1500),
    "parts": ((290, 300, 9), 1000, 1300),
}
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


@pytest.fixture(params=["numpy", "compiled"])
def engine_of(request):
    """Makes an engine with random parameters for a specification."""
    kind = reference.Engine if request.param == "numpy" else Engine
    return lambda spec: fill(kind(spec), spec)


def data(spec, n):
    rng = np.random.default_rng(n)
    return rng.normal(size=(n, spec.sizes[0])).astype(spec.dtype), targets(spec, n), rng.permutation(n), rng.random(n)


def train(engine, spec, batch_size, n, *, threads=1, seed=SEED, first=0, steps=None, **hooks):
    """Losses of steps [first, first + steps) of an epoch of n rows, by Adam, which begins where first is 0."""
    X, y, order, weight = data(spec, n)
    if first == 0:
        engine.use_optimizer("adam")
    end = n if steps is None else (first + steps) * batch_size
    order = order[first * batch_size : end]
    losses = np.full(-(-len(order) // batch_size), np.nan)
    run = Run(X, y, weight, order, batch_size, Adam(0.01).scalars(first, len(losses)), losses, seed=seed, **hooks)
    assert engine.train(run, threads).status == "done"
    return losses


def everything(engine, losses):
    return [part.tobytes() for part in (losses, flat(layers_of(engine)), *map(flat, states_of(engine)))]


# ---- what it computes -----------------------------------------------------------------------------------------------


def masks_of(spec, step, rows):
    """What the inputs of each layer are multiplied by in a step."""
    masks = []
    for layer, (rate, width) in enumerate(zip(spec.dropout_rates, spec.sizes, strict=False)):
        kept = elements(SEED, DROPOUT, layer, step, range(rows), width) >= round(rate * 2**16)
        masks.append(kept / (1.0 - rate) if rate else np.ones_like(kept))
    return masks


def by_formula(spec, parameters, X, y, masks):
    """Loss and gradient of tanh layers, identity outputs and the squared error: 1/2 sum of squares, mean over rows."""
    weights, biases = parameters
    a, kept, last = X * masks[0], [], len(weights) - 1
    for layer, (W, b) in enumerate(zip(weights, biases, strict=True)):
        kept.append(a)
        a = a @ W + b
        if layer < last:
            a = np.tanh(a) * masks[layer + 1]
    delta, by_weights, by_biases = (a - y) / len(X), [], []
    for layer in range(last, -1, -1):
        by_weights.insert(0, kept[layer].T @ delta)
        by_biases.insert(0, delta.sum(axis=0))
        if layer > 0:
            outputs = np.tanh(kept[layer - 1] @ weights[layer - 1] + biases[layer - 1])
            delta = (delta @ weights[layer].T) * masks[layer] * (1 - outputs**2)
    return ((a - y) ** 2).sum() / 2 / len(X), flat((by_weights, by_biases))


def gradients_of_steps(engine, X, y, batch_size):
    """Parameters before each step, its loss and its gradient."""
    found = []

    def look(step, gradient):
        found.append((layers_of(engine), flat(cut(gradient.read()))))

    losses = np.empty(-(-len(X) // batch_size))
    table = Adam(0.01).scalars(0, len(losses))
    run = Run(X, y, None, np.arange(len(X)), batch_size, table, losses, seed=SEED, at_gradient=look)
    assert engine.train(run, 1).status == "done"
    return [(parameters, loss, slope) for (parameters, slope), loss in zip(found, losses, strict=True)]


def noise_of(step, rows, columns):
    """What is added to the inputs in a step, for a deviation of 1."""
    high, low = (elements(SEED, NOISE, half, step, range(rows), columns).astype("u8") for half in (0, 1))
    bits = ((high << np.uint64(16) | low) << np.uint64(21)) + np.uint64(2**20)
    return quantile53(bits.ravel()).reshape(rows, columns)


@pytest.mark.parametrize("noise", [0.0, 0.5])
@pytest.mark.parametrize("rates", [(0.2, 0.5, 0.3), (0.0, 0.4, 0.0), (0.7, 0.0, 0.0), (0.0, 0.0, 0.9)], ids=str)
@pytest.mark.parametrize("way", [((5, 9, 7, 2), 6, 15), ((70, 100, 40, 3), 33, 90)], ids=str)
def test_loss_and_gradient_are_those_of_the_formula(engine_of, rates, way, noise):
    sizes, batch_size, n = way
    rest = {"input_dropout": rates[0], "dropout": rates[1:], "input_noise": noise}
    spec = NetworkSpec.make(sizes, "tanh", dtype="float64", **rest)
    X, y, _, _ = data(spec, n)
    engine = engine_of(spec)
    engine.use_optimizer("adam")
    steps = gradients_of_steps(engine, X, y, batch_size)
    assert len(steps) == 3
    for step, (parameters, loss, slope) in enumerate(steps):
        rows = slice(step * batch_size, (step + 1) * batch_size)
        masks = masks_of(spec, step, len(X[rows]))
        x = X[rows] + noise * noise_of(step, *X[rows].shape)
        wanted_loss, wanted = by_formula(spec, parameters, x, y[rows], masks)
        error = 1e-5 if noise else 1e-13  # of the quantiles
        np.testing.assert_allclose(loss, wanted_loss, rtol=error)
        np.testing.assert_allclose(slope, wanted, rtol=100 * error, atol=error)


@pytest.mark.parametrize("activation", ACTIVATION_NAMES)
def test_the_gradient_of_a_step_is_the_slope_of_its_loss_with_its_masks(engine_of, activation):
    spec = NetworkSpec.make(
        [6, 8, 5, 3], [activation, "tanh"], dtype="float64", dropout=0.4, input_dropout=0.2, input_noise=0.1
    )
    engine, (X, y, _, _) = engine_of(spec), data(spec, 7)
    engine.use_optimizer("sgd")

    def one_step():
        """Make step number 5, without an update."""
        engine.n_steps = 5
        losses, slopes, found = np.empty(1), [], np.empty(7)

        def keep(step, rows, outputs, row_loss, deltas):
            found[rows] = row_loss

        table = np.zeros((1, len(SGD.columns)))  # a learning rate of 0
        run = Run(X, y, None, np.arange(7), 7, table, losses, seed=SEED, at_loss=keep)
        run.at_gradient = lambda step, gradient: slopes.append(flat(cut(gradient.read())))
        assert engine.train(run, 1).status == "done"
        return found / 7, slopes[0]

    wanted = central_differences(engine, lambda: one_step()[0], 2e-6)
    np.testing.assert_allclose(one_step()[1], wanted, rtol=1e-6, atol=1e-6)


# ---- what does without ----------------------------------------------------------------------------------------------


@each_dtype
def test_all_but_training_does_without(engine_of, dtype):
    plain = NetworkSpec.make([20, 35, 40, 3], ["tanh", "gelu"], dtype=dtype)
    spec = NetworkSpec.make(
        [20, 35, 40, 3], ["tanh", "gelu"], dtype=dtype, dropout=0.5, input_dropout=0.3, input_noise=1.0
    )
    answers = []
    for each in (spec, plain):
        engine, (X, y, _, weight) = engine_of(each), data(each, 50)
        if each is spec:
            before = layers_of(engine)
            train(engine, spec, 16, 50)
            set_layers(engine, *before)
        out, row_loss = np.empty((50, 3), dtype), np.empty(50)
        engine.evaluate(X, y, out, row_loss, 1)
        again = np.empty_like(out)
        engine.predict(X, again, 1)
        traced = [array for arrays in engine.trace(X, y, 1) for array in arrays]
        loss, *gradient = gradient_of(engine, X, y, weight, 1)
        answers.append([part.tobytes() for part in (out, row_loss, again, *traced, np.array(loss), flat(gradient))])
    assert answers[0] == answers[1]


@each_way
def test_rates_of_0_change_no_bit(engine_of, way):
    sizes, batch_size, n = way
    results = []
    for rates in ({}, {"dropout": 0.0, "input_dropout": 0}, {"dropout": [0] * (len(sizes) - 2), "input_noise": 0.0}):
        spec = NetworkSpec.make(sizes, "tanh", **rates)
        engine = engine_of(spec)
        results.append(everything(engine, train(engine, spec, batch_size, n)))
    assert results[0] == results[1] == results[2]


# ---- the same bits --------------------------------------------------------------------------------------------------


def dropped(sizes, dtype, activation="tanh"):
    rates = [0.2, 0.6][: len(sizes) - 2]
    return NetworkSpec.make(sizes, activation, dtype=dtype, dropout=rates, input_dropout=0.1, input_noise=0.3)


@each_way
@each_dtype
def test_same_bits_on_every_isa_and_however_a_step_is_shared_out(way, dtype):
    sizes, batch_size, n = way
    spec = dropped(sizes, dtype)
    results = {}
    for isa in ISAS:
        for threads in (1, 2, 3, -2) if isa != "scalar" or n < 1000 else (2,):
            engine = fill(Engine(spec, isa), spec)
            results[isa, threads] = everything(engine, train(engine, spec, batch_size, n, threads=threads))
    wanted = results["scalar", 2]
    assert [key for key, found in results.items() if found != wanted] == []
    engine = fill(Engine(spec), spec)
    assert everything(engine, train(engine, spec, batch_size, n, seed=SEED + 1)) != wanted


@pytest.mark.parametrize("way", [WAYS["few rows"], WAYS["rows"]], ids=str)
@pytest.mark.parametrize("activation", ACTIVATION_NAMES)
@each_dtype
def test_both_engines_drop_the_same(activation, way, dtype):
    sizes, batch_size, n = way
    spec = dropped(sizes, dtype, activation)
    compiled, numpy = fill(Engine(spec), spec), fill(reference.Engine(spec), spec)
    losses = [train(engine, spec, batch_size, n, threads=2) for engine in (compiled, numpy)]
    np.testing.assert_allclose(*losses, **CLOSE[dtype])
    # Adam's first steps are signs of gradients, which rounding may turn in float32 where they are all but 0.
    if dtype == "float64":
        np.testing.assert_allclose(flat(layers_of(compiled)), flat(layers_of(numpy)), rtol=1e-8, atol=1e-9)


@each_way
def test_both_engines_drop_the_same_however_a_step_is_cut(way):
    """Rows have numbers of the batch, not of its parts or microbatches."""
    sizes, batch_size, n = way
    spec = dropped(sizes, "float64")
    losses = [train(fill(kind(spec), spec), spec, batch_size, n, threads=2) for kind in (Engine, reference.Engine)]
    np.testing.assert_allclose(*losses, **CLOSE["float64"])


@each_way
@pytest.mark.parametrize("cut", [1, 2])
def test_a_run_that_is_cut_goes_on_to_the_same_bits(engine_of, way, cut):
    """Also in another engine, to which parameters, state and the count of updates are all that is carried over."""
    sizes, batch_size, n = way
    if cut * batch_size >= n:
        cut = 1
    spec = dropped(sizes, "float32")
    whole, first, second = engine_of(spec), engine_of(spec), engine_of(spec)
    wanted = everything(whole, train(whole, spec, batch_size, n))
    losses = train(first, spec, batch_size, n, steps=cut)
    second.use_optimizer("adam")
    for kind in ("parameters", "state.0", "state.1"):
        second.write(first.read(kind), kind)
    second.n_steps = first.n_steps
    losses = np.concatenate([losses, train(second, spec, batch_size, n, first=cut)])
    assert everything(second, losses) == wanted


def test_a_hook_changes_no_bit(engine_of):
    spec = dropped((13, 70, 5), "float32")
    hooks = ({}, {"at_gradient": lambda step, gradient: None}, {"at_loss": lambda *seen: None})
    results = []
    for each in hooks:
        engine = engine_of(spec)
        results.append(everything(engine, train(engine, spec, 40, 100, threads=2, **each)))
    assert results[0] == results[1] == results[2]
