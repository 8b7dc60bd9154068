"""Focal losses: cross entropies in which what is answered well already counts little (Lin et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.spec.checks import check_fields, positive
from fastmlp.spec.losses.base import ElementwiseLoss, Interval, Loss

if TYPE_CHECKING:
    from fastmlp.spec.losses.base import LossRows
    from fastmlp.spec.names import Array

__all__ = ["BinaryFocal", "Focal"]

#: How users call them.
Name: TypeAlias = Literal["focal", "binary_focal"]


@dataclass(frozen=True)
class Focal(Loss):
    """-sum_k y_k (1 - a_k)^gamma log a_k over the outputs a of a softmax, computed from its logits (Lin et al. 2017).

    For classes of which some are rare. Keras's CategoricalFocalCrossentropy is alpha (0.25) times this.

    Parameters
    ----------
    gamma : float, default 2.0
        > 0; near 0, the cross entropy.

    Examples
    --------
    >>> Focal(1.5)
    Focal(gamma=1.5)
    """

    name: ClassVar[str] = "focal"
    output: ClassVar[str] = "softmax"
    targets: ClassVar[Interval] = Interval(0)
    labels: ClassVar[bool] = True
    distribution: ClassVar[bool] = True
    metric: ClassVar[str] = "accuracy"
    mixes: ClassVar[bool] = True

    gamma: float = 2.0

    def __post_init__(self) -> None:
        check_fields(self, gamma=positive)

    def rows(self, block: LossRows) -> None:
        """-sum_k y_k (1 - p_k)^g log p_k; delta y_j h_j - p_j sum_k y_k h_k.

        There h = (1 - p)^g (g p log p / (1 - p) - 1) is p times the slope by p.
        """
        a, y = block.a, block.y
        np.subtract(a, a.max(axis=1, keepdims=True), out=a)
        powers = np.exp(a)
        total = powers.sum(axis=1, keepdims=True)
        logs = a - np.log(total)
        np.divide(powers, total, out=a)
        rest = -np.expm1(logs)
        power = rest**self.gamma
        certain = rest == 0.0
        quotient = np.where(certain, -1.0, logs / np.where(certain, 1.0, rest))
        slopes = np.where(y == 0.0, 0.0, y * power * (self.gamma * np.exp(logs) * quotient - 1.0))
        terms = np.where(y == 0.0, 0.0, y * power * logs)  # 0 times -inf is no loss
        np.sum(terms, axis=1, dtype=np.float64, out=block.row_loss)
        np.negative(block.row_loss, out=block.row_loss)
        delta = slopes - a * slopes.sum(axis=1, keepdims=True)
        np.multiply(delta, block.scale, out=block.d, casting="same_kind")


@dataclass(frozen=True)
class BinaryFocal(ElementwiseLoss):
    """-sum_k y_k (1 - a_k)^gamma log a_k + (1 - y_k) a_k^gamma log(1 - a_k) over logistic outputs a, from their logits.

    Keras's BinaryFocalCrossentropy, and with ``alpha=-1`` torchvision's sigmoid_focal_loss (Lin et al. 2017).

    Parameters
    ----------
    gamma : float, default 2.0
        > 0; near 0, the binary cross entropy.
    reduction : {"sum", "mean"}, default "sum", by keyword only
        Over the outputs of a row.

    Examples
    --------
    >>> BinaryFocal(1.5)
    BinaryFocal(gamma=1.5)
    """

    name: ClassVar[str] = "binary_focal"
    output: ClassVar[str] = "logistic"
    targets: ClassVar[Interval] = Interval(0, 1)
    metric: ClassVar[str] = "accuracy"
    mixes: ClassVar[bool] = True

    gamma: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, gamma=positive)

    def rows(self, block: LossRows) -> None:
        """As above; delta (1 - y) p^g (g (1 - p) softplus(z) + p) - y (1 - p)^g (g p softplus(-z) + 1 - p)."""
        a, y = block.a, block.y
        e = np.exp(-np.abs(a))
        wrong = np.maximum(a, 0.0) + np.log1p(e)  # -log(1 - p)
        right = wrong - a  # -log p
        p: Array = np.where(a >= 0.0, 1.0, e) / (1.0 + e)
        q = np.where(a >= 0.0, e, 1.0) / (1.0 + e)
        yes, no = y * np.exp(-self.gamma * wrong), (1.0 - y) * np.exp(-self.gamma * right)
        np.sum(yes * right + no * wrong, axis=1, dtype=np.float64, out=block.row_loss)
        delta = no * (self.gamma * q * wrong + p) - yes * (self.gamma * p * right + q)
        np.copyto(a, p)
        np.multiply(delta, block.scale, out=block.d, casting="same_kind")
