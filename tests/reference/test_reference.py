"""The NumPy engine: gradients by central differences, formulas of activations and optimizers, runs."""

import itertools
import signal
import threading

import numpy as np
import pytest
from engine_calls import gradient_of, layers_of, run_steps, set_layers, set_states, states_of
from random_networks import (
    HEADS,
    SOURCES,
    central_differences,
    every_optimizer,
    fill,
    flat,
    targets,
    targets_of_every_kind,
)

from fastmlp.reference import Engine, permutation, plan, predict
from fastmlp.reference.activation import ACTIVATIONS
from fastmlp.reference.optimizer import OPTIMIZERS
from fastmlp.runtime import get_backend
from fastmlp.spec import ELU, SGD, Activation, Adam, LeakyReLU, NetworkSpec, Outcome, as_activation

HIDDEN = [*map(as_activation, ACTIVATIONS), LeakyReLU(0.3), LeakyReLU(2.0), ELU(0.4), ELU(2.5)]


def show(value):
    return "-".join([value.name, *map("{:g}".format, value.params)]) if isinstance(value, Activation) else None


def engine(spec, seed=0):
    return fill(Engine(spec), spec, seed)


def assert_gradient(net, X, y, weight):
    loss, *gradient = gradient_of(net, X, y, weight, 0)
    slopes = central_differences(net, lambda: np.array(gradient_of(net, X, y, weight, 0)[0]), 1e-6)
    assert np.linalg.norm(flat(gradient) - slopes) <= 1e-6 * max(np.linalg.norm(slopes), 1e-3)
    return loss, gradient


# --- gradients -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "output"), HEADS)
@pytest.mark.parametrize("hidden", HIDDEN, ids=show)
def test_gradient_by_central_differences(hidden, loss, output):
    rng = np.random.default_rng(1)
    spec = NetworkSpec.make([4, 5, 3, 3], [hidden, "tanh"], output, loss, "float64")
    net = engine(spec, seed=2)
    X = rng.normal(size=(7, 4))
    weight = rng.random(7)
    for y in targets_of_every_kind(spec, 7):
        value, (dW, _) = assert_gradient(net, X, y, None)
        assert_gradient(net, X, y, weight)
        assert value > 0.0
        assert (dW[0] == 0.0).all() == (hidden.name == "sign" or output == "sign")


@pytest.mark.parametrize("output", [ELU(0.3), LeakyReLU(3.0)], ids=show)
def test_gradient_with_parameters_in_the_output(output):
    rng = np.random.default_rng(1)
    net = engine(NetworkSpec.make([3, 2], output=output, dtype="float64"))
    assert_gradient(net, rng.normal(size=(9, 3)), rng.normal(size=(9, 2)), None)


def test_targets_that_do_not_sum_to_one():
    rng = np.random.default_rng(3)
    net = engine(NetworkSpec.make([3, 4], loss="cross_entropy", dtype="float64"))
    assert_gradient(net, rng.normal(size=(6, 3)), rng.random((6, 4)), None)


