"""The loop: epochs over a source, and the single step.

Whoever trains comes here: `MLP.fit`, and the estimators of `fastmlp.sklearn`. A source says which rows, a report what
is measured of an epoch, callbacks what else happens; the engine only ever sees an order of rows and one row of scalars
per step.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastmlp.data import Data
from fastmlp.spec import Optimizer
from fastmlp.train.callbacks import Logs, LoopCallback, tell
from fastmlp.train.course import LIMITS, Course
from fastmlp.train.epoch import Epoch, Pace
from fastmlp.train.learner import NO_OPTIONS, Learner, StepOptions
from fastmlp.train.safety import TrainingDiverged, diagnosis, loss_of, prepare_undo, undo

__all__ = ["Report", "apply", "fit", "step"]


class Report(Protocol):
    """A function that measures an epoch when it is over."""

    names: tuple[str, ...]
    """What is in the logs that it returns."""
    modes: Mapping[str, str]
    """Of these, whether "min" or "max" is best, where that is known."""
    only_losses: bool
    """Whether it looks at nothing but the losses of an epoch's steps, also when more epochs have been made since; and
    an epoch that was reported is not noted again."""

    def __call__(self, epoch: Epoch) -> Logs:
        """Measure an epoch, and note it. Where a handler's exception is about to end the training, only note it."""


def fit(
    epoch: Epoch,
    epochs: int | None,
    report: Report,
    callbacks: Sequence[LoopCallback] = (),
    net: Any = None,
    optimizer: Optimizer | None = None,
    course: Course | None = None,
    last: Logs | None = None,
) -> str:
    """Train for some epochs, or (None) until a callback stops it.

    The learner goes on with the optimizer, if one is given. Callbacks hear of everything in their order, with `net` as
    what is trained. A course that has been begun is gone on with, behind an epoch with the logs `last`. Returns why a
    callback has stopped the training, or "" if none has.
    """
    learner = epoch.learner
    for callback in callbacks:
        told = {"epochs": epochs, "names": report.names, "modes": report.modes, "optimizer": optimizer}
        callback.on_train_begin(net, told)
    course = course or Course(learner, learner.epoch)
    learner.undo = None
    if course.adopt is not None:
        course.adopt()
    if optimizer is not None:
        learner.use(optimizer)
    if epoch.options.average or epoch.options.swa:
        learner.keep_average()
    epoch.pace = Pace.of(callbacks, net, course)
    begins, ends, afters = (_hearing(callbacks, event) for event in ("on_epoch_begin", "on_epoch_end", "after_epoch"))
    stop, logs = course.over, last or {}
    try:
        left = math.inf if epochs is None else epochs - course.epochs
        while left > 0 and not stop:
            number = epoch.begin(course.take_part())
            stop = epoch.agree(tell(begins, "on_epoch_begin", net, {"epoch": number}))
            epoch.ahead = _epochs_ahead(epoch, report, [*begins, *ends, *afters], left)
            measured = None if stop else _make(epoch, report, callbacks, net, logs)
            left -= epoch.number - number + 1
            if measured is None:
                stop = stop or epoch.stopped
                tell(callbacks, "on_pause", net, logs)
                break
            logs = measured
            stop = epoch.agree(tell(ends, "on_epoch_end", net, logs)) or epoch.stopped
            course.over = "" if stop in LIMITS else stop
            tell(afters, "after_epoch", net, logs)
            if stop:
                tell(callbacks, "on_pause", net, logs)
    finally:  # steps that are made later, by others, are none of this epoch's
        learner.end_epoch()
        epoch.is_open = False
        for callback in callbacks:
            callback.close()
    for callback in callbacks:
        callback.on_train_end(net, logs)
    return stop


def _epochs_ahead(epoch: Epoch, report: Report, hearing: Sequence[LoopCallback], left: float) -> int:
    """Return how many epochs may be made in one call, of those that are left: 1 where somebody wants to see each."""
    most = min(left, epoch.most_ahead) if report.only_losses else 1
    for callback in hearing:
        if most > 1:
            most = min(most, callback.epochs_ahead(epoch.steps))
    return max(1, int(most))


