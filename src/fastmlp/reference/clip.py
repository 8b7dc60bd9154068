"""The norm of the gradient, by which it is clipped. Mirror of passes/clip.pyx."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fastmlp.reference.parameters import sum_of_squares

if TYPE_CHECKING:
    from fastmlp.spec import Array

EPSILON = 1e-6  # as PyTorch adds it to the norm


def clip_factor(gradient: Array, most: float) -> float:
    """Return what the gradient has to be multiplied by so that its norm is not more than `most`."""
    factor = most / (math.sqrt(sum_of_squares(gradient)) + EPSILON)
    return min(factor, 1.0)
