"""The activations: a frozen class for each, with its parameters as fields.

To add one: a class, its place in ACTIVATIONS and its name in ActivationName.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from fastmlp.spec.checks import choice, not_negative, real, record
from fastmlp.spec.operations import Operation, as_operation

__all__ = [
    "ACTIVATIONS",
    "ACTIVATION_ALIASES",
    "ACTIVATION_NAMES",
    "ELU",
    "OUTPUT_NAMES",
    "Activation",
    "ActivationName",
    "LeakyReLU",
    "OutputName",
    "as_activation",
]

ActivationName: TypeAlias = Literal[
    "identity", "sign", "logistic", "tanh", "relu", "leaky_relu", "elu", "softplus", "exp", "linear", "sigmoid"
]
OutputName: TypeAlias = ActivationName | Literal["softmax"]


@dataclass(frozen=True)
class Activation(Operation):
    """Base of the activations, the functions f that make a layer's outputs a = f(z) of its signals z.

    Attributes
    ----------
    whole_rows : bool
        Whether an output depends on all signals of its row, not on one of them: such are for the output layer only.
    rectifies : bool
        Whether it silences half of its inputs' variance, which first weights of twice the variance restore.
    """

    whole_rows: ClassVar[bool] = False
    rectifies: ClassVar[bool] = False

    def to_dict(self) -> dict[str, Any]:
        """Name and parameter, ready for JSON; 0.0 stands for none."""
        (param,) = self.params or (0.0,)
        return {"name": self.name, "param": param}

    @staticmethod
    def from_dict(data: object) -> Activation:
        """The activation that `to_dict` described; anything else is a TypeError or ValueError."""
        given = record(data, "activation", ("name", "param"))
        kind = ACTIVATIONS[choice(given["name"], "activation", OUTPUT_NAMES)]
        param = real(given["param"], "param")
        if not dataclasses.fields(kind) and param != 0.0:
            raise ValueError(f"param must be 0.0 because {kind.name} has no parameter, got {param!r}")
        return kind(**{field.name: param for field in dataclasses.fields(kind)})


@dataclass(frozen=True)
class Identity(Activation):
    """z itself."""

    name: ClassVar[str] = "identity"


@dataclass(frozen=True)
class Sign(Activation):
    """-1, 0 or 1; nothing is learned through it."""

    name: ClassVar[str] = "sign"


@dataclass(frozen=True)
class Logistic(Activation):
    """1 / (1 + exp(-z))."""

    name: ClassVar[str] = "logistic"


@dataclass(frozen=True)
class Tanh(Activation):
    """tanh(z)."""

    name: ClassVar[str] = "tanh"


@dataclass(frozen=True)
class ReLU(Activation):
    """Rectifier: z where z > 0, else 0."""

    name: ClassVar[str] = "relu"
    rectifies: ClassVar[bool] = True


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """Leaky rectifier: z where z > 0, else slope * z (Maas et al. 2013).

    Parameters
    ----------
    slope : float, default 0.01
        Not negative, because derivatives are computed from the outputs.

    Examples
    --------
    >>> LeakyReLU(0.1)
    LeakyReLU(slope=0.1)
    """

    name: ClassVar[str] = "leaky_relu"
    rectifies: ClassVar[bool] = True

    slope: float = 0.01

    def __post_init__(self) -> None:
        object.__setattr__(self, "slope", not_negative(self.slope, "slope"))


@dataclass(frozen=True)
class ELU(Activation):
    """Exponential linear unit: z where z > 0, else alpha * (exp(z) - 1) (Clevert et al. 2016).

    Parameters
    ----------
    alpha : float, default 1.0
        Not negative, because derivatives are computed from the outputs.

    Examples
    --------
    >>> ELU()
    ELU(alpha=1.0)
    """

    name: ClassVar[str] = "elu"
    rectifies: ClassVar[bool] = True

    alpha: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", not_negative(self.alpha, "alpha"))


@dataclass(frozen=True)
class Softplus(Activation):
    """log(1 + exp(z))."""

    name: ClassVar[str] = "softplus"
    rectifies: ClassVar[bool] = True


@dataclass(frozen=True)
class Exp(Activation):
    """exp(z)."""

    name: ClassVar[str] = "exp"


@dataclass(frozen=True)
class Softmax(Activation):
    """exp(z_k) / sum_j exp(z_j) over the signals z of a row."""

    name: ClassVar[str] = "softmax"
    whole_rows: ClassVar[bool] = True


#: By name, in the order of csrc/ops.
ACTIVATIONS: dict[str, type[Activation]] = {
    kind.name: kind for kind in (Identity, Sign, Logistic, Tanh, ReLU, LeakyReLU, ELU, Softplus, Exp, Softmax)
}
OUTPUT_NAMES: tuple[str, ...] = tuple(ACTIVATIONS)
#: Those that hidden layers may have.
ACTIVATION_NAMES: tuple[str, ...] = tuple(name for name, kind in ACTIVATIONS.items() if not kind.whole_rows)
ACTIVATION_ALIASES: dict[str, str] = {"linear": "identity", "sigmoid": "logistic"}
_NAMED = {**ACTIVATIONS, **{alias: ACTIVATIONS[name] for alias, name in ACTIVATION_ALIASES.items()}}


def as_activation(activation: str | Activation, name: str = "activation") -> Activation:
    """The activation meant by a name or an object; `name` is the argument that an error speaks of.

    Examples
    --------
    >>> as_activation("elu"), as_activation("sigmoid")
    (ELU(alpha=1.0), Logistic())
    """
    return as_operation(activation, name, Activation, _NAMED)
