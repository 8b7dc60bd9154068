"""Targets that the loss is defined for, and a weight for each row: y and sample_weight, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.data.arrays import as_real, as_source
from fastmlp.data.values import BLOCK_ELEMENTS, Finite, check_finite, check_range, check_row_sums
from fastmlp.spec import Array, Interval, Loss

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "as_targets",
    "as_weights",
    "count_classes",
    "leave_out",
    "mean_of_targets",
    "quantiles_of_targets",
]

#: What stands in the place of a class where a row has none.
NO_CLASS = -1


def as_targets(
    y: Any, loss: Loss, n_outputs: int, n_rows: int, name: str = "y", *, finite: Finite | None = None
) -> Array:
    """Check the targets of a loss and return them as an array that the engine reads in place.

    Parameters
    ----------
    y : array_like
        Numbers that lie in ``loss.targets``, shape (n_rows, ``loss.target_width(n_outputs)``), or (n_rows,) if that is
        one column; where the loss takes distributions, probabilities that sum to one along each row. Where it takes
        labels, also integer classes in [0, n_outputs), shape (n_rows,). Dtypes as for `as_inputs`. A list of arrays
        that have so many rows together is joined: targets are narrow, and classes become int32 anyway.
    loss : Loss
    n_outputs, n_rows : int
        Outputs of the network and rows of X.
    name : str
        What y is called in messages.
    finite : callable, optional
        As for `as_inputs`.

    Returns
    -------
    ndarray
        Classes: int32, C-contiguous, shape (n_rows,), with -1 for the loss's number for none. All others: one of
        `SOURCE_DTYPES`, shape (n_rows, n_outputs), possibly a view of y.

    Raises
    ------
    TypeError
        y is not an array of real numbers, or classes are not integers.
    ValueError
        y has the wrong shape, masked entries, NaN, infinity, or a value that the loss is not defined for.
    """
    array = as_real(_joined(y, n_rows, name), name)
    if loss.labels and array.ndim == 1:
        return _as_classes(array, n_outputs, n_rows, name, loss.ignored)

    width = loss.target_width(n_outputs)
    if array.ndim == 1 and width == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2 or array.shape[1] != width:
        is_column = loss.labels and array.shape == (n_rows, 1)
        advice = f"; pass {name}.ravel()" if is_column else ""
        raise ValueError(f"{name} has shape {array.shape}; {_targets_wanted(loss, width, n_rows)}{advice}")
    if array.shape[0] != n_rows:
        raise ValueError(f"{name} has {array.shape[0]} rows, the inputs have {n_rows}; they must have the same number")
    array = as_source(array)
    check_finite(array, name, finite, nan=loss.ignores_nan)
    what = "probabilities" if loss.distribution else f"targets of {loss.name}"
    check_range(array, loss.targets, name, f"{what} must {loss.targets.rule}")
    if loss.distribution:
        check_row_sums(array, name)
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
    array = as_real(_joined(sample_weight, n_rows, name), name)
    if array.shape != (n_rows,):
        raise ValueError(f"{name} has shape {array.shape}; it must be ({n_rows},), one weight for each row")
    with np.errstate(over="ignore"):  # a longdouble beyond float64 becomes infinity, which the next line names
        weights = np.ascontiguousarray(array, dtype=np.float64)
    check_finite(weights, name)
    check_range(weights, Interval(0), name, "weights must be at least 0")
    with np.errstate(over="ignore"):
        total = weights.sum()
    if n_rows and total == 0:
        raise ValueError(f"{name} is all zero; at least one weight must be positive")
    if total == np.inf:
        raise ValueError(f"{name} is too large: the sum of the weights overflows float64")
    return weights


def leave_out(
    y: Array, weight: NDArray[np.float64] | None, loss: Loss, name: str = "y", *, some: bool = True
) -> tuple[Array, NDArray[np.float64] | None]:
    """Have rows without any target weigh 0, where the loss takes such.

    Parameters
    ----------
    y, weight : ndarray
        What `as_targets` and `as_weights` returned.
    loss : Loss
    name : str
        What y is called in messages.
    some : bool
        Whether it is an error if no row is left.

    Returns
    -------
    y : ndarray
        With the first class where a row has none, for engines know of classes alone. NaN stays.
    weight : ndarray or None
        The same where no row is without target.

    Raises
    ------
    ValueError
        If no row that weighs something has a target.

    Examples
    --------
    >>> from fastmlp.spec import SquaredError
    >>> leave_out(np.array([[1.0], [np.nan]]), None, SquaredError(ignore_nan=True))[1]
    array([1., 0.])
    """
    if y.ndim == 1 and loss.ignored is not None:
        without = y == NO_CLASS
    elif loss.ignores_nan and y.dtype.kind == "f":
        without = np.isnan(y).all(axis=1)
    else:
        return y, weight
    if not without.any():
        return y, weight
    if y.ndim == 1:
        y = np.where(without, np.int32(0), y)
    weight = np.where(without, 0.0, 1.0 if weight is None else weight)
    if some and not weight.any():
        raise ValueError(f"{name} has no target that counts: those of all rows are left out, or weigh 0")
    return y, weight


def count_classes(y: Array) -> int:
    """Count the classes, from 3 to 20, that the targets of a network with one output seem to number; 0 if they do not.

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