def test_labels_are_one_hot_targets():
    rng = np.random.default_rng(4)
    net = engine(NetworkSpec.make([3, 4, 5], loss="cross_entropy", dtype="float64"))
    X, y = rng.normal(size=(20, 3)), rng.integers(0, 5, 20).astype(np.int32)
    for weight in (None, rng.random(20)):
        by_label, by_row = (gradient_of(net, X, t, weight, 0) for t in (y, np.eye(5)[y]))
        assert by_label[0] == pytest.approx(by_row[0], rel=1e-14)
        np.testing.assert_allclose(flat(by_label[1:]), flat(by_row[1:]), rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_over_many_rows_is_the_mean_of_its_parts(weighted):
    rng, n = np.random.default_rng(5), 2 * predict.ROWS + 100
    net = engine(NetworkSpec.make([3, 4, 2], dtype="float64"))
    X, y, weight = rng.normal(size=(n, 3)), rng.normal(size=(n, 2)), rng.random(n) if weighted else np.ones(n)
    loss, *gradient = gradient_of(net, X, y, weight if weighted else None, 0)
    parts = [slice(0, 500), slice(500, n)]
    each = [gradient_of(net, X[part], y[part], weight[part], 0) for part in parts]
    shares = [weight[part].sum() / weight.sum() for part in parts]
    assert loss == pytest.approx(sum(s * e[0] for s, e in zip(shares, each, strict=True)), rel=1e-12)
    mean = sum(s * flat(e[1:]) for s, e in zip(shares, each, strict=True))
    np.testing.assert_allclose(flat(gradient), mean, rtol=1e-10)


def test_gradient_against_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(6)
    net = engine(NetworkSpec.make([4, 6, 3], "softplus", loss="cross_entropy", dtype="float64"))
    X, y = rng.normal(size=(11, 4)), rng.integers(0, 3, 11).astype(np.int32)
    loss, dW, db = gradient_of(net, X, y, None, 0)
    weights, biases = ([torch.tensor(a, requires_grad=True) for a in part] for part in layers_of(net))
    z = torch.nn.functional.softplus(torch.tensor(X) @ weights[0] + biases[0]) @ weights[1] + biases[1]
    theirs = torch.nn.functional.cross_entropy(z, torch.tensor(y, dtype=torch.int64))
    theirs.backward()
    assert loss == pytest.approx(theirs.item(), rel=1e-12)
    for ours, tensor in zip([*dW, *db], [*weights, *biases], strict=True):
        np.testing.assert_allclose(ours, tensor.grad.numpy(), rtol=1e-10, atol=1e-14)


# --- functions -------------------------------------------------------------------------------------------------------

FORMULAS = {
    "identity": lambda z: z,
    "sign": np.sign,
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.where(z > 0, z, 0),
    "leaky_relu": lambda z, p: np.where(z > 0, z, p * z),
    "elu": lambda z, p: np.where(z > 0, z, p * np.expm1(z)),
    "softplus": lambda z: np.log1p(np.exp(z)),
    "exp": np.exp,
    "softmax": lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", [*HIDDEN, as_activation("softmax")], ids=show)
def test_activations_by_their_formulas(activation, dtype):
    net = engine(NetworkSpec.make([3, 3], output=activation, loss="squared_error", dtype=dtype))
    set_layers(net, [np.eye(3, dtype=dtype)], [np.zeros(3, dtype)])
    X = np.append(np.random.default_rng(0).normal(0, 5, (200, 3)), np.zeros((1, 3)), axis=0).astype(dtype)
    out = np.empty_like(X)
    net.predict(X, out, 0)
    expected = FORMULAS[activation.name](X.astype(np.float64), *activation.params)
    np.testing.assert_allclose(out, expected, rtol=20 * np.finfo(dtype).eps, atol=np.finfo(dtype).tiny)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
def test_large_logits_do_no_harm(loss, dtype):
    net = engine(NetworkSpec.make([2, 2], loss=loss, dtype=dtype))
    set_layers(net, [np.eye(2, dtype=dtype)], [np.zeros(2, dtype)])
    X = np.array([[1e4, -1e4], [-1e4, 1e4]], dtype)
    out, row_loss = np.empty((2, 2), dtype), np.empty(2)
    net.evaluate(X, np.array([[1.0, 0.0], [1.0, 0.0]]), out, row_loss, 0)
    assert row_loss.tolist() == [0.0, 2e4]
    assert out.tolist() == [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
def test_clipped_losses(loss, dtype, backend):
    net = get_backend(backend).engine(NetworkSpec.make([3, 3], loss=loss, dtype=dtype))
    set_layers(net, [2 * np.eye(3, dtype=dtype)], [np.zeros(3, dtype)])
    rng, eps, most = np.random.default_rng(0), np.finfo(dtype).eps, np.finfo(dtype).max
    Z = np.append(rng.normal(0, 15, (40, 3)), [[1e4, -1e4, 0], [1, -most, 1], [1, 2, np.nan]], axis=0).astype(dtype)
    y = np.eye(3, dtype=np.uint8)[rng.integers(0, 3, 43)]
    y[-3:] = 0, 1, 0
    for clip in (True, False, True):
        net.clip_losses(clip)
        out, row_loss = np.empty_like(Z), np.empty(43)
        net.evaluate(Z, y, out, row_loss, 0)
        assert np.isnan(row_loss[-1])  # a network that has diverged still shows
        assert np.isfinite(row_loss[-2]) == clip  # minus infinity is a probability of 0
        assert np.isfinite(row_loss[:-2]).all()
    cut = np.clip(out, eps, 1 - eps)
    terms = np.where(y, -np.log(cut), 0 if loss == "cross_entropy" else -np.log(1 - cut))
    np.testing.assert_allclose(row_loss, terms.sum(axis=1, dtype=float), rtol=20 * eps)
    if loss == "cross_entropy":
        by_label = np.empty(43)
        net.evaluate(Z, y.argmax(axis=1).astype(np.int32), out, by_label, 0)
        np.testing.assert_array_equal(by_label, row_loss)


def test_poisson_is_half_the_deviance_and_zero_where_it_is_met():
    net = engine(NetworkSpec.make([1, 2], loss="poisson", dtype="float64"))
    set_layers(net, [np.array([[1.0, 1.0]])], [np.zeros(2)])
    X, y = np.log([[3.0], [2.0], [1e-9]]), np.array([[3.0, 3.0], [2.0, 0.0], [0.0, 0.0]])
    out, row_loss = np.empty((3, 2)), np.empty(3)
    net.evaluate(X, y, out, row_loss, 0)
    np.testing.assert_allclose(out[:, 0], [3.0, 2.0, 1e-9], rtol=1e-12)
    np.testing.assert_allclose(row_loss, [0.0, 2.0, 2e-9], atol=1e-15)


# --- optimizers ------------------------------------------------------------------------------------------------------


def sgd_formula(w, g, state, t, o, decay):
    g = g + o.weight_decay * w * decay
    state[0] = o.momentum * state[0] + g
    return w - o.learning_rate * (g + o.momentum * state[0] if o.nesterov else state[0])


def adam_formula(w, g, state, t, o, decay):
    g = g + o.weight_decay * w * decay
    state[0] = o.beta1 * state[0] + (1 - o.beta1) * g
    state[1] = o.beta2 * state[1] + (1 - o.beta2) * g**2
    corrected = state[0] / (1 - o.beta1**t), state[1] / (1 - o.beta2**t)
    return w - o.learning_rate * corrected[0] / (np.sqrt(corrected[1]) + o.epsilon)


@pytest.mark.parametrize("block", [5, 1 << 16])
@pytest.mark.parametrize(**every_optimizer)
def test_training_by_the_formulas(optimizer, block, monkeypatch):
    monkeypatch.setattr(plan, "UPDATE_BLOCK", block)
    rng = np.random.default_rng(9)
    spec = NetworkSpec.make([3, 4, 2], "tanh", dtype="float64")
    trained, oracle = engine(spec), engine(spec)
    X, y, weight = rng.normal(size=(50, 3)), rng.normal(size=(50, 2)), rng.random(50)
    order, steps = permutation(0, 0, 50), 8  # batches of 7, the last of 1
    losses = np.full(steps, np.nan)
    trained.use_optimizer(optimizer.name)
    run = run_steps(trained, X, y, order, 7, optimizer.scalars(0, steps), weight, losses, 0)
    assert run == Outcome(steps, "done", None)

    formula = {"sgd": sgd_formula, "adam": adam_formula}[optimizer.name]
    parameters = [*itertools.chain.from_iterable(layers_of(oracle))]
    states = [[np.zeros_like(w) for _ in range(OPTIMIZERS[optimizer.name].states)] for w in parameters]
    for step in range(steps):
        rows = order[step * 7 : (step + 1) * 7]
        loss, *gradient = gradient_of(oracle, X[rows], y[rows], weight[rows], 0)
        assert losses[step] == pytest.approx(loss, rel=1e-12)
        parameters = [
            formula(w, g, state, step + 1, optimizer, decay=i < 2)
            for i, (w, g, state) in enumerate(
                zip(parameters, itertools.chain.from_iterable(gradient), states, strict=True)
            )
        ]
        set_layers(oracle, parameters[:2], parameters[2:])
    np.testing.assert_allclose(flat(layers_of(trained)), flat(layers_of(oracle)), rtol=1e-9, atol=1e-12)
    if getattr(optimizer, "momentum", 1.0) > 0.0:  # without it there is nothing to keep
        for slot, (weights, biases) in enumerate(states_of(trained)):
            np.testing.assert_allclose(
                flat([weights, biases]), np.concatenate([np.ravel(s[slot]) for s in states]), rtol=1e-9, atol=1e-12
            )


@pytest.mark.parametrize(**every_optimizer)
def test_training_against_torch(optimizer):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(10)
    X, y = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
    net = engine(NetworkSpec.make([3, 2], dtype="float64"))
    W, b = (torch.tensor(part[0], requires_grad=True) for part in layers_of(net))
    groups = [{"params": [W], "weight_decay": optimizer.weight_decay}, {"params": [b], "weight_decay": 0.0}]
    if isinstance(optimizer, SGD):
        theirs = torch.optim.SGD(groups, optimizer.learning_rate, optimizer.momentum, nesterov=optimizer.nesterov)
    else:
        betas = (optimizer.beta1, optimizer.beta2)
        theirs = torch.optim.Adam(groups, optimizer.learning_rate, betas, optimizer.epsilon)
    for _ in range(10):
        theirs.zero_grad()
        (0.5 * ((torch.tensor(X) @ W + b - torch.tensor(y)) ** 2).sum(dim=1).mean()).backward()
        theirs.step()
    net.use_optimizer(optimizer.name)
    run_steps(net, X, y, np.tile(np.arange(40), 10), 40, optimizer.scalars(0, 10), None, np.empty(10), 0)
    np.testing.assert_allclose(layers_of(net)[0][0], W.detach().numpy(), rtol=1e-10)
    np.testing.assert_allclose(layers_of(net)[1][0], b.detach().numpy(), rtol=1e-10)


# --- runs ------------------------------------------------------------------------------------------------------------


def problem(dtype="float32", seed=11, n=100):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, 5)).astype(dtype), rng.integers(0, 3, n).astype(np.int32)
    return engine(NetworkSpec.make([5, 8, 3], loss="cross_entropy", dtype=dtype)), X, y


@pytest.mark.parametrize(**every_optimizer)
def test_stopped_and_resumed_is_not_stopped(optimizer):
    whole, X, y = problem()
    order, losses = permutation(1, 0, 100), np.empty(15)
    whole.use_optimizer(optimizer.name)
    run_steps(whole, X, y, order, 7, optimizer.scalars(0, 15), None, losses, 0)

    first, _, _ = problem()
    first.use_optimizer(optimizer.name)
    run_steps(first, X, y, order[:42], 7, optimizer.scalars(0, 6), None, np.empty(6), 0)
    second, rest = Engine(NetworkSpec.make([5, 8, 3], loss="cross_entropy")), np.empty(9)
    second.use_optimizer(optimizer.name)
    set_layers(second, *layers_of(first))
    set_states(second, states_of(first))
    run_steps(second, X, y, order[42:], 7, optimizer.scalars(6, 9), None, rest, 0)
    assert flat(layers_of(second)).tobytes() == flat(layers_of(whole)).tobytes()
    assert rest.tobytes() == losses[6:].tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_learns_and_keeps_its_dtype(dtype):
    net, X, _ = problem(dtype)
    y = np.argmax(X[:, :3], axis=1).astype(np.int32)
    net.use_optimizer("adam")
    losses, n = np.empty(400), 100
    order = np.concatenate([permutation(0, e, n) for e in range(50)])[: 400 * 12]
    assert run_steps(net, X, y, order, 12, Adam(0.02).scalars(0, 400), None, losses, 0).status == "done"
    assert losses[-20:].mean() < 0.2 * losses[:20].mean()
    out, row_loss = np.empty((n, 3), dtype), np.empty(n)
    net.evaluate(X, y, out, row_loss, 0)
    assert np.mean(out.argmax(axis=1) == y) > 0.95
    for array in [*itertools.chain.from_iterable(layers_of(net)), *states_of(net)[1][0]]:
        assert array.dtype == dtype


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("layout", ["C", "F", "strided", "reversed", "read-only"])
def test_sources_of_any_dtype_and_layout(source, layout):
    rng = np.random.default_rng(12)
    X, y = rng.integers(0, 9, (40, 4)).astype(source), rng.integers(0, 2, (40, 2)).astype(source)
    spec = NetworkSpec.make([4, 3, 2])

    def laid_out(a):
        if layout == "F":
            return np.asfortranarray(a)
        if layout == "strided":
            return np.repeat(np.repeat(a, 2, axis=0), 3, axis=1)[::2, ::3]
        if layout == "reversed":
            return np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1]
        a.flags.writeable = layout != "read-only"
        return a

    answers = []
    for data in ((X.astype("f4"), y.astype("f4")), (laid_out(X), laid_out(y))):
        net = engine(spec)
        net.use_optimizer("sgd")
        losses, out = np.empty(5), np.empty((40, 2), "f4")
        run_steps(net, *data, permutation(0, 0, 40), 9, SGD(0.001).scalars(0, 5), None, losses, 0)
        net.predict(data[0], out, 0)
        answers.append((losses.tobytes(), out.tobytes(), flat(layers_of(net)).tobytes()))
    assert answers[0] == answers[1]


