"""Metrics of classes, and of answers that are yes or no."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fastmlp.metrics.base import Mean, MeanOfThere, Metric, Mode, Score, Task
from fastmlp.spec.checks import choice, integer

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastmlp.spec import Array

__all__ = ["F1", "Accuracy", "BalancedAccuracy", "LogLoss", "Precision", "Recall", "TopKAccuracy", "ZeroOne"]

AVERAGES = ("auto", "binary", "macro", "micro", "weighted")


@dataclass(frozen=True)
class OfClasses(Metric):
    """Base of the metrics of classes and answers."""

    of_classes: ClassVar[bool] = True

    def check(self, task: Task) -> None:
        if task.kind == "numbers" and task.n_outputs == 1:
            raise ValueError(
                f"{self.name} is a metric of classes; the loss {task.loss.name} with one output has none: take "
                "loss='binary_cross_entropy', or a function of your own that tells them apart"
            )


class Accuracy(OfClasses):
    """Share of rows whose largest output is their class; of answers, share of those that are right.

    Where y_true is a matrix, a row's class is that of its largest entry. A yes is an output of 1/2 or more.

    Examples
    --------
    >>> from fastmlp.metrics import accuracy
    >>> accuracy([0, 1, 2], [[0.5, 0.3, 0.2], [0.2, 0.7, 0.1], [0.4, 0.3, 0.3]])
    0.6666666666666666
    """

    kind: ClassVar[str] = "accuracy"
    takes_gaps: ClassVar[bool] = True

    def start(self, task: Task, y: Array, weight: NDArray[np.float64] | None) -> Score:  # noqa: ARG002
        if task.gaps:
            return MeanOfThere(lambda y, outputs: task.answers(y) == task.answers(outputs), None)
        if task.kind == "answers":
            return Mean(lambda y, outputs: (task.answers(y) == task.answers(outputs)).mean(axis=1))
        return Mean(lambda y, outputs: task.classes(y) == task.classes(outputs))


class ZeroOne(OfClasses):
    """Share of rows that are wrong, be it in one answer of several.

    Examples
    --------
    >>> from fastmlp.metrics import zero_one
    >>> zero_one([1, 0, 1, 1], [0.9, 0.2, 0.6, 0.4])
    0.25
    """

    kind: ClassVar[str] = "zero_one"
    mode: ClassVar[Mode | None] = "min"

    def start(self, task: Task, y: Array, weight: NDArray[np.float64] | None) -> Score:  # noqa: ARG002
        if task.kind == "answers":
            return Mean(lambda y, outputs: (task.answers(y) != task.answers(outputs)).any(axis=1))
        return Mean(lambda y, outputs: task.classes(y) != task.classes(outputs))


@dataclass(frozen=True)
class TopKAccuracy(OfClasses):
    """Share of rows whose class is among those of the k largest outputs; of equal ones the first counts as larger.

    Parameters
    ----------
    k : int, default 5
        At least 1, at most the number of classes. Its name is "top_5_accuracy", with another k "top_3_accuracy".

    Examples
    --------
    >>> from fastmlp.metrics import TopKAccuracy
    >>> TopKAccuracy(2)([0, 1, 2], [[0.5, 0.3, 0.2], [0.2, 0.7, 0.1], [0.4, 0.3, 0.3]])
    0.6666666666666666
    """

    k: int = 5

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", integer(self.k, "k", 1))

    @property
    def name(self) -> str:
        """The name with its k."""
        return f"top_{self.k}_accuracy"

    def check(self, task: Task) -> None:
        super().check(task)
        if task.kind == "answers":
            raise ValueError(f"{self.name} is a metric of classes, one of several for each row; here are answers")
        if self.k > task.n_outputs:
            raise ValueError(f"k of {self.name} must be from 1 to {task.n_outputs}, the number of classes")

    def start(self, task: Task, y: Array, weight: NDArray[np.float64] | None) -> Score:  # noqa: ARG002
        def right(y: Array, outputs: Array) -> Array:
            classes = task.classes(y)[:, np.newaxis]
            own = np.take_along_axis(outputs, classes, axis=1)
            before = np.arange(outputs.shape[1]) < classes
            ahead = ~(outputs <= own) | ((outputs == own) & before)  # NaN is ahead of all: a network that is lost
            is_among: Array = ahead.sum(axis=1) < self.k
            return is_among

        return Mean(right)


class LogLoss(OfClasses):
    """Mean of -log of the probability that a row's class had, or an answer (of several, their mean).

    Probabilities are cut to [e, 1 - e], e the distance from 1 to the next number of their dtype, as scikit-learn does.

    Examples
    --------
    >>> from fastmlp.metrics import log_loss
    >>> round(log_loss([1, 0], [0.5, 0.75]), 6)
    1.039721
    """

    kind: ClassVar[str] = "log_loss"
    mode: ClassVar[Mode | None] = "min"

    def check(self, task: Task) -> None:
        super().check(task)
        if not task.probabilities:
            raise ValueError("log_loss is of probabilities: outputs must be those of a softmax or logistic")

    def start(self, task: Task, y: Array, weight: NDArray[np.float64] | None) -> Score:  # noqa: ARG002
        def surprise(y: Array, outputs: Array) -> Array:
            tiny = np.finfo(outputs.dtype if outputs.dtype.kind == "f" else np.float64).eps
            p = np.clip(outputs.astype(np.float64), tiny, 1 - tiny)
            if task.kind == "answers":
                yes = y.astype(np.float64)
                of_labels: Array = -(yes * np.log(p) + (1 - yes) * np.log1p(-p)).mean(axis=1)
                return of_labels
            of_classes: Array = -(task.numbers(y) * np.log(p)).sum(axis=1)
            return of_classes

        return Mean(surprise)


# ---- of counts ------------------------------------------------------------------------------------------------------


class Counts(Score):
    """Weights of the rows, by class or label: those that have it, are said to, and both."""

    def __init__(self, task: Task, end: Callable[[Counts], float]) -> None:
        self.task, self.end, self.multilabel = task, end, not task.n_classes
        width = task.n_classes or task.n_outputs
        self.hits, self.said, self.true, self.rows = np.zeros(width), np.zeros(width), np.zeros(width), np.zeros(width)
        self.total = 0.0

    def add(self, y: Array, outputs: Array, weight: NDArray[np.float64]) -> None:
        self.total += float(weight.sum())
        if self.multilabel:
            yes, answers = self.task.answers(y), self.task.answers(outputs)
            column = weight[:, np.newaxis]
            self.hits += (column * (yes & answers)).sum(axis=0)
            self.said += (column * answers).sum(axis=0)
            self.true += (column * yes).sum(axis=0)
            self.rows += len(y)  # a label is one whether it occurs or not
            return
        width, true, said = len(self.hits), self.task.classes(y), self.task.classes(outputs)
        right = true == said
        self.hits += np.bincount(true[right], weight[right], minlength=width)
        self.said += np.bincount(said, weight, minlength=width)
        self.true += np.bincount(true, weight, minlength=width)
        self.rows += np.bincount(true, minlength=width) + np.bincount(said, minlength=width)

    def value(self) -> float:
        return self.end(self)


def _ratio(part: Array, whole: Array) -> Array:
    """Divide where there is something to divide by; 0 elsewhere."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole != 0)


