"""Fitted models from scikit-learn to fastmlp and back, with equal predictions and training that can go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.neural_network import MLPClassifier as SklearnClassifier
from sklearn.neural_network import MLPRegressor as SklearnRegressor

from fastmlp.sklearn import solvers
from fastmlp.sklearn.classifier import MLPClassifier
from fastmlp.sklearn.regressor import MLPRegressor
from fastmlp.spec import name_tensors, weights_and_biases

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

    from fastmlp.sklearn.parameters import LayerArrays

__all__ = ["adopt", "from_sklearn", "to_sklearn"]

#: scikit-learn's own classes (patched.py imports this file before it puts ours in their place) and ours.
PAIRS: tuple[tuple[Any, type[MLPClassifier | MLPRegressor]], ...] = (
    (SklearnClassifier, MLPClassifier),
    (SklearnRegressor, MLPRegressor),
)
#: What a fit leaves and both libraries understand; the parameters themselves and the optimizer are converted.
SKIPPED = ("coefs_", "intercepts_", "_optimizer", "_optimizer_state", "_best_coefs", "_best_intercepts")


def from_sklearn(estimator: BaseEstimator) -> MLPClassifier | MLPRegressor:
    """Turn scikit-learn's MLP into fastmlp's.

    Parameters
    ----------
    estimator : sklearn.neural_network.MLPClassifier or MLPRegressor
        Fitted or not. It is left as it is.

    Returns
    -------
    MLPClassifier or MLPRegressor
        With the same parameters and, if the estimator is fitted, the same weights, attributes and optimizer state:
        predictions are equal up to rounding, and ``partial_fit`` goes on where the other stopped.

    Raises
    ------
    TypeError
        If it is something else.

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> from fastmlp.sklearn import from_sklearn
    >>> theirs = MLPRegressor(solver="lbfgs", max_iter=500, random_state=0).fit([[0.0], [1.0]], [1.0, 2.0])
    >>> bool(abs(from_sklearn(theirs).predict([[0.5]]) - theirs.predict([[0.5]])) < 1e-9)
    True
    """
    for theirs, kind in PAIRS:
        if isinstance(estimator, theirs):
            ours = kind()
            known = ours.get_params(deep=False)
            ours.set_params(**{key: value for key, value in estimator.get_params(deep=False).items() if key in known})
            adopt(ours, estimator)
            return ours
    raise TypeError(f"from_sklearn takes scikit-learn's MLPClassifier or MLPRegressor, got {type(estimator).__name__}")


def adopt(ours: Any, theirs: Any) -> None:
    """Give our estimator what a fit has left in scikit-learn's."""
    parameters = theirs.get_params(deep=False)
    state = {key: value for key, value in vars(theirs).items() if key not in parameters and key not in SKIPPED}
    if "coefs_" not in vars(theirs):
        return
    state.pop("loss", None)
    ours.__dict__.update({key: value for key, value in state.items() if key not in ours.get_params(deep=False)})
    shared = ours._own_parameters()
    if "_best_coefs" in vars(theirs) and theirs.early_stopping:
        best = [W.copy() for W in theirs._best_coefs], [b.copy() for b in theirs._best_intercepts]
        ours._best_parameters = name_tensors(*best)
    optimizer = vars(theirs).get("_optimizer")
    slots: list[LayerArrays] | None = None
    n_layers = len(theirs.coefs_)
    if optimizer is not None:
        ours._optimizer = ours._make_solver()
        ours._optimizer.learning_rate = float(optimizer.learning_rate)
        if isinstance(ours._optimizer, solvers.AdamSolver):
            ours._optimizer.t = optimizer.t
            slots = [_split(optimizer.ms, n_layers), _split(optimizer.vs, n_layers)]
        else:  # our buffer is what is subtracted, their velocity what is added
            slots = [_split([-np.asarray(v) for v in optimizer.velocities], n_layers)]
    shared.adopt(
        [np.array(W) for W in theirs.coefs_],
        [np.array(b) for b in theirs.intercepts_],
        None if slots is None else (ours._optimizer.name, slots),
    )


