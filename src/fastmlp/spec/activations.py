"""The activations: a frozen class for each, with its parameters as fields.

To add one: a class, its place in ACTIVATIONS and its name in ActivationName.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from fastmlp.spec.checks import check_fields, choice, not_negative, positive, real, record
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
    "Softplus",
    "as_activation",
]

ActivationName: TypeAlias = Literal[
    "identity", "sign", "logistic", "tanh", "relu", "leaky_relu", "elu", "softplus", "exp", "selu", "gelu", "gelu_tanh",
    "silu", "mish", "softsign", "relu6", "hardtanh", "hard_sigmoid", "hard_swish",
    "linear", "sigmoid", "swish", "hard_tanh", "hard_silu", "hardsigmoid", "hardswish",
]  # fmt: skip
OutputName: TypeAlias = ActivationName | Literal["softmax"]


@dataclass(frozen=True)
class Activation(Operation):
    """Base of the activations, the functions f that make a layer's outputs a = f(z) of its signals z.

    Attributes
    ----------
    whole_rows : bool
        Whether an output depends on all signals of its row, not on one of them: such are for the output layer only.
    initial : str
        Name of the distribution of the first weights of a layer that has it, where the user names none. Rectifiers, and
        what resembles one, silence half of their inputs' variance, which "he_uniform" restores.
    """

    whole_rows: ClassVar[bool] = False
    initial: ClassVar[str] = "glorot_uniform"

    @property
    def kinks(self) -> tuple[float, ...]:
        """Signals z at which f or f' jumps, in rising order."""
        return ()

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
        if kind.later and param == 0.0:
            return kind()
        return kind(**{field.name: param for field in dataclasses.fields(kind)})


@dataclass(frozen=True)
class Identity(Activation):
    """z itself."""

    name: ClassVar[str] = "identity"


@dataclass(frozen=True)
class Sign(Activation):
    """-1, 0 or 1; nothing is learned through it."""

    name: ClassVar[str] = "sign"

    @property
    def kinks(self) -> tuple[float, ...]:
        """It jumps at 0."""
        return (0.0,)


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
    initial: ClassVar[str] = "he_uniform"

    @property
    def kinks(self) -> tuple[float, ...]:
        """Its slope jumps at 0."""
        return (0.0,)


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
    initial: ClassVar[str] = "he_uniform"

    slope: float = 0.01

    def __post_init__(self) -> None:
        check_fields(self, slope=not_negative)

    @property
    def kinks(self) -> tuple[float, ...]:
        """Its slope jumps at 0, unless it is the identity."""
        return () if self.slope == 1.0 else (0.0,)


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
    initial: ClassVar[str] = "he_uniform"

    alpha: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self, alpha=not_negative)

    @property
    def kinks(self) -> tuple[float, ...]:
        """Its slope jumps at 0, unless alpha is 1."""
        return () if self.alpha == 1.0 else (0.0,)


@dataclass(frozen=True)
class Softplus(Activation):
    """log(1 + exp(beta z)) / beta, a smooth rectifier (Dugas et al. 2001).

    Parameters
    ----------
    beta : float, default 1.0
        Greater than 0; the larger, the nearer to the rectifier.

    Examples
    --------
    >>> Softplus(2.0)
    Softplus(beta=2.0)
    """

    name: ClassVar[str] = "softplus"
    later: ClassVar[tuple[str, ...]] = ("beta",)
    initial: ClassVar[str] = "he_uniform"

    beta: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self, beta=positive)


@dataclass(frozen=True)
class Exp(Activation):
    """exp(z)."""

    name: ClassVar[str] = "exp"


@dataclass(frozen=True)
class SELU(Activation):
    """Self-normalising unit: 1.0507 z where z > 0, else 1.0507 * 1.6733 (exp(z) - 1) (Klambauer et al. 2017)."""

    name: ClassVar[str] = "selu"
    initial: ClassVar[str] = "lecun_normal"

    @property
    def kinks(self) -> tuple[float, ...]:
        """Its slope jumps at 0."""
        return (0.0,)


@dataclass(frozen=True)
class GELU(Activation):
    """z Phi(z), Phi the distribution function of the standard normal (Hendrycks and Gimpel 2016)."""

    name: ClassVar[str] = "gelu"
    initial: ClassVar[str] = "he_uniform"


