"""LearningRateFinder: the range test, on a copy."""

import pickle
import sys

import numpy as np
import pytest

import fastmlp
from fastmlp.train.finder import _Probe

X = np.random.default_rng(0).normal(size=(60, 3))
Y = X @ [1.0, -2.0, 0.5]


def make(backend, **given):
    return fastmlp.MLP([3, 8, 1], seed=0, dtype="float64", backend=backend, **given)


def test_the_network_goes_on_as_if_nothing_had_been_run(backend):
    nets = [make(backend, dropout=0.2), make(backend, dropout=0.2)]
    for net in nets:
        net.fit(X, Y, epochs=2, optimizer=fastmlp.SGD(0.01, momentum=0.9))
    before = pickle.dumps(nets[0])
    finder = fastmlp.LearningRateFinder(steps=20)
    assert finder.run(nets[0], X, Y) is finder
    assert pickle.dumps(nets[0]) == before
    for net in nets:
        net.fit(X, Y, epochs=2)
    assert all(np.array_equal(a, b) for a, b in zip(nets[0].weights, nets[1].weights, strict=True))
    assert nets[0].history.loss == nets[1].history.loss


def test_rates_rise_geometrically_and_losses_are_those_of_the_steps(backend):
    net, steps = make(backend), 9
    finder = fastmlp.LearningRateFinder(1e-4, 1e-2, steps=steps, smoothing=0.8)
    finder.run(net, X, Y, batch_size=60, optimizer=fastmlp.SGD(3.0, momentum=0.9))
    rates = 1e-4 * 100 ** (np.arange(steps) / (steps - 1))
    np.testing.assert_allclose(finder.rates, rates, rtol=1e-12)
    assert not finder.diverged
    losses = [net.step(X, Y, optimizer=fastmlp.SGD(rate, momentum=0.9)) for rate in finder.rates]
    np.testing.assert_allclose(finder.losses, losses, rtol=1e-12)
    weights = [0.8 ** np.arange(k, -1, -1) for k in range(steps)]
    means = [np.average(losses[: k + 1], weights=weights[k]) for k in range(steps)]
    np.testing.assert_allclose(finder.smoothed, means, rtol=1e-12)


def test_the_optimizer_is_the_networks_own_with_a_fresh_state(backend):
    net, kept = make(backend), make(backend)
    net.fit(X, Y, epochs=3, optimizer=fastmlp.SGD(0.01, momentum=0.9))
    kept.weights, kept.biases = net.weights, net.biases
    ours = fastmlp.LearningRateFinder(steps=10).run(net, X, Y, shuffle=False)
    theirs = fastmlp.LearningRateFinder(steps=10).run(
        kept, X, Y, shuffle=False, optimizer=fastmlp.SGD(9.0, momentum=0.9)
    )
    assert np.array_equal(ours.losses, theirs.losses)
    adam = fastmlp.LearningRateFinder(steps=10).run(kept, X, Y, shuffle=False, optimizer="adam")
    assert not np.array_equal(adam.losses, theirs.losses)


def test_it_stops_where_the_loss_diverges(backend):
    finder = fastmlp.LearningRateFinder(1e-5, 1e3, steps=200).run(make(backend), X, Y, optimizer="sgd")
    made = len(finder.rates)
    assert finder.diverged
    assert 10 < made < 200
    assert len(finder.losses) == len(finder.smoothed) == made
    lowest = np.minimum.accumulate(finder.smoothed)
    assert finder.smoothed[-1] > 4 * lowest[-1]
    assert (finder.smoothed[:-1] <= 4 * lowest[:-1]).all()


@pytest.mark.parametrize(
    ("losses", "stops"),
    [([-1, -2, -4, -3], False), ([-1, -2, -4, -3, 8.1], True), ([3, 1, -1, 2], False), ([1, -0.01, 0.5], False),
     ([1, -0.01, 3.1], True), ([1, 0.5, 1.9], False), ([1, 0.5, 2.1], True)],
)  # fmt: skip
def test_a_loss_below_zero_may_fall_and_rise(losses, stops):
    probe = _Probe(smoothing=1e-9, divergence=4.0)  # 4 times what is above zero, else 3 times the fall or the lowest
    answers = [probe.look(None, {"loss": float(loss)}) for loss in losses]
    assert answers == [False] * (len(losses) - 1) + [stops]


def test_it_stops_where_the_loss_is_not_finite(backend):
    finder = fastmlp.LearningRateFinder(1.0, 1e200, steps=10, divergence=1e300)
    finder.run(make(backend, activation="identity"), X, Y, optimizer="sgd")
    assert finder.diverged
    assert 0 < len(finder.rates) < 10
    assert np.isfinite(finder.losses).all()


