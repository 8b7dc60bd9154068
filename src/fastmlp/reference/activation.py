"""The activations: the registry, each entry f and f' in place. Mirror of csrc/ops/activation.inl.

To add one, add an entry to ACTIVATIONS (and its class to spec/activations.py).
"""
# ruff: noqa: ARG001 - all entries of the registry have one signature

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

from fastmlp.reference.vecmath import normal_cdf, normal_tail
from fastmlp.spec import Array

if TYPE_CHECKING:
    from collections.abc import Callable


Params: TypeAlias = tuple[float, ...]


class Scratch(NamedTuple):
    """Room to work in for one layer of B rows and O outputs: what is in it means nothing between two calls."""

    matrix: Array  # (B, O)
    mask: Array  # (B, O) bool
    column: Array  # (B, 1)


class ActivationFunctions(NamedTuple):
    """Functions of a layer: forward(z, params, scratch) puts f(z) where z was.

    backward(kept, params, d, scratch) puts d * f'(z) where d was, with f' a function of what is kept: the outputs
    a = f(z), which are there anyway, or the signals z, which then lie beside them.
    """

    forward: Callable[[Array, Params, Scratch], None]
    backward: Callable[[Array, Params, Array, Scratch], None]
    keeps: Literal["output", "signal"] = "output"


def _identity_forward(z: Array, params: Params, scratch: Scratch) -> None:
    pass


def _identity_backward(a: Array, params: Params, d: Array, scratch: Scratch) -> None:
    pass


def _sign_forward(z: Array, params: Params, scratch: Scratch) -> None:
    np.sign(z, out=z)


def _sign_backward(a: Array, params: Params, d: Array, scratch: Scratch) -> None:
    d.fill(0.0)  # nothing is learned through a step


def _logistic_forward(z: Array, params: Params, scratch: Scratch) -> None:
    np.negative(z, out=z)
    np.exp(z, out=z)  # where this overflows, 1 / inf is the answer
    np.add(z, 1.0, out=z)
    np.divide(1.0, z, out=z)


def _logistic_backward(a: Array, params: Params, d: Array, scratch: Scratch) -> None:
    np.subtract(1.0, a, out=scratch.matrix)
    np.multiply(scratch.matrix, a, out=scratch.matrix)
    np.multiply(d, scratch.matrix, out=d)


def _tanh_forward(z: Array, params: Params, scratch: Scratch) -> None:
    np.tanh(z, out=z)


def _tanh_backward(a: Array, params: Params, d: Array, scratch: Scratch) -> None:
    np.multiply(a, a, out=scratch.matrix)
    np.subtract(1.0, scratch.matrix, out=scratch.matrix)
    np.multiply(d, scratch.matrix, out=d)


def _relu_forward(z: Array, params: Params, scratch: Scratch) -> None:
    np.maximum(z, 0.0, out=z)


def _relu_backward(a: Array, params: Params, d: Array, scratch: Scratch) -> None:
    np.greater(a, 0.0, out=scratch.mask)  # a product with the mask is ten times faster than a masked assignment
    np.multiply(d, scratch.mask, out=d)


def _leaky_relu_forward(z: Array, params: Params, scratch: Scratch) -> None:
    (slope,) = params
    np.multiply(z, slope, out=scratch.matrix)
    larger = np.maximum if slope <= 1.0 else np.minimum
    larger(z, scratch.matrix, out=z)


def _leaky_relu_backward(a: Array, params: Params, d: Array, scratch: Scratch) -> None:
    (slope,) = params
    if slope <= 1.0:
        np.greater(a, 0.0, out=scratch.matrix)
        np.maximum(scratch.matrix, slope, out=scratch.matrix)
    else:
        np.less_equal(a, 0.0, out=scratch.matrix)
        np.multiply(scratch.matrix, slope, out=scratch.matrix)
        np.maximum(scratch.matrix, 1.0, out=scratch.matrix)
    np.multiply(d, scratch.matrix, out=d)


def _elu_forward(z: Array, params: Params, scratch: Scratch) -> None:
    (alpha,) = params
    np.minimum(z, 0.0, out=scratch.matrix)
    np.expm1(scratch.matrix, out=scratch.matrix)
    if alpha != 1.0:
        np.multiply(scratch.matrix, alpha, out=scratch.matrix)
    np.maximum(z, 0.0, out=z)
    np.add(z, scratch.matrix, out=z)


def _elu_backward(a: Array, params: Params, d: Array, scratch: Scratch) -> None:
    (alpha,) = params
    np.minimum(a, 0.0, out=scratch.matrix)
    np.add(scratch.matrix, alpha, out=scratch.matrix)  # a + alpha, and alpha where f' is 1
    if alpha != 1.0:
        np.greater(a, 0.0, out=scratch.mask)
        np.copyto(scratch.matrix, 1.0, where=scratch.mask)
    np.multiply(d, scratch.matrix, out=d)


