"""The lines of a training on standard output, as Keras prints them."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from fastmlp.train.callbacks import Logs, LoopCallback

if TYPE_CHECKING:
    from fastmlp.train.epoch import Epoch

__all__ = ["Lines"]

BAR = 30  # characters


class Lines(LoopCallback):
    """Two lines for each epoch; of the second, level 1 shows in a terminal how it comes about, ten times a second."""

    often: int | float = 0.1

    def __init__(self, epoch: Epoch, last: int | None, level: int) -> None:
        self.epoch, self.last = epoch, last
        self.moves = level == 1 and sys.stdout.isatty()
        self.every = self.often if self.moves else None
        self.width = 0  # of the line that moves
        self.loss = self.begun = 0.0
        self.first = 0

    def on_epoch_begin(self, net: Any, logs: Logs) -> None:  # noqa: ARG002
        print(f"Epoch {logs['epoch']}" + ("" if self.last is None else f"/{self.last}"), flush=True)
        self.begun, self.loss, self.first = time.perf_counter(), 0.0, self.epoch.done

    def on_steps(self, net: Any, logs: Logs) -> None:  # noqa: ARG002
        self.loss += logs["loss"] * logs["steps"]
        made = self.epoch.done - self.first
        if not self.epoch.counted:
            return self._show(f"{self._steps()} - loss: {self.loss / made:.4f}")
        left = (self.epoch.steps - self.epoch.done) * (time.perf_counter() - self.begun) / made
        return self._show(f"{self._steps()} - ETA: {left:.0f}s - loss: {self.loss / made:.4f}")

    def on_epoch_end(self, net: Any, logs: Logs) -> None:  # noqa: ARG002
        seconds, hidden = logs["seconds"], ("epoch", "seconds", "samples_per_second")
        measured = "".join(f" - {name}: {value:.4f}" for name, value in logs.items() if name not in hidden)
        self._show(f"{self._steps()} - {seconds:.3g}s - {_time(seconds / self.epoch.steps)}/step{measured}")
        self._end()

    def close(self) -> None:
        if self.width:  # an epoch that was broken off
            self._end()

    def _steps(self) -> str:
        done, steps = self.epoch.done, self.epoch.steps
        if not self.epoch.counted:
            return f"{done}"
        full = BAR * done // steps
        bar = f" [{'=' * full}{'.' * (BAR - full)}]" if self.moves else ""
        return f"{done}/{steps}{bar}"

    def _show(self, line: str) -> None:
        start = "\r" if self.moves else ""
        print(f"{start}{line:{self.width}}", end="", flush=True)
        self.width = len(line)

    def _end(self) -> None:
        print(flush=True)
        self.width = 0


def _time(seconds: float) -> str:
    """Return a short time in words: 2ms, 35us."""
    return f"{1e3 * seconds:.0f}ms" if seconds >= 1e-3 else f"{1e6 * seconds:.0f}us"
