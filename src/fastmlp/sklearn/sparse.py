"""Predictions from rows that may be sparse: the engine reads the entries of CSR as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.data.sparse import as_sparse

if TYPE_CHECKING:
    from fastmlp.runtime import Engine
    from fastmlp.spec import Array

__all__ = ["is_sparse", "predict_rows"]


def is_sparse(X: Any) -> bool:
    """Return whether X is a sparse matrix, where all others are arrays by now."""
    return not isinstance(X, np.ndarray)


def predict_rows(engine: Engine, X: Any, out: Array, threads: int) -> bool:
    """Compute outputs of all rows, dense or sparse, in `out`; False if parameters are just being changed."""
    return engine.predict(as_sparse(X) if is_sparse(X) else X, out, threads)  # type: ignore[arg-type]