def test_squared_weights_are_squared_weights_before_each_update():
    net, X, y = problem("float64")
    net.use_optimizer("sgd")
    order, rows, squared_weights = np.arange(100), SGD(0.1).scalars(0, 10), np.empty(10)
    before = sum(float((W**2).sum()) for W in layers_of(net)[0])
    run_steps(net, X, y, order[:90], 10, rows[:9], None, np.empty(9), 0, squared_weights[:9])
    between = sum(float((W**2).sum()) for W in layers_of(net)[0])
    run_steps(net, X, y, order[90:], 10, rows[:1], None, np.empty(1), 0, squared_weights[9:])
    assert squared_weights[0] == pytest.approx(before, rel=1e-12)
    assert squared_weights[9] == pytest.approx(between, rel=1e-12)


def test_a_velocity_remembers_past_rates():
    """scikit-learn's rule: velocity = momentum velocity - rate gradient, with a rate that changes."""
    rates, momentum = [0.3, 0.1, 0.2], 0.5
    net, oracle = (engine(NetworkSpec.make([2, 1], dtype="float64")) for _ in range(2))
    rng = np.random.default_rng(14)
    X, y = rng.normal(size=(12, 2)), rng.normal(size=(12, 1))
    net.use_optimizer("sgd")
    scalars = np.array([[1.0, momentum, 1.0, rate, 0.0] for rate in rates])
    run_steps(net, X, y, np.arange(12), 4, scalars, None, np.empty(3), 0)
    w = [*itertools.chain.from_iterable(layers_of(oracle))]
    velocity = [np.zeros_like(a) for a in w]
    for step, rate in enumerate(rates):
        rows = slice(4 * step, 4 * step + 4)
        gradient = itertools.chain.from_iterable(gradient_of(oracle, X[rows], y[rows], None, 0)[1:])
        for i, g in enumerate(gradient):
            velocity[i] = momentum * velocity[i] - rate * g
            w[i] = w[i] + momentum * velocity[i] - rate * g
        set_layers(oracle, w[:1], w[1:])
    np.testing.assert_allclose(flat(layers_of(net)), flat(layers_of(oracle)), rtol=1e-12)


