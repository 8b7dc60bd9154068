"""Weights and biases that a user sets: an array for every layer, checked before any is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.data.arrays import as_real
from fastmlp.data.values import check_finite

if TYPE_CHECKING:
    from fastmlp.spec import Array, NetworkSpec

__all__ = ["as_parameters"]


def as_parameters(spec: NetworkSpec, arrays: Any, name: str, *, biases: bool = False) -> list[Array]:
    """Copies of the arrays in the network's dtype, one for each layer: vectors if they are biases."""
    layers, dtype = spec.layers, np.dtype(spec.dtype)
    if isinstance(arrays, str | bytes) or not isinstance(arrays, Sequence | np.ndarray):
        raise TypeError(f"{name} must be a list of {len(layers)} arrays, got {type(arrays).__name__}")
    if len(arrays) != len(layers):
        raise ValueError(f"{name} must be {len(layers)} arrays, one per layer, got {len(arrays)}")
    checked = []
    for place, (given, layer) in enumerate(zip(arrays, layers, strict=True)):
        shape = (layer.n_out,) if biases else (layer.n_in, layer.n_out)
        array = as_real(given, f"{name}[{place}]")
        if array.shape != shape:
            raise ValueError(f"{name}[{place}] must have shape {shape}, got {array.shape}")
        with np.errstate(over="ignore"):  # too large for the dtype: infinite, and refused as such
            array = np.array(array, dtype=dtype, order="C")
        check_finite(array, f"{name}[{place}] (as {dtype})")
        checked.append(array)
    return checked
