"""Signals in the middle of a training: it ends after a whole step, and the counters are right."""

import gc
import os
import signal

import numpy as np
import pytest
from conftest import parameters
from small_networks import classifier

import fastmlp
from fastmlp.train.learner import Learner


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


@pytest.mark.parametrize(("callbacks", "finished"), [([lambda net, logs: None], 1), ([], 3)], ids=["one", "several"])
def test_epochs_whose_last_step_is_done_count_when_a_signal_ends_them(backend, toy, monkeypatch, callbacks, finished):
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
        net.fit(*toy, epochs=3, callbacks=callbacks)
    undisturbed.fit(*toy, epochs=finished)
    assert (net.n_steps, net.n_epochs) == (1 + 5 * finished, finished)
    assert net.history.loss == undisturbed.history.loss
    net.fit(*toy, epochs=1)
    undisturbed.fit(*toy, epochs=1)
    assert parameters(net) == parameters(undisturbed)
