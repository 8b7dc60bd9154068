"""One network on several machines, or here on several processes: each reads its own part of a file of rows.

Needs fastmlp[mpi], which brings mpi4py and MPICH:  mpiexec -n 2 python examples/distributed/mpi.py

Stopped in the middle and started again, it goes on where the last checkpoint was written.
"""

import os
import tempfile
from pathlib import Path

import numpy as np
from mpi4py import MPI

import fastmlp

COMM = MPI.COMM_WORLD
FOLDER = Path(os.environ.get("FOLDER", Path(tempfile.gettempdir()) / "fastmlp_mpi"))


def make_data() -> None:
    """Write the files that all ranks read; on a cluster they lie on a file system that all machines have."""
    FOLDER.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 16)).astype(np.float32)
    np.save(FOLDER / "X.npy", X)
    np.save(FOLDER / "y.npy", (np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] > 0).astype(np.int32))


def main() -> None:
    if COMM.rank == 0:
        make_data()
    COMM.Barrier()
    X, y = (fastmlp.data.shard(FOLDER / name, COMM.rank, COMM.size) for name in ("X.npy", "y.npy"))
    held = len(X) // 10
    net = fastmlp.MLP([16, 64, 64, 2], output="softmax", dropout=0.1, seed=0)
    history = net.fit(
        X[held:],
        y[held:],
        validation_data=(X[:held], y[:held]),
        epochs=10,
        batch_size=256,
        optimizer=fastmlp.AdamW(3e-3),
        callbacks=[fastmlp.EarlyStopping("val_accuracy"), fastmlp.Checkpoint(FOLDER / "run.safetensors")],
        resume=FOLDER / "run.safetensors",
        comm=COMM,
        verbose=2,
    )
    if COMM.rank == 0:
        print(f"{COMM.size} ranks, {len(X)} rows here: accuracy {max(history.val_accuracy):.3f}")
        (FOLDER / "run.safetensors").unlink()


if __name__ == "__main__":
    main()
