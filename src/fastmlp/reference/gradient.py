"""The gradient of one layer, from its inputs and its delta. Mirror of passes/gradient.pyx."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fastmlp.reference.plan import Plan
    from fastmlp.reference.workspace import Batch


def layer_gradient(plan: Plan, batch: Batch, i: int) -> None:
    """The sums over all rows of the batch, into the plan's gradient."""
    layer, delta = plan.layers[i], batch.deltas[i]
    np.matmul(batch.inputs_t[i], delta, out=layer.weight_gradient)
    np.matmul(batch.ones, delta, out=layer.bias_gradient)  # half the time of a sum along axis 0
