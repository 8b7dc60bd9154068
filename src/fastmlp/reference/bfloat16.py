"""Operands of products rounded to bfloat16. Mirror of passes/pairs.pyx.

A product of two of them is exact in float32, so that their sums are those of float32's products here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fastmlp.spec import Array
    from fastmlp.spec.network import Layer, NetworkSpec

#: Layers of so few outputs have products of float32: what leaves a network with one output is not rounded so coarsely.
FEW_OUTPUTS = 4


def rounds(spec: NetworkSpec) -> tuple[bool, ...]:
    """Whether each layer's products take operands of bfloat16."""
    return tuple(spec.bfloat16 and not _few(layer) for layer in spec.layers)


def _few(layer: Layer) -> bool:
    return layer.n_signals <= FEW_OUTPUTS and layer.n_signals < layer.n_in


def rounded(x: Array) -> Array:
    """Return float32 numbers rounded to the nearest bfloat16, ties to even; denormals become 0."""
    bits = np.ascontiguousarray(x).view(np.uint32)
    nearest = bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1)) & np.uint32(0xFFFF0000)
    nearest = np.where(bits & np.uint32(0x7F800000), nearest, bits & np.uint32(0x80000000))
    quiet = (bits | np.uint32(0x00400000)) & np.uint32(0xFFFF0000)
    result: Array = np.where(np.isnan(x), quiet, nearest).view(np.float32)
    return result
