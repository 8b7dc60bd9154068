"""The losses: the registry, each entry the loss and delta of a block of rows. Mirror of csrc/ops/loss.inl.

To add one, add an entry to LOSSES (and its class to spec/losses.py).
"""
# ruff: noqa: ARG001 - all entries of the registry have one signature

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.reference.activation import Params, Scratch
from fastmlp.spec import Array


class Target(NamedTuple):
    """What B rows should give: class labels, or an array."""

    values: Array | None  # (B, O), net dtype
    labels: NDArray[np.intp] | None  # (B,): the label of row r, plus r * O: where it is in a C-contiguous (B, O)


LossRows = Callable[[Array, Target, Params, Any, Array, NDArray[np.float64], Scratch], None]


class LossFunctions(NamedTuple):
    """rows(a, target, params, scale, d, row_loss, scratch) computes row losses and the delta d of a block of rows.

    A loss that is fused with an output activation finds logits in `a`, leaves outputs there, and d is dE/dz; any other
    finds outputs, and d is dE/da. `scale` (a number, or (B, 1)) multiplies d. `a` and `d` are C-contiguous.
    """

    rows: LossRows
    output: str = ""  # the activation that it is fused with, "" for any


def _squared_error(
    a: Array, target: Target, params: Params, scale: Any, d: Array, row_loss: NDArray[np.float64], scratch: Scratch
) -> None:
    """1/2 sum_k (a_k - y_k)^2; delta a - y."""
    assert target.values is not None
    np.subtract(a, target.values, out=d)
    np.multiply(d, d, out=scratch.matrix)
    np.sum(scratch.matrix, axis=1, dtype=np.float64, out=row_loss)
    np.multiply(row_loss, 0.5, out=row_loss)
    np.multiply(d, scale, out=d)


def _cross_entropy(
    a: Array, target: Target, params: Params, scale: Any, d: Array, row_loss: NDArray[np.float64], scratch: Scratch
) -> None:
    """-sum_k y_k log softmax(z)_k; delta p sum_k y_k - y.

    With m the largest logit it is log(sum_k exp(z_k - m)) sum_k y_k - sum_k y_k (z_k - m). A label is
    a y with a single one.
    """
    column = scratch.column
    np.amax(a, axis=1, keepdims=True, out=column)
    np.subtract(a, column, out=a)
    picked: Array
    if target.labels is not None:
        picked = a.reshape(-1).take(target.labels)
    else:
        assert target.values is not None
        np.not_equal(target.values, 0.0, out=scratch.mask)  # 0 times -infinity is no loss
        scratch.matrix.fill(0.0)
        np.multiply(a, target.values, out=scratch.matrix, where=scratch.mask)
        picked = scratch.matrix.sum(axis=1, dtype=np.float64)
    np.exp(a, out=a)
    np.sum(a, axis=1, keepdims=True, out=column)
    np.divide(a, column, out=a)
    np.copyto(row_loss, column[:, 0])
    np.log(row_loss, out=row_loss)
    if target.labels is not None:
        np.multiply(a, scale, out=d)
        d.reshape(-1)[target.labels] -= np.ravel(scale)
    else:
        assert target.values is not None
        np.sum(target.values, axis=1, keepdims=True, out=column)
        np.multiply(row_loss, column[:, 0], out=row_loss)
        np.multiply(a, column, out=d)
        np.subtract(d, target.values, out=d)
        np.multiply(d, scale, out=d)
    np.subtract(row_loss, picked, out=row_loss)
    (clip,) = params
    if clip:
        _clipped_cross_entropy(a, target, clip, row_loss, scratch)