@dataclass(frozen=True)
class GELUTanh(Activation):
    """z (1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))) / 2, the approximation of GELU that its authors give.

    PyTorch's `GELU(approximate="tanh")`, Keras's `gelu(approximate=True)`.
    """

    name: ClassVar[str] = "gelu_tanh"
    initial: ClassVar[str] = "he_uniform"


@dataclass(frozen=True)
class SiLU(Activation):
    """z / (1 + exp(-z)) (Elfwing et al. 2018), also called swish (Ramachandran et al. 2017)."""

    name: ClassVar[str] = "silu"
    initial: ClassVar[str] = "he_uniform"


@dataclass(frozen=True)
class Mish(Activation):
    """z tanh(log(1 + exp(z))) (Misra 2019)."""

    name: ClassVar[str] = "mish"
    initial: ClassVar[str] = "he_uniform"


@dataclass(frozen=True)
class Softsign(Activation):
    """z / (1 + |z|) (Bergstra et al. 2009)."""

    name: ClassVar[str] = "softsign"


@dataclass(frozen=True)
class ReLU6(Activation):
    """Rectifier that ends at 6: min(max(z, 0), 6) (Krizhevsky 2010)."""

    name: ClassVar[str] = "relu6"
    initial: ClassVar[str] = "he_uniform"

    @property
    def kinks(self) -> tuple[float, ...]:
        """Its slope jumps at both ends."""
        return (0.0, 6.0)


@dataclass(frozen=True)
class HardTanh(Activation):
    """min(max(z, -1), 1) (Collobert 2004)."""

    name: ClassVar[str] = "hardtanh"

    @property
    def kinks(self) -> tuple[float, ...]:
        """Its slope jumps at both ends."""
        return (-1.0, 1.0)


@dataclass(frozen=True)
class HardSigmoid(Activation):
    """min(max(z + 3, 0), 6) / 6 (Howard et al. 2019)."""

    name: ClassVar[str] = "hard_sigmoid"

    @property
    def kinks(self) -> tuple[float, ...]:
        """Its slope jumps at both ends."""
        return (-3.0, 3.0)


@dataclass(frozen=True)
class HardSwish(Activation):
    """z min(max(z + 3, 0), 6) / 6 (Howard et al. 2019)."""

    name: ClassVar[str] = "hard_swish"
    initial: ClassVar[str] = "he_uniform"

    @property
    def kinks(self) -> tuple[float, ...]:
        """Its slope jumps at both ends."""
        return (-3.0, 3.0)


@dataclass(frozen=True)
class Softmax(Activation):
    """exp(z_k) / sum_j exp(z_j) over the signals z of a row."""

    name: ClassVar[str] = "softmax"
    whole_rows: ClassVar[bool] = True


#: By name, in the order of csrc/ops.
ACTIVATIONS: dict[str, type[Activation]] = {
    kind.name: kind
    for kind in (
        Identity, Sign, Logistic, Tanh, ReLU, LeakyReLU, ELU, Softplus, Exp, SELU, GELU, GELUTanh, SiLU, Mish, Softsign,
        ReLU6, HardTanh, HardSigmoid, HardSwish, Softmax,
    )
}  # fmt: skip
OUTPUT_NAMES: tuple[str, ...] = tuple(ACTIVATIONS)
#: Those that hidden layers may have.
ACTIVATION_NAMES: tuple[str, ...] = tuple(name for name, kind in ACTIVATIONS.items() if not kind.whole_rows)
ACTIVATION_ALIASES: dict[str, str] = {
    "linear": "identity",
    "sigmoid": "logistic",
    "swish": "silu",
    "hard_tanh": "hardtanh",
    "hard_silu": "hard_swish",
    "hardsigmoid": "hard_sigmoid",
    "hardswish": "hard_swish",
}
_NAMED = {**ACTIVATIONS, **{alias: ACTIVATIONS[name] for alias, name in ACTIVATION_ALIASES.items()}}


def as_activation(activation: str | Activation, name: str = "activation") -> Activation:
    """The activation meant by a name or an object; `name` is the argument that an error speaks of.

    Examples
    --------
    >>> as_activation("elu"), as_activation("sigmoid")
    (ELU(alpha=1.0), Logistic())
    """
    return as_operation(activation, name, Activation, _NAMED)
