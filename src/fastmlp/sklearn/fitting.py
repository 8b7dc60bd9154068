"""Training by mini-batches as scikit-learn does it: its epochs and its stop rule, over the engine.

Everything that imitates scikit-learn's random stream is here and ends in arrays: an order of rows and a row of scalars
per step. The engine gets whole epochs; of sparse rows a few batches at a time are made dense.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastmlp.sklearn.sparse import dense_blocks, is_sparse
from fastmlp.spec import Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastmlp.runtime import Engine
    from fastmlp.sklearn.solvers import Solver
    from fastmlp.sklearn.task import Observer, Problem, Progress, Rules

__all__ = ["NOT_FINITE", "Epochs", "fit_stochastic"]

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)


class Epochs:
    """Runs one epoch after the other on the engine, and says what scikit-learn would report."""

    def __init__(
        self,
        engine: Engine,
        problem: Problem,
        solver: Solver,
        rows: NDArray[np.int64] | None,
        batch_size: int,
        alpha: float,
        loss_scale: float,
        threads: int,
    ) -> None:
        self.engine, self.problem, self.solver = engine, problem, solver
        self.rows = np.arange(problem.n, dtype=np.int64) if rows is None else rows
        self.batch_size, self.alpha, self.loss_scale, self.threads = batch_size, alpha, loss_scale, threads
        n = len(self.rows)
        self.starts = np.arange(0, n, batch_size)
        self.sizes = np.minimum(batch_size, n - self.starts).astype(np.float64)
        self.inverse_sizes = 1.0 / self.sizes
        self.losses = np.empty(len(self.starts))
        self.squared_weights = np.empty(len(self.starts)) if alpha else None

    def run(self, place: NDArray[np.int64]) -> float:
        """Train on `rows[place]`, batch after batch; return the mean loss, L2 term included, before each update.

        It is NaN, and training has stopped, from where a batch's loss is not finite. What a signal handler raises is
        raised between two steps.
        """
        order, weight = self.rows[place], self.problem.weight
        inverse = self.inverse_sizes
        if weight is not None:
            sums = self.engine.weight_sums(weight, order, self.batch_size)
            inverse = np.divide(1.0, sums, out=np.zeros_like(sums), where=sums != 0)
        table = self.solver.scalars(self.alpha * inverse)
        self.losses.fill(np.nan)
        try:
            done, status, exception = self._steps(order, table)
        except BaseException:
            # A signal that arrives in the engine's last moments is raised when it has returned, and its answer is lost.
            self.solver.advance(int(np.isfinite(self.losses).sum()))
            raise
        self.solver.advance(done)
        if exception is not None:
            raise exception
        if status == "non_finite":
            return float("nan")
        batch_losses = self.losses * self.loss_scale
        if self.squared_weights is not None:
            batch_losses += 0.5 * self.alpha * self.squared_weights * inverse
        return float(np.dot(batch_losses, self.sizes)) / len(order)

    def _steps(self, order: NDArray[np.int64], table: NDArray[np.float64]) -> tuple[int, str, BaseException | None]:
        X, y, weight = self.problem.X, self.problem.y, self.problem.weight
        if not is_sparse(X):
            run = Run(X, y, weight, order, self.batch_size, table, self.losses, self.squared_weights)
            outcome = self.engine.train(run, self.threads)
            return outcome.steps, outcome.status, outcome.exception
        done = 0
        for part, block in dense_blocks(X, order, self.batch_size):
            chosen = order[part]
            steps = slice(part.start // self.batch_size, -(-part.stop // self.batch_size))
            run = Run(
                block,
                y[chosen],
                None if weight is None else weight[chosen],
                np.arange(len(chosen)),
                self.batch_size,
                table[steps],
                self.losses[steps],
                None if self.squared_weights is None else self.squared_weights[steps],
            )
            outcome = self.engine.train(run, self.threads)
            done += outcome.steps
            if outcome.status != "done":
                return done, outcome.status, outcome.exception
        return done, "done", None


def fit_stochastic(
    epochs: Epochs,
    rules: Rules,
    progress: Progress,
    random: np.random.RandomState,
    observer: Observer,
    score: Callable[[bool], float],
) -> None:
    """Train until the loss, or the validation score, stops improving; `score` is told whether outputs are finite."""
    n, solver = len(epochs.rows), epochs.solver
    place = np.arange(n, dtype=np.int64)
    alive = True
    try:
        progress.n_iter = 0
        for _ in range(rules.max_iter):
            observer.begin()
            if rules.shuffle:
                chosen = np.arange(n)
                random.shuffle(chosen)
                place = place[chosen]
            loss = epochs.run(place) if alive else float("nan")
            alive = loss == loss
            progress.end_epoch(loss, n)
            if rules.verbose:
                print(f"Iteration {progress.n_iter}, loss = {loss:.8f}")
            if rules.early_stopping:
                _compare_scores(epochs.engine, rules, progress, score(alive), alive)
            else:
                progress.compare_loss(rules.tol)
            solver.end_epoch(progress.t)
            stop = observer.end()

            if progress.no_improvement_count > rules.n_iter_no_change:
                what = "Validation score" if rules.early_stopping else "Training loss"
                message = (
                    f"{what} did not improve more than tol={rules.tol:f} for {rules.n_iter_no_change:d} consecutive "
                    "epochs."
                )
                if solver.stops(message, rules.verbose):
                    break
                progress.no_improvement_count = 0
            if rules.incremental or stop:
                break
            if progress.n_iter == rules.max_iter:
                warnings.warn(
                    f"Stochastic Optimizer: Maximum iterations ({rules.max_iter:d}) "
                    "reached and the optimization hasn't converged yet.",
                    ConvergenceWarning,
                    stacklevel=6,
                )
            elif not alive and not rules.early_stopping:
                break  # the parameters are lost, and fit says so
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=6)
    if not alive and not rules.early_stopping:
        raise ValueError(NOT_FINITE)


def _compare_scores(engine: Engine, rules: Rules, progress: Progress, score: float, alive: bool) -> None:
    if rules.verbose:
        print(f"Validation score: {score:f}")
    if progress.compare_score(score, rules.tol):
        if not alive:
            raise ValueError(NOT_FINITE)  # the lost parameters would be the best from here on
        progress.best_parameters = engine.read()
