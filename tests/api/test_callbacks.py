"""Callbacks, early stopping, the progress bar."""

import math
import re
import sys

import numpy as np
import pytest
from conftest import parameters
from small_networks import classifier

import fastmlp

# ---- callbacks ------------------------------------------------------------------------------------------------------


class Recorder(fastmlp.Callback):
    def __init__(self, stop_at=None):
        self.events, self.stop_at = [], stop_at

    def on_train_begin(self, net, logs):
        self.events.append(("begin", logs["epochs"], logs["names"]))

    def on_epoch_end(self, net, logs):
        self.events.append(("epoch", logs["epoch"], net.predict([[0, 0]]).shape))
        return logs["epoch"] == self.stop_at

    def on_train_end(self, net, logs):
        self.events.append(("end", logs["epoch"]))


def test_callbacks(backend, toy):
    net, first, second, told = classifier(backend), Recorder(stop_at=2), Recorder(), []
    net.fit(*toy, epochs=5, callbacks=[first, second, lambda net, logs: told.append(logs)])
    assert first.events == second.events
    assert [event[:2] for event in first.events] == [("begin", 5), ("epoch", 1), ("epoch", 2), ("end", 2)]
    assert set(told[0]) == set(first.events[0][2]) == {"epoch", "loss", "seconds", "samples_per_second"}
    assert net.n_epochs == 2


@pytest.mark.parametrize("answer", [True, np.True_])
def test_a_function_stops_the_training_by_returning_true(backend, toy, answer):
    assert len(classifier(backend).fit(*toy, epochs=9, callbacks=[lambda net, logs: answer]).loss) == 1


@pytest.mark.parametrize("answer", [False, None, np.False_])
def test_a_function_that_returns_false_or_none_lets_training_go_on(backend, toy, answer):
    assert len(classifier(backend).fit(*toy, epochs=9, callbacks=[lambda net, logs: answer]).loss) == 9


@pytest.mark.parametrize("answers", [(True, None), (False, True), (None, True, False)], ids=str)
def test_one_of_several_callbacks_is_enough_to_stop_the_training(backend, toy, answers):
    callbacks = [lambda net, logs, answer=answer: answer for answer in answers]
    assert len(classifier(backend).fit(*toy, epochs=9, callbacks=callbacks).loss) == 1


@pytest.mark.parametrize("answer", ["hello", 12, 0, 1, 0.0, {"loss": 1.0}, [], np.array([True])], ids=repr)
def test_any_other_answer_of_a_callback_is_an_error_that_names_it(backend, toy, answer):
    """Such as that of ``lambda net, logs: file.write(...)``, which used to stop the training without a word."""

    class Writer(fastmlp.Callback):
        def on_epoch_end(self, net, logs):
            return answer if logs["epoch"] == 2 else None

    for callback, name in ((Writer(), "Writer"), (lambda net, logs: Writer().on_epoch_end(net, logs), "lambda")):
        net, other = classifier(backend), classifier(backend)
        message = rf"callback .*{name}.*returned .*{type(answer).__name__}.*epoch 2: return True to stop"
        with pytest.raises(TypeError, match=message):
            net.fit(*toy, epochs=9, callbacks=[callback])
        other.fit(*toy, epochs=2)
        assert (parameters(net), net.history.loss) == (parameters(other), other.history.loss)
        assert len(net.fit(*toy, epochs=1).loss) == 1


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("on_batch_end", None),
        ("on_epoch_begin", None),
        ("on_epoch_ends", "on_epoch_end"),
        ("on_train_start", None),
        ("on_training_end", "on_train_end"),
    ],
)
def test_a_method_that_nothing_would_call_is_refused_before_training(backend, toy, name, meant):
    net = classifier(backend)
    before = parameters(net)
    callback = type("Mine", (fastmlp.Callback,), {name: lambda self, net, logs: None, "on_line": 3})()
    pattern = rf"callbacks\[1\] is a Mine with a method {name}, which nothing calls; a Callback has on_train_begin, .*"
    with pytest.raises(TypeError, match=pattern + (rf"did you mean {meant}\?" if meant else "")):
        net.fit(*toy, callbacks=[lambda net, logs: None, callback])
    assert (parameters(net), net.optimizer, net.n_epochs) == (before, None, 0)


def test_early_stopping_on_a_number_of_ones_own_says_what_serves_instead(backend, toy):
    for data in (None, toy):
        with pytest.raises(ValueError, match=r"got 'val_mine'; for a number of your own, give .* or write a Callback"):
            classifier(backend).fit(*toy, validation_data=data, callbacks=[fastmlp.EarlyStopping("val_mine")])


