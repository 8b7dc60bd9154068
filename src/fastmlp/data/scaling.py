"""What normalises rows: a shift and a scale for each column, from all rows, in float64 and some rows at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fastmlp.data.values import BLOCK_ELEMENTS
from fastmlp.spec import Normalization, Scaling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from fastmlp.data.table import Inputs

__all__ = ["measure_scaling"]

# Columns are sorted, for their quartiles, as many at a time as make this many numbers; or one.
SORTED_NUMBERS: Final = 1 << 22


def measure_scaling(X: Inputs, kind: Normalization, part: NDArray[np.int64] | None = None, name: str = "X") -> Scaling:
    """Measure what normalises rows, whose values are finite; some rows at a time are held in float64.

    Parameters
    ----------
    X : ndarray or Table of shape (n, n_inputs)
    kind : {"standard", "minmax", "robust"}
        Mean and standard deviation (of all rows, not of a sample); smallest value and range; median and range between
        the quartiles, which are interpolated as by NumPy. A column in which that range is 0 is only shifted.
    part : ndarray of int64, optional
        The numbers of the rows to measure, in this order; None: all.
    name : str
        What X is called in messages.

    Raises
    ------
    ValueError
        Numbers so large, or so close to each other, that these overflow float64.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        low, high = _limits(X, part)
        if kind == "minmax":
            shift, spread = low, high - low
        elif kind == "standard":
            n = len(X) if part is None else len(part)
            shift = _sums(X, part, lambda block: block) / n
            spread = np.sqrt(_sums(X, part, lambda block: np.square(block - shift)) / n)
        else:
            shift, spread = _quartiles(X, part)
        # The mean of equal numbers may differ from them in its last bits, and so would their deviation from 0.
        shift = np.where(low == high, low, shift)
        scale = np.where((low == high) | (spread == 0), 1.0, 1.0 / spread)
    wrong = np.flatnonzero(~(np.isfinite(shift) & np.isfinite(scale) & (scale > 0)))
    if wrong.size:
        low, high = low[wrong[0]], high[wrong[0]]
        raise ValueError(f"column {wrong[0]} of {name} is from {low} to {high}: too far, or too near, to normalise")
    return Scaling(shift, scale)


def _blocks(X: Inputs, part: NDArray[np.int64] | None) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Rows, a block after the other, each with the place of its first row."""
    n, rows = len(X) if part is None else len(part), max(1, BLOCK_ELEMENTS // X.shape[1])
    for start in range(0, n, rows):
        some = slice(start, start + rows)
        yield start, np.array(X[some] if part is None else X[part[some]], np.float64, order="C")


def _limits(X: Inputs, part: NDArray[np.int64] | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = np.full(X.shape[1], np.inf), np.full(X.shape[1], -np.inf)
    for _, block in _blocks(X, part):
        np.minimum(low, block.min(axis=0), out=low)
        np.maximum(high, block.max(axis=0), out=high)
    return low, high


def _sums(
    X: Inputs, part: NDArray[np.int64] | None, of: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Add up in the order of the rows, whatever X is: NumPy's own order depends on how it lies."""
    sums = np.zeros(X.shape[1])
    for _, block in _blocks(X, part):
        terms = of(block)
        terms[0] += sums
        sums = np.add.accumulate(terms, axis=0)[-1]
    return sums


def _quartiles(X: Inputs, part: NDArray[np.int64] | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each column's median, and the range between its quartiles."""
    n, columns = len(X) if part is None else len(part), X.shape[1]
    at_once = max(1, SORTED_NUMBERS // n)
    found = np.empty((3, columns))
    for first in range(0, columns, at_once):
        some = slice(first, min(first + at_once, columns))
        numbers = np.empty((n, some.stop - first))
        for start, block in _blocks(X, part):
            numbers[start : start + len(block)] = block[:, some]
        numbers.sort(axis=0)
        for quartile in range(3):
            place = (quartile + 1) * (n - 1) / 4
            below = int(place)
            above = min(below + 1, n - 1)
            found[quartile, some] = numbers[below] + (numbers[above] - numbers[below]) * (place - below)
    return found[1], found[2] - found[0]
