"""`MLPRegressor`: scikit-learn's parameters, attributes, warnings and errors over fastmlp's engine.

What it takes over of scikit-learn's behaviour, and what it does not, is in docs/sklearn.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score

from fastmlp.data import as_source
from fastmlp.sklearn.base import BaseMLP
from fastmlp.sklearn.compat import fit_context
from fastmlp.sklearn.constraints import LOSS
from fastmlp.sklearn.sparse import is_sparse
from fastmlp.sklearn.validation import validate_rows, validate_weights
from fastmlp.spec import Array, as_loss

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["MLPRegressor"]


class MLPRegressor(RegressorMixin, BaseMLP):  # type: ignore[misc]
    """Multi-layer perceptron for regression: scikit-learn's class, many times faster.

    For the same ``random_state`` it makes the same networks as `sklearn.neural_network.MLPRegressor`. Parameters up to
    ``max_fun`` are scikit-learn's, with its defaults; those after it are fastmlp's and change nothing unless used.

    Parameters
    ----------
    loss : {"squared_error", "poisson"}, another name of fastmlp's or Loss, default="squared_error"
        What is minimised: half the squared error, or half the Poisson deviance of a network whose output is an
        exponential; the latter needs ``y >= 0``. Others of fastmlp's: "absolute_error", ``fastmlp.Huber(2.0)``,
        ``fastmlp.Quantile(0.9)``, "gamma", ``fastmlp.Tweedie(1.5)``, a `fastmlp.CustomLoss`, ...
    hidden_layer_sizes : array-like of int or int, default=(100,)
        Widths of the hidden layers; ``()`` for none.
    activation : str, Activation or sequence of them, default="relu"
        Activation of the hidden layers, as for `MLPClassifier`.
    solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter, shuffle, random_state, tol, verbose
        As for `MLPClassifier`.
    warm_start, momentum, nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, epsilon
        As for `MLPClassifier`; early stopping watches the coefficient of determination.
    n_iter_no_change, max_fun, optimizer, n_threads, max_seconds
        As for `MLPClassifier`.
    dropout, input_dropout, input_noise, mixup, l1, max_norm, clip_norm, clip_value, ema, lr_factors, metrics
        As for `MLPClassifier`.
    callbacks, residual
        As for `MLPClassifier`.

    Attributes
    ----------
    loss_, best_loss_, loss_curve_, t_, coefs_, intercepts_, n_features_in_, feature_names_in_, n_iter_, n_layers_
        As for `MLPClassifier`. The squared error is reported as its mean over the outputs.
    validation_scores_, best_validation_score_, validation_loss_curve_, metric_curves_
        As for `MLPClassifier`, with R2 for the accuracy.
    n_outputs_ : int
        Outputs of the network.
    out_activation_ : str
        What goes with the loss: "identity", or "exp" for "poisson", "gamma" and "tweedie".

    See Also
    --------
    MLPClassifier : For classification.
    fastmlp.MLP : The network itself, without scikit-learn's conventions.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from fastmlp.sklearn import MLPRegressor
    >>> X, y = make_regression(n_samples=200, n_features=20, random_state=1)
    >>> regr = MLPRegressor(random_state=1, max_iter=2000, tol=0.1).fit(X, y)
    >>> regr.score(X, y) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseMLP._parameter_constraints,
        "loss": LOSS,
    }

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        optimizer: Any = None,
        n_threads: int | None = None,
        max_seconds: float | None = None,
        dropout: Any = 0.0,
        input_dropout: float = 0.0,
        input_noise: float = 0.0,
        mixup: float = 0.0,
        l1: Any = 0.0,
        max_norm: Any = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        lr_factors: Any = None,
        metrics: Any = None,
        callbacks: Any = None,
        residual: bool = False,
    ) -> None:
        self._keep(locals())  # get_params reads the names from this signature, so each class writes its own

    @fit_context  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None, *, validation_data: Any = None) -> Self:
        """Fit the network to data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            float32 is computed in float32, all else in float64. Sparse rows are made dense batch by batch, never whole.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.
        validation_data : (X, y) or (X, y, sample_weight), default=None
            As for `MLPClassifier.fit`.

        Returns
        -------
        self : MLPRegressor
        """
        return self._fit(X, y, sample_weight=sample_weight, validation_data=validation_data)

    @fit_context  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Go over the given rows once, from where the network is; with solver "lbfgs", minimise from there.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        self : MLPRegressor
        """
        return self._fit(X, y, sample_weight=sample_weight, incremental=True)

    def _validate_input(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        incremental: bool,  # noqa: ARG002 - only classes differ
        reset: bool,
    ) -> tuple[Any, Array, NDArray[np.float64] | None]:
        X, y = validate_rows(self, X, y, reset, y_numeric=True)
        return X, self._encode(y), None if sample_weight is None else validate_weights(sample_weight, X)

    def _encode(self, y: Array) -> Array:
        if is_sparse(y):
            raise TypeError(f"y is a sparse {type(y).__name__}; targets must be dense: pass y.toarray()")
        if y.dtype.kind not in "fiub":
            y = y.astype(np.float64)
        loss = as_loss(self.loss)
        if loss.labels:
            raise ValueError(f"loss={self.loss!r} is for classes, which MLPClassifier learns")
        if not loss.targets.holds(y):
            raise ValueError(
                f"Some value(s) of y are out of the valid range of the loss {loss.name!r}: they must "
                f"{loss.targets.rule}."
            )
        return as_source(y if y.ndim == 2 else y[:, np.newaxis])

    def _count_outputs(self, targets: Array) -> int:
        return int(targets.shape[1])

    def _choose_output(self) -> str:
        return as_loss(self.loss).output or "identity"

    def _strata(self, targets: Array) -> Array | None:  # noqa: ARG002 - there are no classes
        return None

    def _validation_score(self, outputs: Array, targets: Array, weight: NDArray[np.float64] | None) -> float:
        if not np.isfinite(outputs).all():
            return float("nan")
        with np.errstate(over="ignore"):  # of a network that diverges: its score is minus infinity
            return float(r2_score(targets, outputs, sample_weight=weight))

    def predict(self, X: Any) -> Array:
        """Predict targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            In the dtype of the network.
        """
        outputs = self._outputs(X)
        return outputs.ravel() if outputs.shape[1] == 1 else outputs
