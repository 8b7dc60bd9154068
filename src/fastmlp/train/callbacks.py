"""Callbacks of a training, called after every epoch, and early stopping."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias

import numpy as np

from fastmlp.spec import name_tensors, weights_and_biases
from fastmlp.spec.checks import choice, flag, integer, not_negative
from fastmlp.spec.names import closest

if TYPE_CHECKING:
    from fastmlp.network import MLP

__all__ = [
    "Callback",
    "CallbackLike",
    "EarlyStopping",
    "Lent",
    "Logs",
    "LoopCallback",
    "as_callbacks",
    "check_monitor",
    "tell",
]

Logs: TypeAlias = dict[str, Any]


class Callback:
    """Base of what ``fit(callbacks=...)`` calls; override what you need.

    The network may be used from a callback (``predict``, ``evaluate``, ``save``, ``weights``), but not trained;
    ``net.optimizer = dataclasses.replace(net.optimizer, learning_rate=...)`` in `on_epoch_end` changes the learning
    rate (`fastmlp.schedules` and `ReduceLROnPlateau` do it by themselves). An exception ends the training and leaves
    the network as the epoch's end left it; `on_train_end` is then not called. A plain function ``f(net, logs)`` may be
    given instead of a Callback; it takes the place of `on_epoch_end`.

    `on_epoch_end` stops the training by returning True; None and False let it go on, and any other value is a
    TypeError. Methods whose names begin with ``on_`` and are not among these three would never be called: `fit` refuses
    them. `logs` is a copy for each callback: numbers of your own belong into an attribute of the callback, where
    neither the history nor `EarlyStopping` sees them.

    Attributes
    ----------
    writes_files : bool
        Whether it writes to a place that a copy of it would write to as well, so that `fit_many` wants one for each
        training.

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

    writes_files: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """What it is called where it stops a training: the name of its class."""
        return type(self).__name__

    def state_dict(self) -> Mapping[str, Any]:
        """Return what a training that is saved and resumed has to know of it: numbers, texts, arrays, lists, dicts."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned; called after `on_train_begin`, unless that was empty."""

    def on_train_begin(self, net: "MLP", logs: Logs) -> None:
        """Called before anything changes.

        `logs` has "epochs", "optimizer", the "names" of an epoch's logs, and their "modes": a mapping from a name to
        "max" or "min", whichever is best, where that is known.
        """

    def on_epoch_end(self, net: "MLP", logs: Logs) -> bool | None:
        """Called after every epoch, whose row of the `History` is `logs`; True, and nothing else, ends training."""

    def on_train_end(self, net: "MLP", logs: Logs) -> None:
        """Called after the last epoch, whose row of the `History` is `logs`; empty where none was finished."""


class EpochFunction(Protocol):
    """A plain function that is told of every epoch, as `Callback.on_epoch_end` is."""

    def __call__(self, net: "MLP", logs: Logs, /) -> bool | None: ...


CallbackLike: TypeAlias = Callback | EpochFunction


class _Function(Callback):
    """A plain function in the place of `on_epoch_end`."""

    def __init__(self, function: EpochFunction) -> None:
        self.function = function

    def on_epoch_end(self, net: "MLP", logs: Logs) -> bool | None:
        return self.function(net, logs)

    @property
    def name(self) -> str:
        return str(getattr(self.function, "__name__", type(self.function).__name__))

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


class LoopCallback(Callback):
    """Base of the loop's own parts: a callback that hears of the inside of an epoch, too.

    It hears of an epoch's end before users' callbacks do, and does not get the network lent.

    Attributes
    ----------
    every : int, float or None
        At most so many steps (an integer) or seconds lie between two calls of `on_steps`: the engine's calls are cut
        there. None: it is not called, and an epoch is one call of the engine.
    reason : str
        Why it stops the training, where it does.
    """

    every: int | float | None = None
    reason: str = "callback"

    def epochs_ahead(self, steps: int) -> int:  # noqa: ARG002
        """Return how many epochs of so many steps may be made before it has to hear of one."""
        return 1

    def on_epoch_begin(self, net: Any, logs: Logs) -> bool | None:
        """Called before an epoch, whose number is in `logs`; True ends the training without it."""

    def on_steps(self, net: Any, logs: Logs) -> bool | None:
        """Called after some steps; `logs` has how many "steps" and "rows" they were, their "seconds" and mean "loss".

        True ends the training there, in the middle of an epoch, which is then not reported.
        """

    def on_non_finite(self, net: Any, logs: Logs) -> None:
        """Called where the loss of step "step" (from 1) of epoch "epoch" is not finite, which ends the epoch.

        An exception ends the training; without one it goes on, after an epoch whose loss is NaN.
        """

    def after_epoch(self, net: Any, logs: Logs) -> None:
        """Called when all callbacks have heard of an epoch's end."""

    def on_pause(self, net: Any, logs: Logs) -> None:
        """Called where the training stops between two whole steps and could go on: limits, signals, what was asked.

        `logs` are those of the last finished epoch; an exception may be about to be raised.
        """

    def close(self) -> None:
        """Called after the last epoch, however it ended."""


