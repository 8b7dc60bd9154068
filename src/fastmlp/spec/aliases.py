"""Other names of parameters: what PyTorch and Keras call them, as keyword arguments of operations."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeVar

from fastmlp.spec.checks import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["aliased"]

C = TypeVar("C", bound=type[Any])


def aliased(**names: str | tuple[str, str]) -> Callable[[C], C]:
    """Let a class take other names of its arguments, each of one of them or of a pair, as keywords.

    They are no fields: an object has, shows and stores its own names alone. The class tells type checkers of them by an
    `__init__` that nothing runs, since what a decorator adds they do not see; a test holds the two equal.
    """

    def decorate(kind: C) -> C:
        make, own = kind.__init__, inspect.signature(kind.__init__)
        places = tuple(own.parameters)[1:]

        @functools.wraps(make)
        def init(self: object, *args: Any, **given: Any) -> None:
            if not names.keys() & given.keys():
                make(self, *args, **given)
                return
            plain, meant = _translated(kind.__name__, names, places[: len(args)], given)
            try:
                make(self, *args, **plain)
            except (TypeError, ValueError) as error:
                alias = meant.get(str(error).partition(" ")[0])
                if alias is None:
                    raise
                raise type(error)(f"{alias}: {error}") from None

        keywords = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=...,
                annotation=own.parameters[means].annotation if isinstance(means, str) else "tuple[float, float]",
            )
            for name, means in names.items()
        ]
        vars(init)["__signature__"] = own.replace(parameters=[*own.parameters.values(), *keywords])
        vars(init)["aliases"] = names
        kind.__init__ = init
        return kind

    return decorate


def _translated(
    function: str, names: Mapping[str, str | tuple[str, str]], by_place: tuple[str, ...], given: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the arguments by their own names, and by these the aliases that were typed; a TypeError if both were."""
    plain, meant = {name: value for name, value in given.items() if name not in names}, dict[str, str]()
    for alias in [name for name in given if name in names]:
        own = names[alias]
        pairs = (
            [(own, given[alias])] if isinstance(own, str) else zip(own, _pair(given[alias], alias, own), strict=True)
        )
        for name, value in pairs:
            if name in plain or name in by_place:
                raise TypeError(f"{function}() got {meant.get(name, name)} and {alias}, which mean the same: give one")
            plain[name], meant[name] = value, alias
    return plain, meant


def _pair(value: object, alias: str, own: tuple[str, str]) -> tuple[object, object]:
    """Return the two values of an alias that stands for two arguments."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{alias} must be a pair, of {' and '.join(own)}, got {shown(value)}")
    return value[0], value[1]
