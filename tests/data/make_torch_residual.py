"""Writes torch_residual.npz: PyTorch's trajectories of networks with residual connections, in float64.

Run it where torch is installed: python tests/data/make_torch_residual.py. tests/api/test_residual.py holds both engines
to the numbers, without torch.
"""

import itertools
from pathlib import Path

import numpy as np

PATH = Path(__file__).with_name("torch_residual.npz")
SIZES, ROWS, BATCH, STEPS = [6, 7, 7, 7, 5, 5, 2], 40, 8, 20
ACTIVATIONS = ("tanh", "relu", "silu")  # whose slopes are computed from outputs, from outputs, and from signals


def problem():
    """Parameters to start from ([W, b] of each layer), X, y: small dyadic numbers."""
    rng = np.random.RandomState(5)  # NumPy promises the stream of this one
    layers = [
        [rng.randint(-8, 9, (n_in, n_out)) / 16.0, rng.randint(-32, 33, n_out) / 64.0]
        for n_in, n_out in itertools.pairwise(SIZES)
    ]
    return layers, rng.randint(-128, 129, (ROWS, SIZES[0])) / 64.0, rng.randint(-64, 65, (ROWS, SIZES[-1])) / 32.0


def rows_of(step):
    """The rows of a step, in the order of the data, again and again."""
    start = step * BATCH % ROWS
    return slice(start, start + BATCH)


def torch_trajectory(activation):
    """Losses before each step of Adam, and all parameters after the last."""
    import torch

    act = getattr(torch.nn.functional, activation)
    layers, X, y = problem()
    tensors = [[torch.tensor(array, requires_grad=True) for array in pair] for pair in layers]
    X, y = torch.tensor(X), torch.tensor(y)
    flat = list(itertools.chain.from_iterable(tensors))
    optimizer = torch.optim.Adam(flat, lr=0.02)
    losses = []
    for step in range(STEPS):
        x = X[rows_of(step)]
        for number, (W, b) in enumerate(tensors[:-1]):
            branch = act(x @ W + b)
            x = x + branch if number > 0 and branch.shape == x.shape else branch
        W, b = tensors[-1]
        loss = 0.5 * ((x @ W + b - y[rows_of(step)]) ** 2).sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"losses": np.array(losses), "last": np.concatenate([tensor.detach().numpy().ravel() for tensor in flat])}


if __name__ == "__main__":
    results = {f"{name}/{key}": value for name in ACTIVATIONS for key, value in torch_trajectory(name).items()}
    np.savez_compressed(PATH, **results)
    print(f"{PATH}: {PATH.stat().st_size} bytes")
