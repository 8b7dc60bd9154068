"""What each rank of tests/distributed/test_mpi.py does: `mpiexec -n 2 python rank_program.py SCENARIO FOLDER`."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from mpi4py import MPI

import fastmlp

WORLD = MPI.COMM_WORLD
ROWS, BATCH = 200, 40
RNG = np.random.default_rng(0)
X, Y, WEIGHT = RNG.normal(size=(ROWS, 5)), RNG.integers(0, 3, ROWS), RNG.uniform(0.5, 2, ROWS)
# Of 5 steps, so that each batch has 40 rows and is one that a single process makes, too.
PARTS = {2: [120, 80], 4: [80, 40, 45, 35]}


def network(seed, **kinds):
    kinds = {"dtype": "float64", "dropout": 0.2, "input_noise": 0.01, "l2": 1e-3, **kinds}
    return fastmlp.MLP([5, 16, 8, 3], output="softmax", seed=seed, **kinds)


def part(sizes, rank):
    start = sum(sizes[:rank])
    return slice(start, start + sizes[rank])


def rows(own):
    return {"X": X[own], "y": Y[own], "sample_weight": WEIGHT[own], "validation_data": (X[own], Y[own])}


def digest(net, *others):
    return hashlib.sha1(net.get_flat().tobytes() + repr(others).encode()).hexdigest()


def mean(folder):
    """Train on all ranks, and alone on the same batches; how far apart that is."""
    sizes, steps = PARTS[WORLD.size], ROWS // BATCH
    starts = np.cumsum([0, *sizes])
    order = [
        np.arange(starts[rank] + step * n // steps, starts[rank] + (step + 1) * n // steps)
        for step in range(steps)
        for rank, n in enumerate(sizes)
    ]
    alone = rows(np.concatenate(order))
    found = []
    for backend in ("cython", "numpy"):
        for optimizer in (fastmlp.Adam(0.01), fastmlp.SGD(0.1, momentum=0.9)):
            given = {"epochs": 10, "batch_size": BATCH, "optimizer": optimizer, "shuffle": False, "clip_norm": 0.1}
            net = network(3 if WORLD.rank == 0 else 8, backend=backend)
            history = net.fit(**rows(part(sizes, WORLD.rank)), **given, comm=WORLD)
            single = network(3, backend=backend)
            expected = single.fit(**alone, **given)
            pairs = [(net.get_flat(), single.get_flat())]
            pairs += [(history[name], expected[name]) for name in ("loss", "val_loss", "val_accuracy")]
            far = [float(np.abs(np.subtract(*pair)).max()) for pair in pairs]
            found.append({"far": far, "steps": net.n_steps, "digest": digest(net, history["seconds"])})
    return found


def exact(folder):
    """Train the same rows on 1, 2, 3 and 4 ranks, parts of equal and of other lengths."""
    found = []
    for size in (1, 2, 3, 4):
        comm = WORLD.Split(0 if size > WORLD.rank else MPI.UNDEFINED, WORLD.rank)
        if comm == MPI.COMM_NULL:
            continue
        equal = [len(part) for part in np.array_split(X, size)]
        for sizes in [equal] if size == 1 else [equal, [ROWS - 13 * (size - 1), *[13] * (size - 1)]]:
            own = part(sizes, comm.rank)
            net = network(comm.rank, dtype="float32")
            history = net.fit(**rows(own), epochs=3, batch_size=37, ema=0.9, comm=comm, exact=True)
            found.append(digest(net, history.loss, history.val_loss, history.val_accuracy))
        comm.Free()
    return found


def refused(folder):
    """Make calls that do not go together; the errors, and what the network is behind them."""
    found = []
    own = part(PARTS[2], WORLD.rank)
    calls = [
        {"y": Y[own] - WORLD.rank},  # rank 1 has a negative class
        {"batch_size": 10 + WORLD.rank},
        {"exact": 1},
        {"mixup": 0.2},
        {"optimizer": "lbfgs"},
        {"per_sample": True},
        {"class_weight": "balanced"},
        {"comm": "world"},
        {"sync_every": 2, "exact": True},
        {"resume": 3},
    ]
    net = network(0)
    before = digest(net)
    for call in calls:
        try:
            net.fit(**{"X": X[own], "y": Y[own], "epochs": 1, "comm": WORLD, **call})
        except Exception as error:
            found.append([type(error).__name__, str(error), digest(net) == before])
    net.fit(X[own], Y[own], epochs=1, comm=WORLD)
    return [*found, ["trained", "", digest(net) != before]]


if __name__ == "__main__":
    scenario, folder = sys.argv[1], Path(sys.argv[2])
    answer = globals()[scenario](folder)
    (folder / f"{scenario}.{WORLD.rank}.json").write_text(json.dumps(answer))
