"""`fit(swa=...)`: the mean of the weights at the ends of epochs, however a training is cut, and what is refused."""

import numpy as np
import pytest
from conftest import parameters

import fastmlp
from fastmlp.train.epoch import Epoch
from fastmlp.train.metrics import Measured

RNG = np.random.default_rng(8)
X = RNG.normal(size=(30, 3))
Y = np.tanh(X[:, :2] - X[:, 1:])
FITTING = {"batch_size": 7, "optimizer": "adam"}


def network(backend, **arguments):
    return fastmlp.MLP([3, 7, 2], activation="tanh", seed=1, backend=backend, **arguments)


def test_it_is_the_mean_over_epochs_from_the_first_on(backend):
    net, plain, told = network(backend, dtype="float64"), network(backend, dtype="float64"), []
    net.fit(X, Y, epochs=6, swa=3, callbacks=[lambda net, logs: told.append([*net.weights, *net.biases])], **FITTING)
    plain.fit(X, Y, epochs=6, **FITTING)
    assert parameters(net) == parameters(plain)
    mean = net.averaged()
    for place, found in enumerate([*mean.weights, *mean.biases]):
        np.testing.assert_allclose(found, np.mean([each[place] for each in told[2:]], axis=0), rtol=1e-12)


def test_a_training_that_is_cut_has_the_same_bits(backend, tmp_path):
    whole, cut = network(backend), network(backend)
    whole.fit(X, Y, epochs=6, swa=3, **FITTING)
    for epochs in (2, 1, 2, 1):
        cut.fit(X, Y, epochs=epochs, swa=3, **FITTING)
        cut.save(tmp_path / "m")
        cut = fastmlp.load(tmp_path / "m", backend=backend)
    assert parameters(cut.averaged()) == parameters(whole.averaged()) != parameters(whole)


def test_it_begins_with_the_first_epochs_weights(backend):
    net = network(backend)
    net.fit(X, Y, epochs=1, ema=0.9, **FITTING)
    net.fit(X, Y, epochs=2, swa=3, **FITTING)
    assert parameters(net.averaged()) == parameters(net)


def test_a_divergence_takes_it_back(backend):
    net = network(backend)
    net.fit(X, Y, epochs=3, swa=2, **FITTING)
    before = parameters(net.averaged())
    with pytest.raises(fastmlp.TrainingDiverged), np.errstate(all="ignore"):
        net.fit(X, Y, epochs=200, swa=2, batch_size=7, optimizer=fastmlp.SGD(1e9))
    assert np.isfinite(net.averaged().predict(X)).all()
    assert parameters(net.averaged()) == before


@pytest.mark.parametrize("resumed", [True, False])
@pytest.mark.parametrize(("kind", "method"), [(Epoch, "run"), (Measured, "_evaluate")])
def test_a_finished_epoch_that_is_not_measured_is_taken_in_once(backend, monkeypatch, kind, method, resumed):
    whole, cut, call = network(backend), network(backend), getattr(kind, method)
    whole.fit(X, Y, epochs=4, swa=2, **FITTING)

    def interrupted(self, *arguments):
        call(self, *arguments)
        if cut.n_epochs == 3:
            monkeypatch.undo()
            if kind is Measured:
                raise KeyboardInterrupt
            self.exception = KeyboardInterrupt()  # it came with the last step

    monkeypatch.setattr(kind, method, interrupted)
    with pytest.raises(KeyboardInterrupt):
        cut.fit(X, Y, epochs=4, swa=2, **FITTING)
    cut.fit(X, Y, swa=2, **FITTING, **({"epochs": 4, "resume": True} if resumed else {"epochs": 1}))
    assert parameters(cut) == parameters(whole)
    assert parameters(cut.averaged()) == parameters(whole.averaged())


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"swa": 0}, ValueError, "swa"),
        ({"swa": 1.5}, TypeError, "swa"),
        ({"swa": 1}, ValueError, "swa must be an epoch that is still to come, 2 or a later one"),
        ({"swa": 3, "ema": 0.9}, ValueError, "give one of them"),
        ({"swa": 3, "optimizer": "schedule_free_adamw"}, ValueError, "swa is not for ScheduleFreeAdamW"),
        ({"swa": 3, "optimizer": "lbfgs"}, ValueError, "of which LBFGS makes none"),
    ],
)
def test_what_is_refused(backend, given, error, words):
    net = network(backend)
    net.fit(X, Y, epochs=1, **FITTING)
    before = parameters(net)
    with pytest.raises(error, match=words):
        net.fit(X, Y, **(FITTING | given))
    assert parameters(net) == before
