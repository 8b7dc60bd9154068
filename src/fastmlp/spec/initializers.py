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
    "DEVIATION_OF_CUT",
    "INITIALIZERS",
    "INITIALIZER_ALIASES",
    "Function",
    "InitName",
    "Initializer",
    "as_initializer",
    "constant",
    "default",
    "glorot_normal",
    "glorot_truncated_normal",
    "glorot_uniform",
    "he_normal",
    "he_truncated_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_truncated_normal",
    "lecun_uniform",
    "normal",
    "orthogonal",
    "truncated_normal",
    "zeros",
]

InitName: TypeAlias = Literal[
    "normal", "glorot_uniform", "glorot_normal", "glorot_truncated_normal", "he_uniform", "he_normal",
    "he_truncated_normal", "lecun_uniform", "lecun_normal", "lecun_truncated_normal", "truncated_normal", "orthogonal",
    "zeros", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal",
]  # fmt: skip

#: Of a standard normal that is cut at -2 and 2.
DEVIATION_OF_CUT = 0.87962566103423978


@dataclass(frozen=True, repr=False)
class Initializer:
    """A named distribution of a layer's first weights; see the names of this module.

    Parameters
    ----------
    name : str
        One of `INITIALIZERS`, or "constant".
    sigma : float, default 0.0
        Standard deviation; "normal" and "truncated_normal" (before it is cut) only.
    gain : float, default 1.0
        The length of rows or columns; "orthogonal" only.
    value : float, default 0.0
        "constant" only.

    Examples
    --------
    >>> import fastmlp
    >>> net = fastmlp.MLP([2, 64, 1], init=fastmlp.initializers.he_normal, seed=0)
    >>> fastmlp.initializers.normal(0.1), fastmlp.initializers.zeros
    (Initializer('normal', sigma=0.1), Initializer('zeros'))
    """

    name: str
    sigma: float = 0.0
    gain: float = 1.0
    value: float = 0.0

    def __post_init__(self) -> None:
        choice(self.name, "initializer", tuple(_FAMILIES))
        for parameter, (check, unused, owners) in _PARAMETERS.items():
            given = getattr(self, parameter)
            if self.name in owners:
                object.__setattr__(self, parameter, check(given, parameter))
            elif (number := real(given, parameter)) != unused:
                whose = " and ".join(map(repr, owners))
                raise ValueError(f"{parameter} is for {whose} only, got {number!r} with {self.name!r}")

    def __repr__(self) -> str:
        own = [f", {name}={getattr(self, name)}" for name, (*_, owners) in _PARAMETERS.items() if self.name in owners]
        return f"Initializer({self.name!r}{''.join(own)})"

    @property
    def family(self) -> str:
        """What the weights are: "uniform" around zero, "normal", "truncated", "orthogonal", "constant" or "zeros"."""
        return _FAMILIES[self.name][0]

    def deviation(self, n_in: int, n_out: int) -> float:
        """Standard deviation of the weights of a layer of these widths."""
        variance = _FAMILIES[self.name][1]
        if variance is not None:
            return math.sqrt(variance(n_in, n_out))
        if self.family == "orthogonal":
            return self.gain / math.sqrt(max(n_in, n_out))
        return self.sigma * (DEVIATION_OF_CUT if self.family == "truncated" else 1.0)


Function = Callable[[int, int], ArrayLike]


def _glorot(n_in: int, n_out: int) -> float:
    """The variance of Glorot and Bengio (2010)."""
    return 2.0 / (n_in + n_out)


def _he(n_in: int, n_out: int) -> float:  # noqa: ARG001
    """The variance of He et al. (2015)."""
    return 2.0 / n_in


def _lecun(n_in: int, n_out: int) -> float:  # noqa: ARG001
    """The variance of LeCun et al. (Efficient BackProp, 1998)."""
    return 1.0 / n_in


