"""Writes torch_regularised.npz: what PyTorch makes of clipped gradients and penalised weights, in float64.

Run it where torch is installed: python tests/data/make_torch_regularised.py. tests/reference/test_torch_regularised.py
holds both engines to the numbers, without torch. Clipping is that of torch.nn.utils, bounds are torch.renorm's,
penalties are sums that autograd goes through; an optimizer's weight_decay is its own.
"""

import itertools
from pathlib import Path

import numpy as np

PATH = Path(__file__).with_name("torch_regularised.npz")
SIZES, ROWS, BATCH, EPOCHS = [6, 7, 5, 2], 44, 12, 3  # twelve steps, of which every fourth is of 8 rows

SGD = {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 0.1}
ADAM = {"name": "adam", "learning_rate": 0.02}

#: Name: optimizer, arguments of fit and step, arguments of the network.
TRAININGS = {
    "norm": (SGD, {"clip_norm": 0.5}, {}),
    "norm_of_some_steps": (SGD, {"clip_norm": 2.5}, {}),
    "norm_adam": (ADAM, {"clip_norm": 0.01}, {}),
    "value": (SGD, {"clip_value": 0.1}, {}),
    "value_adam": (ADAM, {"clip_value": 0.02}, {}),
    "l1": (SGD, {}, {"l1": 0.02}),
    "l2": (ADAM, {}, {"l2": 0.3}),
    "each_layer": (ADAM, {}, {"l1": [0.1, 0.0, 0.02], "l2": [0.0, 0.0, 0.4]}),
    "max_norm": (SGD, {}, {"max_norm": 1.25}),
    "max_norm_of_some_layers": (ADAM, {"clip_norm": 0.5}, {"l1": 0.02, "max_norm": [1.5, None, 0.75]}),
    "norm_of_a_penalised_loss": (SGD, {"clip_norm": 0.5}, {"l1": 0.02, "l2": 0.3}),
    "values_of_a_penalised_loss": (ADAM, {"clip_value": 0.1}, {"l1": [0.1, 0.0, 0.02], "l2": 0.1}),
}


def problem():
    """Parameters to start from ([W, b] of each layer), X, y: small dyadic numbers, some weights 0."""
    rng = np.random.RandomState(11)  # NumPy promises the stream of this one
    layers = [
        [rng.randint(-8, 9, (n_in, n_out)) / 8.0, rng.randint(-32, 33, n_out) / 64.0]
        for n_in, n_out in itertools.pairwise(SIZES)
    ]
    return layers, rng.randint(-128, 129, (ROWS, SIZES[0])) / 64.0, rng.randint(-64, 65, (ROWS, SIZES[-1])) / 32.0


def batches():
    """The rows of each step, in the order of the data, epoch after epoch."""
    return [slice(start, start + BATCH) for _ in range(EPOCHS) for start in range(0, ROWS, BATCH)]


def torch_trajectory(name):
    """Losses before each step, and all parameters after the first and after the last, by PyTorch alone."""
    import torch

    rule, clip, penalties = TRAININGS[name]
    l1, l2 = (np.broadcast_to(penalties.get(key, 0.0), len(SIZES) - 1).tolist() for key in ("l1", "l2"))
    bounds = penalties.get("max_norm")
    bounds = bounds if isinstance(bounds, list) else [bounds] * (len(SIZES) - 1)
    layers, X, y = problem()
    tensors = [[torch.tensor(array, requires_grad=True) for array in pair] for pair in layers]
    X, y = torch.tensor(X), torch.tensor(y)
    decay = rule.get("weight_decay", 0.0)
    groups = [
        {"params": [W for W, _ in tensors], "weight_decay": decay},
        {"params": [b for _, b in tensors], "weight_decay": 0.0},
    ]
    if rule["name"] == "sgd":
        optimizer = torch.optim.SGD(groups, lr=rule["learning_rate"], momentum=rule["momentum"])
    else:
        optimizer = torch.optim.Adam(groups, lr=rule["learning_rate"])
    flat = list(itertools.chain.from_iterable(tensors))
    losses, after = [], []
    for rows in batches():
        signal = X[rows]
        for number, (W, b) in enumerate(tensors):
            signal = signal @ W + b
            if number < len(tensors) - 1:
                signal = torch.tanh(signal)
        value = 0.5 * ((signal - y[rows]) ** 2).sum(dim=1).mean()
        for (W, _), first, second in zip(tensors, l1, l2, strict=True):
            value = value + first * W.abs().sum() + second / 2 * (W**2).sum()
        optimizer.zero_grad()
        value.backward()
        if "clip_norm" in clip:
            torch.nn.utils.clip_grad_norm_(flat, clip["clip_norm"])
        if "clip_value" in clip:
            torch.nn.utils.clip_grad_value_(flat, clip["clip_value"])
        optimizer.step()
        with torch.no_grad():
            for (W, _), most in zip(tensors, bounds, strict=True):
                W.copy_(W if most is None else torch.renorm(W, 2, 1, most))
        losses.append(value.item())
        after.append(np.concatenate([tensor.detach().numpy().ravel() for tensor in flat]))
    return {"losses": np.array(losses), "first": after[0], "last": after[-1]}


if __name__ == "__main__":
    results = {f"{name}/{key}": value for name in TRAININGS for key, value in torch_trajectory(name).items()}
    np.savez_compressed(PATH, **results)
    print(f"{PATH}: {PATH.stat().st_size} bytes")