def test_batches_of_growing_and_shrinking_size():
    net, X, y = problem("float64")
    alone = {}
    for n in (1, 7, 100, 32, 7, 1):
        loss, *gradient = gradient_of(net, X[:n], y[:n], None, 0)
        fresh = gradient_of(problem("float64")[0], X[:n], y[:n], None, 0)
        assert loss == fresh[0]
        np.testing.assert_array_equal(flat(gradient), flat(fresh[1:]))
        assert alone.setdefault(n, loss) == loss


def test_a_step_allocates_nothing_that_grows_with_the_batch():
    tracemalloc = pytest.importorskip("tracemalloc")
    rng, rows, width = np.random.default_rng(13), 512, 128
    net = engine(NetworkSpec.make([width, width, width]))
    net.use_optimizer("adam")
    X, y = (rng.normal(size=(4 * rows, width)).astype("f4") for _ in range(2))
    order, h, losses = permutation(0, 0, 4 * rows), Adam().scalars(0, 4), np.empty(4)
    run_steps(net, X, y, order, rows, h, None, losses, 0)
    tracemalloc.start()
    try:
        run_steps(net, X, y, order, rows, h, None, losses, 0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < rows * width * 4 / 2  # half of the smallest matrix of a step


def test_equal_weights_are_none():
    net, X, y = problem("float64")
    plain, weighted = (gradient_of(net, X, y, weight, 0) for weight in (None, np.full(100, 3.5)))
    assert plain[0] == pytest.approx(weighted[0], rel=1e-14)
    np.testing.assert_allclose(flat(plain[1:]), flat(weighted[1:]), rtol=1e-10, atol=1e-15)


def test_a_weight_of_two_is_the_row_twice():
    net, X, y = problem("float64")
    twice = np.r_[0:100, 3]
    weight = np.ones(100)
    weight[3] = 2.0
    one, two = gradient_of(net, X, y, weight, 0), gradient_of(net, X[twice], y[twice], None, 0)
    assert one[0] == pytest.approx(two[0], rel=1e-13)
    np.testing.assert_allclose(flat(one[1:]), flat(two[1:]), rtol=1e-10, atol=1e-15)


def test_a_batch_without_weight_teaches_nothing():
    net, X, y = problem()
    before, losses = flat(layers_of(net)), np.empty(2)
    weight = np.r_[np.zeros(50), np.ones(50)]
    net.use_optimizer("sgd")
    assert run_steps(net, X, y, np.arange(50), 25, SGD(0.1).scalars(0, 2), weight, losses, 0).status == "done"
    assert losses.tolist() == [0.0, 0.0]
    np.testing.assert_array_equal(flat(layers_of(net)), before)
    loss, *gradient = gradient_of(net, X[:50], y[:50], weight[:50], 0)
    assert loss == 0.0
    assert not flat(gradient).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_stops_before_the_update(bad):
    net, X, y = problem()
    net.use_optimizer("adam")
    X[70, 2] = bad
    losses = np.full(10, -1.0)
    run = run_steps(net, X, y, np.arange(100), 10, Adam().scalars(0, 10), None, losses, 0)
    assert run == Outcome(7, "non_finite", None)
    assert not np.isfinite(losses[7])
    assert (losses[8:] == -1.0).all()
    other, _, _ = problem()
    other.use_optimizer("adam")
    run_steps(other, X, y, np.arange(70), 10, Adam().scalars(0, 7), None, np.empty(7), 0)
    np.testing.assert_array_equal(flat(layers_of(net)), flat(layers_of(other)))


def test_trace_agrees_with_prediction_and_gradient():
    rng, n = np.random.default_rng(14), predict.ROWS + 30
    for loss, output in HEADS:
        spec = NetworkSpec.make([4, 5, 3, 2], ["elu", "logistic"], output, loss, "float64")
        net = engine(spec)
        X, y = rng.normal(size=(n, 4)), targets(spec, n)
        signals, outputs, deltas = net.trace(X, y, 0)
        assert [z.shape for z in signals] == [a.shape for a in outputs] == [d.shape for d in deltas]
        out, row_loss = np.empty((n, 2)), np.empty(n)
        net.evaluate(X, y, out, row_loss, 0)
        np.testing.assert_allclose(outputs[-1], out, rtol=1e-12)
        predicted = np.empty((n, 2))
        net.predict(X, predicted, 0)
        np.testing.assert_allclose(predicted, out, rtol=1e-12, atol=1e-300)
        mean, dW, db = gradient_of(net, X, y, None, 0)
        assert mean == pytest.approx(row_loss.mean(), rel=1e-12)
        for a, d, gW, gb in zip([X, *outputs[:-1]], deltas, dW, db, strict=True):
            np.testing.assert_allclose(a.T @ d / n, gW, rtol=1e-9, atol=1e-13)
            np.testing.assert_allclose(d.mean(axis=0), gb, rtol=1e-9, atol=1e-13)
        assert net.trace(X, None, 0)[2] is None


def test_no_rows():
    net, X, _ = problem()
    out = np.empty((0, 3), "f4")
    net.predict(X[:0], out, 0)
    net.use_optimizer("sgd")
    run = run_steps(net, X, X, np.empty(0, np.int64), 5, np.empty((0, 4)), None, np.empty(0), 0)
    assert run == Outcome(0, "done", None)


def test_parameters_and_state_are_copies():
    net, _, _ = problem()
    net.use_optimizer("adam")
    for get in (lambda: layers_of(net), lambda: states_of(net)[0]):
        get()[0][0].fill(7.0)
        assert not (get()[0][0] == 7.0).any()
    net.use_optimizer(None)
    assert states_of(net) == []
    assert net.isa == "numpy"
    assert not flat(layers_of(Engine(NetworkSpec.make([3, 2]), isa="avx2"))).any()


def test_training_needs_an_optimizer():
    net, X, y = problem()
    with pytest.raises(RuntimeError, match="use_optimizer"):
        run_steps(net, X, y, np.arange(5), 5, np.empty((1, 4)), None, np.empty(1), 0)


# --- interruption ----------------------------------------------------------------------------------------------------


class AlarmError(Exception):
    pass


class Ringing(np.ndarray):
    """Losses of which one sends a signal while it is written: in the middle of its step, whatever the machine does."""

    def __setitem__(self, step, value):
        super().__setitem__(step, value)
        if step == self.moment:
            signal.raise_signal(self.number)


def ringing(steps, moment, number):
    losses = np.full(steps, np.nan).view(Ringing)
    losses.moment, losses.number = moment, number
    return losses


@pytest.mark.parametrize("number", [signal.SIGINT, getattr(signal, "SIGALRM", signal.SIGINT)])
@pytest.mark.parametrize("moment", [0, 37, 99])
def test_what_a_signal_handler_raises_stops_after_a_whole_step(moment, number):
    steps = 100
    net, X, y = problem()
    net.use_optimizer("adam")
    order, h = np.random.default_rng(15).integers(0, 100, 10 * steps), Adam().scalars(0, steps)
    losses, error = ringing(steps, moment, number), AlarmError("now")

    def handler(*_):
        raise error

    kept = signal.signal(number, handler)
    try:
        run = run_steps(net, X, y, order, 10, h, None, losses, 0)
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, kept)
    assert run.status == "interrupted"
    assert run.exception is error
    assert run.steps == moment + 1
    assert np.isfinite(losses[: run.steps]).all()
    assert np.isnan(losses[run.steps :]).all()
    again, _, _ = problem()
    again.use_optimizer("adam")
    run_steps(again, X, y, order[: 10 * run.steps], 10, h[: run.steps], None, np.empty(run.steps), 0)
    assert flat(layers_of(again)).tobytes() == flat(layers_of(net)).tobytes()


