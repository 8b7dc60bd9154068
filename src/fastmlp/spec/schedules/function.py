"""A user's own schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NoReturn

import numpy as np

from fastmlp.spec.checks import check_fields, not_negative, shown
from fastmlp.spec.hints import explained_class
from fastmlp.spec.scheduled import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


@explained_class
@dataclass(frozen=True)
class Function(Schedule):
    """A function of the number of steps, which is called for each of them: ``Adam(lambda step: 1e-3 / (1 + step))``.

    It is slow beside the other schedules, a call of Python's for every step. A network that has one in its optimizer
    can be pickled if the function can, and not saved in a file: nothing in files is executed.

    Parameters
    ----------
    function : callable
        ``function(step) -> float``: step is the number of steps that were made before, after those of the warm-up; what
        it returns is finite and >= 0. It is called again for the same step where a training is resumed, and has to
        answer the same, whatever happened before.
    warmup : int, default 0
    by : {"step", "epoch"}, default "step"

    Examples
    --------
    >>> Function(lambda step: 0.5**step).values(0, 4)
    array([1.   , 0.5  , 0.25 , 0.125])
    """

    name: ClassVar[str] = "function"

    function: Callable[[int], float]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, function=_callable)

    def _after_warmup(self, made: NDArray[np.float64]) -> NDArray[np.float64]:
        steps = map(int, made.tolist())
        return np.array([not_negative(self.function(step), f"schedule at {self.by} {step}") for step in steps])

    def to_dict(self) -> NoReturn:
        """A TypeError: there is no JSON of a function."""
        raise TypeError(
            f"a schedule that is a function, {shown(self.function)}, cannot be saved in a file, from which nothing is "
            "executed: set net.optimizer to one with a number or another schedule before"
        )


def _callable(value: object, name: str) -> object:
    """Return what can be called."""
    if not callable(value):
        raise TypeError(f"{name} must be a function of a step, got {shown(value)} of type {type(value).__name__}")
    return value
