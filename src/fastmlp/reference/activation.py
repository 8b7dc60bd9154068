"""The activations: the registry, each entry f and f' in place. Mirror of csrc/ops/activation.inl.

f' is a function of the output a = f(z), so that z need not be kept. To add one, add an entry to ACTIVATIONS
(and its class to spec/activations.py).
"""
# ruff: noqa: ARG001 - all entries of the registry have one signature

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastmlp.spec import Array

if TYPE_CHECKING:
    from collections.abc import Callable


class Scratch(NamedTuple):
    """Room to work in for one layer of B rows and O outputs: what is in it means nothing between two calls."""

    matrix: Array  # (B, O)
    mask: Array  # (B, O) bool
    column: Array  # (B, 1)


class ActivationFunctions(NamedTuple):
    """forward(z, param, scratch) puts f(z) where z was; backward(a, param, d, scratch) puts d * f'(z) where d was."""

    forward: Callable[[Array, float, Scratch], None]
    backward: Callable[[Array, float, Array, Scratch], None]
    parameter: str = ""  # what the one parameter is called, "" for none


def _identity_forward(z: Array, param: float, scratch: Scratch) -> None:
    pass


def _identity_backward(a: Array, param: float, d: Array, scratch: Scratch) -> None:
    pass


def _sign_forward(z: Array, param: float, scratch: Scratch) -> None:
    np.sign(z, out=z)


def _sign_backward(a: Array, param: float, d: Array, scratch: Scratch) -> None:
    d.fill(0.0)  # nothing is learned through a step


def _logistic_forward(z: Array, param: float, scratch: Scratch) -> None:
    np.negative(z, out=z)
    np.exp(z, out=z)  # where this overflows, 1 / inf is the answer
    np.add(z, 1.0, out=z)
    np.divide(1.0, z, out=z)


def _logistic_backward(a: Array, param: float, d: Array, scratch: Scratch) -> None:
    np.subtract(1.0, a, out=scratch.matrix)
    np.multiply(scratch.matrix, a, out=scratch.matrix)
    np.multiply(d, scratch.matrix, out=d)


def _tanh_forward(z: Array, param: float, scratch: Scratch) -> None:
    np.tanh(z, out=z)


def _tanh_backward(a: Array, param: float, d: Array, scratch: Scratch) -> None:
    np.multiply(a, a, out=scratch.matrix)
    np.subtract(1.0, scratch.matrix, out=scratch.matrix)
    np.multiply(d, scratch.matrix, out=d)


def _relu_forward(z: Array, param: float, scratch: Scratch) -> None:
    np.maximum(z, 0.0, out=z)


def _relu_backward(a: Array, param: float, d: Array, scratch: Scratch) -> None:
    np.greater(a, 0.0, out=scratch.mask)  # a product with the mask is ten times faster than a masked assignment
    np.multiply(d, scratch.mask, out=d)


def _leaky_relu_forward(z: Array, param: float, scratch: Scratch) -> None:
    np.multiply(z, param, out=scratch.matrix)
    larger = np.maximum if param <= 1.0 else np.minimum
    larger(z, scratch.matrix, out=z)


def _leaky_relu_backward(a: Array, param: float, d: Array, scratch: Scratch) -> None:
    if param <= 1.0:
        np.greater(a, 0.0, out=scratch.matrix)
        np.maximum(scratch.matrix, param, out=scratch.matrix)
    else:
        np.less_equal(a, 0.0, out=scratch.matrix)
        np.multiply(scratch.matrix, param, out=scratch.matrix)
        np.maximum(scratch.matrix, 1.0, out=scratch.matrix)
    np.multiply(d, scratch.matrix, out=d)


def _elu_forward(z: Array, param: float, scratch: Scratch) -> None:
    np.minimum(z, 0.0, out=scratch.matrix)
    np.expm1(scratch.matrix, out=scratch.matrix)
    if param != 1.0:
        np.multiply(scratch.matrix, param, out=scratch.matrix)
    np.maximum(z, 0.0, out=z)
    np.add(z, scratch.matrix, out=z)


def _elu_backward(a: Array, param: float, d: Array, scratch: Scratch) -> None:
    np.minimum(a, 0.0, out=scratch.matrix)
    np.add(scratch.matrix, param, out=scratch.matrix)  # a + alpha, and alpha where f' is 1
    if param != 1.0:
        np.greater(a, 0.0, out=scratch.mask)
        np.copyto(scratch.matrix, 1.0, where=scratch.mask)
    np.multiply(d, scratch.matrix, out=d)


def _softplus_forward(z: Array, param: float, scratch: Scratch) -> None:
    np.abs(z, out=scratch.matrix)
    np.negative(scratch.matrix, out=scratch.matrix)
    np.exp(scratch.matrix, out=scratch.matrix)
    np.log1p(scratch.matrix, out=scratch.matrix)
    np.maximum(z, 0.0, out=z)
    np.add(z, scratch.matrix, out=z)


def _softplus_backward(a: Array, param: float, d: Array, scratch: Scratch) -> None:
    np.negative(a, out=scratch.matrix)  # f'(z) = logistic(z) = 1 - exp(-softplus(z))
    np.expm1(scratch.matrix, out=scratch.matrix)
    np.negative(scratch.matrix, out=scratch.matrix)
    np.multiply(d, scratch.matrix, out=d)


def _exp_forward(z: Array, param: float, scratch: Scratch) -> None:
    np.exp(z, out=z)


def _exp_backward(a: Array, param: float, d: Array, scratch: Scratch) -> None:
    np.multiply(d, a, out=d)


def _softmax_forward(z: Array, param: float, scratch: Scratch) -> None:
    np.amax(z, axis=1, keepdims=True, out=scratch.column)
    np.subtract(z, scratch.column, out=z)
    np.exp(z, out=z)
    np.sum(z, axis=1, keepdims=True, out=scratch.column)
    np.divide(z, scratch.column, out=z)


def _softmax_backward(a: Array, param: float, d: Array, scratch: Scratch) -> None:
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
    "leaky_relu": ActivationFunctions(_leaky_relu_forward, _leaky_relu_backward, "slope"),
    "elu": ActivationFunctions(_elu_forward, _elu_backward, "alpha"),
    "softplus": ActivationFunctions(_softplus_forward, _softplus_backward),
    "exp": ActivationFunctions(_exp_forward, _exp_backward),
}

#: What an output layer may have: softmax is a function of a whole row, not of one signal.
OUTPUTS: dict[str, ActivationFunctions] = {
    **ACTIVATIONS,
    "softmax": ActivationFunctions(_softmax_forward, _softmax_backward),
}
