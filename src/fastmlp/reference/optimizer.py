"""The optimizers: the registry, each entry one update of a run of parameters. Mirror of csrc/ops/optimizer.inl
and csrc/ops/regularise.inl.

To add one, add an entry to OPTIMIZERS (and its class to spec/optimizers/).
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


def regularise(w: Array, g: Array, l1: float, l2: float, scratch: Array) -> None:
    """Add the gradient of l1 |w| + l2 / 2 w^2, or one of these where the other is 0: g += l1 sign(w) + l2 w."""
    if l1 != 0.0:
        np.sign(w, out=scratch)
        np.multiply(scratch, l1, out=scratch)
        np.add(g, scratch, out=g)
    if l2 != 0.0:
        np.multiply(w, l2, out=scratch)
        np.add(g, scratch, out=g)


def shrink(w: Array, share: float, scratch: Array) -> None:
    """Let weights decay: w -= share * w."""
    np.multiply(w, share, out=scratch)
    np.subtract(w, scratch, out=w)


def _move(mean: Array, beta: float, rest: float, value: Array, scratch: Array) -> None:
    """Move a running mean: mean = beta * mean + rest * value. `scratch` may be `value`."""
    np.multiply(mean, beta, out=mean)
    np.multiply(value, rest, out=scratch)
    np.add(mean, scratch, out=mean)


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


def _moments(g: Array, state: Sequence[Array], step: Step, scratch: Array) -> None:
    """Move the means of g and of its square, state[0] and state[1]; g is used up."""
    _move(state[0], step["beta1"], step["one_minus_beta1"], g, scratch)
    np.multiply(g, g, out=g)
    _move(state[1], step["beta2"], step["one_minus_beta2"], g, g)


def _adam_step(w: Array, m: Array, v: Array, step: Step, scratch: Array) -> None:
    """Adam's step by its moments: w -= step_size m / (sqrt(v) c + epsilon)."""
    np.sqrt(v, out=scratch)
    np.multiply(scratch, step["inv_sqrt_correction2"], out=scratch)
    np.add(scratch, step["epsilon"], out=scratch)
    np.divide(m, scratch, out=scratch)
    np.multiply(scratch, step["step_size"], out=scratch)
    np.subtract(w, scratch, out=w)


def _adam(w: Array, g: Array, state: Sequence[Array], step: Step, scratch: Array) -> None:
    """Adam: m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; w -= step_size m / (sqrt(v) c + epsilon)."""
    _moments(g, state, step, scratch)
    _adam_step(w, state[0], state[1], step, scratch)


def _amsgrad(w: Array, g: Array, state: Sequence[Array], step: Step, scratch: Array) -> None:
    """AMSGrad: Adam with the largest v so far."""
    _moments(g, state, step, scratch)
    np.maximum(state[2], state[1], out=state[2])
    _adam_step(w, state[0], state[2], step, scratch)


def _nadam(w: Array, g: Array, state: Sequence[Array], step: Step, scratch: Array) -> None:
    """NAdam: w -= (gradient_size g + step_size m) / (sqrt(v) c + epsilon)."""
    m, v = state
    direction = step["gradient_size"] * g
    _moments(g, state, step, scratch)
    direction += step["step_size"] * m
    np.sqrt(v, out=scratch)
    np.multiply(scratch, step["inv_sqrt_correction2"], out=scratch)
    np.add(scratch, step["epsilon"], out=scratch)
    np.divide(direction, scratch, out=scratch)
    np.subtract(w, scratch, out=w)


def _radam(w: Array, g: Array, state: Sequence[Array], step: Step, scratch: Array) -> None:
    """RAdam: w -= step_size m / (sqrt(v) + epsilon) where it is rectified, else step_size m."""
    m, v = state
    _moments(g, state, step, scratch)
    if step["rectified"]:
        np.sqrt(v, out=scratch)
        np.add(scratch, step["epsilon"], out=scratch)
        np.divide(m, scratch, out=scratch)
        np.multiply(scratch, step["step_size"], out=scratch)
    else:
        np.multiply(m, step["step_size"], out=scratch)
    np.subtract(w, scratch, out=w)


def _adamax(w: Array, g: Array, state: Sequence[Array], step: Step, scratch: Array) -> None:
    """AdaMax: m = beta1 m + (1 - beta1) g; u = max(beta2 u, |g| + epsilon); w -= step_size m / u."""
    m, largest = state
    _move(m, step["beta1"], step["one_minus_beta1"], g, scratch)
    np.multiply(largest, step["beta2"], out=largest)
    np.abs(g, out=g)
    np.add(g, step["epsilon"], out=g)
    np.maximum(largest, g, out=largest)
    np.divide(m, largest, out=scratch)
    np.multiply(scratch, step["step_size"], out=scratch)
    np.subtract(w, scratch, out=w)


def _rmsprop(w: Array, g: Array, state: Sequence[Array], step: Step, scratch: Array) -> None:
    """RMSprop: v = rho v + (1 - rho) g^2, centred v - mean^2; w -= learning_rate g / (sqrt(v) + epsilon)."""
    square, mean, buffer = state
    np.multiply(g, g, out=scratch)
    _move(square, step["rho"], step["one_minus_rho"], scratch, scratch)
    root = square
    if step["centered"]:
        _move(mean, step["rho"], step["one_minus_rho"], g, scratch)
        np.multiply(mean, mean, out=scratch)
        root = np.maximum(square - scratch, 0.0)
    np.sqrt(root, out=scratch)
    np.add(scratch, step["epsilon"], out=scratch)
    direction = np.divide(g, scratch, out=g)
    if step["momentum"] != 0.0:
        np.multiply(buffer, step["momentum"], out=buffer)
        direction = np.add(buffer, direction, out=buffer)
    np.multiply(direction, step["learning_rate"], out=scratch)
    np.subtract(w, scratch, out=w)