def test_a_signal_handler_that_returns_does_not_stop():
    net, X, y = problem()
    net.use_optimizer("sgd")
    calls, steps = [], 100
    losses = ringing(steps, 37, signal.SIGINT)
    kept = signal.signal(signal.SIGINT, lambda number, frame: calls.append((number, np.isfinite(losses).sum())))
    try:
        order = np.random.default_rng(0).integers(0, 100, 10 * steps)
        run = run_steps(net, X, y, order, 10, SGD().scalars(0, steps), None, losses, 0)
    finally:
        signal.signal(signal.SIGINT, kept)
    assert (run.status, run.steps) == ("done", steps)
    assert calls == [(signal.SIGINT, 38)]


def test_engines_in_several_threads_and_one_engine_in_several():
    def train(net, X, y):
        losses = np.empty(10)
        run_steps(net, X, y, np.arange(100), 10, Adam().scalars(0, 10), None, losses, 0)

    def run(nets):
        workers = [threading.Thread(target=train, args=each) for each in nets]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    problems, alone = [problem() for _ in range(4)], problem()
    for net, _, _ in [*problems, alone]:
        net.use_optimizer("adam")
    run(problems)
    train(*alone)
    for net, _, _ in problems:
        assert flat(layers_of(net)).tobytes() == flat(layers_of(alone[0])).tobytes()
    run([problems[0]] * 2)
    train(*alone)
    train(*alone)
    assert flat(layers_of(problems[0][0])).tobytes() == flat(layers_of(alone[0])).tobytes()


def test_a_forked_child_makes_its_buffers_anew():
    """Another thread of the parent may have been at it: here it had noted their size, and not yet made them."""
    net, X, _ = problem()
    wanted = np.empty((len(X), layers_of(net)[1][-1].size), layers_of(net)[1][-1].dtype)
    net.predict(X, wanted)
    child, _, _ = problem()
    out = np.empty_like(wanted)
    child.predict(X[:3], out[:3])
    child._plan.workspace._capacity = len(X)
    assert child.forked()
    child.predict(X, out)
    np.testing.assert_array_equal(out, wanted)
