"""The loop: epochs over a source, and the single step.

Whoever trains comes here: `MLP.fit`, and the estimators of `fastmlp.sklearn`. A source says which rows, a report what
is measured of an epoch, callbacks what else happens; the engine only ever sees an order of rows and one row of scalars
per step.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from fastmlp.data import Data
from fastmlp.spec import Optimizer
from fastmlp.train.callbacks import Logs, LoopCallback
from fastmlp.train.course import Course
from fastmlp.train.epoch import Epoch, Pace
from fastmlp.train.learner import NO_OPTIONS, Learner, StepOptions
from fastmlp.train.safety import TrainingDiverged, diagnosis, loss_of, prepare_undo, undo

__all__ = ["Report", "fit", "hearing", "step", "tell"]


class Report(Protocol):
    """A function that measures an epoch when it is over."""

    names: tuple[str, ...]
    """What is in the logs that it returns."""
    modes: Mapping[str, str]
    """Of these, whether "min" or "max" is best, where that is known."""

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
    learner.undo = None
    if optimizer is not None:
        learner.use(optimizer)
    if epoch.options.average:
        learner.keep_average()
    course = course or Course(learner, learner.epoch)
    epoch.pace = Pace.of(callbacks, net, course)
    begins, ends = hearing(callbacks, "on_epoch_begin"), hearing(callbacks, "on_epoch_end")
    stop, logs = "", last or {}
    try:
        for _ in itertools.count() if epochs is None else range(epochs - course.epochs):
            number = epoch.begin(course.take_part())
            stop = tell(begins, "on_epoch_begin", net, {"epoch": number})
            if stop:
                break
            epoch.run()
            stop = epoch.stopped
            if epoch.done < epoch.steps:
                if epoch.exception is not None:
                    raise epoch.exception
                if stop:
                    break
                for callback in callbacks:
                    callback.on_non_finite(net, {"epoch": number, "step": epoch.done + 1})
            learner.end_epoch()
            logs = report(epoch)
            if epoch.exception is not None:
                raise epoch.exception
            stop = tell(ends, "on_epoch_end", net, logs) or stop
            if stop:
                break
    finally:  # steps that are made later, by others, are none of this epoch's
        learner.end_epoch()
        for callback in callbacks:
            callback.close()
    for callback in callbacks:
        callback.on_train_end(net, logs)
    return stop


def hearing(callbacks: Sequence[LoopCallback], event: str) -> list[LoopCallback]:
    """Collect the callbacks that do anything at an event."""
    return [each for each in callbacks if getattr(type(each), event) is not getattr(LoopCallback, event)]


def tell(callbacks: Sequence[LoopCallback], event: str, net: Any, logs: Logs) -> str:
    """Let all of them hear of an event; return why the first of those that want to stop does, or ""."""
    stop = ""
    for callback in callbacks:
        if getattr(callback, event)(net, logs):
            stop = stop or callback.reason
    return stop


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
