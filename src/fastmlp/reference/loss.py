"""The loss of a batch and its deltas dE/dz: what stands between the forward and the backward pass (seam A).

Mirror of passes/loss.pyx.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastmlp.reference.forward import activate
from fastmlp.spec import LossRows, PReLU

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

    from fastmlp.reference.plan import Plan
    from fastmlp.reference.workspace import Batch
    from fastmlp.spec import Array, Target


def apply_slope(plan: Plan, batch: Batch, i: int, out: Array, d: Array) -> None:
    """Multiply d, the derivatives by the outputs of layer i, by f'(z)."""
    layer = plan.layers[i]
    kept = batch.signals[i] if layer.activation.keeps == "signal" else out
    if isinstance(layer.activation, PReLU):
        layer.activation.backward_learned(kept, layer.slope, d, batch.terms[i])
    else:
        layer.activation.backward(kept, d, batch.scratch[i])


def loss(plan: Plan, batch: Batch, out: Array, wanted: Target, scale: Any, row_loss: NDArray[float64]) -> None:
    """Outputs from signals, row losses, and the output layer's delta dE/dz, each row's multiplied by its scale."""
    last, delta = len(plan.layers) - 1, batch.deltas[-1]
    if not plan.loss.output:
        activate(plan, batch, last, out)
    if plan.loss_factor != 1.0:
        scale = scale * plan.loss_factor
    plan.loss.counted_rows(LossRows(out, wanted, scale, delta, row_loss, batch.scratch[-1]))
    if plan.loss_factor != 1.0:
        row_loss *= plan.loss_factor
    if not plan.loss.output:
        apply_slope(plan, batch, last, out, delta)
