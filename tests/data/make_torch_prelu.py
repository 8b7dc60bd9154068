"""Writes torch_prelu.npz: PyTorch's trajectories of networks whose rectifiers learn their slopes, in float64.

Run it where torch is installed: python tests/data/make_torch_prelu.py. tests/engine/test_prelu.py holds both engines to
the numbers, without torch.
"""

import itertools
from pathlib import Path

import numpy as np

PATH = Path(__file__).with_name("torch_prelu.npz")
SIZES, ROWS, BATCH, STEPS = [6, 9, 7, 2], 40, 8, 20
INIT, RATE = 0.25, 0.02
#: By name, whether each unit has a slope of its own.
TRAININGS = {"per_unit": True, "shared": False}


def problem():
    """Parameters to start from (W, b of each layer), X, y: small dyadic numbers."""
    rng = np.random.RandomState(6)  # NumPy promises the stream of this one
    layers = [
        (rng.randint(-8, 9, (n_in, n_out)) / 16.0, rng.randint(-32, 33, n_out) / 64.0)
        for n_in, n_out in itertools.pairwise(SIZES)
    ]
    return layers, rng.randint(-128, 129, (ROWS, SIZES[0])) / 64.0, rng.randint(-64, 65, (ROWS, SIZES[-1])) / 32.0


def rows_of(step):
    """The rows of a step, in the order of the data, again and again."""
    start = step * BATCH % ROWS
    return slice(start, start + BATCH)


def network(per_unit):
    """PyTorch's network with the parameters to start from; outputs have slopes, too."""
    import torch

    layers, *_ = problem()
    modules = []
    for W, b in layers:
        linear = torch.nn.Linear(*W.shape)
        linear.weight.data, linear.bias.data = torch.tensor(W.T.copy()), torch.tensor(b)
        modules += [linear, torch.nn.PReLU(len(b) if per_unit else 1, INIT)]
    return torch.nn.Sequential(*modules).double()


def torch_trajectory(per_unit):
    """Losses before each step of Adam; predictions and all that is learnt after the last."""
    import torch

    net = network(per_unit)
    _, X, y = problem()
    X, y = torch.tensor(X), torch.tensor(y)
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    losses = []
    for step in range(STEPS):
        loss = 0.5 * ((net(X[rows_of(step)]) - y[rows_of(step)]) ** 2).sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    learnt = [net(X).detach().numpy(), *(parameter.detach().numpy().T for parameter in net.parameters())]
    return {"losses": np.array(losses), "last": np.concatenate([np.ravel(array) for array in learnt])}


if __name__ == "__main__":
    results = {
        f"{name}/{key}": value
        for name, per_unit in TRAININGS.items()
        for key, value in torch_trajectory(per_unit).items()
    }
    np.savez_compressed(PATH, **results)
    print(f"{PATH}: {PATH.stat().st_size} bytes")
