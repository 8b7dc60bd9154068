"""Epochs, resuming, callbacks, early stopping, divergence, signals, history."""

import dataclasses
import gc
import math
import os
import pickle
import signal
import sys

import numpy as np
import pytest
from conftest import parameters
from engine_calls import layers_of, set_layers, states_of
from random_networks import every_optimizer

import fastmlp
from fastmlp.runtime import get_backend
from fastmlp.train.history import History
from fastmlp.train.learner import Learner
from fastmlp.train.safety import SNAPSHOT_STEPS


def classifier(backend, **arguments):
    return fastmlp.MLP([2, 8, 3], output="softmax", **({"seed": 0, "backend": backend} | arguments))


def regressor(backend, **arguments):
    return fastmlp.MLP([2, 8, 2], **({"seed": 0, "backend": backend} | arguments))


# ---- epochs ---------------------------------------------------------------------------------------------------------


def test_learns(backend, toy):
    net = classifier(backend)
    history = net.fit(*toy, epochs=60, optimizer=fastmlp.Adam(0.02), validation_data=toy)
    assert history.loss[-1] < 0.2 * history.loss[0]
    assert history["val_accuracy"][-1] > 0.95
    assert history == net.history


@pytest.mark.parametrize(**every_optimizer)
@pytest.mark.parametrize("batch_size", [1, 7, 32, 150, 1000])
def test_fit_twice_is_fit_once(backend, toy, optimizer, batch_size):
    once, twice = classifier(backend), classifier(backend)
    whole = once.fit(*toy, epochs=5, batch_size=batch_size, optimizer=optimizer)
    first = twice.fit(*toy, epochs=2, batch_size=batch_size, optimizer=optimizer)
    second = twice.fit(*toy, epochs=3, batch_size=batch_size)
    assert parameters(once) == parameters(twice)
    assert whole.loss == first.loss + second.loss == twice.history.loss
    assert second.epoch == [3, 4, 5]


