"""Callbacks that look at a training from outside: WeightHistory, TensorBoard, OptunaPruning."""

import copy
import pickle
import struct
import sys
import types
import warnings
from typing import ClassVar

import numpy as np
import pytest

import fastmlp

X, Y = np.linspace(-1, 1, 24).reshape(12, 2), np.linspace(0, 1, 12)
STEPS = 3  # of an epoch, by batches of 4


def make(backend, seed=0):
    return fastmlp.MLP([2, 4, 1], seed=seed, backend=backend)


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


# ---- WeightHistory --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("every", "steps"), [("1 epoch", [0, 3, 6, 9, 12]), ("2 epochs", [0, 6, 12]), (5, [0, 5, 10]), (1e-9, range(13))]
)
def test_copies_are_of_their_times(backend, every, steps):
    seen, net = fastmlp.WeightHistory(every, layers=[-1]), make(backend)
    net.fit(X, Y, epochs=4, batch_size=4, callbacks=[seen])
    assert list(seen.weights) == list(seen.biases) == [1]
    for place, step in enumerate(seen.steps):
        other = make(backend)
        if step:
            other.fit(X, Y, epochs=None, max_steps=step, batch_size=4)
        assert same((seen.weights[1][place], seen.biases[1][place]), (other.weights[1], other.biases[1]))
    if isinstance(every, float):  # calls of the engine by the clock may have several steps
        assert set(seen.steps) <= set(steps)
        assert len(seen.steps) > 1
    else:
        assert seen.steps == list(steps)
    assert not seen.weights[1][0].flags.writeable


def test_epochs_count_on_in_a_second_call(backend):
    seen, net = fastmlp.WeightHistory("2 epochs"), make(backend)
    net.fit(X, Y, epochs=3)
    net.fit(X, Y, epochs=3, callbacks=[seen])
    assert seen.epochs == [3, 4, 6]
    assert same([seen.weights[layer][-1] for layer in (0, 1)], net.weights)


def test_another_rule_begins_at_step_0(backend):
    seen, net = fastmlp.WeightHistory(), make(backend)
    net.fit(X, Y, epochs=2, batch_size=4, optimizer="adam")
    net.fit(X, Y, epochs=1, batch_size=4, optimizer="adam", callbacks=[seen])
    assert seen.steps == [6, 9]
    net.fit(X, Y, epochs=1, batch_size=4, optimizer="sgd", callbacks=[seen])
    assert (seen.steps, seen.epochs) == ([0, 3], [3, 4])


@pytest.mark.parametrize("every", ["1 epoch", 2])
def test_a_resumed_training_has_all_copies(backend, every, tmp_path):
    whole, again = fastmlp.WeightHistory(every), fastmlp.WeightHistory(every)
    make(backend).fit(X, Y, epochs=4, batch_size=4, callbacks=[whole])
    path = tmp_path / "run.safetensors"
    given = {"epochs": 4, "batch_size": 4, "resume": path}
    first = [fastmlp.WeightHistory(every), fastmlp.Checkpoint(path)]
    make(backend).fit(X, Y, max_steps=7, callbacks=first, **given)
    make(backend).fit(X, Y, callbacks=[again, fastmlp.Checkpoint(path)], **given)
    assert (again.steps, again.epochs) == (whole.steps, whole.epochs)
    for layer in (0, 1):
        assert same(again.weights[layer], whole.weights[layer])
        assert same(again.biases[layer], whole.biases[layer])
        assert not again.weights[layer][0].flags.writeable


def test_a_checkpoint_between_steps_has_the_copy_of_its_step(backend, tmp_path):
    path, again = tmp_path / "{step}.safetensors", fastmlp.WeightHistory(4)
    callbacks = [fastmlp.Checkpoint(path, every=4), fastmlp.WeightHistory(4)]
    make(backend).fit(X, Y, epochs=2, batch_size=4, callbacks=callbacks)
    given = {"epochs": 3, "batch_size": 4, "resume": tmp_path / "4.safetensors"}
    make(backend).fit(X, Y, callbacks=[fastmlp.Checkpoint(path, every=4), again], **given)
    assert again.steps == [0, 4, 8]


