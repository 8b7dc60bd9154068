"""Data as scikit-learn validates them, and as the engine reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import column_or_1d

from fastmlp.data import SOURCE_DTYPES, as_source
from fastmlp.sklearn.compat import check_sample_weight, validate_data
from fastmlp.sklearn.sparse import is_sparse

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from sklearn.base import BaseEstimator

    from fastmlp.spec import Array

__all__ = ["as_rows", "validate_features", "validate_rows", "validate_weights"]


def validate_features(estimator: BaseEstimator, X: Any) -> Any:
    """Validate X to look at, as scikit-learn does."""
    return validate_data(estimator, X, accept_sparse=["csr", "csc"], dtype=_dtypes_for(X), reset=False)


def validate_rows(estimator: BaseEstimator, X: Any, y: Any, reset: bool, **options: Any) -> tuple[Any, Array]:
    """Validate X and y to learn from, as scikit-learn does."""
    X, y = validate_data(
        estimator, X, y, accept_sparse=["csr", "csc"], multi_output=True, dtype=_dtypes_for(X), reset=reset, **options
    )
    return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y


def validate_weights(sample_weight: ArrayLike, X: Any) -> NDArray[np.float64]:
    """Validate weights of the rows of X, as scikit-learn does."""
    return np.ascontiguousarray(check_sample_weight(sample_weight, X), dtype=np.float64)


def as_rows(X: Any) -> Any:
    """Return validated X as the engine reads it; sparse rows as CSR."""
    return X.tocsr() if is_sparse(X) else as_source(X)


def _dtypes_for(X: Any) -> Any:
    """Return the dtypes that validation may leave; None, for any, if the engine reads X as it is."""
    if isinstance(X, np.ndarray) and X.dtype in SOURCE_DTYPES:
        return None
    return (np.float64, np.float32)
