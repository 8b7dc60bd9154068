"""Differences between supported versions of scikit-learn (1.5 and later), found by looking, not by number.

Private names are used where scikit-learn has no public one: parameter constraints and `_fit_context`, without which its
error messages cannot be had, `_check_sample_weight`, and the warning of its L-BFGS.
"""

from typing import Any

from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils._param_validation import Interval, InvalidParameterError, Options, StrOptions
from sklearn.utils.optimize import _check_optimize_result as check_optimize_result
from sklearn.utils.validation import _check_sample_weight as check_sample_weight

__all__ = [
    "CallbackSupport",
    "Interval",
    "InvalidParameterError",
    "Options",
    "StrOptions",
    "TagSupport",
    "check_optimize_result",
    "check_sample_weight",
    "fit_context",
    "remember_features",
    "validate_data",
]

fit_context = _fit_context(prefer_skip_nested_validation=True)

try:
    from sklearn.utils.validation import validate_data
except ImportError:  # before 1.6 it was a method

    def validate_data(estimator: Any, *arguments: Any, **options: Any) -> Any:
        """Check data and remember, or compare with, what is known of the features."""
        return estimator._validate_data(*arguments, **options)


try:
    from sklearn.utils.validation import _check_feature_names, _check_n_features

    def remember_features(estimator: Any, X: Any, *, reset: bool) -> None:
        """Remember the number and the names of X's columns, or compare them with those that are remembered."""
        _check_feature_names(estimator, X, reset=reset)
        _check_n_features(estimator, X, reset=reset)

except ImportError:  # before 1.6

    def remember_features(estimator: Any, X: Any, *, reset: bool) -> None:
        """Remember the number and the names of X's columns, or compare them with those that are remembered."""
        estimator._check_feature_names(X, reset=reset)
        estimator._check_n_features(X, reset=reset)


try:
    from sklearn.callback import CallbackSupportMixin as CallbackSupport
except ImportError:  # before 1.9 there were none

    class CallbackSupport:  # type: ignore[no-redef]
        """An empty class in the place of the mixin: this scikit-learn has no callbacks."""


if hasattr(BaseEstimator, "__sklearn_tags__"):

    class TagSupport:
        """An empty class: in this scikit-learn, tags come from `__sklearn_tags__`."""

else:  # before 1.6

    class TagSupport:  # type: ignore[no-redef]
        """A class with tags as a dict."""

        def _more_tags(self) -> dict[str, Any]:
            return {"multilabel": getattr(self, "_multilabel", False)}
