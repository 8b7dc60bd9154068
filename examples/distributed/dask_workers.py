"""Networks of several widths by workers of Dask, here two on this machine.

Needs Dask (pip install distributed):  python examples/distributed/dask_workers.py
"""

import distributed
import numpy as np

import fastmlp


def main() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, size=(600, 1))
    y = np.sin(2 * x[:, 0]) + rng.normal(scale=0.1, size=600)
    widths = (2, 4, 8, 16, 32)
    nets = [fastmlp.MLP([1, width, width, 1], activation="tanh", seed=0) for width in widths]
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client:
        results = fastmlp.fit_many(
            nets, x, y, epochs=60, optimizer=fastmlp.Adam(0.01), folds=5, executor=client.get_executor()
        )
    for width, losses in zip(widths, results.values("val_loss"), strict=True):
        print(f"{width:3d}: {losses.mean():.4f} +- {losses.std():.4f}")


if __name__ == "__main__":
    main()
