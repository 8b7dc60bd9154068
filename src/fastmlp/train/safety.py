"""The way back when a loss is no longer finite: to what, and with which message."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data import Data, chunks, refuse_overflow
from fastmlp.train.callbacks import Logs, LoopCallback
from fastmlp.train.history import History
from fastmlp.train.learner import Learner, Snapshot

if TYPE_CHECKING:
    from fastmlp.train.epoch import Epoch

__all__ = ["SNAPSHOT_STEPS", "Safety", "TrainingDiverged", "diagnosis", "loss_of", "prepare_undo", "undo"]


class TrainingDiverged(FloatingPointError):  # noqa: N818 - reads like StopIteration
    """The loss turned into NaN or infinity; the network is back at its last good weights.

    Good are weights under which the loss was finite: those of one of the two snapshots that training keeps, taken at
    the ends of epochs (not after every one if epochs have few steps). Optimizer state and counters go back along with
    them.

    Attributes
    ----------
    history : History or None
        The epochs that this call of ``fit`` finished, behind those of the training that it resumed.
    epoch, step : int or None
        Where it happened: number of the epoch and of the step in it, both counted from 1.
    layer : int or None
        First layer, counted from 1, with weights or signals that are not finite; None if only the loss overflowed.

    Examples
    --------
    >>> import fastmlp
    >>> net = fastmlp.MLP([1, 1], seed=0)
    >>> try:
    ...     history = net.fit([[1e3], [2e3]], [1.0, -1.0], epochs=100, optimizer=fastmlp.SGD(10.0))
    ... except fastmlp.TrainingDiverged:
    ...     print("the weights are the last good ones:", bool(abs(net.weights[0]).max() < float("inf")))
    the weights are the last good ones: True
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


# ---- between epochs -------------------------------------------------------------------------------------------------

# Copying parameters and optimizer state costs about as much as two updates of them, so they are copied at the end of an
# epoch only if at least this many updates were made since. Until then short epochs may be made in one call, too.
SNAPSHOT_STEPS = 256


