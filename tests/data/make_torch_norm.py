"""Writes torch_norm.npz: PyTorch's trajectories of networks that normalise, in float64.

Run it where torch is installed: python tests/data/make_torch_norm.py. tests/engine/test_norm.py holds both engines to
the numbers, without torch.
"""

import itertools
from pathlib import Path

import numpy as np

PATH = Path(__file__).with_name("torch_norm.npz")
SIZES, ROWS, BATCH, STEPS = [6, 9, 7, 2], 40, 8, 20
NORMS = ("layer", "batch")
ACTIVATIONS = ("tanh", "silu")  # whose slopes are computed from outputs, and from signals
TRAININGS = tuple(itertools.product(NORMS, ACTIVATIONS))


def problem():
    """Parameters to start from (W, b, gamma of each layer), X, y: small dyadic numbers."""
    rng = np.random.RandomState(5)  # NumPy promises the stream of this one
    layers = [
        (rng.randint(-8, 9, (n_in, n_out)) / 16.0, rng.randint(-32, 33, n_out) / 64.0, rng.randint(8, 25, n_out) / 16.0)
        for n_in, n_out in itertools.pairwise(SIZES)
    ]
    return layers, rng.randint(-128, 129, (ROWS, SIZES[0])) / 64.0, rng.randint(-64, 65, (ROWS, SIZES[-1])) / 32.0


def rows_of(step):
    """The rows of a step, in the order of the data, again and again."""
    start = step * BATCH % ROWS
    return slice(start, start + BATCH)


def network(norm, activation):
    """PyTorch's network with the parameters to start from: what normalises has biases, and no other hidden layer."""
    import torch

    kinds = {"layer": torch.nn.LayerNorm, "batch": torch.nn.BatchNorm1d}
    acts = {"tanh": torch.nn.Tanh, "silu": torch.nn.SiLU}
    layers, *_ = problem()
    modules = []
    for W, b, gamma in layers[:-1]:
        linear, normalise = torch.nn.Linear(*W.shape, bias=False), kinds[norm](len(b))
        linear.weight.data, normalise.weight.data, normalise.bias.data = map(torch.tensor, (W.T.copy(), gamma, b))
        modules += [linear, normalise, acts[activation]()]
    W, b, _ = layers[-1]
    modules.append(torch.nn.Linear(*W.shape))
    modules[-1].weight.data, modules[-1].bias.data = torch.tensor(W.T.copy()), torch.tensor(b)
    return torch.nn.Sequential(*modules).double()


def torch_trajectory(norm, activation):
    """Losses before each step of Adam; predictions and all that is learnt after the last."""
    import torch

    net = network(norm, activation)
    _, X, y = problem()
    X, y = torch.tensor(X), torch.tensor(y)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    losses = []
    for step in range(STEPS):
        loss = 0.5 * ((net(X[rows_of(step)]) - y[rows_of(step)]) ** 2).sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    net.eval()
    learnt = [net(X).detach().numpy()]
    for module in net:
        if isinstance(module, torch.nn.Linear):
            learnt += [
                module.weight.detach().numpy().T,
                *([] if module.bias is None else [module.bias.detach().numpy()]),
            ]
        elif list(module.parameters()):
            statistics = [getattr(module, name, None) for name in ("running_mean", "running_var")]
            learnt += [each.detach().numpy() for each in (module.bias, module.weight, *statistics) if each is not None]
    return {"losses": np.array(losses), "last": np.concatenate([np.ravel(array) for array in learnt])}


if __name__ == "__main__":
    results = {
        f"{norm}/{activation}/{key}": value
        for norm, activation in TRAININGS
        for key, value in torch_trajectory(norm, activation).items()
    }
    np.savez_compressed(PATH, **results)
    print(f"{PATH}: {PATH.stat().st_size} bytes")
