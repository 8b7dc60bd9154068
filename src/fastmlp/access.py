"""Access to a network: who may use it when, of Python threads, callbacks, handlers of signals, forked children.

An engine keeps its own arithmetic whole (passes/gate.pyx, reference/gate.py). What is kept here is the network around
it: its counters, its optimizer and its history belong to one training at a time.
"""

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident

from fastmlp.runtime import Engine

__all__ = ["Access"]

#: Calls that lend the network to their callbacks, by the names that they and the engines have for them.
TRAININGS = ("fit", "step", "apply_gradients", "training")


class Access:
    """The lock of a network, and what it is locked for.

    - Threads wait for each other: for a whole training, and for each call that reads. Predictions run side by side;
      they do not come here unless parameters are just being changed.
    - A handler of a signal runs in the middle of the call that it interrupts, where that is at rest. It reads what is
      there, and waits for nobody, since the interrupted call keeps everybody else from changing anything. What would
      change the network under that call is refused.
    - A callback is called by the training itself, at the end of an epoch: it may also set weights, but not train.
    - A forked child has the network as it was after the last whole step. Where another thread of its parent was in the
      middle of one, nothing whole is left, and every use says so.
    """

    def __init__(self, engine: Engine | None = None) -> None:
        self.engine = engine
        self._lock = threading.RLock()
        self._calls: dict[int, str] = {}  # by thread, what it is in the middle of; predictions are known to the engine
        self._lent = False  # by the training to its callbacks
        self._torn = False
        self._beside: set[int] = set()  # threads that work for a training, which it waits for
        _all.add(self)

    @contextmanager
    def reading(self, call: str) -> Iterator[None]:
        """Hold the network for a call that changes nothing."""
        if self._torn:
            self.check_whole()
        if self._beside:
            self._refuse_beside(call)
        if self.running() is not None and not self._lent:
            yield  # nobody else can change anything meanwhile
            return
        thread = get_ident()
        outer = self._calls.get(thread)  # a training, which has called a callback
        with self._lock:
            self._calls[thread] = call
            try:
                yield
            finally:
                if outer is None:
                    del self._calls[thread]
                else:
                    self._calls[thread] = outer

    @contextmanager
    def setting(self, call: str) -> Iterator[None]:
        """Hold the network for a call that sets something at once, such as weights; a callback may do so."""
        self._refuse(call, lent=True)
        with self.reading(call):  # with the lock: of those who come here, nobody reads meanwhile
            yield

    @contextmanager
    def training(self, call: str) -> Iterator[None]:
        """Hold the network for a call that trains."""
        thread = get_ident()
        self._refuse(call, lent=False)
        with self._lock:
            self._calls[thread] = call
            try:
                yield
            finally:
                del self._calls[thread]

    def _refuse(self, call: str, lent: bool) -> None:
        """Raise a RuntimeError where the call would change what this thread is in the middle of."""
        self.check_whole()
        self._refuse_beside(call)
        outer = self.running()
        if outer is None or (lent and self._lent and outer in TRAININGS):
            return
        if self._lent and outer in TRAININGS:
            raise RuntimeError(
                "this network is being trained: a callback may use it, but not call fit or step, nor apply_gradients"
            )
        raise RuntimeError(_refusal(call, outer))

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Run what a training waits for in a thread of its own: there, to wait for the training would be for ever."""
        thread = get_ident()
        self._beside.add(thread)
        try:
            yield
        finally:
            self._beside.discard(thread)

    def _refuse_beside(self, call: str) -> None:
        if get_ident() in self._beside:
            raise RuntimeError(
                f"{call} was called by what makes batches for fit, in a thread that fit waits for: there this network "
                "cannot be used; make a copy of it before"
            )

    def running(self) -> str | None:
        """Return the call that this thread is in the middle of, where a handler or a callback asks; or None."""
        return self._calls.get(get_ident()) or (None if self.engine is None else self.engine.running())

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Lend the network to callbacks, which are called in this context: the training waits."""
        self._lent = True
        try:
            yield
        finally:
            self._lent = False

    def check_whole(self) -> None:
        """Raise a RuntimeError in a forked child that has no whole copy of this network."""
        if self._torn:
            raise RuntimeError(
                "this process was forked while another thread of its parent was in the middle of changing this "
                "network: it has a half-changed copy. Use one that was copied, pickled or saved before, or fork when "
                "nothing is being trained"
            )

    def forked(self) -> None:
        """Begin anew in a forked child, which has the thread that forked and no other."""
        if self._lock.acquire(blocking=False):
            self._lock.release()
        else:
            self._lock = threading.RLock()  # the old one's owner is not there to release it
        self._beside = set()
        thread = get_ident()
        self._calls = {thread: self._calls[thread]} if thread in self._calls else {}
        self._lent = self._lent and thread in self._calls
        if self.engine is not None and not self.engine.forked():
            self._torn = True


def _refusal(call: str, outer: str) -> str:
    return (
        f"{call} would change this network in the middle of its {outer}, which a signal's handler interrupts. There it "
        "may be read (predict, evaluate, trace, save, weights), but not changed: let the handler set a flag, and do it "
        "when the call has returned"
    )


_all: "weakref.WeakSet[Access]" = weakref.WeakSet()


def _forked() -> None:
    for access in list(_all):
        access.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
