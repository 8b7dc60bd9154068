"""The values that the parameters of `MLPClassifier` and `MLPRegressor` may have, for scikit-learn's validation."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np

from fastmlp.sklearn.compat import Interval, Options, StrOptions
from fastmlp.spec import (
    ACTIVATION_ALIASES,
    ACTIVATION_NAMES,
    LOSS_ALIASES,
    LOSS_NAMES,
    MEANS,
    OPTIMIZER_NAMES,
    Activation,
    Loss,
    Optimizer,
)

__all__ = ["CONSTRAINTS", "LOSS"]

ACTIVATIONS = {*ACTIVATION_NAMES, *ACTIVATION_ALIASES}


class ActivationPerLayer(Options):  # type: ignore[misc]
    """Constraint to a list or tuple of activations; whether its length fits is seen when the layers are known."""

    def __init__(self) -> None:
        super().__init__(object, set())  # a kind of constraint that scikit-learn lets others derive from

    def is_satisfied_by(self, val: Any) -> bool:
        """Return whether `val` is a list or tuple of activations."""
        return isinstance(val, list | tuple) and all(
            isinstance(kind, Activation) or (isinstance(kind, str) and kind in ACTIVATIONS) for kind in val
        )

    def __str__(self) -> str:
        return "a list or tuple of them, one for each hidden layer"


class NumberPerLayer(Options):  # type: ignore[misc]
    """Constraint to a list or tuple of numbers, or None among them; the network knows how many, and how large."""

    def __init__(self) -> None:
        super().__init__(object, set())

    def is_satisfied_by(self, val: Any) -> bool:
        """Return whether `val` is a list or tuple of numbers."""
        return isinstance(val, list | tuple) and all(each is None or isinstance(each, Real) for each in val)

    def __str__(self) -> str:
        return "a list or tuple of them, one for each layer"


#: What the parameter `loss` may be besides scikit-learn's names.
LOSS: list[Any] = [StrOptions({*LOSS_NAMES, *LOSS_ALIASES, *MEANS}), Loss]

#: By parameter, the constraints of which its value has to satisfy one: those that both estimators share.
CONSTRAINTS: dict[str, list[Any]] = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions(ACTIVATIONS), Activation, ActivationPerLayer()],
    "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    "optimizer": [StrOptions(set(OPTIMIZER_NAMES)), Optimizer, None],
    "residual": ["boolean"],
    "dropout": [Interval(Real, 0, 1, closed="left"), NumberPerLayer()],
    "input_dropout": [Interval(Real, 0, 1, closed="left")],
    "input_noise": [Interval(Real, 0, None, closed="left")],
    "mixup": [Interval(Real, 0, None, closed="left")],
    "l1": [Interval(Real, 0, None, closed="left"), NumberPerLayer()],
    "max_norm": [Interval(Real, 0, None, closed="neither"), NumberPerLayer(), None],
    "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
    "clip_value": [Interval(Real, 0, None, closed="neither"), None],
    "ema": [Interval(Real, 0, 1, closed="neither"), None],
    "lr_factors": [dict, None],
    "metrics": [list, tuple, None],
    "callbacks": [list, tuple, None],
    "n_threads": [Interval(Integral, 1, 1024, closed="both"), None],
    "max_seconds": [Interval(Real, 0, None, closed="neither"), None],
}
