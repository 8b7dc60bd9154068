"""What `fastmlp.patch_sklearn` puts in scikit-learn's place: our classes, or scikit-learn's for what ours cannot do.

What ours cannot do: parameters of a scikit-learn that came after this file, subclasses that reach into scikit-learn's
private methods, and being fast without the compiled engine.
"""

from __future__ import annotations

import warnings
from abc import ABCMeta
from inspect import isfunction, signature
from typing import Any

import sklearn.neural_network
from sklearn.neural_network import MLPClassifier as SklearnClassifier
from sklearn.neural_network import MLPRegressor as SklearnRegressor
from sklearn.neural_network import _multilayer_perceptron

from fastmlp.runtime import load_passes
from fastmlp.sklearn import mlp

__all__ = ["MLPClassifier", "MLPRegressor", "install", "uninstall"]

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
        if name.startswith("_") and not name.startswith("__") and isfunction(value)
    }


class _Decision(ABCMeta):
    """Decides, when a subclass or an estimator is made, whose it is going to be. (scikit-learn's are ABCs, too.)"""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> Any:
        for base in bases:
            original = ORIGINALS.get(base)
            overridden = [] if original is None else sorted(_private_methods(original) & namespace.keys())
            if overridden:
                _warn_once(f"{name} overrides {', '.join(overridden)}, which fastmlp.sklearn does not call")
                theirs = tuple(ORIGINALS.get(each, each) for each in bases)
                return type(theirs[0])(name, theirs, namespace, **options)
        return super().__new__(mcs, name, bases, namespace, **options)

    def __call__(cls, *arguments: Any, **options: Any) -> Any:
        original = ORIGINALS.get(cls)
        if original is not None:
            known = signature(cls.__init__).parameters  # type: ignore[misc]
            theirs = signature(original).parameters
            unknown = [name for name in options if name not in known and name in theirs]
            if unknown:
                _warn_once(f"fastmlp.sklearn does not know its parameter {unknown[0]!r}")
                return original(*arguments, **options)
        return super().__call__(*arguments, **options)


#: scikit-learn's class for each of ours.
ORIGINALS: dict[type, type] = {}


class MLPClassifier(mlp.MLPClassifier, metaclass=_Decision):
    __doc__ = mlp.MLPClassifier.__doc__


class MLPRegressor(mlp.MLPRegressor, metaclass=_Decision):
    __doc__ = mlp.MLPRegressor.__doc__


ORIGINALS.update({MLPClassifier: SklearnClassifier, MLPRegressor: SklearnRegressor})


def install() -> bool:
    """Put our classes in scikit-learn's place; False if they would be slower.

    The private module keeps scikit-learn's classes: their pickles are found there.
    """
    module, reason = load_passes()
    if module is None:
        _warn_once(f"the compiled extension cannot be used ({reason})")
        return False
    for ours in ORIGINALS:
        setattr(sklearn.neural_network, ours.__name__, ours)
    return True


def uninstall() -> None:
    """Put scikit-learn's classes back."""
    for ours, theirs in ORIGINALS.items():
        setattr(sklearn.neural_network, ours.__name__, theirs)
