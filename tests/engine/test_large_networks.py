"""Networks of more than 4 MB of weights and optimizer state, whose squares are updated another way, against the NumPy
engine in float64."""

import numpy as np
import pytest
from compiled import Engine
from engine_calls import layers_of, set_layers, states_of
from random_networks import fill, flat, targets, train

from fastmlp import reference
from fastmlp.spec import OPTIMIZERS, SGD, Adam, NetworkSpec

SIZES = [64, 700, 700, 8]
SETTINGS = {name: kind() for name, kind in OPTIMIZERS.items()} | {
    "sgd": SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": Adam(0.01, epsilon=1e-3, weight_decay=0.01),  # an epsilon under which rounding decides no update's sign
}


def parameters_of(spec):
    """Of the network's dtype, but all of them float32's numbers."""
    parts = layers_of(fill(reference.Engine(spec), spec))
    return tuple([array.astype("float32").astype(spec.dtype) for array in part] for part in parts)


def data(spec, rows, labels):
    X = np.random.default_rng(1).normal(size=(rows, spec.sizes[0])).astype("float32")
    return X, targets(spec, rows, labels=labels)


@pytest.fixture(scope="module")
def changed():
    """What three steps change in parameters and state, by optimizer and rows of a batch; the oracle."""
    found = {}
    spec = NetworkSpec.make(SIZES, "tanh", output="softmax", loss="cross_entropy", dtype="float64")
    for name, optimizer in SETTINGS.items():
        for rows in (20, 300):
            engine = reference.Engine(spec)
            set_layers(engine, *parameters_of(spec))
            before = flat(layers_of(engine))
            X, y = data(spec, 3 * rows, rows == 300)
            _, losses = train(engine, X, y, np.arange(3 * rows), rows, optimizer)
            after = [flat(slot) for slot in states_of(engine)]
            found[name, rows] = losses, flat(layers_of(engine)) - before, after
    return found


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("rows", [20, 300])
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steps_of_a_large_network_are_those_of_the_reference(dtype, name, rows, threads, changed):
    spec = NetworkSpec.make(SIZES, "tanh", output="softmax", loss="cross_entropy", dtype=dtype)
    engine = Engine(spec)
    set_layers(engine, *parameters_of(spec))
    before = flat(layers_of(engine)).astype("float64")
    X, y = data(spec, 3 * rows, rows == 300)
    run, losses = train(engine, X, y, np.arange(3 * rows), rows, SETTINGS[name], threads=threads)
    assert (run.status, run.steps) == ("done", 3)
    wanted_losses, change, state = changed[name, rows]
    tolerance = 1e-4 if dtype == "float32" else 1e-10
    np.testing.assert_allclose(losses, wanted_losses, rtol=tolerance)
    found = flat(layers_of(engine)) - before
    np.testing.assert_allclose(found, change, rtol=0, atol=tolerance * np.abs(change).max())
    for slot, wanted in zip(states_of(engine), state, strict=True):
        np.testing.assert_allclose(flat(slot), wanted, rtol=0, atol=10 * tolerance * np.abs(wanted).max())
