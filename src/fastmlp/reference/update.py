"""The update: one optimizer step over all parameters, block by block. Mirror of passes/update.pyx."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastmlp.reference.clip import clip_factor
from fastmlp.reference.optimizer import regularise, shrink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastmlp.reference.plan import Plan


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
    for block, group in plan.blocks_of(groups):
        step = steps[group]
        weights = slice(block.n_weights)
        if factor != 1.0:
            np.multiply(block.g, factor, out=block.g)
        if clip_value is not None:
            np.clip(block.g, -clip_value, clip_value, out=block.g)
        if step["weight_decay"] != 0.0 and block.n_weights:
            regularise(block.w[weights], block.g[weights], 0.0, step["weight_decay"], block.scratch[weights])
        if step["shrinkage"] != 0.0 and block.n_weights:
            shrink(block.w[weights], step["shrinkage"], block.scratch[weights])
        plan.optimizer.update(block.w, block.g, block.state, step, block.scratch)


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
