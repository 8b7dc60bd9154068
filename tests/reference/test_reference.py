"""The NumPy engine: gradients by central differences, functions and optimizers by their formulas, and PyTorch."""

import itertools

import mpmath
import numpy as np
import pytest
from engine_calls import gradient_of, layers_of, run_steps, set_layers, states_of
from random_networks import (
    HEADS,
    central_differences,
    every_optimizer,
    fill,
    flat,
    outputs_for,
    targets_of_every_kind,
)

import fastmlp
from fastmlp.reference import Engine, permutation, plan, predict
from fastmlp.reference.optimizer import OPTIMIZERS
from fastmlp.runtime import get_backend
from fastmlp.spec import ACTIVATION_NAMES, ELU, Activation, LeakyReLU, NetworkSpec, Outcome, as_activation
from fastmlp.spec import LOSSES as KINDS

HIDDEN = [*map(as_activation, ACTIVATION_NAMES), LeakyReLU(0.3), LeakyReLU(2.0), ELU(0.4), ELU(2.5)]
PLAIN_HEADS = [("squared_error", "identity"), ("cross_entropy", "softmax")]


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


#: The chain rule joins layers and losses: every hidden activation below two losses, every loss above two activations.
CHAINS = [
    (hidden, *head) for hidden in HIDDEN for head in HEADS if hidden.name in ("relu", "tanh") or head in PLAIN_HEADS
]


@pytest.mark.parametrize(("hidden", "loss", "output"), CHAINS, ids=show)
def test_gradient_by_central_differences(hidden, loss, output):
    rng = np.random.default_rng(1)
    spec = NetworkSpec.make([4, 5, 3, outputs_for(loss, 3)], [hidden, "tanh"], output, loss, "float64")
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


def normal_cdf(z):
    return np.vectorize(lambda x: float(mpmath.ncdf(x)))(z)


