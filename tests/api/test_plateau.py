"""ReduceLROnPlateau: when it reduces, what it remembers, what it refuses. (test_torch_schedules.py has PyTorch's.)"""

import copy
import math
import pickle

import numpy as np
import pytest
from conftest import parameters
from small_networks import classifier

import fastmlp
from fastmlp import ReduceLROnPlateau


def told(plateau, values, rate=1.0, seed=0):
    """The learning rate after each of these values of what is watched, of a network that is not trained."""

    class Net:
        def __init__(self):
            self.seed, self.n_epochs, self.optimizer = seed, 0, fastmlp.SGD(rate)

    net, rates = Net(), []
    modes = {"loss": "min", "accuracy": "max"}
    plateau.on_train_begin(net, {"names": tuple(modes), "modes": modes, "optimizer": net.optimizer})
    for value in values:
        net.n_epochs += 1
        assert plateau.on_epoch_end(net, {"epoch": net.n_epochs, plateau.monitor: value}) is None
        rates.append(net.optimizer.learning_rate)
    return rates


@pytest.mark.parametrize(
    ("arguments", "values", "rates"),
    [
        ({"patience": 2, "min_delta": 0.0}, [3, 2, 2, 2, 1, 1, 1], [1, 1, 1, 0.5, 0.5, 0.5, 0.25]),
        ({"patience": 1, "min_delta": 0.0}, [3, 3, 3, 2], [1, 0.5, 0.25, 0.25]),
        ({"patience": 1, "min_delta": 1.0}, [3, 2, 1.5, 0.9], [1, 0.5, 0.5, 0.25]),
        ({"patience": 1, "cooldown": 2}, [3, 3, 3, 3, 3, 3, 3], [1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]),
        ({"patience": 1, "min_lr": 0.3}, [3, 3, 3, 3], [1, 0.5, 0.3, 0.3]),
        ({"patience": 2}, [math.nan, math.nan, 3, math.nan, math.nan], [1, 0.5, 0.5, 0.5, 0.25]),
        ({"patience": 1, "monitor": "accuracy"}, [0.5, 0.6, 0.6, 0.4], [1, 1, 0.5, 0.25]),
        ({"patience": 1, "monitor": "accuracy", "mode": "min"}, [0.5, 0.6, 0.6, 0.4], [1, 0.5, 0.25, 0.25]),
    ],
)
def test_rates_by_hand(arguments, values, rates):
    assert told(ReduceLROnPlateau(**{"monitor": "loss", "factor": 0.5} | arguments), values) == rates


def test_a_rate_never_becomes_nothing():
    plateau = ReduceLROnPlateau("loss", factor=0.5, patience=1)
    assert told(plateau, [1.0] * 4, rate=5e-324) == [5e-324] * 4
    assert plateau.reduced_epochs == []


def plateau_and_net(backend, toy):
    plateau = ReduceLROnPlateau("val_loss", factor=0.5, patience=2, min_delta=1e-3, cooldown=1)
    return plateau, classifier(backend), {"optimizer": fastmlp.SGD(0.9, momentum=0.9), "validation_data": toy}


@pytest.mark.parametrize("cut", [3, 7, 10])
def test_a_training_that_is_cut_is_one(tmp_path, backend, toy, cut):
    plateau, net, given = plateau_and_net(backend, toy)
    net.fit(*toy, epochs=20, callbacks=[plateau], **given)
    assert len(plateau.reduced_epochs) > 2
    cut_plateau, part, given = plateau_and_net(backend, toy)
    part.fit(*toy, epochs=cut, callbacks=[cut_plateau], **given)
    part.save(tmp_path / "m")
    rest = {"epochs": 20 - cut, "validation_data": toy}
    for again in (fastmlp.load(tmp_path / "m", backend=backend), pickle.loads(pickle.dumps(part)), part):
        goes_on = pickle.loads(pickle.dumps(cut_plateau)) if again is not part else cut_plateau
        again.fit(*toy, callbacks=[goes_on], **rest)
        assert parameters(again) == parameters(net)
        assert (again.optimizer, goes_on.best) == (net.optimizer, plateau.best)
        assert goes_on.reduced_epochs == plateau.reduced_epochs


def test_elsewhere_it_begins_anew(backend, toy):
    plateau, net, given = plateau_and_net(backend, toy)
    net.fit(*toy, epochs=12, callbacks=[plateau], **given)
    fresh, other, _ = plateau_and_net(backend, toy)
    twin = copy.deepcopy(other)
    other.fit(*toy, epochs=12, callbacks=[plateau], **given)  # used before
    twin.fit(*toy, epochs=12, callbacks=[fresh], **given)
    assert parameters(other) == parameters(twin)
    assert vars(plateau) == vars(fresh)
    net.fit(*toy, epochs=1)  # behind its back
    net.fit(*toy, epochs=1, validation_data=toy, callbacks=[plateau])
    assert plateau.reduced_epochs == []
    assert plateau.best == net.history.val_loss[-1]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ReduceLROnPlateau(3), TypeError, "monitor must be a name such as 'val_loss', got 3"),
        (lambda: ReduceLROnPlateau(factor=1.0), ValueError, "factor must be >= 0 and < 1, got 1.0"),
        (lambda: ReduceLROnPlateau(factor=0.0), ValueError, "factor must be > 0 and < 1, got 0.0"),
        (lambda: ReduceLROnPlateau(patience=0), ValueError, "patience must be >= 1"),
        (lambda: ReduceLROnPlateau(cooldown=-1), ValueError, "cooldown must be >= 0"),
        (lambda: ReduceLROnPlateau(min_lr=-1.0), ValueError, "min_lr must be >= 0"),
        (lambda: ReduceLROnPlateau(mode="up"), ValueError, "mode must be one of 'auto', 'max', 'min'"),
    ],
)
def test_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("optimizer", "monitor", "message"),
    [
        ("adam", "val_loss", "ReduceLROnPlateau's monitor must be one of .*; got 'val_loss'; give fit"),
        (fastmlp.Adam(fastmlp.schedules.Constant(0.1)), "loss", "needs a learning rate that is a number; Constant"),
        ("rprop", "loss", "reduces a learning rate, and Rprop has none that counts"),
        ("lbfgs", "loss", "reduces a learning rate, and LBFGS has none that counts"),
    ],
)
def test_what_it_cannot_watch_or_reduce_is_refused_before_anything_changes(backend, toy, optimizer, monitor, message):
    if optimizer == "lbfgs":
        pytest.importorskip("scipy")
    net = classifier(backend)
    before = parameters(net)
    with pytest.raises(ValueError, match=message):
        net.fit(*toy, optimizer=optimizer, callbacks=[ReduceLROnPlateau(monitor)])
    assert (parameters(net), net.n_epochs, net.optimizer) == (before, 0, None)


def test_repr_is_what_one_types():
    plateau = ReduceLROnPlateau("loss", factor=0.5, patience=3, min_delta=0.0, cooldown=1, min_lr=1e-5, mode="min")
    same = eval(repr(plateau), {"ReduceLROnPlateau": ReduceLROnPlateau})
    assert vars(same) == vars(plateau)
    assert np.isclose(same.factor, 0.5)
