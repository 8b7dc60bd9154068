"""`TabularRegressor`: numbers of a table's rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import column_or_1d

from fastmlp.spec.checks import real
from fastmlp.tabular.base import BaseTabular
from fastmlp.tabular.calibration import Errors
from fastmlp.tabular.targets import Scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastmlp.spec import Array

__all__ = ["TabularRegressor"]


class TabularRegressor(RegressorMixin, BaseTabular):  # type: ignore[misc]
    """Neural networks for numbers of a table's rows, to be tried first: take a frame as it is, fit, predict.

    As `TabularClassifier` in all that is not of classes. Predictions are the mean of the networks, within the range of
    the targets that were learnt from; rows held out tell how far off they are, which gives quantiles.

    Parameters
    ----------
    effort, time_limit, n_estimators, hidden_layer_sizes, epochs, batch_size, learning_rate, activation, dropout, n_bins
        As for `TabularClassifier`.
    categorical_features, validation_fraction, n_threads, random_state, callbacks
        As for `TabularClassifier`.
    metric : "auto", str or metric, default="auto"
        What tells the best epoch; "auto": "rmse". Networks learn targets of mean 0 and deviation 1, by which it is
        measured.

    Attributes
    ----------
    ensemble_, recipe_, metric_, evals_result_, feature_importances_, n_features_in_, feature_names_in_
        As for `TabularClassifier`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.tabular import TabularRegressor
    >>> X = np.random.default_rng(0).uniform(-2, 2, (500, 2))
    >>> y = X[:, 0] ** 2 + X[:, 1]
    >>> reg = TabularRegressor(effort="fast", random_state=0).fit(X, y)
    >>> reg.score(X, y) > 0.95
    True
    >>> low, high = reg.predict([[1.0, 0.0]], quantiles=[0.1, 0.9])[0]
    >>> bool(low < high)
    True
    """

    _classes: ClassVar[bool] = False

    def __init__(
        self,
        effort: str = "default",
        *,
        time_limit: float | None = None,
        n_estimators: int | None = None,
        hidden_layer_sizes: Any = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        activation: Any = None,
        dropout: float | None = None,
        n_bins: int | None = None,
        categorical_features: Any = "auto",
        metric: Any = "auto",
        validation_fraction: float = 0.2,
        n_threads: int | None = None,
        random_state: Any = None,
        callbacks: Any = (),
    ) -> None:
        self.effort = effort
        self.time_limit = time_limit
        self.n_estimators = n_estimators
        self.hidden_layer_sizes = hidden_layer_sizes
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.activation = activation
        self.dropout = dropout
        self.n_bins = n_bins
        self.categorical_features = categorical_features
        self.metric = metric
        self.validation_fraction = validation_fraction
        self.n_threads = n_threads
        self.random_state = random_state
        self.callbacks = callbacks

    def fit(self, X: Any, y: Any, *, sample_weight: Any = None, eval_set: Any = None, groups: Any = None) -> Self:
        """Learn from the rows of a table.

        Parameters
        ----------
        X, sample_weight, eval_set, groups
            As for `TabularClassifier.fit`.
        y : array_like of shape (n,) or (n, n_targets)
            Numbers.

        Returns
        -------
        self : TabularRegressor

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.
        """
        return self._fit(X, y, sample_weight, eval_set, groups)

    def predict(self, X: Any, quantiles: Sequence[float] | None = None) -> NDArray[np.float64]:
        """Predict the number of each row.

        Parameters
        ----------
        X : as for `fit`
            A category that was not there in `fit` is taken as one of the rare ones, a new gap as what is usual.
        quantiles : sequence of float, optional
            > 0 and < 1, such as ``[0.1, 0.9]``: predict these instead. So many of the targets of rows held out lie
            below each (split conformal prediction, with errors as they are usual where the prediction is).

        Returns
        -------
        ndarray of shape (n,), (n, n_targets), (n, n_quantiles) or (n, n_targets, n_quantiles)

        Raises
        ------
        ValueError
            If `quantiles` is not as described, or too few rows were given to hold any out.
        """
        levels = None if quantiles is None else _levels(quantiles)
        outputs = self._outputs(X)  # an estimator that is not fitted says so here
        predicted = self._scale.restored(outputs)
        if levels is None:
            return predicted[:, 0] if self._flat else predicted
        if not self._errors:
            raise ValueError("quantiles are those of errors on rows held out, of which there were none in fit")
        found = np.stack([e.quantiles(p, levels) for e, p in zip(self._errors, predicted.T, strict=True)], axis=1)
        return found[:, 0] if self._flat else found

    def _learn_targets(self, y: Array, weight: NDArray[np.float64] | None) -> Array:
        numbers = _numbers(column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y, "y")
        self._flat = numbers.ndim == 1
        self._scale = Scale.of(numbers.reshape(len(numbers), -1), weight)
        return self._encode_targets(y, "y")

    def _encode_targets(self, y: Array, name: str) -> Array:
        numbers = _numbers(y, name).reshape(len(y), -1)
        if numbers.shape[1] != len(self._scale.middle):
            raise ValueError(f"{name} must have {len(self._scale.middle)} columns as y, got {numbers.shape[1]}")
        return self._scale.scaled(numbers)

    def _class_counts(self, targets: Array) -> NDArray[np.int64] | None:  # noqa: ARG002
        return None

    def _count_outputs(self) -> int:
        return len(self._scale.middle)

    def _choose_metric(self, targets: Array) -> str:  # noqa: ARG002
        return "rmse"

    def _weigh_classes(self, y: Array, weight: NDArray[np.float64] | None) -> NDArray[np.float64] | None:  # noqa: ARG002
        return weight

    def _calibrate(self, outputs: Array | None, targets: Array, weight: NDArray[np.float64] | None) -> None:  # noqa: ARG002
        self._errors: tuple[Errors, ...] = ()
        if outputs is not None:
            predicted, y = self._scale.restored(outputs), targets.astype(np.float64) * self._scale.spread
            y += self._scale.middle
            self._errors = tuple(Errors.of(*pair) for pair in zip(predicted.T, y.T, strict=True))


def _numbers(y: Array, name: str) -> NDArray[np.float64]:
    """Return targets as numbers, of one dimension where they are one for each row."""
    if y.dtype.kind in "mM":
        raise ValueError(f"{name} must be numbers for a regressor, got {y.dtype}: pass them in a unit, such as days")
    try:
        numbers = np.asarray(y, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numbers for a regressor: {error}") from None
    if numbers.ndim > 2:
        raise ValueError(f"{name} must have shape (n,) or (n, n_targets), got {numbers.shape}")
    return numbers


def _levels(quantiles: Sequence[float]) -> NDArray[np.float64]:
    levels = np.array([real(level, "quantiles") for level in np.atleast_1d(np.asarray(quantiles)).tolist()])
    if levels.ndim != 1 or not len(levels) or levels.min() <= 0.0 or levels.max() >= 1.0:
        raise ValueError(f"quantiles must be > 0 and < 1, such as [0.1, 0.9], got {quantiles!r:.80}")
    return levels
