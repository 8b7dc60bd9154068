"""What users watch of an estimator's training by fastmlp's means: metrics, callbacks, the average of weights."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.data.sparse import as_sparse
from fastmlp.network import MLP
from fastmlp.sklearn.sparse import is_sparse
from fastmlp.train.callbacks import Lent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from fastmlp.metrics import Metric
    from fastmlp.runtime import Engine
    from fastmlp.sklearn.parameters import SharedParameters
    from fastmlp.spec import Array
    from fastmlp.train.callbacks import Callback, Logs, LoopCallback
    from fastmlp.train.learner import Learner

__all__ = ["Rows", "Watch", "averaged", "evaluate"]

Rows = tuple[Any, "Array", "NDArray[np.float64] | None"]  # X (dense or CSR), y, weight


@contextmanager
def averaged(engine: Engine) -> Iterator[None]:
    """Have the average of the parameters in their place."""
    parameters = engine.read()
    engine.write(engine.read("average"))
    try:
        yield
    finally:
        engine.write(parameters)


def evaluate(engine: Engine, rows: Rows, n_outputs: int, dtype: str, threads: int) -> tuple[Array, NDArray[np.float64]]:
    """Compute outputs (n, n_outputs) and losses (n,) of rows."""
    X, y, _ = rows
    outputs, losses = np.empty((len(y), n_outputs), dtype), np.empty(len(y))
    engine.evaluate(as_sparse(X) if is_sparse(X) else X, y, outputs, losses, threads)  # type: ignore[arg-type]
    return outputs, losses


class Watch:
    """The measures of an epoch, kept as curves, and the callbacks that are told of them.

    Parameters
    ----------
    learner : Learner
        What trains.
    shared : SharedParameters
        The parameters of the estimator, which callbacks see as a network.
    callbacks : list of Callback
        To be told of every epoch.
    metrics : tuple of Metric
        What to measure.
    rows : (X, y, weight)
        Of which.
    held_out : bool
        Whether these are others than those of the training: measures are then called "val_" and their name.
    loss_scale : float
        Factor of the engine's losses.
    threads : int
        For measuring.
    curves : dict of str to list of float
        Gets each measure of each epoch.
    average : bool
        Whether the average of the weights is measured.
    """

    def __init__(
        self,
        learner: Learner,
        shared: SharedParameters,
        callbacks: list[Callback],
        metrics: tuple[Metric, ...],
        rows: Rows,
        *,
        held_out: bool,
        loss_scale: float,
        threads: int,
        curves: dict[str, list[float]],
        average: bool = False,
    ) -> None:
        self.learner, self.metrics, self.rows, self.held_out = learner, metrics, rows, held_out
        self.loss_scale, self.threads, self.curves, self.average = loss_scale, threads, curves, average
        self.net = MLP._of(learner, shared.access, shared.backend)
        self.callbacks: Sequence[LoopCallback] = [Lent(callbacks, shared.access.lent)] if callbacks else []
        prefix = "val_" if held_out else ""
        self.measures = [*(["val_loss"] if held_out else []), *(prefix + metric.name for metric in metrics)]
        self.names = ("epoch", "loss", *self.measures)
        modes = {"loss": "min", "val_loss": "min", **{prefix + metric.name: metric.mode for metric in metrics}}
        self.modes: Mapping[str, str] = {name: mode for name, mode in modes.items() if mode and name in self.names}
        self.only_losses = False

    def __call__(self, epoch: int, loss: float) -> Logs:
        """Measure an epoch; NaN where its loss is."""
        values = [float("nan")] * len(self.measures)
        if self.measures and loss == loss:
            with averaged(self.learner.engine) if self.average else nullcontext():
                values = self._measure()
        logs: Logs = {"epoch": epoch, "loss": loss, **dict(zip(self.measures, values, strict=True))}
        for name in self.measures:
            self.curves.setdefault(name, []).append(logs[name])
        self.net.history.append(logs)
        return logs

    def _measure(self) -> list[float]:
        from fastmlp.metrics import Task

        spec, (_, y, weight) = self.learner.spec, self.rows
        outputs, losses = evaluate(self.learner.engine, self.rows, spec.sizes[-1], spec.dtype, self.threads)
        values = [self.loss_scale * float(np.average(losses, weights=weight))] if self.held_out else []
        for metric in self.metrics:
            score = metric.start(Task.of(spec), y, weight)
            score.add(y, outputs, np.ones(len(y)) if weight is None else weight)
            values.append(score.value())
        return values
