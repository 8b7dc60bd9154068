"""`Encoder`: what it has learnt of a table's columns turns such tables into rows that a network reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fastmlp.data import Table
from fastmlp.tabular.bins import Bins
from fastmlp.tabular.categories import Categories
from fastmlp.tabular.columns import Codes, kind_of, to_codes, to_days, to_numbers
from fastmlp.tabular.dates import date_parts
from fastmlp.tabular.scaling import Scaling, sorted_sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastmlp.data import Inputs
    from fastmlp.spec import Array
    from fastmlp.tabular.columns import Column, Kind

__all__ = ["Encoded", "Encoder"]

#: Encoded rows of up to so many bytes are kept as they are; more are encoded anew whenever they are read, which of many
#: columns takes longer than to learn from them. MNIST's images are 240 MB.
KEPT_BYTES: Final = 512 << 20


@dataclass(frozen=True)
class Encoder:
    """How each column of a table is encoded.

    Attributes
    ----------
    names : tuple of str
        What errors call the columns.
    kinds : tuple of {"number", "category", "date"}
    scaling, bins
        Of the columns of numbers, among which are the parts of dates.
    categories : tuple of Categories
        Of the columns of categories.
    """

    names: tuple[str, ...]
    kinds: tuple[Kind, ...]
    scaling: Scaling
    bins: Bins
    categories: tuple[Categories, ...]

    @classmethod
    def of(
        cls, columns: Sequence[Column], names: Sequence[str], categorical: frozenset[int], n_bins: int | None
    ) -> Encoder:
        """Learn from the columns of a table; those whose places are `categorical` are categories whatever they hold."""
        kinds = tuple("category" if j in categorical else kind_of(column) for j, column in enumerate(columns))
        numbers, codes = _read(columns, names, kinds)
        samples = list(map(sorted_sample, numbers))
        scaling = Scaling.of(numbers, samples)
        found = tuple(map(Categories.of, codes))
        return cls(tuple(names), kinds, scaling, Bins.of(samples, scaling, n_bins), found)

    @property
    def width(self) -> int:
        """How many columns the network reads: one of zeros, where no column says anything."""
        return max(1, self.scaling.width + self.bins.width + sum(each.width for each in self.categories))

    def __call__(self, columns: Sequence[Column]) -> Inputs:
        """Encode a table's columns, as many as those that were learnt from."""
        numbers, codes = _read(columns, self.names, self.kinds)
        rows = Encoded(self, len(columns[0]), [numbers[place] for place in self.scaling.places],
                       [each.places(column) for each, column in zip(self.categories, codes, strict=True)])  # fmt: skip
        return rows[:] if rows.shape[0] * rows.shape[1] * 4 <= KEPT_BYTES else rows


def _read(columns: Sequence[Column], names: Sequence[str], kinds: Sequence[Kind]) -> tuple[list[Array], list[Codes]]:
    """Return the columns of numbers, with the parts of dates behind them, and those of categories."""
    numbers: list[Array] = []
    dates: list[Array] = []
    codes: list[Codes] = []
    for column, name, kind in zip(columns, names, kinds, strict=True):
        if kind == "number":
            numbers.append(to_numbers(column, name))
        elif kind == "date":
            dates += date_parts(to_days(column, name))
        else:
            codes.append(to_codes(column))
    return numbers + dates, codes


class Encoded(Table):
    """Rows of a table that are encoded where they are read."""

    finite = True

    def __init__(self, encoder: Encoder, n_rows: int, numbers: Sequence[Array], places: Sequence[Array]) -> None:
        self.encoder, self.numbers, self.places = encoder, numbers, places
        self.shape, self.dtype = (n_rows, encoder.width), np.dtype(np.float32)

    def fill(self, out: Array, rows: Any) -> None:
        encoder, step = self.encoder, self.rows_at_once
        if not (encoder.scaling.width or any(each.width for each in encoder.categories)):
            out[...] = 0.0
            return
        rows = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else rows
        for start in range(0, len(rows), step):
            self._fill_block(out[start : start + step], rows[start : start + step])

    def _fill_block(self, out: Array, rows: Array) -> None:
        encoder = self.encoder
        at = encoder.scaling.width
        if at:
            x = np.empty((len(rows), len(self.numbers)))
            for place, column in enumerate(self.numbers):
                x[:, place] = column[rows]
            z = encoder.scaling.write(out[:, :at], x)
            encoder.bins.write(out[:, at : at + encoder.bins.width], z)
        at += encoder.bins.width
        for each, places in zip(encoder.categories, self.places, strict=True):
            each.write(out[:, at : at + each.width], places[rows])
            at += each.width
