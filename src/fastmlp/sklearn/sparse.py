"""Predictions from sparse rows (CSR), some of which are made dense at a time.

Those from very sparse rows leave out the columns that are empty in a block, which changes no bit: a sum with
a zero product left out is the same sum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.data.sparse import DENSE_NUMBERS, dense_blocks

if TYPE_CHECKING:
    from fastmlp.runtime import Backend, Engine
    from fastmlp.spec import Array, NetworkSpec

__all__ = ["FilledColumns", "is_sparse", "pays", "predict_rows"]

FIRST = "layers.0.weight"
# Rows of a block without its empty columns: with more, more columns are filled; with fewer, weights are copied oftener.
FILLED_ROWS = 16
# Blocks of fewer columns would be too little work for what each costs in Python.
LEAST_COLUMNS = 256
# To copy one weight takes about as long as so many multiply-adds of the engine.
COPY_RATE = 16
# A first layer that is no wider is made of dot products along its inputs, whose order is that of the columns.
DOT_COLUMNS = 4


def is_sparse(X: Any) -> bool:
    """Return whether X is a sparse matrix, where all others are arrays by now."""
    return not isinstance(X, np.ndarray)


def predict_rows(engine: Engine, X: Any, out: Array, threads: int) -> bool:
    """Compute outputs of all rows, dense or sparse, in `out`; False if parameters are just being changed."""
    if not is_sparse(X):
        return engine.predict(X, out, threads)
    return all(engine.predict(block, out[part], threads) for part, block in dense_blocks(X))


def filled_columns(X: Any) -> int:
    """Return the width of blocks that are made dense without empty columns: as many columns as they have numbers."""
    in_rows = np.diff(X.indptr)
    return max(LEAST_COLUMNS, FILLED_ROWS * int(X.nnz) // len(in_rows), int(in_rows.max()))


def pays(X: Any, width: int) -> bool:
    """Return whether to leave out empty columns, before a layer of this width, is less work than to multiply zeros."""
    work = filled_columns(X) * (1 + COPY_RATE / min(FILLED_ROWS, X.shape[0]))
    return width > DOT_COLUMNS and work < X.shape[1]


@dataclass(frozen=True)
class FilledColumns:
    """Prediction by blocks of sparse rows, each with the weights of those columns that it has numbers in."""

    spec: NetworkSpec
    tensors: dict[str, Array]
    backend: Backend

    def predict(self, X: Any, out: Array, threads: int) -> None:
        """Compute outputs of all rows of a CSR matrix in `out` (n, O).

        The engine is one of this call, so that calls may run side by side and in handlers of signals.
        """
        columns = filled_columns(X)
        engine = self.backend.engine(replace(self.spec, sizes=(columns, *self.spec.sizes[1:])))
        first = np.zeros((columns, self.spec.sizes[1]), self.spec.dtype)
        start, most = 0, max(1, DENSE_NUMBERS // columns)
        while start < X.shape[0]:
            fit = int(np.searchsorted(X.indptr, int(X.indptr[start]) + columns, side="right")) - 1
            part = slice(start, min(fit, start + most))
            block = X[part]
            filled, places = np.unique(block.indices, return_inverse=True)
            first[: len(filled)] = self.tensors[FIRST][filled]
            engine.write({**self.tensors, FIRST: first})
            shape = part.stop - start, columns
            engine.predict(type(X)((block.data, places, block.indptr), shape).toarray(), out[part], threads)
            start = part.stop
