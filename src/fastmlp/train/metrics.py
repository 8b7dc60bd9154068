"""The quality of a network on data: the mean loss and some metrics, on demand and after every epoch."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data import Data, chunk_rows, chunks, dense_parts
from fastmlp.runtime import Engine
from fastmlp.spec import Array, NetworkSpec

if TYPE_CHECKING:
    from fastmlp.metrics import Metric, Mode
    from fastmlp.train.epoch import Epoch
    from fastmlp.train.history import History

__all__ = ["Measured", "evaluate"]


def evaluate(
    engine: Engine, spec: NetworkSpec, data: Data, threads: int, metrics: Sequence["Metric"] = ()
) -> dict[str, float]:
    """Measure loss and metrics of a network on data, all weighted by row.

    Memory is bounded by a chunk, unless a metric needs all outputs at once.
    """
    from fastmlp.metrics import Task  # for those who measure: import fastmlp does not wait for it

    task, n_outputs = Task.of(spec), spec.sizes[-1]
    longest = min(len(data), chunk_rows(n_outputs))
    out, row_loss = np.empty((longest, n_outputs), dtype=spec.dtype), np.empty(longest)
    loss = total = 0.0
    with np.errstate(all="ignore"):  # a network that has diverged shows in its loss
        counted = _counted(spec, data)
        weights = np.ones(len(data)) if data.weight is None else data.weight
        shown = (data.y, data.weight) if counted is None else (data.y[counted], weights[counted])
        scores = {metric.name: metric.start(task, *shown) for metric in metrics}
        for part in chunks(len(data), n_outputs):
            y = data.y[part]
            outputs, losses = out[: len(y)], row_loss[: len(y)]
            for place, X in dense_parts(data.X, part, engine.takes_sparse):
                engine.evaluate(X, y[place], outputs[place], losses[place], threads)
            weight = weights[part]
            loss += float((weight * losses).sum())
            total += float(weight.sum())
            if counted is not None:
                there = counted[part]
                y, outputs, weight = y[there], outputs[there], weight[there]
            for metric in metrics:
                scores[metric.name].add(y, metric.columns(spec.loss, outputs), weight)
        return {"loss": loss / total + engine.penalty(), **{name: score.value() for name, score in scores.items()}}


def _counted(spec: NetworkSpec, data: Data) -> NDArray[np.bool_] | None:
    """Tell which rows metrics are shown, where some may have no target; None: all of them."""
    return data.weight > 0.0 if spec.loss.leaves_out and data.weight is not None else None


# ---- after an epoch -------------------------------------------------------------------------------------------------


class Measured:
    """The report of `MLP.fit`, which notes loss and time of an epoch in a history, and what is asked for besides.

    Metrics are taken of `train`, if it is not None, under their names, and of each set of `validation`, after its name
    and "_". With `averaged`, an engine of its own, all of that is the average's of the weights.
    """

    def __init__(
        self,
        history: "History",
        train: Data | None,
        validation: Mapping[str, Data],
        metrics: Sequence["Metric"],
        averaged: Engine | None = None,
    ) -> None:
        self.averaged = averaged
        self.history, self.train, self.validation, self.metrics = history, train, validation, metrics
        named: dict[str, Mode | None] = {metric.name: metric.mode for metric in metrics}
        measured: dict[str, Mode | None] = {"loss": "min"}
        for prefix in validation:
            measured |= {f"{prefix}_loss": "min", **{f"{prefix}_{name}": mode for name, mode in named.items()}}
        if train is not None:
            for name in measured.keys() & named.keys():
                raise ValueError(f"validation_data has a name with which {name!r} would be two things")
            measured |= named
        self.names = ("epoch", "loss", "seconds", "samples_per_second", *list(measured)[1:])
        self.modes: Mapping[str, str] = {name: mode for name, mode in measured.items() if mode is not None}

    def __call__(self, epoch: "Epoch") -> dict[str, Any]:
        """Measure an epoch; what was measured until an exception came is noted, too."""
        seconds = epoch.seconds
        total = _sum(epoch.weights) if epoch.weighted else epoch.n_rows
        logs = {
            "epoch": epoch.number,
            "loss": _sum(epoch.losses * epoch.weights) / total,
            "seconds": seconds,
            "samples_per_second": epoch.n_rows / seconds if seconds > 0 else math.inf,
        }
        try:
            if epoch.exception is None:
                self._evaluate(epoch, logs)
        finally:
            self.history.append(logs)
        return logs

    def _evaluate(self, epoch: "Epoch", logs: dict[str, Any]) -> None:
        engine, spec, threads = epoch.learner.engine, epoch.learner.spec, epoch.threads
        if self.averaged is not None:
            engine, normalizing = self.averaged, epoch.learner.normalizing
            engine.scale(normalizing.input_scaling, normalizing.target_scaling)
            engine.write(_average_of(epoch))
        if self.train is not None:
            measured = evaluate(engine, spec, self.train, threads, self.metrics)
            logs |= {metric.name: measured[metric.name] for metric in self.metrics}
        for prefix, data in self.validation.items():
            measured = evaluate(engine, spec, data, threads, self.metrics)
            logs |= {f"{prefix}_{name}": value for name, value in measured.items()}


def _average_of(epoch: "Epoch") -> dict[str, Array]:
    """Return the average of the weights at the end of an epoch; before a mean begins, the weights."""
    learner, first = epoch.learner, epoch.options.swa
    if not first:
        return learner.engine.read("average")
    return learner.mean_of(max(learner.epoch - first + 1, 1))


def _sum(values: NDArray[np.float64]) -> float:
    """Add up in order: early stopping may hang on its last bit, and NumPy's own order is not promised."""
    return float(np.add.accumulate(values)[-1])