def _adagrad(w: Array, g: Array, state: Sequence[Array], step: Step, scratch: Array) -> None:
    """Adagrad: v += g^2; w -= learning_rate g / (sqrt(v) + epsilon)."""
    (total,) = state
    np.multiply(g, g, out=scratch)
    np.add(total, scratch, out=total)
    np.sqrt(total, out=scratch)
    np.add(scratch, step["epsilon"], out=scratch)
    np.divide(g, scratch, out=scratch)
    np.multiply(scratch, step["learning_rate"], out=scratch)
    np.subtract(w, scratch, out=w)


def _adadelta(w: Array, g: Array, state: Sequence[Array], step: Step, scratch: Array) -> None:
    """Adadelta: v = rho v + (1 - rho) g^2; move = sqrt(u + epsilon) / sqrt(v + epsilon) g; u the mean of its square."""
    square, moves = state
    np.multiply(g, g, out=scratch)
    _move(square, step["rho"], step["one_minus_rho"], scratch, scratch)
    np.add(square, step["epsilon"], out=scratch)
    np.divide(moves + step["epsilon"], scratch, out=scratch)
    np.sqrt(scratch, out=scratch)
    move = np.multiply(g, scratch, out=g)
    np.multiply(move, move, out=scratch)
    _move(moves, step["rho"], step["one_minus_rho"], scratch, scratch)
    np.multiply(move, step["learning_rate"], out=scratch)
    np.subtract(w, scratch, out=w)


def _lion(w: Array, g: Array, state: Sequence[Array], step: Step, scratch: Array) -> None:
    """Lion: w -= learning_rate sign(beta1 m + (1 - beta1) g); m = beta2 m + (1 - beta2) g."""
    (m,) = state
    direction = np.sign(step["beta1"] * m + step["one_minus_beta1"] * g)
    _move(m, step["beta2"], step["one_minus_beta2"], g, scratch)
    np.multiply(direction, step["learning_rate"], out=scratch)
    np.subtract(w, scratch, out=w)


def _rprop(w: Array, g: Array, state: Sequence[Array], step: Step, scratch: Array) -> None:
    """Rprop: each weight's step grows by eta_plus while g keeps its sign; where it turned, it shrinks and w rests."""
    before, sizes = state
    if step["first"]:
        sizes.fill(step["initial_step"])
    agreement = np.multiply(np.sign(g), before, out=scratch)
    turned = agreement < 0.0
    sizes[turned] *= step["eta_minus"]
    sizes[agreement > 0.0] *= step["eta_plus"]
    np.clip(sizes, step["smallest_step"], step["largest_step"], out=sizes)
    g[turned] = 0.0
    np.copyto(before, g)
    np.multiply(np.sign(g), sizes, out=scratch)
    np.subtract(w, scratch, out=w)


def interpolate(y: Array, z: Array, x: Array, share: float) -> None:
    """Put the point between z and x, y = z + share (x - z), where y was."""
    np.subtract(x, z, out=y)
    np.multiply(y, share, out=y)
    np.add(y, z, out=y)


def _schedule_free_adamw(w: Array, g: Array, state: Sequence[Array], step: Step, scratch: Array) -> None:
    """ScheduleFreeAdamW: z -= learning_rate g / (sqrt(v) c + epsilon); x += share (z - x); w between both.

    What w has lost by decay, since it was between both, z loses.
    """
    z, v, x = state
    interpolate(scratch, z, x, step["interpolation"])
    np.subtract(w, scratch, out=w)
    np.add(z, w, out=z)
    np.multiply(g, g, out=scratch)
    _move(v, step["beta2"], step["one_minus_beta2"], scratch, scratch)
    np.sqrt(v, out=scratch)
    np.multiply(scratch, step["inv_sqrt_correction2"], out=scratch)
    np.add(scratch, step["epsilon"], out=scratch)
    np.divide(g, scratch, out=scratch)
    np.multiply(scratch, step["learning_rate"], out=scratch)
    np.subtract(z, scratch, out=z)
    np.subtract(z, x, out=scratch)
    np.multiply(scratch, step["share"], out=scratch)
    np.add(x, scratch, out=x)
    interpolate(w, z, x, step["interpolation"])


OPTIMIZERS: dict[str, OptimizerFunctions] = {
    "sgd": OptimizerFunctions(_sgd, 1),
    "adam": OptimizerFunctions(_adam, 2),
    "adamw": OptimizerFunctions(_adam, 2),
    "amsgrad": OptimizerFunctions(_amsgrad, 3),
    "nadam": OptimizerFunctions(_nadam, 2),
    "radam": OptimizerFunctions(_radam, 2),
    "adamax": OptimizerFunctions(_adamax, 2),
    "rmsprop": OptimizerFunctions(_rmsprop, 3),
    "adagrad": OptimizerFunctions(_adagrad, 1),
    "adadelta": OptimizerFunctions(_adadelta, 2),
    "lion": OptimizerFunctions(_lion, 1),
    "rprop": OptimizerFunctions(_rprop, 2),
    "schedule_free_adamw": OptimizerFunctions(_schedule_free_adamw, 3),
    "muon": OptimizerFunctions(_adam, 2),  # of what is no matrix (orthogonal.py)
}
