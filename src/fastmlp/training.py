"""How a network learns: epochs over an engine, callbacks, early stopping, divergence, evaluation, history.

Whoever shuffles, counts steps or stops does it here; the engine only ever sees an order of rows and one row of scalars
per step (DESIGN 3, the epoch call). Arguments were validated in network.py.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastmlp.data import refuse_overflow
from fastmlp.measure import thread_peak
from fastmlp.names import closest
from fastmlp.profile import Profile
from fastmlp.runtime import Backend, Engine
from fastmlp.spec import NetworkSpec, Optimizer, Outcome, Run, weights_and_biases

if TYPE_CHECKING:
    from fastmlp.network import MLP

__all__ = ["Callback", "EarlyStopping", "History", "TrainingDiverged"]

Logs: TypeAlias = dict[str, Any]


# ---- history --------------------------------------------------------------------------------------------------------


@dataclass(repr=False)
class History(Mapping[str, list[float]]):
    """What was measured after every epoch: one list per quantity, all of the same length.

    It is also a mapping from names to these lists, so ``history["val_loss"]`` and ``pandas.DataFrame(dict(history))``
    work; as with any mapping, `len` counts the names, and ``len(history.epoch)`` the epochs. Each quantity is an
    attribute, too: ``history.val_accuracy`` is ``history["val_accuracy"]``. Quantities that no epoch measured are
    missing from the mapping; where some epochs did, the others hold NaN.

    Attributes
    ----------
    epoch : list of int
        Number of the epoch, counted from 1 since the network was made.
    loss : list of float
        Mean training loss over the epoch's rows, each under the weights as they were before its batch's update.
    val_loss : list of float
        Loss on the validation data under the weights at the end of the epoch.
    metrics : dict of str to list of float
        The metric of the loss ("accuracy", "r2" or "d2"): prefixed with ``val_`` on validation data, plain on the
        training data.
    seconds : list of float
        Duration of the epoch's training, without evaluation and callbacks.
    samples_per_second : list of float
        Rows per second of training.

    Examples
    --------
    >>> import fastmlp
    >>> net = fastmlp.MLP([2, 8, 1], seed=0)
    >>> history = net.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0], epochs=3)
    >>> len(history["loss"]), list(history)
    (3, ['epoch', 'loss', 'seconds', 'samples_per_second'])
    """

    epoch: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    samples_per_second: list[float] = field(default_factory=list)

    def append(self, logs: Mapping[str, Any]) -> None:
        """Add one epoch; what `logs` does not hold becomes NaN."""
        done = self._even()
        for name in logs:
            if name == "val_loss" and not self.val_loss:
                self.val_loss += [math.nan] * done
            elif name not in self.__dataclass_fields__:
                self.metrics.setdefault(name, [math.nan] * done)
        self.epoch.append(int(logs["epoch"]))
        for name, column in self._columns():
            if name != "epoch" and (name != "val_loss" or column or "val_loss" in logs):
                column.append(float(logs.get(name, math.nan)))

    def since(self, start: int) -> "History":
        """The epochs from place `start` on, as a History of its own."""
        self._even()

        def measured(column: list[float]) -> list[float]:
            return [] if all(map(math.isnan, column[start:])) else column[start:]

        metrics = {name: measured(column) for name, column in self.metrics.items()}
        return History(
            self.epoch[start:],
            self.loss[start:],
            measured(self.val_loss),
            {name: column for name, column in metrics.items() if column},
            self.seconds[start:],
            self.samples_per_second[start:],
        )

    def _even(self) -> int:
        """Drop an epoch of which only a part was noted (a Ctrl-C at the wrong moment); return the number that stay."""
        columns = [column for name, column in self._columns() if column or name != "val_loss"]
        done = min(map(len, columns))
        for column in columns:
            del column[done:]
        return done

    def _columns(self) -> Iterator[tuple[str, list[Any]]]:
        yield from (("epoch", self.epoch), ("loss", self.loss), ("val_loss", self.val_loss))
        yield from self.metrics.items()
        yield from (("seconds", self.seconds), ("samples_per_second", self.samples_per_second))

    def __getitem__(self, name: str) -> list[float]:
        for known, column in self._columns():
            if known == name and (column or name != "val_loss"):
                return column
        raise KeyError(name)

    def __getattr__(self, name: str) -> list[float]:
        metrics: dict[str, list[float]] = self.__dict__.get("metrics", {})  # not there while a copy is being made
        if name not in metrics:
            raise AttributeError(f"'History' object has no attribute {name!r}", name=name, obj=self)
        return metrics[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.metrics]

    def __iter__(self) -> Iterator[str]:
        return (name for name, column in self._columns() if column or name != "val_loss")

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        if not self.epoch:
            return "<History: no epochs yet>"
        count = len(self.epoch)
        parts = [f"loss {self.loss[0]:.4g} -> {self.loss[-1]:.4g}" if count > 1 else f"loss {self.loss[0]:.4g}"]
        if self.val_loss and not math.isnan(self.val_loss[-1]):
            parts.append(f"val_loss {self.val_loss[-1]:.4g}")
        parts += [f"{name} {column[-1]:.4g}" for name, column in self.metrics.items() if not math.isnan(column[-1])]
        seconds = sum(self.seconds)
        samples = sum(s * rate for s, rate in zip(self.seconds, self.samples_per_second, strict=True))
        parts.append(f"{seconds:.3g} s")
        if seconds > 0:
            parts.append(f"{samples / seconds:.3g} samples/s")
        return f"<History of {count} epoch{'s' if count > 1 else ''}: {', '.join(parts)}>"


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


# ---- callbacks ------------------------------------------------------------------------------------------------------


class Callback:
    """Base of what ``fit(callbacks=...)`` calls; override what you need.

    The network may be used from a callback (``predict``, ``evaluate``, ``save``, ``weights``), but not trained;
    ``net.optimizer = dataclasses.replace(net.optimizer, learning_rate=...)`` in `on_epoch_end` makes a schedule. An
    exception ends the training and leaves the network as the epoch's end left it; `on_train_end` is then not called. A
    plain function ``f(net, logs)`` may be given instead of a Callback; it takes the place of `on_epoch_end`.

    `on_epoch_end` stops the training by returning True; None and False let it go on, and any other value is a
    TypeError. Methods whose names begin with ``on_`` and are not among these three would never be called: `fit` refuses
    them. `logs` is a copy for each callback: numbers of your own belong into an attribute of the callback, where
    neither the history nor `EarlyStopping` sees them.

    Examples
    --------
    >>> import fastmlp
    >>> class Target(fastmlp.Callback):
    ...     def on_epoch_end(self, net, logs):
    ...         return logs["loss"] < 0.1  # True stops
    >>> net = fastmlp.MLP([2, 8, 1], seed=0)
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> history = net.fit(X, y, epochs=500, optimizer=fastmlp.Adam(0.01), callbacks=[Target()])
    >>> history.loss[-1] < 0.1 and len(history.loss) < 500
    True
    """

    def on_train_begin(self, net: "MLP", logs: Logs) -> None:
        """Before anything changes; `logs` holds "epochs" and "names" of what `on_epoch_end` will be told."""

    def on_epoch_end(self, net: "MLP", logs: Logs) -> bool | None:
        """After every epoch, with its row of the `History` in `logs`; True, and nothing else, stops the training."""

    def on_train_end(self, net: "MLP", logs: Logs) -> None:
        """After the last epoch, with its row of the `History` in `logs`."""


CallbackLike: TypeAlias = Callback | Callable[["MLP", Logs], bool | None]


class _Function(Callback):
    """A plain function in the place of `on_epoch_end`."""

    def __init__(self, function: Callable[["MLP", Logs], bool | None]) -> None:
        self.function = function

    def on_epoch_end(self, net: "MLP", logs: Logs) -> bool | None:
        return self.function(net, logs)

    def __repr__(self) -> str:
        return repr(self.function)


def as_callbacks(callbacks: Any) -> list[Callback]:
    """The argument ``callbacks`` as a list of `Callback` objects."""
    if callbacks is None:
        return []
    if isinstance(callbacks, Callback) or not isinstance(callbacks, Sequence) or isinstance(callbacks, str):
        raise TypeError(f"callbacks must be a list of Callback objects or functions, got {callbacks!r}")
    found: list[Callback] = []
    for place, callback in enumerate(callbacks):
        if isinstance(callback, Callback):
            _refuse_other_events(callback, place)
            found.append(callback)
        elif callable(callback) and not isinstance(callback, type):
            found.append(_Function(callback))
        else:
            advice = f"; did you mean {callback.__name__}()?" if isinstance(callback, type) else ""
            raise TypeError(
                f"callbacks[{place}] must be a Callback or a function (net, logs), got {callback!r}{advice}"
            )
    return found


def _refuse_other_events(callback: Callback, place: int) -> None:
    """A TypeError for a method that looks like a callback's and is none: it would wait for ever to be called."""
    known = [name for name in vars(Callback) if name.startswith("on_")]
    for name in dir(type(callback)):
        if name.startswith("on_") and name not in known and callable(getattr(type(callback), name)):
            near = closest(name, known)
            raise TypeError(
                f"callbacks[{place}] is a {type(callback).__name__} with a method {name}, which nothing calls; "
                f"a Callback has {', '.join(known)}" + (f": did you mean {near}?" if near else "")
            )