def tell(callbacks: Sequence[LoopCallback], event: str, net: Any, logs: Logs) -> str:
    """Let all of them hear of an event; return why the first of those that want to stop does, or ""."""
    stop = ""
    for callback in callbacks:
        if getattr(callback, event)(net, logs):
            stop = stop or callback.reason
    return stop


class Lent(LoopCallback):
    """A user's callbacks: what they are called in is a time when the network is lent to them."""

    def __init__(self, callbacks: Sequence[Callback], lent: Callable[[], AbstractContextManager[None]]) -> None:
        self.callbacks, self.lent = callbacks, lent

    def on_train_begin(self, net: "MLP", logs: Logs) -> None:
        with self.lent():
            for callback in self.callbacks:
                callback.on_train_begin(net, dict(logs))

    def on_epoch_end(self, net: "MLP", logs: Logs) -> bool:
        stop = False
        with self.lent():
            for callback in self.callbacks:  # all of them hear of every epoch, also when one has asked to stop
                if _asks_to_stop(callback, net, dict(logs)) and not stop:
                    stop, self.reason = True, callback.name
        return stop

    def on_train_end(self, net: "MLP", logs: Logs) -> None:
        with self.lent():
            for callback in self.callbacks:
                callback.on_train_end(net, dict(logs))


def _asks_to_stop(callback: Callback, net: "MLP", logs: Logs) -> bool:
    """Tell a callback of an epoch; a TypeError if its answer is none of True, False and None."""
    answer: object = callback.on_epoch_end(net, logs)
    if answer is None or isinstance(answer, bool | np.bool_):
        return bool(answer)
    raise TypeError(
        f"the callback {callback!r} returned {answer!r:.80} ({type(answer).__name__}) at the end of epoch "
        f"{logs['epoch']}: return True to stop the training, None or False to go on"
    )


class Watching(Callback):
    """Base of callbacks that watch a quantity of the history, and whether it gets better."""

    def __init__(self, monitor: str, min_delta: float, mode: Literal["auto", "max", "min"]) -> None:
        if not isinstance(monitor, str):
            raise TypeError(f"monitor must be a name such as 'val_loss', got {monitor!r}")
        self.monitor = monitor
        self.min_delta = not_negative(min_delta, "min_delta")
        self.mode = choice(mode, "mode", ("auto", "max", "min"))
        self._falls = self.mode == "min"
        self.best: float | None = None

    def on_train_begin(self, net: "MLP", logs: Logs) -> None:  # noqa: ARG002
        kind = type(self).__name__
        check_monitor(self, self.monitor, logs["names"])
        mode = logs["modes"].get(self.monitor) if self.mode == "auto" else self.mode
        if mode is None:
            raise ValueError(
                f"{kind}'s mode must be 'max' or 'min' for {self.monitor!r}, which does not tell whether it is "
                "to rise or to fall"
            )
        self._falls = mode == "min"

    def _improves(self, value: float) -> bool:
        """Return whether a value is better than the best so far, by more than `min_delta`, which it then is itself."""
        gain = math.inf if self.best is None else self.best - value if self._falls else value - self.best
        better = gain > self.min_delta and not math.isnan(value)
        if better:
            self.best = value
        return better


