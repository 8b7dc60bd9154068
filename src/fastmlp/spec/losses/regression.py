"""Losses of errors a - y, the differences of outputs and targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.spec.checks import check_fields, fraction, positive
from fastmlp.spec.losses.base import OutputsLoss

if TYPE_CHECKING:
    from fastmlp.spec.losses.base import LossRows
    from fastmlp.spec.names import Array

__all__ = ["AbsoluteError", "Huber", "LogCosh", "Quantile", "SquaredError"]

#: How users call them.
Name: TypeAlias = Literal[
    "squared_error", "absolute_error", "huber", "log_cosh", "quantile", "pinball",
    "mse", "mean_squared_error", "mae", "mean_absolute_error", "l1", "smooth_l1",
]  # fmt: skip


@dataclass(frozen=True)
class _Regression(OutputsLoss):
    """Base of the losses of errors a - y; their metric is that of the squared error."""

    metric: ClassVar[str] = "r2"

    def deviance(self, y: Array, mean: Array) -> Array:
        """Return the squared distance of targets and predictions."""
        error: Array = np.square(y - mean)
        return error


@dataclass(frozen=True)
class SquaredError(_Regression):
    """1/2 sum_k (a_k - y_k)^2 over the outputs a of a row; goes with any output activation.

    Parameters
    ----------
    reduction : {"sum", "mean"}, default "sum", by keyword only
        "mean", or the name "mse": mean_k (a_k - y_k)^2, as in Keras and PyTorch, which have no 1/2.

    Examples
    --------
    >>> SquaredError().name
    'squared_error'
    """

    name: ClassVar[str] = "squared_error"
    mean_names: ClassVar[tuple[str, ...]] = ("mse", "mean_squared_error")
    mean_factor: ClassVar[float] = 2.0

    def rows(self, block: LossRows) -> None:
        """1/2 sum_k (a_k - y_k)^2; delta a - y."""
        a, d = block.a, block.d
        np.subtract(a, block.y, out=d)
        np.multiply(d, d, out=block.scratch.matrix)
        np.sum(block.scratch.matrix, axis=1, dtype=np.float64, out=block.row_loss)
        np.multiply(block.row_loss, 0.5, out=block.row_loss)
        np.multiply(d, block.scale, out=d)


@dataclass(frozen=True)
class AbsoluteError(_Regression):
    """sum_k |a_k - y_k|: the outputs become medians.

    Examples
    --------
    >>> AbsoluteError().name
    'absolute_error'
    """

    name: ClassVar[str] = "absolute_error"
    mean_names: ClassVar[tuple[str, ...]] = ("mae", "mean_absolute_error", "l1")

    def rows(self, block: LossRows) -> None:
        """sum_k |a_k - y_k|; delta the sign of the error."""
        a, d = block.a, block.d
        np.subtract(a, block.y, out=d)
        np.abs(d, out=block.scratch.matrix)
        np.sum(block.scratch.matrix, axis=1, dtype=np.float64, out=block.row_loss)
        np.sign(d, out=d)
        np.multiply(d, block.scale, out=d)


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
    mean_names: ClassVar[tuple[str, ...]] = ("smooth_l1",)

    delta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, delta=positive)

    def rows(self, block: LossRows) -> None:
        """sum_k c (|e| - c / 2) of errors e with c = min(|e|, delta); delta c with the sign of e."""
        a, d = block.a, block.d
        np.subtract(a, block.y, out=d)
        size = np.abs(d, out=block.scratch.matrix)
        np.clip(d, -self.delta, self.delta, out=d)
        np.sum(np.abs(d) * (size - 0.5 * np.abs(d)), axis=1, dtype=np.float64, out=block.row_loss)
        np.multiply(d, block.scale, out=d)


@dataclass(frozen=True)
class LogCosh(_Regression):
    """sum_k log cosh(a_k - y_k): e^2 / 2 of small errors, |e| - log 2 of large ones.

    Examples
    --------
    >>> LogCosh().name
    'log_cosh'
    """

    name: ClassVar[str] = "log_cosh"

    def rows(self, block: LossRows) -> None:
        """sum_k log cosh e = |e| + log(1 + (exp(-2 |e|) - 1) / 2); delta tanh e."""
        a, d = block.a, block.d
        np.subtract(a, block.y, out=d)
        size = np.abs(d, out=block.scratch.matrix)
        terms = np.maximum(size + np.log1p(0.5 * np.expm1(-2.0 * size)), 0.0)
        np.sum(terms, axis=1, dtype=np.float64, out=block.row_loss)
        np.tanh(d, out=d)
        np.multiply(d, block.scale, out=d)


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
    aliases: ClassVar[tuple[str, ...]] = ("pinball",)

    q: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, q=fraction)
        if self.q == 0.0:
            raise ValueError(f"q must be > 0 and < 1, got {self.q!r}")

    def rows(self, block: LossRows) -> None:
        """sum_k q (y - a) where y is above a, else (1 - q) (a - y); delta -q and 1 - q, 0 where they meet."""
        a, d = block.a, block.d
        error = np.subtract(a, block.y, out=block.scratch.matrix)
        slope = np.where(error < 0.0, -self.q, 1.0 - self.q)
        np.sum(slope * error, axis=1, dtype=np.float64, out=block.row_loss)
        np.multiply(np.where(error == 0.0, 0.0, slope), block.scale, out=d, casting="same_kind")
