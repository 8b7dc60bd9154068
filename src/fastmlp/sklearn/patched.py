"""The classes that `fastmlp.patch_sklearn` puts in scikit-learn's place: ours, or scikit-learn's for what ours cannot do.

What ours cannot do: parameters of a scikit-learn that came after this file, subclasses that reach into scikit-learn's
private methods, and being fast without the compiled engine.
"""

from __future__ import annotations

import inspect
import warnings
from typing import Any, ClassVar, Self

import sklearn.neural_network
from sklearn.neural_network import _multilayer_perceptron

from fastmlp.runtime import load_passes
from fastmlp.sklearn import mlp
from fastmlp.sklearn.convert import SklearnClassifier, SklearnRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "install", "uninstall"]

_MODULES = (sklearn.neural_network, _multilayer_perceptron)
_warned: set[str] = set()


def _warn_once(reason: str) -> None:
    if reason not in _warned:
        _warned.add(reason)
        warnings.warn(f"fastmlp leaves this MLP to scikit-learn: {reason}", UserWarning, stacklevel=4)


def _private_methods(kind: type) -> set[str]:
    """Names that a subclass of scikit-learn's class may override and that ours never calls, or calls otherwise."""
    return {
        name
        for base in kind.__mro__
        if base.__module__ == _multilayer_perceptron.__name__
        for name, value in vars(base).items()
        if name.startswith("_") and not name.startswith("__") and inspect.isfunction(value)
    }


class _Patched:
    """Decides, when an estimator or a subclass is made, whose it is going to be."""

    _original: ClassVar[type]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        known = inspect.signature(cls.__init__).parameters
        unknown = [name for name in kwargs if name not in known]
        takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
        if unknown and not takes_any and all(name in inspect.signature(cls._original).parameters for name in unknown):
            _warn_once(f"fastmlp.sklearn does not know its parameter {unknown[0]!r}")
            return cls._original(*args, **kwargs)
        return super().__new__(cls)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        patched = next(
            (base for base in cls.__bases__ if base in (MLP_CLASSES if "MLP_CLASSES" in globals() else ())), None
        )
        if patched is None:
            return
        overridden = _private_methods(patched._original) & vars(cls).keys()
        if overridden:
            _warn_once(f"{cls.__name__} overrides {', '.join(sorted(overridden))}, which fastmlp.sklearn does not call")
            cls.__bases__ = tuple(patched._original if base is patched else base for base in cls.__bases__)


class MLPClassifier(_Patched, mlp.MLPClassifier):
    __doc__ = mlp.MLPClassifier.__doc__
    _original = SklearnClassifier


class MLPRegressor(_Patched, mlp.MLPRegressor):
    __doc__ = mlp.MLPRegressor.__doc__
    _original = SklearnRegressor


MLP_CLASSES = (MLPClassifier, MLPRegressor)


def install() -> bool:
    """Put our classes in scikit-learn's place; False if they would be slower."""
    module, reason = load_passes()
    if module is None:
        _warn_once(f"the compiled extension cannot be used ({reason})")
        return False
    for place in _MODULES:
        for kind in MLP_CLASSES:
            setattr(place, kind.__name__, kind)
    return True


def uninstall() -> None:
    """Put scikit-learn's classes back."""
    for place in _MODULES:
        for kind in MLP_CLASSES:
            setattr(place, kind.__name__, kind._original)
