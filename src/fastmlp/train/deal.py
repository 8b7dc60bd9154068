"""How the rows of all ranks are dealt out to the steps of an epoch, and the source that reads this rank's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastmlp.data import Data, Table
from fastmlp.train.source import Chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["Deal", "DealtRows"]

# Each share has an order of its own, keyed by the network's seed plus a multiple of this.
_STRIDE = 0x9E3779B97F4A7C15


class Deal:
    """The rows of all ranks, cut into shares, of each of which every step takes an equal part.

    The shares are those of rank 0, then those of rank 1, and so on. Until step s, of the S that an epoch of N rows has
    in batches of B, a share of n rows has given n min(s B, N) // N of them: a batch takes rows of all shares, as many
    as there are in proportion, and has B of them, but for less than one for each share.

    Parameters
    ----------
    sizes : sequence of int
        Rows of each share.
    own : range
        Numbers of this rank's.
    batch_size : int
        B.

    Attributes
    ----------
    n_rows, steps : int
        N and S.
    rows : ndarray of int64, (steps,)
        Of each whole batch.
    starts : ndarray of int64, (steps k + 1,)
        Where this rank's k shares of each step begin in its own order.
    places : ndarray of int64, (steps k,)
        The number of each one's first row in its whole batch.
    """

    def __init__(self, sizes: Sequence[int], own: range, batch_size: int) -> None:
        self.sizes, self.own = sizes, own
        self.n_rows = sum(sizes)
        ends = [*range(0, self.n_rows, batch_size), self.n_rows]
        self.steps = len(ends) - 1
        # Products of rows: beyond 2**31 of them, numbers of Python's that do not overflow.
        kind = np.int64 if self.n_rows < 2**31 else object
        given = np.array(sizes, kind)[:, np.newaxis] * np.array(ends, kind) // self.n_rows
        self.given = given.astype(np.int64)  # (shares, steps + 1)
        counts = np.diff(self.given, axis=1)
        self.rows = counts.sum(axis=0)
        before = np.cumsum(counts, axis=0) - counts
        self.starts = np.zeros(self.steps * len(own) + 1, np.int64)
        np.cumsum(counts[own.start : own.stop].T.ravel(), out=self.starts[1:])
        self.places = np.ascontiguousarray(before[own.start : own.stop].T).ravel()

    @property
    def shares(self) -> int:
        """k: how many of them this rank has."""
        return len(self.own)

    def rows_of(self, shares: range, first: int, last: int) -> NDArray[np.int64]:
        """Return how many rows each of some shares has (shares, steps) in steps [first, last)."""
        counts: NDArray[np.int64] = np.diff(self.given[shares.start : shares.stop, first : last + 1], axis=1)
        return counts

    def order(
        self, epoch: int, seed: int, permutation: Callable[..., NDArray[np.int64]] | None, numbers: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return the order in which this rank takes its rows, which are called by these numbers, share by share.

        A share's rows are shuffled among themselves, whoever has it; without a permutation they come as they are.
        """
        order = np.empty(len(numbers), np.int64)
        first = 0
        for place, share in enumerate(self.own):
            n = self.sizes[share]
            rows = numbers[first : first + n]
            if permutation is not None:
                rows = rows[permutation((seed + share * _STRIDE) % 2**64, epoch % 2**32, n)]
            counts = np.diff(self.given[share])
            shifts = self.starts[place : -1 : len(self.own)] - self.given[share, :-1]
            order[np.arange(n, dtype=np.int64) + np.repeat(shifts, counts)] = rows
            first += n
        return order


@dataclass(frozen=True)
class DealtRows:
    """A rank's rows of an epoch whose steps all ranks make together.

    `numbers` are those of its shares' rows in the data, share by share.
    """

    data: Data
    deal: Deal
    numbers: NDArray[np.int64]
    seed: int
    permutation: Callable[..., NDArray[np.int64]] | None
    sparse: bool = False  # whether sparse rows are read as such

    @property
    def n_rows(self) -> int:
        """Number of rows in an epoch, of all ranks."""
        return self.deal.n_rows

    def chunks(self, epoch: int, batch_size: int) -> Iterator[Chunk]:  # noqa: ARG002 - the deal has it
        """Give this rank's rows, of a table some steps at a time, whose number is the chunk's."""
        deal, data = self.deal, self.data
        order = deal.order(epoch, self.seed, self.permutation, self.numbers)
        if not isinstance(data.X, Table) or (data.X.sparse and self.sparse):
            yield Chunk(data, order, None, deal.steps)
            return
        starts = deal.starts[:: deal.shares]
        first = 0
        while first < deal.steps:
            last = int(np.searchsorted(starts, starts[first] + data.X.rows_at_once, "right")) - 1
            last = min(max(last, first + 1), deal.steps)
            rows = order[starts[first] : starts[last]]
            weight = None if data.weight is None else data.weight[rows]
            block = Data(data.X[rows], data.y[rows], weight)
            yield Chunk(block, np.arange(len(rows), dtype=np.int64), rows, last - first)
            first = last
