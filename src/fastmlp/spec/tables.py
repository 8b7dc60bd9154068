"""The tables of training, a row for each step and columns with names; and powers that are the same bits everywhere."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SHARED_COLUMNS", "counts", "make_table", "powers"]

#: Columns of every table, behind those of its optimizer: g += weight_decay * w, and w -= shrinkage * w, of weights.
SHARED_COLUMNS = ("weight_decay", "shrinkage")

_STRIDE = 1024


@lru_cache(maxsize=256)
def _block_of_powers(beta: float, block: int) -> NDArray[np.float64]:
    """Return beta^(_STRIDE block + 1) ... beta^(_STRIDE (block + 1)), read-only."""
    chain = np.full(_STRIDE + 1, beta)
    first = 1.0
    with np.errstate(under="ignore"):
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


def make_table(columns: tuple[str, ...], steps: int, **values: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Make a table of one row per step, its columns by name: each one value for all steps, or one for every step.

    Of the SHARED_COLUMNS, those that are not given are 0.

    Examples
    --------
    >>> make_table(("rate", "decay"), 2, decay=0.5, rate=np.array([1.0, 2.0]))
    array([[1. , 0.5],
           [2. , 0.5]])
    """
    values = {**{name: 0.0 for name in SHARED_COLUMNS if name in columns}, **values}
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
