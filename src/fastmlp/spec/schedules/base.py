"""The base of the schedules, and what several of them are made of."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastmlp.spec.checks import choice, fraction, integer, mapping, positive, record, shown
from fastmlp.spec.tables import cos_of_half_turns, powers

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LARGEST = 2**53  # of a number of steps: a float64 still counts


@dataclass(frozen=True)
class Schedule:
    """Base of the schedules: a hyperparameter's value in every step.

    A schedule is told how many steps were made before a step: 0 in the first. It is used in the place of a number, as
    ``Adam(Cosine(1e-3, steps=10_000))``, and goes on where a training is resumed.

    Attributes
    ----------
    name : str
        What files call it.
    warmup : int, default 0
        So many steps come first in which the value rises in a line: in the first of them it is 1 / (warmup + 1) of what
        the schedule begins with. They count as steps of the schedule, where that has a number of steps.
    """

    name: ClassVar[str]

    warmup: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        self._check(warmup=lambda value, name: integer(value, name, 0, LARGEST))

    def __call__(self, step: int) -> float:
        """The value in the step that comes after `step` others."""
        return float(self.values(step, 1)[0])

    def values(self, start: int, steps: int) -> NDArray[np.float64]:
        """The values in the `steps` steps that come after the first `start` ones, float64 (steps,)."""
        made = np.arange(float(start), start + steps)
        values = self._after_warmup(np.maximum(made - self.warmup, 0.0))
        if start < self.warmup:
            values = values * np.minimum((made + 1.0) / (self.warmup + 1.0), 1.0)
        return values

    def _after_warmup(self, made: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values by the steps that were made since the end of the warm-up."""
        raise NotImplementedError

    def _check(self, **checks: Callable[[object, str], Any]) -> None:
        """Replace fields by what their checks return."""
        for name, check in checks.items():
            object.__setattr__(self, name, check(getattr(self, name), name))

    def to_dict(self) -> dict[str, Any]:
        """Name and fields, ready for JSON."""
        return {"name": self.name, **dataclasses.asdict(self)}

    @staticmethod
    def from_dict(data: object) -> Schedule:
        """The schedule that `to_dict` described; anything else is a TypeError or ValueError."""
        from fastmlp.spec.schedules import SCHEDULES  # which are made of this

        kind = SCHEDULES[choice(mapping(data, "schedule").get("name"), "schedule name", tuple(SCHEDULES))]
        given = dict(record(data, "schedule", ("name", *(each.name for each in dataclasses.fields(kind)))))
        del given["name"]
        return kind(**given)


class Bounded(Schedule):
    """Base of the schedules that come to an end, after `steps` steps with those of the warm-up."""

    steps: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(steps=step_count)
        if self.warmup >= self.steps:
            raise ValueError(f"warmup must be less than steps={self.steps}, got {self.warmup}")

    def _progress(self, made: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of the steps after the warm-up that were made, 1 at the end and beyond."""
        share: NDArray[np.float64] = np.minimum(made / (self.steps - self.warmup), 1.0)
        return share


def scheduled(check: Callable[[object, str], float]) -> Callable[[object, str], float | Schedule]:
    """The check of a hyperparameter that is a number, which `check` looks at, or a schedule."""

    def number_or_schedule(value: object, name: str) -> float | Schedule:
        return value if isinstance(value, Schedule) else check(value, name)

    return number_or_schedule


def value_of(hyperparameter: float | Schedule, start: int, steps: int) -> float | NDArray[np.float64]:
    """One number for all steps, or the schedule's for each."""
    return hyperparameter.values(start, steps) if isinstance(hyperparameter, Schedule) else hyperparameter


def between(begin: float, end: float, rest: NDArray[np.float64]) -> NDArray[np.float64]:
    """From `begin`, where the rest is 1, to `end`, where it is 0."""
    return end + (begin - end) * rest


def half_cosine(progress: NDArray[np.float64]) -> NDArray[np.float64]:
    """(1 + cos(pi progress)) / 2."""
    half: NDArray[np.float64] = 0.5 + 0.5 * cos_of_half_turns(progress)
    return half


def step_count(value: object, name: str) -> int:
    """Return a number of steps, at least one."""
    return integer(value, name, 1, LARGEST)


def multiple_of_half(value: object, name: str) -> float:
    """Return a positive multiple of 1/2: a power that is the same bits everywhere."""
    number = positive(value, name)
    if number * 2.0 != int(number * 2.0) or number > 64.0:
        raise ValueError(f"{name} must be a multiple of 0.5, at most 64, got {number!r}")
    return number


def inner_fraction(value: object, name: str) -> float:
    """Return a number > 0 and < 1."""
    number = fraction(value, name)
    if number == 0.0:
        raise ValueError(f"{name} must be > 0 and < 1, got {number!r}")
    return number


def rising(value: object, name: str) -> tuple[int, ...]:
    """Return integers >= 0, each above the one before it."""
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__iter__"):
        raise TypeError(f"{name} must be a sequence of integers, got {shown(value)} of type {type(value).__name__}")
    steps = tuple(integer(step, f"{name}[{i}]", 0, LARGEST) for i, step in enumerate(value))
    if any(later <= earlier for earlier, later in itertools.pairwise(steps)):
        raise ValueError(f"{name} must rise, got {shown(steps)}")
    return steps


def whole_powers(base: float, exponents: NDArray[np.float64]) -> NDArray[np.float64]:
    """base^e for whole, never falling numbers e >= 0, each by products in an order that e alone decides."""
    whole = exponents.astype(np.int64)
    values = np.ones(len(whole))
    if not whole.size or not whole[-1]:
        return values
    first = max(int(whole[0]), 1)
    chain = powers(base, first - 1, int(whole[-1]) - first + 1)
    some = whole > 0
    values[some] = chain[whole[some] - first]
    return values
