"""Rosenblatt's rule for a layer of single neurons."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.utils import check_random_state

from fastmlp.sklearn.compat import Interval, fit_context
from fastmlp.sklearn.neurons import NeuronClassifier, Neurons
from fastmlp.spec import Array

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PerceptronClassifier"]


class PerceptronClassifier(NeuronClassifier):
    """Rosenblatt's perceptron: for every row on the wrong side, w += learning_rate t x and b += learning_rate t.

    t is -1 or 1. If the classes can be separated by a plane, training ends after finitely many updates with an epoch
    without error (Novikoff 1962); if not, it never settles, and a `ConvergenceWarning` says so.

    Parameters
    ----------
    learning_rate : float, default=1.0
        Only scales the weights, because they start from zero.
    max_iter : int, default=1000
        Most epochs.
    shuffle : bool, default=True
        Whether each epoch takes the rows in a new order.
    random_state : int, RandomState instance or None, default=None
        Source of these orders.
    verbose : bool, default=False
        Whether to print the number of errors of every epoch.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
    intercept_ : ndarray of shape (1,) or (n_classes,)
    classes_ : ndarray of shape (n_classes,)
    errors_ : list of int
        Updates made in every epoch; the last is 0 if the classes were separated.
    converged_ : bool
        Whether that happened.
    n_iter_ : int
        Epochs.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only if X had names that are strings.

    See Also
    --------
    AdalineClassifier : The delta rule, which also settles where classes overlap.

    References
    ----------
    F. Rosenblatt, "The perceptron: a probabilistic model for information storage and organization in the brain",
    Psychological Review 65 (1958). A. Novikoff, "On convergence proofs for perceptrons" (1962).

    Examples
    --------
    >>> from fastmlp.sklearn import PerceptronClassifier
    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> unit = PerceptronClassifier(random_state=0).fit(X, [0, 0, 0, 1])  # AND
    >>> unit.predict(X), unit.errors_[-1]
    (array([0, 0, 0, 1]), 0)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Neurons._parameter_constraints,
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        learning_rate: float = 1.0,
        *,
        max_iter: int = 1000,
        shuffle: bool = True,
        random_state: Any = None,
        verbose: Any = False,
    ) -> None:
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.verbose = verbose

    @fit_context  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any) -> Self:
        """Learn until no row is on the wrong side, or for `max_iter` epochs.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Class labels.

        Returns
        -------
        self : PerceptronClassifier
        """
        X, T = self._validate(X, y)
        rng = check_random_state(self.random_state)
        W, b = np.zeros((X.shape[1], T.shape[1]), X.dtype), np.zeros(T.shape[1], X.dtype)
        self.errors_: list[int] = []
        self.converged_ = False
        self.n_iter_ = 0
        while self.n_iter_ < self.max_iter and not self.converged_:
            self.n_iter_ += 1
            self.errors_.append(_perceptron_epoch(W, b, X, T, self._epoch_order(rng, len(X)), self.learning_rate))
            if self.verbose:
                print(f"Epoch {self.n_iter_}, errors = {self.errors_[-1]}")
            self.converged_ = self.errors_[-1] == 0
        self.coef_, self.intercept_ = np.ascontiguousarray(W.T), b
        if not self.converged_:
            self._warn_not_converged("The perceptron rule did not separate the classes (perhaps no plane can)")
        return self


def _perceptron_epoch(W: Array, b: Array, X: Array, T: Array, order: NDArray[np.int64], rate: float) -> int:
    """Apply the perceptron rule to row after row, on W (d, k) and b (k,) in place; return the number of updates.

    Rows are judged many at a time: up to the first wrong one the weights are what they would be one at a time.
    """
    at, size, updates = 0, 16, 0
    while at < len(order):
        rows = order[at : at + size]
        wrong = T[rows] * (X[rows] @ W + b) <= 0
        bad = wrong.any(axis=1)
        first = int(bad.argmax())
        if not bad[first]:
            at, size = at + len(rows), min(2 * size, 4096)
            continue
        row = rows[first]
        step = rate * T[row] * wrong[first]
        W += np.outer(X[row], step)
        b += step
        updates += int(np.count_nonzero(wrong[first]))
        at, size = at + first + 1, max(16, 2 * first)
    return updates
