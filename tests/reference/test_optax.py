"""optax's trajectories, stored (tests/data/make_optax_trajectories.py): both backends follow them, without optax."""

import numpy as np
import pytest
from stored import script

import fastmlp
from fastmlp.spec import OPTIMIZERS, Optimizer

STORED = script("make_optax_trajectories")
TRAJECTORIES = STORED.TRAJECTORIES
TOLERANCE = {"rtol": 1e-10, "atol": 1e-12}


def stored(name):
    with np.load(STORED.PATH) as arrays:
        return {key.partition("/")[2]: arrays[key] for key in arrays.files if key.startswith(f"{name}/")}


def optimizer(name):
    rule = STORED.RULES[name]
    defaults = OPTIMIZERS[rule["name"]]().to_dict()
    rule = {key: {"warmup": 0, "end": 0.0} | value if isinstance(value, dict) else value for key, value in rule.items()}
    return Optimizer.from_dict(defaults | rule)


def flat(net):
    return np.concatenate([np.ravel(array) for pair in zip(net.weights, net.biases, strict=True) for array in pair])


def test_every_optimizer_is_followed_somewhere():
    followed = {rule["name"] for *_, rule, _ in TRAJECTORIES.TRAININGS.values()}
    assert followed | {rule["name"] for rule in STORED.RULES.values()} == set(OPTIMIZERS)
    assert not followed & {rule["name"] for rule in STORED.RULES.values()}


@pytest.mark.parametrize("name", STORED.RULES)
def test_twenty_steps_are_optaxs(name, backend):
    sizes, (activation, _), loss, *_ = TRAJECTORIES.TRAININGS[STORED.TRAINING]
    layers, X, y, _ = TRAJECTORIES.problem(STORED.TRAINING)
    stepped, fitted = (
        fastmlp.MLP(sizes, activation=activation, loss=loss, dtype="float64", backend=backend) for _ in range(2)
    )
    for net in (stepped, fitted):
        net.weights, net.biases = [W for W, _ in layers], [b for _, b in layers]
    rule, wanted, losses, after = optimizer(name), stored(name), [], []
    for rows in TRAJECTORIES.batches():
        losses.append(stepped.step(X[rows], y[rows], optimizer=rule))
        after.append(flat(stepped))
    assert len(losses) == 20
    np.testing.assert_allclose(losses, wanted["losses"], **TOLERANCE)
    np.testing.assert_allclose(after[0], wanted["first"], **TOLERANCE)
    np.testing.assert_allclose(after[-1], wanted["last"], **TOLERANCE)
    fitted.fit(X, y, epochs=5, batch_size=TRAJECTORIES.BATCH, shuffle=False, optimizer=rule)
    np.testing.assert_allclose(flat(fitted), wanted["last"], **TOLERANCE)


@pytest.mark.parametrize("name", STORED.RULES)
def test_what_is_stored_is_what_optax_says(name):
    pytest.importorskip("optax")
    found, wanted = STORED.optax_trajectory(name), stored(name)
    assert set(found) == set(wanted) == {"losses", "first", "last"}
    for key, array in wanted.items():
        np.testing.assert_allclose(found[key], array, **TOLERANCE)
