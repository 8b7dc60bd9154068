"""The activations by name: what users may type, and the class that is meant."""

from __future__ import annotations

from typing import TypeAlias

from fastmlp.spec.activations import gates, learned, maxout, outputs, rectifiers, sigmoids
from fastmlp.spec.activations.base import Activation
from fastmlp.spec.activations.custom import CustomActivation
from fastmlp.spec.activations.maxout import Maxout
from fastmlp.spec.checks import shown
from fastmlp.spec.operations import aliases_of, as_operation, kinds_of

__all__ = [
    "ACTIVATIONS",
    "ACTIVATION_ALIASES",
    "ACTIVATION_NAMES",
    "ActivationName",
    "as_activation",
]

ActivationName: TypeAlias = outputs.Name | sigmoids.Name | rectifiers.Name | gates.Name | learned.Name | maxout.Name

#: By name.
ACTIVATIONS: dict[str, type[Activation]] = kinds_of(Activation, outputs, sigmoids, rectifiers, gates, learned)
ACTIVATION_NAMES: tuple[str, ...] = tuple(ACTIVATIONS)
#: Other names of theirs.
ACTIVATION_ALIASES: dict[str, str] = aliases_of(ACTIVATIONS)


def as_activation(activation: object, name: str = "activation") -> Activation:
    """The activation meant by a name or an object; `name` is the argument that an error speaks of.

    Examples
    --------
    >>> as_activation("elu"), as_activation("sigmoid")
    (ELU(alpha=1.0), Logistic())
    """
    if isinstance(activation, (CustomActivation, Maxout)):
        return activation
    if activation == Maxout.name:
        return Maxout()
    if callable(activation):
        raise TypeError(
            f"{name} must be a name or an Activation, got {shown(activation)}; CustomActivation(fn, slope) makes one "
            "of two functions"
        )
    return as_operation(activation, name, Activation, ACTIVATIONS, ACTIVATION_ALIASES)