def to_sklearn(estimator: MLPClassifier | MLPRegressor) -> BaseEstimator:
    """Turn fastmlp's estimator into scikit-learn's.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Fitted or not. It is left as it is. It may only use what scikit-learn has: its activations, one for all hidden
        layers, and its losses.

    Returns
    -------
    sklearn.neural_network.MLPClassifier or MLPRegressor
        With the same parameters and, if the estimator is fitted, the same weights, attributes and optimizer state.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If scikit-learn has no such network.

    Examples
    --------
    >>> from fastmlp.sklearn import MLPRegressor, to_sklearn
    >>> ours = MLPRegressor(solver="lbfgs", max_iter=500, random_state=0).fit([[0.0], [1.0]], [1.0, 2.0])
    >>> bool(abs(to_sklearn(ours).predict([[0.5]]) - ours.predict([[0.5]])) < 1e-9)
    True
    """
    if not isinstance(estimator, MLPClassifier | MLPRegressor):
        raise TypeError(f"to_sklearn takes fastmlp's MLPClassifier or MLPRegressor, got {type(estimator).__name__}")
    theirs: Any = SklearnClassifier() if isinstance(estimator, MLPClassifier) else SklearnRegressor()
    known, given = theirs.get_params(deep=False), estimator.get_params(deep=False)
    if estimator.activation not in ("identity", "logistic", "tanh", "relu"):
        raise ValueError(f"scikit-learn has no activation={estimator.activation!r}")
    if estimator.residual:
        raise ValueError("scikit-learn has no residual=True")
    if isinstance(estimator, MLPClassifier) and estimator.loss != "log_loss":
        raise ValueError(f"scikit-learn's MLPClassifier has no loss={estimator.loss!r}")
    if "loss" not in known and isinstance(estimator, MLPRegressor) and estimator.loss != "squared_error":
        raise ValueError(f"this scikit-learn's MLPRegressor has no loss={estimator.loss!r}")
    theirs.set_params(**{key: value for key, value in given.items() if key in known})
    if not estimator._has_parameters():
        return theirs
    state = estimator.__getstate__()
    theirs.__dict__.update({key: value for key, value in state.items() if key not in given and key not in SKIPPED})
    theirs.__dict__.pop("_best_parameters", None)
    theirs.coefs_ = [W.copy() for W in state["coefs_"]]
    theirs.intercepts_ = [b.copy() for b in state["intercepts_"]]
    best = state.get("_best_parameters")
    parts = (theirs.coefs_, theirs.intercepts_) if best is None else weights_and_biases(best)
    theirs._best_coefs, theirs._best_intercepts = ([array.copy() for array in part] for part in parts)
    optimizer = state.get("_optimizer")
    if isinstance(optimizer, solvers.AdamSolver | solvers.SGDSolver):
        theirs._optimizer = _their_optimizer(optimizer, theirs, state.get("_optimizer_state"))
    return theirs


def _their_optimizer(ours: solvers.Solver, theirs: Any, state: tuple[str, list[LayerArrays]] | None) -> Any:
    from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

    parameters = [*theirs.coefs_, *theirs.intercepts_]
    optimizer: Any
    if isinstance(ours, solvers.AdamSolver):
        optimizer = AdamOptimizer(parameters, ours.learning_rate_init, ours.beta_1, ours.beta_2, ours.epsilon)
        optimizer.t = ours.t
    else:
        assert isinstance(ours, solvers.SGDSolver)
        optimizer = SGDOptimizer(
            parameters, ours.learning_rate_init, ours.lr_schedule, ours.momentum, ours.nesterov, ours.power_t
        )
    optimizer.learning_rate = ours.learning_rate
    if state is not None:
        slots = [[*weights, *biases] for weights, biases in state[1]]
        if isinstance(ours, solvers.AdamSolver):
            optimizer.ms, optimizer.vs = slots
        else:
            optimizer.velocities = [-buffer for buffer in slots[0]]
    return optimizer


def _split(arrays: list[Any], n_layers: int) -> LayerArrays:
    copies = [np.array(array) for array in arrays]
    return copies[:n_layers], copies[n_layers:]
