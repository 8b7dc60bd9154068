"""Rectifiers: the signal where it is positive, and little or nothing where it is not."""

# ruff: noqa: ARG002 - all of them have one signature

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.spec.activations.base import Activation
from fastmlp.spec.aliases import aliased
from fastmlp.spec.checks import check_fields, not_negative, positive

if TYPE_CHECKING:
    from fastmlp.spec.activations.base import Scratch
    from fastmlp.spec.names import Array

__all__ = ["ELU", "SELU", "LeakyReLU", "ReLU", "ReLU6", "Softplus"]

#: How users call them.
Name: TypeAlias = Literal["relu", "leaky_relu", "elu", "softplus", "selu", "relu6"]


@dataclass(frozen=True)
class ReLU(Activation):
    """Rectifier: z where z > 0, else 0.

    Examples
    --------
    >>> import fastmlp
    >>> one = fastmlp.initializers.constant(1.0)
    >>> net = fastmlp.MLP([1, 1], output=fastmlp.ReLU(), init=one, dtype="float64")
    >>> net.predict([[-1.0], [0.0], [2.0]]).round(3).ravel().tolist()
    [0.0, 0.0, 2.0]
    """

    name: ClassVar[str] = "relu"
    initial: ClassVar[str] = "he_uniform"

    @property
    def kinks(self) -> tuple[float, ...]:
        """Its slope jumps at 0."""
        return (0.0,)

    def forward(self, z: Array, scratch: Scratch) -> None:
        """Put max(z, 0) where z was."""
        np.maximum(z, 0.0, out=z)

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:
        """Multiply d by 1 where a > 0, else 0."""
        np.greater(kept, 0.0, out=scratch.mask)  # a product with the mask is ten times faster than a masked assignment
        np.multiply(d, scratch.mask, out=d)


@aliased(negative_slope="slope")
@dataclass(frozen=True)
class LeakyReLU(Activation):
    """Leaky rectifier: z where z > 0, else slope * z (Maas et al. 2013).

    Parameters
    ----------
    slope : float, default 0.01
        Not negative, because derivatives are computed from the outputs.
    negative_slope : optional
        PyTorch's and Keras's name of the slope, as a keyword.

    Raises
    ------
    TypeError, ValueError
        If the slope is not such a number.

    Examples
    --------
    >>> LeakyReLU(0.1), LeakyReLU(negative_slope=0.2)
    (LeakyReLU(slope=0.1), LeakyReLU(slope=0.2))
    """

    name: ClassVar[str] = "leaky_relu"
    initial: ClassVar[str] = "he_uniform"

    slope: float = 0.01

    if TYPE_CHECKING:

        def __init__(self, slope: float = ..., *, negative_slope: float = ...) -> None: ...

    def __post_init__(self) -> None:
        check_fields(self, slope=not_negative)

    @property
    def kinks(self) -> tuple[float, ...]:
        """Its slope jumps at 0, unless it is the identity."""
        return () if self.slope == 1.0 else (0.0,)

    def forward(self, z: Array, scratch: Scratch) -> None:
        """Put z where z > 0, else slope z where z was."""
        np.multiply(z, self.slope, out=scratch.matrix)
        larger = np.maximum if self.slope <= 1.0 else np.minimum
        larger(z, scratch.matrix, out=z)

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:
        """Multiply d by 1 where a > 0, else slope."""
        if self.slope <= 1.0:
            np.greater(kept, 0.0, out=scratch.matrix)
            np.maximum(scratch.matrix, self.slope, out=scratch.matrix)
        else:
            np.less_equal(kept, 0.0, out=scratch.matrix)
            np.multiply(scratch.matrix, self.slope, out=scratch.matrix)
            np.maximum(scratch.matrix, 1.0, out=scratch.matrix)
        np.multiply(d, scratch.matrix, out=d)


@dataclass(frozen=True)
class ELU(Activation):
    """Exponential linear unit: z where z > 0, else alpha * (exp(z) - 1) (Clevert et al. 2016).

    Parameters
    ----------
    alpha : float, default 1.0
        Not negative, because derivatives are computed from the outputs.

    Examples
    --------
    >>> ELU()
    ELU(alpha=1.0)
    """

    name: ClassVar[str] = "elu"
    initial: ClassVar[str] = "he_uniform"

    alpha: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self, alpha=not_negative)

    @property
    def kinks(self) -> tuple[float, ...]:
        """Its slope jumps at 0, unless alpha is 1."""
        return () if self.alpha == 1.0 else (0.0,)

    def forward(self, z: Array, scratch: Scratch) -> None:
        """Put max(z, 0) + alpha (exp(min(z, 0)) - 1) where z was."""
        _elu(z, self.alpha, scratch)

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:
        """Multiply d by 1 where a > 0, else a + alpha."""
        np.minimum(kept, 0.0, out=scratch.matrix)
        np.add(scratch.matrix, self.alpha, out=scratch.matrix)  # a + alpha, and alpha where f' is 1
        if self.alpha != 1.0:
            np.greater(kept, 0.0, out=scratch.mask)
            np.copyto(scratch.matrix, 1.0, where=scratch.mask)
        np.multiply(d, scratch.matrix, out=d)


