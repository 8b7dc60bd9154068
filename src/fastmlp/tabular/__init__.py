"""Estimators for tables: numbers, categories, dates and gaps as they come, and a recipe for networks that suits them.

`TabularClassifier` and `TabularRegressor` are estimators of scikit-learn's kind: ``fit(X, y, sample_weight=, eval_set=,
groups=)``, ``predict``, ``predict_proba``, ``predict(X, quantiles=[0.1, 0.9])``, with ``effort="fast" | "default" |
"best"`` and ``time_limit=`` seconds; ``save(path)``, and `load`. docs/tabular.md shows them at work.
"""

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError as _error:
    raise ImportError("fastmlp.tabular needs scikit-learn: pip install 'fastmlp[sklearn]'") from _error

from fastmlp.tabular.classifier import TabularClassifier
from fastmlp.tabular.load import load
from fastmlp.tabular.recipe import Recipe
from fastmlp.tabular.regressor import TabularRegressor

__all__ = ["Recipe", "TabularClassifier", "TabularRegressor", "load"]
