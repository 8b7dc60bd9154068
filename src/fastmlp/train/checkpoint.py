"""Checkpoints of a training in files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fastmlp.spec.checks import flag, integer
from fastmlp.train.callbacks import LoopCallback, Watching
from fastmlp.train.due import as_every

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fastmlp.network import MLP
    from fastmlp.train.callbacks import Callback, Logs

__all__ = ["Checkpoint", "Keeper", "refuse_checkpoints"]


class Checkpoint(Watching):
    """Save a training while it goes on, so that ``fit(resume=path)`` goes on with it to the same bits.

    A file has all that the training stands on: the network, the optimizer's state and averages, how far the epoch has
    come, the history and the states of all callbacks, with the best weights that they keep. It is written aside and
    renamed, after all callbacks have heard of the epoch or the steps: whatever happens to the process, the last
    complete file is there. One more is written where ``max_steps``, ``max_seconds`` or Ctrl-C stop the training.

    Parameters
    ----------
    path : str or path-like
        Of the file; ``{epoch}`` and ``{step}`` in it are the numbers of epochs and of steps that were made.
    every : str, int or float
        "1 epoch", "5 epochs", "100 steps", "30 seconds" ("minutes", "hours"); an int counts steps, a float seconds.
    best : bool
        Whether only epochs are saved that are better than all before, by `monitor`.
    last : int, optional
        Keep so many files, where the path has numbers in it, and delete those that this training saved before.
    monitor, min_delta, mode
        As for `EarlyStopping`; used by `best`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described; by `fit`, if there is nothing that it could go on with: L-BFGS, estimators.
    OSError
        By `fit`, if a file cannot be written; the training ends, the network and the file before are whole.

    Examples
    --------
    >>> import fastmlp, tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = pathlib.Path(folder) / "run.safetensors"
    ...     given = {"epochs": 4, "callbacks": [fastmlp.Checkpoint(run)], "resume": run}
    ...     net = fastmlp.MLP([2, 4, 1], seed=0)
    ...     history = net.fit([[0, 1], [1, 0]], [0, 1], max_steps=3, **given)  # there is no file yet
    ...     other = fastmlp.MLP([2, 4, 1], seed=0)
    ...     len(history.epoch), len(other.fit([[0, 1], [1, 0]], [0, 1], **given).epoch)
    (3, 4)
    """

    writes_files = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        every: str | float = "1 epoch",
        *,
        best: bool = False,
        last: int | None = None,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        mode: Literal["auto", "max", "min"] = "auto",
    ) -> None:
        super().__init__(monitor, min_delta, mode)
        self.path = os.fsdecode(path)
        self.every, self.only_best = as_every(every), flag(best, "best")
        self.last = None if last is None else integer(last, "last", 1)
        self.files: list[str] = []
        self._saved = (0, 0)  # epochs and steps
        if self.only_best and self.every[0] != "epochs":
            raise ValueError(f"best is known at the ends of epochs: every must be in epochs, got {every!r}")
        if self.last is not None and self._file(0, 0) == self._file(1, 1):
            raise ValueError(f"last={last} needs {{epoch}} or {{step}} in path, got {self.path!r}")

    def _file(self, epoch: int, step: int) -> str:
        return self.path.replace("{epoch}", str(epoch)).replace("{step}", str(step))

    def on_train_begin(self, net: MLP, logs: Logs) -> None:
        self.best, self.files, self._saved = None, [], (0, 0)
        if self.only_best:
            super().on_train_begin(net, logs)

    def save(self, net: MLP, logs: Logs, record: Callable[[], Mapping[str, Any]], paused: bool = False) -> None:
        """Write a file, unless only the best epochs are to be and this is none, or it has been written."""
        if self.only_best and (paused or not self._improves(logs[self.monitor])):
            return
        place = net.n_epochs, net.n_steps
        if paused and place == self._saved:
            return
        path, self._saved = self._file(*place), place
        self.files = [file for file in self.files if file != path] + [path]
        old = [] if self.last is None else self.files[: -self.last]
        self.files = self.files[len(old) :]
        if not net._save_training(path, record()):
            return  # another rank does, and deletes
        for file in old:
            Path(file).unlink(missing_ok=True)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "files": self.files}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.files = state["best"], [str(file) for file in state["files"]]


def refuse_checkpoints(callbacks: Sequence[Callback], why: str) -> None:
    """A ValueError where a callback would save a training that nobody can go on with."""
    if any(isinstance(callback, Checkpoint) for callback in callbacks):
        raise ValueError(f"Checkpoint saves where a training stands between steps, {why}")


class Keeper(LoopCallback):
    """Keeps what a stopped training can be gone on with, in memory and in the files of checkpoints."""

    def __init__(
        self,
        checkpoints: Sequence[Checkpoint],
        record: Callable[[], Mapping[str, Any]],
        keep: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self.checkpoints, self.record, self.keep = checkpoints, record, keep

    def on_pause(self, net: Any, logs: Logs) -> None:
        self.keep(self.record())
        for checkpoint in self.checkpoints:
            checkpoint.save(net, logs, self.record, paused=True)