def _elu(z: Array, alpha: float, scratch: Scratch) -> None:
    """Put the exponential linear unit of z where z was."""
    np.minimum(z, 0.0, out=scratch.matrix)
    np.expm1(scratch.matrix, out=scratch.matrix)
    if alpha != 1.0:
        np.multiply(scratch.matrix, alpha, out=scratch.matrix)
    np.maximum(z, 0.0, out=z)
    np.add(z, scratch.matrix, out=z)


@dataclass(frozen=True)
class Softplus(Activation):
    """log(1 + exp(beta z)) / beta, a smooth rectifier (Dugas et al. 2001).

    Parameters
    ----------
    beta : float, default 1.0
        Greater than 0; the larger, the nearer to the rectifier.

    Examples
    --------
    >>> Softplus(2.0)
    Softplus(beta=2.0)
    """

    name: ClassVar[str] = "softplus"
    later: ClassVar[tuple[str, ...]] = ("beta",)
    initial: ClassVar[str] = "he_uniform"

    beta: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self, beta=positive)

    def forward(self, z: Array, scratch: Scratch) -> None:
        """Put (max(t, 0) + log(1 + exp(-|t|))) / beta with t = beta z where z was."""
        np.multiply(z, self.beta, out=z)
        np.abs(z, out=scratch.matrix)
        np.negative(scratch.matrix, out=scratch.matrix)
        np.exp(scratch.matrix, out=scratch.matrix)
        np.log1p(scratch.matrix, out=scratch.matrix)
        np.maximum(z, 0.0, out=z)
        np.add(z, scratch.matrix, out=z)
        np.divide(z, self.beta, out=z)

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:
        """Multiply d by logistic(beta z) = 1 - exp(-beta a)."""
        np.multiply(kept, -self.beta, out=scratch.matrix)
        np.expm1(scratch.matrix, out=scratch.matrix)
        np.negative(scratch.matrix, out=scratch.matrix)
        np.multiply(d, scratch.matrix, out=d)


_SELU_SCALE, _SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


@dataclass(frozen=True)
class SELU(Activation):
    """Self-normalising unit: 1.0507 z where z > 0, else 1.0507 * 1.6733 (exp(z) - 1) (Klambauer et al. 2017).

    Examples
    --------
    >>> import fastmlp
    >>> one = fastmlp.initializers.constant(1.0)
    >>> net = fastmlp.MLP([1, 1], output=fastmlp.SELU(), init=one, dtype="float64")
    >>> net.predict([[-1.0], [0.0], [2.0]]).round(3).ravel().tolist()
    [-1.111, 0.0, 2.101]
    """

    name: ClassVar[str] = "selu"
    initial: ClassVar[str] = "lecun_normal"

    @property
    def kinks(self) -> tuple[float, ...]:
        """Its slope jumps at 0."""
        return (0.0,)

    def forward(self, z: Array, scratch: Scratch) -> None:
        """Put scale elu(z) where z was."""
        _elu(z, _SELU_ALPHA, scratch)
        np.multiply(z, _SELU_SCALE, out=z)

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:
        """Multiply d by scale where a > 0, else a + scale alpha."""
        np.minimum(kept, 0.0, out=scratch.matrix)
        np.add(scratch.matrix, _SELU_SCALE * _SELU_ALPHA, out=scratch.matrix)
        np.greater(kept, 0.0, out=scratch.mask)
        np.copyto(scratch.matrix, _SELU_SCALE, where=scratch.mask)
        np.multiply(d, scratch.matrix, out=d)


@dataclass(frozen=True)
class ReLU6(Activation):
    """Rectifier that ends at 6: min(max(z, 0), 6) (Krizhevsky 2010).

    Examples
    --------
    >>> import fastmlp
    >>> one = fastmlp.initializers.constant(1.0)
    >>> net = fastmlp.MLP([1, 1], output=fastmlp.ReLU6(), init=one, dtype="float64")
    >>> net.predict([[-1.0], [0.5], [8.0]]).round(3).ravel().tolist()
    [0.0, 0.5, 6.0]
    """

    name: ClassVar[str] = "relu6"
    initial: ClassVar[str] = "he_uniform"

    @property
    def kinks(self) -> tuple[float, ...]:
        """Its slope jumps at both ends."""
        return (0.0, 6.0)

    def forward(self, z: Array, scratch: Scratch) -> None:
        """Put min(max(z, 0), 6) where z was."""
        np.clip(z, 0.0, 6.0, out=z)

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:
        """Multiply d by 1 where 0 < a < 6, else 0."""
        np.multiply(d, (kept > 0.0) & (kept < 6.0), out=d)
