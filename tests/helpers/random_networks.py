"""What tests of either engine share: all that there is to try, random parameters and data, slopes by differences."""

import itertools

import numpy as np
from engine_calls import layers_of, run_steps, set_layers

from fastmlp import data
from fastmlp import spec as specs

SOURCES = [dtype.name for dtype in data.SOURCE_DTYPES]
#: Every loss with an output activation: the squared error with each, others that go with any with two.
HEADS = [
    (name, output)
    for name, loss in specs.LOSSES.items()
    for output in (
        (loss.output,) if loss.output else specs.ACTIVATION_NAMES if name == "squared_error"
        else ("identity", "tanh")
    )
]  # fmt: skip
#: Every optimizer as it comes, or in a setting of its own under its name; and some in others.
OPTIMIZERS = {name: kind() for name, kind in specs.OPTIMIZERS.items()} | {
    "sgd": specs.SGD(0.05),
    "decay": specs.SGD(0.05, weight_decay=0.2),
    "momentum": specs.SGD(0.01, momentum=0.9, weight_decay=0.01),
    "nesterov": specs.SGD(0.01, momentum=0.8, nesterov=True),
    "adam": specs.Adam(0.01),
    "adam_decay": specs.Adam(0.02, beta1=0.8, beta2=0.95, epsilon=1e-6, weight_decay=0.1),
    "dampened": specs.SGD(0.02, momentum=0.7, dampening=0.3),
    "adamw": specs.AdamW(0.02, epsilon=1e-6, weight_decay=0.5),
    "nadam": specs.NAdam(0.02, epsilon=1e-6, weight_decay=0.1),
    "radam": specs.RAdam(0.02, epsilon=1e-6, beta2=0.95),
    "adadelta": specs.Adadelta(weight_decay=0.1),
    "lion": specs.Lion(0.01, weight_decay=0.5),
    "schedule_free_adamw": specs.ScheduleFreeAdamW(0.02, epsilon=1e-6, weight_decay=0.5),
    "rmsprop_all": specs.RMSprop(0.01, rho=0.9, epsilon=1e-4, weight_decay=0.1, momentum=0.5, centered=True),
    "adagrad_decay": specs.Adagrad(0.05, learning_rate_decay=0.1, weight_decay=0.1),
    "muon_corrected": specs.Muon(0.01, 0.8, ns_steps=3, bias_correction=True, adam_epsilon=1e-6),
    "muon": specs.Muon(0.01, weight_decay=0.5, epsilon=1e-6, adam_lr_ratio=0.5, adam_epsilon=1e-6),
    "momentum_again": specs.SGD(0.01, momentum=0.9),
}
every_optimizer = {"argnames": "optimizer", "argvalues": OPTIMIZERS.values(), "ids": OPTIMIZERS}


def with_state(name):
    """An optimizer of this name in a setting that makes use of all its state."""
    return [optimizer for optimizer in OPTIMIZERS.values() if optimizer.name == name][-1]


def fill(engine, spec, seed=0, scale=1.0):
    """Random parameters, with scale 1 such that signals are about 1; returns the engine."""
    rng = np.random.default_rng(seed)
    set_layers(
        engine,
        [
            (scale * rng.normal(size=(layer.n_in, layer.n_signals)) / np.sqrt(layer.n_in)).astype(spec.dtype)
            for layer in spec.layers
        ],
        [
            (0.5 * scale * rng.normal(size=shape)).astype(spec.dtype)
            for shape in spec.shapes.values()
            if len(shape) == 1
        ],
    )
    return engine


def outputs_for(loss, n):
    """So many outputs, or the next number of which each target has as many as the loss says."""
    heads = specs.as_loss(loss).heads
    return -(-n // heads) * heads


def targets(spec, n, seed=0, labels=False):
    """Random y (n, O) for the network's loss, or class labels (n,)."""
    rng, n_outputs = np.random.default_rng(seed), spec.loss.target_width(spec.sizes[-1])
    if labels:
        return rng.integers(0, n_outputs, n).astype(np.int32)
    y = rng.random((n, n_outputs)) + 0.1
    return y / y.sum(axis=1, keepdims=True) if spec.loss.distribution else y / 1.1


def targets_of_every_kind(spec, n):
    """Random y (n, O), and class labels (n,) where the loss takes them."""
    return [targets(spec, n)] + [targets(spec, n, labels=True)] * spec.loss.labels


def flat(pair):
    """(list of weights, list of vectors) as one vector."""
    return np.concatenate([np.ravel(a) for a in itertools.chain.from_iterable(pair)])


def central_differences(engine, losses_of, step, places=None):
    """Slopes of the sum of `losses_of()` by the parameters at these places of `flat(layers_of(engine))`, or by all.

    The losses are subtracted before they are summed: else rounding would be that of the loss, not of its difference.
    """
    weights, biases = layers_of(engine)
    arrays = [*weights, *biases]
    starts = np.cumsum([0, *(array.size for array in arrays)])
    slopes = []
    for place in range(starts[-1]) if places is None else places:
        number = int(np.searchsorted(starts, place, "right")) - 1
        values, at = arrays[number].reshape(-1), place - starts[number]
        kept, used, losses = values[at], [], []
        for side in (step, -step):
            values[at] = kept + side
            used.append(values[at])
            set_layers(engine, weights, biases)
            losses.append(losses_of())
        values[at] = kept
        slopes.append((losses[0] - losses[1]).sum() / (used[0] - used[1]))
    set_layers(engine, weights, biases)
    return np.array(slopes)


def train(engine, X, y, order, batch_size, optimizer, *, weight=None, threads=1, start=0, squared_weights=None):
    """A run from step `start` of the optimizer on; returns (Outcome, losses). Allocates state when start is 0."""
    steps = -(-len(order) // batch_size)
    losses = np.full(steps, np.nan)
    if start == 0:
        engine.use_optimizer(optimizer.name)
    run = run_steps(
        engine, X, y, order, batch_size, optimizer.scalars(start, steps), weight, losses, threads, squared_weights
    )
    return run, losses
