"""Rows that are held out of a training: which, and how they are read where they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.data.rows import Data, chunks
from fastmlp.data.table import Inputs, Table
from fastmlp.spec.checks import inner_fraction

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastmlp.spec import Array, Loss, NetworkSpec

__all__ = ["chosen", "split_rows"]

#: The place of the epoch's number in the key of the split's permutation, which no epoch has.
_KEY = 2**32 - 1


def split_rows(
    spec: NetworkSpec, data: Data, share: object, permutation: Callable[..., NDArray[np.int64]], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw the rows to hold out, of each class the same share but for less than one row; return the others, and them.

    Rows without a class are drawn together. Both answers are in the order of the rows, and depend on the seed, the
    number of rows and their classes alone.

    Raises
    ------
    TypeError, ValueError
        The share is not > 0 and < 1, or too small or too large for one row on either side.
    """
    n = len(data)
    count = round(inner_fraction(share, "validation_split") * n)
    if not 0 < count < n:
        raise ValueError(f"validation_split is {share}, which of {n} rows leaves none on one side")
    rows = permutation(seed, _KEY, n)
    classes = _classes(data.y, spec.loss)
    if classes is not None:
        rows = rows[np.argsort(classes[rows], kind="stable")]
    # Every so many rows one: place j is held out where the count of those until it goes up.
    held = np.diff(np.arange(n + 1, dtype=np.int64) * count // n).astype(bool)
    return np.sort(rows[~held]), np.sort(rows[held])


def _classes(y: Array, loss: Loss) -> NDArray[np.intp] | None:
    """Return a number for each row by which rows of one class can be told; None where targets are quantities."""
    if loss.labels and y.ndim == 1:
        return y.astype(np.intp)
    if loss.labels:
        which = np.empty(len(y), np.intp)
        for part in chunks(len(y), y.shape[1]):
            which[part] = y[part].argmax(axis=1)
        return which
    if loss.metric == "accuracy" and y.shape[1] == 1:
        return (y[:, 0] > (loss.targets.low + loss.targets.high) / 2).astype(np.intp)
    return None


class _Chosen(Table):
    """Some rows of others, in an order of their own."""

    def __init__(self, X: Inputs, rows: NDArray[np.int64]) -> None:
        self.X, self.rows = X, rows
        self.shape, self.dtype = (len(rows), X.shape[1]), X.dtype
        self.names = X.names if isinstance(X, Table) else None
        self.finite = isinstance(X, Table) and X.finite

    def fill(self, out: Array, rows: Any) -> None:
        if isinstance(self.X, Table):
            self.X.fill(out, self.rows[rows])
        else:
            np.take(self.X, self.rows[rows], axis=0, out=out)


def chosen(data: Data, rows: NDArray[np.int64]) -> Data:
    """Return some of the rows, whose inputs are not copied but read a block at a time."""
    return Data(_Chosen(data.X, rows), data.y[rows], None if data.weight is None else data.weight[rows])
