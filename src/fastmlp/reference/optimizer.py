"""The optimizers: the registry, each entry one update of a run of parameters. Mirror of csrc/ops/optimizer.inl.

To add one, add an entry to OPTIMIZERS (and its class to spec/optimizers.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from fastmlp.spec import Array

Update = Callable[[Array, Array, Sequence[Array], Sequence[float], Array, int], None]


class OptimizerFunctions(NamedTuple):
    """update(w, g, state, h, scratch, decayed) puts the updated parameters where w was.

    w, g, scratch and each array of state are vectors of one length; g may be overwritten. h is the step's row of
    scalars, in the order of `columns` of the class in spec/optimizers.py. Weight decay acts on the first `decayed`
    parameters.
    """

    update: Update
    states: int  # arrays of state


def _decay(w: Array, g: Array, weight_decay: float, scratch: Array, decayed: int) -> None:
    """Weight decay: g += weight_decay * w."""
    if weight_decay != 0.0 and decayed:
        term = scratch[:decayed]
        np.multiply(w[:decayed], weight_decay, out=term)
        np.add(g[:decayed], term, out=g[:decayed])


def _sgd(w: Array, g: Array, state: Sequence[Array], h: Sequence[float], scratch: Array, decayed: int) -> None:
    """SGD: g *= scale; buf = momentum buf + g; w -= learning_rate * (g + momentum buf if nesterov, else buf).

    Without momentum the buffer is g itself and is left alone, as in PyTorch. With the learning rate as the scale, and 1
    for it, the buffer is a velocity that remembers the rates of the past.
    """
    learning_rate, momentum, nesterov, gradient_scale, weight_decay = h
    (buf,) = state
    _decay(w, g, weight_decay, scratch, decayed)
    if gradient_scale != 1.0:
        np.multiply(g, gradient_scale, out=g)
    direction = g
    if momentum != 0.0:
        np.multiply(buf, momentum, out=buf)
        np.add(buf, g, out=buf)
        direction = buf
        if nesterov:
            np.multiply(buf, momentum, out=scratch)
            direction = np.add(scratch, g, out=scratch)
    np.multiply(direction, learning_rate, out=scratch)
    np.subtract(w, scratch, out=w)


def _adam(w: Array, g: Array, state: Sequence[Array], h: Sequence[float], scratch: Array, decayed: int) -> None:
    """Adam: m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; w -= step_size m / (sqrt(v) c + epsilon)."""
    step_size, beta1, beta2, one_minus_beta1, one_minus_beta2, correction, epsilon, weight_decay = h
    m, v = state
    _decay(w, g, weight_decay, scratch, decayed)
    np.multiply(m, beta1, out=m)
    np.multiply(g, one_minus_beta1, out=scratch)
    np.add(m, scratch, out=m)
    np.multiply(v, beta2, out=v)
    np.multiply(g, g, out=g)
    np.multiply(g, one_minus_beta2, out=g)
    np.add(v, g, out=v)
    np.sqrt(v, out=scratch)
    np.multiply(scratch, correction, out=scratch)
    np.add(scratch, epsilon, out=scratch)
    np.divide(m, scratch, out=scratch)
    np.multiply(scratch, step_size, out=scratch)
    np.subtract(w, scratch, out=w)


OPTIMIZERS: dict[str, OptimizerFunctions] = {
    "sgd": OptimizerFunctions(_sgd, 1),
    "adam": OptimizerFunctions(_adam, 2),
}
