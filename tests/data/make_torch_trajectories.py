"""Writes torch_trajectories.npz: what PyTorch makes of a few small trainings in float64, step by step.

Run it where torch is installed: python tests/data/make_torch_trajectories.py. tests/reference/test_torch.py holds both
engines to the numbers, without torch; the networks, batches and rules of the trainings stand here for both sides.
"""

import itertools
from pathlib import Path

import numpy as np

PATH = Path(__file__).with_name("torch_trajectories.npz")
ROWS, BATCH, EPOCHS = 44, 12, 5  # twenty steps, of which every fourth is of 8 rows

SGD = {"name": "sgd", "learning_rate": 0.05, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
ADAM = {"name": "adam", "learning_rate": 0.02, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.0}

#: Name: sizes, activations of the hidden layers and the output, loss, optimizer, whether rows have weights.
TRAININGS = {
    "relu": ([6, 9, 3], ["relu", "identity"], "squared_error", SGD, False),
    "tanh": ([6, 7, 5, 2], ["tanh", "tanh", "identity"], "squared_error", SGD | {"momentum": 0.9}, False),
    "through_the_output": ([6, 8, 2], ["relu", "logistic"], "squared_error", ADAM, True),
    "labels": ([6, 8, 4], ["relu", "softmax"], "cross_entropy", ADAM | {"weight_decay": 0.1}, False),
    "probabilities": (
        [6, 5, 5, 4], ["tanh", "logistic", "softmax"], "cross_entropy",
        SGD | {"momentum": 0.8, "nesterov": True, "weight_decay": 0.05}, True,
    ),
    "multilabel": (
        [6, 8, 3], ["logistic", "logistic"], "binary_cross_entropy", SGD | {"momentum": 0.9, "weight_decay": 0.02},
        False,
    ),
    "elu": (
        [6, 6, 4, 2], ["elu", "leaky_relu", "logistic"], "binary_cross_entropy",
        ADAM | {"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-4}, True,
    ),
    "counts": (
        [6, 7, 2], ["softplus", "exp"], "poisson",
        SGD | {"learning_rate": 0.01, "momentum": 0.5, "nesterov": True}, False,
    ),
    "smooth": (
        [6, 7, 6, 5, 5, 2], ["gelu", "gelu_tanh", "silu", "mish", "identity"], "squared_error",
        {"name": "nadam", "learning_rate": 0.02, "beta1": 0.8, "weight_decay": 0.1}, True,
    ),
    "limited": (
        [6, 7, 6, 5, 5, 2], ["softsign", "relu6", "hardtanh", "hard_swish", "hard_sigmoid"], "squared_error",
        {"name": "rmsprop", "learning_rate": 0.01, "rho": 0.9, "momentum": 0.5, "centered": True, "weight_decay": 0.1},
        False,
    ),
    "selu": (
        [6, 7, 5, 3], ["selu", "selu", "softmax"], "cross_entropy",
        SGD | {"momentum": 0.8, "dampening": 0.25, "weight_decay": 0.05}, False,
    ),
    "absolute": ([6, 7, 2], ["tanh", "identity"], "absolute_error", SGD | {"momentum": 0.5}, True),
    "huber": ([6, 7, 2], ["tanh", "identity"], "huber", ADAM, True),
    "log_cosh": ([6, 7, 2], ["tanh", "logistic"], "log_cosh", ADAM, False),
    "quantile": ([6, 7, 2], ["tanh", "identity"], "quantile", SGD | {"momentum": 0.5}, False),
    "gamma": ([6, 7, 2], ["tanh", "exp"], "gamma", SGD | {"learning_rate": 0.01}, True),
    "tweedie": ([6, 7, 2], ["tanh", "exp"], "tweedie", ADAM, False),
} | {
    rule["name"]: ([6, 7, 2], ["tanh", "identity"], "squared_error", rule, False)
    for rule in [
        {"name": "adamw", "learning_rate": 0.02, "weight_decay": 0.5},
        {"name": "amsgrad", "learning_rate": 0.02, "weight_decay": 0.1, "beta2": 0.6},
        {"name": "radam", "learning_rate": 0.02, "weight_decay": 0.1},
        {"name": "adamax", "learning_rate": 0.02, "weight_decay": 0.1},
        {"name": "rmsprop", "learning_rate": 0.02},
        {"name": "adagrad", "learning_rate": 0.05, "learning_rate_decay": 0.1, "weight_decay": 0.1},
        {"name": "adadelta", "learning_rate": 0.5, "weight_decay": 0.1},
        {"name": "rprop", "learning_rate": 0.02},
    ]
} | {
    "shares": (
        [6, 7, 5, 2], ["softmax", "softmax", "identity"], "squared_error",
        SGD | {"momentum": 0.9, "weight_decay": 0.05}, True,
    ),
}  # fmt: skip
PARAMETERS = {"leaky_relu": 0.1, "elu": 0.7, "huber": 0.5, "quantile": 0.8, "tweedie": 1.25}


def problem(name):
    """Parameters to start from ([W, b] of each layer), X, y, weights of rows: small dyadic numbers, exact anywhere."""
    sizes, _, loss, _, weighted = TRAININGS[name]
    rng = np.random.RandomState(list(TRAININGS).index(name))  # NumPy promises the stream of this one
    layers = [
        [rng.randint(-64, 65, (n_in, n_out)) / 64.0, rng.randint(-32, 33, n_out) / 64.0]
        for n_in, n_out in itertools.pairwise(sizes)
    ]
    X = rng.randint(-128, 129, (ROWS, sizes[0])) / 64.0
    if name == "labels":
        y = rng.randint(0, sizes[-1], ROWS)
    elif loss == "cross_entropy":
        y = rng.multinomial(8, np.ones(sizes[-1]) / sizes[-1], ROWS) / 8.0
    elif loss in {"poisson", "tweedie"}:
        y = rng.randint(0, 5, (ROWS, sizes[-1])) + 0.0
    elif loss == "gamma":
        y = rng.randint(1, 9, (ROWS, sizes[-1])) / 4.0
    else:
        y = rng.randint(0, 2, (ROWS, sizes[-1])) + (0.0 if loss == "binary_cross_entropy" else 0.25)
    return layers, X, y, rng.randint(1, 9, ROWS) / 4.0 if weighted else None


def batches(epochs=EPOCHS):
    """The rows of each step, in the order of the data, epoch after epoch."""
    return [slice(start, start + BATCH) for _ in range(epochs) for start in range(0, ROWS, BATCH)]


#: What PyTorch calls the classes and arguments that it does not call as fastmlp does.
CLASSES = {
    "sgd": "SGD",
    "adam": "Adam",
    "adamw": "AdamW",
    "amsgrad": "Adam",
    "nadam": "NAdam",
    "radam": "RAdam",
    "adamax": "Adamax",
    "rmsprop": "RMSprop",
    "adagrad": "Adagrad",
    "adadelta": "Adadelta",
    "rprop": "Rprop",
}
ARGUMENTS = {"learning_rate": "lr", "epsilon": "eps", "learning_rate_decay": "lr_decay"}


def torch_optimizer(rule, groups):
    """PyTorch's optimizer of a rule; what the rule does not say is the default of both."""
    import torch

    given = {ARGUMENTS.get(key, key): value for key, value in rule.items() if key not in {"name", "weight_decay"}}
    betas = given.pop("beta1", 0.9), given.pop("beta2", 0.999)
    if rule["name"] in {"adam", "adamw", "amsgrad", "nadam", "radam", "adamax"}:
        given["betas"] = betas
    if rule["name"] == "amsgrad":
        given["amsgrad"] = True
    if rule["name"] == "rmsprop":
        given["alpha"] = given.pop("rho", 0.99)
    if rule["name"] == "rprop":
        groups = [{"params": group["params"]} for group in groups]
    return getattr(torch.optim, CLASSES[rule["name"]])(groups, **given)


def tweedie(mean, y, p):
    """Half of Tweedie's deviance."""
    return y ** (2 - p) / ((1 - p) * (2 - p)) - y * mean ** (1 - p) / (1 - p) + mean ** (2 - p) / (2 - p)


def torch_trajectory(name, rule=None, epochs=EPOCHS, hooks=lambda optimizer: ((lambda: None), (lambda loss: None))):
    """Losses before each step, and all parameters after the first and after the last, by PyTorch alone.

    `rule` takes the place of the training's own. `hooks(optimizer)` are called after each step and, with its mean loss
    over rows, after each epoch.
    """
    import torch
    import torch.nn.functional as F

    _, activations, loss, own_rule, _ = TRAININGS[name]
    rule = rule or own_rule
    layers, X, y, weight = problem(name)
    torch.set_default_dtype(torch.float64)  # of it is the product of momenta that NAdam keeps
    tensors = [[torch.tensor(array, requires_grad=True) for array in pair] for pair in layers]
    X, y = torch.tensor(X), torch.tensor(y)
    weight = torch.ones(ROWS, dtype=torch.float64) if weight is None else torch.tensor(weight)
    apply = {
        "identity": lambda z: z,
        "relu": F.relu,
        "tanh": torch.tanh,
        "logistic": torch.sigmoid,
        "softplus": F.softplus,
        "leaky_relu": lambda z: F.leaky_relu(z, PARAMETERS["leaky_relu"]),
        "elu": lambda z: F.elu(z, PARAMETERS["elu"]),
        "selu": F.selu,
        "gelu": F.gelu,
        "gelu_tanh": lambda z: F.gelu(z, approximate="tanh"),
        "silu": F.silu,
        "mish": F.mish,
        "softsign": F.softsign,
        "relu6": F.relu6,
        "hardtanh": F.hardtanh,
        # Written out: the slopes of F.hardsigmoid and F.hardswish are multiples of float32's 1/6.
        "hard_sigmoid": lambda z: F.relu6(z + 3) / 6,
        "hard_swish": lambda z: z * F.relu6(z + 3) / 6,
        "softmax": lambda z: F.softmax(z, dim=1),
    }
    # Of a row each, and from the signals of the last layer. PyTorch's own means would be over its outputs as well.
    row_losses = {
        "squared_error": lambda z, t: 0.5 * F.mse_loss(apply[activations[-1]](z), t, reduction="none").sum(dim=1),
        "cross_entropy": lambda z, t: F.cross_entropy(z, t, reduction="none"),
        "binary_cross_entropy": lambda z, t: F.binary_cross_entropy_with_logits(z, t, reduction="none").sum(dim=1),
        "poisson": lambda z, t: F.poisson_nll_loss(z, t, log_input=True, reduction="none").sum(dim=1),
        "absolute_error": lambda z, t: F.l1_loss(z, t, reduction="none").sum(dim=1),
        "huber": lambda z, t: F.huber_loss(z, t, reduction="none", delta=PARAMETERS["huber"]).sum(dim=1),
        # Those that PyTorch has not, by its operations.
        "log_cosh": lambda z, t: torch.log(torch.cosh(apply[activations[-1]](z) - t)).sum(dim=1),
        "quantile": lambda z, t: torch.maximum(
            PARAMETERS["quantile"] * (t - z), (PARAMETERS["quantile"] - 1) * (t - z)
        ).sum(dim=1),
        "gamma": lambda z, t: (t / z.exp() - 1 - torch.log(t / z.exp())).sum(dim=1),
        "tweedie": lambda z, t: tweedie(z.exp(), t, PARAMETERS["tweedie"]).sum(dim=1),
    }
    decay = rule.get("weight_decay", 0.0)
    groups = [
        {"params": [W for W, _ in tensors], "weight_decay": decay},
        {"params": [b for _, b in tensors], "weight_decay": 0.0},
    ]
    optimizer = torch_optimizer(rule, groups)
    after_step, after_epoch = hooks(optimizer)
    losses, after, total = [], [], 0.0
    for rows in batches(epochs):
        signal = X[rows]
        for number, (W, b) in enumerate(tensors):
            z = signal @ W + b
            signal = apply[activations[number]](z) if number < len(tensors) - 1 else z
        value = (weight[rows] * row_losses[loss](signal, y[rows])).sum() / weight[rows].sum()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        after_step()
        losses.append(value.item())
        total += losses[-1] * len(X[rows])
        if rows.stop >= ROWS:
            after_epoch(total / ROWS)
            total = 0.0
        after.append(np.concatenate([tensor.detach().numpy().ravel() for pair in tensors for tensor in pair]))
    return {"losses": np.array(losses), "first": after[0], "last": after[-1]}


if __name__ == "__main__":
    results = {f"{name}/{key}": value for name in TRAININGS for key, value in torch_trajectory(name).items()}
    np.savez_compressed(PATH, **results)
    print(f"{PATH}: {PATH.stat().st_size} bytes")
