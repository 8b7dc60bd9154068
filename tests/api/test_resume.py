"""Trainings that are stopped and gone on with: in memory, from files, in the middle of epochs, after errors."""

import errno
import math
import pickle
import signal
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from fastmlp.files import tensors as tensor_files

RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 4)).astype(np.float32)
LABELS = (X[:, 0] * X[:, 1] > 0).astype(np.int64)
STEPS = 10  # of an epoch, with batches of 7 rows


def a_net(backend, seed=3):
    return fastmlp.MLP([4, 8, 2], output="softmax", seed=seed, dropout=0.2, backend=backend)


def given(**others):
    """Arguments of `fit`, with everything that has a state: moments, schedule, average, callbacks, held-out rows."""
    rate = fastmlp.schedules.Cosine(0.05, steps=60, warmup=5)
    stop = fastmlp.EarlyStopping("val_loss", patience=3, min_delta=0.001)
    return {
        "epochs": 6,
        "batch_size": 7,
        "optimizer": fastmlp.Adam(rate),
        "ema": 0.9,
        "validation_data": (X[:20], LABELS[:20]),
        "sample_weight": np.linspace(0, 1, 70),
        "callbacks": [stop],
        "tol": 0.0,
        "patience": 50,
    } | others


def parts(history):
    """A history without its times."""
    return {name: list(column) for name, column in history.items() if "second" not in name}


def state(net):
    return [*net.weights, *net.biases, *(net.averaged().weights), net.predict(X)]


def agree(net, other):
    assert all(np.array_equal(a, b) for a, b in zip(state(net), state(other), strict=True))
    assert (net.n_steps, net.n_epochs) == (other.n_steps, other.n_epochs)
    assert parts(net.history) == parts(other.history)
    assert net.history.stopped == other.history.stopped


@pytest.fixture
def whole(backend):
    net = a_net(backend)
    net.fit(X, LABELS, **given())
    return net


@pytest.mark.parametrize("steps", [1, 7, 10, 23, 40, 59])
def test_what_was_stopped_goes_on_in_the_same_process(backend, whole, steps):
    net = a_net(backend)
    assert net.fit(X, LABELS, max_steps=steps, **given()).stopped == "max_steps"
    history = net.fit(X, LABELS, resume=True, threads=2, **given())
    agree(net, whole)
    assert parts(history) == parts(whole.history)


@pytest.mark.parametrize("steps", [7, 20, 33])
def test_what_was_stopped_goes_on_from_a_file(backend, whole, steps, tmp_path):
    path, net = tmp_path / "run.safetensors", a_net(backend)
    net.fit(X, LABELS, max_steps=steps, **given(callbacks=[*given()["callbacks"], fastmlp.Checkpoint(path, "1 hour")]))
    other = a_net(backend, seed=8)  # the file's seed counts
    history = other.fit(X, LABELS, resume=path, **given())
    agree(other, whole)
    assert other.seed == 3
    assert parts(history) == parts(whole.history)


@pytest.mark.parametrize("goes_on", [fastmlp.load, "pickle"], ids=["load", "pickle"])
def test_a_network_that_was_saved_goes_on(backend, goes_on, tmp_path):
    arguments = given(callbacks=[])
    whole, net = a_net(backend), a_net(backend)
    whole.fit(X, LABELS, **arguments)
    net.fit(X, LABELS, max_steps=25, **arguments)
    if goes_on == "pickle":
        other = pickle.loads(pickle.dumps(net))
    else:
        net.save(tmp_path / "net.safetensors")
        other = goes_on(tmp_path / "net.safetensors", backend)
    other.fit(X, LABELS, resume=True, **arguments)
    agree(other, whole)