class Safety(LoopCallback):
    """Two snapshots: training goes back to the latest one under which a loss was finite.

    So has to be each loss of an epoch that is `watched`, by its name in the logs. Each update since a snapshot began
    with a finite loss, the first of them under its parameters. The training's history begins at place `start`.
    """

    latest: Snapshot
    previous: Snapshot

    def __init__(self, epoch: "Epoch", history: History, start: int, watched: Sequence[str] = ()) -> None:
        self.epoch, self.learner, self.threads = epoch, epoch.learner, epoch.threads
        self.history, self.start = history, start
        self.watched = watched
        self.before = self.learner.steps_trained
        self.rule = ""  # of the optimizer whose state the snapshots have

    def on_epoch_begin(self, net: Any, logs: Logs) -> None:  # noqa: ARG002
        self._follow_the_rule()

    def _follow_the_rule(self) -> None:
        """Take the first snapshots, anew where a callback has chosen another rule: there is no way back behind that."""
        optimizer = self.learner.optimizer
        if optimizer is not None and optimizer.name != self.rule:
            self.rule = optimizer.name
            self.latest = self.previous = self.learner.snapshot(None, self.threads)

    def on_non_finite(self, net: Any, logs: Logs) -> None:  # noqa: ARG002
        rows, number, step = self.epoch.next_rows(), logs["epoch"], logs["step"]
        loss = self.epoch.worst(loss_of(self.learner, self.epoch.chunk.data, rows, self.threads))
        raise self._diverged(f"the loss became {loss} in epoch {number}, step {step} of {self.epoch.steps}", rows, step)

    def epochs_ahead(self, steps: int) -> int:
        """Return how many epochs it is to the next snapshot."""
        if self.watched:
            return 1
        return -(-(SNAPSHOT_STEPS - self.learner.steps_trained + self.latest.steps_trained) // steps)

    def on_epoch_end(self, net: Any, logs: Logs) -> None:  # noqa: ARG002
        learner, rows = self.learner, self.epoch.last_rows()
        for name in self.watched:
            if not math.isfinite(logs[name]):
                what = "validation loss" if name == "val_loss" else name
                raise self._diverged(f"the {what} became {logs[name]} after epoch {learner.epoch}", rows)
        if learner.steps_trained - self.latest.steps_trained < SNAPSHOT_STEPS:
            return
        if not learner.engine.is_finite(self.threads):
            raise self._diverged(f"the parameters are no longer finite after epoch {learner.epoch}", rows)
        oldest = None if self.previous is self.latest else self.previous
        self.previous, self.latest = self.latest, learner.snapshot(oldest, self.threads)

    def on_train_end(self, net: Any, logs: Logs) -> None:  # noqa: ARG002
        if self.learner.steps_trained == self.before:
            return  # a training that was over when it was gone on with
        learner, rows = self.learner, self.epoch.last_rows()
        if not self.epoch.everywhere(_is_sound(learner, self.epoch.chunk.data, rows, self.threads)):
            raise self._diverged(f"the last update, of epoch {learner.epoch}, left a loss that is not finite", rows)

    def _diverged(self, what: str, rows: NDArray[np.int64], step: int | None = None) -> TrainingDiverged:
        """Go back to good weights; return the error that says what happened, in the given rows of the last chunk."""
        self._follow_the_rule()
        learner = self.learner
        epoch = learner.epoch + (step is not None)
        layer, words = diagnosis(learner, self.epoch.chunk.data, rows)
        good = self.latest if learner.steps_trained > self.latest.steps_trained else self.previous
        learner.restore(good)
        where = f"the end of epoch {good.epoch}" if good.epoch else "the start"
        message = (
            f"{what}; {words}. The network is back at {where}, update {good.step} of the optimizer. Try a smaller "
            f"learning rate than that of {learner.optimizer}, or data of a smaller scale."
        )
        return TrainingDiverged(message, self.history.since(self.start), epoch, step, layer)


# ---- between single steps -------------------------------------------------------------------------------------------

# Steps between two copies for `step` where a copy is not small beside a step: 8 % for 784-256-128-10, batch 128.
UNDO_STEPS, UNDO_PARAMETERS = 16, 1 << 15


def prepare_undo(learner: Learner, threads: int) -> None:
    """Let the learner have a snapshot of before the step that follows, or of some steps before."""
    every = 1 if learner.n_parameters <= UNDO_PARAMETERS else UNDO_STEPS
    if learner.undo is None or learner.steps_trained - learner.undo.steps_trained >= every:
        learner.undo = learner.snapshot(learner.undo, threads)


def undo(learner: Learner) -> int:
    """Go back to the snapshot of `prepare_undo`; return the number of updates that are lost beside the last one."""
    assert learner.undo is not None
    lost = learner.step - learner.undo.step - 1
    learner.restore(learner.undo)
    learner.undo = None
    return lost


# ---- what has happened ----------------------------------------------------------------------------------------------


def diagnosis(learner: Learner, data: Data, rows: NDArray[np.int64]) -> tuple[int | None, str]:
    """Find the first layer (from 1) with parameters, or signals on these rows, that are not finite; say so in words."""
    layer = _first_bad_layer(learner, data, rows)
    return layer, _describe_layer(learner, layer) + _too_large(learner, data)


def _first_bad_layer(learner: Learner, data: Data, rows: NDArray[np.int64]) -> int | None:
    finite = [True] * len(learner.spec.layers)
    for name, tensor in learner.engine.read().items():
        finite[int(name.split(".")[1])] &= bool(np.isfinite(tensor).all())
    for part in chunks(len(rows), max(learner.spec.sizes)):
        signals, outputs, _ = learner.engine.trace(data.X[rows[part]], None, 1)
        for layer, arrays in enumerate(zip(signals, outputs, strict=True)):
            finite[layer] &= all(bool(np.isfinite(array).all()) for array in arrays)
    return None if all(finite) else finite.index(False) + 1


def _describe_layer(learner: Learner, number: int | None) -> str:
    if number is None:
        return "all layers' signals are finite, only the loss overflows"
    layers = learner.spec.layers
    layer = layers[number - 1]
    shape = f"{layer.n_in} -> {layer.n_out}, {layer.activation.name}"
    return f"the first values that are not finite are in layer {number} of {len(layers)} ({shape})"


def _too_large(learner: Learner, data: Data) -> str:
    """Say for the report of a divergence whether the data have values that are infinite in the network's dtype."""
    try:
        refuse_overflow(data.X, np.dtype(learner.spec.dtype), "X")
        refuse_overflow(data.y, np.dtype(learner.spec.dtype), "y")
    except ValueError as error:
        return f"; {error}"
    return ""


def loss_of(learner: Learner, data: Data, rows: NDArray[np.int64], threads: int) -> float:
    """Compute the loss of a batch that was given up, which the engine does not tell: NaN or infinite."""
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


def _is_sound(learner: Learner, data: Data, rows: NDArray[np.int64], threads: int) -> bool:
    """Tell whether parameters, and the loss of these rows under them, are finite."""
    if not learner.engine.is_finite(threads):
        return False
    out, row_loss = np.empty((len(rows), learner.spec.sizes[-1]), dtype=learner.spec.dtype), np.empty(len(rows))
    learner.engine.evaluate(data.X[rows], data.y[rows], out, row_loss, threads)
    return bool(np.isfinite(row_loss).all())
