"""The tables of training, a row for each step and columns with names; and powers that are the same bits everywhere."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "SHARED_COLUMNS",
    "cos_of_half_turns",
    "counts",
    "exp2",
    "log2",
    "make_table",
    "power_of",
    "powers",
    "powers_of",
]

#: Columns of every table, behind those of its optimizer: g += weight_decay * w, and w -= shrinkage * w, of weights.
SHARED_COLUMNS = ("weight_decay", "shrinkage")

_STRIDE = 1024


@lru_cache(maxsize=256)
def _block_of_powers(beta: float, block: int) -> NDArray[np.float64]:
    """Return beta^(_STRIDE block + 1) ... beta^(_STRIDE (block + 1)), read-only."""
    chain = np.full(_STRIDE + 1, beta)
    first = 1.0
    with np.errstate(under="ignore", over="ignore"):  # a block has more powers than were asked for
        if block:
            # By squaring, so that a step count of any size (a file may claim one) takes no time.
            square = float(_block_of_powers(beta, 0)[-1])
            while block:
                first, square, block = first * square if block & 1 else first, square * square, block >> 1
        chain[0] = first
        np.multiply.accumulate(chain, out=chain)
    chain.flags.writeable = False
    return chain[1:]


def powers(beta: float, start: int, steps: int) -> NDArray[np.float64]:
    """Return beta^(start + 1) ... beta^(start + steps), by multiplications whose order depends on the exponent alone.

    pow() differs between C libraries; a product does not, and where a run was cut in two does not show.
    The answer may be read-only.
    """
    first = start // _STRIDE
    blocks = [_block_of_powers(beta, block) for block in range(first, (start + max(steps, 1) - 1) // _STRIDE + 1)]
    chain = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    return chain[start - first * _STRIDE :][:steps]


def powers_of(bases: NDArray[np.float64], start: int) -> NDArray[np.float64]:
    """Return bases[i]^(start + i + 1): each step's own base, by squares and products that the exponent alone decides.

    Examples
    --------
    >>> powers_of(np.array([0.5, 2.0, 3.0]), start=1)
    array([ 0.25,  8.  , 81.  ])
    """
    exponents = np.arange(len(bases)) + (start + 1)
    values, squares = np.ones_like(bases), bases.copy()
    with np.errstate(under="ignore"):
        while exponents.any():
            values = np.where(exponents & 1, values * squares, values)
            squares, exponents = squares * squares, exponents >> 1
    return values


def power_of(x: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    """x^power for x >= 0 and a positive multiple of 1/2: products and a root, which all processors round alike."""
    values = np.sqrt(x) if power % 1.0 else np.ones_like(x)
    for _ in range(int(power)):
        values = values * x
    return values


# Taylor's coefficients of cos and sin(x) / x in x^2; |x| <= pi / 4, where the first one left out is below 2^-60.
_COS = [(-1.0) ** k / math.factorial(2 * k) for k in range(9)]
_SIN = [(-1.0) ** k / math.factorial(2 * k + 1) for k in range(9)]


def _polynomial(coefficients: list[float], x: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        values = values * x + coefficient
    return values


def cos_of_half_turns(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """cos(pi x) for 0 <= x <= 1, of IEEE's basic operations; NumPy's own cosine differs between processors.

    Examples
    --------
    >>> cos_of_half_turns(np.array([0.0, 0.25, 0.5, 1.0]))
    array([ 1.        ,  0.70710678,  0.        , -1.        ])
    """
    folded = np.where(x <= 0.5, x, 1.0 - x)
    near, far = math.pi * np.minimum(folded, 0.25), math.pi * (0.5 - np.maximum(folded, 0.25))
    values = np.where(folded <= 0.25, _polynomial(_COS, near * near), far * _polynomial(_SIN, far * far))
    signed: NDArray[np.float64] = np.where(x <= 0.5, values, -values)
    return signed


def log2(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """log2(x) for normal x > 0, of IEEE's basic operations.

    With x = m 2^n, m in [sqrt(1/2), sqrt(2)), and s = (m - 1) / (m + 1) it is n + 2 / ln 2 (s + s^3 / 3 + ...).

    Examples
    --------
    >>> log2(np.array([0.5, 1.0, 8.0]))
    array([-1.,  0.,  3.])
    """
    mantissa, exponent = np.frexp(x)
    low = mantissa < math.sqrt(0.5)
    mantissa = np.where(low, 2.0 * mantissa, mantissa)
    s = (mantissa - 1.0) / (mantissa + 1.0)
    series = s * _polynomial([1.0 / (2 * k + 1) for k in range(12)], s * s)
    values: NDArray[np.float64] = exponent - low + series * (2.0 / math.log(2.0))
    return values


def exp2(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """2^x for x <= 0, of IEEE's basic operations; 0 from -1022 on, where numbers would be denormal.

    With x = n + f, |f| <= 1/2, it is 2^n times Taylor's series of exp(f ln 2).

    Examples
    --------
    >>> exp2(np.array([0.0, -0.5, -3.0, -1e9]))
    array([1.        , 0.70710678, 0.125     , 0.        ])
    """
    within = np.maximum(x, -1022.0)
    whole = np.rint(within)
    series = _polynomial([1.0 / math.factorial(k) for k in range(15)], (within - whole) * math.log(2.0))
    values: NDArray[np.float64] = np.where(x > -1022.0, np.ldexp(series, whole.astype(np.int32)), 0.0)
    return values


def counts(beta: float, start: int) -> bool:
    """Whether beta^(start + 1) can be told from 0 in 1 - beta^(start + 1); where not, no later power can."""
    # It can down to 2^-54; 2^-64 leaves room for the logarithm's error.
    return beta > 0 and (start + 1) * math.log2(beta) > -64


@lru_cache(maxsize=16)
def _block_of_rows(row: tuple[float, ...]) -> NDArray[np.float64]:
    """Repeat a row _STRIDE times, read-only: to copy them takes a quarter of the time that filling columns does."""
    block = np.tile(row, (_STRIDE, 1))
    block.flags.writeable = False
    return block


@lru_cache(maxsize=64)
def _shared_zeros(columns: tuple[str, ...]) -> dict[str, float]:
    """Return 0 for each of the columns that all optimizers have."""
    return {name: 0.0 for name in SHARED_COLUMNS if name in columns}


def make_table(columns: tuple[str, ...], steps: int, **values: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Make a table of one row per step, its columns by name: each one value for all steps, or one for every step.

    Of the SHARED_COLUMNS, those that are not given are 0.

    Examples
    --------
    >>> make_table(("rate", "decay"), 2, decay=0.5, rate=np.array([1.0, 2.0]))
    array([[1. , 0.5],
           [2. , 0.5]])
    """
    values = {**_shared_zeros(columns), **values}
    assert len(values) == len(columns), f"columns are {columns}, values are of {tuple(values)}"
    row: list[float] = []
    each = []
    for place, name in enumerate(columns):
        value = values[name]
        if isinstance(value, np.ndarray):
            each.append((place, value))
            value = 0.0
        row.append(value)
    rows, block = np.empty((steps, len(row))), _block_of_rows(tuple(row))
    for start in range(0, steps, _STRIDE):
        rows[start : start + _STRIDE] = block[: steps - start]
    for place, column in each:
        rows[:, place] = column
    return rows