def test_a_training_goes_on_several_times_on_either_backend(tmp_path):
    path = tmp_path / "run.safetensors"
    arguments = given(callbacks=[fastmlp.Checkpoint(path, every=3)], ema=None, epochs=3)
    steps = 0
    while steps < 30:
        steps += 4
        net = a_net("numpy" if steps % 8 else None)
        net.fit(X, LABELS, resume=path, max_steps=steps, **arguments)
        assert net.n_steps == min(steps, 30)
    other = a_net("numpy")
    other.fit(X, LABELS, **given(callbacks=[], ema=None, epochs=3))
    for a, b in zip(net.weights, other.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_ctrl_c_while_an_epoch_is_measured(backend, whole):
    count = 0

    def accuracy(y_true, y_pred):
        nonlocal count
        count += 1
        if count == 3:
            signal.raise_signal(signal.SIGINT)
        return 0.5

    accuracy.mode = "max"
    net = a_net(backend)
    old = signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background jobs with SIGINT ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            net.fit(X, LABELS, metrics=[accuracy], **given())
    finally:
        signal.signal(signal.SIGINT, old)
    assert net.n_steps == 3 * STEPS
    net.fit(X, LABELS, resume=True, metrics=[accuracy], **given())
    assert parts(net.history)["val_loss"] == parts(whole.history)["val_loss"]
    assert all(map(np.array_equal, net.weights, whole.weights))


def test_a_plateau_goes_on_with_the_rate_that_it_reduced(backend, tmp_path):
    path = tmp_path / "run.safetensors"

    def arguments():
        plateau = fastmlp.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1.0)
        return {"epochs": 6, "optimizer": "sgd", "callbacks": [fastmlp.Checkpoint(path, every="1 hour"), plateau]}

    whole, net, other = a_net(backend), a_net(backend), a_net(backend)
    whole.fit(X, LABELS, **arguments())
    net.fit(X, LABELS, max_steps=8, **arguments())
    other.fit(X, LABELS, resume=path, **arguments())
    assert all(map(np.array_equal, other.weights, whole.weights))
    assert other.optimizer == whole.optimizer
    assert other.optimizer.learning_rate < fastmlp.SGD().learning_rate
    another = a_net(backend)
    another.fit(X, LABELS, resume=path, **arguments() | {"optimizer": fastmlp.SGD(0.5), "epochs": 4, "callbacks": []})
    assert another.optimizer.learning_rate == 0.5  # who gives another one gets it


def test_what_early_stopping_ended_is_over(backend, tmp_path):
    path = tmp_path / "run.safetensors"

    def arguments():
        stop = fastmlp.EarlyStopping("val_loss", patience=2, min_delta=10.0)
        return given(callbacks=[fastmlp.Checkpoint(path), stop], epochs=50)

    net, other = a_net(backend), a_net(backend)
    net.fit(X, LABELS, **arguments())
    assert net.n_epochs == 3
    other.fit(X, LABELS, resume=path, **arguments())
    agree(other, net)
    assert other.history.stopped == "EarlyStopping"


# ---- checkpoints ----------------------------------------------------------------------------------------------------


def test_a_checkpoint_knows_what_all_callbacks_have_heard(backend, whole, tmp_path):
    path, net = tmp_path / "{epoch}-{step}.safetensors", a_net(backend)
    net.fit(X, LABELS, **given(callbacks=[fastmlp.Checkpoint(path, every=5), *given()["callbacks"]]))
    agree(net, whole)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 12
    for file in files:
        other = a_net(backend)
        other.fit(X, LABELS, resume=file, **given())
        agree(other, whole)


def test_the_last_files_stay(backend, tmp_path):
    checkpoint = fastmlp.Checkpoint(tmp_path / "{epoch}.safetensors", last=2)
    a_net(backend).fit(X, LABELS, epochs=5, callbacks=[checkpoint])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["4.safetensors", "5.safetensors"]


def test_the_best_epochs_are_saved(backend, tmp_path):
    path = tmp_path / "{epoch}.safetensors"
    checkpoint = fastmlp.Checkpoint(path, best=True, monitor="loss")
    losses = a_net(backend).fit(X, LABELS, epochs=8, optimizer=fastmlp.SGD(3.0), callbacks=[checkpoint]).loss
    falls = [k for k in range(8) if losses[k] < min(losses[:k], default=math.inf)]
    assert sorted(int(file.stem) for file in tmp_path.iterdir()) == [k + 1 for k in falls]
    assert len(falls) < 8


def test_every_few_epochs(backend, tmp_path):
    a_net(backend).fit(X, LABELS, epochs=5, callbacks=[fastmlp.Checkpoint(tmp_path / "{epoch}", "2 epochs")])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["2", "4"]


