"""Rows to learn from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Data", "chunk_rows", "chunks"]

# Outputs are computed in chunks of about this many elements where nobody keeps them.
CHUNK = 1 << 20


@dataclass(frozen=True)
class Data:
    """Validated rows to learn from or to evaluate on; `weight` is float64 (n,) or None."""

    X: NDArray[Any]
    y: NDArray[Any]
    weight: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.X)


def chunk_rows(n_columns: int) -> int:
    """How many rows of so many numbers a bounded buffer holds."""
    return max(1, CHUNK // n_columns)


def chunks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Slices of rows whose `n_columns` numbers each fit a bounded buffer."""
    rows = chunk_rows(n_columns)
    return (slice(start, min(start + rows, n_rows)) for start in range(0, n_rows, rows))
