"""The distributions that weights start from, by name or a user's function. Biases start at zero."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from numpy.typing import ArrayLike

from fastmlp.spec.checks import choice, positive, real, shown

if TYPE_CHECKING:
    from fastmlp.spec.activations.base import Activation

__all__ = [
    "INITIALIZERS",
    "Function",
    "InitName",
    "Initializer",
    "as_initializer",
    "default",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "zeros",
]

InitName: TypeAlias = Literal[
    "normal", "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal", "zeros"
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
        choice(self.name, "initializer", tuple(_VARIANCES))
        if self.name == "normal":
            sigma = positive(self.sigma, "sigma")
        elif (sigma := real(self.sigma, "sigma")) != 0.0:
            raise ValueError(f"sigma is for 'normal' only, got {sigma!r} with {self.name!r}")
        object.__setattr__(self, "sigma", sigma)

    @property
    def family(self) -> str:
        """Family of the distribution: "zeros", "uniform" around zero, or "normal"."""
        return self.name.rpartition("_")[2]

    def deviation(self, n_in: int, n_out: int) -> float:
        """Standard deviation of the weights of a layer of these widths."""
        return self.sigma if self.name == "normal" else math.sqrt(_VARIANCES[self.name](n_in, n_out))


Function = Callable[[int, int], ArrayLike]

# The variance of a weight: 1 / fan_in for LeCun et al. (Efficient BackProp,
# 1998), 2 / fan_in for He et al. (2015), 2 / (fan_in + fan_out) for Glorot & Bengio (2010).
_VARIANCES: dict[str, Callable[[int, int], float]] = {
    "normal": lambda _in, _out: 1.0,  # has a sigma of its own
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


def default(activation: Activation) -> Initializer:
    """The initializer of a layer with this activation when the user names none.

    he_uniform for rectifiers, glorot_uniform for others, lecun_normal for selu, whose constants are made for it. Else
    uniform rather than normal: the variance is what counts, and no weight starts as an outlier.
    """
    return INITIALIZERS[activation.initial]


def as_initializer(initializer: str | Initializer | Function) -> Initializer | Function:
    """The initializer meant by a name, an object or a function f(n_in, n_out).

    Raises
    ------
    TypeError, ValueError
        If it is none of these.

    Examples
    --------
    >>> as_initializer("zeros").name
    'zeros'
    """
    if isinstance(initializer, str):
        return INITIALIZERS[choice(initializer, "initializer", tuple(INITIALIZERS))]
    if not callable(initializer) and not isinstance(initializer, Initializer):
        raise TypeError(
            "initializer must be a name, one of fastmlp.initializers, a function f(n_in, n_out) or None, "
            f"got {shown(initializer)} of type {type(initializer).__name__}"
        )
    return initializer
