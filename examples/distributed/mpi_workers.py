"""Networks of several widths by ranks of MPI: one asks, the others train.

Needs mpi4py and an MPI (pip install mpi4py mpich):
mpiexec -n 3 python -m mpi4py.futures examples/distributed/mpi_workers.py
"""

import numpy as np
from mpi4py.futures import MPIPoolExecutor

import fastmlp


def main() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, size=(600, 1))
    y = np.sin(2 * x[:, 0]) + rng.normal(scale=0.1, size=600)
    widths = (2, 4, 8, 16, 32)
    nets = [fastmlp.MLP([1, width, width, 1], activation="tanh", seed=0) for width in widths]
    with MPIPoolExecutor() as pool:
        results = fastmlp.fit_many(nets, x, y, epochs=60, optimizer=fastmlp.Adam(0.01), folds=5, executor=pool)
    for width, losses in zip(widths, results.values("val_loss"), strict=True):
        print(f"{width:3d}: {losses.mean():.4f} +- {losses.std():.4f}")


if __name__ == "__main__":
    main()
