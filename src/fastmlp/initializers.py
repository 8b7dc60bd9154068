"""Weights to start from: the distributions to choose from, and a layer's first weights drawn from one of them.

Numbers are counter-based: a layer's draw is a function of (seed, layer) alone, the same bits on every platform.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.reference import random
from fastmlp.spec.initializers import (
    DEVIATION_OF_CUT,
    Initializer,
    as_initializer,
    constant,
    glorot_normal,
    glorot_truncated_normal,
    glorot_uniform,
    he_normal,
    he_truncated_normal,
    he_uniform,
    lecun_normal,
    lecun_truncated_normal,
    lecun_uniform,
    normal,
    orthogonal,
    truncated_normal,
    zeros,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastmlp.spec.initializers import Function

__all__ = [
    "Initializer",
    "bias_of_mean",
    "constant",
    "draw",
    "glorot_normal",
    "glorot_truncated_normal",
    "glorot_uniform",
    "he_normal",
    "he_truncated_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_truncated_normal",
    "lecun_uniform",
    "normal",
    "orthogonal",
    "truncated_normal",
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
    return _FAMILIES[chosen.family](chosen, seed, layer, n_in, n_out).reshape(n_in, n_out)


def bias_of_mean(output: str, mean: NDArray[np.float64], n_rows: float) -> NDArray[np.float64]:
    """Biases from which an output layer of this activation gives `mean`, where its weights contribute nothing.

    A mean at the end of the range, whose bias is infinite, counts as half a row of `n_rows` away from it.

    Examples
    --------
    >>> bias_of_mean("logistic", np.array([0.01, 0.0]), n_rows=1000)  # log(p / (1 - p)), p of 0.01 and 0.0005
    array([-4.59511985, -7.60040233])
    """
    least = 0.5 / n_rows
    if output == "identity":
        return mean
    if output in ("exp", "softmax"):
        return random.log(np.maximum(mean, least))
    if output == "logistic":
        share = np.clip(mean, least, 1.0 - least)
        return random.log(share) - random.log(1.0 - share)
    raise ValueError(f"the bias of a mean is known for outputs identity, logistic, softmax and exp, not for {output}")


# ---- the families ---------------------------------------------------------------------------------------------------


def _zeros(chosen: Initializer, seed: int, layer: int, n_in: int, n_out: int) -> NDArray[np.float64]:  # noqa: ARG001
    return np.zeros(n_in * n_out)


def _constant(chosen: Initializer, seed: int, layer: int, n_in: int, n_out: int) -> NDArray[np.float64]:  # noqa: ARG001
    return np.full(n_in * n_out, chosen.value)


def _uniform(chosen: Initializer, seed: int, layer: int, n_in: int, n_out: int) -> NDArray[np.float64]:
    """From [0, 1) to [-limit, limit) of the deviation."""
    values = random.uniform(seed, random.INIT, layer, n_in * n_out)
    values *= 2.0
    values -= 1.0
    values *= math.sqrt(3.0) * chosen.deviation(n_in, n_out)
    return values


def _normal(chosen: Initializer, seed: int, layer: int, n_in: int, n_out: int) -> NDArray[np.float64]:
    values = random.normal(seed, random.INIT, layer, n_in * n_out)
    values *= chosen.deviation(n_in, n_out)
    return values


def _truncated(chosen: Initializer, seed: int, layer: int, n_in: int, n_out: int) -> NDArray[np.float64]:
    values = random.truncated_normal(seed, random.INIT, layer, n_in * n_out)
    values *= chosen.sigma or chosen.deviation(n_in, n_out) / DEVIATION_OF_CUT
    return values


def _orthogonal(chosen: Initializer, seed: int, layer: int, n_in: int, n_out: int) -> NDArray[np.float64]:
    """Q of the decomposition of a matrix of normal numbers whose R has a positive diagonal: uniform (Stewart 1980).

    The columns of that matrix that are left after some reflections are normal still, so each reflection comes from the
    next column as it was drawn, and R is not needed. All by element-wise operations and sums in one tree: the bits of
    BLAS and LAPACK differ between builds.
    """
    n, m = max(n_in, n_out), min(n_in, n_out)
    drawn = random.normal(seed, random.INIT, layer, n * m).reshape(m, n)
    Q, scratch = np.zeros((n, m)), np.empty(n * m)
    for j in range(m - 1, -1, -1):  # the last reflection first: it is the innermost
        x = drawn[j, j:]
        norm = math.sqrt(_sum_rows((x * x)[:, np.newaxis])[0])
        rest, tail = Q[j + 1 :, j + 1 :], x[1:, np.newaxis]
        if rest.size:
            products = np.multiply(tail, rest, out=scratch[: rest.size].reshape(rest.shape))
            along = _sum_rows(products) / (norm * (norm + abs(x[0])))
            Q[j, j + 1 :] = -(x[0] + math.copysign(norm, x[0])) * along
            rest -= np.multiply(tail, along, out=products)
        Q[j:, j] = x / norm
    Q *= chosen.gain
    return Q if n_in >= n_out else np.ascontiguousarray(Q.T)


def _sum_rows(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add up rows in a tree that their number alone decides; they are used up."""
    n = len(rows)
    while n > 1:
        half = (n + 1) // 2
        rows[: n - half] += rows[half:n]
        n = half
    total: NDArray[np.float64] = rows[0].copy()
    return total


_FAMILIES: dict[str, Callable[[Initializer, int, int, int, int], NDArray[np.float64]]] = {
    "zeros": _zeros,
    "constant": _constant,
    "uniform": _uniform,
    "normal": _normal,
    "truncated": _truncated,
    "orthogonal": _orthogonal,
}


# ---- a user's function ----------------------------------------------------------------------------------------------


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
