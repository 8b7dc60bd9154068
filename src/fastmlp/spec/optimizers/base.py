"""The base of the optimizers, which turn hyperparameters into the table of a training."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from fastmlp.spec.checks import integer, mapping, not_negative, positive
from fastmlp.spec.operations import Operation, read_operation
from fastmlp.spec.scheduled import Schedule, scheduled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Optimizer", "decay", "rate"]

#: Checks of a learning rate and of a weight decay: a number, or a schedule of it.
rate, decay = scheduled(positive), scheduled(not_negative)


@dataclass(frozen=True)
class Optimizer(Operation):
    """Base of the optimizers: hyperparameters, and a table of scalars with one row for each step of a run.

    A learning rate and a weight decay may be a schedule of `fastmlp.schedules` in place of a number, or a function of
    the number of steps made.

    Attributes
    ----------
    columns : tuple of str
        Names of the columns of its table: those of its row in `csrc/ops/optimizer.inl`, then SHARED_COLUMNS.
    """

    columns: ClassVar[tuple[str, ...]]

    def scalars(self, start: int, steps: int, epoch: int = 0) -> NDArray[np.float64]:
        """The scalars of `steps` steps after the first `start` ones, float64 (steps, len(columns)).

        Row s belongs to step number t = start + s + 1 (t counts from 1) and is the same, bit for bit, however a run
        is cut. `epoch` is the number of epochs that came before these steps.
        """
        start = integer(start, "start", 0, 2**62)
        steps = integer(steps, "steps", 0, 2**62)
        return self._in_epoch(epoch)._rows(start, steps)

    def _in_epoch(self, epoch: int) -> Optimizer:
        """Return this optimizer with a number in the place of each schedule by epochs."""
        fixed = self
        for name in ("learning_rate", "weight_decay"):
            value = getattr(self, name, None)
            if isinstance(value, Schedule) and value.by == "epoch":
                fixed = copy.copy(fixed)
                object.__setattr__(fixed, name, value(epoch))  # which may be 0, where a user's number may not
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