class BalancedAccuracy(OfClasses):
    """Mean over classes of the share of their rows that are right; classes without rows do not count.

    Of several answers the mean of each one's.

    Examples
    --------
    >>> from fastmlp.metrics import balanced_accuracy
    >>> balanced_accuracy([0, 0, 0, 1], [0.1, 0.2, 0.7, 0.9])
    0.8333333333333333
    """

    kind: ClassVar[str] = "balanced_accuracy"

    def start(self, task: Task, y: Array, weight: NDArray[np.float64] | None) -> Score:  # noqa: ARG002
        return Counts(task, self._of)

    @staticmethod
    def _of(counts: Counts) -> float:
        hits, true = counts.hits, counts.true
        if counts.multilabel:
            hits = np.stack([hits, counts.total - counts.said - counts.true + hits])
            true = np.stack([true, counts.total - true])
        share = np.where(true > 0, hits / true, np.nan)
        return float(np.nanmean(share, axis=0).mean())


@dataclass(frozen=True)
class _OfCounts(OfClasses):
    """Base of precision, recall and F1: a ratio for each class or label, averaged."""

    average: str = "auto"

    def __post_init__(self) -> None:
        choice(self.average, "average", AVERAGES)

    @property
    def name(self) -> str:
        """The name, with the average unless that is left to the task."""
        return self.kind if self.average == "auto" else f"{self.kind}_{self.average}"

    def check(self, task: Task) -> None:
        super().check(task)
        if self.average == "binary" and task.n_classes != 2:
            raise ValueError(f"average of {self.kind} must be 'macro', 'micro' or 'weighted' where classes are not two")

    def start(self, task: Task, y: Array, weight: NDArray[np.float64] | None) -> Score:  # noqa: ARG002
        return Counts(task, self._of)

    def _of(self, counts: Counts) -> float:
        hits, said, true = counts.hits, counts.said, counts.true
        average = self.average
        if average == "auto":
            average = "binary" if counts.task.n_classes == 2 else "macro"
        if average == "micro":
            return float(self._by_class(hits.sum(keepdims=True), said.sum(keepdims=True), true.sum(keepdims=True))[0])
        each = self._by_class(hits, said, true)
        if average == "binary":
            return float(each[1])
        if average == "weighted":
            return float(_ratio((true * each).sum(keepdims=True), true.sum(keepdims=True))[0])
        return float(each[counts.rows > 0].mean())

    @abstractmethod
    def _by_class(self, hits: Array, said: Array, true: Array) -> Array:
        """The metric of each class, by its counts."""


