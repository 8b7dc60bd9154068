"""The common base of activations, losses and optimizers: a name that engines and files know, parameters as fields."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from fastmlp.spec.checks import choice, mapping, record, shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

__all__ = ["Operation", "aliases_of", "as_operation", "kinds_of", "read_operation"]

T = TypeVar("T", bound="Operation")


@dataclass(frozen=True)
class Operation:
    """Base of everything that there is one kernel for, and that users choose by name or with parameters.

    Attributes
    ----------
    name : str
        What engines, files and users call it.
    aliases : tuple of str
        Other names that users may type; files and error messages know them by `name`.
    later : tuple of str
        Parameters that came after the first files had been written: what does not tell them means the default.
    """

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    later: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        """Names of the parameters that kernels get: fields that are given by keyword alone are not for them."""
        return tuple(field.name for field in dataclasses.fields(cls) if not field.kw_only)

    @property
    def params(self) -> tuple[float, ...]:
        """The parameters as numbers, in the order of the fields."""
        return tuple(float(getattr(self, name)) for name in self.parameters())

    def to_dict(self) -> dict[str, Any]:
        """Name and parameters, ready for JSON; those that came later only where they are not the default ones."""
        told = [each for each in dataclasses.fields(self) if each.name not in self.later or not self._is_default(each)]
        return {"name": self.name} | {each.name: getattr(self, each.name) for each in told}

    def _is_default(self, field: dataclasses.Field[Any]) -> bool:
        return bool(getattr(self, field.name) == field.default)

    def written(self) -> str:
        """Return the text by which one means it: its name, or an object with those parameters that are not default."""
        fields = sorted(dataclasses.fields(self), key=lambda field: bool(field.kw_only))
        given = {field.name: getattr(self, field.name) for field in fields if not self._is_default(field)}
        if not given:
            return repr(self.name)
        places = {} if fields[0].kw_only else {fields[0].name: ""}  # the first needs no name
        arguments = (f"{places.get(name, f'{name}=')}{value!r}" for name, value in given.items())
        return f"{type(self).__name__}({', '.join(arguments)})"


def kinds_of(base: type[T], *families: ModuleType) -> dict[str, type[T]]:
    """Return the kinds of operations that modules offer, by their names, in the order of their definitions."""
    offered = [vars(family)[each] for family in families for each in vars(family) if each in family.__all__]
    return {kind.name: kind for kind in offered if issubclass(kind, base)}


def aliases_of(kinds: Mapping[str, type[T]]) -> dict[str, str]:
    """Return the names of kinds of operations by their aliases."""
    return {alias: name for name, kind in kinds.items() for alias in kind.aliases}


def as_operation(
    value: object, name: str, base: type[T], kinds: Mapping[str, type[T]], aliases: Mapping[str, str] | None = None
) -> T:
    """Return the operation meant by a name or an object; `name` is the argument that an error speaks of."""
    if isinstance(value, base):
        choice(getattr(value, "name", None), name, tuple(kinds))
        return value
    if not isinstance(value, str):
        raise TypeError(
            f"{name} must be a name or an object of type {base.__name__}, "
            f"got {shown(value)} of type {type(value).__name__}"
        )
    others = aliases or {}
    chosen = choice(value, name, tuple(kinds), tuple(others))
    return kinds[others.get(chosen, chosen)]()


def read_operation(data: object, name: str, kinds: Mapping[str, type[T]]) -> T:
    """Return the operation that `Operation.to_dict` described; anything else is a TypeError or ValueError."""
    kind = kinds[choice(mapping(data, name).get("name"), f"{name} name", tuple(kinds))]
    known = [field.name for field in dataclasses.fields(kind)]
    told = [each for each in known if each not in kind.later or each in mapping(data, name)]
    given = dict(record(data, name, ("name", *told)))
    del given["name"]
    return kind(**given)
