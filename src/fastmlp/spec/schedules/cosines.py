"""Schedules along cosines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fastmlp.spec.checks import check_fields, inner_fraction, integer, not_negative, positive
from fastmlp.spec.hints import explained_class
from fastmlp.spec.scheduled import Schedule
from fastmlp.spec.schedules.base import (
    Bounded,
    between,
    half_cosine,
    step_count,
    whole_powers,
)
from fastmlp.spec.tables import log2

if TYPE_CHECKING:
    from numpy.typing import NDArray


@explained_class
@dataclass(frozen=True)
class Cosine(Bounded):
    """From `value` to `end` along half a cosine, then `end` (Loshchilov and Hutter 2017, without restarts).

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
    >>> Cosine(1.0, steps=4).values(0, 6)
    array([1.        , 0.85355339, 0.5       , 0.14644661, 0.        ,
           0.        ])
    """

    name: ClassVar[str] = "cosine"

    value: float
    steps: int
    end: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, value=positive, end=not_negative)

    def _after_warmup(self, made: NDArray[np.float64]) -> NDArray[np.float64]:
        return between(self.value, self.end, half_cosine(self._progress(made)))


@explained_class
@dataclass(frozen=True)
class CosineRestarts(Schedule):
    """Half cosines one behind the other, each `longer` times as long as the last (Loshchilov and Hutter 2017, SGDR).

    Parameters
    ----------
    value : float
        > 0.
    period : int
        > 0: steps of the first.
    longer : int, default 1
        > 0.
    factor : float, default 1.0
        > 0: each begins with so much of what the last began with.
    end : float, default 0.0
        >= 0.
    warmup : int, default 0

    Examples
    --------
    >>> CosineRestarts(1.0, period=2, longer=2).values(0, 7)
    array([1.        , 0.5       , 1.        , 0.85355339, 0.5       ,
           0.14644661, 1.        ])
    """

    name: ClassVar[str] = "cosine_restarts"

    value: float
    period: int
    longer: int = 1
    factor: float = 1.0
    end: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, value=positive, factor=positive, end=not_negative)
        check_fields(self, period=step_count, longer=step_count)

    def _after_warmup(self, made: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.longer == 1:
            number = np.floor(made / self.period)
            progress = made / self.period - number
        else:
            begins, length = [0.0], float(self.period)
            while made.size and begins[-1] <= made[-1]:
                begins.append(begins[-1] + length)
                length *= self.longer
            edges = np.array(begins)
            number = np.searchsorted(edges, made, side="right") - 1.0
            place = number.astype(np.intp)
            lengths = np.diff(edges, append=np.inf)
            progress = (made - edges[place]) / lengths[place]
        peaks = self.value * whole_powers(self.factor, number)
        return self.end + (peaks - self.end) * half_cosine(progress)


@explained_class
@dataclass(frozen=True)
class OneCycle(Bounded):
    """Up to `value` along half a cosine, then down to nearly nothing along another (Smith and Topin 2018).

    Parameters
    ----------
    value : float
        > 0: the peak.
    steps : int
        > 0, with those of the warm-up.
    rise : float, default 0.3
        Share of the steps that go up, > 0 and < 1.
    begin, end : float, default 0.04 and 4e-6
        >= 0: shares of the peak. (PyTorch's: 1 / div_factor, and that by final_div_factor.)
    warmup : int, default 0

    Examples
    --------
    >>> OneCycle(1.0, steps=4, rise=0.5, begin=0.0, end=0.0).values(0, 5)
    array([0. , 0.5, 1. , 0.5, 0. ])
    """

    name: ClassVar[str] = "one_cycle"

    value: float
    steps: int
    rise: float = 0.3
    begin: float = 0.04
    end: float = 4e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, value=positive, rise=inner_fraction, begin=not_negative, end=not_negative)

    def _after_warmup(self, made: NDArray[np.float64]) -> NDArray[np.float64]:
        progress = self._progress(made)
        up = between(self.begin, 1.0, half_cosine(np.minimum(progress / self.rise, 1.0)))
        down = between(1.0, self.end, half_cosine(np.maximum(progress - self.rise, 0.0) / (1.0 - self.rise)))
        values: NDArray[np.float64] = self.value * np.where(progress < self.rise, up, down)
        return values


@explained_class
@dataclass(frozen=True)
class FlatCosine(Bounded):
    """`value` for a share of the steps, then half a cosine down to `end`.

    Parameters
    ----------
    value : float
        > 0.
    steps : int
        > 0, with those of the warm-up.
    flat : float, default 0.5
        Share of the steps after the warm-up that keep the value, > 0 and < 1.
    end : float, default 0.0
        >= 0.
    warmup : int, default 0

    Examples
    --------
    >>> FlatCosine(1.0, steps=4).values(0, 5)
    array([1. , 1. , 1. , 0.5, 0. ])
    """

    name: ClassVar[str] = "flat_cosine"

    value: float
    steps: int
    flat: float = 0.5
    end: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, value=positive, flat=inner_fraction, end=not_negative)

    def _after_warmup(self, made: NDArray[np.float64]) -> NDArray[np.float64]:
        beyond = np.maximum(self._progress(made) - self.flat, 0.0) / (1.0 - self.flat)
        return between(self.value, self.end, half_cosine(beyond))


@explained_class
@dataclass(frozen=True)
class CosLog(Bounded):
    """Cycles that become longer and longer: value (1 - cos(2 pi log2(1 + (2^cycles - 1) share))) / 2.

    The schedule of RealMLP (Holzmüller et al. 2024). It begins and ends with 0.

    Parameters
    ----------
    value : float
        > 0: the peaks.
    steps : int
        > 0, with those of the warm-up.
    cycles : int, default 4
        From 1 to 32.
    warmup : int, default 0

    Examples
    --------
    >>> CosLog(1.0, steps=3, cycles=2).values(0, 4)
    array([0.        , 0.        , 0.93043097, 0.        ])
    """

    name: ClassVar[str] = "coslog"

    value: float
    steps: int
    cycles: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, value=positive, cycles=lambda value, name: integer(value, name, 1, 32))

    def _after_warmup(self, made: NDArray[np.float64]) -> NDArray[np.float64]:
        cycle = log2(1.0 + (2.0**self.cycles - 1.0) * self._progress(made))
        return self.value * (1.0 - half_cosine(np.abs(2.0 * (cycle - np.rint(cycle)))))
