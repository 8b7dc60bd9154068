"""The largest norm of the weights into a unit, which an update may not leave behind. Mirror of passes/bound.pyx."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fastmlp.reference.plan import Plan


def bound(plan: Plan) -> None:
    """Scale columns of W that are too long as PyTorch's renorm and Keras' MaxNorm do: by max_norm / (norm + 1e-7)."""
    for layer, most in zip(plan.layers, plan.max_norm, strict=False):  # of no layer, or of all
        if most is not None:
            norms = np.sqrt(np.einsum("io,io->o", layer.W, layer.W))
            too_large = norms > most
            layer.W[:, too_large] *= (most / (norms[too_large] + 1e-7)).astype(plan.dtype)