@pytest.mark.parametrize(
    ("monitor", "validation", "advice"),
    [
        ("val_f1", False, r"metrics=['f1'], validation_data=..."),
        ("val_f1", True, r"metrics=['f1']"),
        ("val_accuracy", False, r"metrics=['accuracy'], validation_data=..."),
        ("top_3_accuracy", True, r"metrics=['top_3_accuracy'], train_metrics=True"),
        ("val_loss", False, r"validation_data=..."),
    ],
)
def test_early_stopping_on_a_metric_that_is_not_measured_says_how_to(backend, toy, monitor, validation, advice):
    net = classifier(backend)
    before = parameters(net)
    with pytest.raises(ValueError, match=re.escape(f"got {monitor!r}; give fit({advice})") + "$"):
        net.fit(*toy, validation_data=toy if validation else None, callbacks=[fastmlp.EarlyStopping(monitor)])
    assert (parameters(net), net.n_epochs) == (before, 0)


def test_callback_errors_leave_the_network_at_the_end_of_the_epoch(backend, toy):
    net, other = classifier(backend), classifier(backend)

    def fail(net, logs):
        raise LookupError("no")

    with pytest.raises(LookupError):
        net.fit(*toy, epochs=5, callbacks=[fail])
    other.fit(*toy, epochs=1)
    assert parameters(net) == parameters(other)
    assert (net.n_epochs, net.n_steps, len(net.history.loss)) == (1, 5, 1)
    net.fit(*toy, epochs=1)
    other.fit(*toy, epochs=1)
    assert parameters(net) == parameters(other)


@pytest.mark.parametrize("action", ["fit", "step"])
def test_callbacks_may_not_train(backend, toy, action):
    net = classifier(backend)
    with pytest.raises(RuntimeError, match="callback may use it, but not call fit or step"):
        net.fit(*toy, callbacks=[lambda net, logs: getattr(net, action)(*toy)])
    net.fit(*toy, epochs=1)


def test_callbacks_may_save_and_set_weights(backend, toy, tmp_path):
    def clip(net, logs):
        net.weights = [np.clip(W, -0.1, 0.1) for W in net.weights]
        net.save(tmp_path / "net")

    net = classifier(backend)
    net.fit(*toy, epochs=2, callbacks=[clip])
    assert abs(net.weights[0]).max() <= np.float32(0.1)
    assert parameters(fastmlp.load(tmp_path / "net", backend=backend)) == parameters(net)


def test_early_stopping(backend, toy):
    """Validation classes are wrong, so the first epoch is the best, and the weights go back to it."""
    X, y = toy
    net, one = classifier(backend), classifier(backend)
    stop = fastmlp.EarlyStopping(patience=3)
    optimizer = fastmlp.Adam(0.01)
    history = net.fit(
        X, y, epochs=50, optimizer=optimizer, validation_data=(X, (y + 1) % 3), callbacks=[stop], train_metrics=True
    )
    best = int(np.argmin(history.val_loss)) + 1
    assert (stop.best, stop.best_epoch) == (min(history.val_loss), best)
    assert len(history.loss) == stop.stopped_epoch == best + 3
    one.fit(X, y, epochs=best, optimizer=optimizer)
    assert parameters(net) == parameters(one)

    kept = classifier(backend)
    stop = fastmlp.EarlyStopping(patience=3, restore_best=False)
    kept.fit(X, y, epochs=50, optimizer=optimizer, validation_data=(X, (y + 1) % 3), callbacks=[stop])
    one.fit(X, y, epochs=3)
    assert parameters(kept) == parameters(one)


def test_early_stopping_of_what_rises(backend, toy):
    net = classifier(backend)
    stop = fastmlp.EarlyStopping("val_accuracy", patience=2)
    history = net.fit(*toy, epochs=100, optimizer=fastmlp.Adam(0.05), validation_data=toy, callbacks=[stop])
    assert stop.best == max(history["val_accuracy"]) > 0.9
    assert net.evaluate(*toy)["accuracy"] == stop.best
    assert stop.stopped_epoch == stop.best_epoch + 2
    assert repr(stop) == "EarlyStopping('val_accuracy', patience=2, min_delta=0.0, restore_best=True)"


def test_early_stopping_can_be_used_again(backend, toy):
    stop = fastmlp.EarlyStopping("loss", patience=1, min_delta=100.0)
    for _ in range(2):
        assert len(classifier(backend).fit(*toy, epochs=9, callbacks=[stop]).loss) == 2
        assert stop.best_epoch == 1


