"""A layer of single neurons, and the delta rule, by which they learn. The perceptron rule is in perceptron.py.

For several classes there is one neuron for each, which tells its class from all others.
"""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from fastmlp.data import Data
from fastmlp.runtime import choose_backend, engine_threads
from fastmlp.sklearn.compat import Interval, StrOptions, fit_context, validate_data
from fastmlp.sklearn.follow import LossReport
from fastmlp.spec import SGD, Array, NetworkSpec, weights_and_biases
from fastmlp.train import loop
from fastmlp.train.callbacks import LoopCallback
from fastmlp.train.epoch import Epoch
from fastmlp.train.learner import Learner
from fastmlp.train.source import Arrays, Order

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.train.callbacks import Logs

__all__ = ["AdalineClassifier", "AdalineRegressor", "NeuronClassifier", "Neurons"]

DTYPES = (np.float64, np.float32)


class Neurons(BaseEstimator):  # type: ignore[misc]
    """Base of the neurons z = x w + b, with `coef_` (n_neurons, n_features) and `intercept_` (n_neurons,)."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    n_iter_: int

    def _signals(self, X: Any) -> Array:
        """Compute z of every row, (n, n_neurons)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=DTYPES, reset=False)
        signals: Array = X @ self.coef_.T + self.intercept_
        return signals

    def _epoch_order(self, rng: Any, n: int) -> NDArray[np.int64]:
        order = np.arange(n, dtype=np.int64)
        if self.shuffle:
            rng.shuffle(order)
        return order

    def _warn_not_converged(self, what: str) -> None:
        warnings.warn(f"{what} after max_iter={self.max_iter} epochs.", ConvergenceWarning, stacklevel=4)


class NeuronClassifier(ClassifierMixin, Neurons):  # type: ignore[misc]
    """Neurons that tell classes by the signs of their z."""

    classes_: Array

    def _validate(self, X: Any, y: Any) -> tuple[Array, Array]:
        """Validate X and y; return X, and the answer that each neuron should give: -1 or 1, (n, n_neurons)."""
        X, y = validate_data(self, X, y, dtype=DTYPES)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        n_classes = len(self.classes_)
        if n_classes < 2:
            raise ValueError(
                f"{type(self).__name__} needs at least 2 classes in y; got 1 class, {self.classes_.tolist()[0]!r}"
            )
        if n_classes == 2:
            return X, (2.0 * labels - 1.0).astype(X.dtype)[:, np.newaxis]
        return X, np.where(labels[:, np.newaxis] == np.arange(n_classes), 1.0, -1.0).astype(X.dtype)

    def decision_function(self, X: Any) -> Array:
        """Compute the neurons' signals.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            With two classes that of the one neuron, positive for ``classes_[1]``.
        """
        signals = self._signals(X)
        return signals.ravel() if signals.shape[1] == 1 else signals

    def predict(self, X: Any) -> Array:
        """Predict class labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        signals = self._signals(X)
        chosen = signals[:, 0] > 0 if signals.shape[1] == 1 else signals.argmax(axis=1)
        return self.classes_.take(chosen)


class _Adaline(Neurons):
    """Base of the neurons that learn by the delta rule: a linear layer, the squared error, row (or batch) after row."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Neurons._parameter_constraints,
        "learning_rate": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "n_threads": [Interval(Integral, 1, 1024, closed="both"), None],
    }

    def __init__(
        self,
        learning_rate: float | str = "auto",
        *,
        max_iter: int = 1000,
        batch_size: int = 1,
        tol: float = 1e-4,
        n_iter_no_change: int = 5,
        shuffle: bool = True,
        random_state: Any = None,
        verbose: Any = False,
        n_threads: int | None = None,
    ) -> None:
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.shuffle = shuffle
        self.random_state = random_state
        self.verbose = verbose
        self.n_threads = n_threads

    def _learn(self, X: Array, T: Array) -> None:
        """Learn the weights for targets T (n, n_neurons)."""
        rng = check_random_state(self.random_state)
        n, batch_size = len(X), min(self.batch_size, len(X))
        spec = NetworkSpec.make([X.shape[1], T.shape[1]], loss="squared_error", dtype=X.dtype)
        learner = Learner(spec, choose_backend(None, stacklevel=5).engine(spec))
        self.learning_rate_ = _largest_safe_rate(X) if self.learning_rate == "auto" else float(self.learning_rate)
        orders = Order(n, lambda epoch: self._epoch_order(rng, n))  # noqa: ARG005 - the random stream goes on
        epoch = Epoch(learner, Arrays(Data(X, T), orders), batch_size, engine_threads(self.n_threads))
        self.loss_curve_: list[float] = []
        settling = _Settling(self.tol, self.n_iter_no_change, self.verbose, self.learning_rate_, self.loss_curve_)
        try:
            stopped = loop.fit(epoch, self.max_iter, LossReport(), [settling], self, SGD(self.learning_rate_))
        finally:
            self.n_iter_ = settling.n_iter
        if not stopped:
            self._warn_not_converged("The delta rule's loss has not settled")
        weights, biases = weights_and_biases(learner.engine.read())
        self.coef_, self.intercept_ = np.ascontiguousarray(weights[0].T), biases[0]


