"""Epochs, single steps, resuming, optimizers and their state, sample weights, history."""

import dataclasses
import math
import pickle

import numpy as np
import pytest
from conftest import parameters
from engine_calls import states_of
from random_networks import every_optimizer
from small_networks import classifier, regressor

import fastmlp
from fastmlp.runtime import get_backend
from fastmlp.train.history import History

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
