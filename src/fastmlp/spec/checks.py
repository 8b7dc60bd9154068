"""The checks of arguments: each returns the value as its plain type, or raises an error that names the argument."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from fastmlp.spec.names import did_you_mean

__all__ = [
    "check_fields",
    "choice",
    "flag",
    "fraction",
    "inner_fraction",
    "integer",
    "mapping",
    "not_negative",
    "positive",
    "real",
    "record",
    "shown",
]


def check_fields(record: object, **checks: Callable[[object, str], object]) -> None:
    """Replace fields of a frozen record by what their checks return."""
    for name, check in checks.items():
        object.__setattr__(record, name, check(getattr(record, name), name))


def shown(value: object) -> str:
    """Return the repr of a value for an error message, cut so that a hostile one cannot flood a log."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def integer(value: object, name: str, low: int, high: int | None = None) -> int:
    """Return an integer from `low` to `high` (None: any size); a bool is none, nor is a float that is whole."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer, got {shown(value)} of type {type(value).__name__}")
    number = operator.index(cast("Any", value))
    if number < low or (high is not None and number > high):
        wanted = f">= {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} must be {wanted}, got {number}")
    return number


def real(value: object, name: str) -> float:
    """Return a finite number; a bool is none."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a real number, got {shown(value)} of type {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {shown(value)}")
    return number


def positive(value: object, name: str) -> float:
    """Return a finite number > 0."""
    number = real(value, name)
    if number <= 0.0:
        raise ValueError(f"{name} must be > 0, got {number!r}")
    return number


def not_negative(value: object, name: str) -> float:
    """Return a finite number >= 0; -0.0 becomes 0.0."""
    number = real(value, name)
    if number < 0.0:
        raise ValueError(f"{name} must be >= 0, got {number!r}")
    return number + 0.0


def fraction(value: object, name: str) -> float:
    """Return a number >= 0 and < 1."""
    number = real(value, name)
    if not 0.0 <= number < 1.0:
        raise ValueError(f"{name} must be >= 0 and < 1, got {number!r}")
    return number


def inner_fraction(value: object, name: str) -> float:
    """Return a number > 0 and < 1."""
    number = fraction(value, name)
    if number == 0.0:
        raise ValueError(f"{name} must be > 0 and < 1, got {number!r}")
    return number


def flag(value: object, name: str) -> bool:
    """Return True or False; a number that means one of them is refused."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {shown(value)} of type {type(value).__name__}")
    return bool(value)


def choice(value: object, name: str, names: Sequence[str], others: Sequence[str] = ()) -> str:
    """Return the one of these names that is given; an error tells the one that was probably meant.

    It tells the `others`, which may be given, too, where one of them was meant.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, got {shown(value)} of type {type(value).__name__}")
    if value not in names and value not in others:
        near = did_you_mean(value, (*names, *others))
        raise ValueError(f"{name} must be one of {', '.join(map(repr, names))}, got {shown(value)}{near}")
    return str(value)


def mapping(value: object, name: str) -> Mapping[str, Any]:
    """Return a mapping, whatever its keys."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping, got {shown(value)} of type {type(value).__name__}")
    return value


def record(value: object, name: str, keys: Sequence[str]) -> Mapping[str, Any]:
    """Return a mapping that has exactly these keys."""
    data = mapping(value, name)
    if set(data) != set(keys):
        raise ValueError(f"{name} must have the keys {', '.join(map(repr, keys))}, got {shown(list(data))}")
    return data