def mean_of_targets(y: Array, weight: NDArray[np.float64] | None, n_outputs: int) -> NDArray[np.float64]:
    """Return the mean of each output's targets, of classes their shares; summed in the order of the rows.

    Targets that are NaN do not count; an output that has no others has the mean NaN.

    Parameters
    ----------
    y, weight : ndarray
        What `as_targets` and `as_weights` returned, of at least one row.
    n_outputs : int

    Examples
    --------
    >>> mean_of_targets(np.array([0, 2, 2, 0], np.int32), None, 3)
    array([0.5, 0. , 0.5])
    """
    weights = np.ones(len(y)) if weight is None else weight
    if y.ndim == 1:
        sums = np.bincount(y, weights, n_outputs).astype(np.float64, copy=False)
        totals: Any = np.add.accumulate(weights)[-1]
    else:
        sums, totals = np.zeros((2, n_outputs))
        rows = max(1, BLOCK_ELEMENTS // n_outputs)
        for start in range(0, len(y), rows):
            block = y[start : start + rows].astype(np.float64)
            counted = np.where(np.isnan(block), 0.0, weights[start : start + rows, np.newaxis])
            block = np.where(counted == 0.0, 0.0, block * counted)
            block[0] += sums
            counted[0] += totals
            sums, totals = np.add.accumulate(block, axis=0)[-1], np.add.accumulate(counted, axis=0)[-1]
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = sums / totals
    return means


def _joined(given: Any, n_rows: int, name: str) -> Any:
    """Put chunks together that have so many rows, each of which is checked; return anything else as it is."""
    if not isinstance(given, list | tuple):
        return given
    shapes = [tuple(getattr(each, "shape", ())) for each in given]
    if not all(shapes) or sum(shape[0] for shape in shapes) != n_rows or len({shape[1:] for shape in shapes}) != 1:
        return given
    return np.concatenate([as_real(each, f"{name}[{place}]") for place, each in enumerate(given)])


def quantiles_of_targets(
    y: Array, weight: NDArray[np.float64] | None, levels: tuple[float, ...]
) -> NDArray[np.float64]:
    """Return of each column of targets the smallest that at least so many of the weights do not exceed, for each level.

    Targets that are NaN do not count; a column that has no others has quantiles that are NaN.

    Parameters
    ----------
    y, weight : ndarray
        What `as_targets` and `as_weights` returned, of at least one row.
    levels : tuple of float
        Between 0 and 1.

    Returns
    -------
    ndarray of float64
        The first column's for all levels, then the next one's.

    Examples
    --------
    >>> quantiles_of_targets(np.array([[3.0], [1.0], [2.0], [4.0]]), None, (0.25, 0.5))
    array([1., 2.])
    """
    found = []
    for column in y.T:
        order = np.argsort(column, kind="stable")  # NaN at the end
        order = order[: max(np.count_nonzero(column == column), 1)]
        sums = np.add.accumulate(np.ones(len(order)) if weight is None else weight[order])
        places = np.searchsorted(sums, np.multiply(levels, sums[-1])).clip(max=len(order) - 1)
        found.append(column[order[places]].astype(np.float64))
    return np.concatenate(found)


def _as_classes(array: Array, n_outputs: int, n_rows: int, name: str, ignored: int | None) -> NDArray[np.int32]:
    if array.shape[0] != n_rows:
        raise ValueError(f"{name} has {array.shape[0]} rows, the inputs have {n_rows}; they must have the same number")
    if array.dtype.kind == "f":
        raise TypeError(
            f"{name} has dtype {array.dtype}; classes must be integers: pass {name}.astype(int), "
            f"or probabilities of shape ({n_rows}, {n_outputs})"
        )
    if array.dtype == np.bool_:
        array = array.view(np.uint8)
    rule = f"classes must lie in [0, {n_outputs}), as the network has outputs"
    if ignored is not None:
        without = array == ignored
        check_range(np.where(without, array.dtype.type(0), array), Interval(0, n_outputs - 1), name, rule)
        return np.where(without, np.int32(NO_CLASS), array.astype(np.int32))
    check_range(array, Interval(0, n_outputs - 1), name, rule)
    return np.ascontiguousarray(array, dtype=np.int32)


def _targets_wanted(loss: Loss, width: int, n_rows: int) -> str:
    """Describe the shape that targets may have, for an error message."""
    if loss.labels:
        rows = "probabilities" if loss.distribution else "numbers"
        return f"{loss.name} takes integer classes of shape ({n_rows},), or {rows} of shape ({n_rows}, {width})"
    either = f" or ({n_rows},)" if width == 1 else ""
    outputs = "output" if loss.heads == 1 else f"{loss.heads} outputs"
    return f"{loss.name} takes shape ({n_rows}, {width}){either}: one column for each {outputs} of the network"
