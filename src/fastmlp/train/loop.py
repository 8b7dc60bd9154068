"""The loop: epochs over a source, and the single step.

Whoever trains comes here: `MLP.fit`, and the estimators of `fastmlp.sklearn`. A source says which rows, a report what
is measured of an epoch, callbacks what else happens; the engine only ever sees an order of rows and one row of scalars
per step.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from fastmlp.data import Data
from fastmlp.spec import Optimizer
from fastmlp.train.callbacks import Logs, LoopCallback
from fastmlp.train.epoch import Epoch, Pace
from fastmlp.train.learner import NO_OPTIONS, Learner, StepOptions
from fastmlp.train.safety import TrainingDiverged, diagnosis, loss_of, prepare_undo, undo

__all__ = ["Report", "fit", "step"]


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
    epochs: int,
    report: Report,
    callbacks: Sequence[LoopCallback] = (),
    net: Any = None,
    optimizer: Optimizer | None = None,
) -> bool:
    """Train for some epochs, and with an optimizer, if one is given, that the learner then goes on with.

    Callbacks hear of everything in their order, with `net` as what is trained. Returns whether one of them has stopped
    the training.
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
    epoch.pace = Pace.of(callbacks, net)
    begins, ends = _hooks(callbacks, "on_epoch_begin"), _hooks(callbacks, "on_epoch_end")
    stop, logs = False, {}
    try:
        for _ in range(epochs):
            number = epoch.begin()
            for hook in begins:
                hook(net, {"epoch": number})
            epoch.run()
            if epoch.done < epoch.steps:
                if epoch.exception is not None:
                    raise epoch.exception
                for callback in callbacks:
                    callback.on_non_finite(net, {"epoch": number, "step": epoch.done + 1})
            learner.end_epoch()
            logs = report(epoch)
            if epoch.exception is not None:
                raise epoch.exception
            for hook in ends:
                if hook(net, logs):
                    stop = True
            if stop:
                break
    finally:  # steps that are made later, by others, are none of this epoch's
        learner.end_epoch()
        for callback in callbacks:
            callback.close()
    for callback in callbacks:
        callback.on_train_end(net, logs)
    return stop


def _hooks(callbacks: Sequence[LoopCallback], name: str) -> list[Callable[[Any, Logs], Any]]:
    """Collect the callbacks' methods of this name that do anything."""
    return [getattr(each, name) for each in callbacks if getattr(type(each), name) is not getattr(LoopCallback, name)]


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
