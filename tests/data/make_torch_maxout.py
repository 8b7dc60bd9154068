"""Writes torch_maxout.npz: PyTorch's trajectories of networks of maxima of linear pieces, in float64.

Run it where torch is installed: python tests/data/make_torch_maxout.py. tests/engine/test_maxout.py holds both engines
to the numbers, without torch.
"""

import itertools
from pathlib import Path

import numpy as np

PATH = Path(__file__).with_name("torch_maxout.npz")
SIZES, ROWS, BATCH, STEPS, RATE = [6, 9, 7, 2], 40, 8, 20, 0.02
#: The number of pieces.
TRAININGS = (2, 3)


def problem(pieces):
    """Parameters to start from (W, b of each layer), X, y: small dyadic numbers."""
    rng = np.random.RandomState(8)  # NumPy promises the stream of this one
    layers = []
    for number, (n_in, n_out) in enumerate(itertools.pairwise(SIZES)):
        n_signals = n_out * (pieces if number < len(SIZES) - 2 else 1)
        layers.append((rng.randint(-8, 9, (n_in, n_signals)) / 16.0, rng.randint(-32, 33, n_signals) / 64.0))
    return layers, rng.randint(-128, 129, (ROWS, SIZES[0])) / 64.0, rng.randint(-64, 65, (ROWS, SIZES[-1])) / 32.0


def rows_of(step):
    """The rows of a step, in the order of the data, again and again."""
    start = step * BATCH % ROWS
    return slice(start, start + BATCH)


def torch_trajectory(pieces):
    """Losses before each step of Adam; predictions and all parameters after the last."""
    import torch

    layers, X, y = problem(pieces)
    tensors = [[torch.tensor(array, requires_grad=True) for array in pair] for pair in layers]
    X, y = torch.tensor(X), torch.tensor(y)
    optimizer = torch.optim.Adam([tensor for pair in tensors for tensor in pair], lr=RATE)

    def net(a):
        for W, b in tensors[:-1]:
            a = (a @ W + b).reshape(len(a), pieces, -1).max(dim=1).values
        return a @ tensors[-1][0] + tensors[-1][1]

    losses = []
    for step in range(STEPS):
        loss = 0.5 * ((net(X[rows_of(step)]) - y[rows_of(step)]) ** 2).sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    last = [net(X), *(tensor for pair in tensors for tensor in pair)]
    return {"losses": np.array(losses), "last": np.concatenate([each.detach().numpy().ravel() for each in last])}


if __name__ == "__main__":
    results = {f"{pieces}/{key}": value for pieces in TRAININGS for key, value in torch_trajectory(pieces).items()}
    np.savez_compressed(PATH, **results)
    print(f"{PATH}: {PATH.stat().st_size} bytes")
