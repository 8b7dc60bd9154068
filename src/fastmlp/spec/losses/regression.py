"""Losses of errors a - y, the differences of outputs and targets."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.spec.checks import check_fields, inner_fraction, positive, shown
from fastmlp.spec.losses.base import ElementwiseLoss

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
class _Regression(ElementwiseLoss):
    """Base of the losses of errors a - y; their metric is that of the squared error."""

    metric: ClassVar[str] = "r2"
    mixes: ClassVar[bool] = True
    in_units: ClassVar[bool] = True

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
    q : float or sequence of float, default 0.5
        Share of the targets that lie below the outputs, > 0 and < 1. Several, each larger than the one before: every
        target has as many outputs, side by side, and of T targets ``predict`` gives T times as many columns, those of
        the first target first. Predictions have each target's in their order (Chernozhukov, Fernandez-Val and Galichon
        2010): none crosses another, and the loss of none gets larger by that.
    reduction : {"sum", "mean"}, default "sum", by keyword only
        Over the outputs of a row.

    Examples
    --------
    >>> Quantile(0.9)
    Quantile(q=0.9)
    >>> import fastmlp
    >>> net = fastmlp.MLP([2, 8, 3], loss=fastmlp.Quantile([0.1, 0.5, 0.9]), seed=0)
    >>> low, median, high = net.predict([[1.0, 2.0]])[0]
    >>> bool(low <= median <= high)
    True
    """

    name: ClassVar[str] = "quantile"
    aliases: ClassVar[tuple[str, ...]] = ("pinball",)

    q: float | tuple[float, ...] = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        given: Any = self.q
        if isinstance(given, (Sequence, np.ndarray)) and not isinstance(given, (str, bytes)):
            several = tuple(inner_fraction(each, f"q[{place}]") for place, each in enumerate(given))
            if not several:
                raise ValueError("q must be a number or several, got none")
            if any(low >= high for low, high in itertools.pairwise(several)):
                raise ValueError(f"q must have each number larger than the one before, got {shown(list(several))}")
            if len({f"{each:g}" for each in several}) < len(several):
                raise ValueError(f"q must have numbers that differ in six digits, as their metrics do, got {several}")
            object.__setattr__(self, "q", several if len(several) > 1 else several[0])
        else:
            check_fields(self, q=inner_fraction)

    @property
    def levels(self) -> tuple[float, ...]:
        """The quantiles of a target."""
        return self.q if isinstance(self.q, tuple) else (self.q,)

    @property
    def heads(self) -> int:
        """As many as quantiles."""
        return len(self.levels)

    @property
    def params(self) -> tuple[float, ...]:
        """The first quantile; kernels get all of them where there are several."""
        return self.levels[:1]

    @property
    def metrics(self) -> tuple[str, ...]:
        """r2, or of several quantiles the pinball loss of each."""
        if self.heads == 1:
            return (self.metric,)
        return tuple("pinball" if q == 0.5 else f"pinball_{q:g}" for q in self.levels)

    def estimates(self, outputs: Array) -> Array:
        """Return the quantiles next to the median."""
        nearest = min(range(self.heads), key=lambda head: abs(self.levels[head] - 0.5))
        return outputs[:, nearest :: self.heads]

    def finish(self, outputs: Array) -> None:
        """Put the quantiles of each target in their order."""
        if self.heads > 1:
            outputs.reshape(-1, self.heads).sort(axis=1)

    def rows(self, block: LossRows) -> None:
        """sum_k q (y - a) where y is above a, else (1 - q) (a - y); delta -q and 1 - q, 0 where they meet."""
        a, d = block.a, block.d
        y, q = (
            (np.repeat(block.y, self.heads, axis=1), np.resize(self.levels, a.shape[1]))
            if self.heads > 1
            else (block.y, self.levels[0])
        )
        error = np.subtract(a, y, out=block.scratch.matrix)
        slope = np.where(error < 0.0, np.negative(q), np.subtract(1.0, q))
        np.sum(slope * error, axis=1, dtype=np.float64, out=block.row_loss)
        np.multiply(np.where(error == 0.0, 0.0, slope), block.scale, out=d, casting="same_kind")
