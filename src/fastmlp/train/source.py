"""Rows to learn from, and the order in which an epoch takes them.

A new kind of data is a new `Source`: it says in chunks what an epoch reads, and the loop needs to know no more.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastmlp.data import Data

__all__ = [
    "Arrays",
    "Chunk",
    "Order",
    "Shuffle",
    "Source",
    "SparseRows",
    "dense_blocks",
    "fixed",
]

Order: TypeAlias = Callable[[int], NDArray[np.int64]]
"""The row numbers of an epoch in the order in which it takes them, by the epoch's number (the first is 0)."""

# Sparse rows are made dense in buffers of about this many numbers.
DENSE_NUMBERS = 1 << 18


# ---- what an epoch reads --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Chunk:
    """Rows of some data in an order: what one call of the engine trains on, or a few."""

    data: Data
    order: NDArray[np.int64]


class Source(Protocol):
    """Where the rows of a training come from."""

    @property
    def n_rows(self) -> int:
        """Rows of an epoch."""

    def chunks(self, epoch: int, batch_size: int) -> Iterable[Chunk]:
        """The rows of an epoch (the first is 0), in chunks of whole batches but for the last.

        A chunk's arrays are good until the next one is asked for. An epoch without any leaves the network as it is.
        """


@dataclass(frozen=True)
class Arrays:
    """Rows that lie in memory, or in a mapped file: an epoch is one chunk."""

    data: Data
    order: Order

    @property
    def n_rows(self) -> int:
        """Rows of an epoch."""
        return len(self.data)

    def chunks(self, epoch: int, batch_size: int) -> Iterable[Chunk]:  # noqa: ARG002 - any size
        """All rows at once."""
        return (Chunk(self.data, self.order(epoch)),)


@dataclass(frozen=True)
class SparseRows:
    """Rows of a sparse matrix (CSR), some batches at a time made dense for an engine that reads dense ones."""

    X: Any
    y: NDArray[Any]
    weight: NDArray[np.float64] | None
    order: Order

    @property
    def n_rows(self) -> int:
        """Rows of an epoch."""
        return len(self.y)

    def chunks(self, epoch: int, batch_size: int) -> Iterable[Chunk]:
        """Blocks of whole batches."""
        order = self.order(epoch)
        for part, block in dense_blocks(self.X, order, batch_size):
            rows = order[part]
            weight = None if self.weight is None else self.weight[rows]
            yield Chunk(Data(block, self.y[rows], weight), np.arange(len(rows), dtype=np.int64))


def dense_blocks(
    X: Any, order: NDArray[np.int64] | None = None, multiple: int = 1
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Sparse rows in their order as dense blocks of a multiple of rows, in one buffer that the next overwrites."""
    n = X.shape[0] if order is None else len(order)
    batches = max(1, DENSE_NUMBERS // (max(1, X.shape[1]) * multiple))
    size = min(n, batches * multiple)
    buffer = np.empty((size, X.shape[1]), X.dtype)
    for start in range(0, n, size):
        part = slice(start, min(start + size, n))
        chosen = X[part] if order is None else X[order[part]]
        yield part, chosen.toarray(out=buffer[: part.stop - start])


# ---- in which order -------------------------------------------------------------------------------------------------


def fixed(order: NDArray[np.int64]) -> Order:
    """The same order in every epoch."""
    return lambda epoch: order  # noqa: ARG005


class Shuffle:
    """A random order for every epoch, which depends on the seed and the epoch's number alone."""

    def __init__(self, permutation: Callable[..., NDArray[np.int64]], seed: int, n_rows: int) -> None:
        self.permutation, self.seed = permutation, seed
        self.order = np.arange(n_rows, dtype=np.int64)  # the last epoch's, in whose memory the next one is made

    def __call__(self, epoch: int) -> NDArray[np.int64]:
        self.order = self.permutation(self.seed, epoch % 2**32, len(self.order), self.order)
        return self.order
