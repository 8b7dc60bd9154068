"""Prediction and evaluation: forward passes over any number of rows, some at a time. Mirror of passes/predict.pyx."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastmlp.reference.forward import activate, forward
from fastmlp.reference.loss import loss
from fastmlp.reference.rows import inputs, target, to_units

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fastmlp.reference.gate import Rest
    from fastmlp.reference.plan import Plan
    from fastmlp.spec import Array

#: Rows at a time where all rows of X are wanted.
ROWS = 1024


def blocks(n: int, rest: Rest) -> Iterator[slice]:
    """All of n rows, some at a time, with a rest before each."""
    for start in range(0, n, ROWS):
        rest.handlers()
        yield slice(start, min(start + ROWS, n))


def predict(plan: Plan, X: Array, out: Array, check: bool, rest: Rest) -> None:
    """Outputs of all rows into `out`; a ValueError with `check` when X holds what is not finite."""
    for rows in blocks(len(X), rest):
        if check and not np.isfinite(X[rows]).all():
            raise ValueError("X holds values that are not finite")
        batch = plan.batch(rows.stop - rows.start)
        forward(plan, batch, inputs(X, rows, batch.x, plan.inputs), out[rows])
        activate(plan, batch, len(plan.layers) - 1, out[rows])
        to_units(plan, out[rows])
        plan.loss.finish(out[rows])


def evaluate(plan: Plan, X: Array, y: Array, out: Array, row_loss: NDArray[np.float64], rest: Rest) -> None:
    """Outputs of all rows into `out`, and their losses into `row_loss`."""
    for rows in blocks(len(X), rest):
        batch = plan.batch(rows.stop - rows.start)
        forward(plan, batch, inputs(X, rows, batch.x, plan.inputs), out[rows])
        loss(plan, batch, out[rows], target(batch, y, rows, plan.targets), 1.0, row_loss[rows])
        to_units(plan, out[rows])
        plan.loss.finish(out[rows])
