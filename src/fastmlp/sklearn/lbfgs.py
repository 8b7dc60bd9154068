"""scikit-learn's solver "lbfgs": SciPy's L-BFGS-B on the loss and gradient of all rows at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.sklearn.compat import check_optimize_result
from fastmlp.sklearn.sparse import dense_blocks, is_sparse

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastmlp.runtime import Engine
    from fastmlp.sklearn.task import Problem

__all__ = ["minimize"]

Array = NDArray[Any]


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
    """Minimise loss and L2 term from the engine's parameters, as scikit-learn does; the iterations and the loss.

    `after_iteration` gets the number of each iteration and its loss, with that iteration's parameters in the engine if
    `show_parameters`; it stops the search by returning True.
    """
    import scipy.optimize
    from threadpoolctl import threadpool_limits

    total = float(problem.n if problem.weight is None else problem.weight.sum())
    decay = alpha / total
    weights, biases = engine.get_parameters()
    layout = _Layout(weights, biases)
    n_weights = layout.n_weights

    def loss_and_gradient(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        engine.set_parameters(*layout.arrays(x))
        loss, gradient = _loss_and_gradient(engine, problem, total, threads)
        gradient[:n_weights] += decay * x[:n_weights]
        return loss * loss_scale + 0.5 * decay * float(np.dot(x[:n_weights], x[:n_weights])), gradient

    iteration = 0

    def callback(intermediate_result: Any) -> None:
        nonlocal iteration
        iteration += 1
        if show_parameters:
            engine.set_parameters(*layout.arrays(intermediate_result.x))
        assert after_iteration is not None
        if after_iteration(iteration, float(intermediate_result.fun)):
            raise StopIteration

    # SciPy's part is vectors: BLAS threads would only spin, and take the processors from the engine's.
    with threadpool_limits(1, "blas"):
        result = scipy.optimize.minimize(
            loss_and_gradient,
            _vector(weights, biases),
            method="L-BFGS-B",
            jac=True,
            options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol},
            callback=None if after_iteration is None else callback,
        )
    engine.set_parameters(*layout.arrays(result.x))
    # 99 is StopIteration: whoever asked for it knows.
    n_iter = int(result.nit) if result.status == 99 else check_optimize_result("lbfgs", result, max_iter)
    return n_iter, float(result.fun)


class _Layout:
    """Where a network's arrays lie in SciPy's vector: weights layer by layer, then biases."""

    def __init__(self, weights: list[Array], biases: list[Array]) -> None:
        self.n_layers = len(weights)
        self.shapes = [array.shape for array in (*weights, *biases)]
        self.ends = np.cumsum([0, *(array.size for array in (*weights, *biases))])
        self.n_weights = int(self.ends[self.n_layers])

    def arrays(self, x: NDArray[np.float64]) -> tuple[list[Array], list[Array]]:
        x = np.ascontiguousarray(x, np.float64)
        found = [x[self.ends[i] : self.ends[i + 1]].reshape(shape) for i, shape in enumerate(self.shapes)]
        return found[: self.n_layers], found[self.n_layers :]


def _vector(weights: list[Array], biases: list[Array]) -> NDArray[np.float64]:
    return np.concatenate([np.ravel(array) for array in (*weights, *biases)])


def _loss_and_gradient(
    engine: Engine, problem: Problem, total: float, threads: int
) -> tuple[float, NDArray[np.float64]]:
    """Weighted mean loss over all rows and its gradient as one vector, weights first."""
    if not is_sparse(problem.X):
        loss, dW, db = engine.loss_and_grad(problem.X, problem.y, problem.weight, threads)
        return loss, _vector(dW, db)
    loss, sums = 0.0, None
    for part, block in dense_blocks(problem.X):
        weight = None if problem.weight is None else problem.weight[part]
        share = (len(block) if weight is None else float(weight.sum())) / total
        of_part, dW, db = engine.loss_and_grad(block, problem.y[part], weight, threads)
        loss += share * of_part
        vector = share * _vector(dW, db)
        sums = vector if sums is None else sums + vector
    assert sums is not None
    return loss, sums
