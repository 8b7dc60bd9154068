"""Muon's directions: matrices of gradients are made nearly orthogonal as wholes, between gradient and update.

Mirror of passes/orthogonal.pyx and csrc/ops/muon.inl.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fastmlp.reference.optimizer import _move, shrink
from fastmlp.reference.parameters import sum_of_squares

if TYPE_CHECKING:
    from fastmlp.reference.optimizer import Step
    from fastmlp.spec import Array


def whole_matrices(step: Step, n_layers: int) -> tuple[int, ...]:
    """The layers whose weights are updated along a direction of the whole matrix, by a step of the optimizer."""
    if "ns_steps" not in step:
        return ()
    return tuple(range(1, n_layers - 1) if step["hidden_only"] else range(n_layers))


def orthogonal(u: Array, step: Step) -> Array:
    """Newton's and Schulz's iteration: y (c1 I + c3 y^T y + c5 (y^T y)^2), `ns_steps` times, from u / |u|."""
    y = u if u.shape[0] >= u.shape[1] else u.T
    y = y / (math.sqrt(sum_of_squares(np.ravel(y))) + step["smallest_norm"])
    first = step["ns_first"] * np.eye(y.shape[1], dtype=y.dtype)
    for _ in range(int(step["ns_steps"])):
        gram = y.T @ y
        y = y @ (first + step["ns_third"] * gram + step["ns_fifth"] * (gram @ gram))
    return y if u.shape[0] >= u.shape[1] else y.T


def update_matrix(w: Array, g: Array, m: Array, step: Step) -> None:
    """Weights (I, O) and their momentum after a step: m = momentum m + (1 - momentum) g; w -= rate orthogonal(...)."""
    n_in, n_out = w.shape
    shape = math.sqrt(max(1.0, n_out / n_in))
    if step["consistent_rms"] > 0.0:
        shape = step["consistent_rms"] * math.sqrt(max(n_in, n_out))
    scratch = np.empty_like(w)
    _move(m, step["momentum"], step["one_minus_momentum"], g, scratch)
    direction = orthogonal(step["of_momentum"] * m + step["of_gradient"] * g, step)
    shrink(w, step["decay"], scratch)
    np.multiply(direction, step["learning_rate"] * shape, out=scratch)
    np.subtract(w, scratch, out=w)
