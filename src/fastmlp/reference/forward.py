"""The forward pass: gather of a batch, signals and outputs of all layers, loss. Mirror of passes/forward.pyx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .loss import Target

if TYPE_CHECKING:
    from fastmlp.spec import Array

    from .plan import Batch, Plan

Rows = NDArray[np.int64] | slice


def gather(source: Array, rows: Rows, out: Array) -> None:
    """Rows of a matrix in their order, converted to the dtype of `out`; the source is never copied whole."""
    if isinstance(rows, slice):
        np.copyto(out, source[rows], casting="unsafe")
    elif source.dtype == out.dtype and source.flags.carray:
        np.take(source, rows, axis=0, out=out, mode="clip")  # mode="raise" would go through a copy of out
    else:
        np.copyto(out, source[rows], casting="unsafe")


def target(batch: Batch, y: Array, rows: Rows) -> Target:
    """What these rows should give: y as the loss wants it."""
    if y.ndim == 1:
        np.add(y[rows], batch.label_base, out=batch.labels)
        return Target(None, batch.labels)
    gather(y, rows, batch.target)
    return Target(batch.target, None)


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
    """D * f'(z) in the place of d, the derivatives by the outputs of layer i."""
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