def test_a_full_disk_ends_the_training_and_leaves_all_whole(backend, whole, tmp_path, monkeypatch):
    path, net, sync, calls = tmp_path / "run.safetensors", a_net(backend), tensor_files.os.fsync, 0

    def fsync(descriptor):
        nonlocal calls
        calls += 1
        if calls > 6:  # two of each file
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(tensor_files.os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left"):
        net.fit(X, LABELS, **given(callbacks=[fastmlp.Checkpoint(path, every=4), *given()["callbacks"]]))
    monkeypatch.undo()
    assert [file.name for file in tmp_path.iterdir()] == ["run.safetensors"]
    assert net.n_steps == 16
    assert np.isfinite(net.predict(X)).all()
    other = a_net(backend)
    other.fit(X, LABELS, resume=path, **given())
    agree(other, whole)
    net.fit(X, LABELS, resume=True, **given())
    agree(net, whole)


def test_a_callback_that_raises_leaves_the_last_checkpoint(backend, whole, tmp_path):
    path, net = tmp_path / "run.safetensors", a_net(backend)

    def broken(net, logs):
        if logs["epoch"] == 3:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        net.fit(X, LABELS, **given(callbacks=[*given()["callbacks"], fastmlp.Checkpoint(path), broken]))
    assert net.n_epochs == 3
    other = a_net(backend)
    other.fit(X, LABELS, resume=path, **given())
    agree(other, whole)


def test_no_file_is_a_beginning(backend, whole, tmp_path):
    net = a_net(backend)
    net.fit(X, LABELS, resume=tmp_path / "none", **given())
    agree(net, whole)


@pytest.mark.parametrize(
    ("every", "message"),
    [
        ("2 days", "every must be such as '1 epoch'"),
        ("1.5 steps", "every must be a whole number of steps"),
        (0, "every must be"),
        (0.0, "every must be"),
    ],
)
def test_wrong_times_of_checkpoints_are_refused(every, message):
    with pytest.raises(ValueError, match=message):
        fastmlp.Checkpoint("run", every)
    with pytest.raises(ValueError, match="best is known at the ends of epochs"):
        fastmlp.Checkpoint("run", 5, best=True)
    with pytest.raises(ValueError, match="last=3 needs {epoch}"):
        fastmlp.Checkpoint("run", last=3)


# ---- what cannot go on ----------------------------------------------------------------------------------------------


def test_what_cannot_go_on_is_refused_and_nothing_changes(backend, tmp_path):
    net, path = a_net(backend), tmp_path / "run.safetensors"
    with pytest.raises(ValueError, match="there is none"):
        net.fit(X, LABELS, resume=True)
    net.save(path)
    with pytest.raises(ValueError, match="a network without a training"):
        net.fit(X, LABELS, resume=path)
    net.fit(X, LABELS, max_steps=2, batch_size=7, callbacks=[fastmlp.Checkpoint(path, "1 hour")])
    before = state_of(net)
    for wrong, message in (
        ({"batch_size": 8}, "batch_size=7; this call has batch_size=8"),
        ({"batch_size": 7, "shuffle": False}, "shuffle"),
        ({"batch_size": 7, "validation_split": 0.5}, "rows=70; this call has rows=35"),
    ):
        for resume in (True, path):
            with pytest.raises(ValueError, match=message):
                net.fit(X, LABELS, resume=resume, **wrong)
    with pytest.raises(ValueError, match="the training is of another network"):
        fastmlp.MLP([4, 3, 2], output="softmax").fit(X, LABELS, resume=path)
    with pytest.raises(TypeError, match="resume must be True or a path"):
        net.fit(X, LABELS, resume=3)
    assert all(map(np.array_equal, state_of(net), before))
    net.fit(X, LABELS, batch_size=7, resume=True, epochs=1)  # is still there
    net.step(X, LABELS)
    with pytest.raises(ValueError, match="there is none"):
        net.fit(X, LABELS, batch_size=7, resume=True)


def test_a_network_that_was_trained_by_another_process_goes_on(backend):
    whole, net, arguments = a_net(backend), a_net(backend), given(callbacks=[], epochs=3)
    whole.fit(X, LABELS, **arguments)
    other = pickle.loads(pickle.dumps(net))
    other.fit(X, LABELS, max_steps=12, **arguments)
    net._adopt(pickle.loads(pickle.dumps(other)))  # as fit_many does
    net.fit(X, LABELS, resume=True, **arguments)
    agree(net, whole)


@pytest.mark.parametrize("called", [[], [lambda net, logs: None]], ids=["alone", "with a callback"])
def test_steps_that_were_made_since_are_not_lost(backend, called):
    net = a_net(backend)
    net.fit(X, LABELS, max_steps=12, batch_size=7, callbacks=called)
    net.step(X, LABELS)
    before = state_of(net)
    with pytest.raises(ValueError, match="this network was trained since"):
        net.fit(X, LABELS, batch_size=7, callbacks=called, resume=True)
    assert all(map(np.array_equal, state_of(net), before))


def test_a_training_with_callbacks_is_not_in_what_save_writes(backend, tmp_path):
    net, stop = a_net(backend), fastmlp.EarlyStopping("loss")
    net.fit(X, LABELS, max_steps=12, batch_size=7, callbacks=[stop])
    net.save(tmp_path / "net")
    for other in (fastmlp.load(tmp_path / "net", backend=backend), pickle.loads(pickle.dumps(net))):
        with pytest.raises(ValueError, match="there is none .one with callbacks is in the files of Checkpoint"):
            other.fit(X, LABELS, batch_size=7, callbacks=[stop], resume=True)
    assert net.fit(X, LABELS, batch_size=7, epochs=2, callbacks=[stop], resume=True).stopped == "epochs"


def test_a_divergence_has_the_history_of_what_was_resumed(backend, tmp_path):
    path, net, other = tmp_path / "run.safetensors", a_net(backend), a_net(backend)
    arguments = {"batch_size": 7, "callbacks": [fastmlp.Checkpoint(path)]}
    net.fit(X, LABELS, epochs=2, **arguments)
    other.fit(X, LABELS, epochs=5, batch_size=7)  # which is longer
    with pytest.raises(fastmlp.TrainingDiverged) as caught, np.errstate(all="ignore"):
        other.fit(X, LABELS, epochs=9, optimizer=fastmlp.SGD(1e38), resume=path, **arguments)
    assert caught.value.history.epoch == [1, 2]
    assert caught.value.history.loss == net.history.loss


def test_a_search_has_no_steps_to_stop_between(tmp_path):
    net = fastmlp.MLP([4, 3, 2], output="softmax")
    with pytest.raises(ValueError, match="Checkpoint saves where a training stands between steps"):
        net.fit(X, LABELS, optimizer="lbfgs", callbacks=[fastmlp.Checkpoint(tmp_path / "run")])
    with pytest.raises(ValueError, match="resume goes on between two steps"):
        net.fit(X, LABELS, optimizer="lbfgs", resume=tmp_path / "run")


def state_of(net):
    return [*net.weights, *net.biases]


def test_a_damaged_record_is_refused(backend, tmp_path):
    path, net = tmp_path / "run.safetensors", a_net(backend)
    net.fit(X, LABELS, max_steps=12, batch_size=7, callbacks=[fastmlp.Checkpoint(path, "1 hour")])
    tensors, metadata = tensor_files.load_file(path)
    for old, new in (
        ('"first": 0', '"first": 9'),
        ('"part": {', '"part": 3, "p": {'),
        ('"finished"', '"f"'),
        ('"batch_size": 7', '"batch_size": Infinity'),
    ):
        assert old in metadata["training"]
        tensor_files.save_file(path, tensors, metadata | {"training": metadata["training"].replace(old, new)})
        with pytest.raises(ValueError, match=r"run\.safetensors"):
            net.fit(X, LABELS, batch_size=7, resume=path)
    shorter = {name: array[:1] if name.startswith("training.") else array for name, array in tensors.items()}
    shorter["training.0"] = np.zeros((3, 3))
    tensor_files.save_file(path, shorter, metadata)
    with pytest.raises((ValueError, TypeError)):
        net.fit(X, LABELS, batch_size=7, resume=path)
    assert net.n_steps == 12


def test_a_file_without_a_training_is_as_it_was(backend, tmp_path):
    net = a_net(backend)
    net.fit(X, LABELS, epochs=2)
    net.save(tmp_path / "a")
    _, metadata = tensor_files.load_file(tmp_path / "a")
    assert set(metadata) == {"fastmlp"}
    assert Path(tmp_path / "a").stat().st_size > 0


class Remembering(fastmlp.Callback):
    """Keeps as many numbers as it is told at the end of each epoch."""

    def __init__(self, count):
        self.count, self.seen = count, []

    def on_epoch_end(self, net, logs):
        self.seen += [0.5] * self.count

    def state_dict(self):
        return {"seen": self.seen}


def test_a_state_that_no_file_could_be_read_with_is_not_written(backend, tmp_path):
    net, file = a_net(backend), tmp_path / "net.safetensors"
    with pytest.raises(ValueError, match="may have 65536: a callback's state keeps long lists of numbers as arrays"):
        net.fit(X, LABELS, epochs=5, callbacks=[Remembering(30_000), fastmlp.Checkpoint(file)])
    assert fastmlp.load(file).n_epochs == 2
    net.fit(X, LABELS, epochs=1)
    net.save(file)
    assert fastmlp.load(file).n_epochs == net.n_epochs
