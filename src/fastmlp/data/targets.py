"""What y and sample weights may be: targets that the loss is defined for, a weight for each row."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.arrays import as_real, as_source
from fastmlp.data.values import BLOCK_ELEMENTS, Finite, check_finite, check_range, check_row_sums

__all__ = ["as_targets", "as_weights", "count_classes"]

Array: TypeAlias = NDArray[Any]

_LOSSES: Final = ("cross_entropy", "binary_cross_entropy", "poisson", "squared_error")


def as_targets(
    y: Any, loss: str, n_outputs: int, n_rows: int, name: str = "y", *, finite: Finite | None = None
) -> Array:
    """Check the targets of a loss and return them as an array that the engine reads in place.

    Parameters
    ----------
    y : array_like
        For ``"cross_entropy"``: integer classes in [0, n_outputs), shape (n_rows,), or probabilities that sum to one
        along each row, shape (n_rows, n_outputs). For ``"binary_cross_entropy"``: values in [0, 1], shape
        (n_rows, n_outputs). For ``"poisson"``: values >= 0, for ``"squared_error"``: any finite numbers, shape
        (n_rows, n_outputs). The last three take (n_rows,) as well if the network has one output. Dtypes as for
        `as_inputs`.
    loss : {"cross_entropy", "binary_cross_entropy", "poisson", "squared_error"}
    n_outputs, n_rows : int
        Outputs of the network and rows of X.
    name : str
        What y is called in messages.
    finite : callable, optional
        As for `as_inputs`.

    Returns
    -------
    ndarray
        Classes: int32, C-contiguous, shape (n_rows,). All others: one of `SOURCE_DTYPES`, shape (n_rows, n_outputs),
        possibly a view of y.

    Raises
    ------
    TypeError
        y is not an array of real numbers, or classes are not integers.
    ValueError
        y has the wrong shape, masked entries, NaN, infinity, or a value that the loss is not defined for.
    """
    if loss not in _LOSSES:
        raise ValueError(f"loss is {loss!r}; it must be one of {', '.join(map(repr, _LOSSES))}")
    array = as_real(y, name)
    if loss == "cross_entropy" and array.ndim == 1:
        return _as_classes(array, n_outputs, n_rows, name)

    if array.ndim == 1 and n_outputs == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2 or array.shape[1] != n_outputs:
        is_column = loss == "cross_entropy" and array.shape == (n_rows, 1)
        advice = f"; pass {name}.ravel()" if is_column else ""
        raise ValueError(f"{name} has shape {array.shape}; {_targets_wanted(loss, n_outputs, n_rows)}{advice}")
    if array.shape[0] != n_rows:
        raise ValueError(f"{name} has {array.shape[0]} rows, the inputs have {n_rows}; they must have the same number")
    array = as_source(array)
    check_finite(array, name, finite)
    if loss == "cross_entropy":
        check_range(array, 0, None, name, "probabilities must be at least 0")
        check_row_sums(array, name)
    elif loss == "binary_cross_entropy":
        check_range(array, 0, 1, name, "targets of binary_cross_entropy must lie in [0, 1]")
    elif loss == "poisson":
        check_range(array, 0, None, name, "targets of poisson must be at least 0")
    return array


def as_weights(sample_weight: Any, n_rows: int, name: str = "sample_weight") -> NDArray[np.float64] | None:
    """Check the weights of the rows and return them as float64, or None for None.

    Parameters
    ----------
    sample_weight : array_like of shape (n_rows,), or None
        Finite, not negative, not all zero.
    n_rows : int
        Rows of X.
    name : str
        What the weights are called in messages.

    Returns
    -------
    ndarray of float64, C-contiguous, shape (n_rows,), or None

    Raises
    ------
    TypeError
        The weights are not an array of real numbers.
    ValueError
        Wrong shape, NaN, infinity, a negative weight, all weights zero, or a sum that overflows.
    """
    if sample_weight is None:
        return None
    array = as_real(sample_weight, name)
    if array.shape != (n_rows,):
        raise ValueError(f"{name} has shape {array.shape}; it must be ({n_rows},), one weight for each row")
    with np.errstate(over="ignore"):  # a longdouble beyond float64 becomes infinity, which the next line names
        weights = np.ascontiguousarray(array, dtype=np.float64)
    check_finite(weights, name)
    check_range(weights, 0, None, name, "weights must be at least 0")
    with np.errstate(over="ignore"):
        total = weights.sum()
    if n_rows and total == 0:
        raise ValueError(f"{name} is all zero; at least one weight must be positive")
    if total == np.inf:
        raise ValueError(f"{name} is too large: the sum of the weights overflows float64")
    return weights


def count_classes(y: Array) -> int:
    """How many classes the targets of a network with one output number, from 3 to 20; 0 if they do not look like that.

    They do if they are of an integer dtype and the first rows have all of 0, 1, ..., k - 1 and nothing else, each twice
    on average. Not 0 and 1: one output with these targets is as good a classifier.

    Parameters
    ----------
    y : ndarray
        What `as_targets` returned.

    Examples
    --------
    >>> count_classes(np.array([[2], [0], [1], [1], [0], [2]])), count_classes(np.array([[0.0], [1.0], [2.0]] * 9))
    (3, 0)
    """
    if y.dtype.kind not in "iu" or y.ndim != 2 or y.shape[1] != 1:
        return 0
    first = y[:BLOCK_ELEMENTS, 0]
    k = int(first.max()) + 1
    if first.min() != 0 or not 3 <= k <= 20 or len(first) < 2 * k or not np.bincount(first).all():
        return 0
    return k


def _as_classes(array: Array, n_outputs: int, n_rows: int, name: str) -> NDArray[np.int32]:
    if array.shape[0] != n_rows:
        raise ValueError(f"{name} has {array.shape[0]} rows, the inputs have {n_rows}; they must have the same number")
    if array.dtype.kind == "f":
        raise TypeError(
            f"{name} has dtype {array.dtype}; classes must be integers: pass {name}.astype(int), "
            f"or probabilities of shape ({n_rows}, {n_outputs})"
        )
    if array.dtype == np.bool_:
        array = array.view(np.uint8)
    check_range(array, 0, n_outputs - 1, name, f"classes must lie in [0, {n_outputs}), as the network has outputs")
    return np.ascontiguousarray(array, dtype=np.int32)


def _targets_wanted(loss: str, n_outputs: int, n_rows: int) -> str:
    if loss == "cross_entropy":
        return (
            f"cross_entropy takes integer classes of shape ({n_rows},), "
            f"or probabilities of shape ({n_rows}, {n_outputs})"
        )
    either = f" or ({n_rows},)" if n_outputs == 1 else ""
    return f"{loss} takes shape ({n_rows}, {n_outputs}){either}: one column for each output of the network"
