"""Writes torch_lazy.npz: what PyTorch makes of an EmbeddingBag(sparse=True) and its sparse optimizers, in float64.

Run it where torch is installed: python tests/data/make_torch_lazy.py. tests/reference/test_torch_lazy.py holds both
engines to the numbers, without torch. SparseAdam adds its eps to the root of the second moment before that is
corrected, and Adam afterwards: in each step it gets eps times that correction, which makes its rule Adam's.
"""

import itertools
from pathlib import Path

import numpy as np

PATH = Path(__file__).with_name("torch_lazy.npz")
N_INPUTS, ROWS, BATCH, EPOCHS = 23, 30, 4, 3  # of which every eighth step is of 2 rows

KEPT = 0, 7, 23  # of the 24 steps

#: Name: hidden layers, optimizer here and its arguments, PyTorch's for the EmbeddingBag and for all else.
TRAININGS = {
    "adam": ([19], "adam", {"learning_rate": 0.02}, "SparseAdam", "Adam"),
    "adam_narrow": ([7, 5], "adam", {"learning_rate": 0.05, "beta1": 0.8, "beta2": 0.9}, "SparseAdam", "Adam"),
    "adam_dots": ([3], "adam", {"learning_rate": 0.02, "epsilon": 1e-3}, "SparseAdam", "Adam"),
    "sgd": ([19], "sgd", {"learning_rate": 0.1}, "SGD", "SGD"),
    "adagrad": ([7], "adagrad", {"learning_rate": 0.1}, "Adagrad", "Adagrad"),
}


def problem(name):
    """Parameters to start from ([W, b] of each layer), X and classes: small dyadic numbers, exact anywhere."""
    hidden = TRAININGS[name][0]
    rng = np.random.RandomState(list(TRAININGS).index(name))  # NumPy promises the stream of this one
    layers = [
        [rng.randint(-64, 65, (n_in, n_out)) / 64.0, rng.randint(-32, 33, n_out) / 64.0]
        for n_in, n_out in itertools.pairwise([N_INPUTS, *hidden, 3])
    ]
    X = np.where(rng.uniform(size=(ROWS, N_INPUTS)) < 0.1, rng.randint(1, 129, (ROWS, N_INPUTS)) / 64.0, 0.0)
    return layers, X, rng.randint(0, 3, ROWS)


def batches():
    """The rows of each step, in the order of the data, epoch after epoch."""
    return [slice(start, start + BATCH) for _ in range(EPOCHS) for start in range(0, ROWS, BATCH)]


def torch_trajectory(name):
    """Losses before each step, and all parameters after some."""
    import torch

    _, _, rule, sparse, dense = TRAININGS[name]
    layers, X, y = problem(name)
    tensors = [[torch.tensor(array, requires_grad=True) for array in pair] for pair in layers]
    arguments = {"lr": rule["learning_rate"]}
    beta2, eps = rule.get("beta2", 0.999), rule.get("epsilon", 1e-8)
    if dense == "Adam":
        arguments |= {"betas": (rule.get("beta1", 0.9), beta2), "eps": eps}
    (first, *others) = itertools.chain.from_iterable(tensors)
    of_first, of_others = (
        getattr(torch.optim, sparse)([first], **arguments),
        getattr(torch.optim, dense)(others, **arguments),
    )
    losses, after = [], []
    for step, rows in enumerate(batches(), 1):
        if sparse == "SparseAdam":
            of_first.param_groups[0]["eps"] = eps * (1.0 - beta2**step) ** 0.5
        places, columns = np.nonzero(X[rows])
        offsets = np.searchsorted(places, np.arange(len(X[rows])))
        a = torch.nn.functional.embedding_bag(
            torch.tensor(columns), first, torch.tensor(offsets), mode="sum", sparse=True,
            per_sample_weights=torch.tensor(X[rows][places, columns]),
        )  # fmt: skip
        for number, (W, b) in enumerate(tensors):
            z = (a if number == 0 else a @ W) + b
            a = torch.tanh(z)
        loss = torch.nn.functional.cross_entropy(z, torch.tensor(y[rows]))
        for optimizer in (of_first, of_others):
            optimizer.zero_grad()
        loss.backward()
        assert first.grad.is_sparse
        for optimizer in (of_first, of_others):
            optimizer.step()
        losses.append(loss.item())
        after.append(np.concatenate([tensor.detach().numpy().ravel() for pair in tensors for tensor in pair]))
    return {"losses": np.array(losses), "after": np.array([after[step] for step in KEPT])}


def main():
    arrays = {f"{name}/{key}": array for name in TRAININGS for key, array in torch_trajectory(name).items()}
    np.savez_compressed(PATH, **arrays)
    print(f"{PATH.name}: {len(arrays)} arrays, {PATH.stat().st_size} bytes")


if __name__ == "__main__":
    main()
