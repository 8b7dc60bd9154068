"""Trees of texts, numbers and arrays as JSON and named tensors: where a training stands beside its network.

A dict, list, str, int, bool or None is itself in JSON, a float too where it is finite. Arrays and other floats become
``{"$": number of the tensor}`` and ``{"$": "nan"}``.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.files.header import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastmlp.spec import Array

__all__ = ["pack", "unpack"]

_MOST_CHARACTERS, _MOST_PARTS = 1 << 20, 1 << 16


def pack(tree: Mapping[str, Any]) -> tuple[str, list[Array]]:
    """Return a tree as JSON, and its arrays; a TypeError for what it cannot hold, a ValueError if it is too large."""
    arrays: list[Array] = []
    text = json.dumps(_packed(tree, arrays), allow_nan=False)
    try:
        _parsed(text)  # nothing is saved that would not be loaded
    except ValueError as error:
        raise ValueError(f"{error}: a callback's state keeps long lists of numbers as arrays") from error
    return text, arrays


def _packed(value: Any, arrays: list[Array]) -> Any:
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"$": len(arrays) - 1}
    if isinstance(value, np.generic):
        return _packed(value.item(), arrays)
    if isinstance(value, dict):
        if not all(isinstance(key, str) and key != "$" for key in value):
            raise TypeError(f"the keys of a callback's state must be str, and not '$'; got {list(value)!r:.80}")
        return {key: _packed(each, arrays) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_packed(each, arrays) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"$": str(value)}
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"a callback's state holds numbers, texts, arrays, lists and dicts of them; got {value!r:.80}")


def unpack(text: str, arrays: list[Array]) -> dict[str, Any]:
    """Return the tree of `pack`; a ValueError for what none is."""
    tree: dict[str, Any] = _unpacked(_parsed(text), arrays)
    return tree


def _parsed(text: str) -> dict[str, Any]:
    return parse_json(text, 'metadata "training"', _MOST_CHARACTERS, _MOST_PARTS)


def _unpacked(value: Any, arrays: list[Array]) -> Any:
    if isinstance(value, list):
        return [_unpacked(each, arrays) for each in value]
    if not isinstance(value, dict):
        return value
    if "$" not in value:
        return {key: _unpacked(each, arrays) for key, each in value.items()}
    place = value["$"]
    if type(place) is int and 0 <= place < len(arrays):
        return arrays[place]
    if place in ("nan", "inf", "-inf"):
        return float(place)
    raise ValueError(f"a training has {place!r:.40} in the place of an array or a number")
