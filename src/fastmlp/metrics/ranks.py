"""Metrics of the order in which outputs put rows: they need all outputs at once."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fastmlp.metrics.base import Score, Task, Whole
from fastmlp.metrics.classes import OfClasses

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.spec import Array

__all__ = ["AUC", "AveragePrecision"]


class _Ranking(OfClasses):
    """Base of the metrics that hold the rows with a class or label against all others, by their outputs for it.

    Of several classes or labels the mean; those that all rows have, or none, do not count, and without any other the
    metric is NaN.
    """

    def start(self, task: Task, y: Array, weight: NDArray[np.float64] | None) -> Score:
        def of_all(y: Array, outputs: Array, weight: NDArray[np.float64] | None) -> float:
            n_classes = task.n_classes
            if n_classes == 0:
                yes = task.answers(y)
            elif n_classes == 2:  # one curve: that of the other class is the same, read backwards
                yes, outputs = task.classes(y)[:, np.newaxis] == 1, outputs[:, -1:]
            else:
                yes = task.classes(y)[:, np.newaxis] == np.arange(n_classes)
            w = np.ones(len(outputs)) if weight is None else weight
            each = np.array([self._of(*_climb(yes[:, k], outputs[:, k], w)) for k in range(yes.shape[1])])
            defined = ~np.isnan(each)
            return float(each[defined].mean()) if defined.any() else np.nan

        return Whole(of_all, y, weight)

    @abstractmethod
    def _of(self, hits: NDArray[np.float64], misses: NDArray[np.float64]) -> float:
        """The metric, by hits and misses above each threshold."""


def _climb(
    yes: NDArray[np.bool_], score: Array, weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower a threshold from one score to the next: the weights of the rows with a yes above it, and without one."""
    order = np.argsort(-score, kind="stable")
    score, yes, weight = score[order], yes[order], weight[order]
    ends = np.append(np.flatnonzero(score[1:] != score[:-1]), len(score) - 1)  # rows with equal scores go together
    hits = np.concatenate([[0.0], np.cumsum(weight * yes)[ends]])
    misses = np.concatenate([[0.0], np.cumsum(weight * ~yes)[ends]])
    if np.isnan(score[-1]):  # which the sort puts last
        hits[:] = np.nan
    return hits, misses


class AUC(_Ranking):
    """Area under the receiver operating characteristic: the share of pairs, a yes and a no, in the right order.

    Pairs with equal outputs count 1/2. Of several classes it is the mean of each against all others ("one versus
    rest"), of several labels the mean over them; those that all rows have, or none, do not count, and without any other
    it is NaN. (Fawcett, "An introduction to ROC analysis", 2006.)

    Examples
    --------
    >>> from fastmlp.metrics import auc
    >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """

    kind: ClassVar[str] = "auc"

    def _of(self, hits: NDArray[np.float64], misses: NDArray[np.float64]) -> float:
        area = float((np.diff(misses) * (hits[1:] + hits[:-1])).sum())
        return area / (2 * hits[-1] * misses[-1]) if hits[-1] * misses[-1] != 0 else np.nan


class AveragePrecision(_Ranking):
    """Mean precision over the rows with a yes, each at the threshold that is its own output; for rare classes.

    Of several classes or labels the mean, as for `AUC`. scikit-learn's ``average_precision_score``, with which it is
    NaN where there is no yes.

    Examples
    --------
    >>> from fastmlp.metrics import average_precision
    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 6)
    0.833333
    """

    kind: ClassVar[str] = "average_precision"

    def _of(self, hits: NDArray[np.float64], misses: NDArray[np.float64]) -> float:
        said = (hits + misses)[1:]
        precision = np.divide(hits[1:], said, out=np.zeros_like(said), where=said != 0)
        return float((np.diff(hits) * precision).sum() / hits[-1]) if hits[-1] != 0 else np.nan
