"""Forward passes whose buffers are kept, and their backward pass, for losses of others. Mirror of passes/tape.pyx."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastmlp.reference.backward import backward
from fastmlp.reference.dropout import NO_MASKS, draw_masks
from fastmlp.reference.forward import activate, forward
from fastmlp.reference.loss import apply_slope
from fastmlp.reference.noise import add_noise
from fastmlp.reference.predict import blocks
from fastmlp.reference.rows import gather, to_units

if TYPE_CHECKING:
    from fastmlp.reference.dropout import Masks
    from fastmlp.reference.gate import Rest
    from fastmlp.reference.plan import Plan
    from fastmlp.reference.workspace import Batch
    from fastmlp.spec import Array


class Tape:
    """Inputs and outputs of all layers for some rows, until the derivatives by the last ones are known.

    A tape may be pulled back any number of times until the parameters change.
    """

    def __init__(self, plan: Plan, changes: int) -> None:
        self.plan, self.changes = plan, changes
        self.rows = 0
        self.batches: list[tuple[slice, Batch, Masks]] = []

    def forward(self, X: Array, out: Array, seed: int | None, step: int, rest: Rest) -> None:
        """Outputs of all rows of X into `out`; with a seed, as a step of training computes them, all at once."""
        plan = self.plan
        self.rows = len(X)
        random = seed is not None and (plan.noise > 0 or any(plan.rates))
        for rows in [slice(0, len(X))] if random else blocks(len(X), rest):
            batch = plan.workspace.another().batch(rows.stop - rows.start)
            gather(X, rows, batch.x, plan.inputs)
            masks: Masks = NO_MASKS
            if random and seed is not None:
                add_noise(plan, batch, seed, step)
                masks = draw_masks(plan, batch, seed, step)
            forward(plan, batch, batch.x, batch.outputs[-1], masks)
            activate(plan, batch, len(plan.layers) - 1, batch.outputs[-1])
            np.copyto(out[rows], batch.outputs[-1])
            to_units(plan, out[rows])
            self.batches.append((rows, batch, masks))

    def backward(
        self, by_outputs: Array, gradient: Array | None, by_inputs: Array | None, transposed: bool, rest: Rest
    ) -> None:
        """From derivatives by the outputs to those by all parameters, into one vector, and by the inputs."""
        plan = self.plan
        total: Array | None = None
        for rows, batch, masks in self.batches:
            rest.handlers()
            np.copyto(batch.deltas[-1], by_outputs[rows])
            apply_slope(plan, batch, len(plan.layers) - 1, batch.outputs[-1], batch.deltas[-1])
            # A backward pass multiplies what has been normalised in place, and a tape may be pulled back again.
            normed = {i: (x.copy(), shifted, scale) for i, (x, shifted, scale) in batch.normed.items()}
            backward(plan, batch._replace(normed=normed), masks)
            if by_inputs is not None:
                np.matmul(batch.deltas[0], plan.layers[0].W_t, out=by_inputs[rows])
                if 0 in masks:
                    np.multiply(by_inputs[rows], masks[0], out=by_inputs[rows])
            if len(self.batches) > 1:
                total = plan.gradient.vector.copy() if total is None else total + plan.gradient.vector
        if total is not None:
            np.copyto(plan.gradient.vector, total)
        if gradient is not None:
            tensors = [tensor for layer in plan.layers for tensor in layer.gradient.values()]
            np.concatenate([(tensor.T if transposed else tensor).ravel() for tensor in tensors], out=gradient)
