"""What training goes back to when a loss is no longer finite, and what it says then."""

import math

import numpy as np
from numpy.typing import NDArray

from fastmlp.data import refuse_overflow
from fastmlp.train.history import History
from fastmlp.train.learner import Learner, Snapshot
from fastmlp.train.source import Data, chunks

__all__ = ["SNAPSHOT_STEPS", "Safety", "TrainingDiverged"]


class TrainingDiverged(FloatingPointError):  # noqa: N818 - reads like StopIteration
    """The loss turned into NaN or infinity; the network is back at its last good weights.

    Good are weights under which the loss was finite: those of one of the two snapshots that training keeps, taken at
    the ends of epochs (not after every one if epochs have few steps). Optimizer state and counters go back along with
    them.

    Attributes
    ----------
    history : History or None
        The epochs that this call of ``fit`` finished.
    epoch, step : int or None
        Where it happened: number of the epoch and of the step in it, both counted from 1.
    layer : int or None
        First layer, counted from 1, with weights or signals that are not finite; None if only the loss overflowed.
    """

    def __init__(
        self,
        message: str,
        history: History | None = None,
        epoch: int | None = None,
        step: int | None = None,
        layer: int | None = None,
    ) -> None:
        super().__init__(message)
        self.history = history
        self.epoch = epoch
        self.step = step
        self.layer = layer


# Copying parameters and optimizer state costs about as much as two updates of them, so they are copied at the end of an
# epoch only if at least this many updates were made since.
SNAPSHOT_STEPS = 64


class Safety:
    """Two snapshots: training goes back to the latest one under which a loss was finite."""

    def __init__(self, learner: Learner, threads: int) -> None:
        self.learner, self.threads = learner, threads
        self.latest = self.previous = learner.snapshot(None, threads)
        self.since = 0  # updates since the latest, each of which began with a finite loss

    def epoch_done(self) -> bool:
        """Take a snapshot if it is due; False if the parameters are no longer finite."""
        if self.since < SNAPSHOT_STEPS:
            return True
        if not self.learner.engine.is_finite(self.threads):
            return False
        oldest = None if self.previous is self.latest else self.previous
        self.previous, self.latest, self.since = self.latest, self.learner.snapshot(oldest, self.threads), 0
        return True

    def restore(self) -> Snapshot:
        good = self.latest if self.since else self.previous
        self.learner.restore(good)
        return good


def too_large(learner: Learner, data: Data) -> str:
    """What to add to the report of a divergence if the data themselves have values that are infinite in the network."""
    try:
        refuse_overflow(data.X, np.dtype(learner.spec.dtype), "X")
        refuse_overflow(data.y, np.dtype(learner.spec.dtype), "y")
    except ValueError as error:
        return f"; {error}"
    return ""


def loss_of(learner: Learner, data: Data, rows: NDArray[np.int64], threads: int) -> float:
    """The loss of a batch that was given up, which the engine does not tell: NaN or infinite."""
    total = weights = 0.0
    with np.errstate(all="ignore"):
        for part in chunks(len(rows), max(learner.spec.sizes)):
            chosen = rows[part]
            out, row_loss = np.empty((len(chosen), learner.spec.sizes[-1]), learner.spec.dtype), np.empty(len(chosen))
            learner.engine.evaluate(data.X[chosen], data.y[chosen], out, row_loss, threads)
            weight = np.ones(len(chosen)) if data.weight is None else data.weight[chosen]
            total += float((weight * row_loss).sum())
            weights += float(weight.sum())
    return total / weights if weights else math.nan


def is_sound(learner: Learner, data: Data, rows: NDArray[np.int64], threads: int) -> bool:
    """Whether parameters, and the loss of these rows under them, are finite."""
    if not learner.engine.is_finite(threads):
        return False
    out, row_loss = np.empty((len(rows), learner.spec.sizes[-1]), dtype=learner.spec.dtype), np.empty(len(rows))
    learner.engine.evaluate(data.X[rows], data.y[rows], out, row_loss, threads)
    return bool(np.isfinite(row_loss).all())
