"""The one interface of the engines: the compiled passes', and that of their NumPy reference."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastmlp.spec import NetworkSpec, Outcome, Run, Scaling, name_tensors, weights_and_biases

__all__ = ["Engine", "optimizer_state", "set_optimizer_state"]


class Engine(Protocol):
    """A backend's engine: arithmetic on arrays that have been validated already.

    `threads` is the exact number of threads if positive; 0 lets the engine choose, -n lets it choose up to n. `n_steps`
    counts the updates that the optimizer's present state has made; it can be set, for a state that was written.

    Everything that has a number per parameter is read and written as tensors by name: "layers.0.weight" (n_in, n_out),
    "layers.0.bias" (n_out,), "layers.1.weight" and so on. What they are is their kind: "parameters"; "state.0",
    "state.1", ... of the optimizer; "average", a moving one of the parameters, from `keep_average` on, which begins
    it at them as they are; "gradient", which is the last one that `gradient` has left, and cannot be written.
    `kinds` are those that can be read now. `gradient` returns the loss; it also fills `out`, for whom a signal's
    handler may come between the call and `read`, and ask for a gradient of its own. `penalty` is what the weights
    add to the loss by the l1 and l2 of the specification. It is in the losses of `train`, and in the loss and the
    gradient of `gradient`, but of no row: who sums up the row losses of `evaluate` adds it.

    `forward` fills `out` and returns a tape, which `backward` pulls back: from derivatives by the outputs, to those by
    the parameters, in one vector in the order of `read`, and by the inputs; both without penalties, and exact sums over
    the rows. With a seed, `forward` drops and adds noise as the next step of a training with that seed would. A tape
    serves until the parameters change. `write_transposed`, and `backward` if it is asked to, have weights as (n_out,
    n_in); tapes stay good behind it, as whoever keeps the parameters says. `apply` makes the update of a step by a
    gradient and a row of the optimizer's table. `over_tensors` returns what writes, predicts, and pulls back with the
    tensors of the library whose DLPack exchange table that is, or None.

    `scale` normalises columns of X and y as they are read. Outputs of `predict`, `evaluate` and `forward` are in the
    units of y then; losses, traces and the derivatives that `backward` takes and gives are of what has been normalised.

    X of `train`, `predict` and `evaluate` may be sparse rows (`fastmlp.data.sparse.Sparse`) where it `takes_sparse`,
    which it does unless inputs are scaled; `train` takes none that are mixed or noted, or that anything is dropped of.

    `scale` normalises columns of X and y as they are read. Outputs of `predict`, `evaluate` and `forward` are in the
    units of y then; losses, traces and the derivatives that `backward` takes and gives are of what has been normalised.

    `gradient_size` is how many numbers each gradient has that a run with a cut exchanges, in an order of the engine's
    own: it is the same for engines of one specification, backend and ISA. It is known once such a run has begun.

    Handlers of signals run where the engine is at rest: they may read, and what would change it raises a RuntimeError;
    `running` says what they interrupt. In a forked child, `forked` comes first: it is False where another thread of the
    parent was just changing parameters.
    """

    def __init__(self, spec: NetworkSpec, isa: str | None = None) -> None: ...
    @property
    def isa(self) -> str: ...
    @property
    def kinds(self) -> tuple[str, ...]: ...
    @property
    def n_steps(self) -> int: ...
    @n_steps.setter
    def n_steps(self, n_steps: int) -> None: ...
    def running(self) -> str | None: ...
    def forked(self) -> bool: ...
    def read(self, kind: str = "parameters") -> dict[str, NDArray[Any]]: ...
    def write(self, tensors: Mapping[str, NDArray[Any]], kind: str = "parameters") -> None: ...
    def write_transposed(self, arrays: Sequence[NDArray[Any]], threads: int) -> None: ...
    def use_optimizer(self, name: str | None) -> None: ...
    def keep_average(self, keep: bool = True) -> None: ...
    def scale(self, inputs: Scaling | None, targets: Scaling | None) -> None: ...
    @property
    def takes_sparse(self) -> bool: ...
    def copy(self, into: Any = None, threads: int = 1) -> object: ...
    def restore(self, copy: Any) -> None: ...
    def is_finite(self, threads: int = 1) -> bool: ...
    def penalty(self) -> float: ...
    def start_profile(self) -> None: ...
    def stop_profile(self) -> tuple[dict[str, float], float, float]: ...
    def weight_sums(
        self, weight: NDArray[np.float64] | None, order: NDArray[np.int64], batch_size: int, epoch_rows: int = 0
    ) -> NDArray[np.float64]: ...
    def train(self, run: Run, threads: int) -> Outcome: ...
    @property
    def gradient_size(self) -> int: ...
    def explain_threads(self) -> list[str]: ...
    def predict(self, X: NDArray[Any], out: NDArray[Any], threads: int, check: bool = False) -> bool: ...
    def predict_small(self, X: object) -> NDArray[Any] | None: ...
    def evaluate(
        self, X: NDArray[Any], y: NDArray[Any], out: NDArray[Any], row_loss: NDArray[np.float64], threads: int
    ) -> None: ...
    def gradient(
        self,
        X: NDArray[Any],
        y: NDArray[Any],
        weight: NDArray[np.float64] | None,
        threads: int,
        out: dict[str, NDArray[Any]] | None = None,
    ) -> float: ...
    def trace(
        self, X: NDArray[Any], y: NDArray[Any] | None, threads: int, by_outputs: NDArray[Any] | None = None
    ) -> tuple[list[NDArray[Any]], list[NDArray[Any]], list[NDArray[Any]] | None]: ...
    def forward(self, X: NDArray[Any], out: NDArray[Any], threads: int, seed: int | None = None) -> Any: ...
    def backward(
        self,
        tape: Any,
        by_outputs: NDArray[Any],
        gradient: NDArray[Any] | None,
        by_inputs: NDArray[Any] | None,
        threads: int,
        transposed: bool = False,
    ) -> None: ...
    def apply(
        self,
        tensors: Mapping[str, NDArray[Any]],
        table: NDArray[np.float64],
        groups: tuple[int, ...],
        clip_norm: float | None,
        clip_value: float | None,
        threads: int,
    ) -> None: ...
    def over_tensors(self, table: object) -> Any: ...


def optimizer_state(engine: Engine) -> list[tuple[list[NDArray[Any]], list[NDArray[Any]]]]:
    """The optimizer's state, one (weights, biases) per slot."""
    return [weights_and_biases(engine.read(kind)) for kind in engine.kinds if kind.startswith("state.")]


def set_optimizer_state(
    engine: Engine, state: Sequence[tuple[list[NDArray[Any]], list[NDArray[Any]]]], n_steps: int = 0
) -> None:
    """The inverse of `optimizer_state`, and the number of updates that made the state what it is."""
    for slot, (weights, biases) in enumerate(state):
        engine.write(name_tensors(weights, biases), f"state.{slot}")
    engine.n_steps = n_steps
