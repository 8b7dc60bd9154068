"""Cross entropies of probabilities, computed from their logits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.spec.checks import check_fields, fraction, integer, positive
from fastmlp.spec.losses.base import ElementwiseLoss, Interval, Loss, Target

if TYPE_CHECKING:
    from fastmlp.spec.losses.base import LossRows
    from fastmlp.spec.names import Array

__all__ = ["BinaryCrossEntropy", "CrossEntropy"]

#: How users call them.
Name: TypeAlias = Literal[
    "cross_entropy", "crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy", "log_loss", "nll",
    "binary_cross_entropy", "bce", "binary_crossentropy",
]  # fmt: skip


@dataclass(frozen=True)
class _Clipped(Loss):
    """Base of the losses of probabilities, which may be cut for the report, of targets that may be smoothed."""

    clip: float = 0.0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self, label_smoothing=fraction)
        number = fraction(self.clip, "clip")
        if number >= 0.5:
            raise ValueError(f"clip must be >= 0 and < 0.5, got {number!r}")
        object.__setattr__(self, "clip", number)
        if number and self.params[1:] != type(self)().params[1:]:
            raise ValueError(f"clip is for the report of the plain loss and must be 0.0 here, got {number!r}")
        if isinstance(self, ElementwiseLoss):
            ElementwiseLoss.__post_init__(self)


@dataclass(frozen=True)
class CrossEntropy(_Clipped):
    """-sum_k y_k log a_k over the outputs a of a softmax, computed from its logits.

    Parameters
    ----------
    clip : float, default 0.0
        >= 0 and < 1/2. What is reported is the loss of probabilities cut to [clip, 1 - clip], as scikit-learn does it
        with the distance from 1 to the next number of the dtype. The gradient is that of the loss without a cut.
    label_smoothing : float, default 0.0
        >= 0 and < 1. Of so much of a row's target, each of the K classes gets the same: (1 - s) y + s / K, as in Keras
        and PyTorch (Szegedy et al. 2016).
    ignore_index : int, optional, by keyword only
        A number in the place of a class, such as -100, that says that a row has none: it weighs 0, as in PyTorch, and
        no metric counts it. Only where targets are numbers of classes.

    Examples
    --------
    >>> CrossEntropy().name
    'cross_entropy'
    """

    name: ClassVar[str] = "cross_entropy"
    aliases: ClassVar[tuple[str, ...]] = (
        "crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy", "log_loss", "nll",
    )  # fmt: skip
    output: ClassVar[str] = "softmax"
    usual: ClassVar[bool] = True
    targets: ClassVar[Interval] = Interval(0)
    labels: ClassVar[bool] = True
    distribution: ClassVar[bool] = True
    metric: ClassVar[str] = "accuracy"
    mixes: ClassVar[bool] = True
    later: ClassVar[tuple[str, ...]] = ("label_smoothing", "ignore_index")

    ignore_index: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ignore_index is not None:
            object.__setattr__(self, "ignore_index", integer(self.ignore_index, "ignore_index", -(2**31), 2**31 - 1))

    @property
    def ignored(self) -> int | None:
        """As asked for."""
        return self.ignore_index

    def rows(self, block: LossRows) -> None:
        """-sum_k y_k log softmax(z)_k; delta p sum_k y_k - y.

        With m the largest logit it is log(sum_k exp(z_k - m)) sum_k y_k - sum_k y_k (z_k - m). A label is
        a y with a single one.
        """
        if self.label_smoothing:
            share = self.label_smoothing / block.a.shape[1]
            smoothed = ((1.0 - self.label_smoothing) * block.y + share).astype(block.a.dtype)
            block = block._replace(target=Target(smoothed, None))
        a, d = block.a, block.d
        column = block.scratch.column
        np.amax(a, axis=1, keepdims=True, out=column)
        np.subtract(a, column, out=a)
        picked: Array
        if block.target.labels is not None:
            picked = a.reshape(-1).take(block.target.labels)
        else:
            np.not_equal(block.y, 0.0, out=block.scratch.mask)  # 0 times -infinity is no loss
            block.scratch.matrix.fill(0.0)
            np.multiply(a, block.y, out=block.scratch.matrix, where=block.scratch.mask)
            picked = block.scratch.matrix.sum(axis=1, dtype=np.float64)
        np.exp(a, out=a)
        np.sum(a, axis=1, keepdims=True, out=column)
        np.divide(a, column, out=a)
        np.copyto(block.row_loss, column[:, 0])
        np.log(block.row_loss, out=block.row_loss)
        if block.target.labels is not None:
            np.multiply(a, block.scale, out=d)
            d.reshape(-1)[block.target.labels] -= np.ravel(block.scale)
        else:
            np.sum(block.y, axis=1, keepdims=True, out=column)
            np.multiply(block.row_loss, column[:, 0], out=block.row_loss)
            np.multiply(a, column, out=d)
            np.subtract(d, block.y, out=d)
            np.multiply(d, block.scale, out=d)
        np.subtract(block.row_loss, picked, out=block.row_loss)
        if self.clip:
            self._report_clipped(block)

    def _report_clipped(self, block: LossRows) -> None:
        """Report -sum_k y_k log p_k of the probabilities p, cut to [clip, 1 - clip]; NaN passes."""
        logs = block.scratch.matrix
        np.clip(block.a, self.clip, 1.0 - self.clip, out=logs)
        np.log(logs, out=logs)
        if block.target.labels is not None:
            np.copyto(block.row_loss, logs.reshape(-1).take(block.target.labels))
        else:
            np.multiply(logs, block.y, out=logs)
            np.sum(logs, axis=1, dtype=np.float64, out=block.row_loss)
        np.negative(block.row_loss, out=block.row_loss)


@dataclass(frozen=True)
class BinaryCrossEntropy(_Clipped, ElementwiseLoss):
    """-sum_k y_k log a_k + (1 - y_k) log(1 - a_k) over logistic outputs a, computed from their logits.

    Parameters
    ----------
    clip : float, default 0.0
        >= 0 and < 1/2. What is reported is the loss of probabilities cut to [clip, 1 - clip], as scikit-learn does it
        with the distance from 1 to the next number of the dtype. The gradient is that of the loss without a cut.
    label_smoothing : float, default 0.0
        >= 0 and < 1. Targets are drawn to 1/2: (1 - s) y + s / 2, as in Keras.
    pos_weight : float, default 1.0
        > 0. What the first part of the sum is multiplied by, as in PyTorch: more than 1 where a yes is rare.
    reduction : {"sum", "mean"}, default "sum", by keyword only
        Over the outputs of a row; the name "bce" means "mean".

    Examples
    --------
    >>> BinaryCrossEntropy().name
    'binary_cross_entropy'
    """

    name: ClassVar[str] = "binary_cross_entropy"
    mean_names: ClassVar[tuple[str, ...]] = ("bce", "binary_crossentropy")
    output: ClassVar[str] = "logistic"
    usual: ClassVar[bool] = True
    targets: ClassVar[Interval] = Interval(0, 1)
    metric: ClassVar[str] = "accuracy"
    mixes: ClassVar[bool] = True
    later: ClassVar[tuple[str, ...]] = ("label_smoothing", "pos_weight", *ElementwiseLoss.later)

    pos_weight: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self, pos_weight=positive)
        super().__post_init__()

    def rows(self, block: LossRows) -> None:
        """sum_k max(z_k, 0) - z_k y_k + log(1 + exp(-|z_k|)); delta logistic(z) - y."""
        if self.label_smoothing or self.pos_weight != 1.0:
            self._weighted_rows(block)
            return
        a, d = block.a, block.d
        small = block.scratch.matrix
        np.abs(a, out=small)
        np.negative(small, out=small)
        np.exp(small, out=small)  # exp(-|z|), in the loss and in both branches of the logistic function
        np.log1p(small, out=d)
        np.greater_equal(a, 0.0, out=block.scratch.mask)
        np.sum(d, axis=1, dtype=np.float64, out=block.row_loss)
        np.maximum(a, 0.0, out=d)
        np.multiply(a, block.y, out=a)
        np.subtract(d, a, out=d)
        np.add(block.row_loss, np.sum(d, axis=1, dtype=np.float64), out=block.row_loss)
        np.add(small, 1.0, out=a)
        np.maximum(small, block.scratch.mask, out=small)  # 1 where z >= 0, else e
        np.divide(small, a, out=a)  # logistic(z) = 1 / (1 + e) or e / (1 + e)
        np.subtract(a, block.y, out=d)
        np.multiply(d, block.scale, out=d)
        if self.clip:
            self._report_clipped(block)

    def _weighted_rows(self, block: LossRows) -> None:
        """sum_k (1 - y) z + q softplus(-z), q = 1 + (w - 1) y, of smoothed y; delta 1 - y - q logistic(-z)."""
        a = block.a
        y = (1.0 - self.label_smoothing) * block.y + 0.5 * self.label_smoothing
        q = 1.0 + (self.pos_weight - 1.0) * y
        e = np.exp(-np.abs(a))
        softplus = np.maximum(-a, 0.0) + np.log1p(e)
        np.sum((1.0 - y) * a + q * softplus, axis=1, dtype=np.float64, out=block.row_loss)
        delta = (1.0 - y) - q * (np.where(a >= 0.0, e, 1.0) / (1.0 + e))
        np.copyto(a, np.where(a >= 0.0, 1.0, e) / (1.0 + e), casting="same_kind")
        np.multiply(delta, block.scale, out=block.d, casting="same_kind")

    def _report_clipped(self, block: LossRows) -> None:
        """Report -sum_k y_k log p_k + (1 - y_k) log(1 - p_k) of the probabilities p, cut to [clip, 1 - clip]."""
        logs, y = block.scratch.matrix, block.y
        np.clip(block.a, self.clip, 1.0 - self.clip, out=logs)
        np.log(logs, out=logs)
        np.multiply(logs, y, out=logs)
        np.sum(logs, axis=1, dtype=np.float64, out=block.row_loss)
        np.clip(block.a, self.clip, 1.0 - self.clip, out=logs)
        np.subtract(1.0, logs, out=logs)
        np.log(logs, out=logs)
        np.multiply(logs, 1.0 - y, out=logs)
        np.add(block.row_loss, np.sum(logs, axis=1, dtype=np.float64), out=block.row_loss)
        np.negative(block.row_loss, out=block.row_loss)
