"""Targets as a network learns them, and its outputs as users want them: classes, and numbers on one scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from fastmlp.tabular.columns import is_gap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.spec import Array

__all__ = ["Classes", "Scale", "as_target"]


def as_target(y: Any, n_rows: int, estimator: str, name: str = "y") -> Array:
    """Return targets as an array of as many rows as X has, without gaps and infinities.

    Raises
    ------
    TypeError, ValueError
        If they are something else; the message names the row.
    """
    if y is None:
        raise ValueError(f"{estimator} requires y to be passed, but the target y is None")
    array = np.asarray(y)
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} has dtype {array.dtype}")
    if array.ndim == 0:
        raise ValueError(f"{name} should be a 1d array, got an array of shape () instead")
    if len(array) != n_rows:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: {[n_rows, len(array)]} (rows of X and {name})"
        )
    if array.dtype.kind in "fO":
        gaps = np.isnan(array) if array.dtype.kind == "f" else np.frompyfunc(is_gap, 1, 1)(array).astype(bool)
        if gaps.any():
            row = int(np.flatnonzero(gaps)[0]) // (array.size // n_rows)
            raise ValueError(
                f"Input {name} contains NaN: it has a gap in row {row}, from which nothing can be learnt; drop "
                f"{int(gaps.sum())} rows, as in X[~gaps], {name}[~gaps]"
            )
    if array.dtype.kind == "O" and all(isinstance(value, int | float | np.number) for value in array.flat):
        array = np.array(array.tolist())  # as nullable integers come
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array).reshape(n_rows, -1).all(axis=1))[0])
        raise ValueError(f"Input {name} contains infinity or a value too large for {array.dtype!r}, in row {row}")
    return array


@dataclass(frozen=True)
class Classes:
    """The labels, in their order, whose numbers the network learns."""

    labels: Array

    @classmethod
    def of(cls, y: Array) -> Self:
        """Learn from targets.

        Raises
        ------
        ValueError
            If they are quantities, or one class only.
        """
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        labels = np.unique(y)
        if len(labels) < 2:
            raise ValueError(
                f"y has one class only, {labels.tolist()[0]!r}, and a classifier learns to tell classes apart: "
                "give rows of two"
            )
        return cls(labels)

    def numbers(self, y: Array, name: str = "y") -> NDArray[np.int64]:
        """Return the number of each row's class."""
        y = column_or_1d(y)
        places = np.minimum(np.searchsorted(self.labels, y), len(self.labels) - 1)
        other = self.labels[places] != y
        if other.any():
            row = int(np.flatnonzero(other)[0])
            raise ValueError(f"{name} has the class {y.tolist()[row]!r} in row {row}, which is not among those of y")
        return places.astype(np.int64)


@dataclass(frozen=True)
class Scale:
    """Mean and deviation of the numbers to learn: what a network learns has 0 and 1."""

    middle: NDArray[np.float64]
    spread: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def of(cls, y: NDArray[np.float64], weight: NDArray[np.float64] | None) -> Self:
        """Learn from targets (n, k)."""
        middle = np.average(y, axis=0, weights=weight)
        # In units of a power of two, which changes no bit: squares of 1e200 and of 1e-200 are numbers, then.
        unit = np.ldexp(1.0, np.clip(np.frexp(np.abs(y - middle).max(axis=0))[1], -1000, 1000))
        spread = unit * np.sqrt(np.average(((y - middle) / unit) ** 2, axis=0, weights=weight))
        return cls(middle, np.where(spread > 0.0, spread, 1.0), y.min(axis=0), y.max(axis=0))

    def scaled(self, y: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return targets as a network learns them."""
        return ((y - self.middle) / self.spread).astype(np.float32)

    def restored(self, outputs: Array) -> NDArray[np.float64]:
        """Return a network's outputs as targets, within those that were learnt from."""
        return np.clip(outputs.astype(np.float64) * self.spread + self.middle, self.low, self.high)