def _make(epoch: Epoch, report: Report, callbacks: Sequence[LoopCallback], net: Any, last: Logs) -> Logs | None:
    """Make the steps of an epoch, or of some, and report on it; None where a callback has stopped it in the middle.

    Where an exception comes between two whole steps, callbacks hear of a pause before it is raised: what they keep is
    whole.
    """
    try:
        epoch.run()
        _report_but_the_last(epoch, report)
        if epoch.exception is not None:
            raise epoch.exception
    except BaseException:
        _report_but_the_last(epoch, report)
        tell(callbacks, "on_pause", net, last)
        if epoch.complete:  # it came with the last step: the epoch is finished, and not measured
            epoch.learner.end_epoch()
            _average(epoch)
            report(epoch)
        raise
    if not epoch.complete:
        if epoch.stopped:
            return None
        for callback in callbacks:
            callback.on_non_finite(net, {"epoch": epoch.number, "step": epoch.done + 1})
    epoch.learner.end_epoch()
    try:
        logs = report(epoch)
    except BaseException:
        tell(callbacks, "on_pause", net, last)
        _average(epoch)
        raise
    _average(epoch)  # not before: an epoch that is measured again, in a training that is resumed, is taken in once
    epoch.is_open = False
    return logs


def _report_but_the_last(epoch: Epoch, report: Report) -> None:
    """Report those epochs behind which others were made in the same call, and let the epoch be the last of them."""
    while epoch.has_next:
        report(epoch)
        epoch.follow()


def _average(epoch: Epoch) -> None:
    """Take the parameters at the end of an epoch into their mean, if there is one and it has begun."""
    learner, first = epoch.learner, epoch.options.swa
    if 0 < first <= learner.epoch:
        learner.take_in(learner.epoch - first + 1)


def _hearing(callbacks: Sequence[LoopCallback], event: str) -> list[LoopCallback]:
    """Collect the callbacks that do anything at an event."""
    return [each for each in callbacks if getattr(type(each), event) is not getattr(LoopCallback, event)]


def step(learner: Learner, data: Data, optimizer: Optimizer, threads: int, options: StepOptions = NO_OPTIONS) -> float:
    """Make one update on exactly these rows; return their loss before it."""
    learner.use(optimizer)
    prepare_undo(learner, threads)
    order, losses = np.arange(len(data), dtype=np.int64), np.array([np.nan])
    run = learner.train(data, order, len(data), losses, threads, None, options)
    if run.exception is not None:
        raise run.exception
    if run.status == "non_finite":
        layer, words = diagnosis(learner, data, order)
        message = (
            f"the loss of this batch is {loss_of(learner, data, order, threads)}; {words}. The network was left as it "
            "was before this step: set weights that are good, or use fit, which goes back to them by itself."
        )
        raise TrainingDiverged(message, step=learner.step + 1, layer=layer)
    if not learner.engine.is_finite(threads):
        number = learner.step
        layer, words = diagnosis(learner, data, order)
        lost = undo(learner)
        where = f"{lost} updates before this step" if lost else "before this step"
        message = (
            f"the update of this step overflowed, its loss was {losses[0]}; {words}. The network is as it was {where}. "
            f"Try a smaller learning rate than that of {optimizer}, or data of a smaller scale."
        )
        raise TrainingDiverged(message, step=number, layer=layer)
    return float(losses[0])


def apply(
    learner: Learner,
    gradient: Mapping[str, NDArray[Any]],
    optimizer: Optimizer,
    threads: int,
    options: StepOptions = NO_OPTIONS,
) -> None:
    """Make one update by a gradient that somebody else has computed."""
    learner.use(optimizer)
    prepare_undo(learner, threads)
    learner.apply(gradient, threads, options.clip)
    if not learner.engine.is_finite(threads):
        number = learner.step
        lost = undo(learner)
        where = f"{lost} updates before this one" if lost else "before it"
        message = (
            f"the update by this gradient overflowed. The network is as it was {where}. Try a smaller learning rate "
            f"than that of {optimizer}, or a gradient of a smaller scale."
        )
        raise TrainingDiverged(message, step=number)
