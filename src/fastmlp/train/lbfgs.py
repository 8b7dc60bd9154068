"""L-BFGS: SciPy's search for the least loss of all rows, for `MLP.fit` and for scikit-learn's solver of that name."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.data import Data, dense
from fastmlp.train.callbacks import tell
from fastmlp.train.safety import TrainingDiverged, diagnosis, loss_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from fastmlp.spec import LBFGS, Array
    from fastmlp.train.callbacks import LoopCallback
    from fastmlp.train.epoch import Epoch
    from fastmlp.train.loop import Report

__all__ = ["STOPPED", "Layout", "fit", "search"]

#: The status of a search that its callback has stopped.
STOPPED = 99

#: Iterations where their number is not bounded: what SciPy counts with.
_MOST = 2**31 - 1


class Layout:
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

    def vector(self, tensors: dict[str, Array]) -> Array:
        """Return the vector of these tensors, in their dtype."""
        return np.concatenate([np.ravel(tensors[name]) for name in self.names])


def search(
    loss_and_gradient: Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]],
    start: NDArray[np.float64],
    callback: Callable[..., None] | None,
    **options: float,
) -> Any:
    """Let SciPy minimise; `callback(intermediate_result)` is called after each iteration, and stops by StopIteration.

    SciPy's part is vectors: threads of BLAS would only spin, take the processors from the engine's, and change bits.
    """
    minimize, threadpool_limits = _scipy()
    with threadpool_limits(1, "blas"):
        return minimize(loss_and_gradient, start, method="L-BFGS-B", jac=True, options=options, callback=callback)


def _scipy() -> tuple[Any, Any]:
    try:
        from scipy.optimize import minimize
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise ImportError(
            f"L-BFGS is SciPy's and needs {error.name}, which is not installed: pip install 'fastmlp[lbfgs]', or take "
            "another optimizer"
        ) from error
    return minimize, threadpool_limits


# ---- for MLP.fit ----------------------------------------------------------------------------------------------------


def fit(
    epoch: Epoch,
    data: Data,
    method: LBFGS,
    iterations: int | None,
    report: Report,
    callbacks: Sequence[LoopCallback],
    net: Any,
) -> str:
    """Search from the learner's parameters, which are those of the last finished iteration at every time.

    Each is an epoch, of one batch of all of these rows. Returns why a callback has stopped it, or "tol" where the
    search has come to its end, or "".
    """
    _scipy()  # an error before anything changes
    for callback in callbacks:
        told = {"epochs": iterations, "names": report.names, "modes": report.modes, "optimizer": method}
        callback.on_train_begin(net, told)
    epoch.learner.undo = None
    if data.weight is not None:
        epoch.weights, epoch.weighted = np.array([data.weight.sum()]), True
    descent = _Descent(epoch, data, method, report, callbacks, net)
    try:
        descent.run(_MOST if iterations is None else iterations)
    finally:
        for callback in callbacks:
            callback.close()
    for callback in callbacks:
        callback.on_train_end(net, descent.logs)
    return descent.stopped or ("tol" if descent.left else "")


class _Descent:
    """A search under way: what it evaluates, in an engine of its own and float64, and what follows each iteration."""

    def __init__(
        self,
        epoch: Epoch,
        data: Data,
        method: LBFGS,
        report: Report,
        callbacks: Sequence[LoopCallback],
        net: Any,
    ) -> None:
        self.X = dense(data.X)  # it is read as a whole at every point
        self.data, self.method = Data(self.X, data.y, data.weight), method
        self.epoch, self.learner, self.threads = epoch, epoch.learner, epoch.threads
        learner = self.learner
        self.report, self.callbacks, self.net = report, callbacks, net
        self.engine = type(learner.engine)(dataclasses.replace(learner.spec, dtype="float64", bfloat16=False))
        self.engine.scale(learner.normalizing.input_scaling, learner.normalizing.target_scaling)
        self.layout, self.largest = Layout(learner.engine.read()), float(np.finfo(learner.spec.dtype).max)
        self.left, self.logs = 0, dict[str, Any]()
        self.first = self.lost = self.changed = False
        self.stopped = ""  # why
        self.begun = time.perf_counter()

    def run(self, iterations: int) -> None:
        """Search, and anew where a callback has changed parameters, or where the line search met infinite losses.

        The memory of the curvature is what leads it there: without, its first step is small.
        """
        self.left, options = iterations, {"gtol": self.method.tol, "ftol": self.method.tol_loss, "maxfun": _MOST}
        self._begin()
        while self.left and not self.stopped:
            before, self.lost, self.changed = self.left, False, False
            x, self.first = self.layout.vector(self.learner.engine.read()).astype(np.float64), True
            search(self._evaluate, x, self._after, maxiter=self.left, maxcor=self.method.history_size, **options)
            if not self.changed and not (self.lost and self.left < before):
                break

    def _evaluate(self, x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return loss and gradient, and a wall in the place of a loss that is not finite."""
        self.engine.write(self.layout.tensors(x))
        data = self.data
        loss = self.engine.gradient(self.X, data.y, data.weight, self.threads)
        gradient = self.layout.vector(self.engine.read("gradient"))
        decay, n_weights = self.method.weight_decay, self.layout.n_weights
        if decay:
            gradient[:n_weights] += decay * x[:n_weights]
            loss += self._penalty(x)
        first, self.first = self.first, False
        if math.isfinite(loss) and np.isfinite(gradient).all() and np.abs(x).max() <= self.largest:
            return loss, gradient
        if first:
            raise self._diverged(loss)
        self.lost = True
        return math.inf, np.zeros_like(x)

    def _penalty(self, x: NDArray[np.float64]) -> float:
        weights = x[: self.layout.n_weights]
        return 0.5 * self.method.weight_decay * float(np.dot(weights, weights))

    def _diverged(self, loss: float) -> TrainingDiverged:
        """Return the error where there is nothing to begin with."""
        every = np.arange(len(self.data), dtype=np.int64)
        layer, words = diagnosis(self.learner, self.data, every[:32])
        if not math.isfinite(loss):  # the engine does not tell infinity from NaN
            loss = loss_of(self.learner, self.data, every, self.threads)
        what = f"the loss is {loss}" + (", and its gradient not finite," if math.isfinite(loss) else "")
        return TrainingDiverged(
            f"{what} where the search begins; {words}. The network is as it was there.", layer=layer
        )

    def _begin(self) -> None:
        """Tell of an iteration that begins, and look at the clock."""
        for callback in self.callbacks:
            callback.on_epoch_begin(self.net, {"epoch": self.learner.epoch + 1})
        self.begun = time.perf_counter()

    def _after(self, intermediate_result: Any) -> None:
        """Let the network have an iteration's parameters, and everybody know."""
        x, engine, epoch, dtype = intermediate_result.x, self.learner.engine, self.epoch, self.learner.spec.dtype
        loss = float(intermediate_result.fun) - (self._penalty(x) if self.method.weight_decay else 0.0)
        engine.write({name: array.astype(dtype, copy=False) for name, array in self.layout.tensors(x).items()})
        self.learner.position = self.learner.epoch + 1, None
        self.left -= 1
        epoch.seconds = time.perf_counter() - self.begun
        epoch.number, epoch.done, epoch.losses[0] = self.learner.epoch, 1, loss
        for callback in self.callbacks:
            if callback.every is not None:
                callback.on_steps(self.net, {"steps": 1, "rows": epoch.n_rows, "seconds": epoch.seconds, "loss": loss})
        self.logs = self.report(epoch)
        parameters = engine.read()
        self.stopped = tell(self.callbacks, "on_epoch_end", self.net, self.logs)
        if self.callbacks:
            self.changed = any((array != parameters[name]).any() for name, array in engine.read().items())
        if self.stopped or self.changed:
            raise StopIteration
        if self.left:
            self._begin()
