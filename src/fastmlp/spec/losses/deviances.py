"""Half the deviances of distributions of amounts and counts, over means m = exp(z), computed from z."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.spec.checks import check_fields, positive
from fastmlp.spec.losses.base import ElementwiseLoss, Interval

if TYPE_CHECKING:
    from fastmlp.spec.losses.base import LossRows
    from fastmlp.spec.names import Array

__all__ = ["Gamma", "Poisson", "Tweedie"]

#: How users call them.
Name: TypeAlias = Literal["poisson", "gamma", "tweedie"]


@dataclass(frozen=True)
class Poisson(ElementwiseLoss):
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
    usual: ClassVar[bool] = True
    targets: ClassVar[Interval] = Interval(0)
    metric: ClassVar[str] = "d2"
    mixes: ClassVar[bool] = True

    def deviance(self, y: Array, mean: Array) -> Array:
        """Return half the Poisson deviance; 0 log 0 = 0."""
        ratio = np.where(y > 0, y / mean, 1.0)
        half: Array = y * np.log(ratio) - y + mean
        return half

    def rows(self, block: LossRows) -> None:
        """Half the Poisson deviance, sum_k y_k (log y_k - z_k) - y_k + exp(z_k) with 0 log 0 = 0; delta exp(z) - y."""
        a, d = block.a, block.d
        deviance = block.scratch.matrix
        np.greater(block.y, 0.0, out=block.scratch.mask)
        deviance.fill(0.0)
        np.log(block.y, out=deviance, where=block.scratch.mask)
        np.subtract(deviance, a, out=deviance)
        np.multiply(deviance, block.y, out=deviance)
        np.exp(a, out=a)
        np.subtract(a, block.y, out=d)
        np.add(deviance, d, out=deviance)
        np.sum(deviance, axis=1, dtype=np.float64, out=block.row_loss)
        np.multiply(d, block.scale, out=d)


@dataclass(frozen=True)
class Gamma(ElementwiseLoss):
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
    mixes: ClassVar[bool] = True

    def deviance(self, y: Array, mean: Array) -> Array:
        """Return half the gamma deviance."""
        half: Array = y / mean - 1.0 - np.log(y / mean)
        return half

    def rows(self, block: LossRows) -> None:
        """Half the gamma deviance, sum_k y / m - 1 - log(y / m) of means m = exp(z); delta 1 - y / m."""
        a, d = block.a, block.d
        np.negative(a, out=d)
        np.exp(d, out=d)
        np.multiply(d, block.y, out=d)
        np.subtract(1.0, d, out=d)
        np.log(block.y, out=block.scratch.matrix)
        np.subtract(a, block.scratch.matrix, out=block.scratch.matrix)
        np.subtract(block.scratch.matrix, d, out=block.scratch.matrix)
        np.sum(block.scratch.matrix, axis=1, dtype=np.float64, out=block.row_loss)
        np.exp(a, out=a)
        np.multiply(d, block.scale, out=d)


@dataclass(frozen=True)
class Tweedie(ElementwiseLoss):
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
    mixes: ClassVar[bool] = True

    power: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, power=positive)
        if not 1.0 < self.power < 2.0:
            raise ValueError(f"power must be > 1 and < 2, got {self.power!r}")

    def deviance(self, y: Array, mean: Array) -> Array:
        """Return half Tweedie's deviance."""
        first, second = 1.0 - self.power, 2.0 - self.power
        half: Array = (y**second / second - y * mean**first) / first + mean**second / second
        return half

    def rows(self, block: LossRows) -> None:
        """sum_k of what Tweedie says above with means a = exp(z); delta a^(2 - p) - y a^(1 - p)."""
        a, y, d = block.a, block.y, block.d
        first, second = 1.0 - self.power, 2.0 - self.power
        weighted, mean = y * np.exp(first * a), np.exp(second * a)
        own = np.power(y, second, out=block.scratch.matrix)
        np.sum((own / second - weighted) / first + mean / second, axis=1, dtype=np.float64, out=block.row_loss)
        np.subtract(mean, weighted, out=d)
        np.multiply(d, block.scale, out=d)
        np.exp(a, out=a)
