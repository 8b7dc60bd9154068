"""How an estimator learns: scikit-learn's epochs, its stop rule and its L-BFGS, over the engine.

Everything that imitates scikit-learn's random stream is here and ends in arrays: an order of rows and a row of scalars
per step. The engine gets whole epochs; of sparse rows a few batches at a time are made dense.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from fastmlp.sklearn.compat import check_optimize_result
from fastmlp.spec import Run, name_tensors, weights_and_biases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastmlp.runtime import Engine
    from fastmlp.sklearn.schedules import Schedule

__all__ = ["Problem", "dense_blocks", "fit_lbfgs", "fit_stochastic", "predict_rows"]

Array = NDArray[Any]

# Sparse rows are made dense in buffers of about this many numbers.
DENSE_NUMBERS = 1 << 18


@dataclass
class Problem:
    """Rows to learn from as the engine reads them, and others (X, y, weight) to look at after every epoch."""

    X: Any  # ndarray or CSR
    y: Array
    weight: NDArray[np.float64] | None
    validation_set: tuple[Any, Array, NDArray[np.float64] | None] | None = None

    @property
    def n(self) -> int:
        """Number of rows."""
        rows: int = self.y.shape[0]
        return rows


# ---- rows -----------------------------------------------------------------------------------------------------------


def is_sparse(X: Any) -> bool:
    """Whether X is a sparse matrix (all others are arrays by now)."""
    return not isinstance(X, np.ndarray)


def rows_at_once(X: Any, multiple: int = 1) -> int:
    """How many sparse rows are made dense together: whole batches of `multiple` rows."""
    batches: int = DENSE_NUMBERS // (max(1, X.shape[1]) * multiple)
    return max(1, batches) * multiple


def dense_blocks(X: Any, order: NDArray[np.int64] | None = None, multiple: int = 1) -> Iterator[tuple[slice, Array]]:
    """Sparse rows in their order as dense blocks, in one buffer that the next block overwrites."""
    n = X.shape[0] if order is None else len(order)
    size = min(n, rows_at_once(X, multiple))
    buffer = np.empty((size, X.shape[1]), X.dtype)
    for start in range(0, n, size):
        part = slice(start, min(start + size, n))
        chosen = X[part] if order is None else X[order[part]]
        yield part, chosen.toarray(out=buffer[: part.stop - start])


def predict_rows(engine: Engine, X: Any, out: Array, threads: int) -> bool:
    """Outputs of all rows, dense or sparse, into `out`; False if parameters are just being changed."""
    if not is_sparse(X):
        return engine.predict(X, out, threads)
    return all(engine.predict(block, out[part], threads) for part, block in dense_blocks(X))


# ---- stochastic solvers ---------------------------------------------------------------------------------------------


class Epochs:
    """Runs one epoch after the other on the engine, and says what scikit-learn would report."""

    def __init__(
        self,
        engine: Engine,
        problem: Problem,
        schedule: Schedule,
        rows: NDArray[np.int64] | None,
        batch_size: int,
        alpha: float,
        loss_scale: float,
        threads: int,
    ) -> None:
        self.engine, self.problem, self.schedule = engine, problem, schedule
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
        table = self.schedule.scalars(self.alpha * inverse)
        self.losses.fill(np.nan)
        try:
            done, status, exception = self._steps(order, table)
        except BaseException:
            # A signal that arrives in the engine's last moments is raised when it has returned, and its answer is lost.
            self.schedule.advance(int(np.isfinite(self.losses).sum()))
            raise
        self.schedule.advance(done)
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
    est: Any, epochs: Epochs, *, incremental: bool, early_stopping: bool, score: Callable[[bool], float], watch: Watch
) -> None:
    """Train until the loss, or the validation score, stops improving; all attributes as scikit-learn leaves them."""
    n, schedule, rng = len(epochs.rows), epochs.schedule, est._random_state
    place = np.arange(n, dtype=np.int64)
    alive = True
    try:
        est.n_iter_ = 0
        for _ in range(est.max_iter):
            watch.begin()
            if est.shuffle:
                chosen = np.arange(n)
                rng.shuffle(chosen)
                place = place[chosen]
            loss = epochs.run(place) if alive else float("nan")
            alive = loss == loss
            est.n_iter_ += 1
            est.loss_ = loss
            est.t_ += n
            est.loss_curve_.append(loss)
            if est.verbose:
                print(f"Iteration {est.n_iter_}, loss = {loss:.8f}")

            _count_improvement(est, early_stopping, score, alive)
            schedule.end_epoch(est.t_)
            stop = watch.end()

            if est._no_improvement_count > est.n_iter_no_change:
                what = "Validation score" if early_stopping else "Training loss"
                message = (
                    f"{what} did not improve more than tol={est.tol:f} for {est.n_iter_no_change:d} consecutive epochs."
                )
                if schedule.stops(message, est.verbose):
                    break
                est._no_improvement_count = 0
            if incremental or stop:
                break
            if est.n_iter_ == est.max_iter:
                warnings.warn(
                    f"Stochastic Optimizer: Maximum iterations ({est.max_iter:d}) "
                    "reached and the optimization hasn't converged yet.",
                    ConvergenceWarning,
                    stacklevel=6,
                )
            elif not alive and not early_stopping:
                break  # the parameters are lost, and fit says so
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=6)
    if not alive and not early_stopping:
        raise ValueError(NOT_FINITE)


NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)


def _count_improvement(est: Any, early_stopping: bool, score: Callable[[bool], float], alive: bool) -> None:
    if not early_stopping:
        loss = est.loss_curve_[-1]
        est._no_improvement_count = est._no_improvement_count + 1 if loss > est.best_loss_ - est.tol else 0
        est.best_loss_ = min(est.best_loss_, loss) if loss == loss else est.best_loss_
        return
    value = score(alive)
    est.validation_scores_.append(value)
    if est.verbose:
        print(f"Validation score: {value:f}")
    worse = value < est.best_validation_score_ + est.tol
    est._no_improvement_count = est._no_improvement_count + 1 if worse else 0
    if value > est.best_validation_score_:
        if not alive:
            raise ValueError(NOT_FINITE)  # the lost parameters would be the best from here on
        est.best_validation_score_ = value
        est._best_parameters = weights_and_biases(est._network.engine(est._spec).read())


class Watch:
    """What looks on from outside after every epoch: the clock, a validation set, scikit-learn's callbacks."""

    def __init__(
        self, est: Any, record: Callable[[], None] | None = None, context: Any = None, data: Any = None
    ) -> None:
        self.est, self.record, self.context, self.data = est, record, context, data or {}
        self.until = float("inf") if est.max_seconds is None else time.perf_counter() + est.max_seconds

    def begin(self) -> None:
        if self.context is not None:
            self.task = self.context.subcontext(task_name="epoch")
            self.task.call_on_fit_task_begin(estimator=self.est, **self.data)

    def end(self) -> bool:
        """Whether training is to stop."""
        if self.record is not None:
            self.record()
        stop = False
        if self.context is not None:
            self.est._network.trained()  # whoever holds coefs_ sees this epoch's
            stop = self.task.call_on_fit_task_end(
                estimator=self.est, reconstruction_attributes=self._as_it_is, **self.data
            )
        if time.perf_counter() > self.until and not stop:
            warnings.warn(
                f"Training was stopped after max_seconds={self.est.max_seconds:g} and hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=7,
            )
            return True
        return bool(stop)

    def _as_it_is(self) -> dict[str, Any]:
        weights, biases = weights_and_biases(self.est._network.engine(self.est._spec).read())
        return {"coefs_": weights, "intercepts_": biases}


