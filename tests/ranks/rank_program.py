"""What each rank of tests/ranks/test_mpi.py does: `mpiexec -n 2 python rank_program.py SCENARIO FOLDER`."""

import hashlib
import itertools
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
from mpi4py import MPI

import fastmlp
from fastmlp.train.due import Timed

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


class Ends(fastmlp.Callback):
    """Stops, or raises, on some ranks at the end of an epoch."""

    def __init__(self, epoch, ranks, raises=False):
        self.epoch, self.ranks, self.raises = epoch, ranks, raises

    def on_epoch_end(self, net, logs):
        if logs["epoch"] == self.epoch and WORLD.rank in self.ranks:
            if self.raises:
                raise OSError(f"rank {WORLD.rank} has no disk left")
            return True
        return False


class Killed(Timed):
    """Ends the process of rank 1 in the middle of an epoch, as a machine that fails does."""

    def look(self, net, logs):
        if WORLD.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)


def agreed(folder):
    """Train in ways that could part the ranks; what each has in the end."""
    own = part(PARTS[2], WORLD.rank)
    given = {**rows(own), "epochs": 6, "batch_size": BATCH, "comm": WORLD}
    found = {}

    net = network(0)
    stop = fastmlp.EarlyStopping("val_loss", patience=2, min_delta=1.0)
    plateau = fastmlp.ReduceLROnPlateau("val_loss", patience=1, min_delta=1.0)
    history = net.fit(**given, optimizer="sgd", callbacks=[stop, plateau], metrics=["auc", "f1"], train_metrics=True)
    found["stopped"] = [digest(net, dict(history)), history.stopped, net.optimizer.learning_rate]

    net = network(0)
    history = net.fit(**given, callbacks=[Ends(2, [1])])
    found["one"] = [digest(net, dict(history)), history.stopped, len(history.epoch)]

    net = network(0)
    history = net.fit(**{**given, "epochs": None}, max_seconds=0.2 + WORLD.rank)
    found["seconds"] = [digest(net, dict(history)), history.stopped, net.n_steps]

    net = network(0)
    try:
        net.fit(**given, callbacks=[Ends(2, [0, 1], raises=True)])
    except OSError as error:
        found["raised"] = [digest(net), type(error).__name__, net.n_epochs]

    net = fastmlp.MLP([5, 8, 1], activation="relu", seed=0)
    far = {"y": X[own, 0] * (1e18 if WORLD.rank == 1 else 1.0), "validation_data": None, "sample_weight": None}
    try:
        net.fit(**{**given, **far}, optimizer=fastmlp.SGD(1e6))
    except fastmlp.TrainingDiverged as error:
        found["diverged"] = [digest(net), type(error).__name__, [error.epoch, error.step]]

    net, path = network(0), folder / f"run.{WORLD.rank}.safetensors"
    net.fit(**given)
    found["whole"] = [digest(net, net.history.loss), "", 0]
    given["callbacks"] = [fastmlp.Checkpoint(path)]
    network(0).fit(**given, max_steps=13)
    net = network(5)
    net.fit(**given, resume=path)
    found["resumed"] = [digest(net, net.history.loss), "", int(path.exists())]
    return found


def local(folder):
    """Let each rank make three steps alone; compare with networks that do so one after the other."""
    sizes, given = PARTS[2], {"dtype": "float64", "seed": 0}
    own, rate = part(sizes, WORLD.rank), fastmlp.SGD(0.1)
    net, window = fastmlp.MLP([5, 8, 3], output="softmax", **given), 3
    net.fit(X[own], Y[own], epochs=2, batch_size=BATCH, shuffle=False, optimizer=rate, comm=WORLD, sync_every=window)
    alone = fastmlp.MLP([5, 8, 3], output="softmax", **given)
    for _ in range(2):
        for steps in (range(3), range(3, 5)):
            ends = []
            for rank, n in enumerate(sizes):
                each = fastmlp.MLP([5, 8, 3], output="softmax", **given)
                each.set_flat(alone.get_flat())
                for step in steps:
                    batch = sum(sizes[:rank]) + np.arange(step * n // 5, (step + 1) * n // 5)
                    each.step(X[batch], Y[batch], optimizer=rate)
                ends.append(each.get_flat() * n / ROWS)
            alone.set_flat(np.sum(ends, axis=0))
    adam = network(WORLD.rank)
    adam.fit(**rows(own), epochs=2, batch_size=BATCH, comm=WORLD, sync_every="epoch", ema=0.9)
    adam.fit(**rows(own), epochs=1, batch_size=BATCH, comm=WORLD)
    return [float(np.abs(net.get_flat() - alone.get_flat()).max()), digest(net), digest(adam)]


def batches(folder):
    """Train on batches that come, of rank 0 more than of rank 1; and alone on what they make together."""
    sizes = ([10, 20, 7, 13], [30, 5])
    ends = [np.cumsum([0, *each]) + start for each, start in zip(sizes, (0, 50), strict=True)]
    own = [[(X[a:b], Y[a:b], WEIGHT[a:b]) for a, b in itertools.pairwise(each)] for each in ends]
    net, alone = network(WORLD.rank), network(0)
    history = net.fit(own[WORLD.rank], epochs=3, validation_data=(X, Y), comm=WORLD)
    both = itertools.zip_longest(*own)
    both = [tuple(np.concatenate(parts) for parts in zip(*filter(None, pair), strict=True)) for pair in both]
    expected = alone.fit(both, epochs=3, validation_data=(X, Y))
    pairs = [(net.get_flat(), alone.get_flat()), (history.loss, expected.loss), (history.val_loss, expected.val_loss)]
    return [digest(net, history.loss), *(float(np.abs(np.subtract(*pair)).max()) for pair in pairs)]


def killed(folder):
    """Lose rank 1 in the middle of an epoch of an exact training."""
    run_exactly(folder, WORLD, [fastmlp.Checkpoint(folder / "killed.safetensors", every="2 steps"), Killed("7 steps")])


def after(folder):
    """Go on with that, and train alone what was never stopped."""
    found = digest(run_exactly(folder, WORLD, [], resume=folder / "killed.safetensors"))
    return [found, digest(run_exactly(folder, MPI.COMM_SELF, []))]


def run_exactly(folder, comm, callbacks, **others):
    own = np.array_split(np.arange(ROWS), comm.size)[comm.rank]
    net = network(comm.rank)
    given = {**rows(slice(own[0], own[-1] + 1)), "epochs": 3, "batch_size": BATCH, "comm": comm, "exact": True}
    net.fit(**given, callbacks=callbacks, **others)
    return net


def raised(folder):
    """Raise on rank 1 alone."""
    own = part(PARTS[2], WORLD.rank)
    network(0).fit(**rows(own), epochs=50, batch_size=BATCH, comm=WORLD, callbacks=[Ends(2, [1], raises=True)])


if __name__ == "__main__":
    scenario, folder = sys.argv[1], Path(sys.argv[2])
    answer = globals()[scenario](folder)
    (folder / f"{scenario}.{WORLD.rank}.json").write_text(json.dumps(answer))