def test_watching_changes_no_bit(backend):
    watched, alone = make(backend), make(backend)
    watched.fit(X, Y, epochs=3, batch_size=4, callbacks=[fastmlp.WeightHistory(1)])
    alone.fit(X, Y, epochs=3, batch_size=4)
    assert same(watched.weights, alone.weights)


def test_layers_that_are_none_and_steps_of_nothing(backend):
    net = make(backend)
    with pytest.raises(ValueError, match=r"layers must be numbers from -2 to 1.*got 2"):
        net.fit(X, Y, callbacks=[fastmlp.WeightHistory(layers=[0, 2])])
    with pytest.raises(ValueError, match=r"every is 3 steps, and LBFGS makes no steps: give it in epochs"):
        net.fit(X, Y, optimizer="lbfgs", callbacks=[fastmlp.WeightHistory(3)])
    assert net.n_epochs == 0
    for layers, kind in ((0, TypeError), ("0", TypeError), ([0.5], TypeError), ([], ValueError)):
        with pytest.raises(kind, match="layers must be a list of layers' numbers"):
            fastmlp.WeightHistory(layers=layers)
    with pytest.raises(ValueError, match="every must be such as"):
        fastmlp.WeightHistory("2 weeks")


def test_estimators_have_epochs_alone():
    pytest.importorskip("sklearn")
    from fastmlp import sklearn

    seen = fastmlp.WeightHistory()
    model = sklearn.MLPRegressor(hidden_layer_sizes=(4,), max_iter=3, random_state=0, tol=0, callbacks=[seen])
    with pytest.warns(UserWarning, match="Maximum iterations"):
        model.fit(X, Y)
    assert seen.epochs == [0, 1, 2, 3]
    with pytest.raises(ValueError, match=r"WeightHistory's every is 3 steps, and an estimator's callbacks"):
        model.set_params(callbacks=[fastmlp.WeightHistory(3)]).fit(X, Y)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_estimators_refuse_checkpoints_and_callbacks_of_theirs_may_save(solver, tmp_path):
    pytest.importorskip("sklearn")
    from fastmlp import sklearn

    path = tmp_path / "run"
    model = sklearn.MLPRegressor(hidden_layer_sizes=(4,), solver=solver, max_iter=3, random_state=0, tol=0)
    for way in (model.fit, model.partial_fit)[: 1 + (solver == "adam")]:
        model.callbacks = [fastmlp.Checkpoint(path)]
        with pytest.raises(ValueError, match=r"Checkpoint saves where .* an estimator cannot .* may net.save\(path\)"):
            way(X, Y)
        assert not path.exists()
        assert not hasattr(model, "coefs_")
    with warnings.catch_warnings(action="ignore"):
        model.set_params(callbacks=[lambda net, logs: net.save(path)]).fit(X, Y)
    np.testing.assert_array_equal(fastmlp.load(path).predict(X)[:, 0], model.predict(X))


# ---- TensorBoard ----------------------------------------------------------------------------------------------------


class Writer:
    """What SummaryWriter is called with."""

    made: ClassVar[list] = []

    def __init__(self, folder, purge_step=None, filename_suffix=""):
        self.folder, self.purge_step, self.suffix = folder, purge_step, filename_suffix
        self.scalars, self.histograms, self.calls = [], [], []
        Writer.made.append(self)

    def add_scalar(self, name, value, step):
        self.scalars.append((name, value, step))

    def add_histogram(self, name, values, step):
        self.histograms.append((name, np.array(values), step))

    def flush(self):
        self.calls.append("flush")

    def close(self):
        self.calls.append("close")

    def curve(self, name):
        return [(step, value) for given, value, step in self.scalars if given == name]


@pytest.fixture
def writers(monkeypatch):
    module = types.ModuleType("tensorboardX")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "tensorboardX", module)
    monkeypatch.setattr(Writer, "made", [])
    return Writer.made


