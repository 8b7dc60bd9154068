"""Networks of more than 4 MB of weights and optimizer state, whose squares are updated another way, against the NumPy
engine in float64."""

import dataclasses
import functools
import itertools

import numpy as np
import pytest
from compiled import Engine
from engine_calls import layers_of, set_layers, states_of
from random_networks import fill, flat, targets, train

from fastmlp import reference
from fastmlp.spec import OPTIMIZERS, SGD, Adam, NetworkSpec

SIZES = [64, 700, 700, 8]


def setting(kind):
    """An optimizer with an epsilon, where it has one, under which rounding decides no update's sign."""
    return kind(epsilon=1e-3) if any(field.name == "epsilon" for field in dataclasses.fields(kind)) else kind()


SETTINGS = {name: setting(kind) for name, kind in OPTIMIZERS.items()} | {
    "sgd": SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": Adam(0.01, epsilon=1e-3, weight_decay=0.01),
}
#: Two in all ways, the others in one: only their update differs. In float64 alone where signs decide,
#: or where steps are so small at first (radam's) that float32's rounding of the weights shows.
CASES = [
    *itertools.product(["float32", "float64"], ["sgd", "adam"], [20, 300], [1, 2]),
    *(
        (dtype, name, 20, 2)
        for dtype in ("float32", "float64")
        for name in SETTINGS
        if name not in {"sgd", "adam"}
        if dtype == "float64" or name not in {"lion", "rprop", "radam"}
    ),
]


def parameters_of(spec):
    """Of the network's dtype, but all of them float32's numbers."""
    parts = layers_of(fill(reference.Engine(spec), spec))
    return tuple([array.astype("float32").astype(spec.dtype) for array in part] for part in parts)


def data(spec, rows, labels):
    X = np.random.default_rng(1).normal(size=(rows, spec.sizes[0])).astype("float32")
    return X, targets(spec, rows, labels=labels)


@functools.cache
def changed(name, rows):
    """What three steps change in parameters and state, by the oracle."""
    spec = NetworkSpec.make(SIZES, "tanh", output="softmax", loss="cross_entropy", dtype="float64")
    engine = reference.Engine(spec)
    set_layers(engine, *parameters_of(spec))
    before = flat(layers_of(engine))
    X, y = data(spec, 3 * rows, rows == 300)
    _, losses = train(engine, X, y, np.arange(3 * rows), rows, SETTINGS[name])
    return losses, flat(layers_of(engine)) - before, [flat(slot) for slot in states_of(engine)]


@pytest.mark.parametrize(("dtype", "name", "rows", "threads"), CASES)
def test_steps_of_a_large_network_are_those_of_the_reference(dtype, name, rows, threads):
    spec = NetworkSpec.make(SIZES, "tanh", output="softmax", loss="cross_entropy", dtype=dtype)
    engine = Engine(spec)
    set_layers(engine, *parameters_of(spec))
    before = flat(layers_of(engine)).astype("float64")
    X, y = data(spec, 3 * rows, rows == 300)
    run, losses = train(engine, X, y, np.arange(3 * rows), rows, SETTINGS[name], threads=threads)
    assert (run.status, run.steps) == ("done", 3)
    wanted_losses, change, state = changed(name, rows)
    tolerance = 1e-4 if dtype == "float32" else 1e-10
    np.testing.assert_allclose(losses, wanted_losses, rtol=tolerance)
    found = flat(layers_of(engine)) - before
    np.testing.assert_allclose(found, change, rtol=0, atol=tolerance * np.abs(change).max())
    for slot, wanted in zip(states_of(engine), state, strict=True):
        np.testing.assert_allclose(flat(slot), wanted, rtol=0, atol=10 * tolerance * np.abs(wanted).max())
