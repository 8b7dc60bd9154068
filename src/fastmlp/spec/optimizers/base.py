"""The base of the optimizers, which turn hyperparameters into the table of a training."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastmlp.spec.checks import fraction, integer, mapping, not_negative, positive
from fastmlp.spec.operations import Operation, read_operation
from fastmlp.spec.scheduled import Schedule, scheduled, value_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Optimizer", "decay", "rate", "share"]

#: Checks of a learning rate, a weight decay, and what is a part of 1 (momentum, beta): a number, or a schedule of it.
#: The last are named here, since the values of a schedule are known when a table is made.
rate, decay, share = scheduled(positive), scheduled(not_negative), scheduled(fraction)
_FRACTIONS = ("momentum", "beta1", "beta2", "rho")


@dataclass(frozen=True)
class Optimizer(Operation):
    """Base of the optimizers: hyperparameters, and a table of scalars with one row for each step of a run.

    A hyperparameter may be a schedule of `fastmlp.schedules`, or a function of the number of steps made, where its
    class says so: learning rates, weight decays, momenta and most betas.

    Attributes
    ----------
    columns : tuple of str
        Names of the columns of its table: those of its row in `csrc/ops/optimizer.inl`, then SHARED_COLUMNS.
    lazy : bool
        Whether weights can be left out of a step, as `fit(lazy=True)` does: what their state says of them stays true.
    """

    columns: ClassVar[tuple[str, ...]]
    lazy: ClassVar[bool] = True

    @property
    def constant(self) -> bool:
        """Whether no hyperparameter follows a schedule."""
        return not any(type(value) is not float and isinstance(value, Schedule) for value in vars(self).values())

    def scalars(
        self, start: int, steps: int, epoch: int = 0, factors: tuple[float, ...] = (1.0,)
    ) -> NDArray[np.float64]:
        """The scalars of `steps` steps after the first `start` ones, float64 (steps, len(columns)).

        Row s belongs to step number t = start + s + 1 (t counts from 1) and is the same, bit for bit, however a run
        is cut. `epoch` is the number of epochs that came before these steps. For each of the factors, which multiply
        the learning rate, there are all columns, one behind the other.
        """
        start = integer(start, "start", 0, 2**62)
        steps = integer(steps, "steps", 0, 2**62)
        resolved = self._resolved(start, steps, epoch)
        if factors == (1.0,):
            return resolved._rows(start, steps)
        rate = value_of(getattr(resolved, "learning_rate"), start, steps)  # noqa: B009 - no attribute of the base
        tables = []
        for factor in factors:
            scaled = copy.copy(resolved)
            object.__setattr__(scaled, "learning_rate", factor * rate)
            tables.append(scaled._rows(start, steps))
        return np.concatenate(tables, axis=1)

    def _resolved(self, start: int, steps: int, epoch: int) -> Optimizer:
        """Return it with a number for each schedule by epochs; a ValueError where a part of 1 is not less."""
        fixed = self
        for name, value in vars(self).items():
            if type(value) is float or not isinstance(value, Schedule):
                continue
            if value.by == "step" and name not in _FRACTIONS:
                continue
            values = value.values(start, steps) if value.by == "step" else value.values(epoch, 1)
            if name in _FRACTIONS and values.max(initial=0.0) >= 1.0:
                raise ValueError(f"{name} must be < 1 at all times, got {values.max()} from {value}")
            if value.by == "epoch":
                fixed = copy.copy(fixed)
                object.__setattr__(fixed, name, float(values[0]))  # which may be 0, where a user's number may not
        return fixed

    def _rows(self, start: int, steps: int) -> NDArray[np.float64]:
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Name and hyperparameters, ready for JSON; schedules as dictionaries of their own."""
        hyperparameters = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return {"name": self.name} | {
            name: value.to_dict() if isinstance(value, Schedule) else value for name, value in hyperparameters.items()
        }

    @staticmethod
    def from_dict(data: object) -> Optimizer:
        """The optimizer that `to_dict` described; anything else is a TypeError or ValueError."""
        from fastmlp.spec.optimizers.registry import OPTIMIZERS  # which are made of this

        given = {
            key: Schedule.from_dict(value) if isinstance(value, Mapping) else value
            for key, value in mapping(data, "optimizer").items()
        }
        return read_operation(given, "optimizer", OPTIMIZERS)
