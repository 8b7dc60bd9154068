"""The update: one optimizer step over all parameters, block by block. Mirror of passes/update.pyx."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastmlp.reference.plan import Plan


def update(plan: Plan, h: Sequence[float]) -> None:
    """Parameters and optimizer state after one step whose scalars are h. The gradient is used up."""
    assert plan.optimizer is not None
    step = plan.optimizer.update
    for block in plan.blocks:
        step(block.w, block.g, block.state, h, block.scratch, block.decayed)
