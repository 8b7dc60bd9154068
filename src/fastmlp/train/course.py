"""The course of a training: what it has done since it began, also where it was stopped and gone on with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastmlp.train.epoch import Part
    from fastmlp.train.learner import Learner

__all__ = ["LIMITS", "Course"]

#: Reasons to stop a training that may be gone on with.
LIMITS = ("max_steps", "max_seconds")


@dataclass
class Course:
    """How far a training has come.

    Attributes
    ----------
    learner : Learner
        Which is trained.
    first : int
        Epochs that it had finished when the training began.
    before : int
        Steps that the training made before it was gone on with.
    part : Part or None
        The epoch that is to be gone on with.
    over : str
        Why a callback has ended it for good, where one has.
    adopt : callable or None
        Lets the learner, and the callbacks, stand where the training stopped; called when they know that it begins.
    """

    learner: Learner
    first: int
    before: int = 0
    part: Part | None = None
    over: str = ""
    adopt: Callable[[], None] | None = None
    _start: int = field(init=False)

    def __post_init__(self) -> None:
        self._start = self.learner.steps_trained

    @property
    def steps(self) -> int:
        """Steps since the training began."""
        return self.before + self.learner.steps_trained - self._start

    @property
    def epochs(self) -> int:
        """Epochs finished since the training began."""
        return self.learner.epoch - self.first

    def take_part(self) -> Part | None:
        """Return the epoch that is to be gone on with, once."""
        part, self.part = self.part, None
        return part
