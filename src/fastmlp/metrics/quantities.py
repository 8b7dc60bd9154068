"""Metrics of estimated quantities: errors, and the share of a deviance that is explained. Of several outputs, means."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastmlp.data import chunks
from fastmlp.metrics.base import Mean, MeanOfThere, Metric, Mode, Score, Task
from fastmlp.spec import Loss, LossName, SquaredError, as_loss
from fastmlp.spec.checks import inner_fraction

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastmlp.spec import Array

__all__ = ["D2", "MAE", "MAPE", "MSE", "R2", "RMSE", "CosineSimilarity", "D2AbsoluteError", "D2Pinball", "Pinball"]


@dataclass(frozen=True)
class OfQuantities(Metric):
    """Base of the metrics that compare each output with its target. Classes count as rows of 0 and 1."""


# ---- errors ---------------------------------------------------------------------------------------------------------


class _OfErrors(OfQuantities):
    """Base of the means of errors."""

    mode: ClassVar[Mode | None] = "min"
    takes_gaps: ClassVar[bool] = True
    end: ClassVar[Callable[[Any], Any]] = np.mean

    def start(self, task: Task, y: Array, weight: NDArray[np.float64] | None) -> Score:  # noqa: ARG002
        kind = MeanOfThere if task.gaps else Mean
        return kind(lambda y, outputs: self._of(task.numbers(y), outputs), type(self).end)

    @abstractmethod
    def _of(self, y: Array, outputs: Array) -> Array:
        """The error of each output."""


class MAE(_OfErrors):
    """Mean absolute error.

    Examples
    --------
    >>> from fastmlp.metrics import mae
    >>> mae([1.0, 2.0], [1.5, 4.0])
    1.25
    """

    kind: ClassVar[str] = "mae"

    def _of(self, y: Array, outputs: Array) -> Array:
        error: Array = np.abs(y - outputs)
        return error


class MSE(_OfErrors):
    """Mean squared error, without the 1/2 of the loss.

    Examples
    --------
    >>> from fastmlp.metrics import mse
    >>> mse([1.0, 2.0], [1.5, 4.0])
    2.125
    """

    kind: ClassVar[str] = "mse"

    def _of(self, y: Array, outputs: Array) -> Array:
        error: Array = np.square(y - outputs)
        return error


def _mean_of_roots(squares: Any) -> Any:
    """Return the mean over the outputs of the roots of their mean squared errors."""
    return np.sqrt(squares).mean()


class RMSE(MSE):
    """Root of the mean squared error; of several outputs, the mean of their roots.

    Examples
    --------
    >>> from fastmlp.metrics import rmse
    >>> rmse([1.0, 2.0], [2.0, 4.0]) == 2.5**0.5
    True
    """

    kind: ClassVar[str] = "rmse"
    end: ClassVar[Callable[[Any], Any]] = staticmethod(_mean_of_roots)


class MAPE(_OfErrors):
    """Mean of |error| / |target|, 0.1 for 10 %; targets near 0 make it huge.

    Examples
    --------
    >>> from fastmlp.metrics import mape
    >>> mape([1.0, 2.0], [1.5, 4.0])
    0.75
    """

    kind: ClassVar[str] = "mape"

    def _of(self, y: Array, outputs: Array) -> Array:
        share: Array = np.abs(y - outputs) / np.maximum(np.abs(y), np.finfo(np.float64).eps)
        return share


@dataclass(frozen=True)
class _OfQuantile(OfQuantities):
    """Base of the metrics of estimates of a quantile."""

    q: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "q", inner_fraction(self.q, "q"))

    @property
    def name(self) -> str:
        """The name, with the quantile unless it is the median."""
        return self.kind if self.q == 0.5 else f"{self.kind}_{self.q:g}"

    def check(self, task: Task) -> None:
        super().check(task)
        if task.loss.heads > 1:
            _head_of(task.loss, self.q)

    def columns(self, loss: Loss, outputs: Array) -> Array:
        """Return the outputs that estimate this quantile."""
        return outputs if loss.heads == 1 else outputs[:, _head_of(loss, self.q) :: loss.heads]


class Pinball(_OfQuantile, _OfErrors):
    """Mean pinball loss of estimates of a quantile: q (y - a) where y is above a, else (1 - q) (a - y).

    Parameters
    ----------
    q : float, default 0.5
        The quantile, > 0 and < 1. Its name is "pinball", with another q "pinball_0.9".

    Examples
    --------
    >>> from fastmlp.metrics import Pinball
    >>> Pinball(0.9)([2.0, 1.0], [1.0, 1.0])
    0.45
    """

    kind: ClassVar[str] = "pinball"

    def _of(self, y: Array, outputs: Array) -> Array:
        return _pinball(y, outputs, self.q)


def _head_of(loss: Loss, q: float) -> int:
    """Find the place of a quantile among those that a target has outputs for; a ValueError if it is none of them."""
    for head, level in enumerate(loss.levels):
        if f"{level:g}" == f"{q:g}":
            return head
    known = ", ".join(f"{level:g}" for level in loss.levels)
    raise ValueError(f"there is no output for the quantile {q:g}: the loss {loss.name} has {known}")


def _pinball(y: Array, estimate: Array, q: float) -> Array:
    error = y - estimate
    loss: Array = np.maximum(q * error, (q - 1) * error)
    return loss


class CosineSimilarity(OfQuantities):
    """Mean of the cosines of the angles between outputs and targets, from -1 to 1; of a row of zeros it is 0.

    Examples
    --------
    >>> from fastmlp.metrics import cosine_similarity
    >>> cosine_similarity([[1.0, 0.0], [3.0, 4.0]], [[2.0, 0.0], [3.0, 4.0]])
    1.0
    """

    kind: ClassVar[str] = "cosine_similarity"

    def start(self, task: Task, y: Array, weight: NDArray[np.float64] | None) -> Score:  # noqa: ARG002
        def of_rows(y: Array, outputs: Array) -> Array:
            target, found = task.numbers(y), outputs.astype(np.float64)
            norms = np.sqrt(np.square(target).sum(axis=1)) * np.sqrt(np.square(found).sum(axis=1))
            cosines: Array = (target * found).sum(axis=1) / np.where(norms == 0.0, 1.0, norms)
            return cosines

        return Mean(of_rows)


# ---- explained shares -----------------------------------------------------------------------------------------------


class Explained(Score):
    """Share of the deviance that outputs explain and the best constant does not: 1 - D(y, outputs) / D(y, constant).

    An output for which the constant is perfect, since its targets are all alike, counts 1 if it is met exactly and 0
    otherwise.
    """

    def __init__(self, task: Task, deviance: Callable[[Array, Array], Array], constant: NDArray[np.float64]) -> None:
        self.task, self.deviance, self.constant = task, deviance, constant
        self.residual, self.spread = np.zeros_like(constant), np.zeros_like(constant)

    def add(self, y: Array, outputs: Array, weight: NDArray[np.float64]) -> None:
        target, column = self.task.numbers(y), weight[:, np.newaxis]
        column = np.where(np.isnan(target), 0.0, column) if self.task.gaps else column
        self.residual += self._sum(column, self.deviance(target, outputs))
        self.spread += self._sum(column, self.deviance(target, self.constant))

    def value(self) -> float:
        flat = self.spread == 0
        ratio = self.residual / np.where(flat, 1.0, self.spread)
        explained = np.where(flat, np.where(self.residual == 0, 1.0, 0.0), 1 - ratio)
        return float((explained[~np.isnan(self.constant)] if self.task.gaps else explained).mean())

    def _sum(self, weight: Array, deviance: Array) -> Array:
        """Add up over the rows; where targets may be NaN, what weighs 0 is nothing."""
        terms = weight * deviance
        sums: Array = (np.where(weight == 0.0, 0.0, terms) if self.task.gaps else terms).sum(axis=0)
        return sums


def _mean(task: Task, y: Array, weight: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Compute the mean of each column first: sums of squares around it do not cancel."""
    total: Any = 0.0
    sums = np.zeros(task.n_outputs)
    for part in chunks(len(y), task.n_outputs):
        w = np.ones(part.stop - part.start) if weight is None else weight[part]
        numbers = task.numbers(y[part])
        if task.gaps:
            there = ~np.isnan(numbers)
            numbers = np.where(there, numbers, 0.0)
            total = total + (w[:, np.newaxis] * there).sum(axis=0)
        else:
            total += float(w.sum())
        sums += (numbers * w[:, np.newaxis]).sum(axis=0)
    means: NDArray[np.float64] = sums / total
    return means


