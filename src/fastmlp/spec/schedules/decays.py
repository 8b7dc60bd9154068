"""Schedules that fall in a line, by powers or in steps."""

from __future__ import annotations

import decimal
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fastmlp.spec.checks import check_fields, flag, not_negative, positive
from fastmlp.spec.hints import explained_class
from fastmlp.spec.scheduled import Schedule
from fastmlp.spec.schedules.base import Bounded, between, multiple_of_half, rising, step_count, whole_powers
from fastmlp.spec.tables import power_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


@explained_class
@dataclass(frozen=True)
class Constant(Schedule):
    """One value for ever, for its warm-up's sake.

    Parameters
    ----------
    value : float
        > 0.
    warmup : int, default 0

    Examples
    --------
    >>> Constant(0.5, warmup=4).values(0, 6)
    array([0.1, 0.2, 0.3, 0.4, 0.5, 0.5])
    """

    name: ClassVar[str] = "constant"

    value: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, value=positive)

    def _after_warmup(self, made: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.full_like(made, self.value)


@explained_class
@dataclass(frozen=True)
class Linear(Bounded):
    """From `value` to `end` in a line, then `end`.

    Parameters
    ----------
    value : float
        > 0.
    steps : int
        > 0, with those of the warm-up.
    end : float, default 0.0
        >= 0.
    warmup : int, default 0

    Examples
    --------
    >>> Linear(1.0, steps=4).values(0, 6)
    array([1.  , 0.75, 0.5 , 0.25, 0.  , 0.  ])
    """

    name: ClassVar[str] = "linear"

    value: float
    steps: int
    end: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, value=positive, end=not_negative)

    def _after_warmup(self, made: NDArray[np.float64]) -> NDArray[np.float64]:
        return between(self.value, self.end, 1.0 - self._progress(made))


@explained_class
@dataclass(frozen=True)
class Polynomial(Bounded):
    """From `value` to `end` as (1 - share of the steps)^power, then `end`.

    Parameters
    ----------
    value : float
        > 0.
    steps : int
        > 0, with those of the warm-up.
    end : float, default 0.0
        >= 0.
    power : float, default 1.0
        A positive multiple of 1/2: those are the same bits everywhere.
    warmup : int, default 0

    Examples
    --------
    >>> Polynomial(1.0, steps=4, power=2.0).values(0, 6)
    array([1.    , 0.5625, 0.25  , 0.0625, 0.    , 0.    ])
    """

    name: ClassVar[str] = "polynomial"

    value: float
    steps: int
    end: float = 0.0
    power: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, value=positive, end=not_negative, power=multiple_of_half)

    def _after_warmup(self, made: NDArray[np.float64]) -> NDArray[np.float64]:
        return between(self.value, self.end, power_of(1.0 - self._progress(made), self.power))


@explained_class
@dataclass(frozen=True)
class Step(Schedule):
    """Times `factor` after every so many steps (PyTorch's StepLR, by steps).

    Parameters
    ----------
    value : float
        > 0.
    every : int
        > 0.
    factor : float, default 0.1
        > 0.
    warmup : int, default 0

    Examples
    --------
    >>> Step(1.0, every=2, factor=0.5).values(0, 6)
    array([1.  , 1.  , 0.5 , 0.5 , 0.25, 0.25])
    """

    name: ClassVar[str] = "step"

    value: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, value=positive, factor=positive, every=step_count)

    def _after_warmup(self, made: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.value * whole_powers(self.factor, np.floor(made / self.every))


@explained_class
@dataclass(frozen=True)
class MultiStep(Schedule):
    """Times `factor` at each of the given numbers of steps (PyTorch's MultiStepLR, by steps).

    Parameters
    ----------
    value : float
        > 0.
    at : sequence of int
        Rising numbers of steps.
    factor : float, default 0.1
        > 0.
    warmup : int, default 0

    Examples
    --------
    >>> MultiStep(1.0, at=[1, 4], factor=0.5).values(0, 6)
    array([1.  , 0.5 , 0.5 , 0.5 , 0.25, 0.25])
    """

    name: ClassVar[str] = "multi_step"

    value: float
    at: tuple[int, ...]
    factor: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, value=positive, factor=positive, at=rising)

    def _after_warmup(self, made: NDArray[np.float64]) -> NDArray[np.float64]:
        passed = np.searchsorted(np.array(self.at, np.float64), made, side="right")
        return self.value * whole_powers(self.factor, passed.astype(np.float64))


@explained_class
@dataclass(frozen=True)
class Exponential(Schedule):
    """value * factor^(steps made / steps), or the whole number below that quotient (Keras's ExponentialDecay).

    Parameters
    ----------
    value : float
        > 0.
    steps : int
        > 0: after so many the value is `factor` times the first.
    factor : float, default 0.1
        > 0.
    staircase : bool, default False
    warmup : int, default 0
        The steps are counted from its end.

    Examples
    --------
    >>> Exponential(1.0, steps=2, factor=0.25).values(0, 5)
    array([1.    , 0.5   , 0.25  , 0.125 , 0.0625])
    """

    name: ClassVar[str] = "exponential"

    value: float
    steps: int
    factor: float = 0.1
    staircase: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, value=positive, steps=step_count, factor=positive, staircase=flag)

    def _after_warmup(self, made: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.staircase:
            return self.value * whole_powers(self.factor, np.floor(made / self.steps))
        # Decimal's power is rounded correctly, so the same everywhere, which the C library's is not.
        exponent = decimal.Decimal(1) / self.steps
        root = float(decimal.Context(prec=40).power(decimal.Decimal(self.factor), exponent))
        return self.value * whole_powers(root, made)


@explained_class
@dataclass(frozen=True)
class InverseSqrt(Schedule):
    """value / sqrt(1 + steps made / timescale) (Vaswani et al. 2017, with a warm-up).

    Parameters
    ----------
    value : float
        > 0.
    timescale : int, default 1
        > 0.
    warmup : int, default 0

    Examples
    --------
    >>> InverseSqrt(1.0).values(0, 4)
    array([1.        , 0.70710678, 0.57735027, 0.5       ])
    """

    name: ClassVar[str] = "inverse_sqrt"

    value: float
    timescale: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, value=positive, timescale=step_count)

    def _after_warmup(self, made: NDArray[np.float64]) -> NDArray[np.float64]:
        values: NDArray[np.float64] = self.value / np.sqrt(1.0 + made / self.timescale)
        return values


@explained_class
@dataclass(frozen=True)
class InverseScaling(Schedule):
    """value / (steps made + 1)^power, scikit-learn's "invscaling" by steps.

    Parameters
    ----------
    value : float
        > 0.
    power : float, default 0.5
        A positive multiple of 1/2.
    warmup : int, default 0

    Examples
    --------
    >>> InverseScaling(1.0, power=1.0).values(0, 4)
    array([1.        , 0.5       , 0.33333333, 0.25      ])
    """

    name: ClassVar[str] = "inverse_scaling"

    value: float
    power: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, value=positive, power=multiple_of_half)

    def _after_warmup(self, made: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.value / power_of(made + 1.0, self.power)
