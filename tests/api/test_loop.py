"""The loop of train/: sources, callbacks that look on inside an epoch, what becomes of losses that are not finite."""

import numpy as np
import pytest

import fastmlp
from fastmlp.data import Data
from fastmlp.train import learner, loop
from fastmlp.train.callbacks import LoopCallback
from fastmlp.train.epoch import Epoch
from fastmlp.train.source import Arrays, Chunk, SparseRows, in_order

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(50, 3)), RNG.normal(size=(50, 1))
WEIGHT = RNG.random(50)


class Report:
    """The epochs' losses, weighted by batch."""

    names = ("epoch", "loss")
    modes = {"loss": "min"}  # noqa: RUF012
    only_losses = False

    def __init__(self):
        self.losses = []

    def __call__(self, epoch):
        self.losses.append(float(np.average(epoch.losses, weights=epoch.weights)))
        return {"epoch": epoch.number, "loss": self.losses[-1]}


class Notes(LoopCallback):
    """Everything that a callback hears."""

    def __init__(self, every=None, stop=None):
        self.every, self.stop, self.heard = every, stop, []

    def on_train_begin(self, net, logs):
        self.heard.append(("train begin", logs["epochs"]))

    def on_epoch_begin(self, net, logs):
        self.heard.append(("begin", logs["epoch"]))

    def on_steps(self, net, logs):
        self.heard.append(("steps", logs["steps"], logs["rows"]))

    def on_non_finite(self, net, logs):
        self.heard.append(("non-finite", logs["epoch"], logs["step"]))

    def on_epoch_end(self, net, logs):
        self.heard.append(("end", logs["epoch"]))
        return logs["epoch"] == self.stop

    def on_train_end(self, net, logs):
        self.heard.append(("train end", logs["epoch"]))

    def close(self):
        self.heard.append(("close",))


def a_net(backend=None):
    return fastmlp.MLP([3, 4, 1], seed=0, dtype="float64", backend=backend)


def train(net, source, callbacks=(), epochs=3, batch_size=7, optimizer=None):
    epoch, report = Epoch(net._learner, source, batch_size, 1), Report()
    stopped = loop.fit(epoch, epochs, report, callbacks, net, optimizer or fastmlp.SGD(0.1))
    return stopped, report.losses


def arrays(weight=None):
    return Arrays(Data(X, Y, weight), in_order(len(X)))


def test_callbacks_hear_of_everything_in_turn(backend):
    notes = Notes(stop=2)
    stopped, losses = train(a_net(backend), arrays(), [notes])
    assert stopped
    assert len(losses) == 2
    epochs = [("begin", 1), ("end", 1), ("begin", 2), ("end", 2)]
    assert notes.heard == [("train begin", 3), *epochs, ("close",), ("train end", 2)]


@pytest.mark.parametrize("every", [1, 3, 8, 100, 0.0, 1e-9, 1000.0])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["no weight", "weight"])
def test_who_looks_on_in_the_middle_of_an_epoch_changes_nothing(backend, every, weight):
    net, other, notes = a_net(backend), a_net(backend), Notes(every)
    assert train(net, arrays(weight), [notes]) == train(other, arrays(weight))
    assert all(map(np.array_equal, net.weights, other.weights))
    steps = [note[1:] for note in notes.heard if note[0] == "steps"]
    assert sum(steps for steps, _ in steps) == 3 * 8
    assert sum(rows for _, rows in steps) == 3 * 50
    if isinstance(every, int):
        assert max(steps for steps, _ in steps) == min(every, 8)
        assert len(steps) == len({*range(every, 25, every), 8, 16, 24})


