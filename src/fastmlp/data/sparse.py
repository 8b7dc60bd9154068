"""Sparse rows (CSR) for an engine that reads dense ones: a block of rows after the other is made dense, never all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fastmlp.spec import Array

__all__ = ["DENSE_NUMBERS", "dense_blocks"]

# Sparse rows are made dense in buffers of about this many numbers.
DENSE_NUMBERS = 1 << 18


def dense_blocks(X: Any, order: NDArray[np.int64] | None = None, multiple: int = 1) -> Iterator[tuple[slice, Array]]:
    """Make blocks of sparse rows dense, in their order, in one buffer that the next block overwrites.

    All blocks but the last have a multiple of so many rows.
    """
    n = X.shape[0] if order is None else len(order)
    size = min(n, _rows_at_once(X, multiple))
    buffer = np.empty((size, X.shape[1]), X.dtype)
    for start in range(0, n, size):
        part = slice(start, min(start + size, n))
        chosen = X[part] if order is None else X[order[part]]
        yield part, chosen.toarray(out=buffer[: part.stop - start])


def _rows_at_once(X: Any, multiple: int) -> int:
    batches: int = DENSE_NUMBERS // (max(1, X.shape[1]) * multiple)
    return max(1, batches) * multiple
