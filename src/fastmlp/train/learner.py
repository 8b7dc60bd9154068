"""An engine and where its training stands."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fastmlp.runtime import Backend, Engine
from fastmlp.runtime.measure import thread_peak
from fastmlp.spec import NetworkSpec, Optimizer, Outcome, Run, weights_and_biases
from fastmlp.train.history import History
from fastmlp.train.profile import Profile
from fastmlp.train.source import Data, chunks

__all__ = ["Learner", "Snapshot"]


@dataclass(frozen=True)
class Snapshot:
    """Everything that training changes: the engine's copy of parameters, state and count of steps, and the epoch."""

    copy: object
    step: int
    epoch: int


# Steps between two copies for `step` where a copy is not small beside a step: 8 % for 784-256-128-10, batch 128.
UNDO_STEPS, UNDO_PARAMETERS = 16, 1 << 15


class _Undo:
    """What `step` goes back to when its update overflows: a copy of before it, or before an earlier one."""

    def __init__(self) -> None:
        self.copy: object = None
        self.step = self.epoch = 0
        self.taken = 0  # after so many steps
        self.every = 0

    def forget(self) -> None:
        """Somebody else is about to change the parameters, or the state."""
        self.copy = None

    def prepare(self, learner: "Learner", threads: int) -> None:
        """Before a step."""
        if not self.every:
            self.every = 1 if learner.spec.n_parameters <= UNDO_PARAMETERS else UNDO_STEPS
        if self.copy is None or learner.steps_trained - self.taken >= self.every:
            self.copy = learner.engine.copy(self.copy, threads)
            self.step, self.epoch, self.taken = learner.step, learner.epoch, learner.steps_trained

    def restore(self, learner: "Learner") -> int:
        """Go back; the number of updates that are lost beside the last one."""
        lost = learner.step - self.step - 1
        learner.restore(Snapshot(self.copy, self.step, self.epoch))
        self.forget()
        return lost


@dataclass
class Learner:
    """An engine and how far its training has come.

    `epoch` counts finished epochs and keys the shuffle; `step` counts updates of the optimizer's present state.
    Together with the engine's parameters and optimizer state they are all that the next update depends on. Both are
    true whenever other code may look, a signal's handler in the middle of an epoch too: steps are counted by the
    engine, and `position` is the number of finished epochs with the step at which one more will be finished.
    """

    spec: NetworkSpec
    backend: Backend
    engine: Engine
    seed: int
    optimizer: Optimizer | None = None
    position: tuple[int, int | None] = (0, None)
    history: History = field(default_factory=History)
    steps_trained: int = 0  # in all, whatever the optimizer
    rows_trained: int = 0
    undo: _Undo = field(default_factory=_Undo)

    @property
    def step(self) -> int:
        return self.engine.n_steps

    @property
    def epoch(self) -> int:
        finished, end = self.position
        return finished + (end is not None and self.engine.n_steps >= end)

    def begin_epoch(self, steps: int) -> None:
        """An epoch of so many steps begins; it counts when they have been made."""
        self.position = self.epoch, self.engine.n_steps + steps

    def end_epoch(self) -> None:
        """What counts now is what has been finished: an epoch that was broken off begins again."""
        self.position = self.epoch, None

    @contextmanager
    def epochs(self) -> Iterator[None]:
        """Steps that are made after these epochs, however they end, are none of theirs."""
        try:
            yield
        finally:
            self.end_epoch()

    def use(self, optimizer: Optimizer) -> None:
        """Go on with this optimizer. The state belongs to the rule: other hyperparameters go on with it."""
        if self.optimizer is None or optimizer.name != self.optimizer.name:
            self._start(optimizer)
        self.optimizer = optimizer

    def reset_optimizer(self) -> None:
        """Zero the state and the count of its updates."""
        if self.optimizer is not None:
            self._start(self.optimizer)

    def _start(self, optimizer: Optimizer) -> None:
        self.undo.forget()
        self.end_epoch()
        self.optimizer = None  # a handler of a signal that saves the network here finds no rule with another's state
        self.engine.use_optimizer(optimizer.name)
        self.optimizer = optimizer

    def train(
        self,
        data: Data,
        order: NDArray[np.int64],
        batch_size: int,
        losses: NDArray[np.float64],
        threads: int,
    ) -> Outcome:
        """One update for each batch of `order`; fills `losses`. What a signal's handler raises is in the answer."""
        assert self.optimizer is not None
        before = self.step
        table = self.optimizer.scalars(before, len(losses))
        losses.fill(np.nan)
        try:
            outcome = self.engine.train(Run(data.X, data.y, data.weight, order, batch_size, table, losses), threads)
        except BaseException as error:  # noqa: BLE001 - the caller raises it again
            # A signal that arrives in the engine's last moments is raised when it has returned, and its answer is lost.
            sums = self.engine.weight_sums(data.weight, order, batch_size)
            outcome = Outcome(self.step - before, "interrupted", error, sums)
        self.steps_trained += outcome.steps
        self.rows_trained += min(outcome.steps * batch_size, len(order))
        return outcome

    @contextmanager
    def profiled(self, found: Callable[[Profile], None]) -> Iterator[None]:
        """Hand on a profile of what is trained meanwhile, also when that ends with an exception."""
        steps, rows = self.steps_trained, self.rows_trained
        self.engine.start_profile()
        try:
            yield
        finally:
            seconds, wall, all_threads = self.engine.stop_profile()
            steps, rows = self.steps_trained - steps, self.rows_trained - rows
            peak = thread_peak(self.engine.isa, self.spec.dtype)
            found(Profile(seconds, wall, steps, rows, all_threads / wall if wall else 0.0, self.spec.sizes, peak))

    def snapshot(self, instead_of: Snapshot | None = None, threads: int = 1) -> Snapshot:
        """A snapshot, in the memory of one that is no longer needed if there is one."""
        return Snapshot(self.engine.copy(instead_of and instead_of.copy, threads), self.step, self.epoch)

    def restore(self, snapshot: Snapshot) -> None:
        self.engine.restore(snapshot.copy)
        self.position = snapshot.epoch, None

    def first_bad_layer(self, data: Data, rows: NDArray[np.int64]) -> int | None:
        """Number (from 1) of the first layer whose parameters, or signals on these rows, are not finite."""
        weights, biases = weights_and_biases(self.engine.read())
        finite = [bool(np.isfinite(w).all() and np.isfinite(b).all()) for w, b in zip(weights, biases, strict=True)]
        for part in chunks(len(rows), max(self.spec.sizes)):
            signals, outputs, _ = self.engine.trace(data.X[rows[part]], None, 1)
            for layer, arrays in enumerate(zip(signals, outputs, strict=True)):
                finite[layer] &= all(bool(np.isfinite(array).all()) for array in arrays)
        return None if all(finite) else finite.index(False) + 1

    def describe_layer(self, number: int | None) -> str:
        if number is None:
            return "all layers' signals are finite, only the loss overflows"
        layer = self.spec.layers[number - 1]
        shape = f"{layer.n_in} -> {layer.n_out}, {layer.activation.name}"
        return f"the first values that are not finite are in layer {number} of {len(self.spec.layers)} ({shape})"
