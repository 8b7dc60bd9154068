"""Callbacks that write epochs, or some steps, to a file, or call functions."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastmlp.spec.checks import flag
from fastmlp.train.callbacks import Callback
from fastmlp.train.due import Timed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fastmlp.network import MLP
    from fastmlp.train.callbacks import Logs

__all__ = ["CSVLogger", "JSONLogger", "LambdaCallback"]


class _Log(Timed):
    """A file that grows by an entry with each epoch, or now and then; a resumed training cuts off what came after its
    checkpoint.
    """

    writes_files = True

    def __init__(self, path: str | os.PathLike[str], append: bool = False, every: str | float = "1 epoch") -> None:
        super().__init__(every)
        self.path, self.append = os.fsdecode(path), flag(append, "append")
        self._end = 0

    def _written(self, logs: Logs) -> str:
        """Return an entry as text."""
        raise NotImplementedError

    def on_train_begin(self, net: MLP, logs: Logs) -> None:  # noqa: ARG002
        path = Path(self.path)
        self._end = path.stat().st_size if self.append and path.exists() else 0

    def look(self, net: MLP, logs: Logs) -> None:  # noqa: ARG002
        text = self._written(logs).encode()
        path = Path(self.path)
        with path.open("r+b" if path.exists() else "wb") as file:
            self._end = min(self._end, file.seek(0, os.SEEK_END))
            file.truncate(self._end)
            file.seek(self._end)
            file.write(text)
        self._end += len(text)

    def state_dict(self) -> dict[str, Any]:
        return {"end": self._end}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._end = state["end"]


class CSVLogger(_Log):
    """Write epochs' rows of the history to a file of comma-separated values, below a row of names.

    Parameters
    ----------
    path : str or path-like
    append : bool
        Whether to go on with a file that is there, in place of a new one. A resumed training goes on by itself.
    every : str, int or float
        "1 epoch", "5 epochs", "100 steps", "30 seconds"; an int counts steps, a float seconds. By steps and seconds a
        row has the number of steps that were made, "steps", and the latest ones' mean "loss".

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described; by `fit`, if it is to go on with a file that has other columns than what is
        measured.

    Examples
    --------
    >>> import fastmlp, tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "log.csv"
    ...     net = fastmlp.MLP([2, 4, 1], seed=0)
    ...     history = net.fit([[0, 1], [1, 0]], [0, 1], epochs=2, callbacks=[fastmlp.CSVLogger(path)])
    ...     path.read_text().splitlines()[0]
    'epoch,loss,seconds,samples_per_second'
    """

    def on_train_begin(self, net: MLP, logs: Logs) -> None:
        super().on_train_begin(net, logs)
        self._check(self._header(), logs["names"] if self.in_epochs else ("steps", "loss"))

    def _written(self, logs: Logs) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        names = self._header()
        self._check(names, logs)
        if not names:
            names = list(logs)
            writer.writerow(names)
        writer.writerow(logs[name] for name in names)
        return text.getvalue()

    def _header(self) -> list[str]:
        """Return the names in the file that is gone on with; none where there is nothing to go on with."""
        path = Path(self.path)
        if not self._end or not path.exists():
            return []
        with path.open(encoding="utf-8", newline="") as file:
            return next(csv.reader(file), [])

    def _check(self, names: list[str], measured: Iterable[str]) -> None:
        """A ValueError where the file's columns are not what is measured."""
        if names and set(names) != set(measured):
            raise ValueError(
                f"CSVLogger cannot go on with {self.path}, whose columns are {', '.join(names)}: this training has "
                f"{', '.join(measured)}"
            )


class JSONLogger(_Log):
    """Write epochs' rows of the history to a file, as a line of JSON each; what is not finite is null there.

    Parameters
    ----------
    path, append, every
        As for `CSVLogger`.

    Examples
    --------
    >>> import fastmlp, tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "log.jsonl"
    ...     net = fastmlp.MLP([1, 1], seed=0)
    ...     history = net.fit([[0.0], [1.0]], [0.0, 1.0], epochs=3, callbacks=[fastmlp.JSONLogger(path)])
    ...     len(path.read_text().splitlines())
    3
    """

    def _written(self, logs: Logs) -> str:
        return json.dumps({name: value if math.isfinite(value) else None for name, value in logs.items()}) + "\n"


class LambdaCallback(Callback):
    """Call functions of one's own: each takes what the method of `Callback` with its name takes.

    Parameters
    ----------
    on_epoch_end, on_train_begin, on_train_end : callable, optional
        ``f(net, logs)``; the first may return True to stop the training.

    Examples
    --------
    >>> import fastmlp
    >>> seen = []
    >>> note = fastmlp.LambdaCallback(on_train_end=lambda net, logs: seen.append(logs["epoch"]))
    >>> history = fastmlp.MLP([2, 1], seed=0).fit([[0, 1], [1, 0]], [0, 1], epochs=2, callbacks=[note])
    >>> seen
    [2]
    """

    def __init__(
        self,
        on_epoch_end: Callable[[MLP, Logs], bool | None] | None = None,
        on_train_begin: Callable[[MLP, Logs], object] | None = None,
        on_train_end: Callable[[MLP, Logs], object] | None = None,
    ) -> None:
        self._end, self._begin, self._over = on_epoch_end, on_train_begin, on_train_end
        for name, function in (("on_epoch_end", on_epoch_end), ("on_train_begin", on_train_begin),
                               ("on_train_end", on_train_end)):  # fmt: skip
            if function is not None and not callable(function):
                raise TypeError(f"{name} must be a function (net, logs), got {function!r}")

    def on_train_begin(self, net: MLP, logs: Logs) -> None:
        if self._begin is not None:
            self._begin(net, logs)

    def on_epoch_end(self, net: MLP, logs: Logs) -> bool | None:
        return None if self._end is None else self._end(net, logs)

    def on_train_end(self, net: MLP, logs: Logs) -> None:
        if self._over is not None:
            self._over(net, logs)
