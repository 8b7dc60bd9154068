"""Rows to learn from, and the order in which an epoch takes them.

A new kind of data is a new `Source`: it says in chunks what an epoch reads, and the loop needs to know no more.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fastmlp.data import Data, Table
from fastmlp.data.sparse import dense_blocks
from fastmlp.spec import Array

__all__ = [
    "Arrays",
    "Chunk",
    "Order",
    "SeveralEpochs",
    "Source",
    "SparseRows",
    "TableRows",
    "in_order",
    "of_rows",
    "shuffled",
    "source_of",
]


# ---- in which order -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Order:
    """Row numbers in the order in which an epoch takes them, for every epoch; the first is number 0."""

    n_rows: int
    of_epoch: Callable[[int], NDArray[np.int64]]


def in_order(n_rows: int) -> Order:
    """Take the rows as they come, in every epoch."""
    order = np.arange(n_rows, dtype=np.int64)
    return Order(n_rows, lambda epoch: order)  # noqa: ARG005


def shuffled(permutation: Callable[..., NDArray[np.int64]], seed: int, n_rows: int) -> Order:
    """Take the rows in a random order, which depends on the seed and the epoch's number alone."""
    order = np.arange(n_rows, dtype=np.int64)  # the last epoch's, in whose memory the next one is made

    def of_epoch(epoch: int) -> NDArray[np.int64]:
        nonlocal order
        order = permutation(seed, epoch % 2**32, n_rows, order)
        return order

    return Order(n_rows, of_epoch)


def of_rows(rows: NDArray[np.int64], order: Order) -> Order:
    """Take some rows, by their numbers, in an order of as many."""
    return Order(len(rows), lambda epoch: rows[order.of_epoch(epoch)])


# ---- what an epoch reads --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Chunk:
    """Rows of some data in an order: what one call of the engine trains on, or a few.

    `numbers` are what the data's rows are called by who gave them; None: they are all that there are. `steps` is for
    how many steps they are, where these are not told by the size of a batch.
    """

    data: Data
    order: NDArray[np.int64]
    numbers: NDArray[np.int64] | None = None
    steps: int | None = None


class Source(Protocol):
    """A source of rows to train on."""

    @property
    def n_rows(self) -> int | None:
        """Number of rows in an epoch; None where that shows when they end. Then each chunk is a batch."""

    def chunks(self, epoch: int, batch_size: int) -> Iterable[Chunk]:
        """Give the rows of an epoch (the first is 0) in chunks, all of whole batches but the last.

        A chunk's arrays are good until the next one is asked for. An epoch without any leaves the network as it is.
        """


@runtime_checkable
class SeveralEpochs(Protocol):
    """A source that can give the rows of several epochs at once."""

    @property
    def epochs_at_once(self) -> int:
        """How many they may be."""

    def several(self, epoch: int, count: int) -> Chunk:
        """Give the rows of so many epochs from this one on (the first is 0), one behind the other."""


# Numbers of rows that are worth making at once: half a megabyte.
_ROWS_AT_ONCE = 1 << 16


class _Ordered:
    """Base of sources whose rows an order tells."""

    order: Order

    @property
    def n_rows(self) -> int:
        """Number of rows in an epoch."""
        return self.order.n_rows


@dataclass(frozen=True)
class Arrays(_Ordered):
    """Rows that lie in memory, or in a mapped file: an epoch is one chunk."""

    data: Data
    order: Order

    def chunks(self, epoch: int, batch_size: int) -> Iterable[Chunk]:  # noqa: ARG002 - any size
        """Give all rows at once."""
        return (Chunk(self.data, self.order.of_epoch(epoch)),)

    @property
    def epochs_at_once(self) -> int:
        """As many as there is room for."""
        return max(1, _ROWS_AT_ONCE // max(1, self.order.n_rows))

    def several(self, epoch: int, count: int) -> Chunk:
        """Give the rows of so many epochs from this one on, one behind the other."""
        rows = np.empty((count, self.order.n_rows), np.int64)
        for place in range(count):
            rows[place] = self.order.of_epoch(epoch + place)
        return Chunk(self.data, rows.reshape(-1))


@dataclass(frozen=True)
class SparseRows(_Ordered):
    """Rows of a sparse matrix (CSR), some batches at a time made dense for an engine that reads dense ones."""

    X: Any
    y: Array
    weight: NDArray[np.float64] | None
    order: Order

    def chunks(self, epoch: int, batch_size: int) -> Iterable[Chunk]:
        """Give blocks of whole batches."""
        order = self.order.of_epoch(epoch)
        for part, block in dense_blocks(self.X, order, batch_size):
            rows = order[part]
            weight = None if self.weight is None else self.weight[rows]
            yield Chunk(Data(block, self.y[rows], weight), np.arange(len(rows), dtype=np.int64), rows)


@dataclass(frozen=True)
class TableRows(_Ordered):
    """Rows of a table, some batches at a time put together for an engine that reads one array."""

    X: Table
    y: Array
    weight: NDArray[np.float64] | None
    order: Order

    def chunks(self, epoch: int, batch_size: int) -> Iterable[Chunk]:
        """Give blocks of whole batches, in memory that the next block takes over."""
        order = self.order.of_epoch(epoch)
        size = min(len(order), max(1, self.X.rows_at_once // batch_size) * batch_size)
        buffer, places = np.empty((size, self.X.shape[1]), self.X.dtype), np.arange(size, dtype=np.int64)
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            block = buffer[: len(rows)]
            self.X.fill(block, rows)
            weight = None if self.weight is None else self.weight[rows]
            yield Chunk(Data(block, self.y[rows], weight), places[: len(rows)], rows)


def source_of(data: Data, order: Order, sparse: bool = False) -> Source:
    """Return the source of these rows in this order; with `sparse`, sparse ones stay so."""
    if isinstance(data.X, Table) and not (sparse and data.X.sparse):
        return TableRows(data.X, data.y, data.weight, order)
    return Arrays(data, order)