def adam_by_hand(X, y, weights, biases, rates, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """Adam on one tanh layer and one of identities with the squared error, in float64, a rate for each step."""
    parameters = [np.array(array, dtype=np.float64) for array in (*weights, *biases)]
    means, squares = ([np.zeros_like(array) for array in parameters] for _ in range(2))
    for t, rate in enumerate(rates, 1):
        (W1, W2, b1, b2), n = parameters, len(X)
        hidden = np.tanh(X @ W1 + b1)
        delta = (hidden @ W2 + b2 - y) / n
        below = delta @ W2.T * (1 - hidden**2)
        for p, m, v, g in zip(
            parameters, means, squares, (X.T @ below, hidden.T @ delta, below.sum(0), delta.sum(0)), strict=True
        ):
            m += (1 - beta1) * (g - m)
            v += (1 - beta2) * (g * g - v)
            p -= rate * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
    return parameters


@pytest.mark.parametrize("way", ["step", "setter", "fit", "callback"])
def test_a_schedule_of_learning_rates_keeps_adams_moments(backend, way):
    """A cosine, given to each step or each fit, set between them or by a callback: all equal Adam written out."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(16, 3)), rng.normal(size=(16, 2))
    net = fastmlp.MLP([3, 5, 2], activation="tanh", dtype="float64", seed=0, backend=backend)
    rates = 0.5 * 0.05 * (1 + np.cos(np.pi * np.arange(200) / 200))
    wanted = adam_by_hand(X, y, net.weights, net.biases, rates)
    whole = {"epochs": 1, "batch_size": 16, "shuffle": False}
    if way == "callback":

        def schedule(net, logs):
            net.optimizer = dataclasses.replace(net.optimizer, learning_rate=rates[logs["epoch"] % 200])

        net.fit(X, y, **whole | {"epochs": 200}, optimizer=fastmlp.Adam(rates[0]), callbacks=[schedule])
    for rate in rates if way != "callback" else ():
        if way == "step":
            net.step(X, y, optimizer=fastmlp.Adam(rate))
        elif way == "fit":
            net.fit(X, y, **whole, optimizer=fastmlp.Adam(rate))
        else:
            net.optimizer = fastmlp.Adam(rate)
            net.step(X, y)
    assert net.n_steps == 200
    for ours, theirs in zip((*net.weights, *net.biases), wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_state_belongs_to_the_rule(backend, toy):
    """Other hyperparameters go on with it; another rule, or reset_optimizer, starts afresh."""
    same, other, fresh = (classifier(backend) for _ in range(3))
    for net in (same, other, fresh):
        net.fit(*toy, epochs=2, optimizer=fastmlp.Adam(0.01))
    same.fit(*toy, epochs=1)
    other.fit(*toy, epochs=1, optimizer=fastmlp.Adam(0.02, weight_decay=0.1))
    fresh.reset_optimizer()
    assert (fresh.n_steps, fresh.optimizer) == (0, fastmlp.Adam(0.01))
    fresh.fit(*toy, epochs=1)
    assert (same.n_steps, other.n_steps, fresh.n_steps) == (15, 15, 5)
    assert len({parameters(net) for net in (same, other, fresh)}) == 3
    other.fit(*toy, epochs=1, optimizer="sgd")
    assert (other.optimizer, other.n_steps) == (fastmlp.SGD(), 5)
    zeroed = states_of(other._learner.engine)
    assert not any(array.any() for W, b in zeroed for array in (*W, *b))


def test_momentum_that_pauses_rests(backend, toy):
    """Without momentum the buffer is left alone, so the rule is still the same one, and goes on."""
    net = classifier(backend, dtype="float64")
    net.step(*toy, optimizer=fastmlp.SGD(0.1, momentum=0.9))
    buffers = [array.copy() for array in states_of(net._learner.engine)[0][0]]
    net.step(*toy, optimizer=fastmlp.SGD(0.1))
    assert all(map(np.array_equal, buffers, states_of(net._learner.engine)[0][0]))
    assert net.n_steps == 2


def test_the_optimizer_can_be_set(backend, toy):
    net = classifier(backend)
    net.optimizer = "sgd"
    assert net.optimizer == fastmlp.SGD()
    for bad, error in ((None, TypeError), ("magic", ValueError), (0.1, TypeError), (fastmlp.Adam, TypeError)):
        with pytest.raises(error, match="optimizer must be"):
            net.optimizer = bad
    assert net.optimizer == fastmlp.SGD()
    net.fit(*toy, epochs=1)
    assert (net.optimizer, net.n_steps) == (fastmlp.SGD(), 5)
    classifier(backend).reset_optimizer()  # of a network that has none


@pytest.mark.parametrize("diverges", [False, True])
def test_a_callback_may_go_over_to_another_rule(backend, toy, diverges):
    """There is no way back before the change: divergence goes to the epoch at whose end it was made."""
    net, other = (fastmlp.MLP([2, 8, 2], seed=0, backend=backend) for _ in range(2))
    rule = fastmlp.SGD(1e6 if diverges else 0.01, momentum=0.9)

    def change(net, logs):
        if logs["epoch"] == 2:
            net.optimizer = rule

    def train():
        net.fit(toy[0], toy[0], epochs=4, callbacks=[change])

    other.fit(toy[0], toy[0], epochs=2)
    if diverges:
        with pytest.raises(fastmlp.TrainingDiverged, match=r"back at the end of epoch 2, update 0 .*1000000.0"):
            train()
    else:
        train()
        other.fit(toy[0], toy[0], epochs=2, optimizer=rule)
    assert parameters(net) == parameters(other)


def test_default_optimizer_is_adam(backend, toy):
    net = classifier(backend)
    net.fit(*toy, epochs=1)
    assert net.optimizer == fastmlp.Adam()


def test_the_last_smaller_batch_counts(backend):
    """Three rows in batches of two, plain SGD: the second update is of row 2 alone, averaged over itself."""
    X, y = np.array([[1.0], [2.0], [3.0]]), np.array([1.0, 0.0, 2.0])
    net = fastmlp.MLP([1, 1], init="zeros", dtype="float64", backend=backend)
    history = net.fit(X, y, epochs=1, batch_size=2, shuffle=False, optimizer=fastmlp.SGD(0.1))
    w = b = 0.0
    losses = []
    for rows in ([0, 1], [2]):
        error = X[rows, 0] * w + b - y[rows]
        losses.append(0.5 * (error**2).mean() * len(rows))
        w, b = w - 0.1 * (error * X[rows, 0]).mean(), b - 0.1 * error.mean()
    assert net.weights[0][0, 0] == pytest.approx(w, rel=1e-14)
    assert net.biases[0][0] == pytest.approx(b, rel=1e-14)
    assert history.loss[0] == pytest.approx(sum(losses) / 3, rel=1e-14)


def test_shuffle(backend, toy):
    plain, shuffled, manual = (classifier(backend) for _ in range(3))
    plain.fit(*toy, epochs=1, shuffle=False)
    for start in range(0, 150, 32):
        manual.step(toy[0][start : start + 32], toy[1][start : start + 32])
    assert parameters(plain) == parameters(manual)
    shuffled.fit(*toy, epochs=1)
    assert parameters(plain) != parameters(shuffled)


def test_step(backend, toy):
    net = classifier(backend)
    before = net.evaluate(*toy)["loss"]
    assert net.step(*toy) == pytest.approx(before, rel=1e-6)
    assert (net.n_steps, net.n_epochs) == (1, 0)
    batch = classifier(backend)
    batch.fit(*toy, epochs=1, batch_size=150, shuffle=False)
    assert parameters(batch) == parameters(net)


def test_sample_weight(backend, toy):
    """Whole numbers as weights are as good as repeated rows; weight 0 leaves a row out."""
    X, y = toy
    weight = (np.arange(150) % 3).astype(np.float32)
    weighted, repeated = classifier(backend, dtype="float64"), classifier(backend, dtype="float64")
    rows = np.repeat(np.arange(150), weight.astype(int))
    loss = weighted.step(X, y, sample_weight=weight, optimizer="sgd")
    assert repeated.step(X[rows], y[rows], optimizer="sgd") == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(weighted.weights[0], repeated.weights[0], rtol=1e-12)
    history = weighted.fit(X, y, sample_weight=weight, epochs=2, batch_size=20, validation_data=(X, y, weight))
    assert history.val_loss[-1] == weighted.evaluate(X, y, sample_weight=weight)["loss"]


def test_epoch_loss_is_the_weighted_mean(backend, toy):
    weight = np.linspace(0, 1, 150)
    net = classifier(backend)
    expected = net.evaluate(*toy, sample_weight=weight)["loss"]
    frozen = fastmlp.SGD(1e-30)  # so small that weights stay
    loss = net.fit(*toy, sample_weight=weight, epochs=1, batch_size=7, optimizer=frozen).loss[0]
    assert loss == pytest.approx(expected, rel=1e-6)


def test_one_row(backend):
    net = regressor(backend)
    net.fit([[1.0, 2.0]], [[0.5, 1.0]], epochs=3, validation_data=([[1.0, 2.0]], [[0.5, 1.0]]))
    assert net.n_steps == 3


def test_read_only_memmap(backend, tmp_path, toy):
    np.save(tmp_path / "X.npy", toy[0])
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    mapped, plain = classifier(backend), classifier(backend)
    mapped.fit(X, toy[1], epochs=2)
    plain.fit(*toy, epochs=2)
    assert parameters(mapped) == parameters(plain)


# ---- history --------------------------------------------------------------------------------------------------------


def test_history(backend, toy):
    net = classifier(backend)
    net.fit(*toy, epochs=2)
    history = net.fit(*toy, epochs=3, validation_data=toy, train_metrics=True)
    names = ["epoch", "loss", "val_loss", "accuracy", "val_accuracy", "seconds", "samples_per_second"]
    assert list(history) == sorted(history, key=list(history).index)
    assert set(history) == set(names)
    assert all(len(column) == 3 for column in history.values())
    assert history.epoch == [3, 4, 5]
    assert history["accuracy"] == history["val_accuracy"]
    assert all(rate == 150 / s for rate, s in zip(history.samples_per_second, history.seconds, strict=True))

    whole = net.history
    assert all(len(column) == 5 for column in whole.values())
    assert [math.isnan(value) for value in whole.val_loss] == [True, True, False, False, False]
    assert [math.isnan(value) for value in whole["accuracy"]] == [True, True, False, False, False]
    with pytest.raises(KeyError):
        whole["nonsense"]
    net.fit(*toy, epochs=1)
    assert math.isnan(whole.val_loss[-1])
    assert "val_loss" not in whole.since(5)
    assert pickle.loads(pickle.dumps(history)) == history


def test_history_after_an_epoch_of_which_only_a_part_was_noted(backend, toy):
    """Ctrl-C may come between two columns of a row."""
    X, y = toy
    net = classifier(backend)
    net.fit(X, y, epochs=2)
    net.history.epoch.append(3)
    assert net.fit(X, y, epochs=1).epoch == [3]
    assert net.history.epoch == [1, 2, 3]
    assert len(net.history.loss) == 3


def test_history_repr(backend, toy):
    assert repr(History()) == "<History: no epochs yet>"
    net = regressor(backend)
    text = repr(net.fit(toy[0], toy[0], epochs=2, validation_data=(toy[0], toy[0])))
    assert text.startswith("<History of 2 epochs: loss ")
    assert all(word in text for word in (" -> ", "val_loss", "val_r2", " s, ", "samples/s"))
    assert "1 epoch:" in repr(net.fit(toy[0], toy[0], epochs=1))


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
        with pytest.raises(ValueError, match=r"got 'val_f1'; for a number of your own, write a Callback"):
            classifier(backend).fit(*toy, validation_data=data, callbacks=[fastmlp.EarlyStopping("val_f1")])


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


# ---- divergence -----------------------------------------------------------------------------------------------------


def test_divergence_goes_back_to_good_weights(backend, toy):
    X = toy[0]
    net = regressor(backend)
    net.fit(X, X, epochs=2, optimizer=fastmlp.SGD(0.01))
    before = parameters(net)
    with pytest.raises(
        fastmlp.TrainingDiverged, match=r"the loss became (nan|inf) in epoch 3, step \d+ of 38"
    ) as caught:
        net.fit(X, X, epochs=5, batch_size=4, optimizer=fastmlp.SGD(1e6))
    assert isinstance(caught.value, FloatingPointError)
    assert "layer" in str(caught.value)
    assert "SGD(learning_rate=1000000.0" in str(caught.value)
    assert (caught.value.epoch, len(caught.value.history.loss)) == (3, 0)
    assert caught.value.step > 1
    assert parameters(net) == before
    assert (net.n_epochs, net.n_steps, net.optimizer) == (2, 10, fastmlp.SGD(1e6))
    net.fit(X, X, epochs=1, optimizer=fastmlp.SGD(0.01))
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.step) == (str(caught.value), caught.value.step)


class Explode(fastmlp.Callback):
    """Makes the weights so large after an epoch that the next loss is not finite."""

    def __init__(self, epoch, factor=1e30):
        self.epoch, self.factor, self.seen = epoch, factor, []

    def on_epoch_end(self, net, logs):
        self.seen.append(parameters(net))
        if logs["epoch"] == self.epoch:
            net.weights = [W * np.float32(self.factor) for W in net.weights]


def test_divergence_goes_back_to_the_latest_good_snapshot(backend):
    """Every epoch makes a snapshot. That of epoch 3 has not seen a finite loss yet, so the network goes back to 2."""
    X = np.random.default_rng(0).normal(size=(SNAPSHOT_STEPS, 2))
    net, explode = regressor(backend), Explode(3)
    with pytest.raises(fastmlp.TrainingDiverged, match=r"epoch 4, step 1 of 64.*back at the end of epoch 2"):
        net.fit(X, X, epochs=9, batch_size=1, callbacks=[explode], optimizer=fastmlp.Adam(0.001))
    assert parameters(net) == explode.seen[1]
    assert (net.n_epochs, net.n_steps) == (2, 128)


def test_divergence_resumes_as_if_it_had_not_happened(backend):
    X = np.random.default_rng(0).normal(size=(SNAPSHOT_STEPS, 2))
    net, other = regressor(backend), regressor(backend)
    other.fit(X, X, epochs=6, batch_size=1)
    with pytest.raises(fastmlp.TrainingDiverged) as caught:
        net.fit(X, X, epochs=9, batch_size=1, callbacks=[Explode(3)])
    assert len(caught.value.history.loss) == 3
    net.fit(X, X, epochs=6 - net.n_epochs, batch_size=1)
    assert parameters(net) == parameters(other)


def test_a_copy_is_of_one_network_and_optimizer(backend):
    """Snapshots are the engine's copies; one is written over when it is no longer needed."""
    X = np.random.default_rng(0).normal(size=(20, 2))
    net = regressor(backend)
    engine = net._learner.engine
    net.fit(X, X, epochs=1)
    first, wanted = engine.copy(), (parameters(net), [[a.tobytes() for a in W + b] for W, b in states_of(engine)])
    net.fit(X, X, epochs=1)
    engine.restore(first)
    assert (parameters(net), [[a.tobytes() for a in W + b] for W, b in states_of(engine)]) == wanted
    net.fit(X, X, epochs=1)
    after = parameters(net)
    second = engine.copy(first)
    net.fit(X, X, epochs=1)
    engine.restore(second)
    assert parameters(net) == after
    net.step(X, X, optimizer=fastmlp.SGD(0.1))
    with pytest.raises(ValueError, match=r"another network or optimizer|shorter|longer"):
        engine.restore(second)


@pytest.mark.parametrize("sizes", [(70, 33, 9), (40, 5, 3), (3, 40, 1), (40, 20, 1), (1, 1)])
@pytest.mark.parametrize("optimizer", [fastmlp.SGD(0.01), fastmlp.SGD(0.01, momentum=0.9), fastmlp.Adam()])
def test_what_is_restored_predicts_and_learns_as_before(backend, sizes, optimizer):
    """A copy has one of W and W^T; wide, narrow and very narrow layers differ in which."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, sizes[0])), rng.normal(size=(20, sizes[-1]))
    net, other = (fastmlp.MLP(sizes, seed=0, backend=backend, dtype="float64") for _ in range(2))
    for each in (net, other):
        each.fit(X, y, batch_size=6, optimizer=optimizer)
    copy, engine = net._learner.snapshot(), net._learner.engine
    net.fit(X, y, epochs=3, batch_size=6)
    net._learner.restore(copy)
    assert net.predict(X).tobytes() == other.predict(X).tobytes()
    assert net.predict(X[:1]).tobytes() == other.predict(X[:1]).tobytes()
    for each in (net, other):
        each.fit(X, y, batch_size=6)
    assert parameters(net) == parameters(other)
    assert engine.is_finite()


@pytest.mark.parametrize("threads", [1, 2, 3, 0, -2])
def test_copies_by_several_threads_are_equal(threads):
    """Parameters and state of 13 MB each: several pieces, the last of them cut off."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(4, 900)), rng.normal(size=(4, 701))
    net = fastmlp.MLP([900, 1000, 701], seed=0, dtype="float64", backend="cython")
    engine = net._learner.engine

    def everything():
        return [array.tobytes() for W, b in (layers_of(engine), *states_of(engine)) for array in (*W, *b)]

    net.fit(X, y, threads=1)
    wanted, copy = everything(), engine.copy(None, threads)
    assert engine.is_finite(threads)
    net.fit(X, y, threads=1)
    again, second = everything(), engine.copy(threads=threads)
    engine.restore(copy)
    assert everything() == wanted
    assert engine.copy(second, threads) is second
    engine.restore(second)
    assert everything() == wanted != again
    weights, biases = layers_of(engine)
    biases[-1][-1] = np.inf
    set_layers(engine, weights, biases)
    assert not engine.is_finite(threads)


def test_divergence_in_the_last_update(backend):
    """One step whose loss is finite, and whose update makes weights under which no loss is."""
    X = np.ones((4, 2))
    net = regressor(backend)
    before = parameters(net)
    with pytest.raises(fastmlp.TrainingDiverged, match="the last update, of epoch 1, left a loss that is not finite"):
        net.fit(X, X + 1, epochs=1, optimizer=fastmlp.SGD(1e30))
    assert parameters(net) == before
    assert net.n_epochs == 0


def test_divergence_of_the_validation_loss(backend):
    X = np.ones((4, 2))
    net = regressor(backend, init=lambda n_in, n_out: np.full((n_in, n_out), 0.1))
    with pytest.raises(fastmlp.TrainingDiverged, match="the validation loss became (inf|nan) after epoch 1") as caught:
        net.fit(X, X, epochs=3, validation_data=(X * 1e30, X))
    assert len(caught.value.history.val_loss) == 1
    assert net.n_epochs == 0


def test_divergence_names_the_layer(backend):
    net = fastmlp.MLP([2, 3, 3, 1], activation="identity", init=lambda i, o: np.ones((i, o)), backend=backend)
    weights = [W.copy() for W in net.weights]
    weights[1] *= np.float32(3e38)
    net.weights = weights
    with pytest.raises(fastmlp.TrainingDiverged, match=r"layer 2 of 3 \(3 -> 3, identity\)") as caught:
        net.fit(np.ones((5, 2)), np.ones(5))
    assert caught.value.layer == 2
    with pytest.raises(fastmlp.TrainingDiverged, match=r"layer 2 of 3.*left as it was before this step") as caught:
        net.step(np.ones((5, 2)), np.ones(5))
    assert (caught.value.layer, caught.value.step, net.n_steps) == (2, 1, 0)
    net.weights = [np.ones_like(W) for W in weights]
    with pytest.raises(fastmlp.TrainingDiverged, match="only the loss overflows"):
        net.step(np.ones((5, 2)), np.full(5, 1e25))


# ---- overflow -------------------------------------------------------------------------------------------------------


def test_a_step_whose_update_overflows_keeps_the_good_weights(backend):
    """The loss is finite, 5e17; its gradient by the weight, 1e39, is not."""
    net = fastmlp.MLP([1, 1], init="zeros", backend=backend)
    with pytest.raises(
        fastmlp.TrainingDiverged, match=r"update of this step overflowed.*layer 1 of 1.*before this step"
    ):
        net.step([[1e30]], [1e9], optimizer=fastmlp.SGD(0.1))
    assert (net.weights[0].item(), net.biases[0].item(), net.n_steps) == (0.0, 0.0, 0)
    assert net.step([[1.0]], [1.0]) == 0.5


@pytest.mark.parametrize(("width", "lost"), [(8, 0), (9000, 5)])
def test_an_overflow_goes_back_with_state_and_counters(backend, toy, width, lost):
    """To before the step; a large network to at most 16 updates before. Then training is as if it had not happened."""
    X = toy[0][:4]
    net, other = (fastmlp.MLP([2, width, 2], seed=0, backend=backend) for _ in range(2))
    for _ in range(22 - 1):
        net.step(X, X)
    for _ in range(21 - lost):
        other.step(X, X)
    where = f"{lost} updates before this step" if lost else "as it was before this step"
    with pytest.raises(fastmlp.TrainingDiverged, match=where) as caught:
        net.step(X, X, optimizer=fastmlp.Adam(1e39))
    assert (net.n_steps, caught.value.step) == (21 - lost, 22)
    assert parameters(net) == parameters(other)
    for each in (net, other):
        each.step(X, X, optimizer=fastmlp.Adam())
    assert parameters(net) == parameters(other)


def overflow(net, X):
    with pytest.raises(fastmlp.TrainingDiverged, match="overflowed"):
        net.step(X, X, optimizer=fastmlp.SGD(1e39))


@pytest.mark.parametrize("change", ["weights", "biases", "fit", "rule", "reset"])
def test_an_overflow_never_goes_back_beyond_what_was_done_meanwhile(backend, toy, change):
    X = toy[0]
    net = fastmlp.MLP([2, 9000, 2], seed=0, backend=backend)
    net.step(X, X, optimizer=fastmlp.Adam() if change == "rule" else fastmlp.SGD(1e-6))
    if change == "fit":
        net.fit(X, X, epochs=1, batch_size=150)
    elif change == "rule":
        net.optimizer = fastmlp.SGD(1e-6)
    elif change == "reset":
        net.reset_optimizer()
    else:
        setattr(net, change, [array * np.float32(0.5) for array in getattr(net, change)])
    before, counts = parameters(net), (net.n_epochs, net.n_steps)
    overflow(net, X)
    assert parameters(net) == before
    assert (net.n_epochs, net.n_steps) == counts


def test_infinite_losses_are_called_infinite(backend):
    X, y = np.ones((40, 2)), np.full(40, 1e25)
    net = fastmlp.MLP([2, 3, 1], seed=0, backend=backend)
    with pytest.raises(fastmlp.TrainingDiverged, match="the loss of this batch is inf; all layers' signals are finite"):
        net.step(X, y)
    with pytest.raises(fastmlp.TrainingDiverged, match="the loss became inf in epoch 1, step 1 of 2"):
        net.fit(X, y)
    assert net.loss_and_grad(X, y)[0] == math.inf
    assert net.evaluate(X, y)["loss"] == math.inf


@pytest.mark.parametrize("rows", [1, 3, 200_000])
def test_values_beyond_float32_are_named_where_they_make_nan(backend, rows):
    """In a network of float64 they are numbers, and where tanh makes a 1 of an infinity, that is right."""
    X = np.ones((rows, 2))
    X[-1, 1] = 1e39
    y, words = np.zeros(rows), rf"X has 1e\+39 at row {rows - 1}, column 1, which is infinite in the network's float32"
    first = np.array([[1.0, -1.0], [1.0, -1.0]])
    net, wide = (
        fastmlp.MLP([2, 2, 1], activation="identity", dtype=d, backend=backend) for d in ("float32", "float64")
    )
    net.weights = wide.weights = [first, np.ones((2, 1))]
    assert np.isfinite(wide.predict(X)).all()
    tanh = fastmlp.MLP([2, 2, 8], activation="tanh", backend=backend)
    tanh.weights = [first, np.ones((2, 8))]
    assert (tanh.predict(X) == 0).all()
    assert tanh.evaluate(X, np.zeros((rows, 8)))["loss"] == 0
    for call in (
        lambda: net.predict(X),
        lambda: net.predict(X, out=np.empty((rows, 1), np.float32)),
        lambda: net.evaluate(X, y),
        lambda: net.loss_and_grad(X, y),
    ):
        with pytest.raises(ValueError, match=words):
            call()
    before = parameters(net)
    for call in (lambda: net.step(X, y), lambda: net.fit(X, y, epochs=1, batch_size=10**6)):
        with pytest.raises(fastmlp.TrainingDiverged, match=words):
            call()
    assert parameters(net) == before


# ---- signals --------------------------------------------------------------------------------------------------------


class Alarm(Exception):
    pass


@pytest.fixture
def alarm():
    """A function that makes the SIGALRM handler raise after so many seconds."""
    if not hasattr(signal, "setitimer"):
        pytest.skip("no timers here")

    def ring(number, frame):
        raise Alarm

    old = signal.signal(signal.SIGALRM, ring)
    gc.disable()  # what is raised in a callback of the collector (hypothesis has one) is lost
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    gc.enable()
    signal.signal(signal.SIGALRM, old)


class After(fastmlp.Callback):
    """An alarm that is set when training has begun: before, it could go off outside of `fit` on a busy machine."""

    def __init__(self, alarm, seconds):
        self.alarm, self.seconds = alarm, seconds

    def on_train_begin(self, net, logs):
        self.alarm(self.seconds)


def test_a_signal_stops_after_a_whole_step(backend, alarm):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200_000, 20)).astype(np.float32), rng.integers(0, 3, 200_000)
    net, replay = (fastmlp.MLP([20, 32, 3], output="softmax", seed=0, backend=backend) for _ in range(2))
    with pytest.raises(Alarm):
        net.fit(
            X,
            y,
            epochs=100_000,
            batch_size=1000,
            shuffle=False,
            optimizer=fastmlp.SGD(1e-4),
            callbacks=[After(alarm, 0.3)],
        )
    epochs, steps = divmod(net.n_steps, 200)
    assert net.n_steps - 200 * net.n_epochs in range(201)  # 200: all steps of an epoch, which is not over yet
    assert net.n_epochs - len(net.history.loss) in (0, 1)
    replay.fit(X, y, epochs=max(epochs, 1), batch_size=1000, shuffle=False, optimizer=fastmlp.SGD(1e-4))
    if epochs:
        for start in range(0, 1000 * steps, 1000):
            replay.step(X[start : start + 1000], y[start : start + 1000])
        assert parameters(net) == parameters(replay)
    net.fit(X[:100], y[:100], epochs=1)


