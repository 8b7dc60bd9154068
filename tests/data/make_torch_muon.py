"""Writes torch_muon.npz: trajectories of PyTorch's Muon for weights and its AdamW for biases, in float64.

Run it where torch is installed (2.9 or later): python tests/data/make_torch_muon.py. tests/api/test_muon.py holds both
engines to the numbers, without torch. PyTorch iterates in bfloat16; here that rounding is left out.
"""

import itertools
from contextlib import contextmanager
from pathlib import Path

import numpy as np

PATH = Path(__file__).with_name("torch_muon.npz")
SIZES, ROWS, BATCH, STEPS = [6, 9, 7, 2], 40, 8, 20
#: Of a norm that is larger than both, and so of none that PyTorch's, the larger of norm and eps, would differ in.
EPSILON = 1e-30
ADAM_RATE = 0.01
#: What PyTorch's Muon is given, and what fastmlp's.
TRAININGS = {
    "original": (
        {"lr": 0.02, "weight_decay": 0.1},
        {"learning_rate": 0.02, "weight_decay": 0.1, "adam_lr_ratio": 0.5},
    ),
    "rms": (
        {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.0, "nesterov": False, "adjust_lr_fn": "match_rms_adamw",
         "ns_steps": 3},
        {"learning_rate": 0.05, "momentum": 0.8, "nesterov": False, "consistent_rms": 0.2, "ns_steps": 3,
         "adam_lr_ratio": 0.2},
    ),
}  # fmt: skip


def problem():
    """Parameters to start from (W, b of each layer), X, y: small dyadic numbers."""
    rng = np.random.RandomState(7)  # NumPy promises the stream of this one
    layers = [
        (rng.randint(-8, 9, (n_in, n_out)) / 16.0, rng.randint(-32, 33, n_out) / 64.0)
        for n_in, n_out in itertools.pairwise(SIZES)
    ]
    return layers, rng.randint(-128, 129, (ROWS, SIZES[0])) / 64.0, rng.randint(-64, 65, (ROWS, SIZES[-1])) / 32.0


def rows_of(step):
    """The rows of a step, in the order of the data, again and again."""
    start = step * BATCH % ROWS
    return slice(start, start + BATCH)


@contextmanager
def without_bfloat16():
    """Have PyTorch's iteration go on with the numbers that it has."""
    import torch

    kept = torch.Tensor.bfloat16
    torch.Tensor.bfloat16 = torch.Tensor.clone
    try:
        yield
    finally:
        torch.Tensor.bfloat16 = kept


def torch_trajectory(name):
    """Losses before each step; all parameters after the last."""
    import torch

    layers, X, y = problem()
    modules = []
    for W, b in layers:
        linear = torch.nn.Linear(*W.shape)
        linear.weight.data, linear.bias.data = torch.tensor(W.T.copy()), torch.tensor(b)
        modules += [linear, torch.nn.Tanh()]
    net, X, y = torch.nn.Sequential(*modules[:-1]).double(), torch.tensor(X), torch.tensor(y)
    given, _ = TRAININGS[name]
    optimizers = [
        torch.optim.Muon([each for each in net.parameters() if each.ndim == 2], eps=EPSILON, **given),
        torch.optim.AdamW([each for each in net.parameters() if each.ndim == 1], lr=ADAM_RATE, weight_decay=0.0),
    ]
    losses = []
    with without_bfloat16():
        for step in range(STEPS):
            loss = 0.5 * ((net(X[rows_of(step)]) - y[rows_of(step)]) ** 2).sum(dim=1).mean()
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            losses.append(loss.item())
    last = [parameter.detach().numpy().T for parameter in net.parameters()]
    return {"losses": np.array(losses), "last": np.concatenate([np.ravel(array) for array in last])}


if __name__ == "__main__":
    results = {f"{name}/{key}": value for name in TRAININGS for key, value in torch_trajectory(name).items()}
    np.savez_compressed(PATH, **results)
    print(f"{PATH}: {PATH.stat().st_size} bytes")
