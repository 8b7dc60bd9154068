"""A network's outputs for given rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike  # noqa: TC002 - for those who ask for the types of the methods

from fastmlp.data import Inputs, Table, as_inputs, check_finite, dense_parts, refuse_overflow
from fastmlp.network.state import State
from fastmlp.runtime import engine_threads
from fastmlp.spec import Array

__all__ = ["Outputs"]


class Outputs(State):
    """A network that computes outputs."""

    __slots__ = ()

    def predict(self, X: ArrayLike, *, out: Array | None = None, threads: int | None = None) -> Array:
        """Compute the network's outputs.

        Parameters
        ----------
        X : array_like of shape (n, n_inputs)
            As for `fit`; n may be 0. Values beyond the network's dtype (1e39 in float32) count as infinite; where they
            make an output NaN, a ValueError names the first of them (`out` is then filled already).
        out : ndarray of shape (n, n_outputs), optional
            Where to put the result: C-contiguous, writeable, of the network's dtype.
        threads : int, optional
            As for `fit`.

        Returns
        -------
        ndarray of shape (n, n_outputs)
            `out` if given. Of the network's dtype; probabilities where the output is softmax or logistic. Of several
            quantiles, those of each target are side by side and in their order.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.

        Examples
        --------
        >>> import fastmlp
        >>> fastmlp.MLP([3, 2], init="zeros", output="softmax").predict([[1, 2, 3]])
        array([[0.5, 0.5]], dtype=float32)
        """
        if out is None and threads is None:
            small = self._learner.engine.predict_small(X)
            if small is not None:
                return small
        n_threads = engine_threads(threads)
        # Nothing of the caller's may change before X is known to be good; a new array the engine fills while it checks.
        rows = self._inputs(X, allow_empty=True, check=out is not None)
        shape = (len(rows), self.sizes[-1])
        if out is None:
            target = result = np.empty(shape, self.dtype)
        else:
            result = _checked_out(out, shape, self.dtype)
            target = (
                np.empty(shape, self.dtype) if isinstance(rows, Table) or np.may_share_memory(rows, result) else result
            )
        if len(rows):
            self._fill(target, rows, n_threads, check=out is None)
            if rows.dtype == np.float64 != self.dtype and np.isnan(target.min()):
                refuse_overflow(rows, self.dtype, "X")
        if target is not result:
            result[...] = target
        return result

    def _inputs(self, X: Any, allow_empty: bool = False, check: bool = True) -> Inputs:
        """Check the argument ``X``, also for the names of its columns."""
        return as_inputs(
            X, self.sizes[0], allow_empty=allow_empty, check=check, finite=self._finite(), names=self.feature_names
        )

    def _fill(self, out: Array, rows: Inputs, threads: int, check: bool) -> None:
        self._access.check_whole()
        try:
            for place, part in dense_parts(rows, slice(0, len(rows))):
                self._fill_part(out[place], part, threads, check)
        except ValueError:
            check_finite(rows, "X")  # says which value, and where
            raise

    def _fill_part(self, out: Array, rows: Array, threads: int, check: bool) -> None:
        engine = self._learner.engine
        if not engine.predict(rows, out, threads, check):
            # The parameters are just changing: wait for whoever changes them.
            with self._access.reading("predict"):
                if not engine.predict(rows, out, threads, check):
                    raise RuntimeError("predict was called while other code changes this network's engine")


def _checked_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, got {type(out).__name__}")
    if out.dtype != dtype or not out.dtype.isnative:
        raise TypeError(f"out must have the network's dtype {dtype}, got {out.dtype.str}")
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape}, got {out.shape}")
    if not (out.flags.c_contiguous and out.flags.aligned):
        raise ValueError("out must be C-contiguous and aligned")
    if not out.flags.writeable:
        raise ValueError("out must be writeable, got a read-only array")
    return out
