"""The base of the activations: what users, engines and files ask one, and the room that the NumPy engine gives it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from fastmlp.spec.checks import choice, mapping, real, record, shown
from fastmlp.spec.operations import Operation

if TYPE_CHECKING:
    from fastmlp.spec.names import Array

__all__ = ["Activation", "Scratch"]


class Scratch(NamedTuple):
    """Room to work in for one layer of B rows and O outputs: what is in it means nothing between two calls."""

    matrix: Array  # (B, O)
    mask: Array  # (B, O) bool
    column: Array  # (B, 1)


@dataclass(frozen=True)
class Activation(Operation):
    """Base of the activations, the functions f that make a layer's outputs a = f(z) of its signals z.

    Attributes
    ----------
    whole_rows : bool
        Whether an output depends on all signals of its row, not on one of them.
    keeps : str
        What f' is computed from: "output", a, which is there anyway; or "signal", z, which the NumPy engine then keeps
        beside it. (The compiled one keeps f'(z), computed together with f(z).)
    custom : bool
        Whether it is a user's own, of which engines have no kernel.
    initial : str
        Name of the distribution of the first weights of a layer that has it, where the user names none. Rectifiers, and
        what resembles one, silence half of their inputs' variance, which "he_uniform" restores.
    """

    whole_rows: ClassVar[bool] = False
    custom: ClassVar[bool] = False
    keeps: ClassVar[Literal["output", "signal"]] = "output"
    initial: ClassVar[str] = "glorot_uniform"

    @property
    def kinks(self) -> tuple[float, ...]:
        """Signals z at which f or f' jumps, in rising order."""
        return ()

    def vectors(self, n_out: int) -> dict[str, int]:  # noqa: ARG002 - of those that learn
        """Return what a layer of so many units has for it, beside its biases: names of vectors, and their lengths."""
        return {}

    def signals(self, n_out: int) -> int:
        """Return how many signals a layer of so many units has: one for each, or several, of which it is a maximum."""
        return n_out

    def forward(self, z: Array, scratch: Scratch) -> None:
        """Put f(z) where z (B, O) was: the NumPy engine's forward pass, and the formula for people to read."""
        raise NotImplementedError(f"{type(self).__name__} has no forward pass in NumPy")

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:
        """Put d * f'(z) where d (B, O) was, by what is kept (B, O); a function of whole rows, dE/dz where dE/da was."""
        raise NotImplementedError(f"{type(self).__name__} has no backward pass in NumPy")

    def to_dict(self) -> dict[str, Any]:
        """Name and parameter, ready for JSON; 0.0 stands for none."""
        (param,) = self.params or (0.0,)
        return {"name": self.name, "param": param}

    @staticmethod
    def from_dict(data: object) -> Activation:
        """The activation that `to_dict` described; anything else is a TypeError or ValueError."""
        from fastmlp.spec.activations.registry import ACTIVATION_NAMES, ACTIVATIONS

        if isinstance(data, Mapping) and data.get("name") == "custom":
            raise ValueError(
                f"the network was made with CustomActivation({shown(data.get('fn'))}, {shown(data.get('slope'))}), and "
                "files hold no functions: load(path, activation=fastmlp.CustomActivation(fn, slope)), or output=, "
                "gives it again"
            )
        if isinstance(data, Mapping) and data.get("name") == "maxout":
            from fastmlp.spec.activations.maxout import Maxout

            return Maxout(record(data, "activation", ("name", "pieces"))["pieces"])
        kind = ACTIVATIONS[choice(mapping(data, "activation").get("name"), "activation", ACTIVATION_NAMES)]
        others = [each.name for each in dataclasses.fields(kind) if each.kw_only and each.name in mapping(data, "")]
        given = record(data, "activation", ("name", "param", *others))
        param = real(given["param"], "param")
        if not dataclasses.fields(kind) and param != 0.0:
            raise ValueError(f"param must be 0.0 because {kind.name} has no parameter, got {param!r}")
        if kind.later and param == 0.0:
            return kind()
        return kind(**dict.fromkeys(kind.parameters(), param), **{name: given[name] for name in others})
