"""What is due when so many epochs, steps or seconds have gone by."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from fastmlp.spec.checks import integer, positive
from fastmlp.train.callbacks import Callback, LoopCallback

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastmlp.network import MLP
    from fastmlp.train.callbacks import Logs
    from fastmlp.train.course import Course

__all__ = ["Due", "Timed", "as_every", "refuse_steps"]

_UNITS = {"epoch": 1, "step": 1, "second": 1.0, "minute": 60.0, "hour": 3600.0}


def as_every(every: object) -> tuple[str, int | float]:
    """Check the argument ``every``: "5 epochs", "100 steps", "30 seconds", 100 (steps), 30.0 (seconds).

    Examples
    --------
    >>> as_every("2 minutes"), as_every(100), as_every("1 epoch")
    (('seconds', 120.0), ('steps', 100), ('epochs', 1))
    """
    if isinstance(every, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)?\s*(epoch|step|second|minute|hour)s?\s*", every)
        if found is None:
            raise ValueError(f"every must be such as '1 epoch', '100 steps' or '30 seconds', got {every!r:.40}")
        number, unit = found[1] or "1", found[2]
        if unit in ("epoch", "step"):
            if "." in number:
                raise ValueError(f"every must be a whole number of {unit}s, got {every!r:.40}")
            return f"{unit}s", integer(int(number), "every", 1)
        return "seconds", positive(float(number) * _UNITS[unit], "every")
    if isinstance(every, float):
        return "seconds", positive(every, "every")
    return "steps", integer(every, "every", 1)


class Due(LoopCallback):
    """Calls a function when so many epochs, steps or seconds have gone by, and all callbacks have heard of them.

    What it returns in the middle of an epoch may be True, which ends the training there.
    """

    def __init__(
        self, every: tuple[str, int | float], course: Course, call: Callable[[Any, Logs], bool | None]
    ) -> None:
        self.unit, self.count = every
        self.course, self.call, self.latest = course, call, time.perf_counter()
        self.every = None if self.unit == "epochs" else self.count

    def on_steps(self, net: Any, logs: Logs) -> bool | None:
        if self.unit == "seconds":
            if time.perf_counter() - self.latest < self.count:
                return None
        elif self.course.steps % self.count:
            return None
        stop = self.call(net, {"steps": self.course.steps, "loss": logs["loss"]})
        self.latest = time.perf_counter()
        return stop

    def after_epoch(self, net: Any, logs: Logs) -> None:
        if self.unit == "epochs" and self.course.epochs % self.count == 0:
            self.call(net, logs)


class Timed(Callback):
    """Base of a user's callbacks that look at the network every so many epochs, steps or seconds.

    Epochs are those of the network, so that each 5th is 5, 10, 15 in a second call of `fit`, too, and in one that is
    resumed. Steps are counted since the training began.
    """

    def __init__(self, every: str | float) -> None:
        self.every = as_every(every)

    @property
    def in_epochs(self) -> bool:
        """Whether it waits for ends of epochs."""
        return self.every[0] == "epochs"

    def look(self, net: MLP, logs: Logs) -> bool | None:
        """Look at the network: `logs` has "steps" and the latest steps' "loss", or is an epoch's row of the history.

        True ends the training where it counts steps or seconds.
        """
        raise NotImplementedError

    def on_epoch_end(self, net: MLP, logs: Logs) -> None:
        if self.in_epochs and logs["epoch"] % self.every[1] == 0:
            self.look(net, logs)


def refuse_steps(callbacks: Sequence[Callback], why: str) -> None:
    """A ValueError where a callback would wait for steps or seconds within epochs, of which nobody would tell it."""
    for callback in callbacks:
        if isinstance(callback, Timed) and not callback.in_epochs:
            unit, count = callback.every
            raise ValueError(f"{type(callback).__name__}'s every is {count} {unit}, {why}: give it in epochs")
