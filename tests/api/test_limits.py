"""The ends of a training: epochs, steps, seconds, a loss that is reached or no longer falls; and its lines."""

import itertools
import time

import numpy as np
import pytest

import fastmlp

RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 3))
Y = X[:, :1] * X[:, 1:2]


def a_net(backend, **given):
    return fastmlp.MLP([3, 8, 1], seed=0, dtype="float64", backend=backend, **given)


@pytest.mark.parametrize("max_steps", [1, 7, 10, 25, 29])
def test_max_steps_stops_between_any_two_steps(backend, max_steps):
    net, other = a_net(backend, dropout=0.2), a_net(backend, dropout=0.2)
    history = net.fit(X, Y, batch_size=7, epochs=None, max_steps=max_steps)
    assert (history.stopped, net.n_steps, net.n_epochs) == ("max_steps", max_steps, max_steps // 10)
    assert len(history.epoch) == max_steps // 10
    if net.n_epochs:
        whole = other.fit(X, Y, batch_size=7, epochs=net.n_epochs)
        assert (whole.loss, whole.stopped) == (history.loss, "epochs")
        if max_steps == 10 * net.n_epochs:
            assert all(map(np.array_equal, net.weights, other.weights))


def test_what_comes_first_ends_a_training(backend):
    net = a_net(backend)
    given = {"epochs": 5, "max_steps": 100, "max_seconds": 1e6, "tol": 0.0, "patience": 50, "target_loss": 0.0}
    assert net.fit(X, Y, **given).stopped == "epochs"
    assert net.fit(X, Y, **given | {"epochs": 500}).stopped == "max_steps"
    assert net.n_steps == 5 * 3 + 100


@pytest.mark.parametrize("names", [("loss",), ("loss", "val_loss")], ids=len)
def test_a_tolerance_stops_as_early_stopping_does(backend, names):
    data = (X, -Y) if len(names) > 1 else None  # which gets worse
    stop = fastmlp.EarlyStopping(names[-1], patience=3, min_delta=0.01, restore_best=False)
    expected = a_net(backend).fit(X, Y, epochs=200, validation_data=data, callbacks=[stop])
    history = a_net(backend).fit(X, Y, epochs=None, tol=0.01, patience=3, validation_data=data)
    assert history[names[-1]] == expected[names[-1]]
    assert (history.stopped, expected.stopped) == ("tol", "EarlyStopping")
    assert len(history.epoch) < 200


def test_a_target_is_reached(backend):
    losses = a_net(backend).fit(X, Y, epochs=8).loss
    history = a_net(backend).fit(X, Y, epochs=8, target_loss=losses[4])
    assert (history.loss, history.stopped) == (losses[:5], "target_loss")


def test_seconds_are_those_of_the_clock(backend, monkeypatch):
    clock = itertools.count()  # a second goes by whenever somebody looks
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    net = a_net(backend)
    assert net.fit(X, Y, epochs=None, max_seconds=30.0, batch_size=1).stopped == "max_seconds"
    assert 0 < net.n_steps < 70 < 3 * 70
    assert net.n_epochs == 0


def test_who_stopped_a_training(backend):
    def enough(net, logs):
        return True

    def broken(net, logs):
        raise ZeroDivisionError

    net = a_net(backend)
    assert net.history.stopped is None
    assert net.fit(X, Y, callbacks=[enough]).stopped == "enough"
    with pytest.raises(ZeroDivisionError):
        net.fit(X, Y, callbacks=[broken])
    assert net.history.stopped == "exception"
    assert net.fit(X, Y, epochs=1).stopped == net.history.stopped == "epochs"


def test_a_search_has_these_ends_too(backend):
    pytest.importorskip("scipy")
    net = a_net(backend)
    assert net.fit(X, Y, epochs=None, optimizer="lbfgs", target_loss=0.1).stopped == "target_loss"
    assert net.fit(X, Y, epochs=3, optimizer="lbfgs").stopped == "epochs"
    with pytest.raises(ValueError, match="max_steps counts steps, of which LBFGS makes none"):
        net.fit(X, Y, optimizer="lbfgs", max_steps=3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": None}, "epochs must be an integer, got None, which goes on until something else ends the training"),
        ({"max_steps": 0}, "max_steps must be"),
        ({"max_seconds": 0.0}, "max_seconds must be"),
        ({"tol": -1.0}, "tol must be"),
        ({"patience": 0}, "patience must be"),
        ({"target_loss": float("nan")}, "target_loss must be"),
        ({"verbose": 3}, "verbose must be"),
    ],
)
def test_wrong_limits_are_refused(given, message):
    net = a_net(None)
    with pytest.raises((TypeError, ValueError), match=message):
        net.fit(X, Y, **given)
    assert net.n_steps == 0


class Terminal:
    """Standard output that says it is a terminal, and notes what is printed."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return True


def test_lines_are_those_of_keras(backend, capsys):
    net = a_net(backend)
    net.fit(X, Y, epochs=2, verbose=2, batch_size=7, validation_data=(X, Y))
    first, line, *rest = capsys.readouterr().out.splitlines()
    assert first == "Epoch 1/2"
    assert line.startswith("10/10 - ")
    assert f"/step - loss: {net.history.loss[0]:.4f} - val_loss: {net.history.val_loss[0]:.4f} - val_r2: " in line
    assert len(rest) == 2
    net.fit(X, Y, epochs=1, verbose=1)
    assert capsys.readouterr().out.splitlines()[0] == "Epoch 3/3"


def test_a_line_moves_in_a_terminal(backend, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setattr(fastmlp.train.lines.Lines, "often", 1)  # every step
    a_net(backend).fit(X, Y, epochs=1, verbose=1, batch_size=35)
    head, *moves = terminal.text.replace("\n", "\r").split("\r")
    assert head == "Epoch 1/1"
    assert moves[1].startswith("1/2 [===============...............] - ETA: ")
    assert moves[3].startswith("2/2 [==============================] - ")
    assert terminal.text.endswith("\n")