def _softplus_forward(z: Array, params: Params, scratch: Scratch) -> None:
    (beta,) = params
    np.multiply(z, beta, out=z)
    np.abs(z, out=scratch.matrix)
    np.negative(scratch.matrix, out=scratch.matrix)
    np.exp(scratch.matrix, out=scratch.matrix)
    np.log1p(scratch.matrix, out=scratch.matrix)
    np.maximum(z, 0.0, out=z)
    np.add(z, scratch.matrix, out=z)
    np.divide(z, beta, out=z)


def _softplus_backward(a: Array, params: Params, d: Array, scratch: Scratch) -> None:
    (beta,) = params
    np.multiply(a, -beta, out=scratch.matrix)  # f'(z) = logistic(beta z) = 1 - exp(-beta softplus(z))
    np.expm1(scratch.matrix, out=scratch.matrix)
    np.negative(scratch.matrix, out=scratch.matrix)
    np.multiply(d, scratch.matrix, out=d)


def _exp_forward(z: Array, params: Params, scratch: Scratch) -> None:
    np.exp(z, out=z)


def _exp_backward(a: Array, params: Params, d: Array, scratch: Scratch) -> None:
    np.multiply(d, a, out=d)


_SELU_SCALE, _SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def _selu_forward(z: Array, params: Params, scratch: Scratch) -> None:
    _elu_forward(z, (_SELU_ALPHA,), scratch)
    np.multiply(z, _SELU_SCALE, out=z)


def _selu_backward(a: Array, params: Params, d: Array, scratch: Scratch) -> None:
    np.minimum(a, 0.0, out=scratch.matrix)
    np.add(scratch.matrix, _SELU_SCALE * _SELU_ALPHA, out=scratch.matrix)
    np.greater(a, 0.0, out=scratch.mask)
    np.copyto(scratch.matrix, _SELU_SCALE, where=scratch.mask)
    np.multiply(d, scratch.matrix, out=d)


def _gelu_forward(z: Array, params: Params, scratch: Scratch) -> None:
    np.multiply(z, normal_cdf(z), out=z)


def _gelu_backward(z: Array, params: Params, d: Array, scratch: Scratch) -> None:
    _, density = normal_tail(z)
    np.multiply(z, density, out=scratch.matrix)
    np.add(scratch.matrix, normal_cdf(z), out=scratch.matrix)
    np.multiply(d, scratch.matrix, out=d)


_GELU_LINEAR, _GELU_CUBIC = 2.0 * math.sqrt(2.0 / math.pi), 0.044715


def _logistic(z: Array) -> Array:
    """1 / (1 + exp(-z))."""
    values: Array = z.copy()
    _logistic_forward(values, (), Scratch(values, values, values))
    return values


def _gelu_tanh_forward(z: Array, params: Params, scratch: Scratch) -> None:
    np.multiply(z, z, out=scratch.matrix)
    np.multiply(scratch.matrix, _GELU_CUBIC, out=scratch.matrix)
    np.add(scratch.matrix, 1.0, out=scratch.matrix)
    np.multiply(scratch.matrix, z, out=scratch.matrix)
    np.multiply(scratch.matrix, _GELU_LINEAR, out=scratch.matrix)
    np.multiply(z, _logistic(scratch.matrix), out=z)


def _gelu_tanh_backward(z: Array, params: Params, d: Array, scratch: Scratch) -> None:
    x = np.clip(z, -16.0, 16.0)  # beyond, the slope is 0 or 1, and a square could overflow
    square = x * x
    s = _logistic(_GELU_LINEAR * x * (1.0 + _GELU_CUBIC * square))
    inner = _GELU_LINEAR * (1.0 + 3.0 * _GELU_CUBIC * square)
    np.multiply(d, s + x * inner * s * (1.0 - s), out=d)


def _silu_forward(z: Array, params: Params, scratch: Scratch) -> None:
    np.multiply(z, _logistic(z), out=z)


def _silu_backward(z: Array, params: Params, d: Array, scratch: Scratch) -> None:
    s = _logistic(z)
    np.multiply(d, s + z * s * (1.0 - s), out=d)


def _mish_quotient(z: Array) -> tuple[Array, Array, Array]:
    """E = exp(-|z|), and n and n + 2 with n = exp(2 z) + 2 exp(z), both times e^2 where z > 0."""
    e: Array = np.exp(-np.abs(z))
    numerator: Array = np.where(z > 0.0, 1.0 + 2.0 * e, e * (e + 2.0))
    denominator: Array = numerator + np.where(z > 0.0, 2.0 * e * e, 2.0)
    return e, numerator, denominator


def _mish_forward(z: Array, params: Params, scratch: Scratch) -> None:
    _, numerator, denominator = _mish_quotient(z)
    np.multiply(z, numerator / denominator, out=z)


def _mish_backward(z: Array, params: Params, d: Array, scratch: Scratch) -> None:
    e, numerator, denominator = _mish_quotient(z)
    product = np.where(z > 0.0, e * e, e) * (1.0 + e)
    np.multiply(d, (numerator + 4.0 * z * product / denominator) / denominator, out=d)


