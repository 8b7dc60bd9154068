"""A network's outputs for given rows."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike  # noqa: TC002 - for those who ask for the types of the methods

from fastmlp.data import Inputs, Table, as_inputs, check_finite, dense_parts, refuse_overflow
from fastmlp.network.normalized import Normalized
from fastmlp.runtime import engine_threads
from fastmlp.spec import Array
from fastmlp.spec.checks import flag

__all__ = ["Outputs"]


class Outputs(Normalized):
    """A network that computes outputs."""

    __slots__ = ()

    @overload
    def predict(
        self,
        X: ArrayLike,
        *,
        return_std: Literal[False] = False,
        out: Array | None = None,
        threads: int | None = None,
    ) -> Array: ...

    @overload
    def predict(
        self, X: ArrayLike, *, return_std: Literal[True], out: Array | None = None, threads: int | None = None
    ) -> tuple[Array, Array]: ...

    def predict(
        self, X: ArrayLike, *, return_std: bool = False, out: Array | None = None, threads: int | None = None
    ) -> Array | tuple[Array, Array]:
        """Compute the network's outputs.

        Parameters
        ----------
        X : array_like of shape (n, n_inputs)
            As for `fit`; n may be 0. Values beyond the network's dtype (1e39 in float32) count as infinite; where they
            make an output NaN, a ValueError names the first of them (`out` is then filled already).
        return_std : bool, default False
            Whether to return standard deviations, too, which a network has whose loss is `GaussianNLL`.
        out : ndarray of shape (n, n_outputs), optional
            Where to put the result: C-contiguous, writeable, of the network's dtype.
        threads : int, optional
            As for `fit`.

        Returns
        -------
        ndarray of shape (n, n_outputs)
            `out` if given. Of the network's dtype; probabilities where the output is softmax or logistic. Of several
            quantiles, those of each target are side by side and in their order. With `GaussianNLL`, the means, (n,
            n_outputs / 2).
        std : ndarray of shape (n, n_outputs / 2)
            With ``return_std=True``.

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
        if out is None and threads is None and not return_std:
            small = self._learner.engine.predict_small(X)
            if small is not None:
                return small
        n_threads = engine_threads(threads)
        loss = self._learner.spec.loss
        if flag(return_std, "return_std") and not loss.deviations:
            raise ValueError(f"return_std=True is for the loss 'gaussian_nll', which has deviations, not {loss.name!r}")
        # Nothing of the caller's may change before X is known to be good; a new array the engine fills while it checks.
        rows = self._inputs(X, allow_empty=True, check=out is not None)
        shape = (len(rows), self.sizes[-1])
        if out is None:
            target = result = np.empty(shape, self.dtype)
        else:
            result = _checked_out(out, (len(rows), shape[1] // 2) if loss.deviations else shape, self.dtype)
            apart = loss.deviations or isinstance(rows, Table) or np.may_share_memory(rows, result)
            target = np.empty(shape, self.dtype) if apart else result
        if len(rows):
            self._fill(target, rows, n_threads, check=out is None)
            if rows.dtype == np.float64 != self.dtype and np.isnan(target.min()):
                refuse_overflow(rows, self.dtype, "X")
        if loss.deviations:
            mean = np.empty((len(rows), shape[1] // 2), self.dtype) if out is None else result
            mean[...] = target[:, ::2]
            return (mean, np.ascontiguousarray(target[:, 1::2])) if return_std else mean
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
            for place, part in dense_parts(rows, slice(0, len(rows)), self._learner.engine.takes_sparse):
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
