"""Gradients of losses that others compute: forward, backward, an update by any gradient, and parameters in one vector.

What `forward` keeps is its own: the engine's buffers, one for each Python thread, until `backward` or the next forward.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence  # noqa: TC003 - for those who ask for the types of the methods
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike  # noqa: TC002

from fastmlp.data import as_parameters, as_real, check_finite, checked_flat, dense, refuse_overflow
from fastmlp.network.arguments import as_steps
from fastmlp.network.measures import Measures
from fastmlp.runtime import engine_threads
from fastmlp.spec import (
    Adam,
    Array,
    NetworkSpec,
    Optimizer,
    OptimizerName,
    ScheduleFreeAdamW,
    as_optimizer,
    name_tensors,
    weights_and_biases,
)
from fastmlp.spec.checks import flag
from fastmlp.spec.hints import explained_as
from fastmlp.train import loop

__all__ = ["Gradients"]


class Gradients(Measures):
    """A network that gives its gradient to losses and optimizers of others."""

    __slots__ = ()

    @explained_as("MLP.forward")
    def forward(self, X: ArrayLike, *, training: bool = False, threads: int | None = None) -> Array:
        """Compute the outputs as `predict` does, and keep what `backward` needs.

        It is kept, in the network's own memory (all layers' outputs, for every row), until `backward` or the next
        `forward` of the same Python thread; other threads have their own.

        Parameters
        ----------
        X : array_like of shape (n, n_inputs)
            As for `fit`; n is at least 1.
        training : bool
            Whether to draw dropout and noise, as the next `step` would on these rows: from the seed and `n_steps`, so
            that they are others after each `apply_gradients`.
        threads : int, optional
            As for `fit`.

        Returns
        -------
        ndarray of shape (n, n_outputs)
            What leaves the output layer's activation function, of the network's dtype.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.

        Examples
        --------
        A loss of one's own, the mean of the fourth powers, and a step of gradient descent:

        >>> import fastmlp
        >>> net = fastmlp.MLP([2, 1], init="zeros", dtype="float64")
        >>> error = net.forward([[1.0, 2.0]]) - [[1.0]]
        >>> dW, db = net.backward(4 * error**3 / len(error))
        >>> dW[0].tolist(), db[0].tolist()
        ([[-4.0], [-8.0]], [-4.0])
        >>> net.apply_gradients(dW, db, optimizer=fastmlp.SGD(0.125))
        >>> net.predict([[1.0, 2.0]])
        array([[3.]])
        """
        training, n_threads = flag(training, "training"), engine_threads(threads)
        spec = self._learner.spec
        seed = self._drawn_by(training)
        rows = self._inputs(X)
        out = np.empty((len(rows), spec.sizes[-1]), spec.dtype)
        with self._access.reading("forward"):
            self._tapes.tape = None  # its buffers serve this one
            self._tapes.tape = self._learner.engine.forward(dense(rows), out, n_threads, seed)
        if rows.dtype == np.float64 != self.dtype and np.isnan(out).any():
            self._tapes.tape = None
            refuse_overflow(rows, self.dtype, "X")
        return out

    @overload
    def backward(
        self,
        dE_doutput: ArrayLike,
        *,
        out: Array | None = None,
        input_gradient: Literal[False] = False,
        threads: int | None = None,
    ) -> tuple[list[Array], list[Array]]: ...

    @overload
    def backward(
        self,
        dE_doutput: ArrayLike,
        *,
        out: Array | None = None,
        input_gradient: Literal[True],
        threads: int | None = None,
    ) -> tuple[list[Array], list[Array], Array]: ...

    @explained_as("MLP.backward")
    def backward(
        self,
        dE_doutput: ArrayLike,
        *,
        out: Array | None = None,
        input_gradient: bool = False,
        threads: int | None = None,
    ) -> tuple[list[Array], list[Array]] | tuple[list[Array], list[Array], Array]:
        """Compute the gradient of any E, from its derivatives by what the last `forward` returned.

        It is J^T dE, a sum over the rows: where E is a mean over them, so are the derivatives, and nothing is divided
        here. The network's `l1` and `l2` are not in it.

        Parameters
        ----------
        dE_doutput : array_like of shape (n, n_outputs)
            dE/d(output) for each number that `forward` returned: behind the output layer's activation function.
        out : ndarray of shape (n_parameters,), optional
            Where to put the parameters' gradient, in the order of `get_flat`: contiguous, of the network's dtype.
        input_gradient : bool
            Whether to compute dE/dX as well.
        threads : int, optional
            As for `fit`.

        Returns
        -------
        weight_gradients : list of ndarray of shape (n_in, n_out)
        bias_gradients : list of ndarray of shape (n_out,)
            One per layer, in the network's dtype: parts of `out`, if that is given, which has those by other vectors,
            such as the gammas of layers that normalise, too.
        dE_dX : ndarray of shape (n, n_inputs)
            With `input_gradient` only.

        Raises
        ------
        RuntimeError
            If there was no `forward` since the last `backward`, in this thread, or the weights have changed since.
        TypeError, ValueError
            If an argument is not as described; what `forward` kept is still there.

        Examples
        --------
        SciPy's optimizers, for a loss of one's own:

        >>> import numpy as np, fastmlp
        >>> X = np.linspace(-1, 1, 20).reshape(-1, 1)
        >>> net = fastmlp.MLP([1, 8, 1], activation="tanh", dtype="float64", seed=0)
        >>> gradient = np.empty(net.n_parameters)
        >>> def loss(w):
        ...     net.set_flat(w)
        ...     error = net.forward(X) - np.sin(3 * X)
        ...     net.backward(error, out=gradient)
        ...     return 0.5 * np.sum(error**2), gradient
        >>> from scipy.optimize import minimize  # doctest: +SKIP
        >>> net.set_flat(minimize(loss, net.get_flat(), jac=True).x)  # doctest: +SKIP
        >>> loss(net.get_flat())[1].shape
        (25,)
        """
        wanted, n_threads = flag(input_gradient, "input_gradient"), engine_threads(threads)
        spec, tape = self._learner.spec, getattr(self._tapes, "tape", None)
        if tape is None:
            raise RuntimeError(
                "backward needs a forward before it, by the same Python thread: what that keeps serves one backward"
            )
        derivatives = _as_derivatives(dE_doutput, (tape.rows, spec.sizes[-1]), self.dtype)
        derivatives = self._by_scaled_outputs(derivatives)
        flat = np.empty(spec.n_parameters, spec.dtype) if out is None else checked_flat(out, spec)
        by_inputs = np.empty((tape.rows, spec.sizes[0]), spec.dtype) if wanted else None
        with self._access.reading("backward"):
            self._tapes.tape = None
            try:
                self._learner.engine.backward(tape, derivatives, flat, by_inputs, n_threads, False)
            except RuntimeError as error:
                if "changed" not in str(error):
                    raise
                raise RuntimeError(
                    "the network's weights have changed since forward: call it again before backward"
                ) from None
        weights, biases = weights_and_biases(_views(flat, spec))
        if by_inputs is None:
            return weights, biases
        return weights, biases, self._by_raw_inputs(by_inputs)

    def _drawn_by(self, training: bool) -> int | None:
        """Return what dropout and noise of a forward pass are drawn by: None outside of a training."""
        if training and self._learner.spec.norm == "batch":
            raise ValueError(
                "training=True is not for norm='batch': the statistics of a batch are taken by fit and step alone; "
                "take norm='layer', or training=False, which normalises by the running statistics"
            )
        return self._learner.seed if training else None

    def _by_scaled_outputs(self, derivatives: Array) -> Array:
        """Take derivatives (n, n_outputs) by outputs in the targets' units to those by what the last layer has."""
        scaling = self._learner.normalizing.target_scaling
        if scaling is None:
            return derivatives
        return (derivatives / np.repeat(scaling.scale, self._learner.spec.loss.heads)).astype(derivatives.dtype)

    @explained_as("MLP.apply_gradients")
    def apply_gradients(
        self,
        dW: Sequence[ArrayLike] | Array,
        db: Sequence[ArrayLike] | None = None,
        *,
        optimizer: OptimizerName | Optimizer | None = None,
        threads: int | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        lr_factors: Mapping[str, float] | None = None,
    ) -> None:
        """Make one update by this gradient: what `step` does behind its own.

        Parameters
        ----------
        dW, db
            Gradients of all weights (n_in, n_out) and biases (n_out,), one per layer; or one vector in the order of
            `get_flat`, without `db`. As they are: a network's `l1` and `l2` are added to gradients of its own loss
            only.
        optimizer, threads, clip_norm, clip_value, lr_factors
            As for `step`; the optimizer's state is shared with it, and `n_steps` counts on.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described, or not finite; the network is as it was.
        TrainingDiverged
            If the update overflows: the network goes back as it does in `step`.

        Examples
        --------
        >>> import fastmlp
        >>> net = fastmlp.MLP([2, 1], init="zeros")
        >>> net.apply_gradients([[[1.0], [2.0]]], [[3.0]], optimizer=fastmlp.SGD(0.5))
        >>> net.get_flat(), net.n_steps
        (array([-0.5, -1. , -1.5], dtype=float32), 1)
        """
        spec, learner = self._learner.spec, self._learner
        chosen = None if optimizer is None else as_optimizer(optimizer)
        steps = as_steps(self, chosen, clip_norm=clip_norm, clip_value=clip_value, lr_factors=lr_factors)
        n_threads = engine_threads(threads)
        if isinstance(chosen or learner.optimizer, ScheduleFreeAdamW):
            raise ValueError(
                "ScheduleFreeAdamW takes gradients where only fit and step can: at other weights than the network's"
            )
        if db is None:
            gradient = _views(_as_flat(dW, "dW", spec), spec)
        else:
            gradient = name_tensors(as_parameters(spec, dW, "dW"), as_parameters(spec, db, "db", kind="bias"))
            if gradient.keys() != spec.shapes.keys():
                raise ValueError(
                    "db is of biases, and this network has others, too: give the gradient as one vector, without db, "
                    "as backward(..., out=gradient) fills it"
                )
        with self._access.training("apply_gradients"):
            learner.rates = steps.rates
            loop.apply(learner, gradient, chosen or learner.optimizer or Adam(), n_threads, steps.options)

    def get_flat(self, out: Array | None = None) -> Array:
        """Return all parameters in one vector: of each layer the weights, row by row of (n_in, n_out), then the biases
        and, where it normalises, gamma.

        Parameters
        ----------
        out : ndarray of shape (n_parameters,), optional
            Where to put them: contiguous, of the network's dtype.

        Returns
        -------
        ndarray of shape (n_parameters,)
            `out` if given, else a new array.

        Examples
        --------
        >>> import fastmlp
        >>> net = fastmlp.MLP([2, 1], init="zeros")
        >>> net.weights, net.biases = [[[1.0], [2.0]]], [[3.0]]
        >>> net.get_flat()
        array([1., 2., 3.], dtype=float32)
        """
        spec = self._learner.spec
        flat = np.empty(spec.n_parameters, spec.dtype) if out is None else checked_flat(out, spec)
        with self._access.reading("get_flat"):
            tensors = self._learner.engine.read()
        np.concatenate([tensors[name].ravel() for name in spec.shapes], out=flat)
        return flat

    def set_flat(self, parameters: ArrayLike) -> None:
        """Set all parameters from one vector in the order of `get_flat`; the optimizer's state stays as it is.

        Raises
        ------
        TypeError, ValueError
            If it has another shape, or is not finite in the network's dtype; the network is as it was.

        Examples
        --------
        >>> import fastmlp
        >>> net = fastmlp.MLP([2, 1])
        >>> net.set_flat([1.0, 2.0, 3.0])
        >>> net.predict([[1.0, 1.0]])
        array([[6.]], dtype=float32)
        """
        tensors = _views(_as_flat(parameters, "parameters", self._learner.spec), self._learner.spec)
        self._set_tensors(tensors, "set_flat")


