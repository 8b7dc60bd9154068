"""Losses of scores, which want the right one to be ahead by a margin: of perceptrons and of support vector machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.spec.losses.base import ElementwiseLoss, Interval, Loss, OutputsLoss

if TYPE_CHECKING:
    from fastmlp.spec.losses.base import LossRows

__all__ = ["CrammerSinger", "Hinge", "MultiHinge", "PerceptronCriterion", "SquaredHinge"]

#: How users call them.
Name: TypeAlias = Literal["hinge", "squared_hinge", "perceptron", "multi_hinge", "multi_margin", "crammer_singer"]


@dataclass(frozen=True)
class _Margin(ElementwiseLoss):
    """Base of the losses of scores a that are compared with targets -1 and 1; right is the score's sign."""

    targets: ClassVar[Interval] = Interval(-1, 1)
    metric: ClassVar[str] = "accuracy"


@dataclass(frozen=True)
class Hinge(_Margin):
    """sum_k max(0, 1 - y_k a_k) of targets y that are -1 or 1, as in support vector machines (Cortes and Vapnik 1995).

    Goes with any output activation; its users take "identity" and the sign of the output.

    Parameters
    ----------
    reduction : {"sum", "mean"}, default "sum", by keyword only
        Over the outputs of a row.

    Examples
    --------
    >>> Hinge().name
    'hinge'
    """

    name: ClassVar[str] = "hinge"

    def rows(self, block: LossRows) -> None:
        """sum_k max(0, 1 - y a); delta -y inside the margin."""
        lack = 1.0 - block.y * block.a
        np.sum(np.maximum(lack, 0.0), axis=1, dtype=np.float64, out=block.row_loss)
        np.multiply(np.where(lack > 0.0, -block.y, 0.0), block.scale, out=block.d, casting="same_kind")


@dataclass(frozen=True)
class SquaredHinge(_Margin):
    """sum_k max(0, 1 - y_k a_k)^2 of targets y that are -1 or 1: the hinge without a kink.

    Parameters
    ----------
    reduction : {"sum", "mean"}, default "sum", by keyword only
        Over the outputs of a row.

    Examples
    --------
    >>> SquaredHinge().name
    'squared_hinge'
    """

    name: ClassVar[str] = "squared_hinge"

    def rows(self, block: LossRows) -> None:
        """sum_k max(0, 1 - y a)^2; delta -2 y max(0, 1 - y a)."""
        lack = np.maximum(1.0 - block.y * block.a, 0.0)
        np.sum(lack * lack, axis=1, dtype=np.float64, out=block.row_loss)
        np.multiply(-2.0 * block.y * lack, block.scale, out=block.d)


@dataclass(frozen=True)
class PerceptronCriterion(_Margin):
    """sum_k max(0, -y_k a_k) of targets y that are -1 or 1: what Rosenblatt's rule follows (1958).

    Where an output is 0 it learns, too, or it would never begin.

    Parameters
    ----------
    reduction : {"sum", "mean"}, default "sum", by keyword only
        Over the outputs of a row.

    Examples
    --------
    >>> PerceptronCriterion().name
    'perceptron'
    """

    name: ClassVar[str] = "perceptron"

    def rows(self, block: LossRows) -> None:
        """sum_k max(0, -y a); delta -y where y a is not positive."""
        wrong = -block.y * block.a
        np.sum(np.maximum(wrong, 0.0), axis=1, dtype=np.float64, out=block.row_loss)
        np.multiply(np.where(wrong < 0.0, 0.0, -block.y), block.scale, out=block.d, casting="same_kind")


@dataclass(frozen=True)
class MultiHinge(OutputsLoss):
    """sum_k max(0, 1 - a_c + a_k) over all classes k but the right one c (Weston and Watkins 1999).

    Its mean over outputs, "multi_margin", is PyTorch's MultiMarginLoss. Goes with any output activation; its users take
    "identity" and the class of the largest output.

    Parameters
    ----------
    reduction : {"sum", "mean"}, default "sum", by keyword only
        Over the outputs of a row, all of which are counted.

    Examples
    --------
    >>> MultiHinge().name
    'multi_hinge'
    """

    name: ClassVar[str] = "multi_hinge"
    mean_names: ClassVar[tuple[str, ...]] = ("multi_margin",)
    targets: ClassVar[Interval] = Interval(0)
    labels: ClassVar[bool] = True
    distribution: ClassVar[bool] = True
    metric: ClassVar[str] = "accuracy"

    def rows(self, block: LossRows) -> None:
        """sum_k (1 - y_k) max(0, 1 - t + a_k), t = sum_k y_k a_k; delta 1 of others near, minus their number of y."""
        y = block.y
        lack = (1.0 - (y * block.a).sum(axis=1, keepdims=True)) + block.a
        pushed = np.where(lack > 0.0, 1.0 - y, 0.0).astype(y.dtype)
        np.sum((1.0 - y) * np.maximum(lack, 0.0), axis=1, dtype=np.float64, out=block.row_loss)
        np.multiply(pushed - y * pushed.sum(axis=1, keepdims=True), block.scale, out=block.d)


@dataclass(frozen=True)
class CrammerSinger(Loss):
    """max(0, 1 - a_c + a_k) of the right class c and the largest a_k of the others (Crammer and Singer 2001).

    Of `MultiHinge`'s sum, the largest term alone, as in scikit-learn's ``LinearSVC(multi_class="crammer_singer")``.
    (Keras's CategoricalHinge takes 0 in the place of a largest that is negative.) Of probabilities y it is
    max_k (1 - y_k + a_k) - sum_k y_k a_k. Goes with any output activation; its users take "identity" and the class of
    the largest output.

    Examples
    --------
    >>> CrammerSinger().name
    'crammer_singer'
    """

    name: ClassVar[str] = "crammer_singer"
    targets: ClassVar[Interval] = Interval(0)
    labels: ClassVar[bool] = True
    distribution: ClassVar[bool] = True
    metric: ClassVar[str] = "accuracy"

    def rows(self, block: LossRows) -> None:
        """max_k (1 - y_k + a_k) - sum_k y_k a_k; delta 1 of the first k that is largest, minus y."""
        y, each = block.y, np.arange(len(block.a))
        ahead = (1.0 - y) + block.a
        place = ahead.argmax(axis=1)
        own = (y * block.a).sum(axis=1)
        np.subtract(ahead[each, place], own, out=block.row_loss)
        delta = -y
        delta[each, place] += 1.0
        np.multiply(delta, block.scale, out=block.d)
