"""What several schedules are made of."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fastmlp.spec.checks import check_fields, integer, positive, shown
from fastmlp.spec.scheduled import LARGEST, Schedule
from fastmlp.spec.tables import cos_of_half_turns, powers

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Bounded(Schedule):
    """Base of the schedules that come to an end, after `steps` steps with those of the warm-up."""

    steps: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, steps=step_count)
        if self.warmup >= self.steps:
            raise ValueError(f"warmup must be less than steps={self.steps}, got {self.warmup}")

    def _progress(self, made: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of the steps after the warm-up that were made, 1 at the end and beyond."""
        share: NDArray[np.float64] = np.minimum(made / (self.steps - self.warmup), 1.0)
        return share


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
