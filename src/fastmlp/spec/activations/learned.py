"""Activations that learn a part of themselves: numbers of the layer's, trained as its biases are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.spec.activations.base import Activation
from fastmlp.spec.checks import check_fields, flag, real

if TYPE_CHECKING:
    from fastmlp.spec.activations.base import Scratch
    from fastmlp.spec.names import Array

__all__ = ["PReLU"]

#: How users call them.
Name: TypeAlias = Literal["prelu"]


@dataclass(frozen=True)
class PReLU(Activation):
    """Rectifier that learns its slope below 0: z where z > 0, else slope * z (He et al. 2015).

    A network has the slopes as ``net.slopes``. They are trained with the biases: by the same factor of the learning
    rate, and without decay or penalty.

    Parameters
    ----------
    init : float, default 0.25
        What the slopes are in the beginning, as in PyTorch; Keras begins with 0.
    per_unit : bool, default True, by keyword only
        Whether each unit learns one of its own, as in Keras; or all of a layer the same, as PyTorch's PReLU() does.
        (There, ``PReLU(num_parameters=n)`` is a slope of each of n units.)

    Examples
    --------
    >>> import fastmlp
    >>> net = fastmlp.MLP([2, 3, 1], activation="prelu")
    >>> net.slopes
    (array([0.25, 0.25, 0.25], dtype=float32),)
    >>> fastmlp.MLP([2, 3, 1], activation=fastmlp.PReLU(0.1, per_unit=False)).slopes
    (array([0.1], dtype=float32),)
    """

    name: ClassVar[str] = "prelu"
    initial: ClassVar[str] = "he_uniform"
    keeps: ClassVar[Literal["output", "signal"]] = "signal"

    init: float = 0.25
    per_unit: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        check_fields(self, init=real, per_unit=flag)

    @property
    def kinks(self) -> tuple[float, ...]:
        """Its slope jumps at 0."""
        return (0.0,)

    def vectors(self, n_out: int) -> dict[str, int]:
        """One slope for each unit, or one for all."""
        return {"slope": n_out if self.per_unit else 1}

    def forward(self, z: Array, scratch: Scratch) -> None:
        """Put z where z > 0, else init z where z was: as it is in the beginning."""
        self.forward_learned(z, np.full(1, self.init, z.dtype), scratch)

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:
        """Multiply d by 1 where z > 0, else init."""
        self.backward_learned(kept, np.full(1, self.init, d.dtype), d, scratch.matrix)

    @staticmethod
    def forward_learned(z: Array, slope: Array, scratch: Scratch) -> None:
        """Put z where z > 0, else slope z where z was."""
        np.multiply(z, slope, out=scratch.matrix)
        np.less_equal(z, 0.0, out=scratch.mask)
        np.copyto(z, scratch.matrix, where=scratch.mask)

    @staticmethod
    def backward_learned(z: Array, slope: Array, d: Array, terms: Array) -> None:
        """Multiply d = dE/da by 1 where z > 0, else slope; what rows add to its gradient, d min(z, 0), beside it."""
        np.minimum(z, 0.0, out=terms)
        np.multiply(terms, d, out=terms)
        np.multiply(d, np.where(z > 0.0, z.dtype.type(1), slope), out=d)

    def to_dict(self) -> dict[str, Any]:
        """Name and parameters, ready for JSON."""
        return super().to_dict() | ({} if self.per_unit else {"per_unit": False})
