"""`fit` on batches in the place of X and y: one step each, in order, whoever makes them and however that ends."""

import gc
import signal
import threading
import time
from contextlib import nullcontext

import numpy as np
import pytest
from conftest import parameters

import fastmlp
from fastmlp.data import Data
from fastmlp.train.epoch import Epoch, Part
from fastmlp.train.stream import Stream

X = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
Y = np.arange(50) % 3
W = np.linspace(0.5, 1.5, 50)
PARTS = [slice(start, min(start + 8, 50)) for start in range(0, 50, 8)]
BATCHES = [(X[part], Y[part]) for part in PARTS]
WEIGHTED = [(X[part], Y[part], W[part]) for part in PARTS]


def make(**arguments):
    return fastmlp.MLP([4, 5, 3], output="softmax", dropout=0.2, seed=1, **arguments)


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "fastmlp batches"]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    deadline = time.monotonic() + 10
    while readers() and time.monotonic() < deadline:
        time.sleep(0.001)
    assert not readers()


def generate():
    """Give batches in one buffer, which is written over as soon as the next one is asked for."""
    buffer = np.empty((8, 4), np.float32)
    for rows, labels in BATCHES:
        buffer[: len(rows)] = rows
        yield buffer[: len(rows)], labels
        buffer.fill(np.nan)


class Loader:
    """An iterable that has a length, as PyTorch's DataLoader."""

    def __iter__(self):
        return iter(BATCHES)

    def __len__(self):
        return len(BATCHES)


KINDS = {"function": generate, "list": BATCHES, "loader": Loader(), "function of a list": lambda: BATCHES}


@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_the_steps_of_the_arrays(kind, backend):
    whole, stream = make(backend=backend), make(backend=backend)
    arguments = {"epochs": 3, "validation_data": (X, Y), "ema": 0.9, "optimizer": fastmlp.Adam(0.01), "threads": 2}
    wanted = whole.fit(X, Y, batch_size=8, shuffle=False, **arguments)
    found = stream.fit(KINDS[kind], **arguments)
    assert parameters(stream) == parameters(whole)
    assert found.loss == wanted.loss
    assert found["val_loss"] == wanted["val_loss"]
    assert (stream.n_epochs, stream.n_steps) == (3, 21)
    assert stream._learner.rows_trained == 150
    assert parameters(stream.averaged()) == parameters(whole.averaged())


def test_weights_of_rows_and_classes_go_with_the_batches():
    whole, stream = make(), make()
    weights = {0: 1.0, 1: 2.0, 2: 0.5}
    wanted = whole.fit(X, Y, sample_weight=W, class_weight=weights, batch_size=8, shuffle=False, epochs=2)
    found = stream.fit(WEIGHTED, class_weight=weights, epochs=2)
    assert parameters(stream) == parameters(whole)
    assert found.loss == wanted.loss


def test_an_epoch_of_many_batches_counts_all_of_them():
    net = fastmlp.MLP([1, 1], seed=0)
    ones = [([[1.0]] * rows, [1.0] * rows) for rows in (1, 2, 3) * 70]
    rows = []
    history = net.fit(ones, epochs=2, callbacks=[lambda net, logs: rows.append(net._learner.rows_trained)])
    assert rows == [420, 840]
    assert net.n_steps == 420
    assert len(history.loss) == 2


def test_an_epoch_of_batches_may_be_stopped_in_the_middle_and_shown(capsys):
    net = make()
    history = net.fit(BATCHES, epochs=2, max_steps=10, verbose=2, progress=False)
    assert (net.n_epochs, net.n_steps, len(history.loss)) == (1, 10, 1)
    assert "\n7 - " in capsys.readouterr().out


def test_a_part_of_an_epoch_of_batches_is_gone_on_with():
    def take(batch, name):
        return Data(batch[0], batch[1].astype(np.int32), batch[2])

    whole, parts = make(), make()
    whole.fit(WEIGHTED, epochs=1)
    parts.fit(WEIGHTED, epochs=1, max_steps=3)
    epoch = Epoch(parts._learner, Stream(WEIGHTED, take, nullcontext), 32, 1)
    made = np.array([1.5, 2.5, 3.5])
    epoch.begin(Part(made, np.array([8.0, 9.0, 10.0]), True, 1.0))
    epoch.run()
    assert epoch.complete
    assert (epoch.done, epoch.n_rows, epoch.learner.epoch) == (7, 50, 1)
    assert epoch.losses[:3].tolist() == made.tolist()
    assert epoch.weights[:3].tolist() == [8.0, 9.0, 10.0]
    assert parameters(parts) == parameters(whole)


def test_a_generator_has_one_epoch():
    net = make()
    with pytest.raises(ValueError, match="X is a generator, .* read once, and epochs is 10; give epochs=1"):
        net.fit(generate())
    assert net.n_steps == 0
    net.fit(generate(), epochs=1)
    assert (net.n_epochs, net.n_steps) == (1, 7)


def short(length, count):
    class Short(list):
        def __len__(self):
            return length

    return Short(BATCHES[:count])


def broken(*batches):
    def give():
        yield from BATCHES[:2]
        yield from batches
        raise OSError("the disk is gone")

    return give


