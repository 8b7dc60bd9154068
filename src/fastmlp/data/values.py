"""The values of an array: checks that walk over it block by block and name the first place that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from fastmlp.data.sparse import Sparse
from fastmlp.data.table import Inputs, Table
from fastmlp.spec import Array, Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BLOCK_ELEMENTS", "Finite", "check_finite", "check_range", "check_row_sums", "refuse_overflow"]

Finite: TypeAlias = Callable[[Array], bool]
"""A backend's quick answer to "is every element of this 2-D float array finite?"."""

# A block is what a check holds at a time: small enough for a core's cache, large enough to hide NumPy's call overhead.
BLOCK_ELEMENTS: Final = 1 << 16
BLOCK_COLUMNS: Final = 1 << 12


def check_finite(array: Inputs, name: str, finite: Finite | None = None, *, nan: bool = False) -> None:
    """Raise a ValueError with the place of the first NaN or infinity of a 1-D or 2-D array, in bounded memory.

    Parameters
    ----------
    array : ndarray or Table
        Integers pass unread.
    name : str
        What the array is called in the message.
    finite : callable, optional
        As for `as_inputs`; NumPy decides when it answers False, and says where.
    nan : bool
        Whether NaN is no fault.
    """
    if array.dtype.kind != "f" or 0 in array.shape:
        return
    if isinstance(array, Sparse):
        wrong = _first(_table(array.values), lambda block: ~np.isfinite(block))
        if wrong is not None:
            row, column = array.place_of(wrong[0])
            raise ValueError(
                f"{name} has {array.values[wrong[0]]} at row {row}, column {column}; all values must be finite"
            )
        return
    if isinstance(array, Table):
        if array.finite:
            return
        for start, block in array.blocks():
            if finite is None or not finite(block):
                _check_block(block, name, start, array.names)
        return
    table = _table(array)
    if finite is not None and finite(table):
        return
    place = _first(table, np.isinf if nan else lambda block: ~np.isfinite(block))
    if place is not None:
        raise ValueError(f"{name} has {table[place]} at {_place(array, place)}; all values must be finite")


def _check_block(block: Array, name: str, start: int, names: tuple[str, ...] | None) -> None:
    place = _first(block, lambda part: ~np.isfinite(part))
    if place is not None:
        column = place[1] if names is None else repr(names[place[1]])
        raise ValueError(
            f"{name} has {block[place]} at row {start + place[0]}, column {column}; all values must be finite"
        )


def refuse_overflow(array: Inputs, dtype: np.dtype[Any], name: str) -> None:
    """Raise a ValueError with the place of the first value that is finite here and infinite in a network's dtype.

    To be asked when a result is NaN: until then an infinity is an honest answer to such a value, and costs nothing.
    """
    if array.dtype.kind != "f" or array.dtype.itemsize <= dtype.itemsize:
        return
    if isinstance(array, Table):
        for _, block in array.blocks():
            refuse_overflow(block, dtype, name)
        return
    table, largest = _table(array), float(np.finfo(dtype).max)
    place = _first(table, lambda block: np.abs(block) > largest)
    if place is not None:
        raise ValueError(
            f"{name} has {table[place]} at {_place(array, place)}, which is infinite in the network's {dtype} and "
            "makes the result NaN: scale it, or make the network with dtype='float64'"
        )


def check_range(array: Array, interval: Interval, name: str, rule: str) -> None:
    if interval.holds(array):
        return
    table = _table(array)
    place = _first(table, interval.outside)
    if place is not None:
        raise ValueError(f"{name} has {table[place]} at {_place(array, place)}; {rule}")


def check_row_sums(array: Array, name: str) -> None:
    rows = max(1, BLOCK_ELEMENTS // array.shape[1])
    for start in range(0, array.shape[0], rows):
        with np.errstate(over="ignore"):
            sums = array[start : start + rows].sum(axis=1, dtype=np.float64)
        wrong = np.flatnonzero(np.abs(sums - 1) > 1e-3)
        if wrong.size:
            row = int(wrong[0])
            raise ValueError(
                f"{name} has a sum of {sums[row]:.6g} in row {start + row}; probabilities must sum to 1 along each row"
            )


def _first(table: Array, wrong: Callable[[Array], NDArray[np.bool_]]) -> tuple[int, int] | None:
    """Return row and column of the first element, in row order, that is wrong; hold one block's answers at a time."""
    n_rows, n_columns = table.shape
    rows = max(1, BLOCK_ELEMENTS // max(1, min(n_columns, BLOCK_COLUMNS)))
    for top in range(0, n_rows, rows):
        found = []
        for left in range(0, n_columns, BLOCK_COLUMNS):
            mask = wrong(table[top : top + rows, left : left + BLOCK_COLUMNS])
            if mask.any():
                row, column = np.unravel_index(int(mask.argmax()), mask.shape)  # argmax goes row by row
                found.append((top + int(row), left + int(column)))
        if found:
            return min(found)
    return None


def _table(array: Array) -> Array:
    return array if array.ndim == 2 else array[:, np.newaxis]


def _place(array: Array, place: tuple[int, int]) -> str:
    return f"row {place[0]}, column {place[1]}" if array.ndim == 2 else f"row {place[0]}"
