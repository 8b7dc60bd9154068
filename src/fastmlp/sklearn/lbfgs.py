"""scikit-learn's solver "lbfgs": SciPy's L-BFGS-B on the loss and gradient of all rows at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.data.sparse import dense_blocks
from fastmlp.sklearn.compat import check_optimize_result
from fastmlp.sklearn.sparse import is_sparse
from fastmlp.train.lbfgs import STOPPED, Layout, search

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastmlp.runtime import Engine
    from fastmlp.sklearn.task import Problem

__all__ = ["minimize"]


def minimize(
    engine: Engine,
    problem: Problem,
    *,
    alpha: float,
    loss_scale: float,
    max_iter: int,
    max_fun: int,
    tol: float,
    threads: int,
    after_iteration: Callable[[int, float], bool] | None,
    show_parameters: bool,
) -> tuple[int, float]:
    """Minimise loss and L2 term from the engine's parameters, as scikit-learn does; return iterations and loss.

    `after_iteration` gets the number of each iteration and its loss, with that iteration's parameters in the engine if
    `show_parameters`; it stops the search by returning True.
    """
    total = float(problem.n if problem.weight is None else problem.weight.sum())
    decay = alpha / total
    layout = Layout(engine.read())
    n_weights = layout.n_weights

    def loss_and_gradient(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        engine.write(layout.tensors(x))
        loss, gradient = _loss_and_gradient(engine, problem, layout, total, threads)
        gradient[:n_weights] += decay * x[:n_weights]
        return loss * loss_scale + 0.5 * decay * float(np.dot(x[:n_weights], x[:n_weights])), gradient

    iteration = 0

    def callback(intermediate_result: Any) -> None:
        nonlocal iteration
        iteration += 1
        if show_parameters:
            engine.write(layout.tensors(intermediate_result.x))
        assert after_iteration is not None
        if after_iteration(iteration, float(intermediate_result.fun)):
            raise StopIteration

    result = search(
        loss_and_gradient,
        layout.vector(engine.read()),
        None if after_iteration is None else callback,
        maxfun=max_fun,
        maxiter=max_iter,
        gtol=tol,
    )
    engine.write(layout.tensors(result.x))
    # Whoever has stopped it knows.
    n_iter = int(result.nit) if result.status == STOPPED else check_optimize_result("lbfgs", result, max_iter)
    return n_iter, float(result.fun)


def _loss_and_gradient(
    engine: Engine, problem: Problem, layout: Layout, total: float, threads: int
) -> tuple[float, NDArray[np.float64]]:
    """Return the weighted mean loss over all rows, and its gradient as one vector, weights first."""
    if not is_sparse(problem.X):
        loss = engine.gradient(problem.X, problem.y, problem.weight, threads)
        return loss, layout.vector(engine.read("gradient"))
    loss, sums = 0.0, np.zeros(layout.ends[-1])
    for part, block in dense_blocks(problem.X):
        weight = None if problem.weight is None else problem.weight[part]
        share = (len(block) if weight is None else float(weight.sum())) / total
        loss += share * engine.gradient(block, problem.y[part], weight, threads)
        sums += share * layout.vector(engine.read("gradient"))
    return loss, sums
