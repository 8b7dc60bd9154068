"""An epoch whose steps all ranks make together: what they have to agree on, and when."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from fastmlp.train.epoch import Epoch
from fastmlp.train.learner import NO_OPTIONS, StepOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastmlp.train.deal import DealtRows
    from fastmlp.train.exchange import Ranks
    from fastmlp.train.learner import Learner
    from fastmlp.train.source import Chunk

__all__ = ["SharedEpoch"]


class SharedEpoch(Epoch):
    """The steps of an epoch, of which this rank makes its part.

    Rows, losses and weights are those of whole batches, on all ranks. What depends on a clock is as rank 0 has it.
    """

    source: DealtRows

    def __init__(
        self,
        learner: Learner,
        source: DealtRows,
        batch_size: int,
        threads: int,
        ranks: Ranks,
        *,
        weighted: bool,
        options: StepOptions = NO_OPTIONS,
    ) -> None:
        super().__init__(learner, source, batch_size, threads, options=options)
        self.ranks, self.deal, self.any_weighted = ranks, source.deal, weighted
        self.rows[:] = self.weights[:] = self.deal.rows
        self._paced: bool | None = None
        self._begin = 0  # of the chunk, in this rank's order
        self.weighted = weighted

    def agree(self, reason: str) -> str:
        """Return why a rank wants to stop, the first of them that does."""
        return next((each for each in self.ranks.all_of(reason) if each), "")

    def everywhere(self, good: bool) -> bool:
        """Return whether something is so on all ranks."""
        return all(self.ranks.all_of(good))

    def worst(self, loss: float) -> float:
        """Return a rank's loss that is not finite, if there is one."""
        return next((each for each in self.ranks.all_of(loss) if not math.isfinite(each)), loss)

    def run(self) -> None:
        """Make the steps that are left, up to one whose loss is not finite, or where somebody stops them."""
        if self._paced is None:
            self._paced = any(self.ranks.all_of(self.pace is not None))
        first = 0
        for chunk in self.source.chunks(self.number - 1, self.batch_size):
            assert chunk.steps is not None
            last = first + chunk.steps
            self.chunk, self._begin = chunk, int(self.deal.starts[first * self.deal.shares])
            while self.done < last:
                if not self._steps(chunk, last):
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
        if self._paced:
            last = self.ranks.first_of(last if self.pace is None else min(last, first + self.pace.ahead()))
        return last if not every else min(last, first - first % every + every)

    def _steps(self, chunk: Chunk, last: int) -> bool:
        """Let the engine make this rank's part of some steps; return whether it can go on."""
        ranks, first, last = self.ranks, self.done, self._ahead(last)
        order = chunk.order[self._place(first) : self._place(last)]
        weight = None if chunk.data.weight is None else chunk.data.weight[order]
        cut = ranks.cut(self.deal, first, last, weight, self.any_weighted)
        losses = self.losses[first:last]
        losses[:] = 0.0
        begun = time.perf_counter()
        outcome = self.learner.train(chunk.data, order, self.batch_size, losses, self.threads, None, self.options, cut)
        if outcome.exception is not None:
            losses[:] = math.nan
            self.exception = outcome.exception
            return False
        bad = outcome.status == "non_finite"
        if ranks.every is None:
            if bad and not ranks.gave_up:
                ranks.give_up(self.learner.engine.gradient_size, self.learner.spec.dtype)
            made = outcome.steps
        else:
            made, bad = min(ranks.all_of(outcome.steps)), not self.everywhere(not bad)
            if not bad:
                self.learner.take_mean(ranks, sum(self.deal.sizes[share] for share in self.deal.own) / self.n_rows)
        self.weights[first:last] = ranks.finish(cut, losses)
        seconds = time.perf_counter() - begun
        self.seconds += seconds
        self.done += made
        losses[made:] = math.nan
        if bad:
            return False
        if self._paced:
            rows = int(self.deal.rows[first:last].sum())
            stopped = "" if self.pace is None else self.pace.advance(losses, rows, seconds)
            self.stopped = self.agree(stopped)
        return not self.stopped
