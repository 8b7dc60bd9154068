"""Sparse rows (CSR), checked before anything is read by them; and blocks of them made dense."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.data.arrays import as_real, as_source
from fastmlp.data.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fastmlp.spec import Array

__all__ = ["DENSE_NUMBERS", "Sparse", "as_sparse", "dense_blocks", "is_sparse"]

# Sparse rows are made dense in buffers of about this many numbers.
DENSE_NUMBERS = 1 << 18


class Sparse(Table):
    """Rows of which the numbers that are not 0 are stored, as in SciPy's CSR.

    Attributes
    ----------
    indptr : ndarray of int64, (n + 1,)
        Row r has the entries from indptr[r] to indptr[r + 1]: its own, which nobody else changes.
    indices : ndarray of int32
        The entries' columns, in increasing order in each row.
    values : ndarray, of a source dtype
        The entries.
    """

    sparse = True

    def __init__(self, indptr: NDArray[np.int64], indices: NDArray[np.int32], values: Array, n_columns: int) -> None:
        self.indptr, self.indices, self.values = indptr, indices, values
        self.shape, self.dtype = (len(indptr) - 1, n_columns), values.dtype

    def fill(self, out: Array, rows: Any) -> None:
        """Write rows, zeros and all, into `out`: a slice, or numbers of 0 and more."""
        numbers = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else np.asarray(rows)
        places, entries = self._entries(numbers)
        out.fill(0)
        out[places, self.indices[entries]] = self.values[entries]

    def _entries(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return of all entries of some rows, by their numbers, the places of the rows among these, and their own."""
        starts = self.indptr[numbers]
        lengths = self.indptr[numbers + 1] - starts
        before = np.cumsum(lengths) - lengths
        entries = np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
        return np.repeat(np.arange(len(numbers)), lengths), entries

    def columns_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the columns of all entries of some rows, by their numbers."""
        return self.indices[self._entries(numbers)[1]]

    def copy(self) -> Sparse:
        """Return them in memory that nobody else has."""
        return Sparse(self.indptr.copy(), self.indices.copy(), self.values.copy(), self.shape[1])

    def part(self, rows: slice) -> Sparse:
        """Return rows that follow each other, without a copy of their entries."""
        indptr = self.indptr[rows.start : rows.stop + 1]
        first, end = int(indptr[0]), int(indptr[-1])
        return Sparse(indptr - first, self.indices[first:end], self.values[first:end], self.shape[1])

    def place_of(self, entry: int) -> tuple[int, int]:
        """Return the row and the column of an entry."""
        return int(np.searchsorted(self.indptr, entry, side="right")) - 1, int(self.indices[entry])


def is_sparse(value: Any) -> bool:
    """Recognise SciPy's sparse matrices and arrays by where their class comes from: SciPy stays unimported."""
    return any(
        base.__module__.partition(".")[0] == "scipy" and "sparse" in base.__module__ for base in type(value).__mro__
    )


def as_sparse(X: Any, name: str = "X") -> Sparse:
    """Check SciPy's sparse rows, and return them as an engine reads them.

    Parameters
    ----------
    X : csr_matrix, csr_array, csc_matrix or csc_array
        CSR of a source dtype is not copied, if its columns are in order and its indices are int32; CSC becomes CSR,
        and entries of one place become their sum.
    name : str
        What X is called in messages.

    Raises
    ------
    TypeError
        Another format, or numbers that are not real.
    ValueError
        Arrays that do not fit each other: an index out of range, rows that end before they begin.
    """
    if getattr(X, "format", None) not in ("csr", "csc") or X.ndim != 2:
        raise TypeError(f"{name} is a sparse {type(X).__name__}; it must be CSR or CSC, of rows: pass {name}.tocsr()")
    _check_arrays(X, name)
    if X.format == "csc":
        X = X.tocsr()
    indptr, indices, values = X.indptr.astype(np.int64), X.indices[: X.indptr[-1]], X.data[: X.indptr[-1]]
    if not _in_order(indptr, indices):
        X = X.copy()
        X.has_sorted_indices = X.has_canonical_format = False  # which it may say of itself
        X.sum_duplicates()
        indptr, indices, values = X.indptr.astype(np.int64), X.indices, X.data
    values = as_source(values)
    return Sparse(indptr, np.ascontiguousarray(indices, np.int32), np.ascontiguousarray(values), X.shape[1])


def _check_arrays(X: Any, name: str) -> None:
    """Refuse arrays by which SciPy itself would read what is not there."""
    major, minor = X.shape if X.format == "csr" else X.shape[::-1]
    for part in ("indptr", "indices", "data"):
        array = getattr(X, part)
        if not isinstance(array, np.ndarray) or array.ndim != 1:
            raise ValueError(f"{name}.{part} must be an array of one dimension")
        if part != "data" and array.dtype.kind not in "iu":
            raise ValueError(f"{name}.{part} has dtype {array.dtype}; it must be integers")
    as_real(X.data, f"{name}.data")
    indptr, n = X.indptr, min(len(X.indices), len(X.data))
    if len(indptr) != major + 1:
        raise ValueError(
            f"{name}.indptr has {len(indptr)} numbers; {name} has shape {X.shape}, so it must have {major + 1}"
        )
    if indptr[0] != 0 or indptr[-1] > n or (indptr[1:] < indptr[:-1]).any():
        raise ValueError(f"{name}.indptr must rise from 0 to the number of entries, at most {n}")
    if minor > np.iinfo(np.int32).max:
        raise ValueError(f"{name} has shape {X.shape}; it must have fewer than 2^31 columns")
    indices = X.indices[: indptr[-1]]
    if len(indices) and not 0 <= indices.min() <= indices.max() < minor:
        wrong = indices.min() if indices.min() < 0 else indices.max()
        raise ValueError(
            f"{name}.indices has {wrong}; {name} has shape {X.shape}, so they must be from 0 to {minor - 1}"
        )


def _in_order(indptr: NDArray[np.int64], indices: Array) -> bool:
    """Whether the columns of each row rise."""
    if len(indices) < 2:
        return True
    rises = indices[1:] > indices[:-1]
    first = indptr[1:-1]  # of the rows behind the first one
    rises[first[(first > 0) & (first < len(indices))] - 1] = True
    return bool(rises.all())


def dense_blocks(X: Any, order: NDArray[np.int64] | None = None, multiple: int = 1) -> Iterator[tuple[slice, Array]]:
    """Make blocks of sparse rows dense, in their order, in one buffer that the next block overwrites.

    All blocks but the last have a multiple of so many rows.
    """
    n = X.shape[0] if order is None else len(order)
    size = min(n, _rows_at_once(X, multiple))
    buffer = np.empty((size, X.shape[1]), X.dtype)
    for start in range(0, n, size):
        part = slice(start, min(start + size, n))
        chosen = X[part] if order is None else X[order[part]]
        yield part, chosen.toarray(out=buffer[: part.stop - start])


def _rows_at_once(X: Any, multiple: int) -> int:
    batches: int = DENSE_NUMBERS // (max(1, X.shape[1]) * multiple)
    return max(1, batches) * multiple
