"""The update: one optimizer step over all parameters, block by block. Mirror of passes/update.pyx."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastmlp.reference.optimizer import regularise, shrink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastmlp.reference.plan import Plan


def update(plan: Plan, row: Sequence[float]) -> None:
    """Parameters and optimizer state after one step, by its row of the table. The gradient is used up."""
    assert plan.optimizer is not None
    step = dict(zip(plan.columns, row, strict=True))
    for block in plan.blocks:
        weights = slice(block.n_weights)
        if step["weight_decay"] != 0.0 and block.n_weights:
            regularise(block.w[weights], block.g[weights], step["weight_decay"], block.scratch[weights])
        if step["shrinkage"] != 0.0 and block.n_weights:
            shrink(block.w[weights], step["shrinkage"], block.scratch[weights])
        plan.optimizer.update(block.w, block.g, block.state, step, block.scratch)
