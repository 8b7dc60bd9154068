"""What a training tells while it runs, and how Ctrl-C ends it: at the end of an epoch, with all that it has learnt."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Self

from fastmlp.train.callbacks import Callback, Logs

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from fastmlp.network import MLP

__all__ = ["Watch"]


class Watch(Callback):
    """A callback of all networks of a training: it draws one bar for them, and stops them when Ctrl-C was pressed.

    While it is entered as a context the first Ctrl-C asks for the end, and a second one is Python's own.

    Attributes
    ----------
    interrupted : bool
        Whether Ctrl-C was pressed.
    """

    def __init__(self, draw: bool) -> None:
        self.interrupted = False
        self._lock = threading.Lock()
        self._old: Any = None
        self._bar = _bar() if draw else None

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # one for all networks

    def on_train_begin(self, net: MLP, logs: Logs) -> None:  # noqa: ARG002
        if self._bar is not None:
            with self._lock:
                self._bar.total = (self._bar.total or 0) + logs["epochs"]

    def on_epoch_end(self, net: MLP, logs: Logs) -> bool:  # noqa: ARG002
        if self._bar is not None:
            hidden = ("epoch", "seconds", "samples_per_second")
            with self._lock:
                self._bar.set_postfix({name: f"{each:.4g}" for name, each in logs.items() if name not in hidden},
                                      refresh=False)  # fmt: skip
                self._bar.update()
        return self.interrupted

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._old = signal.signal(signal.SIGINT, self._asked)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        if self._bar is not None:
            self._bar.close()

    def _asked(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.interrupted = True
        self._restore()

    def _restore(self) -> None:
        if self._old is not None:
            signal.signal(signal.SIGINT, self._old)
            self._old = None


def _bar() -> Any:
    """Return a bar on standard error if somebody looks there, and tqdm is installed."""
    if sys.stderr is None or not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=0, unit=" epochs", leave=False)
