"""A number per parameter of a network in one vector: the parameters, their gradient, a slot of the optimizer's state.

Mirror of passes/parameters.pyx.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fastmlp.spec import Array


class Parameters:
    """One number per parameter of a network in one vector, all weights, then all biases, and views of them by layer."""

    def __init__(self, sizes: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        shapes = list(pairwise(sizes))
        self.n_weights = sum(n_in * n_out for n_in, n_out in shapes)
        self.vector: Array = np.zeros(self.n_weights + sum(sizes[1:]), dtype)
        self.weights: list[Array] = []
        self.biases: list[Array] = []
        at, bias_at = 0, self.n_weights
        for n_in, n_out in shapes:
            self.weights.append(self.vector[at : at + n_in * n_out].reshape(n_in, n_out))
            self.biases.append(self.vector[bias_at : bias_at + n_out])
            at += n_in * n_out
            bias_at += n_out

    def read(self) -> dict[str, Array]:
        """Copies of all, by name."""
        return {name: tensor.copy() for name, tensor in self._tensors()}

    def write(self, tensors: Mapping[str, Array]) -> None:
        """Every tensor from an array of the same name and shape."""
        names = [name for name, _ in self._tensors()]
        if tensors.keys() != set(names):
            raise ValueError(f"tensors are {', '.join(tensors)}; they must be {', '.join(names)}")
        for name, tensor in self._tensors():
            np.copyto(tensor, tensors[name])

    def squared_norm(self) -> float:
        """The sum of the squares of all."""
        return sum_of_squares(self.vector)

    def _tensors(self) -> Iterator[tuple[str, Array]]:
        for layer, (W, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            yield f"layers.{layer}.weight", W
            yield f"layers.{layer}.bias", b


def sum_of_squares(vector: Array) -> float:
    """The sum in float64, without a copy."""
    return float(np.einsum("i,i->", vector, vector, dtype=np.float64))
