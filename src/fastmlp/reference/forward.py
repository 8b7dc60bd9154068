"""Signals and outputs of all layers, and the loss at their end. Mirror of passes/forward.pyx and passes/loss.pyx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.spec import Array

    from .loss import Target
    from .plan import Plan
    from .workspace import Batch


def forward(plan: Plan, batch: Batch, x: Array, out: Array) -> None:
    """Outputs of the hidden layers of x into the batch, signals of the output layer into `out` (B, O)."""
    last = len(plan.layers) - 1
    for i, layer in enumerate(plan.layers):
        z = out if i == last else batch.outputs[i]
        np.matmul(x, layer.W, out=z)
        np.add(z, layer.b, out=z)
        if i < last:
            layer.activation.forward(z, layer.param, batch.scratch[i])
        x = z


def activate(plan: Plan, batch: Batch, out: Array) -> None:
    """Outputs of the output layer from its signals."""
    layer = plan.layers[-1]
    layer.activation.forward(out, layer.param, batch.scratch[-1])


def loss(plan: Plan, batch: Batch, out: Array, wanted: Target, scale: Any, row_loss: NDArray[np.float64]) -> None:
    """Outputs from signals, row losses, and the output layer's delta dE/dz, each row's multiplied by its scale."""
    layer, delta, scratch = plan.layers[-1], batch.deltas[-1], batch.scratch[-1]
    if plan.loss.output:
        plan.loss_rows(out, wanted, scale, delta, row_loss, scratch)
    else:
        activate(plan, batch, out)
        plan.loss_rows(out, wanted, scale, delta, row_loss, scratch)
        layer.activation.backward(out, layer.param, delta, scratch)