def test_the_suggestion_is_where_the_loss_falls_most_steeply():
    finder = fastmlp.LearningRateFinder(1e-6, 1.0, steps=100)
    rates = np.geomspace(1e-6, 1.0, 100)
    curve = 2.0 - np.tanh(np.log10(rates / 1e-3)) + 1e4 * np.maximum(0.0, rates - 0.3)
    noise = 0.01 * (-1.0) ** np.arange(100)
    for smoothed in (curve, curve + noise):  # between neighbours the noise is the steepest
        finder.rates = finder.losses = rates
        finder.smoothed = smoothed
        assert 5e-4 < finder.suggestion < 2e-3


def test_the_suggestion_trains_well(backend):
    net = make(backend)
    finder = fastmlp.LearningRateFinder(1e-5, 10.0, steps=60).run(net, X, Y, optimizer="adam")
    losses = {
        rate: make(backend).fit(X, Y, epochs=20, optimizer=fastmlp.Adam(rate)).loss[-1]
        for rate in (finder.suggestion, finder.suggestion / 1000)
    }
    assert losses[finder.suggestion] < 0.5 * losses[finder.suggestion / 1000]


def test_batches_serve_as_data(backend):
    batches = [(X[k : k + 20], Y[k : k + 20]) for k in (0, 20, 40)]
    ours = fastmlp.LearningRateFinder(steps=7).run(make(backend), batches)
    theirs = fastmlp.LearningRateFinder(steps=7).run(make(backend), X, Y, batch_size=20, shuffle=False)
    assert np.array_equal(ours.losses, theirs.losses)


def test_batches_that_can_be_read_once_serve_as_far_as_they_go(backend):
    batches = [(X[k : k + 20], Y[k : k + 20]) for k in (0, 20, 40)]
    ours = fastmlp.LearningRateFinder(steps=7).run(make(backend), iter(batches))
    theirs = fastmlp.LearningRateFinder(steps=7).run(make(backend), batches)
    np.testing.assert_array_equal(ours.losses, theirs.losses[:3])
    np.testing.assert_array_equal(ours.rates, theirs.rates[:3])
    assert not ours.diverged


def test_a_first_loss_that_is_not_finite(backend):
    finder = fastmlp.LearningRateFinder().run(make(backend), np.full((8, 3), 1e300), np.zeros(8))
    assert finder.diverged
    assert not len(finder.rates)
    for use in (finder.plot, lambda: finder.suggestion):
        with pytest.raises(RuntimeError, match="there is nothing to .*: the loss of the first batch is not finite"):
            use()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"low": 0.0}, "low must be"),
        ({"low": 1.0, "high": 1.0}, "high must be larger than low=1.0, got 1.0"),
        ({"steps": 1}, "steps must be"),
        ({"divergence": 1.0}, "divergence must be > 1"),
        ({"smoothing": 1.0}, "smoothing must be"),
    ],
)
def test_arguments_are_checked(given, message):
    with pytest.raises(ValueError, match=message):
        fastmlp.LearningRateFinder(**given)


def test_what_has_no_rate_and_what_was_not_run(backend):
    finder, net = fastmlp.LearningRateFinder(steps=5), make(backend)
    with pytest.raises(ValueError, match="Rprop has none that counts in every step"):
        finder.run(net, X, Y, optimizer="rprop")
    with pytest.raises(TypeError, match="LBFGS"):
        finder.run(net, X, Y, optimizer="lbfgs")
    for ask in (lambda: finder.suggestion, finder.plot):
        with pytest.raises(RuntimeError, match=r"call run\(net, X, y\) before"):
            ask()
    finder.run(net, X, np.zeros(60), optimizer=fastmlp.SGD())
    finder.smoothed = np.arange(5.0)
    with pytest.raises(RuntimeError, match=r"the loss falls nowhere in 5 steps with rates from 1e-06 to 1: try"):
        finder.suggestion  # noqa: B018


def test_the_plot_shows_the_suggestion(monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    finder = fastmlp.LearningRateFinder(1e-5, 10.0, steps=60).run(make(None), X, Y)
    ax = finder.plot()
    losses, smoothed, suggestion = ax.get_lines()
    assert np.array_equal(losses.get_xdata(), finder.rates)
    assert np.array_equal(losses.get_ydata(), finder.losses)
    assert np.array_equal(smoothed.get_ydata(), finder.smoothed)
    assert suggestion.get_xdata()[0] == finder.suggestion
    assert ax.get_xscale() == "log"
    assert finder.plot(ax) is ax
    finder.smoothed = np.arange(float(len(finder.rates)))  # falls nowhere
    assert len(finder.plot(plt.subplots()[1]).get_lines()) == 2
    plt.close("all")


def test_the_plot_needs_matplotlib(backend, monkeypatch):
    finder = fastmlp.LearningRateFinder(steps=5).run(make(backend), X, Y)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'fastmlp\[plot\]'"):
        finder.plot()
