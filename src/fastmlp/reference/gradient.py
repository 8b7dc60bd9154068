"""The gradient of one layer, from its inputs and its delta, and that of the penalties.

Mirror of passes/gradient.pyx.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastmlp.reference.optimizer import regularise
from fastmlp.reference.parameters import sum_of_squares

if TYPE_CHECKING:
    from fastmlp.reference.plan import Plan
    from fastmlp.reference.workspace import Batch


def add_penalties(plan: Plan) -> None:
    """Add the gradient of the penalties to that of the rows' losses, in the plan's gradient."""
    for layer, (l1, l2) in zip(plan.layers, plan.penalties, strict=True):
        if (l1, l2) != (0.0, 0.0):
            regularise(layer.W, layer.gradient["weight"], l1, l2, np.empty_like(layer.W))


def penalty(plan: Plan) -> float:
    """What the weights add to the loss: the sum over the layers of l1 |W| + l2 / 2 W^2."""
    total = 0.0
    for layer, (l1, l2) in zip(plan.layers, plan.penalties, strict=True):
        if l1 != 0.0:
            total += l1 * float(np.sum(np.abs(layer.W), dtype=np.float64))
        if l2 != 0.0:
            total += l2 / 2 * sum_of_squares(layer.W.ravel())
    return total


def layer_gradient(plan: Plan, batch: Batch, i: int) -> None:
    """The sums over all rows of the batch, into the plan's gradient."""
    layer, delta = plan.layers[i], batch.deltas[i]
    plan.product(i, batch.inputs_t[i], delta, layer.gradient["weight"])
    by_bias = delta
    if i in batch.normed:
        by_gamma, by_bias, _ = batch.normed[i]
        np.matmul(batch.ones, by_gamma, out=layer.gradient["gamma"])
    if i in batch.terms:
        by_slope = batch.ones @ batch.terms[i]
        layer.gradient["slope"][:] = by_slope if len(layer.slope) > 1 else by_slope.sum()
    np.matmul(batch.ones, by_bias, out=layer.gradient["bias"])  # half the time of a sum along axis 0
