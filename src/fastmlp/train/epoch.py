"""One pass over a source: the engine's calls, cut where somebody wants to look on, and what is left of each step."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from types import GeneratorType
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.train.callbacks import tell
from fastmlp.train.learner import NO_OPTIONS, StepOptions
from fastmlp.train.samples import PerSample
from fastmlp.train.source import Chunk, SeveralEpochs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastmlp.spec import Outcome
    from fastmlp.train.callbacks import LoopCallback
    from fastmlp.train.course import Course
    from fastmlp.train.learner import Learner
    from fastmlp.train.source import Source

__all__ = ["Epoch", "Pace", "Part", "Stretch"]


class Epoch:
    """The steps of an epoch; made once for a training, and run as often as it has epochs.

    Attributes
    ----------
    n_rows, steps : int
        How many there are in an epoch; of a source that does not know it, how many there have been.
    number : int
        Which epoch of the learner it is, counted from 1.
    rows : ndarray of float64, (steps,)
        How many each batch has.
    losses : ndarray of float64, (steps,)
        Each batch's mean loss before its update; NaN where none was made.
    weights : ndarray of float64, (steps,)
        What that is a mean over: the sum of the batch's sample weights, or its rows if they have none.
    weighted : bool
        Whether they have any.
    squared_weights : ndarray of float64, (steps,), or None
        The sum of the network's squared weights before each update, if somebody wants it.
    done : int
        Steps made.
    exception : BaseException or None
        What a signal's handler raised meanwhile. It may have come with the last step.
    is_open : bool
        Whether the epoch has begun and not been reported.
    stopped : str
        Why a callback has asked to stop after the steps that are made; "" where none has.
    seconds : float
        Spent in the engine.
    chunk : Chunk
        What was trained on last, `at` of its rows.
    ahead : int
        How many epochs `run` may make. This is the first of them then, and `follow` goes on to the next.
    """

    chunk: Chunk
    _stretch: Stretch | None

    def __init__(
        self,
        learner: Learner,
        source: Source,
        batch_size: int,
        threads: int,
        *,
        squared_weights: bool = False,
        options: StepOptions = NO_OPTIONS,
    ) -> None:
        self.learner, self.source, self.batch_size, self.threads = learner, source, batch_size, threads
        self.options = options
        self.counted = source.n_rows is not None
        self.n_rows = n = source.n_rows or 0
        starts = np.arange(0, n, batch_size)
        self.steps = len(starts)
        self.rows = np.minimum(batch_size, n - starts).astype(np.float64)
        self.losses = np.empty(self.steps)
        self.weights, self.weighted = self.rows.copy(), False
        self.squared_weights = np.empty(self.steps) if squared_weights else None
        self._room = np.empty((3, 0))  # for rows, losses and weights, where their number is not known
        self.pace: Pace | None = None
        self.number = self.done = self.at = 0
        self._ended = False
        self.exception: BaseException | None = None
        self.is_open = False
        self.stopped = ""
        self.seconds = 0.0
        self.ahead, self._stretch = 1, None

    def begin(self, part: Part | None = None) -> int:
        """Begin the learner's next epoch, or go on with a part of it; return its number, counted from 1."""
        self.done, self.exception, self.seconds, self.stopped = 0, None, 0.0, ""
        self.ahead, self._stretch = 1, None
        self.losses.fill(math.nan)
        self.is_open = True
        if not self.counted:
            self.n_rows = self.steps = 0
            self._ended = False
            self._make_room(0 if part is None else len(part.losses))
        if part is not None:
            self.done, self.seconds, self.weighted = len(part.losses), part.seconds, part.weighted
            losses, weights = (self.losses, self.weights) if self.counted else self._room[1:]
            losses[: self.done], weights[: self.done] = part.losses, part.weights
        self.number = self.learner.begin_epoch(self.steps - self.done if self.counted else None) + 1
        return self.number

    def agree(self, reason: str) -> str:
        """Return why somebody wants to stop: alone, what is given."""
        return reason

    def everywhere(self, good: bool) -> bool:
        """Return whether something is so wherever the network is trained: alone, what is given."""
        return good

    def worst(self, loss: float) -> float:
        """Return a loss, or another rank's that is not finite: alone, what is given."""
        return loss

    @property
    def complete(self) -> bool:
        """Whether all of its steps are made."""
        return self.done == self.steps if self.counted else self._ended

    def part(self) -> Part | None:
        """Return what there is of an epoch that has not been reported; None where nothing is."""
        done = self.done
        if not self.is_open or not done:
            return None
        return Part(self.losses[:done].copy(), self.weights[:done].copy(), self.weighted, self.seconds)

    @property
    def most_ahead(self) -> int:
        """How many epochs the engine may make in one call: one where something of each step or row has to be seen."""
        options, optimizer = self.options, self.learner.optimizer
        seen = self.done or self.pace is not None or self.squared_weights is not None or options.noted is not None
        if seen or options.swa or options.mixup or options.lazy or optimizer is None or not optimizer.constant:
            return 1
        return self.source.epochs_at_once if isinstance(self.source, SeveralEpochs) else 1

    def run(self) -> None:
        """Make the steps that are left, up to one whose loss is not finite, or where somebody stops them.

        With `ahead` of more than 1, go on with those of the epochs that follow.
        """
        if self.ahead > 1:
            assert isinstance(self.source, SeveralEpochs)
            self._stretch = Stretch.made(self, self.source.several(self.number - 1, self.ahead))
            self._stretch.show(self)
            return
        made = self.done * self.batch_size  # rows, in the part of the epoch that there is
        chunks = self.source.chunks(self.number - 1, self.batch_size)
        try:
            for chunk in chunks:
                n = len(chunk.order)
                if not self.counted:
                    made = self._count(n)
                self.chunk, self.at = chunk, min(made, n)
                made -= self.at
                while self.at < n:
                    if not self._call(chunk, n):
                        return
            if not self.counted:
                self._ended = True
                self.learner.finish_epoch()
        finally:
            if isinstance(chunks, GeneratorType):  # an error would keep it, and what it reads, for as long as itself
                chunks.close()

    @property
    def has_next(self) -> bool:
        """Whether the call that made this epoch has begun one behind it."""
        return self._stretch is not None and self._stretch.has(self.number + 1)

    def follow(self) -> None:
        """Become the next of the epochs that were made in one call."""
        assert self._stretch is not None
        self.number += 1
        self._stretch.show(self)

    def _count(self, rows: int) -> int:
        """Count a batch of so many rows; return how many of them were learnt in the part of the epoch that there is."""
        made = rows if self.steps < self.done else 0
        self._make_room(self.steps + 1)
        self._room[0, self.steps] = rows
        if not made:
            self._room[1:, self.steps] = math.nan, rows
        self.batch_size, self.steps, self.n_rows = rows, self.steps + 1, self.n_rows + rows
        self.rows, self.losses, self.weights = self._room[:, : self.steps]
        return made

    def _make_room(self, steps: int) -> None:
        have = self._room.shape[1]
        if steps > have:
            self._room = np.concatenate([self._room, np.empty((3, max(64, have, steps - have)))], axis=1)
        self.rows, self.losses, self.weights = self._room[:, : self.steps]

    def _call(self, chunk: Chunk, n: int) -> bool:
        """Let the engine do what is left of a chunk of n rows, or less of it; return whether it can go on."""
        start, stop, first = self.at, n, self.done
        if self.pace is not None:
            stop = min(n, start + self.pace.ahead() * self.batch_size)
        places = slice(first, first - (start - stop) // self.batch_size)  # rounded up
        options = self.options
        if options.noted is not None and chunk.numbers is not None:
            options = options._replace(noted=PerSample(len(chunk.data)))
        begun = time.perf_counter()
        outcome = self.learner.train(
            chunk.data,
            chunk.order[start:stop],
            self.batch_size,
            self.losses[places],
            self.threads,
            None if self.squared_weights is None else self.squared_weights[places],
            options,
        )
        seconds = time.perf_counter() - begun
        self.seconds += seconds
        self.done += outcome.steps
        self.at += outcome.steps * self.batch_size  # behind the end, where the last batch is smaller
        if options.noted is not None and self.options.noted is not None and chunk.numbers is not None:
            done = chunk.order[start : min(self.at, n)]
            self.options.noted.take(options.noted, done, chunk.numbers[done])
        if chunk.data.weight is not None:
            self.weights[places], self.weighted = outcome.weight_sums, True
        if outcome.status != "done":
            self.exception = outcome.exception
            return False
        if self.pace is not None:
            self.stopped = self.pace.advance(self.losses[places], stop - start, seconds)
        return not self.stopped

    def next_rows(self) -> NDArray[np.int64]:
        """Return the rows, by their numbers in the chunk's data, of the step that was not made."""
        return self.chunk.order[self.at : self.at + self.batch_size]

    def last_rows(self) -> NDArray[np.int64]:
        """Return some of the rows at the end of the epoch, by their numbers in the chunk's data."""
        return self.chunk.order[-32:]


@dataclass(frozen=True)
class Stretch:
    """Several epochs that the engine has made in one call, the last of them maybe in part.

    Attributes
    ----------
    first : int
        Number of the first one.
    chunk : Chunk
        Their rows, one epoch's behind the other's.
    losses, weights : ndarray of float64, (epochs, steps)
        As those of an `Epoch`.
    outcome : Outcome
    seconds : float
        For all of them.
    """

    first: int
    chunk: Chunk
    losses: NDArray[np.float64]
    weights: NDArray[np.float64]
    outcome: Outcome
    seconds: float

    @classmethod
    def made(cls, epoch: Epoch, chunk: Chunk) -> Stretch:
        """Make an epoch and those that follow, whose rows these are."""
        losses = np.full((len(chunk.order) // epoch.n_rows, epoch.steps), math.nan)
        begun = time.perf_counter()
        outcome = epoch.learner.train(
            chunk.data,
            chunk.order,
            epoch.batch_size,
            losses.reshape(-1),
            epoch.threads,
            options=epoch.options,
            epoch_rows=epoch.n_rows,
        )
        seconds = time.perf_counter() - begun
        assert outcome.weight_sums is not None
        return cls(epoch.number, chunk, losses, outcome.weight_sums.reshape(losses.shape), outcome, seconds)

    def has(self, number: int) -> bool:
        """Whether an epoch was made, or begun: at its first step, too, where the loss of that was not finite."""
        begun = (number - self.first) * self.losses.shape[1]
        steps = self.outcome.steps
        return steps > begun or (steps == begun < self.losses.size and self.outcome.status == "non_finite")

    def show(self, epoch: Epoch) -> None:
        """Let an epoch be the one of its number: what it would be if it had been made alone."""
        steps, n, place = self.losses.shape[1], epoch.n_rows, epoch.number - self.first
        epoch.chunk = Chunk(self.chunk.data, self.chunk.order[place * n : (place + 1) * n])
        epoch.done = min(self.outcome.steps - place * steps, steps)
        epoch.at = epoch.done * epoch.batch_size
        epoch.losses[:] = self.losses[place]
        if self.chunk.data.weight is not None:
            epoch.weights[:], epoch.weighted = self.weights[place], True
        epoch.seconds = self.seconds * epoch.done / max(self.outcome.steps, 1)
        epoch.exception = None if self.has(epoch.number + 1) else self.outcome.exception


@dataclass(frozen=True)
class Part:
    """The steps that were made of an epoch which is to be gone on with: what its mean loss is made of.

    `losses` and `weights` are those of `Epoch`, as far as they go; `seconds` is what they took.
    """

    losses: NDArray[np.float64]
    weights: NDArray[np.float64]
    weighted: bool
    seconds: float


class Pace:
    """The number of steps in a call of the engine, for callbacks that want to hear of some in the middle of an epoch.

    One that wants to by the number of steps is met wherever a multiple of it has been made since the training began.
    One that wants to by the clock is met by the speed of the last call, and by 8 times as many steps at most.
    """

    def __init__(self, callbacks: Sequence[LoopCallback], net: Any, course: Course) -> None:
        self.callbacks, self.net, self.course = callbacks, net, course
        wanted = [callback.every for callback in callbacks]
        self.multiples = sorted({every for every in wanted if isinstance(every, int)})
        self.every = min((every for every in wanted if isinstance(every, float)), default=None)
        self.steps = 8  # in a call, by the clock

    @classmethod
    def of(cls, callbacks: Sequence[LoopCallback], net: Any, course: Course) -> Pace | None:
        """Find the pace that these callbacks want; None if all of them wait for the end of an epoch."""
        eager = [callback for callback in callbacks if callback.every is not None]
        return cls(eager, net, course) if eager else None

    def ahead(self) -> int:
        """Return how many steps the next call may make."""
        made = self.course.steps
        wanted = [multiple - made % multiple for multiple in self.multiples]
        return min(wanted if self.every is None else [self.steps, *wanted])

    def advance(self, losses: NDArray[np.float64], rows: int, seconds: float) -> str:
        """Tell of a call that has made steps with these losses; return why somebody wants to stop, or ""."""
        steps = len(losses)
        if self.every is not None:
            self.steps = max(1, min(8 * self.steps, int(self.every * steps / max(seconds, 1e-9))))
        logs = {"steps": steps, "rows": rows, "seconds": seconds, "loss": float(losses.sum()) / steps}
        return tell(self.callbacks, "on_steps", self.net, logs)