def _asks_to_stop(callback: Callback, net: "MLP", logs: Logs) -> bool:
    """Tell a callback of an epoch; a TypeError if its answer is none of True, False and None."""
    answer: object = callback.on_epoch_end(net, logs)
    if answer is None or isinstance(answer, bool | np.bool_):
        return bool(answer)
    raise TypeError(
        f"the callback {callback!r} returned {answer!r:.80} ({type(answer).__name__}) at the end of epoch "
        f"{logs['epoch']}: return True to stop the training, None or False to go on"
    )


class EarlyStopping(Callback):
    """Stop when a quantity has not improved for some epochs (Prechelt, "Early stopping - but when?", 1998).

    Parameters
    ----------
    monitor : str
        What to watch: a name in the history. Names that end in "loss" are to fall, all others (accuracy, r2, d2) to
        rise.
    patience : int
        Stop after this many epochs in a row without improvement.
    min_delta : float
        A change must be larger than this to be an improvement.
    restore_best : bool
        Whether weights and biases go back to those of the best epoch when training ends, stopped early or not.
        Optimizer state and counters stay; an exception that ends the training leaves the weights, too.

    Attributes
    ----------
    best : float or None
        Best value of the monitored quantity.
    best_epoch, stopped_epoch : int or None
        Numbers of the epochs where it was reached and where training was stopped (None: it ran to its end).

    Examples
    --------
    >>> import fastmlp
    >>> stop = fastmlp.EarlyStopping("loss", patience=2, min_delta=10.0)
    >>> net = fastmlp.MLP([2, 4, 1], seed=0)
    >>> len(net.fit([[0, 1], [1, 0]], [0, 1], epochs=50, callbacks=[stop]).loss)
    3
    """

    def __init__(
        self, monitor: str = "val_loss", patience: int = 5, min_delta: float = 0.0, restore_best: bool = True
    ) -> None:
        if not isinstance(monitor, str):
            raise TypeError(f"monitor must be a name such as 'val_loss', got {monitor!r}")
        if isinstance(patience, bool) or not isinstance(patience, int | np.integer):
            raise TypeError(f"patience must be an integer >= 1, got {patience!r}")
        if patience < 1:
            raise ValueError(f"patience must be at least 1, got {patience}")
        if isinstance(min_delta, bool) or not isinstance(min_delta, int | float | np.integer | np.floating):
            raise TypeError(f"min_delta must be a number >= 0, got {min_delta!r}")
        if not (math.isfinite(min_delta) and min_delta >= 0):
            raise ValueError(f"min_delta must be finite and at least 0, got {min_delta}")
        if not isinstance(restore_best, bool | np.bool_):
            raise TypeError(f"restore_best must be True or False, got {restore_best!r}")
        self.monitor = monitor
        self.patience = int(patience)
        self.min_delta = float(min_delta)
        self.restore_best = bool(restore_best)
        self._forget()

    def _forget(self) -> None:
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._waited = 0
        self._parameters: tuple[Any, Any] | None = None

    def on_train_begin(self, net: "MLP", logs: Logs) -> None:  # noqa: ARG002
        if self.monitor not in logs["names"]:
            if self.monitor in ("val_loss", *(f"val_{metric}" for metric in METRICS.values())):
                advice = "" if "val_loss" in logs["names"] else "; give fit(validation_data=...)"
            else:
                advice = "; for a number of your own, write a Callback whose on_epoch_end returns True to stop"
            raise ValueError(
                f"EarlyStopping's monitor must be one of {', '.join(logs['names'])}; got {self.monitor!r}{advice}"
            )
        self._forget()

    def on_epoch_end(self, net: "MLP", logs: Logs) -> bool:
        value = logs[self.monitor]
        gain = math.inf if self.best is None else self.best - value if self._falls else value - self.best
        if gain > self.min_delta and not math.isnan(value):
            self.best, self.best_epoch, self._waited = value, logs["epoch"], 0
            if self.restore_best:
                self._parameters = (net.weights, net.biases)
            return False
        self._waited += 1
        if self._waited < self.patience:
            return False
        self.stopped_epoch = logs["epoch"]
        return True

    def on_train_end(self, net: "MLP", logs: Logs) -> None:
        if self._parameters is not None and self.best_epoch != logs["epoch"]:
            net.weights, net.biases = self._parameters
        self._parameters = None

    @property
    def _falls(self) -> bool:
        return self.monitor.endswith("loss")

    def __repr__(self) -> str:
        return (
            f"EarlyStopping({self.monitor!r}, patience={self.patience}, min_delta={self.min_delta}, "
            f"restore_best={self.restore_best})"
        )