def test_early_stopping_wants_what_it_monitors_before_training_begins(backend, toy):
    net = classifier(backend)
    before = parameters(net)
    with pytest.raises(
        ValueError, match=r"monitor must be one of epoch, loss.*got 'val_loss'; give fit\(validation_data"
    ):
        net.fit(*toy, callbacks=[fastmlp.EarlyStopping()])
    assert (parameters(net), net.optimizer, net.n_epochs) == (before, None, 0)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"monitor": 3}, TypeError),
        ({"patience": 0}, ValueError),
        ({"patience": 1.5}, TypeError),
        ({"patience": True}, TypeError),
        ({"min_delta": -1.0}, ValueError),
        ({"min_delta": math.nan}, ValueError),
        ({"min_delta": "0"}, TypeError),
        ({"restore_best": 1}, TypeError),
    ],
)
def test_early_stopping_arguments(arguments, error):
    with pytest.raises(error, match=next(iter(arguments))):
        fastmlp.EarlyStopping(**arguments)


# ---- progress -------------------------------------------------------------------------------------------------------


def test_progress_bar_does_not_change_the_result(backend, toy, capsys):
    pytest.importorskip("tqdm")
    silent, shown = classifier(backend), classifier(backend)
    silent.fit(*toy, epochs=20, batch_size=4)
    assert capsys.readouterr().err == ""
    shown.fit(*toy, epochs=20, batch_size=4, progress=True, validation_data=toy)
    error = capsys.readouterr().err
    assert "epoch 20" in error
    assert "val_accuracy" in error
    assert "3.00k/3.00k" in error
    assert parameters(silent) == parameters(shown)
    assert silent.history.loss == shown.history.loss


def test_progress_without_tqdm(backend, toy, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    net = classifier(backend)
    with pytest.raises(ImportError, match=r"pip install 'fastmlp\[progress\]'"):
        net.fit(*toy, progress=True)
    assert net.n_epochs == 0


def test_early_stopping_that_runs_to_its_end_goes_back_to_the_best_epoch(backend):
    """What is learnt from one half is wrong for the other: the first epochs are better there than the last."""
    X = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    y = (X[:, 0] > 0).astype(np.int64)
    net = fastmlp.MLP([2, 8, 2], output="softmax", seed=0, backend=backend)
    seen, stop = [], fastmlp.EarlyStopping(patience=100)
    history = net.fit(
        X, y, epochs=8, validation_data=(X, 1 - y), callbacks=[lambda net, logs: seen.append(parameters(net)), stop]
    )
    assert stop.stopped_epoch is None
    assert stop.best_epoch == 1 + int(np.argmin(history.val_loss)) < 8
    assert parameters(net) == seen[stop.best_epoch - 1] != seen[-1]
    assert net.evaluate(X, 1 - y)["loss"] == stop.best == min(history.val_loss)
    assert net.n_epochs == 8


def test_early_stopping_that_runs_to_its_end_may_keep_the_last_epoch(backend):
    X = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    y = (X[:, 0] > 0).astype(np.int64)
    net = fastmlp.MLP([2, 8, 2], output="softmax", seed=0, backend=backend)
    stop = fastmlp.EarlyStopping(patience=100, restore_best=False)
    history = net.fit(X, y, epochs=8, validation_data=(X, 1 - y), callbacks=[stop])
    assert stop.best_epoch < 8
    assert net.evaluate(X, 1 - y)["loss"] == history.val_loss[-1] > stop.best


def test_patience_begins_again_with_every_improvement():
    net = fastmlp.MLP([2, 1], seed=0)
    stop = fastmlp.EarlyStopping("loss", patience=2)
    stop.on_train_begin(net, {"names": ["loss"], "modes": {"loss": "min"}})
    losses = [9.0, 9.5, 8.0, 8.5, 7.0, 7.0, 6.0, 6.5]
    assert not any(stop.on_epoch_end(net, {"loss": loss, "epoch": epoch}) for epoch, loss in enumerate(losses, 1))
    assert stop.on_epoch_end(net, {"loss": 6.5, "epoch": 9})
    assert (stop.best, stop.best_epoch, stop.stopped_epoch) == (6.0, 7, 9)


def test_nan_is_no_improvement():
    net = fastmlp.MLP([2, 1], seed=0)
    stop = fastmlp.EarlyStopping("val_r2", patience=3)
    stop.on_train_begin(net, {"names": ["val_r2"], "modes": {"val_r2": "max"}})
    assert not stop.on_epoch_end(net, {"val_r2": math.nan, "epoch": 1})
    assert (stop.best, stop.best_epoch) == (None, None)
    assert not stop.on_epoch_end(net, {"val_r2": 0.5, "epoch": 2})
    assert not stop.on_epoch_end(net, {"val_r2": math.nan, "epoch": 3})
    assert (stop.best, stop.best_epoch) == (0.5, 2)
