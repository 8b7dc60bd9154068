"""The classes that `fastmlp.patch_sklearn` puts in scikit-learn's place: ours, or theirs for what ours cannot do.

What ours cannot do: parameters of a scikit-learn that came after this file, subclasses that override or call
scikit-learn's private methods, and being fast without the compiled engine. Data, and values of parameters, need no such
rule: ours take all that scikit-learn's take (tests/estimators/test_patch.py).
"""

from __future__ import annotations

import warnings
from abc import ABCMeta
from functools import cache
from inspect import Signature, isfunction, signature, unwrap
from types import CodeType
from typing import TYPE_CHECKING, Any

import sklearn.neural_network
from sklearn.neural_network import MLPClassifier as SklearnClassifier
from sklearn.neural_network import MLPRegressor as SklearnRegressor
from sklearn.neural_network import _multilayer_perceptron

from fastmlp.runtime import load_passes
from fastmlp.sklearn import classifier, regressor
from fastmlp.sklearn import convert as _convert  # noqa: F401 # now, while scikit-learn's names are its own

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MLPClassifier", "MLPRegressor", "install", "uninstall"]

_warned: set[str] = set()


def _warn_once(reason: str) -> None:
    if reason not in _warned:
        _warned.add(reason)
        warnings.warn(f"fastmlp leaves this MLP to scikit-learn: {reason}", UserWarning, stacklevel=4)


def _private_methods(kind: type) -> set[str]:
    """Return the methods that a subclass of scikit-learn's class may override or call, and that ours does not have."""
    return {
        name
        for base in kind.__mro__
        if base.__module__ == _multilayer_perceptron.__name__
        for name, value in vars(base).items()
        if name.startswith("_") and not name.startswith("__") and isfunction(value)
    }


def _codes(value: Any) -> Iterator[CodeType]:
    """Find the code in a class: functions, bare or in a property, decorator or class method, and lambdas."""
    if isinstance(value, property):
        for function in (value.fget, value.fset, value.fdel):
            yield from _codes(function)
    elif isinstance(value, CodeType):
        yield value
        for constant in value.co_consts:
            if isinstance(constant, CodeType):
                yield from _codes(constant)
    else:
        function = unwrap(getattr(value, "__func__", value))
        if isfunction(function):
            yield from _codes(function.__code__)


def _original(kind: type) -> type | None:
    """Return scikit-learn's class for a class of ours, or a subclass of it."""
    return next((ORIGINALS[base] for base in kind.__mro__ if base in ORIGINALS), None)


def _reasons(name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> Iterator[str]:
    """Say why a class cannot be a subclass of ours: what it, or a class mixed in, does with private methods."""
    private = {method for base in bases for method in _private_methods(_original(base) or object)}
    mixed_in = [kind for base in bases if _original(base) is None for kind in base.__mro__]
    for part, contents in [(name, namespace), *((kind.__name__, vars(kind)) for kind in mixed_in)]:
        overridden = private & contents.keys()
        if overridden:
            yield f"{part} overrides {', '.join(sorted(overridden))}, which fastmlp.sklearn does not call"
        called = {word for value in contents.values() for code in _codes(value) for word in code.co_names} & private
        if called:
            yield f"{part} calls {', '.join(sorted(called))}, which fastmlp.sklearn does not have as scikit-learn does"


@cache
def _signature_of(kind: type) -> Signature:
    """Return the signature of `__init__` without self; kept, since a search makes estimators by the hundred."""
    whole = signature(kind.__init__)  # type: ignore[misc]
    return whole.replace(parameters=list(whole.parameters.values())[1:])


def _by_name(theirs: Signature, arguments: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
    """Return all arguments by name: positional ones come in the installed scikit-learn's order, which has changed."""
    known = {name: value for name, value in options.items() if name in theirs.parameters}
    return {**theirs.bind(*arguments, **known).arguments, **options}


class _Decision(ABCMeta):
    """The metaclass that decides whose a new subclass or estimator is going to be. (scikit-learn's are ABCs, too.)"""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> Any:
        reason = next(_reasons(name, bases, namespace), None)
        if reason is None:
            return super().__new__(mcs, name, bases, namespace, **options)
        made = [base.__name__ for base in bases if _original(base) is not None and base not in ORIGINALS]
        if made:  # too late
            warnings.warn(
                f"{reason}, but its base {made[0]} is fastmlp's already: call fastmlp.unpatch_sklearn() before "
                f"{made[0]} is defined",
                UserWarning,
                stacklevel=2,
            )
            return super().__new__(mcs, name, bases, namespace, **options)
        _warn_once(reason)
        theirs = tuple(ORIGINALS.get(base, base) for base in bases)
        return type(theirs[0])(name, theirs, namespace, **options)

    def __call__(cls, *arguments: Any, **options: Any) -> Any:
        original = ORIGINALS.get(cls)
        if original is None:
            return super().__call__(*arguments, **options)
        theirs, ours = _signature_of(original), _signature_of(cls)
        options = _by_name(theirs, arguments, options)
        unknown = [name for name in options if name not in ours.parameters and name in theirs.parameters]
        if unknown:
            _warn_once(f"fastmlp.sklearn does not know its parameter {unknown[0]!r}")
            return original(**options)
        return super().__call__(**options)


#: scikit-learn's class for each of ours.
ORIGINALS: dict[type, type] = {}


class MLPClassifier(classifier.MLPClassifier, metaclass=_Decision):
    __doc__ = classifier.MLPClassifier.__doc__


class MLPRegressor(regressor.MLPRegressor, metaclass=_Decision):
    __doc__ = regressor.MLPRegressor.__doc__


ORIGINALS.update({MLPClassifier: SklearnClassifier, MLPRegressor: SklearnRegressor})
for _ours, _theirs in ORIGINALS.items():
    _ours.register(_theirs)  # type: ignore[attr-defined]  # what is left to scikit-learn is an MLPClassifier, too


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