def _views(flat: Array, spec: NetworkSpec) -> dict[str, Array]:
    """Cut a vector of all parameters into tensors by name."""
    tensors, at = {}, 0
    for name, shape in spec.shapes.items():
        end = at + math.prod(shape)
        tensors[name] = flat[at:end].reshape(shape)
        at = end
    return tensors


def _as_derivatives(given: ArrayLike, shape: tuple[int, int], dtype: np.dtype[Any]) -> Array:
    """Check the argument ``dE_doutput``."""
    array = as_real(given, "dE_doutput")
    if array.shape != shape:
        raise ValueError(f"dE_doutput must have the shape of what forward returned, {shape}, got {array.shape}")
    return _converted(array, "dE_doutput", dtype)


def _as_flat(given: object, name: str, spec: NetworkSpec) -> Array:
    """Check a vector with a number for each parameter; it is copied."""
    array = as_real(given, name)
    if array.shape != (spec.n_parameters,):
        raise ValueError(f"{name} must have shape ({spec.n_parameters},), one number per parameter, got {array.shape}")
    return _converted(array, name, np.dtype(spec.dtype))


def _converted(array: Array, name: str, dtype: np.dtype[Any]) -> Array:
    with np.errstate(over="ignore"):  # too large for the dtype: infinite, and refused as such
        converted = np.array(array, dtype=dtype, order="C")
    check_finite(converted, f"{name} (as {dtype})")
    return converted
