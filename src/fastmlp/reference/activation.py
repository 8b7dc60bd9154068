"""The activations: the registry, each entry f and f' in place. Mirror of csrc/ops/activation.inl.

To add one, add an entry to ACTIVATIONS (and its class to spec/activations.py).
"""
# ruff: noqa: ARG001 - all entries of the registry have one signature

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

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
    np.abs(z, out=scratch.matrix)
    np.negative(scratch.matrix, out=scratch.matrix)
    np.exp(scratch.matrix, out=scratch.matrix)
    np.log1p(scratch.matrix, out=scratch.matrix)
    np.maximum(z, 0.0, out=z)
    np.add(z, scratch.matrix, out=z)


def _softplus_backward(a: Array, params: Params, d: Array, scratch: Scratch) -> None:
    np.negative(a, out=scratch.matrix)  # f'(z) = logistic(z) = 1 - exp(-softplus(z))
    np.expm1(scratch.matrix, out=scratch.matrix)
    np.negative(scratch.matrix, out=scratch.matrix)
    np.multiply(d, scratch.matrix, out=d)


def _exp_forward(z: Array, params: Params, scratch: Scratch) -> None:
    np.exp(z, out=z)


def _exp_backward(a: Array, params: Params, d: Array, scratch: Scratch) -> None:
    np.multiply(d, a, out=d)


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
    "softmax": ActivationFunctions(_softmax_forward, _softmax_backward),
}