# ---- evaluation -----------------------------------------------------------------------------------------------------

# Outputs are computed in chunks of about this many elements where nobody keeps them.
CHUNK = 1 << 20

METRICS = {"cross_entropy": "accuracy", "binary_cross_entropy": "accuracy", "squared_error": "r2", "poisson": "d2"}


@dataclass(frozen=True)
class Data:
    """Validated rows to learn from or to evaluate on; `weight` is float64 (n,) or None."""

    X: NDArray[Any]
    y: NDArray[Any]
    weight: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.X)


def chunks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Slices of rows whose `n_columns` numbers each fit a bounded buffer."""
    rows = max(1, CHUNK // n_columns)
    return (slice(start, min(start + rows, n_rows)) for start in range(0, n_rows, rows))


def evaluate(engine: Engine, spec: NetworkSpec, data: Data, threads: int) -> dict[str, float]:
    """Loss and metric of a network on data, both weighted by row, in memory bounded by a chunk."""
    n_outputs = spec.sizes[-1]
    longest = min(len(data), max(1, CHUNK // n_outputs))
    out, row_loss = np.empty((longest, n_outputs), dtype=spec.dtype), np.empty(longest)
    score = _Accuracy(spec.loss) if METRICS[spec.loss] == "accuracy" else _Explained(data, DEVIANCES[spec.loss])
    loss = total = 0.0
    with np.errstate(all="ignore"):  # a network that has diverged shows in its loss
        for part in chunks(len(data), n_outputs):
            X, y = data.X[part], data.y[part]
            outputs, losses = out[: len(X)], row_loss[: len(X)]
            engine.evaluate(X, y, outputs, losses, threads)
            weight = np.ones(len(X)) if data.weight is None else data.weight[part]
            loss += float((weight * losses).sum())
            total += float(weight.sum())
            score.add(outputs, y, weight)
        return {"loss": loss / total, METRICS[spec.loss]: score.value()}


class _Accuracy:
    """Share of rows whose largest output is their class or, for binary_cross_entropy, of right yes-no answers."""

    def __init__(self, loss: str) -> None:
        self.binary = loss == "binary_cross_entropy"
        self.right = self.total = 0.0

    def add(self, outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[np.float64]) -> None:
        if self.binary:
            right = ((outputs >= 0.5) == (y >= 0.5)).mean(axis=1)
        else:
            right = outputs.argmax(axis=1) == (y if y.ndim == 1 else y.argmax(axis=1))
        self.right += float((weight * right).sum())
        self.total += float(weight.sum())

    def value(self) -> float:
        return self.right / self.total


def _squared_deviance(y: NDArray[Any], mean: NDArray[Any]) -> NDArray[Any]:
    error: NDArray[Any] = np.square(y - mean)
    return error


def _poisson_deviance(y: NDArray[Any], mean: NDArray[Any]) -> NDArray[Any]:
    """Half of it; 0 log 0 = 0."""
    ratio = np.where(y > 0, y / mean, 1.0)
    half: NDArray[Any] = y * np.log(ratio) - y + mean
    return half


#: What of each target a mean leaves unexplained, by the losses whose metric is a share of that.
DEVIANCES = {"squared_error": _squared_deviance, "poisson": _poisson_deviance}


class _Explained:
    """Share of the deviance that the outputs explain and the targets' mean does not: 1 - D(y, outputs) / D(y, mean).

    Averaged over outputs; r2 is that of the squared error, d2 that of the Poisson deviance. See `MLP.evaluate`.
    """

    def __init__(self, data: Data, deviance: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]) -> None:
        self.deviance = deviance
        n_outputs = data.y.shape[1]
        self.residual, self.spread = np.zeros(n_outputs), np.zeros(n_outputs)
        total, mean = 0.0, np.zeros(n_outputs)
        for part in chunks(len(data), n_outputs):  # the mean goes first: sums of squares around it do not cancel
            weight = np.ones(part.stop - part.start) if data.weight is None else data.weight[part]
            mean += (data.y[part].astype(np.float64) * weight[:, np.newaxis]).sum(axis=0)
            total += float(weight.sum())
        self.mean = mean / total

    def add(self, outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[np.float64]) -> None:
        target, column = y.astype(np.float64), weight[:, np.newaxis]
        self.residual += (column * self.deviance(target, outputs)).sum(axis=0)
        self.spread += (column * self.deviance(target, self.mean)).sum(axis=0)

    def value(self) -> float:
        constant = self.spread == 0
        ratio = self.residual / np.where(constant, 1.0, self.spread)
        return float(np.where(constant, np.where(self.residual == 0, 1.0, 0.0), 1 - ratio).mean())


# ---- the state of learning ------------------------------------------------------------------------------------------


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


# ---- the epoch loop -------------------------------------------------------------------------------------------------

# Copying parameters and optimizer state costs about as much as two updates of them, so they are copied at the end of an
# epoch only if at least this many updates were made since.
SNAPSHOT_STEPS = 64


class _Safety:
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


def fit(
    learner: Learner,
    net: "MLP",
    data: Data,
    *,
    epochs: int,
    batch_size: int,
    optimizer: Optimizer,
    validation: Data | None,
    shuffle: bool,
    threads: int,
    callbacks: Sequence[Callback],
    lent: Callable[[], AbstractContextManager[None]],
    bar: "Bar",
    train_metrics: bool,
) -> History:
    """Train for some epochs; `MLP.fit` says what that means."""
    n, batch_size = len(data), min(batch_size, len(data))
    history, start = learner.history, learner.history._even()
    names = ["epoch", "loss", "seconds", "samples_per_second"]
    metric = METRICS[learner.spec.loss]
    names += ["val_loss", f"val_{metric}"] if validation is not None else []
    names += [metric] if train_metrics else []
    with lent():
        for callback in callbacks:
            callback.on_train_begin(net, {"epochs": epochs, "names": tuple(names)})

    learner.undo.forget()
    learner.use(optimizer)
    rule, safety = optimizer.name, _Safety(learner, threads)
    order = np.arange(n, dtype=np.int64)
    losses, batch_weights = np.empty(-(-n // batch_size)), np.empty(-(-n // batch_size))
    logs: Logs = {}

    def diverged(what: str, step: int | None, rows: NDArray[np.int64]) -> TrainingDiverged:
        epoch, layer = learner.epoch + (step is not None), learner.first_bad_layer(data, rows)
        good = safety.restore()
        where = f"the end of epoch {good.epoch}" if good.epoch else "the start"
        message = (
            f"{what}; {learner.describe_layer(layer)}{_too_large(learner, data)}. The network is back at {where}, "
            f"update {good.step} of the optimizer. Try a smaller learning rate than that of {learner.optimizer}, or "
            "data of a smaller scale."
        )
        return TrainingDiverged(message, history.since(start), epoch, step, layer)

    with bar, learner.epochs():
        for _ in range(epochs):
            if shuffle:
                order = learner.backend.permutation(learner.seed, learner.epoch % 2**32, n, order)
            bar.begin(learner.epoch + 1)
            learner.begin_epoch(len(losses))
            seconds, done = 0.0, 0
            while done < len(losses):
                count = bar.steps(len(losses) - done)
                rows = order[done * batch_size : (done + count) * batch_size]
                started = time.perf_counter()
                run = learner.train(data, rows, batch_size, losses[done : done + count], threads)
                elapsed = time.perf_counter() - started
                batch_weights[done : done + count] = run.weight_sums
                seconds, done, safety.since = seconds + elapsed, done + run.steps, safety.since + run.steps
                if run.status != "done":
                    break
                bar.advance(run.steps, len(rows), elapsed)
            if run.status == "non_finite":
                rows = order[done * batch_size : (done + 1) * batch_size]
                loss = _loss(learner, data, rows, threads)
                what = f"the loss became {loss} in epoch {learner.epoch + 1}, step {done + 1} of {len(losses)}"
                raise diverged(what, done + 1, rows)
            if run.exception is not None and done < len(losses):
                raise run.exception
            learner.end_epoch()

            logs = {"epoch": learner.epoch, "loss": _sum(losses * batch_weights) / _sum(batch_weights)}
            logs |= {"seconds": seconds, "samples_per_second": n / seconds if seconds > 0 else math.inf}
            try:
                if run.exception is not None:
                    raise run.exception
                if train_metrics:
                    logs[metric] = evaluate(learner.engine, learner.spec, data, threads)[metric]
                if validation is not None:
                    measured = evaluate(learner.engine, learner.spec, validation, threads)
                    logs |= {f"val_{name}": value for name, value in measured.items()}
            finally:
                history.append(logs)
            bar.end(logs)
            if not math.isfinite(logs.get("val_loss", 0.0)):
                what = f"the validation loss became {logs['val_loss']} after epoch {learner.epoch}"
                raise diverged(what, None, order[-32:])
            if not safety.epoch_done():
                raise diverged(f"the parameters are no longer finite after epoch {learner.epoch}", None, order[-32:])
            stop = False
            with lent():
                for callback in callbacks:  # all of them hear of every epoch, also when one has asked to stop
                    stop |= _asks_to_stop(callback, net, dict(logs))
            if learner.optimizer and learner.optimizer.name != rule:  # a callback's doing; there is no way back
                rule, safety = learner.optimizer.name, _Safety(learner, threads)
            if stop:
                break

    last = order[-32:]
    if not _is_sound(learner, data, last, threads):
        raise diverged(f"the last update, of epoch {learner.epoch}, left a loss that is not finite", None, last)
    with lent():
        for callback in callbacks:
            callback.on_train_end(net, dict(logs))
    return history.since(start)


def step(learner: Learner, data: Data, optimizer: Optimizer, threads: int) -> float:
    """One update on exactly these rows; returns their loss before it."""
    learner.use(optimizer)
    learner.undo.prepare(learner, threads)
    order, losses = np.arange(len(data), dtype=np.int64), np.empty(1)
    run = learner.train(data, order, len(data), losses, threads)
    if run.exception is not None:
        raise run.exception
    if run.status == "non_finite":
        layer = learner.first_bad_layer(data, order)
        message = (
            f"the loss of this batch is {_loss(learner, data, order, threads)}; {learner.describe_layer(layer)}"
            f"{_too_large(learner, data)}. The network was left as it was before this step: set weights that are good, "
            "or use fit, which goes back to them by itself."
        )
        raise TrainingDiverged(message, step=learner.step + 1, layer=layer)
    if not learner.engine.is_finite(threads):
        number, layer = learner.step, learner.first_bad_layer(data, order)
        lost = learner.undo.restore(learner)
        where = f"{lost} updates before this step" if lost else "before this step"
        message = (
            f"the update of this step overflowed, its loss was {losses[0]}; {learner.describe_layer(layer)}. The "
            f"network is as it was {where}. Try a smaller learning rate than that of {optimizer}, or data of a smaller "
            "scale."
        )
        raise TrainingDiverged(message, step=number, layer=layer)
    return float(losses[0])


def _too_large(learner: Learner, data: Data) -> str:
    """What to add to the report of a divergence if the data themselves have values that are infinite in the network."""
    try:
        refuse_overflow(data.X, np.dtype(learner.spec.dtype), "X")
        refuse_overflow(data.y, np.dtype(learner.spec.dtype), "y")
    except ValueError as error:
        return f"; {error}"
    return ""


def _loss(learner: Learner, data: Data, rows: NDArray[np.int64], threads: int) -> float:
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


def _sum(values: NDArray[np.float64]) -> float:
    """The sum in order: early stopping may hang on its last bit, and NumPy's own order is not promised."""
    return float(np.add.accumulate(values)[-1])


