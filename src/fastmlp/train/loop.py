"""The loop: epochs over an engine, one call each, and the single step.

Whoever shuffles, counts steps or stops does it here; the engine only ever sees an order of rows and one row of scalars
per step (docs/design.md, the epoch call). Arguments were validated in network.py.
"""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastmlp.spec import Optimizer
from fastmlp.train.callbacks import Callback, Logs, asks_to_stop
from fastmlp.train.history import History
from fastmlp.train.learner import Learner
from fastmlp.train.metrics import evaluate
from fastmlp.train.safety import Safety, TrainingDiverged, is_sound, loss_of, too_large
from fastmlp.train.source import Data

if TYPE_CHECKING:
    from fastmlp.network import MLP
    from fastmlp.train.progress import Bar

__all__ = ["fit", "step"]


def fit(
    learner: Learner,
    net: "MLP",
    data: Data,
    *,
    epochs: int,
    batch_size: int,
    optimizer: Optimizer,
    validation: Data | None,
    shuffle: bool,
    threads: int,
    callbacks: Sequence[Callback],
    lent: Callable[[], AbstractContextManager[None]],
    bar: "Bar",
    train_metrics: bool,
) -> History:
    """Train for some epochs; `MLP.fit` says what that means."""
    n, batch_size = len(data), min(batch_size, len(data))
    history, start = learner.history, learner.history._even()
    names = ["epoch", "loss", "seconds", "samples_per_second"]
    metric = learner.spec.loss.metric
    names += ["val_loss", f"val_{metric}"] if validation is not None else []
    names += [metric] if train_metrics else []
    with lent():
        for callback in callbacks:
            callback.on_train_begin(net, {"epochs": epochs, "names": tuple(names)})

    learner.undo.forget()
    learner.use(optimizer)
    rule, safety = optimizer.name, Safety(learner, threads)
    order = np.arange(n, dtype=np.int64)
    losses, batch_weights = np.empty(-(-n // batch_size)), np.empty(-(-n // batch_size))
    logs: Logs = {}

    def diverged(what: str, step: int | None, rows: NDArray[np.int64]) -> TrainingDiverged:
        epoch, layer = learner.epoch + (step is not None), learner.first_bad_layer(data, rows)
        good = safety.restore()
        where = f"the end of epoch {good.epoch}" if good.epoch else "the start"
        message = (
            f"{what}; {learner.describe_layer(layer)}{too_large(learner, data)}. The network is back at {where}, "
            f"update {good.step} of the optimizer. Try a smaller learning rate than that of {learner.optimizer}, or "
            "data of a smaller scale."
        )
        return TrainingDiverged(message, history.since(start), epoch, step, layer)

    with bar, learner.epochs():
        for _ in range(epochs):
            if shuffle:
                order = learner.backend.permutation(learner.seed, learner.epoch % 2**32, n, order)
            bar.begin(learner.epoch + 1)
            learner.begin_epoch(len(losses))
            seconds, done = 0.0, 0
            while done < len(losses):
                count = bar.steps(len(losses) - done)
                rows = order[done * batch_size : (done + count) * batch_size]
                started = time.perf_counter()
                run = learner.train(data, rows, batch_size, losses[done : done + count], threads)
                elapsed = time.perf_counter() - started
                batch_weights[done : done + count] = run.weight_sums
                seconds, done, safety.since = seconds + elapsed, done + run.steps, safety.since + run.steps
                if run.status != "done":
                    break
                bar.advance(run.steps, len(rows), elapsed)
            if run.status == "non_finite":
                rows = order[done * batch_size : (done + 1) * batch_size]
                loss = loss_of(learner, data, rows, threads)
                what = f"the loss became {loss} in epoch {learner.epoch + 1}, step {done + 1} of {len(losses)}"
                raise diverged(what, done + 1, rows)
            if run.exception is not None and done < len(losses):
                raise run.exception
            learner.end_epoch()

            logs = {"epoch": learner.epoch, "loss": _sum(losses * batch_weights) / _sum(batch_weights)}
            logs |= {"seconds": seconds, "samples_per_second": n / seconds if seconds > 0 else math.inf}
            try:
                if run.exception is not None:
                    raise run.exception
                if train_metrics:
                    logs[metric] = evaluate(learner.engine, learner.spec, data, threads)[metric]
                if validation is not None:
                    measured = evaluate(learner.engine, learner.spec, validation, threads)
                    logs |= {f"val_{name}": value for name, value in measured.items()}
            finally:
                history.append(logs)
            bar.end(logs)
            if not math.isfinite(logs.get("val_loss", 0.0)):
                what = f"the validation loss became {logs['val_loss']} after epoch {learner.epoch}"
                raise diverged(what, None, order[-32:])
            if not safety.epoch_done():
                raise diverged(f"the parameters are no longer finite after epoch {learner.epoch}", None, order[-32:])
            stop = False
            with lent():
                for callback in callbacks:  # all of them hear of every epoch, also when one has asked to stop
                    stop |= asks_to_stop(callback, net, dict(logs))
            if learner.optimizer and learner.optimizer.name != rule:  # a callback's doing; there is no way back
                rule, safety = learner.optimizer.name, Safety(learner, threads)
            if stop:
                break

    last = order[-32:]
    if not is_sound(learner, data, last, threads):
        raise diverged(f"the last update, of epoch {learner.epoch}, left a loss that is not finite", None, last)
    with lent():
        for callback in callbacks:
            callback.on_train_end(net, dict(logs))
    return history.since(start)


def step(learner: Learner, data: Data, optimizer: Optimizer, threads: int) -> float:
    """One update on exactly these rows; returns their loss before it."""
    learner.use(optimizer)
    learner.undo.prepare(learner, threads)
    order, losses = np.arange(len(data), dtype=np.int64), np.empty(1)
    run = learner.train(data, order, len(data), losses, threads)
    if run.exception is not None:
        raise run.exception
    if run.status == "non_finite":
        layer = learner.first_bad_layer(data, order)
        message = (
            f"the loss of this batch is {loss_of(learner, data, order, threads)}; {learner.describe_layer(layer)}"
            f"{too_large(learner, data)}. The network was left as it was before this step: set weights that are good, "
            "or use fit, which goes back to them by itself."
        )
        raise TrainingDiverged(message, step=learner.step + 1, layer=layer)
    if not learner.engine.is_finite(threads):
        number, layer = learner.step, learner.first_bad_layer(data, order)
        lost = learner.undo.restore(learner)
        where = f"{lost} updates before this step" if lost else "before this step"
        message = (
            f"the update of this step overflowed, its loss was {losses[0]}; {learner.describe_layer(layer)}. The "
            f"network is as it was {where}. Try a smaller learning rate than that of {optimizer}, or data of a smaller "
            "scale."
        )
        raise TrainingDiverged(message, step=number, layer=layer)
    return float(losses[0])


def _sum(values: NDArray[np.float64]) -> float:
    """The sum in order: early stopping may hang on its last bit, and NumPy's own order is not promised."""
    return float(np.add.accumulate(values)[-1])