def _binary_cross_entropy(
    a: Array, target: Target, params: Params, scale: Any, d: Array, row_loss: NDArray[np.float64], scratch: Scratch
) -> None:
    """sum_k max(z_k, 0) - z_k y_k + log(1 + exp(-|z_k|)); delta logistic(z) - y."""
    assert target.values is not None
    small = scratch.matrix
    np.abs(a, out=small)
    np.negative(small, out=small)
    np.exp(small, out=small)  # exp(-|z|), in the loss and in both branches of the logistic function
    np.log1p(small, out=d)
    np.greater_equal(a, 0.0, out=scratch.mask)
    np.sum(d, axis=1, dtype=np.float64, out=row_loss)
    np.maximum(a, 0.0, out=d)
    np.multiply(a, target.values, out=a)
    np.subtract(d, a, out=d)
    np.add(row_loss, np.sum(d, axis=1, dtype=np.float64), out=row_loss)
    np.add(small, 1.0, out=a)
    np.maximum(small, scratch.mask, out=small)  # 1 where z >= 0, else e: logistic(z) = 1 / (1 + e) or e / (1 + e)
    np.divide(small, a, out=a)
    np.subtract(a, target.values, out=d)
    np.multiply(d, scale, out=d)
    (clip,) = params
    if clip:
        _clipped_binary_cross_entropy(a, target.values, clip, row_loss, scratch)


def _clipped_cross_entropy(
    p: Array, target: Target, clip: float, row_loss: NDArray[np.float64], scratch: Scratch
) -> None:
    """Reports -sum_k y_k log p_k of the probabilities p, cut to [clip, 1 - clip]; NaN passes."""
    logs = scratch.matrix
    np.clip(p, clip, 1.0 - clip, out=logs)
    np.log(logs, out=logs)
    if target.labels is not None:
        np.copyto(row_loss, logs.reshape(-1).take(target.labels))
    else:
        assert target.values is not None
        np.multiply(logs, target.values, out=logs)
        np.sum(logs, axis=1, dtype=np.float64, out=row_loss)
    np.negative(row_loss, out=row_loss)


def _clipped_binary_cross_entropy(
    p: Array, y: Array, clip: float, row_loss: NDArray[np.float64], scratch: Scratch
) -> None:
    """Reports -sum_k y_k log p_k + (1 - y_k) log(1 - p_k) of the probabilities p, cut to [clip, 1 - clip]."""
    logs = scratch.matrix
    np.clip(p, clip, 1.0 - clip, out=logs)
    np.log(logs, out=logs)
    np.multiply(logs, y, out=logs)
    np.sum(logs, axis=1, dtype=np.float64, out=row_loss)
    np.clip(p, clip, 1.0 - clip, out=logs)
    np.subtract(1.0, logs, out=logs)
    np.log(logs, out=logs)
    np.multiply(logs, 1.0 - y, out=logs)
    np.add(row_loss, np.sum(logs, axis=1, dtype=np.float64), out=row_loss)
    np.negative(row_loss, out=row_loss)


def _poisson(
    a: Array, target: Target, params: Params, scale: Any, d: Array, row_loss: NDArray[np.float64], scratch: Scratch
) -> None:
    """Half the Poisson deviance, sum_k y_k (log y_k - z_k) - y_k + exp(z_k) with 0 log 0 = 0; delta exp(z) - y."""
    assert target.values is not None
    deviance = scratch.matrix
    np.greater(target.values, 0.0, out=scratch.mask)
    deviance.fill(0.0)
    np.log(target.values, out=deviance, where=scratch.mask)
    np.subtract(deviance, a, out=deviance)
    np.multiply(deviance, target.values, out=deviance)
    np.exp(a, out=a)
    np.subtract(a, target.values, out=d)
    np.add(deviance, d, out=deviance)
    np.sum(deviance, axis=1, dtype=np.float64, out=row_loss)
    np.multiply(d, scale, out=d)


def _absolute_error(
    a: Array, target: Target, params: Params, scale: Any, d: Array, row_loss: NDArray[np.float64], scratch: Scratch
) -> None:
    """sum_k |a_k - y_k|; delta the sign of the error."""
    assert target.values is not None
    np.subtract(a, target.values, out=d)
    np.abs(d, out=scratch.matrix)
    np.sum(scratch.matrix, axis=1, dtype=np.float64, out=row_loss)
    np.sign(d, out=d)
    np.multiply(d, scale, out=d)


