"""The losses: a frozen class for each, which says what targets it takes, which output and which metric go with it.

To add one: a class, its place in LOSSES and its name in LossName.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.spec.checks import check_fields, choice, fraction, positive
from fastmlp.spec.operations import Operation, as_operation, read_operation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.spec.names import Array

__all__ = [
    "LOSSES",
    "LOSS_NAMES",
    "AbsoluteError",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Gamma",
    "Huber",
    "Interval",
    "LogCosh",
    "Loss",
    "LossName",
    "Poisson",
    "Quantile",
    "SquaredError",
    "Tweedie",
    "as_loss",
    "loss_of_output",
]

LossName: TypeAlias = Literal[
    "squared_error", "cross_entropy", "binary_cross_entropy", "poisson", "absolute_error", "huber", "log_cosh",
    "quantile", "gamma", "tweedie",
]  # fmt: skip


@dataclass(frozen=True)
class Interval:
    """The numbers from `low` to `high`, both included, or without `low` itself where `above` says so.

    Examples
    --------
    >>> Interval(0).rule, Interval(0, 1).rule, Interval(0, above=True).rule
    ('be at least 0', 'lie in [0, 1]', 'be greater than 0')
    """

    low: float = -math.inf
    high: float = math.inf
    above: bool = False

    def holds(self, values: Array) -> bool:
        """Whether all numbers of an array lie in the interval; NaN does not."""
        return bool(
            not values.size
            or (
                (self.low == -math.inf or values.min() > self.low or (not self.above and values.min() == self.low))
                and (self.high == math.inf or values.max() <= self.high)
            )
        )

    def outside(self, values: Array) -> NDArray[np.bool_]:
        """Mark the numbers of an array that do not lie in the interval."""
        below = values <= self.low if self.above else values < self.low
        return below if self.high == math.inf else below | (values > self.high)

    @property
    def rule(self) -> str:
        """What numbers of the interval do, for an error message after "must"."""
        if self.high < math.inf:
            return f"lie in [{self.low}, {self.high}]"
        if self.above:
            return f"be greater than {self.low}"
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
    absolute_error        K
    huber, log_cosh       K
    quantile              K
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
class _Regression(Loss):
    """Base of the losses of errors a - y; their metric is that of the squared error."""

    metric: ClassVar[str] = "r2"

    def deviance(self, y: Array, mean: Array) -> Array:
        """Return the squared distance of targets and predictions."""
        error: Array = np.square(y - mean)
        return error


@dataclass(frozen=True)
class SquaredError(_Regression):
    """1/2 sum_k (a_k - y_k)^2 over the outputs a of a row; goes with any output activation.

    Examples
    --------
    >>> SquaredError().name
    'squared_error'
    """

    name: ClassVar[str] = "squared_error"


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


@dataclass(frozen=True)
class AbsoluteError(_Regression):
    """sum_k |a_k - y_k|: the outputs become medians.

    Examples
    --------
    >>> AbsoluteError().name
    'absolute_error'
    """

    name: ClassVar[str] = "absolute_error"


@dataclass(frozen=True)
class Huber(_Regression):
    """sum_k e^2 / 2 of errors e up to delta, and delta (|e| - delta / 2) of larger ones (Huber 1964).

    Parameters
    ----------
    delta : float, default 1.0
        > 0.

    Examples
    --------
    >>> Huber(0.5)
    Huber(delta=0.5)
    """

    name: ClassVar[str] = "huber"

    delta: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self, delta=positive)


@dataclass(frozen=True)
class LogCosh(_Regression):
    """sum_k log cosh(a_k - y_k): e^2 / 2 of small errors, |e| - log 2 of large ones.

    Examples
    --------
    >>> LogCosh().name
    'log_cosh'
    """

    name: ClassVar[str] = "log_cosh"


@dataclass(frozen=True)
class Quantile(_Regression):
    """sum_k q (y_k - a_k) where y_k is above a_k, else (1 - q) (a_k - y_k): outputs become quantiles.

    The pinball loss of Koenker and Bassett (1978).

    Parameters
    ----------
    q : float, default 0.5
        Share of the targets that lie below the outputs, > 0 and < 1.

    Examples
    --------
    >>> Quantile(0.9)
    Quantile(q=0.9)
    """

    name: ClassVar[str] = "quantile"

    q: float = 0.5

    def __post_init__(self) -> None:
        check_fields(self, q=fraction)
        if self.q == 0.0:
            raise ValueError(f"q must be > 0 and < 1, got {self.q!r}")


@dataclass(frozen=True)
class Gamma(Loss):
    """sum_k y_k / a_k - 1 - log(y_k / a_k), half the gamma deviance, over outputs a = exp(z), computed from z.

    Targets are > 0, as amounts that are never nothing. The metric that goes with it is the share of the deviance that
    is explained, "d2".

    Examples
    --------
    >>> Gamma().name
    'gamma'
    """

    name: ClassVar[str] = "gamma"
    output: ClassVar[str] = "exp"
    targets: ClassVar[Interval] = Interval(0, above=True)
    metric: ClassVar[str] = "d2"

    def deviance(self, y: Array, mean: Array) -> Array:
        """Return half the gamma deviance."""
        half: Array = y / mean - 1.0 - np.log(y / mean)
        return half


@dataclass(frozen=True)
class Tweedie(Loss):
    """Half the deviance of Tweedie's distribution, of a power between Poisson's and gamma's, over outputs a = exp(z).

    sum_k y^(2 - p) / ((1 - p) (2 - p)) - y a^(1 - p) / (1 - p) + a^(2 - p) / (2 - p). Targets are amounts >= 0 of which
    some are nothing, such as the costs of insured people. The metric is "d2".

    Parameters
    ----------
    power : float, default 1.5
        > 1 and < 2: the variance is proportional to this power of the mean.

    Examples
    --------
    >>> Tweedie(1.2)
    Tweedie(power=1.2)
    """

    name: ClassVar[str] = "tweedie"
    output: ClassVar[str] = "exp"
    targets: ClassVar[Interval] = Interval(0)
    metric: ClassVar[str] = "d2"

    power: float = 1.5

    def __post_init__(self) -> None:
        check_fields(self, power=positive)
        if not 1.0 < self.power < 2.0:
            raise ValueError(f"power must be > 1 and < 2, got {self.power!r}")

    def deviance(self, y: Array, mean: Array) -> Array:
        """Return half Tweedie's deviance."""
        first, second = 1.0 - self.power, 2.0 - self.power
        half: Array = (y**second / second - y * mean**first) / first + mean**second / second
        return half


#: By name, in the order of csrc/ops.
LOSSES: dict[str, type[Loss]] = {
    kind.name: kind
    for kind in (
        SquaredError, CrossEntropy, BinaryCrossEntropy, Poisson, AbsoluteError, Huber, LogCosh, Quantile, Gamma,
        Tweedie,
    )
}  # fmt: skip
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
