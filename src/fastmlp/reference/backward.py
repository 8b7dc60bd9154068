"""The backward pass: deltas from the last layer to the first. Mirror of passes/backward.pyx."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastmlp.reference.dropout import NO_MASKS
from fastmlp.reference.gradient import layer_gradient
from fastmlp.reference.loss import apply_slope
from fastmlp.reference.norm import pull_back_norm

if TYPE_CHECKING:
    from fastmlp.reference.dropout import Masks
    from fastmlp.reference.plan import Plan
    from fastmlp.reference.workspace import Batch
    from fastmlp.spec import Array


def backward_layer(
    plan: Plan, batch: Batch, i: int, delta: Array, a: Array, out: Array, masks: Masks = NO_MASKS
) -> None:
    """The delta of the layer below layer i, whose outputs are `a`, from layer i's own, into `out`."""
    by_outputs = out[:, : plan.sizes[i]]
    plan.product(i, delta, plan.layers[i].W_t, by_outputs)
    if plan.residuals[i]:
        np.add(by_outputs, batch.through[i], out=by_outputs)
    if plan.residuals[i - 1]:
        np.copyto(batch.through[i - 1], by_outputs)
    if i in masks:
        np.multiply(by_outputs, masks[i], out=by_outputs)
    if i in masks or plan.residuals[i - 1]:
        a = batch.signals[i - 1]  # what the activation gave, or the signals
    apply_slope(plan, batch, i - 1, a, out)
    if i - 1 in batch.normed:
        pull_back_norm(plan, batch, i - 1, out)


def backward(plan: Plan, batch: Batch, masks: Masks = NO_MASKS, squares: Array | None = None) -> None:
    """The gradient, from the output layer's delta. A layer's is taken before the memory of its delta has its next turn.

    The first layer's inputs get no delta. `squares` gets the squared norm of each row's part of the gradient, (B,).
    """
    for i in range(len(plan.layers) - 1, -1, -1):
        layer_gradient(plan, batch, i)
        if squares is not None:
            inputs, delta = batch.inputs_t[i], batch.deltas[i]
            of_bias = 0.0 if i in batch.normed else 1.0
            squares += np.einsum("ij,ij->i", delta, delta) * (np.einsum("ji,ji->i", inputs, inputs) + of_bias)
            if i in batch.terms:
                by_slope = batch.terms[i]
                if len(plan.layers[i].slope) == 1:
                    by_slope = by_slope.sum(axis=1, keepdims=True)
                squares += np.einsum("ij,ij->i", by_slope, by_slope)
            for terms in batch.normed[i][:2] if i in batch.normed else ():
                squares += np.einsum("ij,ij->i", terms, terms)
        if i > 0:
            backward_layer(plan, batch, i, batch.deltas[i], batch.outputs[i - 1], batch.deltas[i - 1], masks)
