"""Several epochs in one call of the engine: what comes of them is what comes of one after the other."""

import signal

import numpy as np
import pytest
from conftest import parameters

import fastmlp
from fastmlp.spec import Run
from fastmlp.train.epoch import Epoch

RNG = np.random.default_rng(0)
N = 50
X, Y = RNG.normal(size=(N, 6)), RNG.integers(0, 3, N)
WEIGHT = RNG.random(N)


def see(net, logs):
    """A callback that looks at each epoch: then they are made one by one."""


class Calls:
    """Numbers of epochs of the engine's calls."""

    def __init__(self, monkeypatch):
        self.of, run = [], Epoch.run

        def noted(epoch):
            self.of.append(epoch.ahead)
            run(epoch)

        monkeypatch.setattr(Epoch, "run", noted)


@pytest.fixture
def calls(monkeypatch):
    return Calls(monkeypatch)


def network(backend, **options):
    return fastmlp.MLP([6, 9, 3], output="softmax", seed=3, backend=backend, **options)


def state(net):
    learner = net._learner
    finished = net.n_epochs, net.n_steps, learner.steps_trained, learner.rows_trained
    history = net.history
    return parameters(net), finished, history.epoch, history.loss, len(history.seconds)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    ("options", "given"),
    [
        ({}, {"batch_size": 8}),
        ({}, {"batch_size": 25, "shuffle": False, "sample_weight": WEIGHT}),
        ({"dropout": 0.3, "input_noise": 0.1, "l2": 0.01}, {"batch_size": 7, "ema": 0.9}),
        ({"norm": "batch", "activation": "gelu"}, {"batch_size": 16, "class_weight": "balanced"}),
        ({"dtype": "float64"}, {"batch_size": 8, "clip_norm": 0.5, "lr_factors": {"bias": 0.1}}),
        ({}, {"batch_size": 300}),
    ],
    ids=["plain", "weights", "random", "norm", "clipped", "one batch"],
)
def test_they_are_those_that_are_made_one_by_one(backend, calls, options, given, threads):
    several, one_by_one = network(backend, **options), network(backend, **options)
    for epochs in (9, 1, 40):
        several.fit(X, Y, epochs=epochs, threads=threads, **given)
    made = len(calls.of)
    assert max(calls.of) > 1
    for epochs in (9, 1, 40):
        one_by_one.fit(X, Y, epochs=epochs, threads=threads, callbacks=[see], **given)
    assert set(calls.of[made:]) == {1}
    assert state(several) == state(one_by_one)


def test_microbatches_of_each_epoch_are_cut_as_ever(backend, calls):
    rng = np.random.default_rng(1)
    rows, targets = rng.normal(size=(700, 6)), rng.integers(0, 3, 700)
    several, one_by_one = network(backend), network(backend)
    several.fit(rows, targets, epochs=5, batch_size=512)
    one_by_one.fit(rows, targets, epochs=5, batch_size=512, callbacks=[see])
    assert calls.of == [5, 1, 1, 1, 1, 1]
    assert state(several) == state(one_by_one)


@pytest.mark.parametrize(
    "given",
    [
        {"validation_data": (X, Y)},
        {"metrics": ["accuracy"]},
        {"per_sample": True},
        {"swa": 2},
        {"mixup": 0.2},
        {"max_steps": 20},
        {"tol": 0.0},
        {"optimizer": fastmlp.Adam(fastmlp.schedules.Exponential(0.01, 10, 0.9))},
        {"callbacks": [see]},
    ],
    ids=lambda given: next(iter(given)),
)
def test_who_has_to_see_each_epoch_has_them_made_one_by_one(calls, given):
    network("numpy").fit(X, Y, epochs=3, batch_size=8, **given)
    assert set(calls.of) == {1}


@pytest.mark.parametrize("step", [1, 2, 7])
def test_a_loss_that_is_not_finite_is_that_of_its_epoch(backend, calls, step):
    """From some step on all are: the data go bad, in the middle of a call of the engine."""

    def diverge(**given):
        net, rows = network(backend, dtype="float64"), X.copy()
        net.fit(rows, Y, epochs=40, batch_size=8)
        order = net._backend.permutation(net.seed, 42, N)
        rows[order[(step - 1) * 8]] = 1e308
        before = parameters(net)
        with pytest.raises(fastmlp.TrainingDiverged) as caught:
            net.fit(rows, Y, epochs=9, batch_size=8, **given)
        error = caught.value
        return before, parameters(net), net.n_epochs, error.epoch, error.step, error.history.loss, net.history.epoch

    assert diverge() == diverge(callbacks=[see])


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="POSIX only")
@pytest.mark.parametrize("seconds", [0.004, 0.011, 0.02])
def test_a_signal_leaves_the_epochs_that_were_finished_and_a_training_that_goes_on(seconds, monkeypatch):
    class Alarm(Exception):
        pass

    seen, run = [], Epoch.run

    def timed(epoch):
        if epoch.number == 1:  # not before the training has begun, however busy the machine is
            signal.setitimer(signal.ITIMER_REAL, seconds)
        run(epoch)

    def ring(number, frame):
        if not net._learner.engine.running():  # between two calls of the engine
            signal.setitimer(signal.ITIMER_REAL, 0.001)
            return
        seen.append((net.n_epochs, net.n_steps))
        raise Alarm

    rows, targets = np.tile(X, (4, 1)), np.tile(Y, 4)
    net, undisturbed = network(None), network(None)
    before = signal.signal(signal.SIGALRM, ring)
    monkeypatch.setattr(Epoch, "run", timed)
    try:
        with pytest.raises(Alarm):
            net.fit(rows, targets, epochs=100_000, batch_size=8)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    monkeypatch.undo()
    finished, steps = seen[0]
    assert finished == steps // 25 == net.n_epochs == len(net.history.epoch)
    assert net.n_steps == steps
    undisturbed.fit(rows, targets, epochs=finished + 3, batch_size=8)
    assert net.history.loss == undisturbed.history.loss[:finished]
    net.fit(rows, targets, epochs=finished + 3, batch_size=8, resume=True)
    assert state(net) == state(undisturbed)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epoch_rows": 7}, "50 rows are not whole epochs of 7"),
        ({"epoch_rows": -1}, "50 rows are not whole epochs of -1"),
        ({"epoch_rows": 25, "mixing": np.zeros(8)}, "neither cut into shares nor mixed"),
    ],
)
def test_an_engine_refuses_what_are_no_epochs(backend, given, message):
    net = network(backend)
    net.fit(X, Y, epochs=1)
    engine = net._learner.engine
    labels, order = Y.astype(np.int32), np.arange(N)
    losses = np.empty(8)
    run = Run(X, labels, None, order, 8, net._learner.optimizer.scalars(0, 8), losses, **given)
    with pytest.raises(ValueError, match=message):
        engine.train(run, 1)
