"""Rows that are held out, and several sets that are measured after every epoch."""

import tracemalloc

import numpy as np
import pytest

import fastmlp
from fastmlp.data import Data, chosen, split_rows

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(103, 4)), np.repeat([0, 1, 2], [60, 40, 3])


def a_net(backend, seed=0, **given):
    return fastmlp.MLP([4, 8, 3], output="softmax", seed=seed, dtype="float64", backend=backend, **given)


def the_split(net, y, share):
    spec = net._learner.spec
    return split_rows(spec, Data(X, y), share, net._backend.permutation, net.seed)


@pytest.mark.parametrize("share", [0.1, 0.25, 1 / 3, 0.5, 0.9])
@pytest.mark.parametrize("y", [LABELS.astype(np.int32), np.eye(3)[LABELS]], ids=["labels", "one-hot"])
def test_each_class_has_its_share_of_what_is_held_out(backend, share, y):
    train, held = the_split(a_net(backend), y, share)
    assert sorted([*train, *held]) == list(range(103))
    assert len(held) == round(share * 103)
    for label, count in enumerate([60, 40, 3]):
        assert abs(np.sum(LABELS[held] == label) - len(held) / 103 * count) < 1
    assert (np.diff(train) > 0).all()
    assert (np.diff(held) > 0).all()


def test_the_seed_alone_decides_what_is_held_out(backend):
    y = LABELS.astype(np.int32)
    same, other = the_split(a_net(None), y, 0.3), the_split(a_net(backend, seed=1), y, 0.3)
    assert all(map(np.array_equal, the_split(a_net(backend), y, 0.3), same))
    assert not np.array_equal(same[1], other[1])


@pytest.mark.parametrize("weight", [None, RNG.random(103)], ids=["no weight", "weight"])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_to_hold_out_is_to_train_on_the_others_and_to_measure_these(backend, weight, class_weight):
    net, other = a_net(backend), a_net(backend)
    given = {"epochs": 3, "shuffle": False, "batch_size": 16, "class_weight": class_weight, "train_metrics": True}
    history = net.fit(X, LABELS, validation_split=0.3, sample_weight=weight, **given)
    train, held = the_split(net, LABELS.astype(np.int32), 0.3)
    weights = [None if weight is None else weight[rows] for rows in (train, held)]
    validation = (X[held], LABELS[held], *([] if weight is None else [weights[1]]))
    expected = other.fit(X[train], LABELS[train], sample_weight=weights[0], validation_data=validation, **given)
    assert all(map(np.array_equal, net.weights, other.weights))
    for name in ("loss", "val_loss", "val_accuracy", "accuracy"):
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-15)


def test_rows_are_shuffled_among_those_that_are_trained_on(backend):
    net, other = a_net(backend), a_net(backend)
    net.fit(X, LABELS, epochs=2, validation_split=0.3)
    train, _ = the_split(net, LABELS.astype(np.int32), 0.3)
    other.fit(X[train], LABELS[train], epochs=2)
    assert all(map(np.array_equal, net.weights, other.weights))


def test_a_search_holds_out_the_same_rows(backend):
    pytest.importorskip("scipy")
    net, other = a_net(backend), a_net(backend)
    net.fit(X, LABELS, epochs=3, optimizer="lbfgs", validation_split=0.3)
    train, _ = the_split(net, LABELS.astype(np.int32), 0.3)
    other.fit(X[train], LABELS[train], epochs=3, optimizer="lbfgs")
    assert all(map(np.array_equal, net.weights, other.weights))


def test_held_out_rows_are_not_copied_as_a_whole():
    big, y = np.zeros((200_000, 40), np.float32), np.zeros(200_000)
    net = fastmlp.MLP([40, 1], seed=0)
    tracemalloc.start()
    net.fit(big, y, epochs=1, batch_size=4096, validation_split=0.5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < big.nbytes // 2


def test_several_sets_are_measured_under_their_names(backend):
    sets = {"val": (X[:30], LABELS[:30]), "test": (X[30:], LABELS[30:], np.arange(73.0))}
    net = a_net(backend)
    stop = fastmlp.EarlyStopping("test_accuracy", patience=50)
    history = net.fit(X, LABELS, epochs=3, validation_data=sets, callbacks=[stop], metrics=["accuracy", "log_loss"])
    assert set(history) >= {"val_loss", "test_loss", "val_accuracy", "test_accuracy", "test_log_loss"}
    net = a_net(backend)
    last = net.fit(X, LABELS, epochs=3, validation_data=sets).test_loss[-1]
    assert last == net.evaluate(*sets["test"])["loss"]
    assert last != net.evaluate(*sets["val"])["loss"]


def test_what_is_held_out_goes_with_a_named_set(backend):
    history = a_net(backend).fit(X, LABELS, epochs=1, validation_split=0.2, validation_data={"test": (X, LABELS)})
    assert set(history) >= {"val_loss", "test_loss"}


def test_every_set_has_to_have_a_finite_loss(backend):
    bad = X.copy()
    bad[0] = 1e300
    net = fastmlp.MLP([4, 3], activation="relu", dtype="float64", seed=0, backend=backend)
    y = RNG.normal(size=(103, 3))
    sets = {"val": (X, y), "test": (bad, y)}
    with pytest.raises(fastmlp.TrainingDiverged, match="the test_loss became inf after epoch 1"):
        net.fit(X, y, epochs=2, validation_data=sets)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"validation_split": 0.0}, ValueError, "validation_split must be"),
        ({"validation_split": 1.0}, ValueError, "validation_split must be"),
        ({"validation_split": 1e-3}, ValueError, "leaves none on one side"),
        ({"validation_split": "a"}, TypeError, "validation_split must be"),
        ({"validation_split": 0.5, "validation_data": (X, LABELS)}, ValueError, "holds out the set 'val'"),
        ({"validation_data": {"a b": (X, LABELS)}}, ValueError, "validation_data has the name 'a b'"),
        ({"validation_data": {"test": X}}, TypeError, r"validation_data\['test'\] must be \(X, y\)"),
        ({"validation_data": {"test": (X[:, :2], LABELS)}}, ValueError, r"validation_data\['test'\]\[0\]"),
    ],
)
def test_wrong_sets_are_refused(given, error, message):
    net = a_net(None)
    with pytest.raises(error, match=message):
        net.fit(X, LABELS, **given)
    assert net.n_steps == 0


def test_a_name_that_would_be_two_things_is_refused():
    with pytest.raises(ValueError, match="with which 'log_loss' would be two things"):
        a_net(None).fit(X, LABELS, validation_data={"log": (X, LABELS)}, metrics=["log_loss"], train_metrics=True)


def test_chosen_rows_read_as_those_rows():
    rows = np.array([5, 3, 99, 4])
    part = chosen(Data(X, LABELS), rows).X
    assert np.array_equal(part[1:3], X[[3, 99]])
    assert np.array_equal(part[np.array([2, 0])], X[[99, 5]])
    assert part.shape == (4, 4)