# ---- L-BFGS ---------------------------------------------------------------------------------------------------------


def fit_lbfgs(est: Any, engine: Engine, problem: Problem, loss_scale: float, threads: int, watch: Watch) -> None:
    """Minimise loss and L2 term over all rows at once with SciPy's L-BFGS-B, as scikit-learn does."""
    import scipy.optimize
    from threadpoolctl import threadpool_limits

    weights, biases = weights_and_biases(engine.read())
    shapes = [array.shape for array in (*weights, *biases)]
    ends = np.cumsum([0, *(array.size for array in (*weights, *biases))])
    n_layers, n_weights = len(weights), int(ends[len(weights)])
    total = float(problem.n if problem.weight is None else problem.weight.sum())
    decay = est.alpha / total

    def unpack(x: NDArray[np.float64]) -> dict[str, Array]:
        x = np.ascontiguousarray(x, np.float64)
        arrays = [x[ends[i] : ends[i + 1]].reshape(shape) for i, shape in enumerate(shapes)]
        return name_tensors(arrays[:n_layers], arrays[n_layers:])

    def loss_and_gradient(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        engine.write(unpack(x))
        loss, gradient = _loss_and_gradient(engine, problem, total, threads)
        gradient[:n_weights] += decay * x[:n_weights]
        return loss * loss_scale + 0.5 * decay * float(np.dot(x[:n_weights], x[:n_weights])), gradient

    x = np.concatenate([np.ravel(array) for array in (*weights, *biases)])
    iteration = 0

    def after_iteration(intermediate_result: Any) -> None:
        nonlocal iteration
        iteration += 1
        est.n_iter_, est.loss_ = iteration, float(intermediate_result.fun)
        if est.verbose:
            print(f"Iteration {iteration}, loss = {est.loss_:.8f}")
        if watch.context is not None or watch.record is not None:
            engine.write(unpack(intermediate_result.x))
        watch.begin()
        if watch.end():
            raise StopIteration

    options = {"maxfun": est.max_fun, "maxiter": est.max_iter, "gtol": est.tol}
    observed = est.verbose or watch.context is not None or watch.record is not None or est.max_seconds is not None
    # SciPy's part is vectors: BLAS threads would only spin, and take the processors from the engine's.
    with threadpool_limits(1, "blas"):
        result = scipy.optimize.minimize(
            loss_and_gradient,
            x,
            method="L-BFGS-B",
            jac=True,
            options=options,
            callback=after_iteration if observed else None,
        )
    engine.write(unpack(result.x))
    if result.status == 99:  # StopIteration: whoever asked for it knows
        est.n_iter_ = int(result.nit)
    else:
        est.n_iter_ = check_optimize_result("lbfgs", result, est.max_iter)
    est.loss_ = float(result.fun)


def _loss_and_gradient(
    engine: Engine, problem: Problem, total: float, threads: int
) -> tuple[float, NDArray[np.float64]]:
    """Weighted mean loss over all rows and its gradient as one vector, weights first."""
    if not is_sparse(problem.X):
        loss = engine.gradient(problem.X, problem.y, problem.weight, threads)
        return loss, _vector(engine)
    loss, sums = 0.0, None
    for part, block in dense_blocks(problem.X):
        weight = None if problem.weight is None else problem.weight[part]
        share = (len(block) if weight is None else float(weight.sum())) / total
        of_part = engine.gradient(block, problem.y[part], weight, threads)
        loss += share * of_part
        vector = share * _vector(engine)
        sums = vector if sums is None else sums + vector
    assert sums is not None
    return loss, sums


def _vector(engine: Engine) -> Array:
    """The gradient that the engine has left, weights first."""
    weights, biases = weights_and_biases(engine.read("gradient"))
    return np.concatenate([np.ravel(array) for array in (*weights, *biases)])
