"""Trainings with PyTorch's schedulers, stored (tests/data/make_torch_schedules.py): both backends follow them."""

import numpy as np
import pytest
from stored import script

import fastmlp
from fastmlp.spec import OPTIMIZERS, Schedule
from fastmlp.spec.schedules import SCHEDULES

STORED = script("make_torch_schedules")
TRAJECTORIES = STORED.TRAJECTORIES
TOLERANCE = {"rtol": 1e-10, "atol": 1e-12}
CASES = [(name, kind) for name in STORED.SCHEDULES for kind in STORED.RULES]


def stored(name):
    with np.load(STORED.PATH) as arrays:
        return {key.removeprefix(f"{name}/"): arrays[key] for key in arrays.files if key.startswith(f"{name}/")}


def training(backend):
    """The network of the trainings and its rows."""
    sizes, (activation, _), loss, *_ = TRAJECTORIES.TRAININGS[STORED.TRAINING]
    net = fastmlp.MLP(sizes, activation=activation, loss=loss, dtype="float64", backend=backend)
    layers, X, y, _ = TRAJECTORIES.problem(STORED.TRAINING)
    net.weights, net.biases = [W for W, _ in layers], [b for _, b in layers]
    return net, X, y


def flat(net):
    return np.concatenate([np.ravel(array) for pair in zip(net.weights, net.biases, strict=True) for array in pair])


def schedule(name):
    """Our schedule of a stored training."""
    data = STORED.schedule(name)
    kind = SCHEDULES[data["name"]]
    return kind(**{key: value for key, value in data.items() if key != "name"})


def optimizer(rule):
    arguments = {key: value for key, value in rule.items() if key != "name"}
    return OPTIMIZERS[rule["name"]](**arguments)


def test_every_schedule_is_stored():
    assert {STORED.schedule(name)["name"] for name in STORED.SCHEDULES} == set(SCHEDULES)
    assert {schedule(name).by for name in STORED.SCHEDULES} == {"step", "epoch"}
    assert all(schedule(name) == Schedule.from_dict(schedule(name).to_dict()) for name in STORED.SCHEDULES)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_twenty_steps_are_pytorchs(name, kind, backend):
    (net, X, y), wanted = training(backend), stored(f"{name}/{kind}")
    rate = schedule(name)
    epochs = net.fit(
        X, y, epochs=TRAJECTORIES.EPOCHS, batch_size=TRAJECTORIES.BATCH, shuffle=False,
        optimizer=optimizer(STORED.rule(kind, rate)),
    )  # fmt: skip
    assert net.n_steps == STORED.STEPS == len(wanted["losses"])
    np.testing.assert_allclose(flat(net), wanted["last"], **TOLERANCE)
    batches = TRAJECTORIES.batches(1)
    rows = [len(X[batch]) for batch in batches]
    means = wanted["losses"].reshape(-1, len(batches)) @ rows / len(X)
    np.testing.assert_allclose(epochs.loss, means, **TOLERANCE)
    if rate.by == "step":
        (net, X, y), used = training(backend), optimizer(STORED.rule(kind, rate))
        losses = [net.step(X[batch], y[batch], optimizer=used) for batch in TRAJECTORIES.batches()]
        np.testing.assert_allclose(losses, wanted["losses"], **TOLERANCE)
        np.testing.assert_allclose(flat(net), wanted["last"], **TOLERANCE)


@pytest.mark.parametrize("kind", STORED.MOMENTUM_OF)
@pytest.mark.parametrize("cut", [5, 2])
def test_scheduled_momenta_and_betas_are_pytorchs(kind, cut, backend):
    (net, X, y), wanted = training(backend), stored(f"momentum/{kind}")
    given = {key: value for key, value in STORED.MOMENTUM.items() if key != "name"}
    momentum = SCHEDULES[STORED.MOMENTUM["name"]](**given)
    np.testing.assert_allclose(momentum.values(0, 21)[[0, 5, 20]], [0.95, 0.85, 0.95], rtol=1e-14)
    used = optimizer(STORED.rule(kind, schedule("one_cycle")) | {STORED.MOMENTUM_OF[kind]: momentum})
    for epochs in (cut, TRAJECTORIES.EPOCHS - cut)[: 1 + (cut < TRAJECTORIES.EPOCHS)]:
        net.fit(X, y, epochs=epochs, batch_size=TRAJECTORIES.BATCH, shuffle=False, optimizer=used)
    np.testing.assert_allclose(flat(net), wanted["last"], **TOLERANCE)


@pytest.mark.parametrize("kind", STORED.RULES)
def test_factors_of_the_learning_rate_are_pytorchs_groups(kind, backend):
    (net, X, y), wanted = training(backend), stored(f"factors/{kind}")
    given = {"optimizer": optimizer(STORED.rule(kind)), "lr_factors": STORED.FACTORS}
    losses = [net.step(X[rows], y[rows], **given) for rows in TRAJECTORIES.batches()]
    np.testing.assert_allclose(losses, wanted["losses"], **TOLERANCE)
    np.testing.assert_allclose(flat(net), wanted["last"], **TOLERANCE)


@pytest.mark.parametrize("name", STORED.PLATEAUS)
def test_plateaus_are_pytorchs(name, backend):
    (net, X, y), wanted = training(backend), stored(f"plateau/{name}")
    plateau, rates = fastmlp.ReduceLROnPlateau("loss", **STORED.PLATEAUS[name]), []
    history = net.fit(
        X, y, epochs=STORED.PLATEAU_EPOCHS, batch_size=TRAJECTORIES.BATCH, shuffle=False,
        optimizer=optimizer(STORED.rule("sgd", STORED.PLATEAU_RATE)),
        callbacks=[plateau, lambda net, logs: rates.append(net.optimizer.learning_rate)],
    )  # fmt: skip
    np.testing.assert_allclose(rates, wanted["rates"], rtol=1e-14)
    np.testing.assert_allclose(flat(net), wanted["last"], **TOLERANCE)
    before = np.append(STORED.PLATEAU_RATE, rates[:-1])
    assert plateau.reduced_epochs == [*np.flatnonzero(rates < before) + 1]
    if STORED.PLATEAUS[name]["min_delta"] == 0.0:
        assert plateau.best == min(history.loss)


def test_what_is_stored_is_what_pytorch_says():
    pytest.importorskip("torch")
    found = STORED.torch_results()
    with np.load(STORED.PATH) as arrays:
        assert set(found) == set(arrays.files)
        for name in arrays.files:
            np.testing.assert_allclose(found[name], arrays[name], **TOLERANCE, err_msg=name)