#: The family of each name, and the variance of a weight where the layer's widths decide it.
_FAMILIES: dict[str, tuple[str, Callable[[int, int], float] | None]] = {
    "normal": ("normal", None),
    "glorot_uniform": ("uniform", _glorot),
    "glorot_normal": ("normal", _glorot),
    "glorot_truncated_normal": ("truncated", _glorot),
    "he_uniform": ("uniform", _he),
    "he_normal": ("normal", _he),
    "he_truncated_normal": ("truncated", _he),
    "lecun_uniform": ("uniform", _lecun),
    "lecun_normal": ("normal", _lecun),
    "lecun_truncated_normal": ("truncated", _lecun),
    "truncated_normal": ("truncated", None),
    "orthogonal": ("orthogonal", None),
    "constant": ("constant", None),
    "zeros": ("zeros", lambda _in, _out: 0.0),
}

#: Parameters: their checks, what they are where they mean nothing, and whose they are.
_PARAMETERS: dict[str, tuple[Callable[[object, str], float], float, tuple[str, ...]]] = {
    "sigma": (positive, 0.0, ("normal", "truncated_normal")),
    "gain": (positive, 1.0, ("orthogonal",)),
    "value": (real, 0.0, ("constant",)),
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
    Initializer('normal', sigma=0.5)
    """
    return Initializer("normal", sigma)


def truncated_normal(sigma: float = 0.1) -> Initializer:
    """N(0, sigma^2) without what lies beyond two standard deviations: that of the rest is 0.88 sigma.

    As in Keras and JAX. (Keras draws its `glorot_normal`, `he_normal` and `lecun_normal` so, with a sigma that makes up
    for the cut: here they are `glorot_truncated_normal` and so on. Those without "truncated" are whole, as PyTorch's.)

    Parameters
    ----------
    sigma : float, default 0.1
        Standard deviation before the cut, > 0.

    Examples
    --------
    >>> truncated_normal(0.5)
    Initializer('truncated_normal', sigma=0.5)
    """
    return Initializer("truncated_normal", sigma)


def orthogonal(gain: float = 1.0) -> Initializer:
    """A random orthogonal matrix times `gain` (Saxe et al. 2014), of all of them with equal chances.

    Of a layer that is wider than its inputs the rows are orthogonal, else the columns: no signal grows or shrinks (but
    for the gain). To draw it takes time by the cube of the width: 0.1 s for 512 x 512, and a second for 1024 x 1024.

    Parameters
    ----------
    gain : float, default 1.0
        > 0; sqrt(2) is usual before a relu.

    Examples
    --------
    >>> orthogonal(2.0)
    Initializer('orthogonal', gain=2.0)
    """
    return Initializer("orthogonal", gain=gain)


def constant(value: float) -> Initializer:
    """One number for all weights. Units of a layer that begin alike stay alike: it is for layers of one unit.

    Parameters
    ----------
    value : float

    Examples
    --------
    >>> constant(0.5)
    Initializer('constant', value=0.5)
    """
    return Initializer("constant", value=value)


glorot_uniform = Initializer("glorot_uniform")
glorot_normal = Initializer("glorot_normal")
glorot_truncated_normal = Initializer("glorot_truncated_normal")
he_uniform = Initializer("he_uniform")
he_normal = Initializer("he_normal")
he_truncated_normal = Initializer("he_truncated_normal")
lecun_uniform = Initializer("lecun_uniform")
lecun_normal = Initializer("lecun_normal")
lecun_truncated_normal = Initializer("lecun_truncated_normal")
zeros = Initializer("zeros")

_NEED_A_SIGMA = {"normal": normal(), "truncated_normal": truncated_normal()}
#: By name, all that need no number.
INITIALIZERS: dict[str, Initializer] = {
    name: _NEED_A_SIGMA.get(name) or Initializer(name) for name in _FAMILIES if name != "constant"
}
#: PyTorch's names.
INITIALIZER_ALIASES: dict[str, str] = {
    "xavier_uniform": "glorot_uniform",
    "xavier_normal": "glorot_normal",
    "kaiming_uniform": "he_uniform",
    "kaiming_normal": "he_normal",
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
        chosen = choice(initializer, "initializer", (*INITIALIZERS, *INITIALIZER_ALIASES))
        return INITIALIZERS[INITIALIZER_ALIASES.get(chosen, chosen)]
    if not callable(initializer) and not isinstance(initializer, Initializer):
        raise TypeError(
            "initializer must be a name, one of fastmlp.initializers, a function f(n_in, n_out) or None, "
            f"got {shown(initializer)} of type {type(initializer).__name__}"
        )
    return initializer
