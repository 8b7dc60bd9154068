"""scikit-learn's solver "lbfgs": SciPy's L-BFGS-B on the loss and gradient of all rows at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.data.sparse import dense_blocks
from fastmlp.sklearn.compat import check_optimize_result
from fastmlp.sklearn.sparse import is_sparse

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastmlp.runtime import Engine
    from fastmlp.sklearn.task import Problem
    from fastmlp.spec import Array

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
    import scipy.optimize
    from threadpoolctl import threadpool_limits

    total = float(problem.n if problem.weight is None else problem.weight.sum())
    decay = alpha / total
    layout = _Layout(engine.read())
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

    # SciPy's part is vectors: BLAS threads would only spin, and take the processors from the engine's.
    with threadpool_limits(1, "blas"):
        result = scipy.optimize.minimize(
            loss_and_gradient,
            layout.vector(engine.read()),
            method="L-BFGS-B",
            jac=True,
            options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol},
            callback=None if after_iteration is None else callback,
        )
    engine.write(layout.tensors(result.x))
    # 99 is StopIteration: whoever asked for it knows.
    n_iter = int(result.nit) if result.status == 99 else check_optimize_result("lbfgs", result, max_iter)
    return n_iter, float(result.fun)


class _Layout:
    """The places of a network's tensors in SciPy's vector: weights layer by layer, then biases."""

    def __init__(self, tensors: dict[str, Array]) -> None:
        weights = [name for name, array in tensors.items() if array.ndim == 2]
        self.names = [*weights, *(name for name in tensors if name not in weights)]
        self.shapes = [tensors[name].shape for name in self.names]
        self.ends = np.cumsum([0, *(tensors[name].size for name in self.names)])
        self.n_weights = int(self.ends[len(weights)])

    def tensors(self, x: NDArray[np.float64]) -> dict[str, Array]:
        """Return the tensors that lie in a vector."""
        x = np.ascontiguousarray(x, np.float64)
        places = zip(self.names, self.ends[:-1], self.ends[1:], self.shapes, strict=True)
        return {name: x[start:end].reshape(shape) for name, start, end, shape in places}

    def vector(self, tensors: dict[str, Array]) -> NDArray[np.float64]:
        """Return the vector of these tensors."""
        return np.concatenate([np.ravel(tensors[name]) for name in self.names])


def _loss_and_gradient(
    engine: Engine, problem: Problem, layout: _Layout, total: float, threads: int
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
