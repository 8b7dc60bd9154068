"""A number per parameter of a network in one vector: the parameters, their gradient, a slot of the optimizer's state.

Mirror of passes/parameters.pyx.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastmlp.spec import Array, NetworkSpec


class Parameters:
    """One number per parameter of a network in one vector: all weights, then the layers' vectors; and views of them.

    With `statistics`, those of batch norms come last.
    """

    def __init__(self, spec: NetworkSpec, statistics: bool = False) -> None:
        shapes = spec.all_shapes if statistics else spec.shapes
        sizes = {name: math.prod(shape) for name, shape in shapes.items()}
        weights = [name for name, shape in shapes.items() if len(shape) == 2]
        self.n_weights = sum(sizes[name] for name in weights)
        #: The vector and, behind it, a number that goes along where a gradient is sent.
        self.whole: Array = np.zeros(sum(sizes.values()) + 1, spec.dtype)
        self.vector: Array = self.whole[:-1]
        self._tensors = dict.fromkeys(shapes, self.vector)  # in the order of names
        at = 0
        trained = (name for name in spec.shapes if name not in weights)
        for name in (*weights, *trained, *(name for name in shapes if name not in spec.shapes)):
            self._tensors[name] = self.vector[at : at + sizes[name]].reshape(shapes[name])
            at += sizes[name]
        self.layers = [
            {
                name: self._tensors[f"layers.{layer}.{name}"]
                for name in ("weight", *vectors, *(others if statistics else ()))
            }
            for layer, (vectors, others) in enumerate(zip(spec.vectors, spec.statistics, strict=True))
        ]

    def read(self) -> dict[str, Array]:
        """Copies of all, by name."""
        return {name: tensor.copy() for name, tensor in self._tensors.items()}

    def write(self, tensors: Mapping[str, Array]) -> None:
        """Every tensor from an array of the same name and shape."""
        if tensors.keys() != self._tensors.keys():
            raise ValueError(f"tensors are {', '.join(tensors)}; they must be {', '.join(self._tensors)}")
        for name, tensor in self._tensors.items():
            np.copyto(tensor, tensors[name])

    def squared_norm(self) -> float:
        """The sum of the squares of all."""
        return sum_of_squares(self.vector)


def sum_of_squares(vector: Array) -> float:
    """The sum in float64, without a copy."""
    return float(np.einsum("i,i->", vector, vector, dtype=np.float64))
