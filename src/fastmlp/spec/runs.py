"""The records of a run: its arguments, its outcome, the names of tensors, and the stages that a profile tells apart."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["STAGES", "Cut", "Outcome", "Run", "Tensors", "name_tensors", "weights_and_biases"]


class Tensors(Protocol):
    """A number per parameter of a network, where the engine keeps it."""

    def read(self) -> dict[str, NDArray[Any]]:
        """Copies by name."""

    def write(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        """Replace all of them."""

    def squared_norm(self) -> float:
        """The sum of all squares, in an order that depends on the network alone."""


@dataclass(slots=True, eq=False)
class Cut:
    """The steps of a run where several processes make each together, one or more shares of its rows each.

    Share i of the k that this process has of step s is the rows ``order[starts[s k + i] : starts[s k + i + 1]]``, which
    may be none. Each share's rows go through the network as a batch's, but are weighted by the whole batch's sum of
    weights, so that the gradient of the whole batch is the sum of all shares'.

    Attributes
    ----------
    shares : int
        k; without `exchange`, 1.
    starts : ndarray of int64, shape (steps k + 1,)
    places : ndarray of int64, shape (steps k,)
        The number of each share's first row in the whole batch: of what is random in a step.
    weight_sums : ndarray of float64, shape (steps,)
        The sum of the weights of each whole batch.
    losses : ndarray of float64, shape (steps k,)
        Filled with sum w l over the rows of each share, and the run's own `losses` with the penalties alone.
    exchange : callable or None
        ``exchange(step, gradients)`` where the gradients of a step's own shares have been summed up: arrays in memory
        and an order of the engine's, each with a number behind its last one that nobody else uses. What it leaves in
        the first is taken for the gradient of all shares of all processes. False gives the step up, as a loss that is
        not finite does. Called as hooks are; the number of threads is not tried out then. None: this process makes an
        update of its own.
    """

    shares: int
    starts: NDArray[np.int64]
    places: NDArray[np.int64]
    weight_sums: NDArray[np.float64]
    losses: NDArray[np.float64]
    exchange: Callable[[int, list[NDArray[Any]]], bool] | None = None


# Runs and outcomes are made for every call of an engine, and nobody changes them. To freeze them would be 7 % of what
# an epoch of one small step costs (15,000 of 215,000 instructions): a frozen dataclass sets each field by a call.


@dataclass(slots=True, eq=False)
class Run:
    """A run of training steps: what one call of `Engine.train` reads, and where it leaves its numbers.

    Step s takes the rows ``order[s * batch_size : (s + 1) * batch_size]`` and row s of the table.

    Attributes
    ----------
    X : ndarray, shape (n, d0)
        Any source dtype, any strides.
    y : ndarray
        int32 class labels (n,), or (n, O) of any source dtype.
    weight : ndarray of float64, shape (n,), or None
        A weight per row of X; a batch whose weights sum to 0 changes nothing.
    order : ndarray of int64, shape (m,)
        Row numbers.
    batch_size : int
        Rows of a step; the last batch may be smaller.
    table : ndarray of float64, shape (steps, S), or (steps, G S)
        From the optimizer's `scalars`: a row per step.
    losses : ndarray of float64, shape (steps,)
        Filled with each batch's weighted mean loss before its update, and the penalties of the weights.
    squared_weights : ndarray of float64, shape (steps,), or None
        Filled with the sum of all squared weights (not biases) before each update.
    row_losses, row_norms : ndarray of float64, shape (n,), or None
        Filled with the own loss of each row that was taken, and the norm of its gradient by all weights and biases,
        before its batch's update: sum over layers of |delta|^2 (|inputs|^2 + 1), the root; NaN where its weight is 0.
    at_loss : callable, optional
        ``at_loss(step, rows, outputs, row_loss, deltas)`` between the loss and the backward pass, for some or all of a
        step's rows at a time: which of the order (a slice), their outputs (B, O), losses (B,) and dE/dz (B, O), each
        row's multiplied by its part of the batch's weight. What it leaves in the latter two is what counts. A batch is
        then not cut into microbatches, whose sums have other last bits.
    at_gradient : callable, optional
        ``at_gradient(step, gradient)`` between the gradient of a step's whole batch, which are `Tensors` that it may
        write, and the update. No bit changes for its being there. What it leaves is what is clipped.
    clip_norm : float or None
        How large the norm of a batch's gradient may be: g *= min(1, clip_norm / (|g| + 1e-6)), over weights and biases
        of all layers, penalties included, and before an optimizer's own decay.
    clip_value : float or None
        How large each of its entries may be, in magnitude.
    groups : tuple of int
        Which of the G parts of a row of the table each tensor follows, "layers.0.weight", "layers.0.bias" and so on;
        empty where there is one.
    average : float
        After each update, average += share (w - average) of all parameters, by this share; 0: no average is kept, or it
        stays as it is.
    seed : int, default 0
        Of what is random in a step, 0 <= seed < 2**64: with the engine's count of updates it tells which units are
        dropped, and what noise there is.
    mixing : ndarray of float64, shape (steps,), or None
        Of each step, a share: each of its rows becomes (1 - share) times itself plus share times the next row of its
        batch, the last one's being the first; so do targets, a class as a row with a single one, and weights. Not with
        row_losses and row_norms, and only where the loss has `mixes`.
    cut : Cut or None
        How rows are cut into steps where several processes make each together, instead of by `batch_size`. Not with
        `mixing`, nor where layers normalise whole batches.
    epoch_rows : int, default 0
        The order has several epochs, one behind the other, of so many rows each, and the last batch of each may be
        smaller; 0: it has one. Not with `cut` and `mixing`.
    lazy : bool
        Whether of the first layer's weights, and of the optimizer's state of them, a step touches only the rows of
        those columns that its batch has an entry in. X is sparse rows then; without at_gradient, clip_norm and cut.

    Both hooks are called by the thread that called `train`, which may read the engine there, and not change it. What
    they raise ends the run before the update of the step, with the status "interrupted".
    """

    X: NDArray[Any]
    y: NDArray[Any]
    weight: NDArray[np.float64] | None
    order: NDArray[np.int64]
    batch_size: int
    table: NDArray[np.float64]
    losses: NDArray[np.float64]
    squared_weights: NDArray[np.float64] | None = None
    row_losses: NDArray[np.float64] | None = None
    row_norms: NDArray[np.float64] | None = None
    at_loss: Callable[[int, slice, NDArray[Any], NDArray[np.float64], NDArray[Any]], None] | None = None
    at_gradient: Callable[[int, Tensors], None] | None = None
    clip_norm: float | None = None
    clip_value: float | None = None
    groups: tuple[int, ...] = ()
    average: float = 0.0
    seed: int = 0
    mixing: NDArray[np.float64] | None = None
    cut: Cut | None = None
    lazy: bool = False
    epoch_rows: int = 0


@dataclass(slots=True)
class Outcome:
    """The end of a run of steps: what `Engine.train` returns.

    Attributes
    ----------
    steps : int
        Whole steps done; the parameters are those after that many updates.
    status : str
        "done", "interrupted" (a signal handler or a hook raised) or "non_finite" (the loss of step number `steps` was).
    exception : BaseException or None
        What it raised.
    weight_sums : ndarray of float64, one per step of the run
        The sum of the weights of each batch's rows, or the number of its rows: what its mean loss was divided by.
    """

    steps: int
    status: str
    exception: BaseException | None = None
    weight_sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0), compare=False, repr=False)


def name_tensors(weights: Sequence[NDArray[Any]], biases: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Name one array of weights and one of biases per layer as the engine does: "layers.0.weight", "layers.0.bias"."""
    tensors = {}
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        tensors[f"layers.{layer}.weight"], tensors[f"layers.{layer}.bias"] = weight, bias
    return tensors


def weights_and_biases(tensors: Mapping[str, NDArray[Any]]) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """The inverse of `name_tensors`: lists with an array per layer; layers may have others, too."""
    names = [name.removesuffix(".weight") for name in tensors if name.endswith(".weight")]
    return [tensors[f"{name}.weight"] for name in names], [tensors[f"{name}.bias"] for name in names]


#: Stages of a training step, in its order: what a profile tells apart.
STAGES = ("gather", "forward", "loss", "backward", "update", "wait")
