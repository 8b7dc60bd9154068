"""The quality of a network on data: the mean loss and some metrics, on demand and after every epoch."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data import Data, chunk_rows, chunks, dense_parts
from fastmlp.runtime import Engine
from fastmlp.spec import Array, NetworkSpec
from fastmlp.train.history import count_epochs

if TYPE_CHECKING:
    from fastmlp.metrics import Metric, Mode
    from fastmlp.train.epoch import Epoch
    from fastmlp.train.exchange import Ranks
    from fastmlp.train.history import History

__all__ = ["Measured", "evaluate"]


def evaluate(
    engine: Engine,
    spec: NetworkSpec,
    data: Data,
    threads: int,
    metrics: Sequence["Metric"] = (),
    ranks: "Ranks | None" = None,
) -> dict[str, float]:
    """Measure loss and metrics of a network on data, all weighted by row.

    Memory is bounded by a chunk, unless a metric needs all outputs at once. The rows of several ranks are measured by
    rank 0, which gets all outputs, one rank's rows behind the other's: no number depends on who has which.
    """
    if ranks is not None:
        return _of_all_ranks(engine, spec, data, threads, metrics, ranks)
    return _measure(engine, spec, data, _Outputs(engine, spec, data, threads), metrics)


class _Outputs:
    """A network's outputs and losses of rows, a chunk at a time."""

    def __init__(self, engine: Engine, spec: NetworkSpec, data: Data, threads: int) -> None:
        self.engine, self.data, self.threads = engine, data, threads
        longest = min(len(data), chunk_rows(spec.sizes[-1]))
        self.out, self.row_loss = np.empty((longest, spec.sizes[-1]), dtype=spec.dtype), np.empty(longest)

    def of(self, part: slice) -> tuple[Array, NDArray[np.float64]]:
        """Compute them; they are good until the next chunk."""
        y = self.data.y[part]
        outputs, losses = self.out[: len(y)], self.row_loss[: len(y)]
        for place, X in dense_parts(self.data.X, part, self.engine.takes_sparse):
            self.engine.evaluate(X, y[place], outputs[place], losses[place], self.threads)
        return outputs, losses


class _Computed:
    """Outputs and losses that are there."""

    def __init__(self, outputs: Array, losses: NDArray[np.float64]) -> None:
        self.outputs, self.losses = outputs, losses

    def of(self, part: slice) -> tuple[Array, NDArray[np.float64]]:
        """Return those of a chunk."""
        return self.outputs[part], self.losses[part]


def _of_all_ranks(
    engine: Engine, spec: NetworkSpec, data: Data, threads: int, metrics: Sequence["Metric"], ranks: "Ranks"
) -> dict[str, float]:
    """Measure the rows of all ranks as if they were one set."""
    own = _Outputs(engine, spec, data, threads)
    chunked = [tuple(array.copy() for array in own.of(part)) for part in chunks(len(data), spec.sizes[-1])]
    outputs, losses = (np.concatenate(arrays) for arrays in zip(*chunked, strict=True))
    there = ranks.of_first((data.y, data.weight, outputs, losses))
    found: dict[str, float] = {}
    if there is not None:
        weight = None
        if any(weights is not None for _, weights, _, _ in there):
            weight = np.concatenate([np.ones(len(y)) if w is None else w for y, w, _, _ in there])
        y, outputs, losses = (np.concatenate([each[place] for each in there]) for place in (0, 2, 3))
        computed = _Computed(outputs, losses)
        found = _measure(engine, spec, Data(outputs, y, weight), computed, metrics)
    return ranks.first_of(found)


def _measure(
    engine: Engine, spec: NetworkSpec, data: Data, computed: "_Outputs | _Computed", metrics: Sequence["Metric"]
) -> dict[str, float]:
    """Measure outputs that belong to rows with these targets and weights."""
    from fastmlp.metrics import Task  # for those who measure: import fastmlp does not wait for it

    task, n_outputs = Task.of(spec), spec.sizes[-1]
    loss = total = 0.0
    with np.errstate(all="ignore"):  # a network that has diverged shows in its loss
        counted = _counted(spec, data)
        weights = np.ones(len(data)) if data.weight is None else data.weight
        shown = (data.y, data.weight) if counted is None else (data.y[counted], weights[counted])
        scores = {metric.name: metric.start(task, *shown) for metric in metrics}
        for part in chunks(len(data), n_outputs):
            y = data.y[part]
            outputs, losses = computed.of(part)
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
    and "_". With `averaged`, an engine of its own, all of that is the average's of the weights; with `ranks`, it is of
    the rows of all of them.
    """

    def __init__(
        self,
        history: "History",
        train: Data | None,
        validation: Mapping[str, Data],
        metrics: Sequence["Metric"],
        averaged: Engine | None = None,
        ranks: "Ranks | None" = None,
    ) -> None:
        self.averaged, self.ranks = averaged, ranks
        self.history, self.train, self.validation, self.metrics = history, train, validation, metrics
        named: dict[str, Mode | None] = {metric.name: metric.mode for metric in metrics}
        measured: dict[str, Mode | None] = {"loss": "min"}
        for prefix in validation:
            measured |= {f"{prefix}_loss": "min", **{f"{prefix}_{name}": mode for name, mode in named.items()}}
        if train is not None:
            for name in measured.keys() & named.keys():
                raise ValueError(f"validation_data has a name with which {name!r} would be two things")
            measured |= named
        self.start = len(history.epoch)
        self.only_losses = train is None and not validation
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
                if self.ranks is not None:
                    logs |= self.ranks.first_of(logs)  # whose clock is everybody's
        finally:
            if not self._has(epoch.number):
                self.history.append(logs)
        return logs

    def _has(self, number: int) -> bool:
        """Whether all of an epoch is noted: an exception may have come when it was."""
        noted = self.history.epoch
        return noted[-1:] == [number] and count_epochs(self.history) > self.start and noted[-1] == number

    def _evaluate(self, epoch: "Epoch", logs: dict[str, Any]) -> None:
        engine, spec, threads = epoch.learner.engine, epoch.learner.spec, epoch.threads
        if self.averaged is not None:
            engine, normalizing = self.averaged, epoch.learner.normalizing
            engine.scale(normalizing.input_scaling, normalizing.target_scaling)
            engine.write(_average_of(epoch))
        if self.train is not None:
            measured = evaluate(engine, spec, self.train, threads, self.metrics, self.ranks)
            logs |= {metric.name: measured[metric.name] for metric in self.metrics}
        for prefix, data in self.validation.items():
            measured = evaluate(engine, spec, data, threads, self.metrics, self.ranks)
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
