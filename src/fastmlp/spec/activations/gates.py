"""Gates: the signal times a share of it that rises from 0 to 1. None has an inverse, so slopes are made of signals."""

# ruff: noqa: ARG002 - all of them have one signature

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.spec.activations.base import Activation
from fastmlp.spec.normal import normal_cdf, normal_tail

if TYPE_CHECKING:
    from fastmlp.spec.activations.base import Scratch
    from fastmlp.spec.names import Array

__all__ = ["GELU", "GELUTanh", "HardSwish", "Mish", "SiLU"]

#: How users call them.
Name: TypeAlias = Literal["gelu", "gelu_tanh", "silu", "swish", "mish", "hard_swish", "hardswish", "hard_silu"]


def _logistic(z: Array) -> Array:
    """1 / (1 + exp(-z)), whose exponential may overflow: 1 / inf is the answer."""
    values: Array = 1.0 / (np.exp(-z) + 1.0)
    return values


@dataclass(frozen=True)
class _Gate(Activation):
    """Base of the gates."""

    keeps: ClassVar[Literal["output", "signal"]] = "signal"
    initial: ClassVar[str] = "he_uniform"


@dataclass(frozen=True)
class GELU(_Gate):
    """z Phi(z), Phi the distribution function of the standard normal (Hendrycks and Gimpel 2016).

    Examples
    --------
    >>> import fastmlp
    >>> one = fastmlp.initializers.constant(1.0)
    >>> net = fastmlp.MLP([1, 1], output=fastmlp.GELU(), init=one, dtype="float64")
    >>> net.predict([[-1.0], [0.0], [2.0]]).round(3).ravel().tolist()
    [-0.159, 0.0, 1.954]
    """

    name: ClassVar[str] = "gelu"

    def forward(self, z: Array, scratch: Scratch) -> None:
        """Put z Phi(z) where z was."""
        np.multiply(z, normal_cdf(z), out=z)

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:
        """Multiply d by Phi(z) + z phi(z) with the normal's density phi."""
        _, density = normal_tail(kept)
        np.multiply(kept, density, out=scratch.matrix)
        np.add(scratch.matrix, normal_cdf(kept), out=scratch.matrix)
        np.multiply(d, scratch.matrix, out=d)


_GELU_LINEAR, _GELU_CUBIC = 2.0 * math.sqrt(2.0 / math.pi), 0.044715


@dataclass(frozen=True)
class GELUTanh(_Gate):
    """z (1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))) / 2, the approximation of GELU that its authors give.

    PyTorch's `GELU(approximate="tanh")`, Keras's `gelu(approximate=True)`.

    Examples
    --------
    >>> import fastmlp
    >>> one = fastmlp.initializers.constant(1.0)
    >>> net = fastmlp.MLP([1, 1], output=fastmlp.GELUTanh(), init=one, dtype="float64")
    >>> net.predict([[-1.0], [0.0], [2.0]]).round(3).ravel().tolist()
    [-0.159, 0.0, 1.955]
    """

    name: ClassVar[str] = "gelu_tanh"

    def forward(self, z: Array, scratch: Scratch) -> None:
        """Put z logistic(2 u) with u = sqrt(2 / pi) (z + 0.044715 z^3), which is z (1 + tanh u) / 2 where z was."""
        np.multiply(z, z, out=scratch.matrix)
        np.multiply(scratch.matrix, _GELU_CUBIC, out=scratch.matrix)
        np.add(scratch.matrix, 1.0, out=scratch.matrix)
        np.multiply(scratch.matrix, z, out=scratch.matrix)
        np.multiply(scratch.matrix, _GELU_LINEAR, out=scratch.matrix)
        np.multiply(z, _logistic(scratch.matrix), out=z)

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:
        """Multiply d by s + z (2 u)' s (1 - s) with s = logistic(2 u)."""
        x = np.clip(kept, -16.0, 16.0)  # beyond, the slope is 0 or 1, and a square could overflow
        square = x * x
        s = _logistic(_GELU_LINEAR * x * (1.0 + _GELU_CUBIC * square))
        inner = _GELU_LINEAR * (1.0 + 3.0 * _GELU_CUBIC * square)
        np.multiply(d, s + x * inner * s * (1.0 - s), out=d)