def test_curves_are_the_history(backend, writers, tmp_path):
    board, net = fastmlp.TensorBoard(tmp_path / "run", "2 epochs", histograms=True), make(backend)
    rate = fastmlp.schedules.Exponential(0.1, steps=1, factor=0.5, by="epoch")
    net.fit(X, Y, epochs=5, optimizer=fastmlp.SGD(rate), validation_data=(X, Y), callbacks=[board])
    (writer,) = writers
    assert (writer.folder, writer.purge_step) == (str(tmp_path / "run"), 2)
    names = [name for name in net.history if name != "epoch"]
    assert {name for name, _, _ in writer.scalars} == {*names, "learning_rate"}
    for name in names:
        assert writer.curve(name) == [(2, net.history[name][1]), (4, net.history[name][3])]
    assert writer.curve("learning_rate") == [(2, 0.05), (4, 0.0125)]
    assert [(name, step) for name, _, step in writer.histograms[:4]] == [
        ("weights/0", 2), ("weights/1", 2), ("biases/0", 2), ("biases/1", 2)
    ]  # fmt: skip
    assert writer.histograms[0][1].shape == (2, 4)
    assert writer.calls == ["flush"] * 4 + ["close"]  # nothing was open after the first epoch


@pytest.mark.parametrize("by", ["step", "epoch"])
def test_curves_of_steps(backend, writers, by):
    board, net = fastmlp.TensorBoard("run", 2), make(backend)
    rate = fastmlp.schedules.Linear(1.0, steps=8, end=0.0, by=by)
    net.fit(X, Y, epochs=2, batch_size=4, optimizer=fastmlp.SGD(rate), callbacks=[board])
    (writer,) = writers
    assert [step for step, _ in writer.curve("step_loss")] == [2, 4, 6]
    assert writer.curve("loss") == [(STEPS, net.history.loss[0]), (2 * STEPS, net.history.loss[1])]
    # The rate of the step that was made last: the second, fourth and sixth, in the epochs 0, 1 and 1.
    expected = [rate(1), rate(3), rate(5)] if by == "step" else [rate(0), rate(1), rate(1)]
    assert [value for _, value in writer.curve("step_learning_rate")] == expected
    assert writer.curve("learning_rate")[1] == (6, rate(5 if by == "step" else 1))


def test_a_search_has_curves_and_no_rate(backend, writers):
    pytest.importorskip("scipy")
    net = make(backend)
    net.fit(X, Y, epochs=1, optimizer="adam")
    net.fit(X, Y, optimizer=fastmlp.LBFGS(max_iter=2), callbacks=[fastmlp.TensorBoard("run")])
    assert writers[0].curve("loss") == [(2, net.history.loss[1]), (3, net.history.loss[2])]
    assert not writers[0].curve("learning_rate")


def test_a_writer_is_closed_whatever_happens_and_copies_have_their_own(backend, writers):
    board, net = fastmlp.TensorBoard("run"), make(backend)

    def fail(net, logs):
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        net.fit(X, Y, epochs=3, callbacks=[board, fail])
    assert writers[0].calls == ["flush"]
    other = pickle.loads(pickle.dumps(copy.deepcopy(board)))
    other.on_train_begin(net, {"optimizer": None})
    assert writers[0].calls == ["flush"]
    net.fit(X, Y, epochs=1, callbacks=[board])
    assert writers[0].calls == ["flush", "close"]
    assert writers[1].calls == ["flush", "close"]
    assert writers[1].suffix != writers[0].suffix  # in the same second, one file would be written over the other
    assert (writers[1].purge_step, writers[1].curve("loss")) == (2, [(2, net.history.loss[1])])


