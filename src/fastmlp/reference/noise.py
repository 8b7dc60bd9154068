"""Gaussian noise that is added to a step's inputs. Mirror of csrc/kernels/noise.inl and passes/dropout.pyx."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastmlp.reference.random import NOISE, elements

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from fastmlp.reference.plan import Plan
    from fastmlp.reference.workspace import Batch
    from fastmlp.spec import Array

_POLYNOMIAL = (
    0.0543384223, -0.018807666, -0.182562965, 0.127285939, 0.175008802, -0.260975186, 0.142050041, -0.015773506,
    -0.106603133, 2.71157609, 3.71438024,
)  # fmt: skip


def normal_quantile(high: NDArray[np.uint16], low: NDArray[np.uint16], dtype: np.dtype[Any]) -> Array:
    """The normal quantile of (k + 1/2) / 2^32 with k = 2^16 high + low, to 7e-6 of it.

    It is x p(s), where u is the smaller of that and its complement, x = 1 - 2 u, s = sqrt(2 - log(4 u (1 - u))) and p a
    nearly minimax polynomial.
    """
    upper = high >= 2**15
    first, second = (np.where(upper, 65535 - bits, bits).astype(dtype) for bits in (high, low))
    u: Array = ((second + dtype.type(0.5)) * dtype.type(2.0**-16) + first) * dtype.type(2.0**-16)
    s = np.sqrt(2 - np.minimum(np.log(4 * u * (1 - u)), 0))
    t = (s - dtype.type(3.13094671)) * dtype.type(0.582501713)
    p = np.full_like(u, _POLYNOMIAL[0])
    for coefficient in _POLYNOMIAL[1:]:
        p = p * t + dtype.type(coefficient)
    magnitude: Array = (1 - 2 * u) * p
    return np.where(upper, magnitude, -magnitude)


def add_noise(plan: Plan, batch: Batch, seed: int, step: int, first: int = 0) -> None:
    """Add to a step's inputs.

    The noise is a function of the seed, the number of updates before the step, and an element's row in its whole batch,
    where `first` is the first of these, and column.
    """
    if plan.noise:
        rows = range(first, first + batch.rows)
        high, low = (elements(seed, NOISE, half, step, rows, plan.sizes[0]) for half in (0, 1))
        noise = normal_quantile(high, low, plan.dtype)
        np.multiply(noise, plan.noise, out=noise)
        np.add(batch.x, noise, out=batch.x)
