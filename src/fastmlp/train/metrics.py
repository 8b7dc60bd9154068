"""The quality of a network on data: the mean loss, and the metric that goes with the loss."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data import Data, chunk_rows, chunks
from fastmlp.runtime import Engine
from fastmlp.spec import Loss, NetworkSpec

if TYPE_CHECKING:
    from fastmlp.train.epoch import Epoch
    from fastmlp.train.history import History

__all__ = ["Measured", "evaluate"]


def evaluate(engine: Engine, spec: NetworkSpec, data: Data, threads: int) -> dict[str, float]:
    """Measure loss and metric of a network on data, both weighted by row, in memory bounded by a chunk."""
    n_outputs = spec.sizes[-1]
    longest = min(len(data), chunk_rows(n_outputs))
    out, row_loss = np.empty((longest, n_outputs), dtype=spec.dtype), np.empty(longest)
    metric = spec.loss.metric
    score = _Accuracy(spec.loss) if metric == "accuracy" else _Explained(data, spec.loss)
    loss = total = 0.0
    with np.errstate(all="ignore"):  # a network that has diverged shows in its loss
        for part in chunks(len(data), n_outputs):
            X, y = data.X[part], data.y[part]
            outputs, losses = out[: len(X)], row_loss[: len(X)]
            engine.evaluate(X, y, outputs, losses, threads)
            weight = np.ones(len(X)) if data.weight is None else data.weight[part]
            loss += float((weight * losses).sum())
            total += float(weight.sum())
            score.add(outputs, y, weight)
        return {"loss": loss / total, metric: score.value()}


class _Accuracy:
    """Share of rows whose largest output is their class or, where a row has no class, of right yes-no answers."""

    def __init__(self, loss: Loss) -> None:
        self.binary, self.threshold = not loss.labels, loss.threshold
        self.right = self.total = 0.0

    def add(self, outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[np.float64]) -> None:
        if self.binary:
            right = ((outputs >= self.threshold) == (y >= self.threshold)).mean(axis=1)
        else:
            right = outputs.argmax(axis=1) == (y if y.ndim == 1 else y.argmax(axis=1))
        self.right += float((weight * right).sum())
        self.total += float(weight.sum())

    def value(self) -> float:
        return self.right / self.total


class _Explained:
    """Share of the deviance that the outputs explain and the targets' mean does not: 1 - D(y, outputs) / D(y, mean).

    Averaged over outputs; r2 is that of the squared error, d2 that of the Poisson deviance. See `MLP.evaluate`.
    """

    def __init__(self, data: Data, loss: Loss) -> None:
        self.deviance = loss.deviance
        n_outputs = data.y.shape[1]
        self.residual, self.spread = np.zeros(n_outputs), np.zeros(n_outputs)
        total, mean = 0.0, np.zeros(n_outputs)
        for part in chunks(len(data), n_outputs):  # the mean goes first: sums of squares around it do not cancel
            weight = np.ones(part.stop - part.start) if data.weight is None else data.weight[part]
            mean += (data.y[part].astype(np.float64) * weight[:, np.newaxis]).sum(axis=0)
            total += float(weight.sum())
        self.mean = mean / total

    def add(self, outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[np.float64]) -> None:
        target, column = y.astype(np.float64), weight[:, np.newaxis]
        self.residual += (column * self.deviance(target, outputs)).sum(axis=0)
        self.spread += (column * self.deviance(target, self.mean)).sum(axis=0)

    def value(self) -> float:
        constant = self.spread == 0
        ratio = self.residual / np.where(constant, 1.0, self.spread)
        return float(np.where(constant, np.where(self.residual == 0, 1.0, 0.0), 1 - ratio).mean())


# ---- after an epoch -------------------------------------------------------------------------------------------------


class Measured:
    """The report of `MLP.fit`, which notes loss and time of an epoch in a history, and what is asked for besides."""

    def __init__(self, history: "History", train: Data | None, validation: Data | None, metric: str) -> None:
        self.history, self.train, self.validation, self.metric = history, train, validation, metric
        self.names = (
            *("epoch", "loss", "seconds", "samples_per_second"),
            *(("val_loss", f"val_{self.metric}") if validation is not None else ()),
            *((self.metric,) if train is not None else ()),
        )

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
        if self.train is not None:
            logs[self.metric] = evaluate(engine, spec, self.train, threads)[self.metric]
        if self.validation is not None:
            measured = evaluate(engine, spec, self.validation, threads)
            logs |= {f"val_{name}": value for name, value in measured.items()}


def _sum(values: NDArray[np.float64]) -> float:
    """Add up in order: early stopping may hang on its last bit, and NumPy's own order is not promised."""
    return float(np.add.accumulate(values)[-1])
