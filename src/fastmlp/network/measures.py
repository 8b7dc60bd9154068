"""How good a network is on rows with targets: loss, metric and gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence  # noqa: TC003 - for those who ask for the types of the methods
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike  # noqa: TC002

from fastmlp.data import Data, as_data, checked_flat, dense, refuse_overflow
from fastmlp.network.inside import Inside
from fastmlp.runtime import engine_threads
from fastmlp.spec import Array, MetricLike, weights_and_biases
from fastmlp.spec.hints import explained_as
from fastmlp.train.metrics import evaluate

if TYPE_CHECKING:
    from fastmlp.metrics import Metric

__all__ = ["Measures"]


class Measures(Inside):
    """A network that is measured."""

    __slots__ = ()

    @explained_as("MLP.loss_and_grad")
    def loss_and_grad(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        threads: int | None = None,
        out: Array | None = None,
    ) -> tuple[float, list[Array], list[Array]]:
        """Compute the loss of a batch and its gradient, without dropout, for an optimizer of your own.

        Where the loss is NaN or infinite, there is no gradient: the arrays hold anything.

        Parameters
        ----------
        X, y, sample_weight, threads
            As for `fit`.
        out : ndarray of shape (n_parameters,), optional
            Where to put the whole gradient, in the order of `get_flat`: contiguous, of the network's dtype. That by
            the gammas of layers that normalise is there alone.

        Returns
        -------
        loss : float
            Mean of the rows' losses, weighted if weights are given, and the penalties of the network's `l1` and `l2`,
            which are in the gradient, too; without an optimizer's weight_decay.
        weight_gradients : list of ndarray of shape (n_in, n_out)
        bias_gradients : list of ndarray of shape (n_out,)
            One per layer, in the network's dtype.

        Examples
        --------
        >>> import fastmlp
        >>> net = fastmlp.MLP([2, 1], init="zeros", dtype="float64")
        >>> loss, dW, db = net.loss_and_grad([[1.0, 2.0]], [1.0])
        >>> loss, dW[0].tolist(), db[0].tolist()
        (0.5, [[-1.0], [-2.0]], [-1.0])
        """
        n_threads = engine_threads(threads)
        flat = None if out is None else checked_flat(out, self._learner.spec)
        data = as_data(self._learner.spec, X, y, sample_weight, finite=self._finite(), columns=self.feature_names)
        with self._access.reading("loss_and_grad"):
            gradient: dict[str, Array] = {}
            loss = self._learner.engine.gradient(dense(data.X), data.y, data.weight, n_threads, gradient)
            if math.isnan(loss):
                loss = evaluate(self._learner.engine, self._learner.spec, data, n_threads)["loss"]
        self._refuse_overflow(loss, data)
        if flat is not None:
            np.concatenate([tensor.ravel() for tensor in gradient.values()], out=flat)
        return loss, *weights_and_biases(gradient)

    @explained_as("MLP.evaluate")
    def evaluate(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        metrics: Sequence[MetricLike] | None = None,
        threads: int | None = None,
    ) -> dict[str, float]:
        """Compute loss and metrics on data.

        Parameters
        ----------
        X, y, sample_weight, metrics, threads
            As for `fit`. Memory does not grow with the number of rows, unless a metric needs all outputs at once ("auc"
            and "average_precision", and functions of your own).

        Returns
        -------
        dict
            "loss": mean of the rows' losses, and the penalties of the network's `l1` and `l2`; and the metrics under
            their names, without `metrics` one by the loss:

            - cross_entropy: "accuracy", the share of rows whose largest output is their class (or largest probability);
            - binary_cross_entropy: "accuracy", the share of outputs on the same side of 1/2 as their targets;
            - `Quantile` of several: the "pinball" loss of each, as "pinball_0.9"; other metrics are taken of those next
              to the median;
            - squared_error, absolute_error, huber, log_cosh, quantile, gaussian_nll (of its means): "r2", the
              coefficient of determination 1 - SS_residual / SS_total, averaged over the outputs; an output with
              constant targets counts 1 if it is met exactly and 0 otherwise;
            - poisson, gamma, tweedie: "d2", the same with half the deviance in the place of the squares;
            - cosine: "cosine_similarity", the mean of the cosines themselves.

            All of them count rows by `sample_weight` if it is given.

        Examples
        --------
        >>> import fastmlp
        >>> fastmlp.MLP([1, 1], init="zeros").evaluate([[1.0], [2.0]], [1.0, -1.0])
        {'loss': 0.5, 'r2': 0.0}
        >>> fastmlp.MLP([1, 1], init="zeros").evaluate([[1.0], [2.0]], [1.0, -3.0], metrics=["mae", "rmse"])
        {'loss': 2.5, 'mae': 2.0, 'rmse': 2.23606797749979}
        """
        measured = self._metrics(metrics)
        n_threads = engine_threads(threads)
        data = as_data(self._learner.spec, X, y, sample_weight, finite=self._finite(), columns=self.feature_names)
        with self._access.reading("evaluate"):
            result = evaluate(self._learner.engine, self._learner.spec, data, n_threads, measured)
        self._refuse_overflow(result["loss"], data)
        return result

    def _metrics(self, metrics: Sequence[MetricLike] | None) -> tuple[Metric, ...]:
        """Check the argument ``metrics``."""
        from fastmlp.metrics import as_metrics  # for those who measure: import fastmlp does not wait for it

        return as_metrics(metrics, self._learner.spec)

    def _refuse_overflow(self, loss: float, data: Data) -> None:
        """A ValueError if the loss is NaN for values that the network's dtype cannot hold."""
        if math.isnan(loss):
            refuse_overflow(data.X, self.dtype, "X")
            refuse_overflow(data.y, self.dtype, "y")
