"""The names that arguments may take, as types: an editor completes them and a type checker refuses others.

Types are written out because a checker does not run code; tests compare them with the registries that hold the names.
"""

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import numpy as np

__all__ = ["ActivationName", "BackendName", "DTypeName", "InitName", "LossName", "OptimizerName", "OutputName"]

ActivationName: TypeAlias = Literal[
    "identity", "sign", "logistic", "tanh", "relu", "leaky_relu", "elu", "softplus", "exp", "linear", "sigmoid"
]
OutputName: TypeAlias = ActivationName | Literal["softmax"]
LossName: TypeAlias = Literal["squared_error", "cross_entropy", "binary_cross_entropy", "poisson"]
OptimizerName: TypeAlias = Literal["sgd", "adam"]
InitName: TypeAlias = Literal[
    "normal", "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal", "zeros"
]
DTypeName: TypeAlias = Literal["float32", "float64"]
Float: TypeAlias = DTypeName | type[float] | type[np.floating[Any]] | np.dtype[np.floating[Any]]
BackendName: TypeAlias = Literal["cython", "numpy"]


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