def _quantile(task: Task, y: Array, weight: NDArray[np.float64] | None, q: float) -> NDArray[np.float64]:
    """Find in each column the smallest number that at least a share q of the rows do not exceed."""
    found = np.empty(task.n_outputs)
    for k, column in enumerate(task.numbers(y).T):
        order = np.argsort(column, kind="stable")  # NaN at the end
        order = order[: max(np.count_nonzero(column == column), 1)]
        sums = np.cumsum(np.ones(len(order)) if weight is None else weight[order])
        found[k] = column[order[np.searchsorted(sums, q * sums[-1]).clip(max=len(order) - 1)]]
    return found


class R2(OfQuantities):
    """Coefficient of determination: 1 - sum (y - a)^2 / sum (y - mean of y)^2.

    An output with constant targets counts 1 if it is met exactly and 0 otherwise.

    Examples
    --------
    >>> from fastmlp.metrics import r2
    >>> r2([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    0.5
    """

    kind: ClassVar[str] = "r2"
    takes_gaps: ClassVar[bool] = True

    def start(self, task: Task, y: Array, weight: NDArray[np.float64] | None) -> Score:
        return Explained(task, SquaredError().deviance, _mean(task, y, weight))


@dataclass(frozen=True)
class D2(OfQuantities):
    """Share of a loss's deviance that is explained: 1 - D(y, a) / D(y, mean of y).

    Parameters
    ----------
    loss : str, Loss or None
        Such as "poisson", "gamma" or ``fastmlp.Tweedie(1.5)``, whose deviances scikit-learn's ``d2_tweedie_score``
        calls powers 1, 2 and 1.5. None: the network's, or the squared error, which makes it `R2`.

    Examples
    --------
    >>> from fastmlp.metrics import D2
    >>> round(D2("poisson")([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]), 6)
    0.738262
    """

    kind: ClassVar[str] = "d2"
    takes_gaps: ClassVar[bool] = True

    loss: LossName | Loss | None = None

    def __post_init__(self) -> None:
        if self.loss is not None:
            object.__setattr__(self, "loss", as_loss(self.loss))

    @property
    def name(self) -> str:
        """The name, with that of the loss if one was given."""
        return self.kind if self.loss is None else f"{self.kind}_{as_loss(self.loss).name}"

    def _deviance_of(self, task: Task) -> Callable[[Array, Array], Array]:
        return (task.loss if self.loss is None else as_loss(self.loss)).deviance

    def check(self, task: Task) -> None:
        super().check(task)
        loss = task.loss if self.loss is None else as_loss(self.loss)
        if loss.metric == "accuracy":
            raise ValueError(f"d2 is a share of a deviance, and {loss.name} has none: name another, as D2('poisson')")

    def start(self, task: Task, y: Array, weight: NDArray[np.float64] | None) -> Score:
        return Explained(task, self._deviance_of(task), _mean(task, y, weight))


