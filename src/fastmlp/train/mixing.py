"""The random shares of mixup: how much of another row each row of a step gets."""

import numpy as np
from numpy.typing import NDArray

from fastmlp.reference.random import MIXUP, philox
from fastmlp.spec.tables import cos_of_half_turns, exp2, log2

__all__ = ["shares_of_others"]


def shares_of_others(seed: int, before: int, steps: int, alpha: float) -> NDArray[np.float64]:
    """Draw a number from Beta(alpha, alpha) for each step; that of a step is a function of how many were made before.

    It is (1 + t / sqrt(2 alpha + t^2)) / 2 with t of Student's distribution of 2 alpha degrees (Devroye 1996), and t is
    sqrt(2 alpha (u^(-1 / alpha) - 1)) cos(pi v) of two uniform numbers u and v (Bailey 1994): nothing is rejected.

    Examples
    --------
    >>> shares_of_others(seed=0, before=7, steps=2, alpha=0.2).tolist() == [
    ...     shares_of_others(0, step, 1, 0.2)[0] for step in (7, 8)
    ... ]
    True
    """
    words = philox(seed, MIXUP, 0, before, steps).astype(np.uint64)
    high, low = words[:, ::2] >> np.uint64(5), words[:, 1::2] >> np.uint64(6)
    u, v = ((high * np.uint64(2**26) + low).astype(np.float64).T + 0.5) * 2.0**-53
    with np.errstate(over="ignore"):
        power = exp2(np.minimum(log2(u) / alpha, 0.0))  # u^(1 / alpha)
    cosine = cos_of_half_turns(v)
    rest = 1.0 - power
    shares: NDArray[np.float64] = 0.5 + 0.5 * cosine * np.sqrt(rest / (power + rest * cosine * cosine))
    return np.clip(shares, 0.0, 1.0)
