"""Maxout: a layer whose outputs are the largest of several linear pieces each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.spec.activations.base import Activation
from fastmlp.spec.checks import check_fields, integer

if TYPE_CHECKING:
    from fastmlp.spec.activations.base import Scratch
    from fastmlp.spec.names import Array

__all__ = ["Maxout"]

#: How users call it.
Name: TypeAlias = Literal["maxout"]


@dataclass(frozen=True)
class Maxout(Activation):
    """The largest of so many linear functions of a layer's inputs, for each of its units (Goodfellow et al. 2013).

    A hidden layer of n_out units has pieces * n_out signals, so weights (n_in, pieces * n_out) and as many biases:
    ``W[:, p * n_out : (p + 1) * n_out]`` makes piece p of all units. Of pieces that are equal, the first learns.

    Parameters
    ----------
    pieces : int, default 2
        At least 2. Two of them are any rectifier and the absolute value, more of them any convex function as closely as
        one likes.

    Raises
    ------
    TypeError, ValueError
        If pieces is not such an integer.

    Examples
    --------
    >>> import fastmlp
    >>> net = fastmlp.MLP([2, 3, 1], activation="maxout")
    >>> [W.shape for W in net.weights], [b.shape for b in net.biases]
    ([(2, 6), (3, 1)], [(6,), (1,)])
    """

    name: ClassVar[str] = "maxout"
    whole_rows: ClassVar[bool] = True
    initial: ClassVar[str] = "he_uniform"
    keeps: ClassVar[Literal["output", "signal"]] = "signal"

    pieces: int = 2

    def __post_init__(self) -> None:
        check_fields(self, pieces=lambda value, name: integer(value, name, 2, 2**16))

    def signals(self, n_out: int) -> int:
        """One for each piece of each unit."""
        return self.pieces * n_out

    def _by_piece(self, z: Array) -> Array:
        """All signals (B, pieces * O) as (B, pieces, O)."""
        return z.reshape(len(z), self.pieces, -1)

    def forward(self, z: Array, scratch: Scratch) -> None:  # noqa: ARG002 - all activations have one signature
        """Put the largest pieces into the first columns of z (B, pieces * O)."""
        z[:, : z.shape[1] // self.pieces] = self._by_piece(z).max(axis=1)

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:  # noqa: ARG002
        """Put dE/dz where dE/da was in the first columns of d (B, pieces * O), by the signals (B, pieces * O)."""
        by_output = d[:, : d.shape[1] // self.pieces].copy()
        d[:] = 0.0
        taken = self._by_piece(kept).argmax(axis=1)[:, np.newaxis]
        np.put_along_axis(self._by_piece(d), taken, by_output[:, np.newaxis], axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Name and number of pieces, ready for JSON."""
        return {"name": self.name, "pieces": self.pieces}
