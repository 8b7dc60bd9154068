"""Weights to start from: the distributions to choose from, and a layer's first weights drawn from one of them.

Numbers are counter-based: a layer's draw is a function of (seed, layer) alone, the same bits on every platform.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.reference import random
from fastmlp.spec.initializers import (
    Initializer,
    as_initializer,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    normal,
    zeros,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.spec.initializers import Function

__all__ = [
    "Initializer",
    "draw",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "zeros",
]


def draw(
    initializer: str | Initializer | Function, seed: int, layer: int, n_in: int, n_out: int
) -> NDArray[np.float64]:
    """First weights of a layer.

    Parameters
    ----------
    initializer : str, Initializer or callable
        A callable gets (n_in, n_out) and returns an array of that shape.
    seed : int
        64 bits.
    layer : int
        Counted from 0; layers draw from streams of their own.
    n_in, n_out : int
        The layer's widths.

    Returns
    -------
    ndarray of float64, shape (n_in, n_out)

    Raises
    ------
    TypeError, ValueError
        If the initializer is unknown, or a callable returned something else than finite real numbers of that shape.

    Examples
    --------
    >>> draw("glorot_uniform", seed=0, layer=0, n_in=2, n_out=3).shape
    (2, 3)
    """
    chosen = as_initializer(initializer)
    if not isinstance(chosen, Initializer):
        return _drawn(chosen(n_in, n_out), n_in, n_out)
    n, deviation = n_in * n_out, chosen.deviation(n_in, n_out)
    if chosen.family == "zeros":
        values = np.zeros(n)
    elif chosen.family == "uniform":
        values = random.uniform(seed, random.INIT, layer, n)  # in [0, 1), to [-limit, limit) of that deviation
        values *= 2.0
        values -= 1.0
        values *= math.sqrt(3.0) * deviation
    else:
        values = random.normal(seed, random.INIT, layer, n)
        values *= deviation
    return values.reshape(n_in, n_out)


def _drawn(values: Any, n_in: int, n_out: int) -> NDArray[np.float64]:
    """Check the weights that a user's function returned."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"initializer must return real numbers, got an array of dtype {array.dtype}")
    if array.shape != (n_in, n_out):
        raise ValueError(f"initializer must return an array of shape ({n_in}, {n_out}), got {array.shape}")
    result = np.array(array, dtype=np.float64, order="C")
    if not np.isfinite(result).all():
        raise ValueError("initializer must return finite numbers, got NaN or infinity")
    return result