def test_signals_at_any_moment_leave_counters_right(backend, alarm, toy):
    """Epochs of microseconds: most signals come outside of the engine, or in the last moment inside."""
    frozen = fastmlp.SGD(1e-3)
    for attempt in range(20):
        net, replay = classifier(backend), classifier(backend)
        late = After(alarm, 0.001 + 0.0003 * attempt)
        with pytest.raises(Alarm):
            net.fit(*toy, epochs=10**6, batch_size=150, shuffle=False, optimizer=frozen, callbacks=[late])
        assert net.n_steps - net.n_epochs in (0, 1)
        assert net.n_epochs - len(net.history.loss) in (0, 1)
        for _ in range(net.n_steps):
            replay.step(*toy, optimizer=frozen)
        assert parameters(net) == parameters(replay)


def test_keyboard_interrupt(backend, toy):
    net = classifier(backend)
    old = signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background jobs with SIGINT ignored

    def interrupt(net, logs):
        if logs["epoch"] == 3:
            os.kill(os.getpid(), signal.SIGINT)

    try:
        with pytest.raises(KeyboardInterrupt):
            net.fit(*toy, epochs=10**4, callbacks=[interrupt])
    finally:
        signal.signal(signal.SIGINT, old)
    assert len(net.history.loss) >= 3
    assert np.isfinite(net.predict(toy[0])).all()


