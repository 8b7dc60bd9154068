"""The activations: what a layer does with its signals, by name or with a parameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from fastmlp.reference.activation import ACTIVATIONS, OUTPUTS

from .checks import choice, keys, not_negative, real, shown

__all__ = ["ACTIVATION_ALIASES", "ACTIVATION_NAMES", "ELU", "OUTPUT_NAMES", "Activation", "LeakyReLU", "as_activation"]

#: Activations of hidden layers; an output layer may also be "softmax".
ACTIVATION_NAMES: tuple[str, ...] = tuple(ACTIVATIONS)
OUTPUT_NAMES: tuple[str, ...] = tuple(OUTPUTS)
ACTIVATION_ALIASES: dict[str, str] = {"linear": "identity", "sigmoid": "logistic"}


@dataclass(frozen=True)
class Activation:
    """An activation function and its parameter.

    Parameters
    ----------
    name : str
        "identity" (or "linear"), "sign", "logistic" (or "sigmoid"), "tanh", "relu", "leaky_relu", "elu", "softplus",
        "exp", and for the output layer "softmax".
    param : float, optional
        The slope of leaky_relu (default 0.01), the alpha of elu (default 1.0); no other has one. Not negative, because
        derivatives are computed from the outputs.

    Raises
    ------
    TypeError, ValueError
        If the name is unknown or the parameter is not one that it can have.

    Examples
    --------
    >>> Activation("sigmoid")
    Activation(name='logistic', param=0.0)
    >>> Activation("leaky_relu").param
    0.01
    """

    name: str
    param: float = cast("Any", None)  # None stands for the default of that name, and is never stored

    def __post_init__(self) -> None:
        known = (*OUTPUT_NAMES, *ACTIVATION_ALIASES)
        name = choice(self.name, "activation", known)
        name = ACTIVATION_ALIASES.get(name, name)
        entry = OUTPUTS[name]
        given: object = self.param
        param = entry.default if given is None else real(given, entry.parameter or "param")
        if entry.parameter:
            param = not_negative(param, entry.parameter)
        elif param != 0.0:
            raise ValueError(f"param must be 0.0 because {name} has no parameter, got {param!r}")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "param", param + 0.0)  # -0.0 becomes 0.0

    def to_dict(self) -> dict[str, Any]:
        """Name and parameter, ready for JSON."""
        return {"name": self.name, "param": self.param}

    @classmethod
    def from_dict(cls, data: object) -> Activation:
        """The activation that `to_dict` described; anything else is a TypeError or ValueError."""
        fields = keys(data, "activation", ("name", "param"))
        return cls(choice(fields["name"], "activation", OUTPUT_NAMES), real(fields["param"], "param"))


def LeakyReLU(slope: float = 0.01) -> Activation:
    """Leaky rectifier: z where z > 0, else slope * z (Maas et al. 2013).

    Parameters
    ----------
    slope : float, default 0.01
        Not negative.

    Examples
    --------
    >>> LeakyReLU(0.1)
    Activation(name='leaky_relu', param=0.1)
    """
    return Activation("leaky_relu", not_negative(slope, "slope"))


def ELU(alpha: float = 1.0) -> Activation:
    """Exponential linear unit: z where z > 0, else alpha * (exp(z) - 1) (Clevert et al. 2016).

    Parameters
    ----------
    alpha : float, default 1.0
        Not negative.

    Examples
    --------
    >>> ELU()
    Activation(name='elu', param=1.0)
    """
    return Activation("elu", not_negative(alpha, "alpha"))


def as_activation(activation: str | Activation, name: str = "activation") -> Activation:
    """The activation meant by a name or an object; `name` is the argument that an error speaks of.

    Examples
    --------
    >>> as_activation("elu")
    Activation(name='elu', param=1.0)
    """
    if isinstance(activation, Activation):
        return activation
    if not isinstance(activation, str):
        raise TypeError(
            f"{name} must be a name or an Activation, got {shown(activation)} of type {type(activation).__name__}"
        )
    return Activation(choice(activation, name, (*OUTPUT_NAMES, *ACTIVATION_ALIASES)))
