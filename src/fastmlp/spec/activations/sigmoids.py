"""Activations between two bounds: steps and slopes that end at both sides."""

# ruff: noqa: ARG002 - all of them have one signature

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.spec.activations.base import Activation

if TYPE_CHECKING:
    from fastmlp.spec.activations.base import Scratch
    from fastmlp.spec.names import Array

__all__ = ["HardSigmoid", "HardTanh", "Logistic", "Sign", "Softsign", "Tanh"]

#: How users call them.
Name: TypeAlias = Literal[
    "sign", "logistic", "sigmoid", "tanh", "softsign", "hardtanh", "hard_tanh", "hard_sigmoid", "hardsigmoid"
]


@dataclass(frozen=True)
class Sign(Activation):
    """-1, 0 or 1; nothing is learned through it.

    Examples
    --------
    >>> import fastmlp
    >>> one = fastmlp.initializers.constant(1.0)
    >>> net = fastmlp.MLP([1, 1], output=fastmlp.Sign(), init=one, dtype="float64")
    >>> net.predict([[-1.0], [0.0], [2.0]]).round(3).ravel().tolist()
    [-1.0, 0.0, 1.0]
    """

    name: ClassVar[str] = "sign"

    @property
    def kinks(self) -> tuple[float, ...]:
        """It jumps at 0."""
        return (0.0,)

    def forward(self, z: Array, scratch: Scratch) -> None:
        """Put -1, 0 or 1 where z was."""
        np.sign(z, out=z)

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:
        """Put 0 where d was: nothing is learned through a step."""
        d.fill(0.0)


@dataclass(frozen=True)
class Logistic(Activation):
    """1 / (1 + exp(-z)).

    Examples
    --------
    >>> import fastmlp
    >>> one = fastmlp.initializers.constant(1.0)
    >>> net = fastmlp.MLP([1, 1], output=fastmlp.Logistic(), init=one, dtype="float64")
    >>> net.predict([[-1.0], [0.0], [2.0]]).round(3).ravel().tolist()
    [0.269, 0.5, 0.881]
    """

    name: ClassVar[str] = "logistic"
    aliases: ClassVar[tuple[str, ...]] = ("sigmoid",)

    def forward(self, z: Array, scratch: Scratch) -> None:
        """Put 1 / (1 + exp(-z)) where z was."""
        np.negative(z, out=z)
        np.exp(z, out=z)  # where this overflows, 1 / inf is the answer
        np.add(z, 1.0, out=z)
        np.divide(1.0, z, out=z)

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:
        """Multiply d by a (1 - a)."""
        np.subtract(1.0, kept, out=scratch.matrix)
        np.multiply(scratch.matrix, kept, out=scratch.matrix)
        np.multiply(d, scratch.matrix, out=d)


@dataclass(frozen=True)
class Tanh(Activation):
    """tanh(z).

    Examples
    --------
    >>> import fastmlp
    >>> one = fastmlp.initializers.constant(1.0)
    >>> net = fastmlp.MLP([1, 1], output=fastmlp.Tanh(), init=one, dtype="float64")
    >>> net.predict([[-1.0], [0.0], [2.0]]).round(3).ravel().tolist()
    [-0.762, 0.0, 0.964]
    """

    name: ClassVar[str] = "tanh"

    def forward(self, z: Array, scratch: Scratch) -> None:
        """Put tanh(z) where z was."""
        np.tanh(z, out=z)

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:
        """Multiply d by 1 - a^2."""
        np.multiply(kept, kept, out=scratch.matrix)
        np.subtract(1.0, scratch.matrix, out=scratch.matrix)
        np.multiply(d, scratch.matrix, out=d)


@dataclass(frozen=True)
class Softsign(Activation):
    """z / (1 + |z|) (Bergstra et al. 2009).

    Examples
    --------
    >>> import fastmlp
    >>> one = fastmlp.initializers.constant(1.0)
    >>> net = fastmlp.MLP([1, 1], output=fastmlp.Softsign(), init=one, dtype="float64")
    >>> net.predict([[-1.0], [0.0], [2.0]]).round(3).ravel().tolist()
    [-0.5, 0.0, 0.667]
    """

    name: ClassVar[str] = "softsign"

    def forward(self, z: Array, scratch: Scratch) -> None:
        """Put z / (1 + |z|) where z was."""
        np.abs(z, out=scratch.matrix)
        np.add(scratch.matrix, 1.0, out=scratch.matrix)
        np.divide(z, scratch.matrix, out=z)

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:
        """Multiply d by (1 - |a|)^2."""
        np.abs(kept, out=scratch.matrix)
        np.subtract(1.0, scratch.matrix, out=scratch.matrix)
        np.multiply(scratch.matrix, scratch.matrix, out=scratch.matrix)
        np.multiply(d, scratch.matrix, out=d)


@dataclass(frozen=True)
class HardTanh(Activation):
    """min(max(z, -1), 1) (Collobert 2004).

    Examples
    --------
    >>> import fastmlp
    >>> one = fastmlp.initializers.constant(1.0)
    >>> net = fastmlp.MLP([1, 1], output=fastmlp.HardTanh(), init=one, dtype="float64")
    >>> net.predict([[-4.0], [0.5], [4.0]]).round(3).ravel().tolist()
    [-1.0, 0.5, 1.0]
    """

    name: ClassVar[str] = "hardtanh"
    aliases: ClassVar[tuple[str, ...]] = ("hard_tanh",)

    @property
    def kinks(self) -> tuple[float, ...]:
        """Its slope jumps at both ends."""
        return (-1.0, 1.0)

    def forward(self, z: Array, scratch: Scratch) -> None:
        """Put min(max(z, -1), 1) where z was."""
        np.clip(z, -1.0, 1.0, out=z)

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:
        """Multiply d by 1 where |a| < 1, else 0."""
        np.multiply(d, np.abs(kept) < 1.0, out=d)


@dataclass(frozen=True)
class HardSigmoid(Activation):
    """min(max(z + 3, 0), 6) / 6 (Howard et al. 2019).

    Examples
    --------
    >>> import fastmlp
    >>> one = fastmlp.initializers.constant(1.0)
    >>> net = fastmlp.MLP([1, 1], output=fastmlp.HardSigmoid(), init=one, dtype="float64")
    >>> net.predict([[-4.0], [0.5], [4.0]]).round(3).ravel().tolist()
    [0.0, 0.583, 1.0]
    """

    name: ClassVar[str] = "hard_sigmoid"
    aliases: ClassVar[tuple[str, ...]] = ("hardsigmoid",)

    @property
    def kinks(self) -> tuple[float, ...]:
        """Its slope jumps at both ends."""
        return (-3.0, 3.0)

    def forward(self, z: Array, scratch: Scratch) -> None:
        """Put min(max(z + 3, 0), 6) / 6 where z was."""
        np.add(z, 3.0, out=z)
        np.clip(z, 0.0, 6.0, out=z)
        np.divide(z, 6.0, out=z)

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:
        """Multiply d by 1/6 where 0 < a < 1, else 0."""
        np.multiply(d, np.where((kept > 0.0) & (kept < 1.0), 1.0 / 6.0, 0.0), out=d, casting="same_kind")
