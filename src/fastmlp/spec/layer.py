"""One layer of a network, as whoever goes through them sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fastmlp.spec.activations.base import Activation

__all__ = ["Layer"]


class Layer(NamedTuple):
    """One layer: a = f(x W + b) with x of n_in and a of n_out numbers."""

    n_in: int
    n_out: int
    activation: Activation

    @property
    def n_signals(self) -> int:
        """Columns of W: n_out, or several for each output where it is the largest of them."""
        return self.activation.signals(self.n_out)