def test_the_one_who_wants_to_look_most_often_sets_the_pace():
    seldom, often = Notes(6), Notes(2)
    train(a_net(), arrays(), [seldom, often], epochs=1)
    assert [note for note in seldom.heard if note[0] == "steps"] == [note for note in often.heard if note[0] == "steps"]
    assert ("steps", 2, 8) in often.heard  # the last batch has one row


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["no weight", "weight"])
def test_sparse_rows_train_as_the_same_dense_ones(backend, monkeypatch, weight):
    sparse = pytest.importorskip("scipy.sparse")
    monkeypatch.setattr(fastmlp.data.sparse, "DENSE_NUMBERS", 3 * 20)  # 14 rows: two batches
    source = SparseRows(sparse.csr_matrix(X), Y, weight, in_order(len(X)))
    assert [len(chunk.order) for chunk in source.chunks(0, 7)] == [14, 14, 14, 8]
    net, other = a_net(backend), a_net(backend)
    assert train(net, source) == train(other, arrays(weight))
    assert all(map(np.array_equal, net.weights, other.weights))
    assert net.n_steps == other.n_steps == 24
    assert net.n_epochs == other.n_epochs == 3


class Pieces:
    """A source that somebody else wrote: two arrays, one after the other."""

    n_rows = len(X)

    def chunks(self, epoch, batch_size):
        cut = 3 * batch_size
        yield Chunk(Data(X[:cut], Y[:cut]), np.arange(cut))
        yield Chunk(Data(X[cut:], Y[cut:]), np.arange(len(X) - cut))


def test_a_source_is_all_that_new_data_need(backend):
    net, other, notes = a_net(backend), a_net(backend), Notes(2)
    assert train(net, Pieces(), [notes]) == train(other, arrays())
    assert all(map(np.array_equal, net.weights, other.weights))
    assert [note[1] for note in notes.heard if note[0] == "steps"][:4] == [2, 1, 1, 2]


def test_a_loss_that_is_not_finite_ends_the_epoch_and_not_the_training(backend):
    y = Y.copy()
    y[30] = 1e200
    notes, net = Notes(), a_net(backend)
    stopped, losses = train(net, Arrays(Data(X, y), in_order(len(X))), [notes])
    assert not stopped
    assert np.isnan(losses).all()
    assert [note for note in notes.heard if note[0] == "non-finite"] == [("non-finite", 1, 5)] * 3
    assert net.n_steps == 3 * 4
    assert net.n_epochs == 0  # none was finished


@pytest.mark.parametrize("method", ["on_train_begin", "on_epoch_begin", "on_steps", "on_epoch_end"])
def test_an_exception_of_a_callback_closes_the_others_once_training_has_begun(method):
    def fail(self, net, logs):
        raise ZeroDivisionError

    notes, net = Notes(), a_net()
    bad = type("Bad", (Notes,), {method: fail})(3)
    with pytest.raises(ZeroDivisionError):
        train(net, arrays(), [notes, bad])
    assert (notes.heard[-1] == ("close",)) == (method != "on_train_begin")
    assert net.n_epochs == (method == "on_epoch_end")
    train(net, arrays())
    assert net.n_epochs == 3 + (method == "on_epoch_end")


@pytest.mark.parametrize("factors", [None, {"bias": 0.5}], ids=["plain", "factors"])
def test_scalars_that_are_made_ahead_are_those_of_each_epoch_made_alone(monkeypatch, factors):
    def trained(ahead):
        monkeypatch.setattr(learner, "AHEAD", ahead)
        net = fastmlp.MLP([3, 4, 1], dtype="float64", seed=0)

        def change(net, logs):
            if logs["epoch"] in (40, 55):  # in the middle of what is ahead, and to an equal one
                net.optimizer = fastmlp.Adam(0.02, beta1=0.8)

        net.fit(X, Y, epochs=100, batch_size=20, optimizer=fastmlp.Adam(0.01), callbacks=[change], lr_factors=factors)
        net.fit(X, Y, epochs=20, batch_size=20, optimizer=fastmlp.Adam(fastmlp.schedules.Exponential(0.1, 10, 0.9)))
        net.fit(X, Y, epochs=20, batch_size=20, optimizer=fastmlp.Adam(0.01))
        return np.concatenate([array.ravel() for array in net.weights + net.biases])

    np.testing.assert_array_equal(trained(256), trained(0))
