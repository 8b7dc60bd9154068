"""An engine and where its training stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.data import Data, Table, dense
from fastmlp.files import Checkpoint
from fastmlp.runtime import Engine
from fastmlp.spec import (
    NO_CLIP,
    NO_RATES,
    NOT_NORMALIZED,
    Array,
    Clip,
    Cut,
    NetworkSpec,
    Normalizing,
    Optimizer,
    Outcome,
    Rates,
    Run,
)
from fastmlp.train.exchange import Ranks
from fastmlp.train.mixing import shares_of_others
from fastmlp.train.samples import PerSample

__all__ = ["NO_OPTIONS", "Learner", "Snapshot", "StepOptions"]


@dataclass(slots=True)
class Snapshot:
    """Everything that training changes, in the engine's own memory: parameters, state and count of steps; the epoch.

    It is quickly taken, and of use to this engine alone: a `Checkpoint` is what goes elsewhere.
    """

    copy: object
    step: int
    epoch: int
    steps_trained: int  # when it was taken


class StepOptions(NamedTuple):
    """What a training's steps do beside gradient and optimizer.

    Attributes
    ----------
    clip : Clip
        How large a batch's gradient may be.
    average : float
        The share by which the moving average of the parameters follows them; 0: it does not.
    swa : int
        The epoch, counted from 1, from whose end on the average is the mean of the parameters at ends of epochs; 0: it
        is not.
    mixup : float
        Each row of a step is mixed with the next, by a share drawn from Beta(mixup, mixup); 0: none is.
    noted : PerSample or None
        Where losses and gradients' norms of the rows go.
    lazy : bool
        Whether of the first layer's weights those alone change whose columns a batch of sparse rows has.
    """

    clip: Clip = NO_CLIP
    average: float = 0.0
    swa: int = 0
    mixup: float = 0.0
    noted: PerSample | None = None
    lazy: bool = False


NO_OPTIONS = StepOptions()


#: Steps whose scalars are made at once where calls of the engine have a quarter of them at most.
AHEAD = 256


class _Ahead(NamedTuple):
    """Scalars of steps to come, from the one after the `first` on, by an optimizer without schedules."""

    optimizer: Optimizer
    factors: tuple[float, ...]
    first: int
    table: NDArray[np.float64]

    def has(self, optimizer: Optimizer, factors: tuple[float, ...], first: int, steps: int) -> bool:
        """Whether so many steps after the first of this optimizer are among them."""
        same = self.optimizer is optimizer and self.factors == factors
        return same and self.first <= first and first + steps <= self.first + len(self.table)


@dataclass
class Learner:
    """An engine and how far its training has come.

    `epoch` counts finished epochs and keys the shuffle; `step` counts updates of the optimizer's present state.
    Together with the engine's parameters and optimizer state they are all that the next update depends on. Both are
    true whenever other code may look, a signal's handler in the middle of an epoch too: steps are counted by the
    engine, and `position` is the number of finished epochs with the step at which one more will be finished, and each
    `epoch_steps` later another one, where several are made in one call.
    `first_epoch` is the number of those that were finished when the optimizer's present state began.

    `rates` are what the learning rate is multiplied by: each training sets its own.

    `feature_names` are those of the columns of what was trained on, the first time that they had any.

    `normalizing` says how inputs and targets are normalised, and by what: measured before the first step.

    `undo` is what a single step that overflows goes back to. Whoever changes the parameters or the optimizer's state
    forgets it before.
    """

    spec: NetworkSpec
    engine: Engine
    seed: int = 0
    optimizer: Optimizer | None = None
    position: tuple[int, int | None] = (0, None)
    epoch_steps: int = 1
    first_epoch: int = 0
    steps_trained: int = 0  # in all, whatever the optimizer
    rows_trained: int = 0
    rates: Rates = NO_RATES
    feature_names: tuple[str, ...] | None = None
    normalizing: Normalizing = NOT_NORMALIZED
    undo: Snapshot | None = None
    follows: bool = False  # a training whose files another rank writes
    n_parameters: int = field(init=False)
    _ahead: "_Ahead | None" = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        self.n_parameters = self.spec.n_parameters  # which counts them whenever it is asked

    @property
    def step(self) -> int:
        """Number of updates that the optimizer's present state has seen."""
        return self.engine.n_steps

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        finished, end = self.position
        if end is None or (made := self.engine.n_steps) < end:
            return finished
        return finished + 1 + (made - end) // self.epoch_steps

    def begin_epoch(self, steps: int | None) -> int:
        """Begin an epoch of so many steps, which counts when they have been made; return how many came before it.

        If more steps are made, they are those of epochs that are as long. Of an epoch without a number of steps,
        `finish_epoch` tells that it counts.
        """
        finished = self.epoch
        self.epoch_steps = max(steps or 1, 1)
        self.position = finished, None if steps is None else self.engine.n_steps + steps
        return finished

    def finish_epoch(self) -> None:
        """Let the epoch that was begun count."""
        self.position = self.position[0], self.engine.n_steps

    def end_epoch(self) -> None:
        """Count what has been finished; an epoch that was broken off will begin again."""
        self.position = self.epoch, None

    def use(self, optimizer: Optimizer) -> None:
        """Go on with this optimizer. The state belongs to the rule: other hyperparameters go on with it."""
        if self.optimizer is None or optimizer.name != self.optimizer.name:
            self._start(optimizer)
        self.optimizer = optimizer

    def normalize(self, normalizing: Normalizing) -> None:
        """Normalise what is read by this from now on."""
        self.undo = None
        self.engine.scale(normalizing.input_scaling, normalizing.target_scaling)
        self.normalizing = normalizing

    def keep_average(self) -> None:
        """Have a moving average of the parameters: the one there is, or one that begins here."""
        if "average" not in self.engine.kinds:
            self.undo = None
            self.engine.keep_average()

    def mean_of(self, number: int) -> dict[str, Array]:
        """Return the mean of `number` parameters: those that the average is of, and the present ones."""
        tensors = self.engine.read()
        if number <= 1:
            return tensors
        means = self.engine.read("average")
        return {name: means[name] + (w - means[name]) * w.dtype.type(1.0 / number) for name, w in tensors.items()}

    def take_in(self, number: int) -> None:
        """Take the parameters into the average, which is a mean of `number` with them."""
        self.undo = None
        self.engine.write(self.mean_of(number), "average")

    def reset_average(self) -> None:
        """Forget the average."""
        self.undo = None
        self.engine.keep_average(False)

    def reset_optimizer(self) -> None:
        """Zero the state and the count of its updates."""
        if self.optimizer is not None:
            self._start(self.optimizer)

    def _start(self, optimizer: Optimizer) -> None:
        self.undo = None
        self.end_epoch()
        self.first_epoch = self.epoch
        self.optimizer = None  # a handler of a signal that saves the network here finds no rule with another's state
        self.engine.use_optimizer(optimizer.name)
        self.optimizer = optimizer

    def table(self, data: Data, order: NDArray[np.int64], batch_size: int, steps: int) -> NDArray[np.float64]:  # noqa: ARG002
        """Make the scalars of the steps that follow, a row each.

        Those of few steps are cut out of a table of more: to make one takes longer than such steps may.
        """
        optimizer, factors, first = self.optimizer, self.rates.factors, self.engine.n_steps
        assert optimizer is not None
        if steps > AHEAD // 4:
            return optimizer.scalars(first, steps, self.epoch - self.first_epoch, factors)
        ahead = self._ahead
        if ahead is None or not ahead.has(optimizer, factors, first, steps):
            if not optimizer.constant:
                return optimizer.scalars(first, steps, self.epoch - self.first_epoch, factors)
            ahead = self._ahead = _Ahead(optimizer, factors, first, optimizer.scalars(first, AHEAD, 0, factors))
        return ahead.table[first - ahead.first :][:steps]

    def train(
        self,
        data: Data,
        order: NDArray[np.int64],
        batch_size: int,
        losses: NDArray[np.float64],
        threads: int,
        squared_weights: NDArray[np.float64] | None = None,
        options: StepOptions = NO_OPTIONS,
        cut: Cut | None = None,
        epoch_rows: int = 0,
    ) -> Outcome:
        """Make one update for each batch of `order`, whose losses go to `losses`; or for each step of a cut.

        The order may have several epochs of so many rows, one behind the other. What a signal's handler raises
        meanwhile is in the answer.
        """
        engine, weight = self.engine, data.weight
        table = self.table(data, order, batch_size, len(losses))
        run = Run(
            data.X if isinstance(data.X, Table) and data.X.sparse else dense(data.X),  # type: ignore[arg-type]
            data.y,
            weight,
            order,
            batch_size,
            table,
            losses,
            squared_weights,
            clip_norm=options.clip.norm,
            clip_value=options.clip.value,
            groups=self.rates.groups,
            average=options.average,
            seed=self.seed,
            row_losses=None if options.noted is None else options.noted.losses,
            row_norms=None if options.noted is None else options.noted.grad_norms,
            mixing=shares_of_others(self.seed, engine.n_steps, len(losses), options.mixup) if options.mixup else None,
            cut=cut,
            lazy=options.lazy,
            epoch_rows=epoch_rows,
        )
        before = engine.n_steps
        try:
            outcome = engine.train(run, threads)
        except BaseException as error:  # noqa: BLE001 - the caller raises it again
            # A signal that arrives in the engine's last moments is raised when it has returned, and its answer is lost.
            sums = engine.weight_sums(weight, order, batch_size, epoch_rows) if cut is None else cut.weight_sums
            outcome = Outcome(engine.n_steps - before, "interrupted", error, sums)
        if cut is not None:
            rows = int(cut.starts[outcome.steps * cut.shares])
        else:  # the last batch of an epoch may be smaller
            epoch_rows = epoch_rows or len(order)
            epochs, steps = divmod(outcome.steps, max(-(-epoch_rows // batch_size), 1))
            rows = epochs * epoch_rows + min(steps * batch_size, epoch_rows)
        self.count(outcome.steps, rows)
        return outcome

    def reads_sparse(self, options: StepOptions) -> bool:
        """Whether steps can read sparse rows as they are: nothing is done to their inputs, and nobody looks at them."""
        untouched = self.normalizing.inputs is None and not (self.spec.dropout_rates[0] or self.spec.input_noise)
        return untouched and not (options.mixup or self.spec.bfloat16) and options.noted is None

    def apply(self, gradient: Mapping[str, NDArray[Any]], threads: int, clip: Clip = NO_CLIP) -> None:
        """Make one update by a gradient that somebody else has computed, of rows that are not known."""
        assert self.optimizer is not None
        epoch = self.epoch - self.first_epoch
        table = self.optimizer.scalars(self.engine.n_steps, 1, epoch, self.rates.factors)
        self.engine.apply(gradient, table, self.rates.groups, clip.norm, clip.value, threads)
        self.count(1, 0)

    def take_mean(self, ranks: Ranks, part: float) -> None:
        """Take the mean of all ranks' parameters, states and averages in the place of this one's."""
        for kind in ("parameters", *self._states(), *(kind for kind in self.engine.kinds if kind == "average")):
            self.engine.write(ranks.mean(self.engine.read(kind), part), kind)

    def follow(self, other: Checkpoint) -> None:
        """Stand where another rank's training of this network does."""
        self.undo, self.seed = None, other.seed
        if not other.average:
            self.reset_average()
        if other.optimizer is None:
            self.optimizer = None
            self.engine.use_optimizer(None)
        self.resume(other)

    def count(self, steps: int, rows: int) -> None:
        """Count steps that have been made, and the rows that they took."""
        self.steps_trained += steps
        self.rows_trained += rows

    def snapshot(self, instead_of: Snapshot | None = None, threads: int = 1) -> Snapshot:
        """Copy what training changes, into the memory of a snapshot that is no longer needed if there is one."""
        copy = self.engine.copy(instead_of and instead_of.copy, threads)
        return Snapshot(copy, self.engine.n_steps, self.epoch, self.steps_trained)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot."""
        self.engine.restore(snapshot.copy)
        self.position = snapshot.epoch, None

    def checkpoint(self) -> Checkpoint:
        """Read where training stands, for a file or another engine."""
        optimizer = self.optimizer
        kinds = ["parameters", *(self._states() if optimizer is not None else ())]
        kinds += [kind for kind in self.engine.kinds if kind == "average"]
        tensors = {kind: self.engine.read(kind) for kind in kinds}
        step, first_epoch = (0, 0) if optimizer is None else (self.step, self.first_epoch)
        return Checkpoint(
            self.spec,
            tensors,
            self.seed,
            self.epoch,
            optimizer,
            step,
            first_epoch,
            self.feature_names,
            self.normalizing,
        )

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of this network."""
        self.feature_names = checkpoint.feature_names
        if checkpoint.normalizing is not self.normalizing:
            self.normalize(checkpoint.normalizing)
        self.engine.write(checkpoint.tensors["parameters"])
        self.position = checkpoint.epoch, None
        if checkpoint.average:
            self.keep_average()
            self.engine.write(checkpoint.tensors["average"], "average")
        optimizer = checkpoint.optimizer
        if optimizer is not None:
            self.use(optimizer)
            states = self._states()
            if checkpoint.states != len(states):
                raise ValueError(f"optimizer {optimizer.name} has {len(states)} states, not {checkpoint.states}")
            for kind in states:
                self.engine.write(checkpoint.tensors[kind], kind)
            self.engine.n_steps, self.first_epoch = checkpoint.step, checkpoint.first_epoch

    def _states(self) -> list[str]:
        """The kinds of tensors that the engine keeps for the optimizer."""
        return [kind for kind in self.engine.kinds if kind.startswith("state.")]
