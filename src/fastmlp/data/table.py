"""Rows that lie in several arrays, of which a block at a time becomes one: columns of a frame, chunks of a data set.

An engine reads one array. What is here has the shape of one, and gives any rows of it; never all, unless asked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from fastmlp.spec import Array

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["TABLE_NUMBERS", "Columns", "Inputs", "Pieces", "Table", "dense", "dense_parts"]

# A table's rows are put together in blocks of about this many numbers.
TABLE_NUMBERS: Final = 1 << 18


class Table(ABC):
    """Rows and columns whose numbers lie in several arrays.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
        Of the arrays that it gives; one of the source dtypes.
    names : tuple of str, or None
        Names of the columns.
    finite : bool
        Whether all values are known to be finite, so that nobody has to look.
    sparse : bool
        Whether an engine can read it as it is, if it takes sparse rows.
    """

    ndim: Final = 2
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    names: tuple[str, ...] | None = None
    finite: bool = False
    sparse: bool = False

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Array:
        """Put rows together: a slice of them, or those of an array of row numbers, in its order, or of yes and no."""
        rows = _checked(rows, len(self))
        out = np.empty((_count(rows, len(self)), self.shape[1]), self.dtype)
        self.fill(out, rows)
        return out

    @abstractmethod
    def fill(self, out: Array, rows: Any) -> None:
        """Write rows, as many as `out` has, where they belong: a slice, or numbers of 0 and more."""

    def part(self, rows: slice) -> Table:
        """Return rows that follow each other as a table of the same kind, where that is sparse."""
        raise NotImplementedError(f"{type(self).__name__} is put together")

    @property
    def rows_at_once(self) -> int:
        """Number of rows in a block of bounded size."""
        return max(1, TABLE_NUMBERS // max(1, self.shape[1]))

    def blocks(self) -> Iterator[tuple[int, Array]]:
        """All rows, a block after the other, each with the number of its first row."""
        for start in range(0, len(self), self.rows_at_once):
            yield start, self[start : start + self.rows_at_once]


Inputs: TypeAlias = Array | Table
"""What X is once it has been checked."""


class Columns(Table):
    """Columns of one length: 1-D arrays, or `Pieces` of them, in the source dtypes."""

    def __init__(self, columns: Sequence[Array | Pieces], names: tuple[str, ...] | None) -> None:
        self.columns, self.names = tuple(columns), names
        self.shape = len(columns[0]), len(columns)
        self.dtype = _common(columns)

    def fill(self, out: Array, rows: Any) -> None:
        for place, column in enumerate(self.columns):
            out[:, place] = column[rows]


class Pieces(Table):
    """Arrays (or tables) one after the other, as one: of two dimensions, or of one as a column in chunks."""

    def __init__(self, pieces: Sequence[Inputs]) -> None:
        self.pieces = tuple(pieces)
        self.ends = np.cumsum([len(piece) for piece in pieces])
        self.width = pieces[0].shape[1:]
        self.shape = int(self.ends[-1]), *(self.width or (1,))
        self.dtype = _common(pieces)

    def __getitem__(self, rows: Any) -> Array:
        if self.width:  # a column is asked by its table, which has looked
            rows = _checked(rows, len(self))
        out = np.empty((_count(rows, len(self)), *self.width), self.dtype)
        self.fill(out, rows)
        return out

    def fill(self, out: Array, rows: Any) -> None:
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1:
                return self._fill_range(out, start, stop)
            rows = np.arange(start, stop, step)
        which = np.searchsorted(self.ends, rows, side="right")
        for number in np.unique(which):
            piece, places = self.pieces[number], np.flatnonzero(which == number)
            out[places] = piece[rows[places] - (self.ends[number] - len(piece))]
        return None

    def _fill_range(self, out: Array, start: int, stop: int) -> None:
        begin = start
        for number in range(int(np.searchsorted(self.ends, start, side="right")), len(self.pieces)):
            if begin >= stop:
                break
            piece = self.pieces[number]
            first, end = int(self.ends[number]) - len(piece), min(stop, int(self.ends[number]))
            out[begin - start : end - start] = piece[begin - first : end - first]
            begin = end


def dense(X: Inputs) -> Array:
    """Return rows as one array: themselves, if they are one."""
    return X if type(X) is np.ndarray else X[:] if isinstance(X, Table) else X  # an array, which is asked for, first


def dense_parts(X: Inputs, part: slice, sparse: bool = False) -> Iterator[tuple[slice, Any]]:
    """Rows of a part, in arrays of bounded size where they are put together, each with its place in the part.

    With `sparse`, rows that are sparse stay so.
    """
    if sparse and isinstance(X, Table) and X.sparse:
        yield slice(0, part.stop - part.start), X.part(part)
        return
    if not isinstance(X, Table):
        yield slice(0, part.stop - part.start), X[part]
        return
    for start in range(part.start, part.stop, X.rows_at_once):
        stop = min(start + X.rows_at_once, part.stop)
        yield slice(start - part.start, stop - part.start), X[start:stop]


def _checked(rows: Any, length: int) -> Any:
    """Return a slice, or the numbers of 0 and more of the rows that an array means, as NumPy would take it."""
    if isinstance(rows, slice):
        return rows
    rows = np.asarray(rows)
    if rows.dtype == np.bool_:
        if rows.shape != (length,):
            raise IndexError(f"yes and no must be told of {length} rows, got shape {rows.shape}")
        return np.flatnonzero(rows)
    if rows.size and not -length <= rows.min() <= rows.max() < length:
        raise IndexError(f"rows must be from {-length} to {length - 1}, got {rows.min()} to {rows.max()}")
    return np.where(rows < 0, rows + length, rows)


def _count(rows: Any, length: int) -> int:
    """Count the rows that a slice, or an array of numbers, takes of so many."""
    return len(range(*rows.indices(length))) if isinstance(rows, slice) else len(rows)


def _common(arrays: Sequence[Inputs]) -> np.dtype[Any]:
    """The dtype that holds the numbers of all these, as NumPy finds it: of source dtypes it is one, too."""
    return np.result_type(*(array.dtype for array in arrays))
