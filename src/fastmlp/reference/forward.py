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
            activate(plan, batch, i, z)
        x = z


def activate(plan: Plan, batch: Batch, i: int, z: Array) -> None:
    """Outputs of layer i in the place of its signals z; a copy of these, where its slope is computed from them."""
    layer = plan.layers[i]
    if layer.activation.keeps == "signal":
        np.copyto(batch.signals[i], z)
    layer.activation.forward(z, layer.params, batch.scratch[i])


def apply_slope(plan: Plan, batch: Batch, i: int, out: Array, d: Array) -> None:
    """Multiply d, the derivatives by the outputs of layer i, by f'(z)."""
    layer = plan.layers[i]
    kept = batch.signals[i] if layer.activation.keeps == "signal" else out
    layer.activation.backward(kept, layer.params, d, batch.scratch[i])


def loss(plan: Plan, batch: Batch, out: Array, wanted: Target, scale: Any, row_loss: NDArray[np.float64]) -> None:
    """Outputs from signals, row losses, and the output layer's delta dE/dz, each row's multiplied by its scale."""
    last, delta = len(plan.layers) - 1, batch.deltas[-1]
    if not plan.loss.output:
        activate(plan, batch, last, out)
    plan.loss.rows(out, wanted, plan.loss_params, scale, delta, row_loss, batch.scratch[-1])
    if not plan.loss.output:
        apply_slope(plan, batch, last, out, delta)
