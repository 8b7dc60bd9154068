"""Prediction from sparse rows: the first layer as a sparse product, where that is less work than a dense one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.reference.activation import OUTPUTS, Scratch
from fastmlp.spec import NetworkSpec, name_tensors

if TYPE_CHECKING:
    from fastmlp.runtime import Backend

__all__ = ["SparsePrediction", "pays"]

Array = NDArray[Any]

# Signals of the first layer are kept for so many numbers at a time.
SIGNALS = 1 << 20
# A sparse product takes about as long for one stored number as the dense one for 40; making a number dense takes as
# long as one stored number in one column. Measured with SciPy's CSR on widths from 20 to 200.
DENSE_RATE = 40


def pays(X: Any, width: int) -> bool:
    """Whether X times a dense matrix of so many columns is less work than with the zeros."""
    rows, columns = X.shape
    answer: bool = X.nnz * width < rows * columns * (1 + width / DENSE_RATE)
    return answer


class SparsePrediction:
    """A network cut behind its first layer: that one is SciPy's and NumPy's, the others the engine's."""

    def __init__(self, spec: NetworkSpec, weights: list[Array], biases: list[Array], backend: Backend) -> None:
        self.W, self.b, self.first = weights[0], biases[0], spec.layers[0].activation
        self.tail = None
        if len(weights) > 1:
            tail = NetworkSpec(spec.sizes[1:], spec.activations[1:], spec.output, spec.loss, spec.dtype)
            self.tail = backend.engine(tail)
            self.tail.write(name_tensors(weights[1:], biases[1:]))

    def outputs(self, X: Any, out: Array, threads: int) -> None:
        """Outputs of all rows of a CSR matrix into `out` (n, O)."""
        width = self.W.shape[1]
        size = max(1, SIGNALS // width)
        for start in range(0, X.shape[0], size):
            part = slice(start, min(start + size, X.shape[0]))
            z = np.asarray(X[part] @ self.W, dtype=self.W.dtype)
            z += self.b
            scratch = Scratch(np.empty_like(z), np.empty(z.shape, np.bool_), np.empty((len(z), 1), z.dtype))
            with np.errstate(all="ignore"):
                OUTPUTS[self.first.name].forward(z, (*self.first.params, 0.0)[0], scratch)
            if self.tail is None:
                out[part] = z
            else:
                self.tail.predict(np.ascontiguousarray(z), out[part], threads)
