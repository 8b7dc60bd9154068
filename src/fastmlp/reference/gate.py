"""The gate of an engine: one call at a time, and signal handlers where it is at rest. Mirror of passes/gate.pyx.

NumPy's buffers serve one call: readers, which passes/gate.pyx lets in together, wait for each other here.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fastmlp.reference.signals import Signals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
        """Return the call that this thread is in the middle of, so that a handler is asking; or None."""
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
    """The questions of a call at rest: all of it that changes anything is whole."""

    def __init__(self, gate: Gate, signals: Signals) -> None:
        self._gate, self._signals = gate, signals
        self._hook_raised: BaseException | None = None

    def handlers(self) -> None:
        """Run the handlers of the signals that came; what one raises is raised, and is `raised` from then on."""
        if self._signals.came:
            unfinished, self._gate._unfinished = self._gate._unfinished, False
            try:
                self._signals.open()
            finally:
                self._gate._unfinished = unfinished

    def call(self, hook: Callable[..., None], *arguments: object) -> None:
        """Run a hook of the run; what it raises is raised, and is `raised` from then on."""
        unfinished, self._gate._unfinished = self._gate._unfinished, False
        try:
            hook(*arguments)
        except BaseException as exception:
            self._hook_raised = exception
            raise
        finally:
            self._gate._unfinished = unfinished

    @property
    def raised(self) -> BaseException | None:
        """What a handler or a hook raised."""
        return self._hook_raised or self._signals.raised
