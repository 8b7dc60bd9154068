"""Batches that come one after the other, from whoever makes them: each is a step, and the next is read meanwhile."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from fastmlp.data import Data  # noqa: TC001 - for those who ask for the types of a stream
from fastmlp.train.source import Chunk

__all__ = ["Batches", "Stream", "as_batches"]

Batches: TypeAlias = Iterable[Any] | Callable[[], Iterable[Any]]
"""Batches, or a function that returns an epoch's."""

# Seconds after which a thread that waits for the other looks whether there is still something to wait for, and for
# which the end of a training waits for a batch that is just being made: longer, it would delay Ctrl-C.
LOOK_SECONDS: Final = 0.05


def as_batches(X: Any, epochs: int | None) -> Batches:
    """Check what `fit` was given in the place of X and y.

    Raises
    ------
    TypeError
        It has no batches, so that y is missing.
    ValueError
        It can be read once, and there are several epochs.
    """
    if hasattr(X, "shape") or hasattr(X, "__array__") or isinstance(X, str | bytes) or not _gives(X):
        raise TypeError(
            f"y is None, and X is a {type(X).__name__}; without y, X must be batches: an iterable of (X, y) or "
            "(X, y, sample_weight), or a function that returns a fresh one for each epoch"
        )
    if isinstance(X, Iterator) and epochs != 1:
        raise ValueError(
            f"X is a {type(X).__name__}, whose batches can be read once, and epochs is {epochs}; give epochs=1, or a "
            "function that returns a fresh one for each epoch"
        )
    batches: Batches = X
    return batches


def _gives(X: Any) -> bool:
    """Tell whether something may give batches: an iterable, but no list of rows, or a function."""
    if isinstance(X, list | tuple):
        first = X[0] if X and isinstance(X[0], list | tuple) else ()
        return not any(isinstance(value, int | float) for value in first)
    return isinstance(X, Iterable) or callable(X)


@dataclass(frozen=True)
class Stream:
    """Batches of an iterable, anew in every epoch; how many there are shows when they end.

    Attributes
    ----------
    batches : iterable or callable
    take : callable
        Makes checked rows, ``take(batch, name)``, of what comes; the name is for messages.
    beside : callable
        The context in which the thread runs that reads.
    """

    batches: Batches
    take: Callable[[Any, str], Data]
    beside: Callable[[], AbstractContextManager[None]]
    n_rows: None = None

    def chunks(self, epoch: int, batch_size: int) -> Iterator[Chunk]:  # noqa: ARG002 - batches are what they are
        """Give one batch after the other, while the next is being read."""
        with closing(_Reader(self, epoch + 1)) as reader:
            for data in reader:
                yield Chunk(data, np.arange(len(data), dtype=np.int64))


class _Reader:
    """A thread that reads an epoch's batches, no more than two ahead of who takes them.

    It owns the iterator, and closes it: a generator cannot be closed by others while it runs. If that takes long, the
    thread is left to end by itself.
    """

    def __init__(self, stream: Stream, epoch: int) -> None:
        self.stream, self.epoch, self.number = stream, epoch, 0
        self.ready: queue.Queue[Data | BaseException | None] = queue.Queue(1)
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, name="fastmlp batches", daemon=True)
        self.thread.start()

    def __iter__(self) -> Iterator[Data]:
        while True:
            try:
                found = self.ready.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                if self.thread.is_alive() or not self.ready.empty():
                    continue
                raise RuntimeError("the thread that reads the batches is gone, as in a forked child") from None
            if found is None:
                return
            if isinstance(found, BaseException):
                raise found
            yield found

    def close(self) -> None:
        """Let the thread end; what it has read is dropped."""
        self.stopped.set()
        self.thread.join(LOOK_SECONDS)

    def _run(self) -> None:
        try:
            with self.stream.beside():
                self._read()
            self._put(None)
        except BaseException as error:  # noqa: BLE001 - who trains raises it
            error.add_note(f"This came from X's batches, after {self.number} of epoch {self.epoch}.")
            self._put(error)

    def _read(self) -> None:
        batches = self.stream.batches
        known = len(batches) if isinstance(batches, Iterable) and isinstance(batches, Sized) else 0
        iterator = iter(batches if isinstance(batches, Iterable) else batches())
        try:
            while not self.stopped.is_set():
                try:
                    batch = next(iterator)
                except StopIteration:
                    break
                data = self.stream.take(batch, f"batch {self.number + 1} of epoch {self.epoch}")
                self.number += 1
                self._put(data)
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
        if not self.stopped.is_set() and self.number < max(1, known):
            of = f" of {known}" if known else ""
            raise ValueError(f"X ended after {self.number} batches{of} in epoch {self.epoch}")

    def _put(self, found: Data | BaseException | None) -> None:
        while not self.stopped.is_set():
            try:
                return self.ready.put(found, timeout=LOOK_SECONDS)
            except queue.Full:
                pass
        return None
