"""The forward pass: signals and outputs of all layers. Mirror of passes/forward.pyx."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastmlp.reference.dropout import NO_MASKS
from fastmlp.reference.norm import normalise
from fastmlp.spec import PReLU

if TYPE_CHECKING:
    from fastmlp.reference.dropout import Masks
    from fastmlp.reference.plan import Plan
    from fastmlp.reference.workspace import Batch
    from fastmlp.spec import Array


def forward(plan: Plan, batch: Batch, x: Array, out: Array, masks: Masks = NO_MASKS, training: bool = False) -> None:
    """Outputs of the hidden layers of x into the batch, signals of the output layer into `out` (B, O)."""
    last = len(plan.layers) - 1
    for i, layer in enumerate(plan.layers):
        z = out if i == last else batch.outputs[i]
        plan.product(i, x, layer.W, z)
        if i < last:
            finish(plan, batch, i, x, z, masks, training)
        else:
            np.add(z, layer.b, out=z)
        x = z[:, : plan.sizes[i + 1]]


def finish(
    plan: Plan, batch: Batch, i: int, x: Array, z: Array, masks: Masks = NO_MASKS, training: bool = False
) -> None:
    """Outputs of a hidden layer in the place of its products z: f(z + b), what is dropped of it, and its inputs x."""
    if i in batch.normed:
        normalise(plan, batch, i, z, training)
    np.add(z, plan.layers[i].b, out=z)
    activate(plan, batch, i, z)
    z = z[:, : plan.sizes[i + 1]]
    if i + 1 in masks:
        drop(plan, batch, i, z, masks)
    if plan.residuals[i]:
        if plan.layers[i].activation.keeps == "output" and i + 1 not in masks:
            np.copyto(batch.signals[i], z)
        np.add(z, x, out=z)


def activate(plan: Plan, batch: Batch, i: int, z: Array) -> None:
    """Outputs of layer i in the place of its signals z; a copy of these, where its slope is computed from them."""
    layer = plan.layers[i]
    if layer.activation.keeps == "signal":
        np.copyto(batch.signals[i], z)
    if isinstance(layer.activation, PReLU):
        layer.activation.forward_learned(z, layer.slope, batch.scratch[i])
    else:
        layer.activation.forward(z, batch.scratch[i])


def drop(plan: Plan, batch: Batch, i: int, a: Array, masks: Masks) -> None:
    """Multiply the outputs of layer i by their mask; a copy of these, where its slope is computed from them."""
    if plan.layers[i].activation.keeps == "output":
        np.copyto(batch.signals[i], a)
    np.multiply(a, masks[i + 1], out=a)
