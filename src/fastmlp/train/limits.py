"""Ends of a training other than its number of epochs: steps, seconds, a loss that is reached or no longer falls."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from fastmlp.train.callbacks import Logs, LoopCallback

if TYPE_CHECKING:
    from fastmlp.train.course import Course

__all__ = ["SecondsLimit", "StepLimit", "Tolerance"]


class StepLimit(LoopCallback):
    """Stop when so many steps have been made since the training began."""

    reason = "max_steps"

    def __init__(self, course: Course, max_steps: int) -> None:
        self.course, self.every = course, max_steps

    def on_epoch_begin(self, net: Any, logs: Logs) -> bool:  # noqa: ARG002
        return self._reached()

    def on_steps(self, net: Any, logs: Logs) -> bool:  # noqa: ARG002
        return self._reached()

    def _reached(self) -> bool:
        assert isinstance(self.every, int)
        return self.course.steps >= self.every


class SecondsLimit(LoopCallback):
    """Stop when so much time has gone by since the call began, between two steps.

    Attributes
    ----------
    every : float
        How far beyond it a training may go where its steps are short.
    """

    reason = "max_seconds"
    every = 0.02

    def __init__(self, max_seconds: float) -> None:
        self.until = time.perf_counter() + max_seconds

    def on_epoch_begin(self, net: Any, logs: Logs) -> bool:  # noqa: ARG002
        return time.perf_counter() >= self.until

    def on_steps(self, net: Any, logs: Logs) -> bool:  # noqa: ARG002
        return time.perf_counter() >= self.until

    def on_epoch_end(self, net: Any, logs: Logs) -> bool:  # noqa: ARG002
        return time.perf_counter() >= self.until


class Tolerance(LoopCallback):
    """Stop when a loss is as low as wanted, or has not fallen by more than a tolerance for some epochs in a row.

    Parameters
    ----------
    monitor : str
        The loss, by its name in the logs.
    tol : float or None
        None: it may stand still.
    patience : int
        How many epochs.
    target : float or None
        None: it cannot be too low.
    """

    def __init__(self, monitor: str, tol: float | None, patience: int, target: float | None) -> None:
        self.monitor, self.tol, self.patience, self.target = monitor, tol, patience, target
        self.best, self.waited = math.inf, 0

    def on_epoch_end(self, net: Any, logs: Logs) -> bool:  # noqa: ARG002
        loss = logs[self.monitor]
        if self.target is not None and loss <= self.target:
            self.reason = "target_loss"
            return True
        if self.tol is None:
            return False
        if loss < self.best - self.tol:
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
        self.reason = "tol"
        return self.waited >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """Return what it has seen."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.best, self.waited = float(state["best"]), int(state["waited"])