class D2Pinball(_OfQuantile):
    """Share of the mean pinball loss that is explained: 1 - that of the outputs / that of the targets' own quantile.

    Parameters
    ----------
    q : float, default 0.5
        The quantile, > 0 and < 1. Its name is "d2_pinball", with another q "d2_pinball_0.9".

    Examples
    --------
    >>> from fastmlp.metrics import d2_pinball
    >>> d2_pinball([1.0, 2.0, 3.0], [1.0, 3.0, 3.0])
    0.5
    """

    kind: ClassVar[str] = "d2_pinball"
    takes_gaps: ClassVar[bool] = True

    def start(self, task: Task, y: Array, weight: NDArray[np.float64] | None) -> Score:
        return Explained(task, lambda y, a: _pinball(y, a, self.q), _quantile(task, y, weight, self.q))


class D2AbsoluteError(OfQuantities):
    """Share of the mean absolute error that is explained: 1 - that of the outputs / that of the targets' median.

    Examples
    --------
    >>> from fastmlp.metrics import d2_absolute_error
    >>> d2_absolute_error([1.0, 2.0, 3.0], [1.0, 3.0, 3.0])
    0.5
    """

    kind: ClassVar[str] = "d2_absolute_error"
    takes_gaps: ClassVar[bool] = True

    def start(self, task: Task, y: Array, weight: NDArray[np.float64] | None) -> Score:
        return Explained(task, lambda y, a: np.abs(y - a), _quantile(task, y, weight, 0.5))
