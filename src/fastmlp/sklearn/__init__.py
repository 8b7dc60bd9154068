"""fastmlp's networks as scikit-learn's estimators: change the import, keep the program.

>>> from sklearn.datasets import load_digits
>>> from fastmlp.sklearn import MLPClassifier
>>> X, y = load_digits(return_X_y=True)
>>> MLPClassifier(random_state=0).fit(X, y).score(X, y) > 0.99
True
"""

import importlib
from typing import TYPE_CHECKING, Any

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError as _error:
    raise ImportError("fastmlp.sklearn needs scikit-learn: pip install 'fastmlp[sklearn]'") from _error

if TYPE_CHECKING:
    from fastmlp.sklearn.classifier import MLPClassifier
    from fastmlp.sklearn.convert import from_sklearn, to_sklearn
    from fastmlp.sklearn.neurons import AdalineClassifier, AdalineRegressor
    from fastmlp.sklearn.perceptron import PerceptronClassifier
    from fastmlp.sklearn.regressor import MLPRegressor

__all__ = [
    "AdalineClassifier",
    "AdalineRegressor",
    "MLPClassifier",
    "MLPRegressor",
    "PerceptronClassifier",
    "from_sklearn",
    "to_sklearn",
]

#: Where they are. `fastmlp.tabular` needs a file of this package, and none of the estimators.
_PLACES = {
    "AdalineClassifier": "neurons",
    "AdalineRegressor": "neurons",
    "MLPClassifier": "classifier",
    "MLPRegressor": "regressor",
    "PerceptronClassifier": "perceptron",
    "from_sklearn": "convert",
    "to_sklearn": "convert",
}


def __getattr__(name: str) -> Any:
    """An estimator, imported when it is asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(f"fastmlp.sklearn.{_PLACES[name]}"), name)
    return found


def __dir__() -> list[str]:
    """List the public names, also those not imported yet."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
