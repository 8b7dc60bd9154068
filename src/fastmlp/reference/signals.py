"""Python's signal handlers, held back until a call is at rest.

Part of the mirror of passes/gate.pyx, which needs none of this: Python runs no handler in the middle of C code.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

Handler = Callable[[int, FrameType | None], Any]


class Signals:
    """Holds back Python signal handlers, so that they run, and what they raise comes, where a call is at rest.

    Python runs handlers in the main thread, between any two byte codes: half an update would remain. Elsewhere there is
    nothing to hold back.
    """

    #: Signals that people handle. Asking about all of them would cost more than a small step.
    NUMBERS = tuple(
        getattr(signal, name)
        for name in ("SIGINT", "SIGTERM", "SIGALRM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGBREAK")
        if hasattr(signal, name)
    )

    def __init__(self) -> None:
        self.raised: BaseException | None = None
        self._held: list[tuple[int, FrameType | None]] = []
        self._handlers: dict[int, Handler] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            try:
                for number in self.NUMBERS:
                    handler = signal.getsignal(number)
                    if callable(handler):
                        self._handlers[number] = handler
                        signal.signal(number, self._hold)
            except BaseException:  # of a handler that is not held back yet
                self._release(list(self._handlers))
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._release(list(self._handlers))
        finally:
            self.open()

    @property
    def came(self) -> bool:
        """Whether a signal waits for its handler."""
        return bool(self._held)

    def open(self) -> None:
        """Run the handlers of the signals that came; `raised` is what one of them raised."""
        while self._held:
            number, frame = self._held.pop(0)
            try:
                self._handlers[number](number, frame)
            except BaseException as exception:
                self.raised = exception
                raise

    def _release(self, numbers: list[int]) -> None:
        """Give these signals their handlers back, even if one of those is called at once and raises."""
        if numbers:
            number = numbers.pop()
            try:
                if signal.getsignal(number) == self._hold:  # else a handler that ran has chosen another
                    signal.signal(number, self._handlers[number])
            finally:
                self._release(numbers)

    def _hold(self, number: int, frame: FrameType | None) -> None:
        self._held.append((number, frame))
