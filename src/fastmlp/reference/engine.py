"""The engine: runs of training steps, prediction, evaluation, gradients, traces. Mirror of passes/engine.pyx."""
# ruff: noqa: ARG002 - the signatures are those of passes/engine.pyx

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.reference.backward import backward, backward_layer
from fastmlp.reference.bound import bound
from fastmlp.reference.forward import finish, forward
from fastmlp.reference.gate import Gate
from fastmlp.reference.gradient import add_penalties, penalty
from fastmlp.reference.loss import apply_slope, loss
from fastmlp.reference.optimizer import interpolate
from fastmlp.reference.plan import Plan
from fastmlp.reference.predict import ROWS, blocks, evaluate, predict
from fastmlp.reference.rows import gather, inputs, mean, scales, sums_of_weights, target
from fastmlp.reference.step import Clock, make_shared_step, make_step
from fastmlp.reference.tape import Tape
from fastmlp.reference.update import update
from fastmlp.spec import STAGES, Array, NetworkSpec, Outcome, Run, Scaling

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from fastmlp.reference.parameters import Parameters

Copy = tuple[int, list[Array]]  # updates made; parameters and state


class Engine:
    """A network's parameters and optimizer state, and what can be done with them. Callers have checked all arguments.

    `threads` is accepted everywhere and left to NumPy's BLAS. An engine serves one Python thread at a time; others
    wait. Handlers of signals run where it is at rest (gate.py).
    """

    def __init__(self, spec: NetworkSpec, isa: str | None = None) -> None:
        self._spec = spec
        self._plan = Plan(spec)
        self._gate = Gate()
        self._n_steps = 0
        self._departed = False  # the parameters are y of a training; the mean x, which users see, is a state
        self._changes = 0  # how often the parameters have, so that a tape sees that they did
        self._gradient_left: dict[str, Array] | None = None  # by the last call of `gradient`
        self._clock = Clock()

    @property
    def isa(self) -> str:
        """Name of what does the arithmetic."""
        return "numpy"

    @property
    def n_steps(self) -> int:
        """Updates that the optimizer's present state has made."""
        return self._n_steps

    @n_steps.setter
    def n_steps(self, n_steps: int) -> None:
        with self._gate.changing("n_steps ="):
            self._n_steps = n_steps

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of tensors that can be read."""
        return self._kinds_to_write() + (() if self._gradient_left is None else ("gradient",))

    def _kinds_to_write(self) -> tuple[str, ...]:
        average = () if self._plan.average is None else ("average",)
        return "parameters", *(f"state.{slot}" for slot in range(len(self._plan.state))), *average

    def read(self, kind: str = "parameters") -> dict[str, Array]:
        """Copies of the parameters, or of something else with a number per parameter, by name."""
        with self._gate.reading("read"):
            gradient = self._gradient_left
            if kind == "gradient" and gradient is not None:
                return {name: tensor.copy() for name, tensor in gradient.items()}
            if kind == "parameters" and self._departed:
                return self._plan.parameters.read() | self._plan.state[2].read()
            return self._tensors(kind, self.kinds).read()

    def write(self, tensors: Mapping[str, Array], kind: str = "parameters") -> None:
        """Replace all parameters, a slot of the optimizer's state or the average."""
        with self._gate.changing("write"):
            self._tensors(kind, self._kinds_to_write()).write(tensors)
            self._changes += kind == "parameters"

    def write_transposed(self, arrays: Sequence[Array], threads: int = 0) -> None:
        """Replace all parameters by those of arrays, weights (O, I) and biases (O,) of each layer; tapes stay good."""
        with self._gate.changing("write_transposed"):
            given = {name: array.T for name, array in zip(self._spec.shapes, arrays, strict=True)}
            self._plan.parameters.write(self._plan.parameters.read() | given)

    def _tensors(self, kind: str, kinds: tuple[str, ...]) -> Parameters:
        if kind not in kinds:
            raise ValueError(f"kind must be one of {', '.join(map(repr, kinds))}, got {kind!r}")
        return self._vectors()[kinds.index(kind)]

    def _vectors(self) -> list[Parameters]:
        """All that `copy` copies."""
        plan = self._plan
        return [plan.parameters, *plan.state, *([] if plan.average is None else [plan.average])]

    def use_optimizer(self, name: str | None) -> None:
        """Start an optimizer with zeroed state; None frees it."""
        with self._gate.changing("use_optimizer"):
            self._plan.use_optimizer(name)
            self._n_steps = 0

    def keep_average(self, keep: bool = True) -> None:
        """Begin a moving average at the parameters as they are, or forget the one there is."""
        with self._gate.changing("keep_average"):
            self._plan.keep_average(keep)

    def scale(self, inputs: Scaling | None, targets: Scaling | None) -> None:
        """Shift and scale columns as they are read; None: take them as they are."""
        with self._gate.changing("scale"):
            self._plan.inputs, self._plan.targets = inputs, targets
            self._changes += 1

    @property
    def takes_sparse(self) -> bool:
        """Whether X may be sparse rows: a batch of them is made dense."""
        return self._plan.inputs is None

    def copy(self, into: Copy | None = None, threads: int = 1) -> Copy:
        """Parameters, the optimizer's state and the average, for `restore`; into a copy that is no longer needed."""
        with self._gate.reading("copy"):
            vectors = [part.vector for part in self._vectors()]
            if into is None or len(into[1]) != len(vectors):
                return self._n_steps, [vector.copy() for vector in vectors]
            for old, vector in zip(into[1], vectors, strict=True):
                np.copyto(old, vector)
            return self._n_steps, into[1]

    def restore(self, copy: Copy) -> None:
        """Go back to them; the network and the optimizer must be the same."""
        with self._gate.changing("restore"):
            self._n_steps, vectors = copy
            for part, vector in zip(self._vectors(), vectors, strict=True):
                np.copyto(part.vector, vector)
            self._changes += 1

    def running(self) -> str | None:
        """Return the call that this thread is in the middle of, where a signal's handler asks; or None."""
        return self._gate.running()

    def forked(self) -> bool:
        """Forget, in a forked child, the threads that it does not have. False if one of them was in a change."""
        self._plan.workspace.forget()
        return self._gate.forked()

    def is_finite(self, threads: int = 1) -> bool:
        """Whether all parameters are."""
        with self._gate.reading("is_finite"):
            return bool(np.isfinite(self._plan.parameters.vector).all())

    def penalty(self) -> float:
        """What the weights add to the loss."""
        with self._gate.reading("penalty"):
            return penalty(self._plan)

    def start_profile(self) -> None:
        """Begin to note where the time of training goes."""
        self._clock.start()

    def stop_profile(self) -> tuple[dict[str, float], float, float]:
        """Seconds since `start_profile`: by stage, by the clock, and of all threads (one)."""
        seconds, self._clock.seconds = self._clock.seconds or dict.fromkeys(STAGES, 0.0), None
        return seconds, sum(seconds.values()), sum(seconds.values())

    def weight_sums(
        self, weight: NDArray[np.float64] | None, order: NDArray[np.int64], batch_size: int, epoch_rows: int = 0
    ) -> NDArray[np.float64]:
        """Per batch, the sum of its rows' weights, or the number of its rows when there are no weights."""
        return sums_of_weights(weight, order, batch_size, epoch_rows)

    def train(self, run: Run, threads: int = 0) -> Outcome:
        """One step per row of the run's table.

        A loss that is not finite stops before the update of its step; the exception of a signal handler stops between
        two steps. `threads` is ignored.
        """
        with self._gate.changing("training") as rest, np.errstate(all="ignore"), self._away(run):
            plan = self._plan
            if plan.optimizer is None:
                raise RuntimeError("train needs use_optimizer first")
            if run.average != 0.0 and plan.average is None:
                raise ValueError("a run with an average needs keep_average first")
            if run.lazy and (not hasattr(run.X, "indptr") or run.at_gradient or run.clip_norm is not None or run.cut):
                raise ValueError("lazy is for sparse rows, with none of at_gradient, clip_norm and cut")
            cut = run.cut
            if run.epoch_rows and (cut is not None or run.mixing is not None):
                raise ValueError("rows of several epochs are neither cut into shares nor mixed")
            weight_sums = (
                sums_of_weights(run.weight, run.order, run.batch_size, run.epoch_rows)
                if cut is None
                else cut.weight_sums
            )
            make = make_step if cut is None else make_shared_step
            step = 0  # steps done
            self._changes += 1
            try:
                for step, total in enumerate(weight_sums.tolist()):
                    rest.handlers()
                    if not make(plan, run, step, self._n_steps, total, self._clock, rest):
                        return Outcome(step, "non_finite", None, weight_sums)
                    self._n_steps += 1
                step = len(run.table)
                rest.handlers()
            except BaseException as exception:
                if exception is not rest.raised:
                    raise
                return Outcome(step, "interrupted", exception, weight_sums)
            return Outcome(step, "done", None, weight_sums)

    @contextmanager
    def _away(self, run: Run) -> Iterator[None]:
        """Have the parameters where gradients are taken, where that is between z and the mean x, states 0 and 2.

        The first time, all three are the same.
        """
        if "interpolation" not in self._plan.columns or not len(run.table):
            yield
            return
        z, x = self._plan.state[0].vector, self._plan.state[2].vector
        y = self._plan.parameters.vector[: x.size]
        np.copyto(x, y)
        if self._n_steps == 0:
            np.copyto(z, y)
        self._departed = True
        interpolate(y, z, x, float(run.table[0][self._plan.columns.index("interpolation")]))
        try:
            yield
        finally:
            np.copyto(y, x)
            self._departed = False

    @property
    def gradient_size(self) -> int:
        """Numbers of a gradient that is exchanged."""
        return self._plan.gradient.whole.size

    def explain_threads(self) -> list[str]:
        """Say what is known about the number of threads: nothing, NumPy's BLAS has its own."""
        return []

    def predict_small(self, X: object) -> Array | None:
        """Return None: there is no short way."""
        return None

    def predict(self, X: Array, out: Array, threads: int = 0, check: bool = False) -> bool:
        """Outputs of all rows of X into `out` (n, O), net dtype and C-contiguous. True: it waits for its turn.

        With `check`, a ValueError when X holds NaN or infinity, which may leave a part of `out` filled.
        """
        with self._gate.reading("predict") as rest, np.errstate(all="ignore"):
            predict(self._plan, X, out, check, rest)
        return True

    def evaluate(self, X: Array, y: Array, out: Array, row_loss: NDArray[np.float64], threads: int = 0) -> None:
        """Outputs of all rows into `out` (n, O), and each row's loss into `row_loss` (n,)."""
        with self._gate.reading("evaluate") as rest, np.errstate(all="ignore"):
            evaluate(self._plan, X, y, out, row_loss, rest)

    def gradient(
        self,
        X: Array,
        y: Array,
        weight: NDArray[np.float64] | None,
        threads: int = 0,
        out: dict[str, Array] | None = None,
    ) -> float:
        """The weighted mean loss of all rows of X; leaves its gradient, without decay, to `read` and in `out`."""
        with self._gate.reading("gradient") as rest, np.errstate(all="ignore"):
            plan, n = self._plan, len(X)
            row_loss = np.empty(n)
            total = float(n) if weight is None else float(np.sum(weight))
            scale: Any = 1.0 / n if weight is None else scales(weight, total, np.empty((n, 1), plan.dtype))
            sum_of_parts: Array | None = None
            for rows in blocks(n, rest):
                batch = plan.batch(rows.stop - rows.start)
                gather(X, rows, batch.x, plan.inputs)
                forward(plan, batch, batch.x, batch.outputs[-1])
                wanted = target(batch, y, rows, plan.targets)
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
            add_penalties(plan)
            self._gradient_left = plan.gradient.read()
            if out is not None:
                out.update(plan.gradient.read())
            return mean(row_loss, weight, total) + penalty(plan)

    def trace(
        self, X: Array, y: Array | None, threads: int = 0, by_outputs: Array | None = None
    ) -> tuple[list[Array], list[Array], list[Array] | None]:
        """Signals, outputs and, with y, sensitivities dE_row/dz of every layer, each (n, n_out).

        With `by_outputs` (n, O), of the network's dtype, E is any function whose derivatives by the outputs it holds.
        """
        with self._gate.reading("trace") as rest, np.errstate(all="ignore"):
            plan, n = self._plan, len(X)
            signals = [np.empty((n, layer.W.shape[1]), plan.dtype) for layer in plan.layers]
            outputs = [np.empty_like(z) for z in signals]
            deltas = None if y is None and by_outputs is None else [np.empty_like(z) for z in signals]
            for rows in blocks(n, rest):
                batch = plan.batch(rows.stop - rows.start)
                a = inputs(X, rows, batch.x, plan.inputs)
                for i, (layer, z, out) in enumerate(zip(plan.layers, signals, outputs, strict=True)):
                    plan.product(i, a, layer.W, z[rows])
                    x, a = a, out[rows]
                    np.copyto(a, z[rows])
                    finish(plan, batch, i, x, a)
                    a = a[:, : plan.sizes[i + 1]]
                    if i not in batch.normed:
                        np.add(z[rows], layer.b, out=z[rows])
                if deltas is None:
                    continue
                if by_outputs is not None:
                    np.copyto(deltas[-1][rows], by_outputs[rows])
                    apply_slope(plan, batch, len(plan.layers) - 1, outputs[-1][rows], deltas[-1][rows])
                elif y is not None:
                    np.copyto(batch.outputs[-1], signals[-1][rows])
                    loss(plan, batch, batch.outputs[-1], target(batch, y, rows, plan.targets), 1.0, batch.row_loss)
                    np.copyto(deltas[-1][rows], batch.deltas[-1])
                for i in range(len(plan.layers) - 1, 0, -1):
                    backward_layer(plan, batch, i, deltas[i][rows], outputs[i - 1][rows], deltas[i - 1][rows])
            return signals, [a[:, :n] for a, n in zip(outputs, plan.sizes[1:], strict=True)], deltas

    def forward(self, X: Array, out: Array, threads: int = 0, seed: int | None = None) -> Tape:
        """Outputs of all rows of X into `out` (n, O), and what their backward pass needs; see `Tape`."""
        if not len(X):
            raise ValueError("X has no rows")
        with self._gate.reading("forward") as rest, np.errstate(all="ignore"):
            tape = Tape(self._plan, self._changes)
            tape.forward(X, out, seed, self._n_steps, rest)
            return tape

    def backward(
        self,
        tape: Tape,
        by_outputs: Array,
        gradient: Array | None = None,
        by_inputs: Array | None = None,
        threads: int = 0,
        transposed: bool = False,
    ) -> None:
        """Derivatives by all parameters, in one vector, and by the inputs (n, d0), from those by the outputs (n, O)."""
        if tape.plan is not self._plan:
            raise ValueError("the tape is of another engine")
        with self._gate.reading("backward") as rest, np.errstate(all="ignore"):
            if tape.changes != self._changes:
                raise RuntimeError("the parameters have changed since the forward pass")
            tape.backward(by_outputs, gradient, by_inputs, transposed, rest)

    def apply(
        self,
        tensors: Mapping[str, Array],
        table: NDArray[np.float64],
        groups: tuple[int, ...] = (),
        clip_norm: float | None = None,
        clip_value: float | None = None,
        threads: int = 0,
    ) -> None:
        """One update by a gradient that somebody else has computed, and a row of the optimizer's table."""
        with self._gate.changing("apply_gradients"), np.errstate(all="ignore"):
            self._plan.gradient.write(tensors)
            update(self._plan, table[0].tolist(), clip_norm, clip_value, groups)
            bound(self._plan)
            self._n_steps += 1
            self._changes += 1

    def over_tensors(self, table: object) -> None:
        """There is no shorter way to a tensor's memory than by an array here."""