@dataclass(frozen=True)
class SiLU(_Gate):
    """z / (1 + exp(-z)) (Elfwing et al. 2018), also called swish (Ramachandran et al. 2017).

    Examples
    --------
    >>> import fastmlp
    >>> one = fastmlp.initializers.constant(1.0)
    >>> net = fastmlp.MLP([1, 1], output=fastmlp.SiLU(), init=one, dtype="float64")
    >>> net.predict([[-1.0], [0.0], [2.0]]).round(3).ravel().tolist()
    [-0.269, 0.0, 1.762]
    """

    name: ClassVar[str] = "silu"
    aliases: ClassVar[tuple[str, ...]] = ("swish",)

    def forward(self, z: Array, scratch: Scratch) -> None:
        """Put z s with s = logistic(z) where z was."""
        np.multiply(z, _logistic(z), out=z)

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:
        """Multiply d by s + z s (1 - s)."""
        s = _logistic(kept)
        np.multiply(d, s + kept * s * (1.0 - s), out=d)


@dataclass(frozen=True)
class Mish(_Gate):
    """z tanh(log(1 + exp(z))) (Misra 2019).

    Examples
    --------
    >>> import fastmlp
    >>> one = fastmlp.initializers.constant(1.0)
    >>> net = fastmlp.MLP([1, 1], output=fastmlp.Mish(), init=one, dtype="float64")
    >>> net.predict([[-1.0], [0.0], [2.0]]).round(3).ravel().tolist()
    [-0.303, 0.0, 1.944]
    """

    name: ClassVar[str] = "mish"

    def forward(self, z: Array, scratch: Scratch) -> None:
        """Put z n / (n + 2) with n = exp(2 z) + 2 exp(z) where z was."""
        _, numerator, denominator = _mish_quotient(z)
        np.multiply(z, numerator / denominator, out=z)

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:
        """Multiply d by n / (n + 2) + 4 z exp(z) (1 + exp(z)) / (n + 2)^2."""
        e, numerator, denominator = _mish_quotient(kept)
        product = np.where(kept > 0.0, e * e, e) * (1.0 + e)
        np.multiply(d, (numerator + 4.0 * kept * product / denominator) / denominator, out=d)


def _mish_quotient(z: Array) -> tuple[Array, Array, Array]:
    """E = exp(-|z|), and n and n + 2 with n = exp(2 z) + 2 exp(z), both times e^2 where z > 0."""
    e: Array = np.exp(-np.abs(z))
    numerator: Array = np.where(z > 0.0, 1.0 + 2.0 * e, e * (e + 2.0))
    denominator: Array = numerator + np.where(z > 0.0, 2.0 * e * e, 2.0)
    return e, numerator, denominator


@dataclass(frozen=True)
class HardSwish(_Gate):
    """z min(max(z + 3, 0), 6) / 6 (Howard et al. 2019).

    Examples
    --------
    >>> import fastmlp
    >>> one = fastmlp.initializers.constant(1.0)
    >>> net = fastmlp.MLP([1, 1], output=fastmlp.HardSwish(), init=one, dtype="float64")
    >>> net.predict([[-4.0], [0.5], [4.0]]).round(3).ravel().tolist()
    [-0.0, 0.292, 4.0]
    """

    name: ClassVar[str] = "hard_swish"
    aliases: ClassVar[tuple[str, ...]] = ("hardswish", "hard_silu")

    @property
    def kinks(self) -> tuple[float, ...]:
        """Its slope jumps at both ends."""
        return (-3.0, 3.0)

    def forward(self, z: Array, scratch: Scratch) -> None:
        """Put z min(max(z + 3, 0), 6) / 6 where z was."""
        np.multiply(z, np.clip(z + 3.0, 0.0, 6.0) / 6.0, out=z)

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:
        """Multiply d by 0 below -3, 1 above 3, z / 3 + 1/2 between them."""
        slope = np.where(kept < -3.0, 0.0, np.where(kept > 3.0, 1.0, kept / 3.0 + 0.5))
        np.multiply(d, slope, out=d, casting="same_kind")