FORMULAS = {
    "identity": lambda z: z,
    "sign": np.sign,
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.where(z > 0, z, 0),
    "leaky_relu": lambda z, p: np.where(z > 0, z, p * z),
    "elu": lambda z, p: np.where(z > 0, z, p * np.expm1(z)),
    "softplus": lambda z, p: np.log1p(np.exp(p * z)) / p,
    "exp": np.exp,
    "selu": lambda z: 1.05070098735548 * np.where(z > 0, z, 1.67326324235438 * np.expm1(z)),
    "gelu": lambda z: z * normal_cdf(z),
    "gelu_tanh": lambda z: z / (1 + np.exp(-2 * np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
    "silu": lambda z: z / (1 + np.exp(-z)),
    "mish": lambda z: z * np.tanh(np.log1p(np.exp(z))),
    "softsign": lambda z: z / (1 + np.abs(z)),
    "relu6": lambda z: np.minimum(np.maximum(z, 0), 6),
    "hardtanh": lambda z: np.minimum(np.maximum(z, -1), 1),
    "hard_sigmoid": lambda z: np.minimum(np.maximum(z + 3, 0), 6) / 6,
    "hard_swish": lambda z: z * np.minimum(np.maximum(z + 3, 0), 6) / 6,
    "softmax": lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
    "prelu": lambda z, slope: np.where(z > 0, z, slope * z),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", HIDDEN, ids=show)
def test_activations_by_their_formulas(activation, dtype):
    net = engine(NetworkSpec.make([3, 3], output=activation, loss="squared_error", dtype=dtype))
    learned = [np.full(3, value, dtype) for value in activation.params if activation.vectors(3)]
    set_layers(net, [np.eye(3, dtype=dtype)], [np.zeros(3, dtype), *learned])
    X = np.append(np.random.default_rng(0).normal(0, 5, (200, 3)), np.zeros((1, 3)), axis=0).astype(dtype)
    out = np.empty_like(X)
    net.predict(X, out, 0)
    expected = FORMULAS[activation.name](X.astype(np.float64), *activation.params)
    # The tail of this one is an exponential of an argument that is rounded, by the formula too.
    atol = np.finfo(dtype).eps if activation.name == "gelu_tanh" else np.finfo(dtype).tiny
    np.testing.assert_allclose(out, expected, rtol=20 * np.finfo(dtype).eps, atol=atol)


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
    rng, eps, most = np.random.default_rng(0), np.finfo(dtype).eps, np.finfo(dtype).max
    Z = np.append(rng.normal(0, 15, (40, 3)), [[1e4, -1e4, 0], [1, -most, 1], [1, 2, np.nan]], axis=0).astype(dtype)
    y = np.eye(3, dtype=np.uint8)[rng.integers(0, 3, 43)]
    y[-3:] = 0, 1, 0
    for clip in (0.0, float(eps)):
        net = get_backend(backend).engine(NetworkSpec.make([3, 3], loss=KINDS[loss](clip), dtype=dtype))
        set_layers(net, [2 * np.eye(3, dtype=dtype)], [np.zeros(3, dtype)])
        out, row_loss = np.empty_like(Z), np.empty(43)
        net.evaluate(Z, y, out, row_loss, 0)
        assert np.isnan(row_loss[-1])  # a network that has diverged still shows
        assert np.isfinite(row_loss[-2]) == (clip > 0)  # minus infinity is a probability of 0
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


def decayed(w, g, o, decay):
    return g + getattr(o, "weight_decay", 0.0) * w * decay


def sgd_formula(w, g, state, t, o, decay):
    g = decayed(w, g, o, decay)
    state[0] = o.momentum * state[0] + (g if t == 1 or not o.momentum else (1 - o.dampening) * g)
    return w - o.learning_rate * (g + o.momentum * state[0] if o.nesterov else state[0])


def moments(g, state, o):
    state[0] = o.beta1 * state[0] + (1 - o.beta1) * g
    state[1] = o.beta2 * state[1] + (1 - o.beta2) * g**2


def adam_formula(w, g, state, t, o, decay):
    moments(decayed(w, g, o, decay), state, o)
    corrected = state[0] / (1 - o.beta1**t), state[1] / (1 - o.beta2**t)
    return w - o.learning_rate * corrected[0] / (np.sqrt(corrected[1]) + o.epsilon)


def adamw_formula(w, g, state, t, o, decay):
    return adam_formula(w * (1 - o.learning_rate * o.weight_decay * decay), g, state, t, o, 0.0)


def amsgrad_formula(w, g, state, t, o, decay):
    moments(decayed(w, g, o, decay), state, o)
    state[2] = np.maximum(state[2], state[1])
    root = np.sqrt(state[2] / (1 - o.beta2**t)) + o.epsilon
    return w - o.learning_rate * state[0] / (1 - o.beta1**t) / root


def nadam_formula(w, g, state, t, o, decay):
    g = decayed(w, g, o, decay)
    moments(g, state, o)
    mu = [o.beta1 * (1 - 0.96 ** (i * o.momentum_decay) / 2) for i in range(1, t + 2)]
    direction = (1 - mu[-2]) / (1 - np.prod(mu[:-1])) * g + mu[-1] / (1 - np.prod(mu)) * state[0]
    return w - o.learning_rate * direction / (np.sqrt(state[1] / (1 - o.beta2**t)) + o.epsilon)


def radam_formula(w, g, state, t, o, decay):
    moments(decayed(w, g, o, decay), state, o)
    m, limit = state[0] / (1 - o.beta1**t), 2 / (1 - o.beta2) - 1
    known = limit - 2 * t * o.beta2**t / (1 - o.beta2**t)
    if known <= 5:
        return w - o.learning_rate * m
    factor = np.sqrt((known - 4) * (known - 2) * limit / ((limit - 4) * (limit - 2) * known))
    return w - o.learning_rate * factor * m * np.sqrt(1 - o.beta2**t) / (np.sqrt(state[1]) + o.epsilon)


def adamax_formula(w, g, state, t, o, decay):
    g = decayed(w, g, o, decay)
    state[0] = o.beta1 * state[0] + (1 - o.beta1) * g
    state[1] = np.maximum(o.beta2 * state[1], np.abs(g) + o.epsilon)
    return w - o.learning_rate / (1 - o.beta1**t) * state[0] / state[1]


def rmsprop_formula(w, g, state, t, o, decay):
    g = decayed(w, g, o, decay)
    state[0] = o.rho * state[0] + (1 - o.rho) * g**2
    if o.centered:
        state[1] = o.rho * state[1] + (1 - o.rho) * g
    direction = g / (np.sqrt(state[0] - state[1] ** 2) + o.epsilon)
    if o.momentum:
        direction = state[2] = o.momentum * state[2] + direction
    return w - o.learning_rate * direction


def adagrad_formula(w, g, state, t, o, decay):
    g = decayed(w, g, o, decay)
    state[0] = state[0] + g**2
    rate = o.learning_rate / (1 + (t - 1) * o.learning_rate_decay)
    return w - rate * g / (np.sqrt(state[0]) + o.epsilon)


def adadelta_formula(w, g, state, t, o, decay):
    g = decayed(w, g, o, decay)
    state[0] = o.rho * state[0] + (1 - o.rho) * g**2
    move = np.sqrt(state[1] + o.epsilon) / np.sqrt(state[0] + o.epsilon) * g
    state[1] = o.rho * state[1] + (1 - o.rho) * move**2
    return w - o.learning_rate * move


def lion_formula(w, g, state, t, o, decay):
    w = w * (1 - o.learning_rate * o.weight_decay * decay)
    direction = np.sign(o.beta1 * state[0] + (1 - o.beta1) * g)
    state[0] = o.beta2 * state[0] + (1 - o.beta2) * g
    return w - o.learning_rate * direction


def rprop_formula(w, g, state, t, o, decay):
    size = np.full_like(w, o.learning_rate) if t == 1 else state[1]
    factor = np.select([g * state[0] > 0, g * state[0] < 0], [o.eta_plus, o.eta_minus], 1.0)
    state[1] = np.clip(size * factor, o.smallest_step, o.largest_step)
    state[0] = np.where(g * state[0] < 0, 0.0, g)
    return w - np.sign(state[0]) * state[1]


def schedule_free_adamw_formula(y, g, state, t, o, decay):
    if t == 1:
        state[0] = state[2] = y
    state[1] = o.beta2 * state[1] + (1 - o.beta2) * g**2
    direction = g / (np.sqrt(state[1] / (1 - o.beta2**t)) + o.epsilon) + o.weight_decay * decay * y
    state[0] = state[0] - o.learning_rate * direction
    state[2] = (1 - 1 / t) * state[2] + 1 / t * state[0]
    return (1 - o.beta1) * state[0] + o.beta1 * state[2]


def muon_formula(w, g, state, t, o, decay):
    if not decay:  # a bias
        adam = fastmlp.Adam(o.learning_rate * o.adam_lr_ratio, o.adam_beta1, o.adam_beta2, o.adam_epsilon)
        return adam_formula(w, g, state, t, adam, decay)
    state[0] = o.momentum * state[0] + (1 - o.momentum) * g
    ahead, now = o.momentum * state[0], (1 - o.momentum) * g
    if o.bias_correction:
        ahead, now = ahead / (1 - o.momentum ** (t + 1)), now / (1 - o.momentum**t)
    y, (a, b, c) = ahead + now, o.ns_coefficients
    y = y / (np.sqrt((y**2).sum()) + o.epsilon)
    for _ in range(o.ns_steps):
        y = a * y + b * (y @ y.T @ y) + c * (y @ y.T @ y @ y.T @ y)
    return w - o.learning_rate * (np.sqrt(max(1.0, w.shape[1] / w.shape[0])) * y + o.weight_decay * w)


UPDATES = {name.removesuffix("_formula"): function for name, function in globals().items() if name.endswith("_formula")}


def test_there_is_a_formula_for_every_optimizer():
    assert set(UPDATES) == set(OPTIMIZERS)


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

    formula = UPDATES[optimizer.name]
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
    if optimizer.name == "schedule_free_adamw":  # whose weights are the mean
        mean = [state[2] for state in states]
        set_layers(oracle, mean[:2], mean[2:])
    np.testing.assert_allclose(flat(layers_of(trained)), flat(layers_of(oracle)), rtol=1e-9, atol=1e-12)
    if optimizer.name != "sgd" or optimizer.momentum > 0.0:  # without it there is nothing to keep
        for slot, (weights, biases) in enumerate(states_of(trained)):
            np.testing.assert_allclose(
                flat([weights, biases]), np.concatenate([np.ravel(s[slot]) for s in states]), rtol=1e-9, atol=1e-12
            )


def torchs(o, groups):
    """PyTorch's optimizer of the same rule; None where it has none."""
    import torch

    common = {name: getattr(o, name) for name in ("momentum", "nesterov", "dampening", "centered") if hasattr(o, name)}
    common |= {"eps": o.epsilon} if hasattr(o, "epsilon") else {}
    common |= {"betas": (o.beta1, o.beta2)} if hasattr(o, "beta1") else {}
    special = {
        "amsgrad": {"amsgrad": True},
        "nadam": {"momentum_decay": getattr(o, "momentum_decay", None)},
        "rmsprop": {"alpha": getattr(o, "rho", None)},
        "adagrad": {"lr_decay": getattr(o, "learning_rate_decay", None)},
        "adadelta": {"rho": getattr(o, "rho", None)},
        "rprop": {
            "etas": (getattr(o, "eta_minus", None), getattr(o, "eta_plus", None)),
            "step_sizes": (getattr(o, "smallest_step", None), getattr(o, "largest_step", None)),
        },
    }.get(o.name, {})
    kind = getattr(torch.optim, {"amsgrad": "Adam", "adamax": "Adamax"}.get(o.name, type(o).__name__), None)
    if o.name == "muon":  # PyTorch's is for matrices alone, in bfloat16: see api/test_muon.py
        return None
    return None if kind is None else kind(groups, lr=o.learning_rate, **common, **special)


@pytest.mark.parametrize(**every_optimizer)
def test_training_against_torch(optimizer):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(10)
    X, y = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
    net = engine(NetworkSpec.make([3, 2], dtype="float64"))
    W, b = (torch.tensor(part[0], requires_grad=True) for part in layers_of(net))
    decay = getattr(optimizer, "weight_decay", 0.0)
    groups = [{"params": [W], "weight_decay": decay}, {"params": [b], "weight_decay": 0.0}]
    torch.set_default_dtype(torch.float64)  # of it is the product of momenta that NAdam keeps
    theirs = torchs(optimizer, [W, b] if optimizer.name == "rprop" else groups)
    if theirs is None:
        return
    for _ in range(10):
        theirs.zero_grad()
        (0.5 * ((torch.tensor(X) @ W + b - torch.tensor(y)) ** 2).sum(dim=1).mean()).backward()
        theirs.step()
    net.use_optimizer(optimizer.name)
    run_steps(net, X, y, np.tile(np.arange(40), 10), 40, optimizer.scalars(0, 10), None, np.empty(10), 0)
    np.testing.assert_allclose(layers_of(net)[0][0], W.detach().numpy(), rtol=1e-10)
    np.testing.assert_allclose(layers_of(net)[1][0], b.detach().numpy(), rtol=1e-10)
