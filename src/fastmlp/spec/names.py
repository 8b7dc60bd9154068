"""Types of arguments, and the name that was probably meant by one that is not known.

An editor completes the names in a type, and a type checker refuses others. They are written out because a checker does
not run code; those of activations, losses, optimizers and initializers stand beside the classes. Tests compare them
with the registries that hold the names.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Array",
    "BackendName",
    "ClassWeight",
    "DTypeName",
    "Float",
    "MetricLike",
    "NormName",
    "closest",
    "did_you_mean",
]

DTypeName: TypeAlias = Literal["float32", "float64"]
Float: TypeAlias = DTypeName | Literal["bfloat16"] | type[float] | type[np.floating[Any]] | np.dtype[np.floating[Any]]
Array: TypeAlias = NDArray[Any]
BackendName: TypeAlias = Literal["cython", "numpy"]
#: What hidden layers may normalise.
NormName: TypeAlias = Literal["layer", "batch"]
ClassWeight: TypeAlias = Literal["balanced"] | Mapping[int, float]
#: A metric's name, an object of `fastmlp.metrics`, which is a function, or another function (y_true, y_pred).
MetricLike: TypeAlias = str | Callable[..., Any]


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that this one was probably meant to be: the same but for case, or nearly so.

    Examples
    --------
    >>> closest("Adam", ["sgd", "adam"]), closest("softmaxx", ["tanh", "softmax"]), closest("magic", ["sgd", "adam"])
    ('adam', 'softmax', None)
    """
    from difflib import get_close_matches  # for errors only: not a part of the time that an import takes

    by_lower = {each.lower(): each for each in known}
    found = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.75)
    return by_lower[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of an error message: "; did you mean 'adam'?", or nothing where no known name is near."""
    near = closest(name, known)
    return "" if near is None else f"; did you mean {near!r}?"
