"""Categories as rows of a small table: a column each while they are few, and else for the frequent ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from fastmlp.tabular.columns import place_codes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.spec import Array
    from fastmlp.tabular.columns import Codes, Scalar

__all__ = ["Categories"]

#: So many categories have a column each, the most frequent ones of more.
MOST_COLUMNS: Final = 128


@dataclass(frozen=True)
class Categories:
    """The categories of a column that are known, and what each is for the network.

    The table has a row for each of them, then one for what is not among them, the rare and the unseen, and one for a
    gap. Two categories share one column, -1 and 1.
    """

    values: tuple[Scalar, ...]
    table: NDArray[np.float32]

    @classmethod
    def of(cls, column: Codes) -> Self:
        """Learn from a column."""
        counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.values))
        found = np.flatnonzero(counts)
        gaps = bool((column.codes < 0).any())
        rare = len(found) > MOST_COLUMNS
        if rare:
            found = np.sort(found[np.argsort(-counts[found], kind="stable")[:MOST_COLUMNS]])
        n = len(found)
        if n == 2 and not rare:
            table = np.array([[-1.0], [1.0], [0.0], [0.0]], np.float32)
            table = np.hstack([table, np.eye(4, dtype=np.float32)[:, 3:]]) if gaps else table
        elif n + gaps < 2:
            table = np.zeros((n + 2, 0), np.float32)  # the same in every row
        else:
            columns = [*range(n), *([n] if rare else []), *([n + 1] if gaps else [])]
            table = np.eye(n + 2, dtype=np.float32)[:, columns]
        return cls(tuple(column.values[place] for place in found), table)

    @property
    def width(self) -> int:
        """How many columns they are."""
        return int(self.table.shape[1])

    def places(self, column: Codes) -> NDArray[np.int32]:
        """Return the row of the table for each row of a column."""
        return place_codes(column, self.values)

    def write(self, out: Array, places: NDArray[np.int32]) -> None:
        """Write what rows are for the network."""
        out[...] = self.table[places]
