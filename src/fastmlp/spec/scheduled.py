"""Hyperparameters that are a number or a schedule: what optimizers know of schedules.

The schedules themselves are in `schedules/`, which nobody pays for at import who uses none.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, get_args

import numpy as np

from fastmlp.spec.checks import check_fields, choice, integer, mapping, record

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["LARGEST", "Rate", "Schedule", "Unit", "scheduled", "value_of"]

LARGEST = 2**53  # of a number of steps: a float64 still counts

#: What schedules count.
Unit: TypeAlias = Literal["step", "epoch"]
#: What a hyperparameter that may change can be given as.
Rate: TypeAlias = "float | Schedule | Callable[[int], float]"


@dataclass(frozen=True)
class Schedule(ABC):
    """Base of the schedules: a hyperparameter's value in every step, or in every epoch.

    A schedule is told how many steps were made before a step: 0 in the first. It is used in the place of a number, as
    ``Adam(Cosine(1e-3, steps=10_000))``, and goes on where a training is resumed. With ``by="epoch"`` all that it
    counts in steps are epochs, ``Adam(Cosine(1e-3, steps=20, by="epoch"))``, and its value stays within each. Both
    are counted from where the optimizer's state began: its first use, or that of another rule, or `reset_optimizer`.
    (`MLP.step` alone finishes no epoch.)

    Attributes
    ----------
    name : str
        What files call it.
    warmup : int, default 0
        So many steps come first in which the value rises in a line: in the first of them it is 1 / (warmup + 1) of what
        the schedule begins with. They count as steps of the schedule, where that has a number of steps.
    by : {"step", "epoch"}, default "step"
        What it counts.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.schedules.Linear(0.1, 4).values(0, 3).round(3).tolist()
    [0.1, 0.075, 0.05]
    """

    name: ClassVar[str]

    warmup: int = field(default=0, kw_only=True)
    by: Unit = field(default="step", kw_only=True)

    def __post_init__(self) -> None:
        check_fields(
            self,
            warmup=lambda value, name: integer(value, name, 0, LARGEST),
            by=lambda value, name: choice(value, name, get_args(Unit)),
        )

    def __call__(self, step: int) -> float:
        """The value in the step that comes after `step` others; in the epoch, if it counts them."""
        return float(self.values(step, 1)[0])

    def values(self, start: int, steps: int) -> NDArray[np.float64]:
        """The values in the `steps` steps that come after the first `start` ones, float64 (steps,)."""
        made = np.arange(steps) + float(start)
        values = self._after_warmup(np.maximum(made - self.warmup, 0.0))
        if start < self.warmup:
            values = values * np.minimum((made + 1.0) / (self.warmup + 1.0), 1.0)
        return values

    @abstractmethod
    def _after_warmup(self, made: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values by the steps that were made since the end of the warm-up."""

    def to_dict(self) -> dict[str, Any]:
        """Name and fields, ready for JSON; what counts steps, as all did once, does not say so."""
        data = {"name": self.name, **dataclasses.asdict(self)}
        return {key: value for key, value in data.items() if (key, value) != ("by", "step")}

    @staticmethod
    def from_dict(data: object) -> Schedule:
        """The schedule that `to_dict` described; anything else is a TypeError or ValueError."""
        from fastmlp.spec.schedules import SCHEDULES  # which are made of this

        kind = SCHEDULES[choice(mapping(data, "schedule").get("name"), "schedule name", tuple(SCHEDULES))]
        known = [
            each.name for each in dataclasses.fields(kind) if each.name != "by" or "by" in mapping(data, "schedule")
        ]
        given = dict(record(data, "schedule", ("name", *known)))
        del given["name"]
        return kind(**given)


def scheduled(check: Callable[[object, str], float]) -> Callable[[object, str], float | Schedule]:
    """The check of a hyperparameter: a number, which `check` looks at, a schedule, or a function, which becomes one."""

    def number_or_schedule(value: object, name: str) -> float | Schedule:
        if isinstance(value, Schedule):
            return value
        if callable(value) and not isinstance(value, type):
            from fastmlp.spec.schedules import Function  # which is made of this

            return Function(value)
        return check(value, name)

    return number_or_schedule


def value_of(
    hyperparameter: float | Schedule | NDArray[np.float64], start: int, steps: int
) -> float | NDArray[np.float64]:
    """One number for all steps, or the schedule's for each, unless it is them."""
    if isinstance(hyperparameter, float):  # asked first: whether it is of an abstract class takes ten times as long
        return hyperparameter
    return hyperparameter.values(start, steps) if isinstance(hyperparameter, Schedule) else hyperparameter
