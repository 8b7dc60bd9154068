"""Where weights start: named distributions and the user's own, drawn from counter-based random numbers.

A layer's draw is a function of (seed, layer) alone, the same bits on every platform. Biases start at zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .names import did_you_mean
from .reference import random

__all__ = [
    "Initializer",
    "default",
    "draw",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "resolve",
    "zeros",
]


@dataclass(frozen=True)
class Initializer:
    """A named distribution of a layer's first weights; see the names of this module.

    Parameters
    ----------
    name : str
        One of `INITIALIZERS`.
    sigma : float, default 0.0
        Standard deviation; "normal" only.
    """

    name: str
    sigma: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in _VARIANCES:
            raise ValueError(f"initializer must be one of {', '.join(map(repr, _VARIANCES))}, got {self.name!r}")
        sigma = self.sigma
        if isinstance(sigma, (bool, np.bool_)) or not isinstance(sigma, (int, float, np.integer, np.floating)):
            raise TypeError(f"sigma must be a real number, got {sigma!r} of type {type(sigma).__name__}")
        if self.name == "normal" and not 0.0 < sigma < math.inf:
            raise ValueError(f"sigma must be finite and > 0, got {sigma!r}")
        if self.name != "normal" and sigma != 0.0:
            raise ValueError(f"sigma is for 'normal' only, got {sigma!r} with {self.name!r}")
        object.__setattr__(self, "sigma", float(sigma))


Function = Callable[[int, int], ArrayLike]

# The variance of a weight: 1 / fan_in for LeCun et al. (Efficient BackProp,
# 1998), 2 / fan_in for He et al. (2015), 2 / (fan_in + fan_out) for Glorot & Bengio (2010).
_VARIANCES: dict[str, Callable[[int, int], float]] = {
    "normal": lambda _in, _out: 1.0,
    "glorot_uniform": lambda n_in, n_out: 2.0 / (n_in + n_out),
    "glorot_normal": lambda n_in, n_out: 2.0 / (n_in + n_out),
    "he_uniform": lambda n_in, _: 2.0 / n_in,
    "he_normal": lambda n_in, _: 2.0 / n_in,
    "lecun_uniform": lambda n_in, _: 1.0 / n_in,
    "lecun_normal": lambda n_in, _: 1.0 / n_in,
    "zeros": lambda _in, _out: 0.0,
}


def normal(sigma: float = 0.1) -> Initializer:
    """N(0, sigma^2), as in the lectures.

    Parameters
    ----------
    sigma : float, default 0.1
        Standard deviation, > 0.

    Examples
    --------
    >>> normal(0.5)
    Initializer(name='normal', sigma=0.5)
    """
    return Initializer("normal", sigma)


glorot_uniform = Initializer("glorot_uniform")
glorot_normal = Initializer("glorot_normal")
he_uniform = Initializer("he_uniform")
he_normal = Initializer("he_normal")
lecun_uniform = Initializer("lecun_uniform")
lecun_normal = Initializer("lecun_normal")
zeros = Initializer("zeros")

#: By name.
INITIALIZERS: dict[str, Initializer] = {
    "normal": normal(),
    **{name: Initializer(name) for name in _VARIANCES if name != "normal"},
}

# Rectifiers silence half of their inputs' variance, which He's factor 2 restores.
_RECTIFIERS = frozenset({"relu", "leaky_relu", "elu", "softplus"})


def default(activation: str) -> Initializer:
    """The initializer of a layer with this activation when the user names none.

    he_uniform for relu, leaky_relu, elu and softplus, glorot_uniform for all others. Uniform rather than normal: the
    variance is what counts, and no weight starts as an outlier.

    Examples
    --------
    >>> default("relu").name, default("tanh").name
    ('he_uniform', 'glorot_uniform')
    """
    return he_uniform if activation in _RECTIFIERS else glorot_uniform


def resolve(initializer: str | Initializer | Function | None, activation: str) -> Initializer | Function:
    """The initializer meant by a name, an object, a function f(n_in, n_out) or None, for a layer with this activation.

    Raises
    ------
    TypeError, ValueError
        If it is none of these.

    Examples
    --------
    >>> resolve("zeros", "relu").name
    'zeros'
    """
    if initializer is None:
        return default(activation)
    if isinstance(initializer, str):
        if initializer not in INITIALIZERS:
            near = did_you_mean(initializer, INITIALIZERS)
            known = ", ".join(map(repr, INITIALIZERS))
            raise ValueError(f"initializer must be one of {known}, got {initializer!r}{near}")
        return INITIALIZERS[initializer]
    if isinstance(initializer, Initializer):
        return initializer
    if not callable(initializer):
        raise TypeError(
            "initializer must be a name, one of fastmlp.initializers, a function f(n_in, n_out) or None, "
            f"got {initializer!r} of type {type(initializer).__name__}"
        )
    return initializer


def draw(
    initializer: str | Initializer | Function, seed: int, layer: int, n_in: int, n_out: int
) -> NDArray[np.float64]:
    """First weights of a layer.

    Parameters
    ----------
    initializer : str, Initializer or callable
        A callable gets (n_in, n_out) and returns an array of that shape.
    seed : int
        64 bits.
    layer : int
        Counted from 0; layers draw from streams of their own.
    n_in, n_out : int
        The layer's widths.

    Returns
    -------
    ndarray of float64, shape (n_in, n_out)

    Raises
    ------
    TypeError, ValueError
        If the initializer is unknown, or a callable returned something else than finite real numbers of that shape.

    Examples
    --------
    >>> draw("glorot_uniform", seed=0, layer=0, n_in=2, n_out=3).shape
    (2, 3)
    """
    chosen = resolve(initializer, "identity")
    if not isinstance(chosen, Initializer):
        return _drawn(chosen(n_in, n_out), n_in, n_out)
    deviation = math.sqrt(_VARIANCES[chosen.name](n_in, n_out))
    n = n_in * n_out
    if chosen.name == "zeros":
        values = np.zeros(n)
    elif chosen.name.endswith("uniform"):
        values = random.uniform(seed, random.INIT, layer, n)  # in [0, 1), to [-limit, limit) of that deviation
        values *= 2.0
        values -= 1.0
        values *= math.sqrt(3.0) * deviation
    else:
        values = random.normal(seed, random.INIT, layer, n)
        values *= chosen.sigma if chosen.name == "normal" else deviation
    return values.reshape(n_in, n_out)


def _drawn(values: Any, n_in: int, n_out: int) -> NDArray[np.float64]:
    """What a user's function returned, checked."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"initializer must return real numbers, got an array of dtype {array.dtype}")
    if array.shape != (n_in, n_out):
        raise ValueError(f"initializer must return an array of shape ({n_in}, {n_out}), got {array.shape}")
    result = np.array(array, dtype=np.float64, order="C")
    if not np.isfinite(result).all():
        raise ValueError("initializer must return finite numbers, got NaN or infinity")
    return result
