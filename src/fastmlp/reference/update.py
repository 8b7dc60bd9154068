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
    average: float = 0.0,
) -> None:
    """Parameters, optimizer state and average after one step, by its row of the table. The gradient is used up."""
    assert plan.optimizer is not None
    step = dict(zip(plan.columns, row, strict=True))
    factor = 1.0 if clip_norm is None else clip_factor(plan.gradient.vector, clip_norm)
    for block in plan.blocks:
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
    if average != 0.0:
        follow(plan, average)


def follow(plan: Plan, share: float) -> None:
    """Let the moving average follow the parameters: average += share (w - average)."""
    assert plan.average is not None
    start = 0
    for block in plan.blocks:
        average = plan.average.vector[start : start + block.w.size]
        np.subtract(block.w, average, out=block.scratch)
        np.multiply(block.scratch, share, out=block.scratch)
        np.add(average, block.scratch, out=average)
        start += block.w.size