class EarlyStopping(Watching):
    """Stop when a quantity has not improved for some epochs (Prechelt, "Early stopping - but when?", 1998).

    Parameters
    ----------
    monitor : str
        What to watch: a name in the history, such as "val_loss", "val_accuracy" or "val_auc".
    patience : int
        Stop after this many epochs in a row without improvement.
    min_delta : float
        A change must be larger than this to be an improvement.
    restore_best : bool
        Whether weights and biases go back to those of the best epoch when training ends, stopped early or not, and so
        does the average of them that `ema` or `swa` keeps. Optimizer state and counters stay; an exception that ends
        the training leaves the weights, too.
    mode : {"auto", "max", "min"}
        Whether what is watched is to rise or to fall. "auto": as losses and metrics say of themselves; a function of
        your own does by its attribute ``mode``, or by a name that ends in ``_score``, ``_loss`` or ``_error``.

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
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        min_delta: float = 0.0,
        restore_best: bool = True,
        mode: Literal["auto", "max", "min"] = "auto",
    ) -> None:
        super().__init__(monitor, min_delta, mode)
        self.patience = integer(patience, "patience", 1)
        self.restore_best = flag(restore_best, "restore_best")
        self._forget()

    def _forget(self) -> None:
        self.best = None
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._waited = self._best_step = 0
        self._parameters: dict[str, Any] | None = None  # tensors by name
        self._average: dict[str, Any] | None = None

    def on_train_begin(self, net: "MLP", logs: Logs) -> None:
        super().on_train_begin(net, logs)
        self._forget()

    def on_epoch_end(self, net: "MLP", logs: Logs) -> bool:
        if self._improves(logs[self.monitor]):
            self.best_epoch, self._best_step, self._waited = logs["epoch"], net.n_steps, 0
            if self.restore_best:
                self._parameters, self._average = net._tensors(), net._average()
            return False
        self._waited += 1
        if self._waited < self.patience:
            return False
        self.stopped_epoch = logs["epoch"]
        return True

    def on_train_end(self, net: "MLP", logs: Logs) -> None:
        at_best = (logs.get("epoch"), net.n_steps) == (self.best_epoch, self._best_step)
        if self._parameters is not None and not at_best:
            net._set_tensors(self._parameters)
            if self._average is not None:
                net._set_average(self._average)
        self._parameters = self._average = None

    def state_dict(self) -> dict[str, Any]:
        weights, biases = weights_and_biases(self._parameters or {})
        known = name_tensors(weights, biases).keys()
        others = {name: array for name, array in (self._parameters or {}).items() if name not in known}
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "best_step": self._best_step,
            "stopped_epoch": self.stopped_epoch,
            "waited": self._waited,
            "weights": weights,
            "biases": biases,
            **({"others": others} if others else {}),
            **({} if self._average is None else {"average": self._average}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.best_epoch, self._best_step = state["best"], state["best_epoch"], state["best_step"]
        self.stopped_epoch, self._waited = state["stopped_epoch"], state["waited"]
        tensors = name_tensors(state["weights"], state["biases"]) | state.get("others", {})
        self._parameters, self._average = tensors or None, state.get("average")

    def __repr__(self) -> str:
        return (
            f"EarlyStopping({self.monitor!r}, patience={self.patience}, min_delta={self.min_delta}, "
            f"restore_best={self.restore_best}{'' if self.mode == 'auto' else f', mode={self.mode!r}'})"
        )


def check_monitor(callback: Callback, monitor: str, names: Sequence[str]) -> None:
    """A ValueError that says what to give to `fit`, where a callback watches what is not among an epoch's logs."""
    if monitor not in names:
        raise ValueError(
            f"{type(callback).__name__}'s monitor must be one of {', '.join(names)}; got {monitor!r}"
            f"{_how_to_get(monitor, names)}"
        )


def _how_to_get(monitor: str, names: Sequence[str]) -> str:
    """Say what has to be given to `fit` so that there is such a name in the logs."""
    from fastmlp.metrics import as_metric

    if monitor == "val_loss":
        return "; give fit(validation_data=...)"
    name = monitor.removeprefix("val_")
    try:
        as_metric(name)
    except ValueError:
        return "; for a number of your own, give fit(metrics=[...]) a function, or write a Callback that returns True"
    data = "validation_data=..." if name != monitor else "train_metrics=True"
    needs = (f"metrics=[{name!r}]", *(() if "val_loss" in names and name != monitor else (data,)))
    return f"; give fit({', '.join(needs)})"
