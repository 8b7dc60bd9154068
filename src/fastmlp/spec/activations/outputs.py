"""Activations made for output layers: any number, a positive one, probabilities of classes."""

# ruff: noqa: ARG002 - all of them have one signature

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.spec.activations.base import Activation

if TYPE_CHECKING:
    from fastmlp.spec.activations.base import Scratch
    from fastmlp.spec.names import Array

__all__ = ["Exp", "Identity", "Softmax"]

#: How users call them.
Name: TypeAlias = Literal["identity", "linear", "exp", "softmax"]


@dataclass(frozen=True)
class Identity(Activation):
    """z itself.

    Examples
    --------
    >>> import fastmlp
    >>> one = fastmlp.initializers.constant(1.0)
    >>> net = fastmlp.MLP([1, 1], output=fastmlp.Identity(), init=one, dtype="float64")
    >>> net.predict([[-1.0], [0.0], [2.0]]).round(3).ravel().tolist()
    [-1.0, 0.0, 2.0]
    """

    name: ClassVar[str] = "identity"
    aliases: ClassVar[tuple[str, ...]] = ("linear",)

    def forward(self, z: Array, scratch: Scratch) -> None:
        """Leave z as it is."""

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:
        """Leave d as it is."""


@dataclass(frozen=True)
class Exp(Activation):
    """exp(z).

    Examples
    --------
    >>> import fastmlp
    >>> one = fastmlp.initializers.constant(1.0)
    >>> net = fastmlp.MLP([1, 1], output=fastmlp.Exp(), init=one, dtype="float64")
    >>> net.predict([[-1.0], [0.0], [2.0]]).round(3).ravel().tolist()
    [0.368, 1.0, 7.389]
    """

    name: ClassVar[str] = "exp"

    def forward(self, z: Array, scratch: Scratch) -> None:
        """Put exp(z) where z was."""
        np.exp(z, out=z)

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:
        """Multiply d by a."""
        np.multiply(d, kept, out=d)


@dataclass(frozen=True)
class Softmax(Activation):
    """exp(z_k) / sum_j exp(z_j) over the signals z of a row; in a hidden layer, its units share out what they say.

    Examples
    --------
    >>> import fastmlp
    >>> net = fastmlp.MLP([2, 2], output=fastmlp.Softmax(), init="zeros", dtype="float64")
    >>> net.biases = [[0.0, 1.0]]
    >>> net.predict([[3.0, -2.0]]).round(3).tolist()
    [[0.269, 0.731]]
    """

    name: ClassVar[str] = "softmax"
    whole_rows: ClassVar[bool] = True

    def forward(self, z: Array, scratch: Scratch) -> None:
        """Put exp(z_k - m) / sum_j exp(z_j - m) with m the largest signal where z was."""
        np.amax(z, axis=1, keepdims=True, out=scratch.column)
        np.subtract(z, scratch.column, out=z)
        np.exp(z, out=z)
        np.sum(z, axis=1, keepdims=True, out=scratch.column)
        np.divide(z, scratch.column, out=z)

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:
        """Put dE/dz_k = a_k (d_k - sum_j a_j d_j) where d was."""
        np.multiply(kept, d, out=scratch.matrix)
        np.sum(scratch.matrix, axis=1, keepdims=True, out=scratch.column)
        np.subtract(d, scratch.column, out=d)
        np.multiply(d, kept, out=d)
