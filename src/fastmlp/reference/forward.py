"""The forward pass: signals and outputs of all layers. Mirror of passes/forward.pyx."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fastmlp.reference.plan import Plan
    from fastmlp.reference.workspace import Batch
    from fastmlp.spec import Array


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
    layer.activation.forward(z, batch.scratch[i])
