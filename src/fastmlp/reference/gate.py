"""Who may use an engine when: one call at a time, and signal handlers where it is at rest. Mirror of passes/gate.pyx.

NumPy's buffers serve one call: readers, which passes/gate.pyx lets in together, wait for each other here.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

Handler = Callable[[int, FrameType | None], Any]


class Gate:
    """Lets one thread at a time into an engine, and signal handlers where the call that they interrupt is at rest."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._calls: dict[int, str] = {}  # by thread, what it is in the middle of
        self._unfinished = False  # parameters are being written: a forked child would find them half done

    @contextmanager
    def reading(self, call: str) -> Iterator[Rest]:
        """A call that leaves parameters and state as they are."""
        with self._lock, Signals() as signals, self._marked(call):
            yield Rest(self, signals)

    @contextmanager
    def changing(self, call: str) -> Iterator[Rest]:
        """A call that does not; a RuntimeError where it would do so under another call of this thread."""
        running = self.running()
        if running is not None:
            raise RuntimeError(
                f"{call} would change the network in the middle of its {running}, which a signal's handler interrupts: "
                "there it may be read, not changed"
            )
        with self._lock, Signals() as signals, self._marked(call):
            self._unfinished = True
            try:
                yield Rest(self, signals)
            finally:
                self._unfinished = False

    @contextmanager
    def _marked(self, call: str) -> Iterator[None]:
        thread = threading.get_ident()
        outer = self._calls.get(thread)
        self._calls[thread] = outer or call
        try:
            yield
        finally:
            if outer is None:
                del self._calls[thread]

    def running(self) -> str | None:
        """What this thread is in the middle of, so that it is asked by a handler; or None."""
        return self._calls.get(threading.get_ident())

    def forked(self) -> bool:
        """Forget, in a forked child, the threads that it does not have. False if one of them was in a change."""
        thread = threading.get_ident()
        self._calls = {thread: self._calls[thread]} if thread in self._calls else {}
        if self._lock.acquire(blocking=False):
            self._lock.release()
        else:
            self._lock = threading.RLock()
        return not self._unfinished


class Rest:
    """What a call asks when it is at rest: all of it that changes anything is whole."""

    def __init__(self, gate: Gate, signals: Signals) -> None:
        self._gate, self._signals = gate, signals

    def handlers(self) -> None:
        """Run the handlers of the signals that came; what one raises is raised, and is `raised` from then on."""
        if self._signals.came:
            unfinished, self._gate._unfinished = self._gate._unfinished, False
            try:
                self._signals.open()
            finally:
                self._gate._unfinished = unfinished

    @property
    def raised(self) -> BaseException | None:
        """What a handler raised."""
        return self._signals.raised


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
