"""The base of the optimizers, which turn hyperparameters into the table of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from fastmlp.spec.checks import integer
from fastmlp.spec.operations import Operation, read_operation

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Optimizer"]


@dataclass(frozen=True)
class Optimizer(Operation):
    """Base of the optimizers: hyperparameters, and a table of scalars with one row for each step of a run.

    Attributes
    ----------
    columns : tuple of str
        Names of the columns of its table: those of its row in `csrc/ops/optimizer.def`, then SHARED_COLUMNS.
    """

    columns: ClassVar[tuple[str, ...]]

    def scalars(self, start: int, steps: int) -> NDArray[np.float64]:
        """The scalars of `steps` steps after the first `start` ones, float64 (steps, len(columns)).

        Row s belongs to step number t = start + s + 1 (t counts from 1) and is the same, bit for bit, however a run
        is cut.
        """
        start = integer(start, "start", 0, 2**62)
        steps = integer(steps, "steps", 0, 2**62)
        return self._rows(start, steps)

    def _rows(self, start: int, steps: int) -> NDArray[np.float64]:
        raise NotImplementedError

    @staticmethod
    def from_dict(data: object) -> Optimizer:
        """The optimizer that `to_dict` described; anything else is a TypeError or ValueError."""
        from fastmlp.spec.optimizers import OPTIMIZERS  # which are made of this

        return read_operation(data, "optimizer", OPTIMIZERS)

    def _check(self, **checks: Callable[[object, str], Any]) -> None:
        """Replace fields by what their checks return."""
        for name, check in checks.items():
            object.__setattr__(self, name, check(getattr(self, name), name))