def _is_sound(learner: Learner, data: Data, rows: NDArray[np.int64], threads: int) -> bool:
    """Whether parameters, and the loss of these rows under them, are finite."""
    if not learner.engine.is_finite(threads):
        return False
    out, row_loss = np.empty((len(rows), learner.spec.sizes[-1]), dtype=learner.spec.dtype), np.empty(len(rows))
    learner.engine.evaluate(data.X[rows], data.y[rows], out, row_loss, threads)
    return bool(np.isfinite(row_loss).all())


# ---- progress -------------------------------------------------------------------------------------------------------


class Bar:
    """What shows the progress of a training: nothing, and so an epoch is one call of the engine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def steps(self, left: int) -> int:
        """How many steps the engine shall do before the bar moves."""
        return left

    def begin(self, epoch: int) -> None:
        """An epoch begins."""

    def advance(self, steps: int, rows: int, seconds: float) -> None:
        """Steps have been done."""

    def end(self, logs: Logs) -> None:
        """An epoch has ended."""


class ProgressBar(Bar):
    """A tqdm bar over the rows of all epochs, moved ten times a second."""

    def __init__(self, n_rows: int, epochs: int) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise ImportError(
                "progress=True draws its bar with tqdm, which is not installed: pip install 'fastmlp[progress]', "
                "or leave progress=False"
            ) from error
        self._tqdm: Any = tqdm
        self._total = n_rows * epochs
        self._count = 8

    def __enter__(self) -> Self:
        self._bar = self._tqdm(total=self._total, unit=" rows", unit_scale=True)
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def steps(self, left: int) -> int:
        return min(self._count, left)

    def begin(self, epoch: int) -> None:
        self._bar.set_description(f"epoch {epoch}", refresh=False)

    def advance(self, steps: int, rows: int, seconds: float) -> None:
        self._count = max(1, min(8 * self._count, int(0.1 * steps / max(seconds, 1e-9))))
        self._bar.update(rows)

    def end(self, logs: Logs) -> None:
        hidden = ("epoch", "seconds", "samples_per_second")
        shown = {name: f"{value:.4g}" for name, value in logs.items() if name not in hidden}
        self._bar.set_postfix(shown, refresh=False)