EMPTY = (np.empty((0, 4)), np.empty(0, int))
FAULTS = {
    "ends at once": (0, list, ValueError, "X ended after 0 batches in epoch 1"),
    "ends early": (3, short(7, 3), ValueError, "X ended after 3 batches of 7 in epoch 1"),
    "raises": (2, broken(), OSError, "the disk is gone"),
    "width": (2, broken((X[:3, :2], Y[:3])), ValueError, r"X of batch 3 of epoch 1 has shape \(3, 2\), 2 features"),
    "no targets": (2, broken(X[:3]), TypeError, r"batch 3 of epoch 1 must be \(X, y\) or .*, got a ndarray"),
    "one": (2, broken((X[:3],)), TypeError, r"batch 3 of epoch 1 must be \(X, y\) or .*, got 1 of them"),
    "labels": (2, broken((X[:3], Y[:3] + 1)), ValueError, "y of batch 3 of epoch 1 has 3"),
    "nan": (2, broken((X[:3] * np.nan, Y[:3])), ValueError, "X of batch 3 of epoch 1 has nan"),
    "empty": (2, broken(EMPTY), ValueError, "X of batch 3 of epoch 1 .* at least one row"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_leave_the_network_after_the_last_whole_step(fault):
    steps, batches, kind, message = FAULTS[fault]
    net, same = make(), make()
    with pytest.raises(kind, match=message) as caught:
        net.fit(batches, epochs=2)
    assert f"after {steps} of epoch 1" in caught.value.__notes__[0]
    if steps:
        same.fit(BATCHES[:steps], epochs=1)
    assert parameters(net) == parameters(same)
    assert (net.n_epochs, net.n_steps, len(net.history.loss)) == (0, steps, 0)
    net.fit(BATCHES, epochs=1)
    assert net.n_epochs == 1


def test_the_next_batch_is_read_meanwhile_and_no_more():
    taken = []

    def take(batch, name):
        taken.append(name)
        return Data(*batch)

    chunks = Stream(BATCHES, take, nullcontext).chunks(0, 1)
    next(chunks)
    deadline = time.monotonic() + 10
    while len(taken) < 3 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert len(taken) == 3  # one is at work, one is ready, one will be when that is taken
    assert sum(1 for _ in chunks) == len(BATCHES) - 1


def test_a_stopped_training_closes_its_generator():
    closed = threading.Event()

    def give():
        try:
            while True:
                yield BATCHES[0]
        finally:
            closed.set()

    def stop(signum, frame):
        raise TimeoutError("enough")

    old = signal.signal(signal.SIGALRM, stop)
    net = make()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(TimeoutError, match="enough"):
            net.fit(give, epochs=1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert closed.wait(10)
    assert net.n_epochs == 0
    assert len(net.history.loss) == 0
    assert np.isfinite(net.predict(X)).all()


def test_a_source_that_hangs_holds_nobody():
    go_on = threading.Event()

    def give():
        yield BATCHES[0]
        go_on.wait(60)

    def stop(signum, frame):
        raise TimeoutError("enough")

    old = signal.signal(signal.SIGALRM, stop)
    net = make()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(TimeoutError, match="enough"):
            net.fit(give, epochs=1)
        assert readers()  # it ends when its batch comes, and not before
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
        go_on.set()
    assert net.n_steps == 1


@pytest.mark.parametrize("use", ["evaluate", "fit", "step", "loss_and_grad"])
def test_who_makes_batches_is_told_instead_of_waiting_for_ever(use):
    net = make()

    def give():
        for rows, labels in BATCHES:
            getattr(net, use)(rows, labels)
            yield rows, labels

    with pytest.raises(RuntimeError, match=f"{use} was called by what makes batches for fit"):
        net.fit(give, epochs=1)
    assert net.n_steps == 0


def test_what_needs_all_rows_says_so():
    net = make()
    for arguments, message in (
        ({"sample_weight": W}, "sample_weight is for arrays"),
        ({"class_weight": "balanced"}, "class_weight 'balanced' needs the targets of all rows"),
        ({"train_metrics": True}, "metrics are of rows that can be read again"),
        ({"metrics": ["log_loss"]}, "metrics are of rows that can be read again"),
    ):
        with pytest.raises(ValueError, match=message):
            net.fit(BATCHES, **arguments)
    with pytest.raises(ValueError, match="LBFGS takes all rows at once, and X is batches"):
        fastmlp.MLP([4, 3]).fit(BATCHES, optimizer="lbfgs")
    for forgotten in (X, X.tolist(), None, 3, "abc"):
        with pytest.raises(TypeError, match="y is None, and X is a"):
            net.fit(forgotten)
    assert net.n_steps == 0


def test_a_divergence_goes_back_and_reports_the_batch():
    net = fastmlp.MLP([1, 1], seed=0)
    start = parameters(net)
    large = [([[1.0]], [1.0]), ([[1e30]], [1e30])]
    with pytest.raises(fastmlp.TrainingDiverged, match="in epoch 1, step 2"):
        net.fit(large, epochs=1, optimizer=fastmlp.SGD(0.1))
    assert parameters(net) == start
    gc.collect()


@pytest.mark.parametrize("way", ["memory", "file", "checkpoint"])
def test_a_training_goes_on_in_the_middle_of_an_epoch(way, tmp_path):
    whole, net, path = make(), make(), tmp_path / "run.safetensors"
    given = {"epochs": 3, "callbacks": [fastmlp.Checkpoint(path)] if way == "checkpoint" else []}
    whole.fit(WEIGHTED, epochs=3)
    net.fit(WEIGHTED, max_steps=len(WEIGHTED) + 3, **given)
    if way == "file":
        net.save(path)
        net = fastmlp.load(path)
    net = make() if way == "checkpoint" else net
    net.fit(WEIGHTED, resume=path if way == "checkpoint" else True, **given)
    assert parameters(net) == parameters(whole)
    assert net.history.loss == whole.history.loss
    assert net.n_epochs == 3


def test_pytorch_loaders():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    whole, stream = make(), make()
    whole.fit(X, Y, batch_size=8, shuffle=False, epochs=2)
    stream.fit(torch.utils.data.DataLoader(data, batch_size=8), epochs=2)
    assert parameters(stream) == parameters(whole)