class _Settling(LoopCallback):
    """The end of a training whose loss no longer falls, or is no longer finite."""

    def __init__(self, tol: float, patience: int, verbose: Any, rate: float, curve: list[float]) -> None:
        self.tol, self.patience, self.verbose, self.rate, self.curve = tol, patience, verbose, rate, curve
        self.n_iter = self.waited = 0
        self.best = np.inf

    def on_epoch_begin(self, net: Any, logs: Logs) -> None:  # noqa: ARG002
        self.n_iter = logs["epoch"]

    def on_non_finite(self, net: Any, logs: Logs) -> None:  # noqa: ARG002
        raise ValueError(
            f"The delta rule diverged with learning_rate={self.rate:g} in epoch {self.n_iter}: use a smaller one, or "
            "scale X."
        )

    def on_epoch_end(self, net: Any, logs: Logs) -> bool:  # noqa: ARG002
        loss = logs["loss"]
        self.curve.append(loss)
        if self.verbose:
            print(f"Epoch {self.n_iter}, loss = {loss:.8f}")
        self.waited = self.waited + 1 if loss > self.best - self.tol else 0
        self.best = min(self.best, loss)
        return self.waited >= self.patience


def _largest_safe_rate(X: Array) -> float:
    """1 / max |(x, 1)|^2: with it an update never overshoots the target of its own row (Widrow & Stearns 1985)."""
    return 1.0 / (1.0 + float(np.einsum("ij,ij->i", X, X, dtype=np.float64).max()))


class AdalineRegressor(RegressorMixin, _Adaline):  # type: ignore[misc]
    """Widrow and Hoff's adaptive linear neuron z = x w + b: w += learning_rate (y - z) x, b += learning_rate (y - z).

    This is stochastic gradient descent on half the squared error, one row after the other.

    Parameters
    ----------
    learning_rate : float or "auto", default="auto"
        "auto" is 1 / (1 + max |x|^2), with which no update overshoots.
    max_iter : int, default=1000
        Most epochs.
    batch_size : int, default=1
        Rows of an update, which takes their mean.
    tol : float, default=1e-4
        Changes of the loss that are smaller are no improvement.
    n_iter_no_change : int, default=5
        Training stops after so many epochs without improvement.
    shuffle : bool, default=True
        Whether each epoch takes the rows in a new order.
    random_state : int, RandomState instance or None, default=None
        Source of these orders.
    verbose : bool, default=False
        Whether to print the loss of every epoch.
    n_threads : int or None, default=None
        As for `MLPClassifier`.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
    intercept_ : float or ndarray of shape (n_targets,)
    learning_rate_ : float
        The rate used.
    loss_curve_ : list of float
        Half the mean squared error of every epoch, each row under the weights before its update.
    n_iter_ : int
        Epochs.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only if X had names that are strings.

    References
    ----------
    B. Widrow, M. E. Hoff, "Adaptive switching circuits", IRE WESCON Convention Record 4 (1960).

    Examples
    --------
    >>> from fastmlp.sklearn import AdalineRegressor
    >>> unit = AdalineRegressor(random_state=0, tol=1e-9).fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> unit.coef_.round(2), round(float(unit.intercept_), 2)
    (array([2.]), 1.0)
    """

    @fit_context  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any) -> Self:
        """Learn until the loss settles.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_targets)

        Returns
        -------
        self : AdalineRegressor
        """
        X, y = validate_data(self, X, y, dtype=DTYPES, y_numeric=True, multi_output=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        targets = np.asarray(y, dtype=X.dtype)
        self._learn(X, targets if targets.ndim == 2 else targets[:, np.newaxis])
        if targets.ndim == 1:
            self.coef_, self.intercept_ = self.coef_[0], self.intercept_[0]
        return self

    def predict(self, X: Any) -> Array:
        """Predict targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_targets)
        """
        return self._signals(X)


class AdalineClassifier(NeuronClassifier, _Adaline):
    """Widrow and Hoff's adaptive linear neuron as a classifier: the delta rule with targets -1 and 1.

    Parameters
    ----------
    learning_rate, max_iter, batch_size, tol, n_iter_no_change, shuffle, random_state, verbose, n_threads
        As for `AdalineRegressor`.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
    intercept_ : ndarray of shape (1,) or (n_classes,)
    classes_ : ndarray of shape (n_classes,)
    learning_rate_, loss_curve_, n_iter_, n_features_in_, feature_names_in_
        As for `AdalineRegressor`; losses are sums over the neurons.

    See Also
    --------
    PerceptronClassifier : Learns from errors only, and ends without one where that can be.

    Examples
    --------
    >>> from fastmlp.sklearn import AdalineClassifier
    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> AdalineClassifier(random_state=0).fit(X, ["no", "yes", "yes", "yes"]).predict(X)  # OR
    array(['no', 'yes', 'yes', 'yes'], dtype='<U3')
    """

    @fit_context  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any) -> Self:
        """Learn until the loss settles.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Class labels.

        Returns
        -------
        self : AdalineClassifier
        """
        self._learn(*self._validate(X, y))
        return self
