"""PyTorch's trajectories with clipped gradients and penalised weights, stored: tests/data/make_torch_regularised.py."""

import dataclasses

import numpy as np
import pytest
from stored import script

import fastmlp
from fastmlp.spec import OPTIMIZERS, Clip, NetworkSpec

STORED = script("make_torch_regularised")
TOLERANCE = {"rtol": 1e-11, "atol": 1e-12}
each_training = pytest.mark.parametrize("name", STORED.TRAININGS)


def stored(name):
    with np.load(STORED.PATH) as arrays:
        return {key.partition("/")[2]: arrays[key] for key in arrays.files if key.startswith(f"{name}/")}


def network(name, backend):
    penalties = STORED.TRAININGS[name][2]
    net = fastmlp.MLP(STORED.SIZES, activation="tanh", dtype="float64", backend=backend, **penalties)
    layers, *_ = STORED.problem()
    net.weights, net.biases = [W for W, _ in layers], [b for _, b in layers]
    return net


def rule(name):
    arguments = dict(STORED.TRAININGS[name][0])
    return OPTIMIZERS[arguments.pop("name")](**arguments)


def flat(net):
    return np.concatenate([np.ravel(array) for pair in zip(net.weights, net.biases, strict=True) for array in pair])


def test_everything_there_is_has_a_training():
    trainings = STORED.TRAININGS.values()
    assert {key for _, clip, _ in trainings for key in clip} == {f"clip_{field}" for field in Clip._fields}
    penalties = {key for _, _, penalties in trainings for key in penalties}
    assert penalties == {"l1", "l2", "max_norm"} < {field.name for field in dataclasses.fields(NetworkSpec)}


@each_training
def test_steps_are_pytorchs(name, backend):
    net, wanted, clip = network(name, backend), stored(name), STORED.TRAININGS[name][1]
    _, X, y = STORED.problem()
    losses, after = [], []
    for rows in STORED.batches():
        losses.append(net.step(X[rows], y[rows], optimizer=rule(name), **clip))
        after.append(flat(net))
    np.testing.assert_allclose(losses, wanted["losses"], **TOLERANCE)
    np.testing.assert_allclose(after[0], wanted["first"], **TOLERANCE)
    np.testing.assert_allclose(after[-1], wanted["last"], **TOLERANCE)


@each_training
def test_epochs_are_pytorchs(name, backend):
    net, wanted, clip = network(name, backend), stored(name), STORED.TRAININGS[name][1]
    _, X, y = STORED.problem()
    asked = {"epochs": STORED.EPOCHS, "batch_size": STORED.BATCH, "shuffle": False}
    history = net.fit(X, y, optimizer=rule(name), **asked, **clip)
    np.testing.assert_allclose(flat(net), wanted["last"], **TOLERANCE)
    rows = np.array([12.0, 12.0, 12.0, 8.0])  # of each step, by which an epoch's loss is weighted
    np.testing.assert_allclose(history.loss, wanted["losses"].reshape(-1, 4) @ rows / rows.sum(), **TOLERANCE)


@each_training
def test_what_is_stored_is_what_pytorch_says(name):
    pytest.importorskip("torch")
    found, wanted = STORED.torch_trajectory(name), stored(name)
    assert set(found) == set(wanted) == {"losses", "first", "last"}
    for key, array in wanted.items():
        np.testing.assert_allclose(found[key], array, **TOLERANCE)
