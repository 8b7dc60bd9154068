"""Training by mini-batches as scikit-learn does it: its orders of rows, its report, its stop rule.

The loop is that of `fastmlp.train`. Everything that imitates scikit-learn's random stream is here and ends in arrays:
an order of rows and a row of scalars per step.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastmlp.data import Data
from fastmlp.data.sparse import as_sparse
from fastmlp.sklearn.sparse import is_sparse
from fastmlp.train import loop
from fastmlp.train.callbacks import LoopCallback
from fastmlp.train.learner import Learner
from fastmlp.train.source import Arrays, Order, SparseRows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from fastmlp.runtime import Engine
    from fastmlp.sklearn.solvers import Solver
    from fastmlp.sklearn.task import Problem, Progress, Rules
    from fastmlp.sklearn.watch import Watch
    from fastmlp.spec import Optimizer
    from fastmlp.train.callbacks import Logs
    from fastmlp.train.epoch import Epoch
    from fastmlp.train.source import Chunk

__all__ = ["NOT_FINITE", "LossReport", "SolverLearner", "UntilLost", "fit_stochastic", "stream"]

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)


# ---- which rows -----------------------------------------------------------------------------------------------------


def stream(rows: NDArray[np.int64], random: np.random.RandomState | None) -> Order:
    """Take the rows in scikit-learn's orders: each shuffles the last one by a random stream, if there is one."""
    n, order = len(rows), rows

    def of_epoch(epoch: int) -> NDArray[np.int64]:  # noqa: ARG001 - the stream knows where it is
        nonlocal order
        if random is not None:
            chosen = np.arange(n)
            random.shuffle(chosen)
            order = order[chosen]
        return order

    return Order(n, of_epoch)


class UntilLost:
    """The rows of a problem, up to where a loss was not finite: then there are no more, but orders are still drawn.

    With `sparse`, those that are sparse stay so.
    """

    def __init__(self, problem: Problem, order: Order, sparse: bool) -> None:
        self.order, self.lost = order, False
        self.source: Arrays | SparseRows
        if is_sparse(problem.X) and not sparse:
            self.source = SparseRows(problem.X, problem.y, problem.weight, order)
        else:
            X = as_sparse(problem.X) if is_sparse(problem.X) else problem.X
            self.source = Arrays(Data(X, problem.y, problem.weight), order)

    @property
    def n_rows(self) -> int:
        """Number of rows in an epoch."""
        return self.order.n_rows

    def chunks(self, epoch: int, batch_size: int) -> Iterable[Chunk]:
        """Give the rows of an epoch, or none."""
        if not self.lost:
            return self.source.chunks(epoch, batch_size)
        self.order.of_epoch(epoch)
        return ()


# ---- which steps ----------------------------------------------------------------------------------------------------


@dataclass
class SolverLearner(Learner):
    """A learner whose steps are a solver's; alpha, scikit-learn's L2 term, is shared out among the rows of a batch."""

    solver: Solver = field(kw_only=True)
    alpha: float = field(kw_only=True)
    unweighted: dict[tuple[int, int], NDArray[np.float64]] = field(default_factory=dict, init=False)

    def table(
        self,
        data: Data,
        order: NDArray[np.int64],
        batch_size: int,
        steps: int,  # noqa: ARG002 - as many as there are batches
    ) -> NDArray[np.float64]:
        """Make the scalars of the steps that follow, a row each."""
        if data.weight is not None:
            return self.solver.scalars(self._decay(data.weight, order, batch_size), self.rates.factors)
        shape = len(order), batch_size
        if shape not in self.unweighted:  # of a whole epoch, most often: the same in all of them
            self.unweighted[shape] = self._decay(None, order, batch_size)
        return self.solver.scalars(self.unweighted[shape], self.rates.factors)

    def use(self, optimizer: Optimizer) -> None:
        """Go on with an optimizer of the same rule, where the solver is one."""
        self.solver.use(optimizer)
        self.optimizer = optimizer

    def _decay(
        self, weight: NDArray[np.float64] | None, order: NDArray[np.int64], batch_size: int
    ) -> NDArray[np.float64]:
        return self.alpha * _reciprocals(self.engine.weight_sums(weight, order, batch_size))

    def count(self, steps: int, rows: int) -> None:
        """Count steps that have been made, and the rows that they took."""
        super().count(steps, rows)
        self.solver.advance(steps)


