"""fastmlp's networks as scikit-learn's estimators: change the import, keep the program.

>>> from sklearn.datasets import load_digits
>>> from fastmlp.sklearn import MLPClassifier
>>> X, y = load_digits(return_X_y=True)
>>> MLPClassifier(random_state=0).fit(X, y).score(X, y) > 0.99
True
"""

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError as _error:
    raise ImportError("fastmlp.sklearn needs scikit-learn: pip install 'fastmlp[sklearn]'") from _error

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
