"""What `engine.over_tensors` does, by arrays that share the tensors' memory.

For a PyTorch before 2.10, which lends it to C in no other way, and for the NumPy backend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from fastmlp.runtime.engine import Engine
    from fastmlp.spec import Array, NetworkSpec

__all__ = ["ArrayPasses"]


class ArrayPasses:
    """What an engine does with tensors; each call returns False or None where they do not fit, as in the engine's."""

    def __init__(self, engine: Engine, spec: NetworkSpec) -> None:
        self.engine, self.sizes, self.dtype = engine, spec.sizes, np.dtype(spec.dtype)
        self.shapes = [shape[::-1] for shape in spec.shapes.values()]

    def write(self, tensors: list[Tensor], threads: int) -> bool:
        """Replace all parameters."""
        arrays = [tensor.detach().numpy() for tensor in tensors]
        if [array.shape for array in arrays] != self.shapes or not all(map(self._plain, arrays)):
            return False
        self.engine.write_transposed(arrays, threads)
        return True

    def predict(self, x: Tensor, out: Tensor, threads: int) -> bool:
        """Fill `out` with the outputs of rows."""
        return self._fits(x) and self.engine.predict(x.detach().numpy(), out.numpy(), -threads)

    def forward(self, x: Tensor, out: Tensor, threads: int, seed: int | None) -> Any:
        """Fill `out` and return a tape."""
        return self.engine.forward(x.detach().numpy(), out.numpy(), -threads, seed) if self._fits(x) else None

    def backward(
        self,
        tape: Any,
        by_outputs: Tensor,
        gradients: list[Tensor | None] | None,
        by_inputs: Tensor | None,
        threads: int,
    ) -> bool:
        """Fill the gradients that are wanted."""
        derivatives = by_outputs.detach().numpy()
        if derivatives.shape != (tape.rows, self.sizes[-1]) or not self._plain(derivatives):
            return False
        pieces = [int(np.prod(shape)) for shape in self.shapes]
        flat = None if gradients is None else np.empty(sum(pieces), self.dtype)
        inputs = None if by_inputs is None else by_inputs.numpy()
        self.engine.backward(tape, derivatives, flat, inputs, -threads, True)
        if gradients is not None and flat is not None:
            for part, shape, to in zip(np.split(flat, np.cumsum(pieces)[:-1]), self.shapes, gradients, strict=True):
                if to is not None:
                    np.copyto(to.numpy(), part.reshape(shape))
        return True

    def _plain(self, array: Array) -> bool:
        return array.dtype == self.dtype and array.flags.c_contiguous

    def _fits(self, x: Tensor) -> bool:
        return x.ndim == 2 and len(x) > 0 and x.shape[1] == self.sizes[0] and x.detach().numpy().dtype == self.dtype