def test_an_answer_that_a_signal_swallowed_still_counts(backend, toy, monkeypatch):
    """The handler may raise right after the engine has returned; the steps are then known by their losses."""
    net = classifier(backend)
    net.step(*toy)
    engine = net._learner.engine

    class Late:
        def __getattr__(self, name):
            return getattr(engine, name)

        def train(self, *arguments):
            engine.train(*arguments)
            raise Alarm

    monkeypatch.setattr(net._learner, "engine", Late())
    with pytest.raises(Alarm):
        net.fit(*toy, epochs=1)
    assert isinstance(net._learner, Learner)
    assert net.n_steps == 6


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


def test_infinite_weights_under_which_losses_are_finite_do_not_become_the_last_good_ones(backend):
    """The first update overflows; tanh makes 1 of infinity, so that no loss ever tells."""
    net = fastmlp.MLP([1, 1, 1], activation="tanh", seed=0, backend=backend)
    net.weights, net.biases = [np.zeros((1, 1)), np.ones((1, 1))], [np.zeros(1), np.zeros(1)]
    before = parameters(net)
    X, y = np.array([[1e30]], np.float32), np.array([[1e9]], np.float32)
    with pytest.raises(fastmlp.TrainingDiverged):
        net.fit(X, y, epochs=4 * SNAPSHOT_STEPS, optimizer=fastmlp.SGD(1.0))
    assert (parameters(net), net.n_steps, net.n_epochs) == (before, 0, 0)