def test_the_writer_of_pytorch_serves_too(backend, writers, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", sys.modules["tensorboardX"])
    for name in ("torch", "torch.utils"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    make(backend).fit(X, Y, epochs=1, callbacks=[fastmlp.TensorBoard("run")])
    assert len(writers) == 1
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    net = make(backend)
    with pytest.raises(ImportError, match=r"pip install 'fastmlp\[tensorboard\]'"):
        net.fit(X, Y, epochs=1, callbacks=[fastmlp.TensorBoard("run")])
    assert net.n_epochs == 0


def test_event_files_have_the_curves(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    net = make(None)
    for epochs in (1, 2):
        net.fit(X, Y, epochs=epochs, callbacks=[fastmlp.TensorBoard(tmp_path, histograms=True)])
    files, events = list(tmp_path.iterdir()), []
    assert len(files) == 2
    for data in [path.read_bytes() for path in files]:
        rest = data
        while rest:  # length, its checksum, an event, its checksum
            (size,) = struct.unpack_from("<Q", rest)
            events.append(Event.FromString(rest[12 : 12 + size]))
            rest = rest[16 + size :]
    values = [(event.step, value) for event in events for value in event.summary.value]
    losses = [(step, value.simple_value) for step, value in values if value.tag == "loss"]
    assert sorted(losses) == [(epoch, np.float32(loss)) for epoch, loss in enumerate(net.history.loss, 1)]
    assert {value.tag for _, value in values if value.HasField("histo")} == {
        "weights/0", "weights/1", "biases/0", "biases/1"
    }  # fmt: skip


# ---- OptunaPruning --------------------------------------------------------------------------------------------------


class TrialPruned(Exception):
    """That of a module that is not there."""


class Trial:
    """A trial that is pruned after some reports."""

    def __init__(self, reports):
        self.reports, self.told = reports, []

    def report(self, value, step):
        self.told.append((step, value))

    def should_prune(self):
        return len(self.told) >= self.reports


@pytest.fixture
def optuna(monkeypatch):
    module = types.ModuleType("optuna")
    module.TrialPruned = TrialPruned
    monkeypatch.setitem(sys.modules, "optuna", module)


@pytest.mark.usefixtures("optuna")
def test_a_trial_is_told_and_pruned(backend):
    trial, net = Trial(3), make(backend)
    with pytest.raises(TrialPruned, match="pruned after epoch 3, whose val_loss is"):
        net.fit(X, Y, epochs=9, validation_data=(X, Y), callbacks=[fastmlp.OptunaPruning(trial)])
    assert trial.told == list(enumerate(net.history.val_loss, 1))
    assert (len(trial.told), net.n_epochs) == (3, 3)
    kept = Trial(99)
    net.fit(X, Y, epochs=2, callbacks=[fastmlp.OptunaPruning(kept, "loss")])
    assert kept.told == [(4, net.history.loss[3]), (5, net.history.loss[4])]


@pytest.mark.usefixtures("optuna")
def test_pruning_says_what_is_wrong(backend, monkeypatch):
    with pytest.raises(ValueError, match=r"OptunaPruning's monitor must be one of .*got 'val_loss'; give fit\(valid"):
        make(backend).fit(X, Y, callbacks=[fastmlp.OptunaPruning(Trial(1))])
    with pytest.raises(TypeError, match="trial must be a trial of Optuna, with a method report, got 3"):
        fastmlp.OptunaPruning(3)
    with pytest.raises(TypeError, match="monitor must be a name"):
        fastmlp.OptunaPruning(Trial(1), 3)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"pip install 'fastmlp\[optuna\]'"):
        fastmlp.OptunaPruning(Trial(1))


def test_a_study_prunes_what_is_worse():
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial):
        net, rate = make(None), trial.suggest_categorical("rate", [1e-7, 0.05])
        pruning = fastmlp.OptunaPruning(trial, "loss")
        return net.fit(X, Y, epochs=20, batch_size=4, optimizer=fastmlp.Adam(rate), callbacks=[pruning]).loss[-1]

    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=2))
    study.enqueue_trial({"rate": 0.05})
    study.enqueue_trial({"rate": 1e-7})
    study.optimize(objective, n_trials=2)
    good, bad = study.trials
    assert [trial.state.name for trial in (good, bad)] == ["COMPLETE", "PRUNED"]
    assert list(good.intermediate_values) == list(range(1, 21))
    assert len(bad.intermediate_values) < 20
