"""The engine: runs of training steps, prediction, evaluation, gradients, traces. Mirror of passes/epoch.pyx."""
# ruff: noqa: ARG002 - the signatures are those of passes/epoch.pyx

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp import spec as specs  # the module, not its names: spec itself imports the registries of this package

from .activation import Array
from .backward import backward
from .forward import activate, forward, gather, loss, target
from .gate import Gate
from .plan import Plan
from .update import update

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Rows at a time where all rows of X are wanted.
ROWS = 1024

State = list[tuple[list[Array], list[Array]]]
Copy = tuple[int, list[Array]]  # updates made; parameters and state


class Engine:
    """A network's parameters and optimizer state, and what can be done with them. Callers have checked all arguments.

    `threads` is accepted everywhere and left to NumPy's BLAS. An engine serves one Python thread at a time; others
    wait. Handlers of signals run where it is at rest (gate.py).
    """

    def __init__(self, spec: specs.NetworkSpec, isa: str | None = None) -> None:
        self._spec = spec
        self._plan = Plan(spec)
        self._gate = Gate()
        self._n_steps = 0
        self._profile: dict[str, float] | None = None

    @property
    def isa(self) -> str:
        """What does the arithmetic."""
        return "numpy"

    @property
    def n_steps(self) -> int:
        """Updates that the optimizer's present state has made."""
        return self._n_steps

    def get_parameters(self) -> tuple[list[Array], list[Array]]:
        """Copies of the weights (n_in, n_out) and biases (n_out,) of all layers."""
        with self._gate.reading("get_parameters"):
            return self._plan.parameters.copies()

    def set_parameters(self, weights: list[Array], biases: list[Array]) -> None:
        """Replace all weights and biases."""
        with self._gate.changing("set_parameters"):
            self._plan.parameters.assign(weights, biases)

    def clip_losses(self, clip: bool) -> None:
        """Whether losses are those of probabilities cut to [eps, 1 - eps], as scikit-learn reports them.

        eps is the dtype's; gradients, and losses that are no logarithms of probabilities, stay as they are.
        """
        with self._gate.changing("clip_losses"):
            self._plan.clip_losses(clip)

    def use_optimizer(self, name: str | None) -> None:
        """Start an optimizer with zeroed state; None frees it."""
        with self._gate.changing("use_optimizer"):
            self._plan.use_optimizer(name)
            self._n_steps = 0

    def get_state(self) -> State:
        """Copies of the optimizer's state, one (like weights, like biases) per slot."""
        with self._gate.reading("get_state"):
            return [slot.copies() for slot in self._plan.state]

    def set_state(self, state: State, n_steps: int = 0) -> None:
        """Replace the optimizer's state, and the number of updates that it has made."""
        with self._gate.changing("set_state"):
            for slot, (weights, biases) in zip(self._plan.state, state, strict=True):
                slot.assign(weights, biases)
            self._n_steps = n_steps

    def copy(self, into: Copy | None = None, threads: int = 1) -> Copy:
        """Parameters and the optimizer's state as they lie, for `restore`; into a copy that is no longer needed."""
        with self._gate.reading("copy"):
            vectors = [part.vector for part in (self._plan.parameters, *self._plan.state)]
            if into is None:
                return self._n_steps, [vector.copy() for vector in vectors]
            for old, vector in zip(into[1], vectors, strict=True):
                np.copyto(old, vector)
            return self._n_steps, into[1]

    def restore(self, copy: Copy) -> None:
        """Go back to them; the network and the optimizer must be the same."""
        with self._gate.changing("restore"):
            self._n_steps, vectors = copy
            for part, vector in zip((self._plan.parameters, *self._plan.state), vectors, strict=True):
                np.copyto(part.vector, vector)

    def running(self) -> str | None:
        """What this thread is in the middle of, where a signal's handler asks; or None."""
        return self._gate.running()

    def forked(self) -> bool:
        """Forget, in a forked child, the threads that it does not have. False if one of them was in a change."""
        self._plan.forget_batches()
        return self._gate.forked()

    def is_finite(self, threads: int = 1) -> bool:
        """Whether all parameters are."""
        with self._gate.reading("is_finite"):
            return bool(np.isfinite(self._plan.parameters.vector).all())

    def start_profile(self) -> None:
        """Begin to note where the time of training goes."""
        self._profile = dict.fromkeys(specs.STAGES, 0.0)

    def stop_profile(self) -> tuple[dict[str, float], float, float]:
        """Seconds since `start_profile`: by stage, by the clock, and of all threads (one)."""
        seconds, self._profile = self._profile or dict.fromkeys(specs.STAGES, 0.0), None
        return seconds, sum(seconds.values()), sum(seconds.values())

    def _lap(self, stage: str, since: float) -> float:
        """Book the time since then under a stage, where a profile is wanted."""
        if self._profile is None:
            return since
        now = time.perf_counter()
        self._profile[stage] += now - since
        return now

    def train(
        self,
        X: Array,
        y: Array,
        order: NDArray[np.int64],
        batch_size: int,
        scalars: NDArray[np.float64],
        sample_weight: NDArray[np.float64] | None,
        losses: NDArray[np.float64],
        threads: int = 0,
        penalties: NDArray[np.float64] | None = None,
    ) -> specs.Run:
        """One step per row of `scalars`; step s takes the rows order[s * batch_size : (s + 1) * batch_size].

        Parameters
        ----------
        X : ndarray, shape (n, d0)
            Any source dtype, any strides.
        y : ndarray
            int32 class labels (n,), or (n, O) of any source dtype.
        order : ndarray of int64, shape (m,)
            Row numbers.
        batch_size : int
            The last batch may be smaller.
        scalars : ndarray of float64, shape (steps, S)
            From the optimizer's `scalars`.
        sample_weight : ndarray of float64, shape (n,), or None
            A batch whose weights sum to 0 changes nothing.
        losses : ndarray of float64, shape (steps,)
            Filled with each batch's weighted mean loss before its update.
        threads : int, default 0
            Ignored.
        penalties : ndarray of float64, shape (steps,), optional
            Filled with the sum of all squared weights (not biases) before each update.

        Returns
        -------
        Run
            A loss that is not finite stops before the update of its step; the exception of a signal handler stops
            between two steps.
        """
        with self._gate.changing("training") as rest, np.errstate(all="ignore"):
            plan = self._plan
            if plan.optimizer is None:
                raise RuntimeError("train needs use_optimizer first")
            step = 0  # steps done
            try:
                for step, h in enumerate(scalars):
                    rest.handlers()
                    since = 0.0 if self._profile is None else time.perf_counter()
                    rows = order[step * batch_size : (step + 1) * batch_size]
                    batch = plan.batch(len(rows))
                    out = batch.outputs[-1]
                    gather(X, rows, batch.x)
                    wanted = target(batch, y, rows)
                    scale: Any
                    if sample_weight is None:
                        total, scale = float(batch.rows), 1.0 / batch.rows
                    else:
                        np.take(sample_weight, rows, out=batch.weight, mode="clip")
                        total, scale = _scale(batch.weight, batch.scale)
                    since = self._lap("gather", since)
                    forward(plan, batch, batch.x, out)
                    since = self._lap("forward", since)
                    loss(plan, batch, out, wanted, scale, batch.row_loss)
                    losses[step] = value = _mean(batch.row_loss, None if sample_weight is None else batch.weight, total)
                    if not math.isfinite(value):
                        return specs.Run(step, "non_finite", None)
                    if penalties is not None:
                        penalties[step] = _sum_of_squares(plan.parameters.vector[: plan.parameters.n_weights])
                    since = self._lap("loss", since)
                    backward(plan, batch)
                    since = self._lap("backward", since)
                    update(plan, h.tolist())
                    self._n_steps += 1
                    self._lap("update", since)
                step = len(scalars)
                rest.handlers()
            except BaseException as exception:
                if exception is not rest.raised:
                    raise
                return specs.Run(step, "interrupted", exception)
            return specs.Run(step, "done", None)

    def explain_threads(self) -> list[str]:
        """What is known about the number of threads: nothing, NumPy's BLAS has its own."""
        return []

    def predict_small(self, X: object) -> Array | None:
        """None: there is no short way."""
        return None

    def predict(self, X: Array, out: Array, threads: int = 0, check: bool = False) -> bool:
        """Outputs of all rows of X into `out` (n, O), net dtype and C-contiguous. True: it waits for its turn.

        With `check`, a ValueError when X holds NaN or infinity, which may leave a part of `out` filled.
        """
        with self._gate.reading("predict") as rest, np.errstate(all="ignore"):
            plan = self._plan
            for start in range(0, len(X), ROWS):
                rest.handlers()
                rows = slice(start, min(start + ROWS, len(X)))
                if check and not np.isfinite(X[rows]).all():
                    raise ValueError("X holds values that are not finite")
                batch = plan.batch(rows.stop - start)
                forward(plan, batch, self._inputs(X, rows, batch.x), out[rows])
                activate(plan, batch, out[rows])
        return True

    def evaluate(self, X: Array, y: Array, out: Array, row_loss: NDArray[np.float64], threads: int = 0) -> None:
        """Outputs of all rows into `out` (n, O), and each row's loss into `row_loss` (n,)."""
        with self._gate.reading("evaluate") as rest, np.errstate(all="ignore"):
            plan = self._plan
            for start in range(0, len(X), ROWS):
                rest.handlers()
                rows = slice(start, min(start + ROWS, len(X)))
                batch = plan.batch(rows.stop - start)
                forward(plan, batch, self._inputs(X, rows, batch.x), out[rows])
                loss(plan, batch, out[rows], target(batch, y, rows), 1.0, row_loss[rows])

    def loss_and_grad(
        self, X: Array, y: Array, sample_weight: NDArray[np.float64] | None, threads: int = 0
    ) -> tuple[float, list[Array], list[Array]]:
        """The weighted mean loss of all rows of X, and its gradient by weights and by biases. No weight decay."""
        with self._gate.reading("loss_and_grad") as rest, np.errstate(all="ignore"):
            plan, n = self._plan, len(X)
            row_loss = np.empty(n)
            scales = None if sample_weight is None else np.empty((n, 1), plan.dtype)
            total, scale = (float(n), 1.0 / n) if scales is None else _scale(sample_weight, scales)
            sum_of_parts: Array | None = None
            for start in range(0, n, ROWS):
                rest.handlers()
                rows = slice(start, min(start + ROWS, n))
                batch = plan.batch(rows.stop - start)
                gather(X, rows, batch.x)
                forward(plan, batch, batch.x, batch.outputs[-1])
                wanted = target(batch, y, rows)
                part = scale if isinstance(scale, float) else scale[rows]
                loss(plan, batch, batch.outputs[-1], wanted, part, row_loss[rows])
                backward(plan, batch)
                if n > ROWS:
                    if sum_of_parts is None:
                        sum_of_parts = plan.gradient.vector.copy()
                    else:
                        np.add(sum_of_parts, plan.gradient.vector, out=sum_of_parts)
            if sum_of_parts is not None:
                np.copyto(plan.gradient.vector, sum_of_parts)
            return _mean(row_loss, sample_weight, total), *plan.gradient.copies()

    def trace(self, X: Array, y: Array | None, threads: int = 0) -> tuple[list[Array], list[Array], list[Array] | None]:
        """Signals, outputs and, with y, sensitivities dE_row/dz of every layer, each (n, n_out)."""
        with self._gate.reading("trace") as rest, np.errstate(all="ignore"):
            plan, n = self._plan, len(X)
            signals = [np.empty((n, width), plan.dtype) for width in plan.sizes[1:]]
            outputs = [np.empty_like(z) for z in signals]
            deltas = None if y is None else [np.empty_like(z) for z in signals]
            for start in range(0, n, ROWS):
                rest.handlers()
                rows = slice(start, min(start + ROWS, n))
                batch = plan.batch(rows.stop - start)
                a = self._inputs(X, rows, batch.x)
                for layer, z, out, scratch in zip(plan.layers, signals, outputs, batch.scratch, strict=True):
                    np.matmul(a, layer.W, out=z[rows])
                    np.add(z[rows], layer.b, out=z[rows])
                    a = out[rows]
                    np.copyto(a, z[rows])
                    layer.activation.forward(a, layer.param, scratch)
                if y is None or deltas is None:
                    continue
                np.copyto(batch.outputs[-1], signals[-1][rows])
                loss(plan, batch, batch.outputs[-1], target(batch, y, rows), 1.0, batch.row_loss)
                np.copyto(deltas[-1][rows], batch.deltas[-1])
                for i in range(len(plan.layers) - 1, 0, -1):
                    below, d = plan.layers[i - 1], deltas[i - 1][rows]
                    np.matmul(deltas[i][rows], plan.layers[i].W_t, out=d)
                    below.activation.backward(outputs[i - 1][rows], below.param, d, batch.scratch[i - 1])
            return signals, outputs, deltas

    def _inputs(self, X: Array, rows: slice, buffer: Array) -> Array:
        """These rows of X in the net's dtype: X's own where they are that already."""
        x = X[rows]
        if x.dtype == buffer.dtype and x.flags.carray:
            return x
        gather(X, rows, buffer)
        return buffer


def _scale(weight: NDArray[np.float64] | None, scale: Array) -> tuple[float, Array]:
    """The sum of the weights, and what each row's delta is multiplied by: its share of the sum, into `scale` (B, 1)."""
    assert weight is not None
    total = float(np.sum(weight))
    if total != 0.0:
        np.divide(weight, total, out=scale[:, 0], casting="same_kind")
    else:
        scale.fill(0.0)
    return total, scale


def _mean(row_loss: NDArray[np.float64], weight: NDArray[np.float64] | None, total: float) -> float:
    """The weighted mean of row losses; 0 where all weights are."""
    if weight is None:
        return float(np.sum(row_loss)) / total
    return float(np.dot(row_loss, weight)) / total if total != 0.0 else 0.0


def _sum_of_squares(vector: Array) -> float:
    """Summed in float64, without a copy."""
    return float(np.einsum("i,i->", vector, vector, dtype=np.float64))