def test_each_epoch_has_the_shuffle_of_its_number(backend, toy):
    """Which a second call of `fit` goes on counting."""
    net, steps = classifier(backend), classifier(backend)
    net.fit(*toy, epochs=2, batch_size=40)
    net.fit(*toy, epochs=1, batch_size=40)
    orders = [get_backend(backend).permutation(net.seed, epoch, 150) for epoch in range(3)]
    assert len({order.tobytes() for order in orders}) == 3
    for order in orders:
        for start in range(0, 150, 40):
            rows = order[start : start + 40]
            steps.step(toy[0][rows], toy[1][rows])
    assert parameters(net) == parameters(steps)


def test_patience_begins_again_with_every_improvement():
    net = fastmlp.MLP([2, 1], seed=0)
    stop = fastmlp.EarlyStopping("loss", patience=2)
    stop.on_train_begin(net, {"names": ["loss"]})
    losses = [9.0, 9.5, 8.0, 8.5, 7.0, 7.0, 6.0, 6.5]
    assert not any(stop.on_epoch_end(net, {"loss": loss, "epoch": epoch}) for epoch, loss in enumerate(losses, 1))
    assert stop.on_epoch_end(net, {"loss": 6.5, "epoch": 9})
    assert (stop.best, stop.best_epoch, stop.stopped_epoch) == (6.0, 7, 9)


def test_an_epoch_whose_last_step_is_done_counts_when_a_signal_ends_it(backend, toy, monkeypatch):
    """What goes on afterwards is the next epoch, not the same shuffle once more."""
    net, undisturbed = classifier(backend), classifier(backend)
    net.step(*toy)
    undisturbed.step(*toy)
    engine = net._learner.engine

    class Late:
        def __getattr__(self, name):
            return getattr(engine, name)

        def train(self, *arguments):
            engine.train(*arguments)
            raise Alarm

    with monkeypatch.context() as patch, pytest.raises(Alarm):
        patch.setattr(net._learner, "engine", Late())
        net.fit(*toy, epochs=3)
    undisturbed.fit(*toy, epochs=1)
    assert (net.n_steps, net.n_epochs) == (6, 1)
    assert net.history.loss == undisturbed.history.loss
    net.fit(*toy, epochs=1)
    undisturbed.fit(*toy, epochs=1)
    assert parameters(net) == parameters(undisturbed)
