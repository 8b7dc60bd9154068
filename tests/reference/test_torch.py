"""PyTorch's trajectories, stored (tests/data/make_torch_trajectories.py): both backends follow them, without torch."""

import numpy as np
import pytest
from stored import script

import fastmlp
from fastmlp.spec import ACTIVATIONS, LOSSES, OPTIMIZERS

STORED = script("make_torch_trajectories")
TOLERANCE = {"rtol": 1e-11, "atol": 1e-12}


def stored(name):
    with np.load(STORED.PATH) as arrays:
        return {key.partition("/")[2]: arrays[key] for key in arrays.files if key.startswith(f"{name}/")}


def activation(name):
    made = {"leaky_relu": fastmlp.LeakyReLU, "elu": fastmlp.ELU}
    return made[name](STORED.PARAMETERS[name]) if name in made else name


def network(name, backend):
    sizes, activations, loss, _, _ = STORED.TRAININGS[name]
    *hidden, output = map(activation, activations)
    loss = LOSSES[loss](*([STORED.PARAMETERS[loss]] if loss in STORED.PARAMETERS else []))
    net = fastmlp.MLP(sizes, activation=hidden, output=output, loss=loss, dtype="float64", backend=backend)
    layers, *_ = STORED.problem(name)
    net.weights, net.biases = [W for W, _ in layers], [b for _, b in layers]
    return net


def rule(name):
    arguments = dict(STORED.TRAININGS[name][3])
    return OPTIMIZERS[arguments.pop("name")](**arguments)


def flat(net):
    return np.concatenate([np.ravel(array) for pair in zip(net.weights, net.biases, strict=True) for array in pair])


def constant_of_poisson(y):
    """What half the deviance has and PyTorch's loss has not: y log y - y of each output, 0 where y is 0."""
    return (y * np.log(np.where(y, y, 1)) - y).sum(axis=1)


def test_everything_that_pytorch_has_is_stored():
    trainings = STORED.TRAININGS.values()
    assert {rule["name"] for *_, rule, _ in trainings} == set(OPTIMIZERS) - {
        "lion",
        "schedule_free_adamw",
        "muon",  # whose trainings api/test_muon.py has
    }
    assert {name for _, activations, *_ in trainings for name in activations} == set(ACTIVATIONS) - {
        "sign",
        "prelu",
    }  # whose slopes engine/test_prelu.py has
    hidden = {name for _, activations, *_ in trainings for name in activations[:-1]}  # rows of which have a Jacobian
    assert hidden >= {name for name, kind in ACTIVATIONS.items() if kind.whole_rows}
    assert {loss for _, _, loss, _, _ in trainings} <= set(LOSSES)  # of others, test_torch_losses.py


@pytest.mark.parametrize("name", STORED.TRAININGS)
def test_steps_are_pytorchs(name, backend):
    net, wanted = network(name, backend), stored(name)
    _, X, y, weight = STORED.problem(name)
    losses, after = [], []
    for rows in STORED.batches():
        losses.append(net.step(X[rows], y[rows], None if weight is None else weight[rows], optimizer=rule(name)))
        after.append(flat(net))
    if net.loss == "poisson":
        losses -= np.array([constant_of_poisson(y[rows]).mean() for rows in STORED.batches()])
    np.testing.assert_allclose(losses, wanted["losses"], **TOLERANCE)
    np.testing.assert_allclose(after[0], wanted["first"], **TOLERANCE)
    np.testing.assert_allclose(after[-1], wanted["last"], **TOLERANCE)


@pytest.mark.parametrize("name", STORED.TRAININGS)
def test_epochs_are_pytorchs(name, backend):
    net = network(name, backend)
    _, X, y, weight = STORED.problem(name)
    net.fit(
        X, y, sample_weight=weight, epochs=STORED.EPOCHS, batch_size=STORED.BATCH, shuffle=False, optimizer=rule(name)
    )
    assert net.n_steps == len(STORED.batches()) == 20
    np.testing.assert_allclose(flat(net), stored(name)["last"], **TOLERANCE)


@pytest.mark.parametrize("name", STORED.TRAININGS)
def test_what_is_stored_is_what_pytorch_says(name):
    pytest.importorskip("torch")
    found, wanted = STORED.torch_trajectory(name), stored(name)
    assert set(found) == set(wanted) == {"losses", "first", "last"}
    for key, array in wanted.items():
        np.testing.assert_allclose(found[key], array, **TOLERANCE)
