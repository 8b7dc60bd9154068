"""Losses and parameters that are no longer finite: what is said, and what the network goes back to."""

import math
import pickle

import numpy as np
import pytest
from conftest import parameters
from engine_calls import layers_of, set_layers, states_of
from small_networks import regressor

import fastmlp
from fastmlp.train.safety import SNAPSHOT_STEPS

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
    with pytest.raises(fastmlp.TrainingDiverged, match=rf"epoch 4, step 1 of {SNAPSHOT_STEPS}.*end of epoch 2"):
        net.fit(X, X, epochs=9, batch_size=1, callbacks=[explode], optimizer=fastmlp.Adam(0.001))
    assert parameters(net) == explode.seen[1]
    assert (net.n_epochs, net.n_steps) == (2, 2 * SNAPSHOT_STEPS)


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


def test_infinite_weights_under_which_losses_are_finite_do_not_become_the_last_good_ones(backend):
    """The first update overflows; tanh makes 1 of infinity, so that no loss ever tells."""
    net = fastmlp.MLP([1, 1, 1], activation="tanh", seed=0, backend=backend)
    net.weights, net.biases = [np.zeros((1, 1)), np.ones((1, 1))], [np.zeros(1), np.zeros(1)]
    before = parameters(net)
    X, y = np.array([[1e30]], np.float32), np.array([[1e9]], np.float32)
    with pytest.raises(fastmlp.TrainingDiverged):
        net.fit(X, y, epochs=4 * SNAPSHOT_STEPS, optimizer=fastmlp.SGD(1.0))
    assert (parameters(net), net.n_steps, net.n_epochs) == (before, 0, 0)