def _reciprocals(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide 1 by the sum of each batch's weights; a batch that counts for nothing gets 0."""
    return np.divide(1.0, sums, out=np.zeros_like(sums), where=sums != 0)


class LossReport:
    """scikit-learn's loss of an epoch: the mean over rows, whatever they weigh, of the batches' losses and L2 terms.

    It is NaN where a batch's loss was not finite. `watch` adds what users want to see besides.
    """

    names: tuple[str, ...] = ("epoch", "loss")
    modes: Mapping[str, str] = MappingProxyType({"loss": "min"})
    only_losses = False

    def __init__(self, scale: float = 1.0, alpha: float = 0.0, watch: Watch | None = None) -> None:
        self.scale, self.alpha, self.watch = scale, alpha, watch
        if watch is not None:
            self.names, self.modes = watch.names, watch.modes

    def __call__(self, epoch: Epoch) -> Logs:
        """Measure an epoch."""
        loss = float("nan")
        if epoch.done == epoch.steps:
            losses = epoch.losses * self.scale
            if epoch.squared_weights is not None:
                reciprocals = _reciprocals(epoch.weights) if epoch.weighted else 1.0 / epoch.rows
                losses += 0.5 * self.alpha * epoch.squared_weights * reciprocals
            loss = float(np.dot(losses, epoch.rows)) / epoch.n_rows
        return {"epoch": epoch.number, "loss": loss} if self.watch is None else self.watch(epoch.number, loss)


# ---- when it ends ---------------------------------------------------------------------------------------------------


class Account(LoopCallback):
    """scikit-learn's account of an epoch: counts, words, comparisons.

    `score` is told whether outputs are finite, and measures the parameters, or their average, as `kind` says.
    """

    def __init__(
        self,
        engine: Engine,
        source: UntilLost,
        rules: Rules,
        progress: Progress,
        solver: Solver,
        score: Callable[[bool], float],
        kind: str,
    ) -> None:
        self.kind = kind
        self.engine, self.n_rows = engine, source.n_rows
        self.source, self.rules, self.progress, self.solver, self.score = source, rules, progress, solver, score

    def on_epoch_end(self, net: Any, logs: Logs) -> None:  # noqa: ARG002
        loss, progress = logs["loss"], self.progress
        self.source.lost = loss != loss
        progress.end_epoch(loss, self.n_rows)
        if self.rules.verbose:
            print(f"Iteration {progress.n_iter}, loss = {loss:.8f}")
        if self.rules.early_stopping:
            self._compare_scores(not self.source.lost)
        else:
            progress.compare_loss(self.rules.tol)
        self.solver.end_epoch(progress.t)

    def _compare_scores(self, alive: bool) -> None:
        score = self.score(alive)
        if self.rules.verbose:
            print(f"Validation score: {score:f}")
        if self.progress.compare_score(score, self.rules.tol):
            if not alive:
                raise ValueError(NOT_FINITE)  # the lost parameters would be the best from here on
            self.progress.best_parameters = self.engine.read(self.kind)


class StopRule(LoopCallback):
    """scikit-learn's rule where there is no improvement; a training whose parameters are lost ends with an error."""

    def __init__(self, source: UntilLost, rules: Rules, progress: Progress, solver: Solver) -> None:
        self.source, self.rules, self.progress, self.solver = source, rules, progress, solver

    def on_epoch_end(self, net: Any, logs: Logs) -> bool:  # noqa: ARG002
        rules, progress, stop = self.rules, self.progress, False
        if progress.no_improvement_count > rules.n_iter_no_change:
            what = "Validation score" if rules.early_stopping else "Training loss"
            message = (
                f"{what} did not improve more than tol={rules.tol:f} for {rules.n_iter_no_change:d} consecutive epochs."
            )
            stop = self.solver.stops(message, rules.verbose)
            if not stop:
                progress.no_improvement_count = 0
        if self.source.lost and not rules.early_stopping and progress.n_iter < rules.max_iter:
            raise ValueError(NOT_FINITE)
        return stop


def fit_stochastic(
    epoch: Epoch,
    source: UntilLost,
    report: LossReport,
    rules: Rules,
    progress: Progress,
    solver: Solver,
    observer: LoopCallback,
    score: Callable[[bool], float],
) -> None:
    """Train until the loss, or the validation score, stops improving."""
    kind = "average" if epoch.options.average else "parameters"
    account = Account(epoch.learner.engine, source, rules, progress, solver, score, kind)
    watch = report.watch
    users = () if watch is None else watch.callbacks
    callbacks = [account, observer, *users, StopRule(source, rules, progress, solver)]
    try:
        progress.n_iter = 0
        epochs, net = 1 if rules.incremental else rules.max_iter, None if watch is None else watch.net
        stopped = loop.fit(epoch, epochs, report, callbacks, net)
        if not stopped and not rules.incremental:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({rules.max_iter:d}) "
                "reached and the optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=6,
            )
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=6)
    if source.lost and not rules.early_stopping:  # with it, there are the best parameters to go back to
        raise ValueError(NOT_FINITE)
