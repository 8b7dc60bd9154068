"""The losses: what training makes small, of a row and of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fastmlp.reference.loss import LOSSES

from .checks import choice, shown

__all__ = ["LOSS_NAMES", "BinaryCrossEntropy", "CrossEntropy", "Loss", "Poisson", "SquaredError", "as_loss"]

LOSS_NAMES: tuple[str, ...] = tuple(LOSSES)


@dataclass(frozen=True)
class Loss:
    """Base of the losses; a loss is of a row, that of a batch is the (weighted) mean of its rows'.

    Keras and PyTorch take means over the K outputs of a row, too, so that learning rates and weight decay do not carry
    over. With the same data, ours is theirs times:

    ====================  =============================================
    squared_error         K / 2 (their mse has no 1/2)
    binary_cross_entropy  K
    cross_entropy         1
    poisson               K, and a constant that has no gradient
    ====================  =============================================
    """

    name: ClassVar[str]


@dataclass(frozen=True)
class SquaredError(Loss):
    """1/2 sum_k (a_k - y_k)^2 over the outputs a of a row; goes with any output activation.

    Examples
    --------
    >>> SquaredError().name
    'squared_error'
    """

    name: ClassVar[str] = "squared_error"


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """-sum_k y_k log a_k over the outputs a of a softmax, computed from its logits.

    Examples
    --------
    >>> CrossEntropy().name
    'cross_entropy'
    """

    name: ClassVar[str] = "cross_entropy"


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """-sum_k y_k log a_k + (1 - y_k) log(1 - a_k) over logistic outputs a, computed from their logits.

    Examples
    --------
    >>> BinaryCrossEntropy().name
    'binary_cross_entropy'
    """

    name: ClassVar[str] = "binary_cross_entropy"


@dataclass(frozen=True)
class Poisson(Loss):
    """sum_k y_k log(y_k / a_k) - y_k + a_k, half the Poisson deviance, over outputs a = exp(z), computed from z.

    Targets are counts or rates, >= 0; 0 log 0 = 0. The metric that goes with it is the share of the deviance that is
    explained, "d2".

    Examples
    --------
    >>> Poisson().name
    'poisson'
    """

    name: ClassVar[str] = "poisson"


def as_loss(loss: str | Loss, name: str = "loss") -> str:
    """The name of the loss meant by a name or an object.

    Examples
    --------
    >>> as_loss(CrossEntropy())
    'cross_entropy'
    """
    if isinstance(loss, Loss):
        return choice(getattr(loss, "name", None), name, LOSS_NAMES)
    if not isinstance(loss, str):
        raise TypeError(f"{name} must be a name or a Loss, got {shown(loss)} of type {type(loss).__name__}")
    return choice(loss, name, LOSS_NAMES)
