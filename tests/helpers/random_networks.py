"""What the engine's tests share: the ISAs there are, networks with random parameters, data for any loss."""

import itertools

import numpy as np
import pytest
from conftest import EXTENSION, REASON
from engine_calls import run_steps, set_layers

from fastmlp import spec as specs

if EXTENSION is None:
    pytest.skip(f"the compiled extension cannot be used: {REASON}", allow_module_level=True)

ISAS = [isa["name"] for isa in EXTENSION.isas() if isa["available"]]
SOURCES = ["float64", "float32", "float16", "uint8", "int16", "int32", "int64"]
OPTIMIZERS = {
    **{name: kind() for name, kind in specs.OPTIMIZERS.items()},
    "sgd": specs.SGD(0.05),
    "momentum": specs.SGD(0.01, momentum=0.9, weight_decay=0.01),
    "nesterov": specs.SGD(0.01, momentum=0.8, nesterov=True),
    "adam": specs.Adam(0.01),
    "adam_decay": specs.Adam(0.02, beta1=0.8, beta2=0.95, epsilon=1e-6, weight_decay=0.1),
}


def fill(engine, spec, seed=0):
    """Random parameters with which signals are about 1; returns the engine."""
    rng = np.random.default_rng(seed)
    set_layers(
        engine,
        [(rng.normal(size=layer[:2]) / np.sqrt(layer.n_in)).astype(spec.dtype) for layer in spec.layers],
        [(0.5 * rng.normal(size=layer.n_out)).astype(spec.dtype) for layer in spec.layers],
    )
    return engine


def targets(spec, n, seed=0, labels=False):
    """Random y (n, O) for the network's loss, or class labels (n,)."""
    rng, n_outputs = np.random.default_rng(seed), spec.sizes[-1]
    if labels:
        return rng.integers(0, n_outputs, n).astype(np.int32)
    y = rng.random((n, n_outputs)) + 0.1
    return y / y.sum(axis=1, keepdims=True) if spec.loss.distribution else y / 1.1


def flat(pair):
    """(list of weights, list of biases) as one vector."""
    return np.concatenate([np.ravel(a) for a in itertools.chain.from_iterable(pair)])


def train(engine, X, y, order, batch_size, optimizer, *, weight=None, threads=1, start=0, squared_weights=None):
    """A run from step `start` of the optimizer on; returns (Run, losses). Allocates state when start is 0."""
    steps = -(-len(order) // batch_size)
    losses = np.full(steps, np.nan)
    if start == 0:
        engine.use_optimizer(optimizer.name)
    run = run_steps(
        engine, X, y, order, batch_size, optimizer.scalars(start, steps), weight, losses, threads, squared_weights
    )
    return run, losses
