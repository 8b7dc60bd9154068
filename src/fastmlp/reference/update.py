"""The update: one optimizer step over all parameters, block by block. Mirror of passes/update.pyx."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastmlp.reference.clip import clip_factor
from fastmlp.reference.optimizer import regularise, shrink
from fastmlp.reference.orthogonal import update_matrix, whole_matrices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastmlp.reference.plan import Plan
    from fastmlp.spec import Array


def update(
    plan: Plan,
    row: Sequence[float],
    clip_norm: float | None = None,
    clip_value: float | None = None,
    groups: tuple[int, ...] = (),
) -> None:
    """Parameters and optimizer state after one step, by its row of the table. The gradient is used up."""
    assert plan.optimizer is not None
    columns = len(plan.columns)
    steps = [dict(zip(plan.columns, row[i : i + columns], strict=True)) for i in range(0, len(row), columns)]
    factor = 1.0 if clip_norm is None else clip_factor(plan.gradient.vector, clip_norm)
    whole = whole_matrices(steps[0], len(plan.layers))
    for layer in whole:
        own, g = plan.layers[layer], plan.layers[layer].gradient["weight"]
        _clip(g, factor, clip_value)
        update_matrix(own.W, g, plan.state[0].layers[layer]["weight"], steps[groups[2 * layer] if groups else 0])
    for block, group in plan.blocks_of(groups, whole):
        step = steps[group]
        weights = slice(block.n_weights)
        _clip(block.g, factor, clip_value)
        if step["weight_decay"] != 0.0 and block.n_weights:
            regularise(block.w[weights], block.g[weights], 0.0, step["weight_decay"], block.scratch[weights])
        if step["shrinkage"] != 0.0 and block.n_weights:
            shrink(block.w[weights], step["shrinkage"], block.scratch[weights])
        if step.get("adam_decay", 0.0) != 0.0 and block.n_weights:
            shrink(block.w[weights], step["adam_decay"], block.scratch[weights])
        plan.optimizer.update(block.w, block.g, block.state, step, block.scratch)


def _clip(g: Array, factor: float, most: float | None) -> None:
    """Clip a part of a gradient."""
    if factor != 1.0:
        np.multiply(g, factor, out=g)
    if most is not None:
        np.clip(g, -most, most, out=g)


def follow(plan: Plan, share: float) -> None:
    """Let the moving average follow the parameters: average += share (w - average)."""
    assert plan.average is not None
    size = plan.average_scratch.size
    for start in range(0, plan.parameters.vector.size, size):
        block = slice(start, start + size)
        average, w = plan.average.vector[block], plan.parameters.vector[block]
        change = np.subtract(w, average, out=plan.average_scratch[: w.size])
        np.multiply(change, share, out=change)
        np.add(average, change, out=average)
