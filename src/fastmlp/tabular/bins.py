"""Numbers as their way through bins: piecewise linear encoding (Gorishniy, Rubachev and Babenko, NeurIPS 2022).

A number becomes one for each bin between two quantiles: 0 before it, 1 behind it, the share of the way inside. The
first layer then is a piecewise linear function of the column, which a network of few layers else has to learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastmlp.spec import Array
    from fastmlp.tabular.scaling import Scaling

__all__ = ["Bins"]

#: Columns of fewer different values have none: what is counted or graded is near to a category, and bins overfit it.
FEWEST_VALUES: Final = 30
#: Where nobody says how many: so many for all columns together, but for each no fewer and no more than these.
BINS_OF_ALL: Final = 400
FEWEST_BINS: Final = 8
#: Most bins of a column whose rows are mostly of one value.
MOST_VALUES: Final = 128
#: More would make the first layer by far the largest: hundreds of columns, as of an image's pixels, have none.
MOST_OF_ALL: Final = 1024
MOST_BINS: Final = 48


@dataclass(frozen=True)
class Bins:
    """Bins of all columns of numbers that have any: an array has an entry for each bin."""

    column: NDArray[np.int64]  # its place among those of the `Scaling`
    start: NDArray[np.float32]  # in standardised numbers
    steepness: NDArray[np.float32]

    @classmethod
    def of(cls, samples: Sequence[NDArray[np.float64]], scaling: Scaling, count: int | None) -> Self:
        """Cut columns at a sample's quantiles, into at most `count` bins each; None: as many as suit so many."""
        values = {number: samples[place] for number, place in enumerate(scaling.places)}
        values = {number: rows for number, rows in values.items() if _distinct(rows) >= FEWEST_VALUES and count != 0}
        if count is None:
            count = min(MOST_BINS, max(FEWEST_BINS, BINS_OF_ALL // max(1, len(values))))
            count = count if count * len(values) <= MOST_OF_ALL else 0
        found: list[tuple[Array, Array, Array]] = []
        for number, rows in values.items() if count > 1 else ():
            cuts = (_cuts(rows, count) - scaling.shift[number]) * scaling.factor[number]
            edges = np.unique(cuts.astype(np.float32))
            if len(edges) > 2:
                found.append((np.full(len(edges) - 1, number), edges[:-1], 1.0 / np.diff(edges)))
        if not found:
            return cls(np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.float32))
        column, start, steepness = map(np.concatenate, zip(*found, strict=True))
        return cls(column.astype(np.int64), start, steepness.astype(np.float32))

    @property
    def width(self) -> int:
        """How many columns they are."""
        return len(self.column)

    def write(self, out: Array, z: NDArray[np.float32]) -> None:
        """Write the way of rows of standardised numbers through the bins, from -1/2 to 1/2."""
        way = z[:, self.column]  # all of them at once: a column's few bins alone would be short work for NumPy
        way -= self.start
        way *= self.steepness
        np.clip(way, 0.0, 1.0, out=way)
        np.subtract(way, np.float32(0.5), out=out)


def _cuts(rows: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Cut sorted values at quantiles of the rows; where some have many of them, at those of the values, too."""
    cuts = np.unique(_quantiles(rows, count + 1))
    few = 2 * len(cuts) <= count  # rows are mostly of one value: what tells them apart are the others
    left = min(MOST_VALUES, 4 * count) if few else count + 1 - len(cuts)
    return np.union1d(cuts, _quantiles(np.unique(rows), left)) if left > 1 else cuts


def _quantiles(rows: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return so many of these values, evenly among them, the first and the last one too."""
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(np.int64)]


def _distinct(rows: NDArray[np.float64]) -> int:
    """Count the different values of sorted ones."""
    return int(np.count_nonzero(np.diff(rows))) + 1 if len(rows) else 0
