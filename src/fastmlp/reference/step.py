"""One step of training: load, forward, loss, backward, gradient, update. Mirror of passes/step.pyx."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.reference.backward import backward
from fastmlp.reference.bound import bound
from fastmlp.reference.dropout import draw_masks
from fastmlp.reference.forward import forward
from fastmlp.reference.gradient import add_penalties, penalty
from fastmlp.reference.lazy import left_alone
from fastmlp.reference.loss import loss
from fastmlp.reference.noise import add_noise
from fastmlp.reference.norm import follow_statistics
from fastmlp.reference.parameters import sum_of_squares
from fastmlp.reference.rows import batch_of, gather, mean, mix, scales, target
from fastmlp.reference.update import follow, update
from fastmlp.spec import STAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastmlp.reference.dropout import Masks
    from fastmlp.reference.gate import Rest
    from fastmlp.reference.plan import Plan
    from fastmlp.reference.workspace import Batch
    from fastmlp.spec import Run


class Clock:
    """Seconds by stage, where a profile is wanted."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] | None = None
        self._since = 0.0

    def start(self) -> None:
        """Begin a profile."""
        self.seconds = dict.fromkeys(STAGES, 0.0)

    def begin(self) -> None:
        """A step begins."""
        if self.seconds is not None:
            self._since = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Book the time since the last stage, or the step's beginning, under this stage."""
        if self.seconds is not None:
            now = time.perf_counter()
            self.seconds[stage] += now - self._since
            self._since = now


def _plainly(part: Callable[..., None], *arguments: object) -> None:
    """Go through a part of a step in which nothing is a user's own."""
    part(*arguments)


def make_step(plan: Plan, run: Run, step: int, updates: int, total: float, clock: Clock, rest: Rest) -> bool:
    """Step number `step` of a run, whose rows weigh `total`; False if its loss is not finite: nothing is updated.

    `updates` have been made before it, in this run and in those before.
    """
    clock.begin()
    which = batch_of(step, len(run.order), run.batch_size, run.epoch_rows)
    batch, masks, value = _forward(plan, run, step, which, 0, updates, total, clock, rest)
    value = value / total if total != 0.0 else 0.0
    run.losses[step] = value + penalty(plan)
    if not math.isfinite(value):
        return False
    _note_weights(plan, run, step)
    _backward(plan, run, which, batch, masks, total, clock, rest)
    _update(plan, run, step, rest)
    follow_statistics(plan, batch)
    if run.average != 0.0:
        follow(plan, run.average)
    clock.lap("update")
    return True


def make_shared_step(plan: Plan, run: Run, step: int, updates: int, total: float, clock: Clock, rest: Rest) -> bool:
    """Make a step together with other processes (`fastmlp.spec.Cut`), of whose rows all weigh `total`."""
    assert run.cut is not None
    clock.begin()
    cut = run.cut
    gradients = []
    for share in range(step * cut.shares, (step + 1) * cut.shares):
        which = slice(int(cut.starts[share]), int(cut.starts[share + 1]))
        cut.losses[share] = 0.0
        if which.start < which.stop:
            place = int(cut.places[share])
            batch, masks, value = _forward(plan, run, step, which, place, updates, total, clock, rest)
            cut.losses[share] = value
            if not math.isfinite(value):
                return False
            _backward(plan, run, which, batch, masks, total, clock, rest)
        else:
            plan.gradient.vector.fill(0.0)
        gradients.append(plan.gradient.whole.copy())
    run.losses[step] = penalty(plan)
    _note_weights(plan, run, step)
    if cut.exchange is not None:
        good: list[bool] = []
        rest.call(lambda: good.append(cut.exchange(step, gradients)))  # type: ignore[misc]
        if not good[0]:
            return False
    np.copyto(plan.gradient.vector, gradients[0][:-1])
    _update(plan, run, step, rest)
    if run.average != 0.0:
        follow(plan, run.average)
    clock.lap("update")
    return True


def _forward(
    plan: Plan,
    run: Run,
    step: int,
    which: slice,
    place: int,
    updates: int,
    total: float,
    clock: Clock,
    rest: Rest,
) -> tuple[Batch, Masks, float]:
    """Take rows of the order, of which the first is number `place` of its whole batch, to the sum of their losses."""
    ask = rest.call if plan.custom else _plainly
    rows = run.order[which]
    batch = plan.batch(len(rows))
    gather(run.X, rows, batch.x, plan.inputs)
    share = None if run.mixing is None else float(run.mixing[step])
    wanted = target(batch, run.y, rows, plan.targets, share)
    scale: Any = 1.0 / total if total != 0.0 else 0.0
    if run.weight is not None:
        np.take(run.weight, rows, out=batch.weight, mode="clip")
        if share is not None:
            mix(batch.weight, share)
        scale = scales(batch.weight, total, batch.scale)
    if share is not None:
        mix(batch.x, share)
    add_noise(plan, batch, run.seed, updates, place)
    masks = draw_masks(plan, batch, run.seed, updates, place)
    clock.lap("gather")
    ask(forward, plan, batch, batch.x, batch.outputs[-1], masks, True)
    clock.lap("forward")
    ask(loss, plan, batch, batch.outputs[-1], wanted, scale, batch.row_loss)
    if run.at_loss is not None:
        rest.call(run.at_loss, step, which, batch.outputs[-1].copy(), batch.row_loss, batch.deltas[-1])
    return batch, masks, mean(batch.row_loss, None if run.weight is None else batch.weight, 1.0)


def _note_weights(plan: Plan, run: Run, step: int) -> None:
    if run.squared_weights is not None:
        run.squared_weights[step] = sum_of_squares(plan.parameters.vector[: plan.parameters.n_weights])


def _backward(
    plan: Plan, run: Run, which: slice, batch: Batch, masks: Masks, total: float, clock: Clock, rest: Rest
) -> None:
    """Leave the gradient of these rows' losses, and note what is wanted of each row."""
    clock.lap("loss")
    squares = None if run.row_norms is None else np.zeros(batch.rows)
    (rest.call if plan.custom else _plainly)(backward, plan, batch, masks, squares)
    if squares is not None and run.row_losses is not None and run.row_norms is not None:
        weights, rows = 1.0 if run.weight is None else batch.weight, run.order[which]
        run.row_losses[rows] = batch.row_loss
        run.row_norms[rows] = np.where(weights != 0.0, np.sqrt(squares) * total / weights, np.nan)


def _update(plan: Plan, run: Run, step: int, rest: Rest) -> None:
    """Make the update by the gradient of all rows of a step."""
    add_penalties(plan)
    if run.at_gradient is not None:
        rest.call(run.at_gradient, step, plan.gradient)
    rows = run.order[batch_of(step, len(run.order), run.batch_size, run.epoch_rows)]
    with left_alone(plan, run.X, rows) if run.lazy else nullcontext():
        update(plan, run.table[step].tolist(), run.clip_norm, run.clip_value, run.groups)
    bound(plan)
