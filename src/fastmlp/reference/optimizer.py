"""The optimizers: the registry, each entry one update of a run of parameters. Mirror of csrc/ops/optimizer.inl
and csrc/ops/regularise.inl.

To add one, add an entry to OPTIMIZERS (and its class to spec/optimizers.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fastmlp.spec import Array

#: Columns of a step's row of the table, by name.
Step = Mapping[str, float]
Update = Callable[[Array, Array, Sequence[Array], Step, Array], None]


class OptimizerFunctions(NamedTuple):
    """update(w, g, state, step, scratch) puts the updated parameters where w was.

    w, g, scratch and each array of state are vectors of one length; g may be overwritten.
    """

    update: Update
    states: int  # arrays of state


def regularise(w: Array, g: Array, weight_decay: float, scratch: Array) -> None:
    """Add the penalty of large weights to their gradient: g += weight_decay * w."""
    np.multiply(w, weight_decay, out=scratch)
    np.add(g, scratch, out=g)


def _sgd(w: Array, g: Array, state: Sequence[Array], step: Step, scratch: Array) -> None:
    """SGD: g *= scale; buf = momentum buf + g; w -= learning_rate * (g + momentum buf if nesterov, else buf).

    Without momentum the buffer is g itself and is left alone, as in PyTorch. With the learning rate as the scale, and 1
    for it, the buffer is a velocity that remembers the rates of the past.
    """
    (buf,) = state
    momentum = step["momentum"]
    if step["gradient_scale"] != 1.0:
        np.multiply(g, step["gradient_scale"], out=g)
    direction = g
    if momentum != 0.0:
        np.multiply(buf, momentum, out=buf)
        np.add(buf, g, out=buf)
        direction = buf
        if step["nesterov"]:
            np.multiply(buf, momentum, out=scratch)
            direction = np.add(scratch, g, out=scratch)
    np.multiply(direction, step["learning_rate"], out=scratch)
    np.subtract(w, scratch, out=w)


def _adam(w: Array, g: Array, state: Sequence[Array], step: Step, scratch: Array) -> None:
    """Adam: m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; w -= step_size m / (sqrt(v) c + epsilon)."""
    m, v = state
    np.multiply(m, step["beta1"], out=m)
    np.multiply(g, step["one_minus_beta1"], out=scratch)
    np.add(m, scratch, out=m)
    np.multiply(v, step["beta2"], out=v)
    np.multiply(g, g, out=g)
    np.multiply(g, step["one_minus_beta2"], out=g)
    np.add(v, g, out=v)
    np.sqrt(v, out=scratch)
    np.multiply(scratch, step["inv_sqrt_correction2"], out=scratch)
    np.add(scratch, step["epsilon"], out=scratch)
    np.divide(m, scratch, out=scratch)
    np.multiply(scratch, step["step_size"], out=scratch)
    np.subtract(w, scratch, out=w)


OPTIMIZERS: dict[str, OptimizerFunctions] = {
    "sgd": OptimizerFunctions(_sgd, 1),
    "adam": OptimizerFunctions(_adam, 2),
}