def _softsign_forward(z: Array, params: Params, scratch: Scratch) -> None:
    np.abs(z, out=scratch.matrix)
    np.add(scratch.matrix, 1.0, out=scratch.matrix)
    np.divide(z, scratch.matrix, out=z)


def _softsign_backward(a: Array, params: Params, d: Array, scratch: Scratch) -> None:
    np.abs(a, out=scratch.matrix)
    np.subtract(1.0, scratch.matrix, out=scratch.matrix)
    np.multiply(scratch.matrix, scratch.matrix, out=scratch.matrix)
    np.multiply(d, scratch.matrix, out=d)


def _relu6_forward(z: Array, params: Params, scratch: Scratch) -> None:
    np.clip(z, 0.0, 6.0, out=z)


def _relu6_backward(a: Array, params: Params, d: Array, scratch: Scratch) -> None:
    np.multiply(d, (a > 0.0) & (a < 6.0), out=d)


def _hardtanh_forward(z: Array, params: Params, scratch: Scratch) -> None:
    np.clip(z, -1.0, 1.0, out=z)


def _hardtanh_backward(a: Array, params: Params, d: Array, scratch: Scratch) -> None:
    np.multiply(d, np.abs(a) < 1.0, out=d)


def _hard_sigmoid_forward(z: Array, params: Params, scratch: Scratch) -> None:
    np.add(z, 3.0, out=z)
    np.clip(z, 0.0, 6.0, out=z)
    np.divide(z, 6.0, out=z)


def _hard_sigmoid_backward(a: Array, params: Params, d: Array, scratch: Scratch) -> None:
    np.multiply(d, np.where((a > 0.0) & (a < 1.0), 1.0 / 6.0, 0.0), out=d, casting="same_kind")


def _hard_swish_forward(z: Array, params: Params, scratch: Scratch) -> None:
    np.multiply(z, np.clip(z + 3.0, 0.0, 6.0) / 6.0, out=z)


def _hard_swish_backward(z: Array, params: Params, d: Array, scratch: Scratch) -> None:
    np.multiply(d, np.where(z < -3.0, 0.0, np.where(z > 3.0, 1.0, z / 3.0 + 0.5)), out=d, casting="same_kind")


def _softmax_forward(z: Array, params: Params, scratch: Scratch) -> None:
    np.amax(z, axis=1, keepdims=True, out=scratch.column)
    np.subtract(z, scratch.column, out=z)
    np.exp(z, out=z)
    np.sum(z, axis=1, keepdims=True, out=scratch.column)
    np.divide(z, scratch.column, out=z)


def _softmax_backward(a: Array, params: Params, d: Array, scratch: Scratch) -> None:
    np.multiply(a, d, out=scratch.matrix)  # dE/dz_k = a_k (d_k - sum_j a_j d_j)
    np.sum(scratch.matrix, axis=1, keepdims=True, out=scratch.column)
    np.subtract(d, scratch.column, out=d)
    np.multiply(d, a, out=d)


ACTIVATIONS: dict[str, ActivationFunctions] = {
    "identity": ActivationFunctions(_identity_forward, _identity_backward),
    "sign": ActivationFunctions(_sign_forward, _sign_backward),
    "logistic": ActivationFunctions(_logistic_forward, _logistic_backward),
    "tanh": ActivationFunctions(_tanh_forward, _tanh_backward),
    "relu": ActivationFunctions(_relu_forward, _relu_backward),
    "leaky_relu": ActivationFunctions(_leaky_relu_forward, _leaky_relu_backward),
    "elu": ActivationFunctions(_elu_forward, _elu_backward),
    "softplus": ActivationFunctions(_softplus_forward, _softplus_backward),
    "exp": ActivationFunctions(_exp_forward, _exp_backward),
    "selu": ActivationFunctions(_selu_forward, _selu_backward),
    "gelu": ActivationFunctions(_gelu_forward, _gelu_backward, "signal"),
    "gelu_tanh": ActivationFunctions(_gelu_tanh_forward, _gelu_tanh_backward, "signal"),
    "silu": ActivationFunctions(_silu_forward, _silu_backward, "signal"),
    "mish": ActivationFunctions(_mish_forward, _mish_backward, "signal"),
    "softsign": ActivationFunctions(_softsign_forward, _softsign_backward),
    "relu6": ActivationFunctions(_relu6_forward, _relu6_backward),
    "hardtanh": ActivationFunctions(_hardtanh_forward, _hardtanh_backward),
    "hard_sigmoid": ActivationFunctions(_hard_sigmoid_forward, _hard_sigmoid_backward),
    "hard_swish": ActivationFunctions(_hard_swish_forward, _hard_swish_backward, "signal"),
    "softmax": ActivationFunctions(_softmax_forward, _softmax_backward),
}