def _huber(
    a: Array, target: Target, params: Params, scale: Any, d: Array, row_loss: NDArray[np.float64], scratch: Scratch
) -> None:
    """sum_k c (|e| - c / 2) of errors e with c = min(|e|, delta); delta c with the sign of e."""
    assert target.values is not None
    (delta,) = params
    np.subtract(a, target.values, out=d)
    size = np.abs(d, out=scratch.matrix)
    np.clip(d, -delta, delta, out=d)
    np.sum(np.abs(d) * (size - 0.5 * np.abs(d)), axis=1, dtype=np.float64, out=row_loss)
    np.multiply(d, scale, out=d)


def _log_cosh(
    a: Array, target: Target, params: Params, scale: Any, d: Array, row_loss: NDArray[np.float64], scratch: Scratch
) -> None:
    """sum_k log cosh e = |e| + log(1 + (exp(-2 |e|) - 1) / 2); delta tanh e."""
    assert target.values is not None
    np.subtract(a, target.values, out=d)
    size = np.abs(d, out=scratch.matrix)
    terms = np.maximum(size + np.log1p(0.5 * np.expm1(-2.0 * size)), 0.0)
    np.sum(terms, axis=1, dtype=np.float64, out=row_loss)
    np.tanh(d, out=d)
    np.multiply(d, scale, out=d)


def _quantile(
    a: Array, target: Target, params: Params, scale: Any, d: Array, row_loss: NDArray[np.float64], scratch: Scratch
) -> None:
    """sum_k q (y - a) where y is above a, else (1 - q) (a - y); delta -q and 1 - q, 0 where they meet."""
    assert target.values is not None
    (q,) = params
    error = np.subtract(a, target.values, out=scratch.matrix)
    slope = np.where(error < 0.0, -q, 1.0 - q)
    np.sum(slope * error, axis=1, dtype=np.float64, out=row_loss)
    np.multiply(np.where(error == 0.0, 0.0, slope), scale, out=d, casting="same_kind")


def _gamma(
    a: Array, target: Target, params: Params, scale: Any, d: Array, row_loss: NDArray[np.float64], scratch: Scratch
) -> None:
    """Half the gamma deviance, sum_k y / m - 1 - log(y / m) of means m = exp(z); delta 1 - y / m."""
    assert target.values is not None
    np.negative(a, out=d)
    np.exp(d, out=d)
    np.multiply(d, target.values, out=d)
    np.subtract(1.0, d, out=d)
    np.log(target.values, out=scratch.matrix)
    np.subtract(a, scratch.matrix, out=scratch.matrix)
    np.subtract(scratch.matrix, d, out=scratch.matrix)
    np.sum(scratch.matrix, axis=1, dtype=np.float64, out=row_loss)
    np.exp(a, out=a)
    np.multiply(d, scale, out=d)


def _tweedie(
    a: Array, target: Target, params: Params, scale: Any, d: Array, row_loss: NDArray[np.float64], scratch: Scratch
) -> None:
    """Half the deviance of Tweedie's distribution of a power p between 1 and 2, with means m = exp(z).

    sum_k y^(2 - p) / ((1 - p) (2 - p)) - y m^(1 - p) / (1 - p) + m^(2 - p) / (2 - p); delta m^(2 - p) - y m^(1 - p).
    """
    y = target.values
    assert y is not None
    first, second = 1.0 - params[0], 2.0 - params[0]
    weighted, mean = y * np.exp(first * a), np.exp(second * a)
    own = np.power(y, second, out=scratch.matrix)
    np.sum((own / second - weighted) / first + mean / second, axis=1, dtype=np.float64, out=row_loss)
    np.subtract(mean, weighted, out=d)
    np.multiply(d, scale, out=d)
    np.exp(a, out=a)


LOSSES: dict[str, LossFunctions] = {
    "squared_error": LossFunctions(_squared_error),
    "cross_entropy": LossFunctions(_cross_entropy, "softmax"),
    "binary_cross_entropy": LossFunctions(_binary_cross_entropy, "logistic"),
    "poisson": LossFunctions(_poisson, "exp"),
    "absolute_error": LossFunctions(_absolute_error),
    "huber": LossFunctions(_huber),
    "log_cosh": LossFunctions(_log_cosh),
    "quantile": LossFunctions(_quantile),
    "gamma": LossFunctions(_gamma, "exp"),
    "tweedie": LossFunctions(_tweedie, "exp"),
}
