"""Weights and vectors that a user sets: an array for every layer that has them, checked before any is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.data.arrays import as_real
from fastmlp.data.values import check_finite

if TYPE_CHECKING:
    from fastmlp.spec import Array, NetworkSpec

__all__ = ["as_parameters", "checked_flat"]


def as_parameters(spec: NetworkSpec, arrays: Any, name: str, *, kind: str = "weight") -> list[Array]:
    """Copies of the arrays in the network's dtype, one for each layer that has this kind, such as "weight"."""
    shapes = [shape for tensor, shape in spec.shapes.items() if tensor.endswith(f".{kind}")]
    dtype, n = np.dtype(spec.dtype), len(shapes)
    layers = "layer" if n == len(spec.layers) else "hidden layer that has any"
    if isinstance(arrays, str | bytes) or not isinstance(arrays, Sequence | np.ndarray):
        raise TypeError(f"{name} must be a list of {n} arrays, got {type(arrays).__name__}")
    if len(arrays) != n:
        raise ValueError(f"{name} must be {n} arrays, one per {layers}, got {len(arrays)}")
    checked = []
    for place, (given, shape) in enumerate(zip(arrays, shapes, strict=True)):
        array = as_real(given, f"{name}[{place}]")
        if array.shape != shape:
            raise ValueError(f"{name}[{place}] must have shape {shape}, got {array.shape}")
        with np.errstate(over="ignore"):  # too large for the dtype: infinite, and refused as such
            array = np.array(array, dtype=dtype, order="C")
        check_finite(array, f"{name}[{place}] (as {dtype})")
        checked.append(array)
    return checked


def checked_flat(out: Any, spec: NetworkSpec) -> Array:
    """Check a vector that is to be filled with a number for each parameter."""
    dtype = np.dtype(spec.dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, got {type(out).__name__}")
    if out.dtype != dtype or not out.dtype.isnative:
        raise TypeError(f"out must have the network's dtype {dtype}, got {out.dtype.str}")
    if out.shape != (spec.n_parameters,):
        raise ValueError(f"out must have shape ({spec.n_parameters},), got {out.shape}")
    if not (out.flags.c_contiguous and out.flags.aligned and out.flags.writeable):
        raise ValueError("out must be contiguous, aligned and writeable")
    return out
