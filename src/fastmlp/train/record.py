"""The record of a training that may be gone on with: where it stands beside the network and its optimizer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.spec.checks import integer, real
from fastmlp.train.epoch import Part
from fastmlp.train.history import History

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastmlp.train.callbacks import Callback
    from fastmlp.train.course import Course
    from fastmlp.train.epoch import Epoch

__all__ = ["Recorder", "checked"]


@dataclass
class Recorder:
    """What a record is made of, and put back into.

    Attributes
    ----------
    epoch, course, history
        Of the training.
    start : int
        Epochs of the history before the training began.
    optimizer : str
        As it was given to the call, as text.
    shuffle : bool
    callbacks : sequence of Callback or LoopCallback
        Whose states belong to it.
    """

    epoch: Epoch
    course: Course
    history: History
    start: int
    optimizer: str
    shuffle: bool
    callbacks: Sequence[Callback]

    def record(self) -> dict[str, Any]:
        """Return where the training stands: a tree of numbers, texts and arrays."""
        epoch = self.epoch
        part = epoch.part()
        return {
            "given": self._given(),
            "optimizer": self.optimizer,
            "finished": epoch.number - 1 if epoch.is_open else epoch.learner.epoch,
            "n_steps": epoch.learner.step,
            "first": self.course.first,
            "steps": self.course.steps,
            "over": self.course.over,
            "start": self.start,
            "history": self.history.columns(without=epoch.number if epoch.is_open else None),
            "part": None if part is None else vars(part),
            "callbacks": [[callback.name, dict(callback.state_dict())] for callback in self.callbacks],
        }

    def _given(self) -> dict[str, int]:
        """Return the arguments that have to be the same when it goes on."""
        epoch = self.epoch
        if not epoch.counted:
            return {"rows": 0, "batch_size": 0, "shuffle": self.shuffle}  # in batches, of which nobody knows how many
        return {"rows": epoch.n_rows, "batch_size": epoch.batch_size, "shuffle": self.shuffle}

    def check(self, record: Mapping[str, Any]) -> None:
        """Raise a ValueError where the call that is to go on is another one; nothing has changed."""
        for name, now in self._given().items():
            if (before := record["given"][name]) != now:
                raise ValueError(f"resume goes on with a training of {name}={before}; this call has {name}={now}")

    def load_states(self, record: Mapping[str, Any]) -> None:
        """Give the callbacks, who have heard that training begins, their states back: the first of a name the first.

        One that was not there begins anew.
        """
        states: dict[str, list[dict[str, Any]]] = {}
        for name, state in record["callbacks"]:
            states.setdefault(name, []).append(state)
        for callback in self.callbacks:
            saved = states.get(callback.name)
            if saved and (state := saved.pop(0)):
                callback.load_state_dict(state)


def checked(record: Mapping[str, Any]) -> dict[str, Any]:
    """Check a record out of a file, which may be damaged; return it with a `Part` and a `History` in their places."""
    try:
        given, part, history = dict(record["given"]), record["part"], History.of_columns(record["history"])
        n_epochs = len(history.epoch)
        found = {
            "given": {name: integer(int(given[name]), name, 0) for name in ("rows", "batch_size", "shuffle")},
            "optimizer": str(record["optimizer"]),
            "finished": integer(record["finished"], "finished", 0),
            "first": integer(record["first"], "first", 0, record["finished"]),
            "n_steps": integer(record["n_steps"], "n_steps", 0),
            "steps": integer(record["steps"], "steps", 0),
            "over": str(record["over"]),
            "start": integer(record["start"], "start", 0, n_epochs),
            "history": history,
            "callbacks": [(str(name), dict(state)) for name, state in record["callbacks"]],
        }
        found["part"] = None if part is None else _part(part, given)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"the record of its training is damaged: {error!r}") from error
    return found


def _part(part: Mapping[str, Any], given: Mapping[str, Any]) -> Part:
    losses, weights = (np.asarray(part[name], np.float64) for name in ("losses", "weights"))
    rows, batch_size = given["rows"], given["batch_size"]
    steps = -(-rows // batch_size) if batch_size else math.inf  # in batches, there may be any number
    if losses.ndim != 1 or losses.shape != weights.shape or not 0 < len(losses) <= steps:
        raise ValueError(f"its training has {losses.shape} losses of an epoch of {steps} steps")
    return Part(losses, weights, bool(part["weighted"]), real(part["seconds"], "seconds"))
