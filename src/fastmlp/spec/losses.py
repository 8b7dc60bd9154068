"""The losses: a frozen class for each, which says what targets it takes, which output and which metric go with it.

To add one: a class, its place in LOSSES and its name in LossName.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.spec.checks import choice, fraction
from fastmlp.spec.operations import Operation, as_operation, read_operation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.spec.names import Array

__all__ = [
    "LOSSES",
    "LOSS_NAMES",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Interval",
    "Loss",
    "LossName",
    "Poisson",
    "SquaredError",
    "as_loss",
    "loss_of_output",
]

LossName: TypeAlias = Literal["squared_error", "cross_entropy", "binary_cross_entropy", "poisson"]


@dataclass(frozen=True)
class Interval:
    """The numbers from `low` to `high`, both included.

    Examples
    --------
    >>> Interval(0).rule, Interval(0, 1).rule
    ('be at least 0', 'lie in [0, 1]')
    """

    low: float = -math.inf
    high: float = math.inf

    def holds(self, values: Array) -> bool:
        """Whether all numbers of an array lie in the interval; NaN does not."""
        return bool(
            not values.size
            or (
                (self.low == -math.inf or values.min() >= self.low)
                and (self.high == math.inf or values.max() <= self.high)
            )
        )

    def outside(self, values: Array) -> NDArray[np.bool_]:
        """Mark the numbers of an array that do not lie in the interval."""
        below = values < self.low
        return below if self.high == math.inf else below | (values > self.high)

    @property
    def rule(self) -> str:
        """What numbers of the interval do, for an error message after "must"."""
        if self.high < math.inf:
            return f"lie in [{self.low}, {self.high}]"
        return f"be at least {self.low}" if self.low > -math.inf else "be finite"


@dataclass(frozen=True)
class Loss(Operation):
    """Base of the losses; a loss is of a row, that of a batch is the (weighted) mean of its rows'.

    Keras and PyTorch take means over the K outputs of a row, too, so that learning rates and weight decay do not carry
    over. With the same data, ours is theirs times:

    ====================  =============================================
    squared_error         K / 2 (their mse has no 1/2)
    binary_cross_entropy  K
    cross_entropy         1
    poisson               K, and a constant that has no gradient
    ====================  =============================================

    Attributes
    ----------
    output : str
        The output activation that it is computed together with, from the signals; "" if it goes with any.
    targets : Interval
        What targets must lie in.
    labels : bool
        Whether a row's target may also be the number of its class.
    distribution : bool
        Whether a row of targets is a distribution: its numbers sum to 1.
    metric : str
        What `evaluate` reports beside it: "accuracy", or "r2" or "d2" for the share of `deviance` that is explained.
    """

    output: ClassVar[str] = ""
    targets: ClassVar[Interval] = Interval()
    labels: ClassVar[bool] = False
    distribution: ClassVar[bool] = False
    metric: ClassVar[str]

    def target_width(self, n_outputs: int) -> int:
        """Count the columns of the targets of a network with so many outputs."""
        return n_outputs

    def deviance(self, y: Array, mean: Array) -> Array:
        """Return what of each target a prediction leaves unexplained, where the metric is a share of that."""
        raise NotImplementedError(f"{self.name} has no deviance, its metric is {self.metric}")

    @staticmethod
    def from_dict(data: object) -> Loss:
        """The loss that `to_dict` described, or the name of one; anything else is a TypeError or ValueError."""
        if isinstance(data, str):
            return LOSSES[choice(data, "loss name", LOSS_NAMES)]()
        return read_operation(data, "loss", LOSSES)


@dataclass(frozen=True)
class _Clipped(Loss):
    """Base of the losses of probabilities, which may be cut for the report: from 0 and from 1 by `clip`."""

    clip: float = 0.0

    def __post_init__(self) -> None:
        number = fraction(self.clip, "clip")
        if number >= 0.5:
            raise ValueError(f"clip must be >= 0 and < 0.5, got {number!r}")
        object.__setattr__(self, "clip", number)


@dataclass(frozen=True)
class SquaredError(Loss):
    """1/2 sum_k (a_k - y_k)^2 over the outputs a of a row; goes with any output activation.

    Examples
    --------
    >>> SquaredError().name
    'squared_error'
    """

    name: ClassVar[str] = "squared_error"
    metric: ClassVar[str] = "r2"

    def deviance(self, y: Array, mean: Array) -> Array:
        """Return the squared distance of targets and predictions."""
        error: Array = np.square(y - mean)
        return error


@dataclass(frozen=True)
class CrossEntropy(_Clipped):
    """-sum_k y_k log a_k over the outputs a of a softmax, computed from its logits.

    Parameters
    ----------
    clip : float, default 0.0
        >= 0 and < 1/2. What is reported is the loss of probabilities cut to [clip, 1 - clip], as scikit-learn does it
        with the distance from 1 to the next number of the dtype. The gradient is that of the loss without a cut.

    Examples
    --------
    >>> CrossEntropy().name
    'cross_entropy'
    """

    name: ClassVar[str] = "cross_entropy"
    output: ClassVar[str] = "softmax"
    targets: ClassVar[Interval] = Interval(0)
    labels: ClassVar[bool] = True
    distribution: ClassVar[bool] = True
    metric: ClassVar[str] = "accuracy"


@dataclass(frozen=True)
class BinaryCrossEntropy(_Clipped):
    """-sum_k y_k log a_k + (1 - y_k) log(1 - a_k) over logistic outputs a, computed from their logits.

    Parameters
    ----------
    clip : float, default 0.0
        >= 0 and < 1/2. What is reported is the loss of probabilities cut to [clip, 1 - clip], as scikit-learn does it
        with the distance from 1 to the next number of the dtype. The gradient is that of the loss without a cut.

    Examples
    --------
    >>> BinaryCrossEntropy().name
    'binary_cross_entropy'
    """

    name: ClassVar[str] = "binary_cross_entropy"
    output: ClassVar[str] = "logistic"
    targets: ClassVar[Interval] = Interval(0, 1)
    metric: ClassVar[str] = "accuracy"


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
    output: ClassVar[str] = "exp"
    targets: ClassVar[Interval] = Interval(0)
    metric: ClassVar[str] = "d2"

    def deviance(self, y: Array, mean: Array) -> Array:
        """Return half the Poisson deviance; 0 log 0 = 0."""
        ratio = np.where(y > 0, y / mean, 1.0)
        half: Array = y * np.log(ratio) - y + mean
        return half


#: By name, in the order of csrc/ops.
LOSSES: dict[str, type[Loss]] = {kind.name: kind for kind in (SquaredError, CrossEntropy, BinaryCrossEntropy, Poisson)}
LOSS_NAMES: tuple[str, ...] = tuple(LOSSES)


def as_loss(loss: str | Loss, name: str = "loss") -> Loss:
    """The loss meant by a name or an object; `name` is the argument that an error speaks of.

    Examples
    --------
    >>> as_loss("cross_entropy")
    CrossEntropy(clip=0.0)
    """
    return as_operation(loss, name, Loss, LOSSES)


def loss_of_output(output: str) -> Loss:
    """The loss that goes with an output activation: the one that is computed together with it, or the squared error.

    Examples
    --------
    >>> loss_of_output("softmax"), loss_of_output("tanh")
    (CrossEntropy(clip=0.0), SquaredError())
    """
    return next((kind() for kind in LOSSES.values() if kind.output == output), SquaredError())