class Precision(_OfCounts):
    """Share of the rows said to be of a class that are; 0 if none is said to be.

    Parameters
    ----------
    average : {"auto", "binary", "macro", "micro", "weighted"}
        As for `F1`.

    Examples
    --------
    >>> from fastmlp.metrics import precision
    >>> precision([1, 0, 1, 1], [0.9, 0.6, 0.7, 0.1])
    0.6666666666666666
    """

    kind: ClassVar[str] = "precision"

    def _by_class(self, hits: Array, said: Array, true: Array) -> Array:  # noqa: ARG002
        return _ratio(hits, said)


class Recall(_OfCounts):
    """Share of the rows of a class that are said to be of it; 0 if there are none.

    Parameters
    ----------
    average : {"auto", "binary", "macro", "micro", "weighted"}
        As for `F1`.

    Examples
    --------
    >>> from fastmlp.metrics import recall
    >>> recall([1, 0, 1, 1], [0.9, 0.6, 0.7, 0.1])
    0.6666666666666666
    """

    kind: ClassVar[str] = "recall"

    def _by_class(self, hits: Array, said: Array, true: Array) -> Array:  # noqa: ARG002
        return _ratio(hits, true)


class F1(_OfCounts):
    """Harmonic mean of precision and recall of a class: 2 hits / (rows said to be of it + rows of it), 0 for 0 / 0.

    Parameters
    ----------
    average : {"auto", "binary", "macro", "micro", "weighted"}
        Binary: of class 1, or of yes, where there are two. Macro: the mean over the classes that occur among targets or
        predictions, or over all labels. Micro: of all counts together. Weighted: the mean weighted by the rows of each.
        Auto: binary where there are two classes, else macro. scikit-learn has the same four.

    Examples
    --------
    >>> from fastmlp.metrics import F1, f1
    >>> f1([1, 0, 1, 1], [0.9, 0.6, 0.7, 0.1])
    0.6666666666666666
    >>> F1("macro")([0, 1, 2, 2], [0, 2, 2, 2])
    0.6
    """

    kind: ClassVar[str] = "f1"

    def _by_class(self, hits: Array, said: Array, true: Array) -> Array:
        return _ratio(2 * hits, said + true)
