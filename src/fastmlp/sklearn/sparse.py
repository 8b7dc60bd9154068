"""Predictions from sparse rows (CSR): some made dense at a time, or the first layer as a sparse product.

The product is SciPy's: less work than a dense one where nearly all numbers are zeros, and the engine has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.data.sparse import dense_blocks
from fastmlp.spec import NetworkSpec, Scratch

if TYPE_CHECKING:
    from fastmlp.runtime import Backend, Engine
    from fastmlp.spec import Array

__all__ = ["SparseFirstLayer", "is_sparse", "pays", "predict_rows"]

# Signals of the first layer are kept for so many numbers at a time.
SIGNALS = 1 << 20
# A sparse product takes about as long for one stored number as the dense one for 40; making a number dense takes as
# long as one stored number in one column. Measured with SciPy's CSR on widths from 20 to 200.
DENSE_RATE = 40


def is_sparse(X: Any) -> bool:
    """Return whether X is a sparse matrix, where all others are arrays by now."""
    return not isinstance(X, np.ndarray)


def predict_rows(engine: Engine, X: Any, out: Array, threads: int) -> bool:
    """Compute outputs of all rows, dense or sparse, in `out`; False if parameters are just being changed."""
    if not is_sparse(X):
        return engine.predict(X, out, threads)
    return all(engine.predict(block, out[part], threads) for part, block in dense_blocks(X))


def pays(X: Any, width: int) -> bool:
    """Return whether X times a dense matrix of so many columns is less work than with the zeros."""
    rows, columns = X.shape
    answer: bool = X.nnz * width < rows * columns * (1 + width / DENSE_RATE)
    return answer


class SparseFirstLayer:
    """A network cut behind its first layer: that one is SciPy's and NumPy's, the others the engine's.

    The engine is one of its own, so that predictions may run side by side and in handlers of signals.
    """

    def __init__(self, spec: NetworkSpec, tensors: dict[str, Array], backend: Backend) -> None:
        self.W, self.b = tensors["layers.0.weight"], tensors["layers.0.bias"]
        self.activation = spec.layers[0].activation
        self.rest: Engine | None = None
        if len(spec.layers) > 1:
            self.rest = backend.engine(
                NetworkSpec(spec.sizes[1:], spec.activations[1:], spec.output, spec.loss, spec.dtype)
            )
            kept = range(1, len(spec.layers))
            self.rest.write(
                {f"layers.{i - 1}.{kind}": tensors[f"layers.{i}.{kind}"] for i in kept for kind in ("weight", "bias")}
            )

    def predict(self, X: Any, out: Array, threads: int) -> None:
        """Compute outputs of all rows of a CSR matrix in `out` (n, O)."""
        size = max(1, SIGNALS // self.W.shape[1])
        for start in range(0, X.shape[0], size):
            part = slice(start, min(start + size, X.shape[0]))
            z = np.asarray(X[part] @ self.W, dtype=self.W.dtype)
            z += self.b
            scratch = Scratch(np.empty_like(z), np.empty(z.shape, np.bool_), np.empty((len(z), 1), z.dtype))
            with np.errstate(all="ignore"):
                self.activation.forward(z, scratch)
            if self.rest is None:
                out[part] = z
            else:
                self.rest.predict(np.ascontiguousarray(z), out[part], threads)
