"""Numbers on one scale: standardised, with a second view of those whose tails are heavy, and a flag for gaps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastmlp.spec import Array

__all__ = ["Scaling", "sorted_sample"]

#: A column whose farthest value is so many standard deviations away has a second view, in which that is near.
HEAVY: Final = 8.0
#: Values beyond those to learn from are taken as so many standard deviations beyond the last.
MARGIN: Final = 1.0
#: Values farther away are taken as so many standard deviations away.
FARTHEST: Final = 1000.0
#: Most that a column is multiplied by: what it is divided by is no smaller than a float's reciprocal can be.
LARGEST: Final = 2.0**1022
#: Rows by which the places of a column's values are judged.
SAMPLE: Final = 50_000


def sorted_sample(column: Array) -> NDArray[np.float64]:
    """Return a column's values in their order, without gaps, of at most `SAMPLE` rows, which lie evenly among all."""
    step = max(1, -(-len(column) // SAMPLE))
    values = np.sort(column[::step].astype(np.float64))  # gaps come last
    return values[: len(values) - int(np.isnan(values).sum())]


@dataclass(frozen=True)
class Scaling:
    """How columns of numbers become those that a network reads: an array has an entry for each of the `places`.

    A column that says nothing (constant, or a gap in every row) has no place, unless its gaps say something.
    """

    places: NDArray[np.int64]  # among the columns of numbers
    middle: NDArray[np.float64]  # what a gap is taken for: the median
    shift: NDArray[np.float64]
    factor: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    flagged: NDArray[np.bool_]  # whether a gap is told by a column of its own
    heavy: NDArray[np.bool_]
    spread: NDArray[np.float64]  # of the second view: that of the middle half; 1 without

    @classmethod
    def of(cls, columns: Sequence[Array], samples: Sequence[NDArray[np.float64]]) -> Self:
        """Learn from columns of real numbers, with NaN for gaps, and the `sorted_sample` of each."""
        rows: list[tuple[Any, ...]] = []
        for place, (column, values) in enumerate(zip(columns, samples, strict=True)):
            low, high = _range(column)
            gaps = column.dtype.kind == "f" and bool(np.isnan(column).any())
            if not low < high and not gaps:
                continue
            if len(values) == 0:  # all are gaps, or those that are none were not in the sample
                low, high = (low, high) if low <= high else (0.0, 0.0)
                values = np.array([low])
            middle, mean = _median(values), float(values.mean())
            # In units of a power of two, which changes no bit: squares of 1e200 and of 1e-200 are numbers, then.
            unit = 2.0 ** min(1000, max(-1000, math.frexp(max(high - mean, mean - low))[1]))
            deviation = unit * float(np.sqrt(np.square((values - mean) / unit).mean())) or high - low
            factor = min(1.0 / deviation, LARGEST) if deviation > 0.0 else 0.0
            far = max(high - mean, mean - low) * factor
            spread = (_middle_half(values) or deviation) if far > HEAVY else 1.0
            if far > FARTHEST:  # one that a sample has not met: the others are not to vanish beside it
                low, high = max(low, mean - FARTHEST * deviation), min(high, mean + FARTHEST * deviation)
            margin = MARGIN * deviation
            rows.append((place, middle, mean, factor, low - margin, high + margin, gaps, far > HEAVY, spread))
        kinds = (np.int64, *[np.float64] * 5, np.bool_, np.bool_, np.float64)
        return cls(*(np.array([row[k] for row in rows], kind) for k, kind in enumerate(kinds)))

    @property
    def width(self) -> int:
        """How many columns the numbers become, without bins."""
        return len(self.places) + int(self.flagged.sum()) + int(self.heavy.sum())

    def write(self, out: Array, x: NDArray[np.float64]) -> NDArray[np.float32]:
        """Write rows of the places' columns, x, which this fills and bounds; return them standardised, for the bins."""
        gaps = np.isnan(x)
        n, flags = len(self.places), int(self.flagged.sum())
        out[:, n : n + flags] = gaps[:, self.flagged]
        x = np.where(gaps, self.middle, x)
        np.clip(x, self.low, self.high, out=x)
        z = ((x - self.shift) * self.factor).astype(np.float32)
        out[:, :n] = z
        if self.heavy.any():
            near = (x[:, self.heavy] - self.middle[self.heavy]) / self.spread[self.heavy]
            out[:, n + flags :] = near / np.sqrt(1.0 + (near / 3.0) ** 2)  # RealMLP's smooth clip
        return z


def _median(values: NDArray[np.float64]) -> float:
    """Return the median of sorted values."""
    return float((values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2.0)


def _middle_half(values: NDArray[np.float64]) -> float:
    """Return how far the quarters of values are apart."""
    low, high = np.quantile(values, (0.25, 0.75))
    return float(high - low)


def _range(column: Array) -> tuple[float, float]:
    """Return the least and the largest value that is no gap; infinity and its negative where there is none."""
    low, high = float(column.min()), float(column.max())
    if low == low:  # NaN is what does not equal itself
        return low, high
    return float(np.nanmin(column, initial=np.inf)), float(np.nanmax(column, initial=-np.inf))
