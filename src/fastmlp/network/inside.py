"""What happens inside a network on given rows: traces, outputs of a layer, derivatives by the inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike  # noqa: TC002 - for those who ask for the types of the methods

from fastmlp.data import Inputs, as_targets, chunks, dense, leave_out, refuse_overflow
from fastmlp.network.outputs import Outputs
from fastmlp.runtime import engine_threads
from fastmlp.spec import Array, NetworkSpec
from fastmlp.spec.checks import integer
from fastmlp.spec.hints import explained_as

if TYPE_CHECKING:
    from fastmlp.data import Finite
    from fastmlp.runtime import Engine

__all__ = ["Inside", "Trace"]


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """The signals inside a network for given rows: lists of one array (n, n_out) per layer, the output layer last.

    Attributes
    ----------
    signals : list of ndarray
        z = a W + b, what enters the activation function; of layers that normalise a W, what is normalised.
    outputs : list of ndarray
        a = f(z), or that and the layer's inputs, with residual connections; the last are the network's outputs.
    sensitivities : list of ndarray or None
        dE/dz of each row's own loss E, not divided by the number of rows; None if no targets were given.

    Examples
    --------
    The derivatives of the rows' losses by their inputs are one product away:

    >>> import fastmlp
    >>> net = fastmlp.MLP([2, 3, 1], seed=0)
    >>> trace = net.trace([[1.0, 2.0], [0.5, -1.0]], [1.0, 0.0])
    >>> trace
    <Trace of 2 rows through layers of 3 and 1: signals, outputs, sensitivities>
    >>> (trace.sensitivities[0] @ net.weights[0].T).shape
    (2, 2)
    """

    signals: list[Array]
    outputs: list[Array]
    sensitivities: list[Array] | None = None

    def __repr__(self) -> str:
        """Show the shapes: the numbers themselves would flood a notebook."""
        *widths, last = (str(z.shape[1]) for z in self.signals)
        layers = f"layers of {', '.join(widths)} and {last}" if widths else f"one layer of {last}"
        rows = len(self.signals[-1])
        return (
            f"<Trace of {rows} row{'' if rows == 1 else 's'} through {layers}: "
            f"signals, outputs{'' if self.sensitivities is None else ', sensitivities'}>"
        )

    def _repr_html_(self) -> str:
        """Show the shapes, the extremes and the mean of what each layer computes, in a notebook."""
        from fastmlp.markup import table

        arrays = {"signals": self.signals, "outputs": self.outputs, "sensitivities": self.sensitivities or []}
        rows = [
            [layer + 1, name, a.shape, *(f"{value:.4g}" for value in (a.min(), a.mean(), a.max()))]
            for layer in range(len(self.signals))
            for name, of_layers in arrays.items()
            for a in of_layers[layer : layer + 1]
            if a.size
        ]
        return table(repr(self).strip("<>"), ["layer", "", "shape", "lowest", "mean", "highest"], rows)


class Inside(Outputs):
    """A network that one can look into."""

    __slots__ = ()

    def trace(self, X: ArrayLike, y: ArrayLike | None = None, *, threads: int | None = None) -> Trace:
        """Record what every layer does: signals, outputs and, with targets, sensitivities.

        Parameters
        ----------
        X, y, threads
            As for `fit`; `y` may be left out.

        Returns
        -------
        Trace
            Of what the layers compute: where targets are normalised, the last outputs are of normalised ones.

        Examples
        --------
        >>> import fastmlp
        >>> net = fastmlp.MLP([2, 3, 1], activation="tanh", init="zeros")
        >>> trace = net.trace([[1.0, 2.0]], [1.0])
        >>> [z.shape for z in trace.signals], trace.sensitivities[-1]
        ([(1, 3), (1, 1)], array([[-1.]], dtype=float32))
        """
        n_threads = engine_threads(threads)
        spec, finite = self._learner.spec, self._finite()
        rows = self._inputs(X)
        targets, left_out = _targets_of(spec, y, len(rows), finite)
        with self._access.reading("trace"):
            found = self._learner.engine.trace(dense(rows), targets, n_threads)
        for sensitivities in found[2] or ():
            sensitivities[left_out] = 0.0
        return Trace(*found)

    @explained_as("MLP.transform")
    def transform(self, X: ArrayLike, layer: int = -2, *, threads: int | None = None) -> Array:
        """Compute the outputs of a layer: features that the network has learned.

        Parameters
        ----------
        X : array_like of shape (n, n_inputs)
            As for `predict`.
        layer : int
            Place in `layers`: 0 is the first hidden layer, -2 the last one, -1 the output layer.
        threads : int, optional
            As for `fit`.

        Returns
        -------
        ndarray of shape (n, n_out of the layer)
            What leaves its activation function, and with residual connections its inputs added, of the network's dtype.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.

        Examples
        --------
        >>> import fastmlp
        >>> net = fastmlp.MLP([4, 8, 3, 2], seed=0)
        >>> net.transform([[1, 2, 3, 4]]).shape, net.transform([[1, 2, 3, 4]], layer=0).shape
        ((1, 3), (1, 8))
        """
        spec = self._learner.spec
        place = integer(layer, "layer", -len(spec.layers), len(spec.layers) - 1) % len(spec.layers)
        if place == len(spec.layers) - 1:
            return self.predict(X, threads=threads)
        n_threads = engine_threads(threads)
        rows = self._inputs(X, allow_empty=True)
        result = np.empty((len(rows), spec.sizes[place + 1]), spec.dtype)
        with self._access.reading("transform"):
            for part in chunks(len(rows), 2 * sum(spec.sizes)):
                result[part] = self._learner.engine.trace(rows[part], None, n_threads)[1][place]
        self._refuse_nan(result, rows)
        return result

    @explained_as("MLP.input_gradient")
    def input_gradient(self, X: ArrayLike, y: ArrayLike | None = None, *, threads: int | None = None) -> Array:
        """Compute derivatives by the inputs: of each row's loss or, without targets, of its outputs.

        A row's own loss is not divided by the number of rows, so adversarial examples are
        ``X + epsilon * np.sign(net.input_gradient(X, y))`` (Goodfellow et al. 2015). Without targets it is the Jacobian
        of `predict`, for saliency maps (Simonyan et al. 2014): ``net.input_gradient(X)[:, k]`` is that of output k,
        behind its softmax if there is one.

        Parameters
        ----------
        X : array_like of shape (n, n_inputs)
            As for `fit`.
        y : array_like, optional
            Targets, as for `fit`.
        threads : int, optional
            As for `fit`.

        Returns
        -------
        ndarray of shape (n, n_inputs), or (n, n_outputs, n_inputs) without y
            Of the network's dtype.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.

        Examples
        --------
        >>> import fastmlp
        >>> net = fastmlp.MLP([2, 1], init="zeros")
        >>> net.weights = [[[3.0], [4.0]]]
        >>> net.input_gradient([[1.0, 0.0]]), net.input_gradient([[1.0, 0.0]], [1.0])
        (array([[[3., 4.]]], dtype=float32), array([[6., 8.]], dtype=float32))
        """
        n_threads = engine_threads(threads)
        spec, finite = self._learner.spec, self._finite()
        rows = self._inputs(X)
        targets, left_out = _targets_of(spec, y, len(rows), finite)
        n, n_inputs, n_outputs = len(rows), spec.sizes[0], spec.sizes[-1]
        engine = self._learner.engine
        with self._access.reading("input_gradient"):
            by_inputs = self._first_layer_backwards()
            result = np.empty((n, n_inputs) if targets is not None else (n, n_outputs, n_inputs), spec.dtype)
            for part in chunks(n, 3 * sum(spec.sizes) + n_inputs):
                found = np.empty((part.stop - part.start, n_inputs), spec.dtype)
                for k in range(1 if targets is not None else n_outputs):
                    if targets is not None:
                        sensitivities = engine.trace(rows[part], targets[part], n_threads)[2]
                    else:
                        by_outputs = np.zeros((len(found), n_outputs), spec.dtype)
                        by_outputs[:, k] = 1
                        sensitivities = engine.trace(rows[part], None, n_threads, by_outputs)[2]
                    assert sensitivities is not None
                    by_inputs.predict(sensitivities[0], found, n_threads, False)
                    (result if targets is not None else result[:, k])[part] = found
            self._by_raw_inputs(result)
            if targets is None and self._learner.normalizing.target_scaling is not None:
                by_targets = np.repeat(self._learner.normalizing.target_scaling.scale, spec.loss.heads)
                result[...] = result / by_targets[:, np.newaxis]
        result[left_out] = 0.0
        self._refuse_nan(result, rows)
        return result

    def _first_layer_backwards(self) -> Engine:
        """Make an engine for the product with the transpose of the first layer's weights, which no step needs.

        Its sums have the order of all others, whatever the processor.
        """
        weight = self._learner.engine.read()["layers.0.weight"]
        engine = self._backend.engine(NetworkSpec.make(weight.shape[::-1], dtype=self.dtype))
        engine.write(
            {
                "layers.0.weight": np.ascontiguousarray(weight.T),
                "layers.0.bias": np.zeros(weight.shape[0], weight.dtype),
            }
        )
        return engine

    def _refuse_nan(self, result: Array, rows: Inputs) -> None:
        """Raise a ValueError where a result is NaN for values that the network's dtype cannot hold."""
        if rows.dtype == np.float64 != self.dtype and np.isnan(result).any():
            refuse_overflow(rows, self.dtype, "X")


def _targets_of(spec: NetworkSpec, y: Any, n_rows: int, finite: Finite | None) -> tuple[Array | None, Any]:
    """Check the argument ``y``; tell which rows have no target, where the loss takes such."""
    if y is None:
        return None, slice(0)
    targets = as_targets(y, spec.loss, spec.sizes[-1], n_rows, finite=finite)
    targets, weight = leave_out(targets, None, spec.loss, some=False)
    return targets, slice(0) if weight is None else weight == 0.0
