"""Epochs whose steps all ranks make together: what they have to agree on, and when."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from fastmlp.train.deal import Deal, DealtRows
from fastmlp.train.epoch import Epoch
from fastmlp.train.learner import NO_OPTIONS, StepOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastmlp.data import Data
    from fastmlp.train.exchange import Ranks
    from fastmlp.train.learner import Learner
    from fastmlp.train.source import Source

__all__ = ["SharedBatches", "SharedEpoch"]


class _Together(Epoch):
    """The steps of an epoch, of which this rank makes its part.

    Rows, losses and weights are those of whole batches, on all ranks. What depends on a clock is as rank 0 has it.
    """

    def __init__(
        self,
        learner: Learner,
        source: Source,
        batch_size: int,
        threads: int,
        ranks: Ranks,
        options: StepOptions = NO_OPTIONS,
    ) -> None:
        super().__init__(learner, source, batch_size, threads, options=options)
        self.ranks = ranks
        self._paced: bool | None = None

    def agree(self, reason: str) -> str:
        """Return why a rank wants to stop, the first of them that does."""
        return next((each for each in self.ranks.all_of(reason) if each), "")

    def everywhere(self, good: bool) -> bool:
        """Return whether something is so on all ranks."""
        return all(self.ranks.all_of(good))

    def worst(self, loss: float) -> float:
        """Return a rank's loss that is not finite, if there is one."""
        return next((each for each in self.ranks.all_of(loss) if not math.isfinite(each)), loss)

    @property
    def paced(self) -> bool:
        """Whether a callback of any rank wants to hear of steps."""
        if self._paced is None:
            self._paced = any(self.ranks.all_of(self.pace is not None))
        return self._paced

    def _make(
        self, data: Data, order: NDArray[np.int64], deal: Deal, begin: int, steps: int, *, weighted: bool
    ) -> bool:
        """Let the engine make this rank's part of so many steps of a deal, from `begin` on; False where they end."""
        ranks, places = self.ranks, slice(self.done, self.done + steps)
        weight = None if data.weight is None else data.weight[order]
        cut = ranks.cut(deal, begin, begin + steps, weight, weighted)
        losses = self.losses[places]
        losses[:] = 0.0
        begun = time.perf_counter()
        outcome = self.learner.train(data, order, self.batch_size, losses, self.threads, None, self.options, cut)
        if outcome.exception is not None:
            losses[:] = math.nan
            self.exception = outcome.exception
            return False
        made, bad = outcome.steps, outcome.status == "non_finite"
        if ranks.every is None:
            if bad and not ranks.gave_up:
                ranks.give_up(self.learner.engine.gradient_size, self.learner.spec.dtype)
        else:
            made, bad = min(ranks.all_of(made)), not self.everywhere(not bad)
            if not bad:
                self.learner.take_mean(ranks, sum(deal.sizes[share] for share in deal.own) / deal.n_rows)
        self.weights[places] = ranks.finish(cut, losses)
        self.weighted |= weighted
        seconds = time.perf_counter() - begun
        self.seconds += seconds
        self.done += made
        losses[made:] = math.nan
        if bad:
            return False
        if self.paced:
            rows = int(deal.rows[begin : begin + steps].sum())
            self.stopped = self.agree("" if self.pace is None else self.pace.advance(losses, rows, seconds))
        return not self.stopped


class SharedEpoch(_Together):
    """Steps on rows that are dealt out before."""

    source: DealtRows

    def __init__(
        self,
        learner: Learner,
        source: DealtRows,
        batch_size: int,
        threads: int,
        ranks: Ranks,
        options: StepOptions,
        *,
        weighted: bool,
    ) -> None:
        super().__init__(learner, source, batch_size, threads, ranks, options)
        self.deal, self.any_weighted = source.deal, weighted
        self.rows[:] = self.weights[:] = self.deal.rows
        self._begin = 0  # of the chunk, in this rank's order

    def run(self) -> None:
        """Make the steps that are left, up to one whose loss is not finite, or where somebody stops them."""
        first = 0
        for chunk in self.source.chunks(self.number - 1, self.batch_size):
            assert chunk.steps is not None
            last = first + chunk.steps
            self.chunk, self._begin = chunk, int(self.deal.starts[first * self.deal.shares])
            while self.done < last:
                begin, end = self.done, self._ahead(last)
                order = chunk.order[self._place(begin) : self._place(end)]
                if not self._make(chunk.data, order, self.deal, begin, end - begin, weighted=self.any_weighted):
                    return
            first = last

    def next_rows(self) -> NDArray[np.int64]:
        """Return this rank's rows of the step that was not made."""
        return self.chunk.order[self._place(self.done) : self._place(self.done + 1)]

    def _place(self, step: int) -> int:
        """Return where a step begins in the chunk's order."""
        return int(self.deal.starts[step * self.deal.shares]) - self._begin

    def _ahead(self, last: int) -> int:
        """Return the end of the steps that can be made without a look at anything."""
        first, every = self.done, self.ranks.every
        if self.paced:
            last = self.ranks.first_of(last if self.pace is None else min(last, first + self.pace.ahead()))
        return last if not every else min(last, first - first % every + every)


class SharedBatches(_Together):
    """Steps on batches that come: of each rank one, until all ranks have come to their end."""

    def run(self) -> None:
        """Make the steps that are left, up to one whose loss is not finite, or where somebody stops them."""
        batches = iter(self.source.chunks(self.number - 1, self.batch_size))
        more = True
        while True:
            batch = next(batches, None) if more else None
            more = batch is not None
            if batch is not None:
                self.chunk = batch
            n = 0 if batch is None else len(batch.order)
            met = self.ranks.all_of((n, batch is not None and batch.data.weight is not None))
            sizes = [rows for rows, _ in met]
            if not sum(sizes):
                break
            again = self._count(sum(sizes))  # of a part of the epoch that there is
            if again:
                continue
            rank = self.ranks.rank
            deal = Deal(sizes, range(rank, rank + 1), sum(sizes))
            weighted = any(weighted for _, weighted in met)
            if not self._make(self.chunk.data, self.chunk.order[:n], deal, 0, 1, weighted=weighted):
                return
        self._ended = True
        self.learner.finish_epoch()

    def next_rows(self) -> NDArray[np.int64]:
        """Return this rank's rows of the step that was not made."""
        return self.chunk.order
