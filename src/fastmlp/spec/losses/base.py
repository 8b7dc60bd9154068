"""The base of the losses: what a loss says of itself, and a block of rows of which the NumPy engine asks it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from fastmlp.spec.checks import check_fields, choice, flag, not_negative, shown
from fastmlp.spec.operations import Operation, read_operation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.spec.activations.base import Scratch
    from fastmlp.spec.names import Array

__all__ = ["ElementwiseLoss", "Interval", "Loss", "LossRows", "OutputsLoss", "Target"]


class Target(NamedTuple):
    """What B rows should give: class labels, or an array."""

    values: Array | None  # (B, O), net dtype
    labels: NDArray[np.intp] | None  # (B,): the label of row r, plus r * O: where it is in a C-contiguous (B, O)


class LossRows(NamedTuple):
    """A block of B rows of the output layer, as the NumPy engine hands it to a loss. Mirror of csrc's fm_loss_rows."""

    a: Array  # (B, O), C-contiguous: logits for a loss that is fused with its output activation, or outputs
    target: Target
    scale: Any  # of the rows' deltas: a number, or (B, 1)
    d: Array  # (B, O), C-contiguous: the delta
    row_loss: NDArray[np.float64]  # (B,)
    scratch: Scratch

    @property
    def y(self) -> Array:
        """Targets as an array (B, O), a label as a single one."""
        if self.target.values is not None:
            return self.target.values
        assert self.target.labels is not None
        y = np.zeros_like(self.a)
        y.reshape(-1)[self.target.labels] = 1.0
        return y


@dataclass(frozen=True)
class Interval:
    """The numbers from `low` to `high`, both included, or without `low` itself where `above` says so.

    Examples
    --------
    >>> Interval(0).rule, Interval(0, 1).rule, Interval(0, above=True).rule
    ('be at least 0', 'lie in [0, 1]', 'be greater than 0')
    """

    low: float = -math.inf
    high: float = math.inf
    above: bool = False

    def holds(self, values: Array) -> bool:
        """Whether all numbers of an array lie in the interval; NaN does not."""
        return bool(
            not values.size
            or (
                (self.low == -math.inf or values.min() > self.low or (not self.above and values.min() == self.low))
                and (self.high == math.inf or values.max() <= self.high)
            )
        )

    def outside(self, values: Array) -> NDArray[np.bool_]:
        """Mark the numbers of an array that do not lie in the interval."""
        below = values <= self.low if self.above else values < self.low
        return below if self.high == math.inf else below | (values > self.high)

    @property
    def rule(self) -> str:
        """What numbers of the interval do, for an error message after "must"."""
        if self.high < math.inf:
            return f"lie in [{self.low}, {self.high}]"
        if self.above:
            return f"be greater than {self.low}"
        return f"be at least {self.low}" if self.low > -math.inf else "be finite"


@dataclass(frozen=True)
class Loss(Operation):
    """Base of the losses; a loss is of a row, that of a batch is the (weighted) mean of its rows'.

    How they relate to those of Keras and PyTorch stands in docs/losses.md.

    Attributes
    ----------
    output : str
        The output activation that it is computed together with, from the signals; "" if it goes with any.
    usual : bool
        Whether it is the loss of networks with that output, where the user names none.
    targets : Interval
        What targets must lie in.
    labels : bool
        Whether a row's target may also be the number of its class.
    distribution : bool
        Whether a row of targets is a distribution: its numbers sum to 1.
    mixes : bool
        Whether a target between two others stands for a mixture of both: then rows can be mixed (`fit(mixup=...)`).
    in_units : bool
        Whether it is of errors: outputs that are identities are in the targets' units, which may be others then.
    custom : bool
        Whether it is a user's own function in Python, of which engines have no kernel.
    deviations : bool
        Whether each target has two outputs, its estimate and the standard deviation of that.
    metric : str
        What `evaluate` reports beside it: "accuracy", or "r2" or "d2" for the share of `deviance` that is explained.
    """

    output: ClassVar[str] = ""
    usual: ClassVar[bool] = False
    targets: ClassVar[Interval] = Interval()
    labels: ClassVar[bool] = False
    distribution: ClassVar[bool] = False
    mixes: ClassVar[bool] = False
    in_units: ClassVar[bool] = False
    custom: ClassVar[bool] = False
    deviations: ClassVar[bool] = False
    metric: ClassVar[str]

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        cls.__repr__ = Loss.__repr__  # type: ignore[method-assign] # which a dataclass then leaves alone

    def __repr__(self) -> str:
        told = [each for each in fields(self) if not each.kw_only or not self._is_default(each)]
        given = ", ".join(f"{each.name}={getattr(self, each.name)!r}" for each in told)
        return f"{type(self).__name__}({given})"

    @property
    def heads(self) -> int:
        """How many outputs each target has, side by side."""
        return 1

    @property
    def levels(self) -> tuple[float, ...]:
        """What distinguishes the outputs of a target that are alike but for this; they are predicted in their order."""
        return ()

    def target_width(self, n_outputs: int) -> int:
        """Count the columns of the targets of a network with so many outputs."""
        return n_outputs // self.heads

    def estimates(self, outputs: Array) -> Array:
        """Return of each target the output that estimates it: of several, the one that metrics are taken of."""
        return outputs

    def finish(self, outputs: Array) -> None:
        """Make of outputs (n, O) what is predicted, in place: of several for each target, what they stand for."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that `evaluate` reports where nobody names others."""
        return (self.metric,)

    @property
    def ignored(self) -> int | None:
        """The number in the place of a class by which rows say that they have none, and are left out."""
        return None

    @property
    def ignores_nan(self) -> bool:
        """Whether targets may be NaN, and are left out then."""
        return False

    @property
    def leaves_out(self) -> bool:
        """Whether rows may have no target, and weigh 0 then."""
        return self.ignores_nan or self.ignored is not None

    @property
    def weights(self) -> tuple[float, ...]:
        """What the terms of each target are multiplied by; none: they count alike."""
        return ()

    def counted_rows(self, block: LossRows) -> None:
        """Compute what `rows` does, with the weights of targets and without those that are left out."""
        self.rows(block)

    def rows(self, block: LossRows) -> None:
        """Compute row losses and the delta of a block of rows: the NumPy engine's, and the formula for people to read.

        A loss that is fused with an output activation leaves outputs where logits were, and the delta is dE/dz; for any
        other it is dE/da. Each row's delta is multiplied by its scale.
        """
        raise NotImplementedError(f"{type(self).__name__} has no formula in NumPy")

    def factor(self, n_outputs: int) -> float:  # noqa: ARG002 - of those that are means
        """Return what row losses and deltas of a network with so many outputs are multiplied by."""
        return 1.0

    def deviance(self, y: Array, mean: Array) -> Array:
        """Return what of each target a prediction leaves unexplained, where the metric is a share of that."""
        raise NotImplementedError(f"{self.name} has no deviance, its metric is {self.metric}")

    def described(self) -> str | dict[str, Any]:
        """Its name where its parameters are the default ones, else as `to_dict` says."""
        return self.name if self == type(self)() else self.to_dict()

    @staticmethod
    def from_dict(data: object) -> Loss:
        """The loss that `described` or `to_dict` gave; anything else is a TypeError or ValueError."""
        from fastmlp.spec.losses.registry import LOSS_NAMES, LOSSES

        if isinstance(data, Mapping) and data.get("name") == "custom":
            raise ValueError(
                f"the network was made with CustomLoss({shown(data.get('function'))}), and files hold no functions: "
                "load(path, loss=fastmlp.CustomLoss(fn)) gives it again"
            )
        if isinstance(data, str):
            return LOSSES[choice(data, "loss name", LOSS_NAMES)]()
        return read_operation(data, "loss", LOSSES)


@dataclass(frozen=True)
class OutputsLoss(Loss):
    """Base of the losses that are sums over the outputs of a row, or means over them as in Keras and PyTorch.

    Parameters
    ----------
    reduction : {"sum", "mean"}, default "sum", by keyword only
        Over the outputs of a row. (A batch's loss is the mean of its rows' losses in any case.)

    Attributes
    ----------
    mean_names : tuple of str
        Names by which users mean the one with ``reduction="mean"``.
    mean_factor : float
        What the mean over outputs is multiplied by, where the literature's mean is not of the sum's terms.
    """

    mean_names: ClassVar[tuple[str, ...]] = ()
    mean_factor: ClassVar[float] = 1.0
    later: ClassVar[tuple[str, ...]] = ("reduction",)

    reduction: str = field(default="sum", kw_only=True)

    def __post_init__(self) -> None:
        choice(self.reduction, "reduction", ("sum", "mean"))

    def factor(self, n_outputs: int) -> float:
        """1, or that of a mean."""
        return 1.0 if self.reduction == "sum" else self.mean_factor / n_outputs


@dataclass(frozen=True)
class ElementwiseLoss(OutputsLoss):
    """Base of the losses that are sums of a term for each target, which may count more or less than the others.

    Parameters
    ----------
    reduction : {"sum", "mean"}, default "sum", by keyword only
        Over the outputs of a row, also of those whose targets are left out.
    ignore_nan : bool, default False, by keyword only
        Whether targets may be NaN: their terms are 0, and so are their gradients. A row of which all targets are NaN
        weighs 0. Without, NaN is an error.
    output_weights : sequence of float, optional, by keyword only
        What the terms of each target are multiplied by, >= 0, one for each of the row's targets.
    """

    later: ClassVar[tuple[str, ...]] = (*OutputsLoss.later, "ignore_nan", "output_weights")

    ignore_nan: bool = field(default=False, kw_only=True)
    output_weights: tuple[float, ...] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, ignore_nan=flag, output_weights=_weights)

    @property
    def ignores_nan(self) -> bool:
        """As asked for."""
        return self.ignore_nan

    @property
    def weights(self) -> tuple[float, ...]:
        """As asked for."""
        return self.output_weights or ()

    def counted_rows(self, block: LossRows) -> None:
        """Compute what `rows` does, each target as a row of its own, of which some are left out and others weighted."""
        if not self.ignore_nan and self.output_weights is None:
            self.rows(block)
            return
        n_rows, heads = len(block.a), self.heads
        y = block.y.reshape(-1, 1)
        there = ~np.isnan(y)
        size = (len(y), heads)
        scratch = type(block.scratch)(np.empty_like(block.a, shape=size), np.empty(size, bool), np.empty_like(y))
        terms, d = np.empty(len(y)), np.empty_like(block.d, shape=size)
        target = type(block.target)(np.where(there, y, np.ones_like(y)), None)
        self.rows(LossRows(block.a.reshape(size), target, 1.0, d, terms, scratch))
        count = there * np.resize(self.weights or 1.0, y.shape)
        counted = np.where(count == 0.0, 0.0, terms[:, np.newaxis] * count)
        np.sum(counted.reshape(n_rows, -1), axis=1, out=block.row_loss)
        delta = np.where(count == 0.0, 0.0, d * count).reshape(block.d.shape)
        np.multiply(delta, block.scale, out=block.d, casting="same_kind")


def _weights(value: object, name: str) -> tuple[float, ...] | None:
    """Check the argument ``output_weights``."""
    if value is None:
        return None
    if not isinstance(value, (Sequence, np.ndarray)) or isinstance(value, (str, bytes)):
        raise TypeError(f"{name} must be a sequence of numbers, got {shown(value)} of type {type(value).__name__}")
    weights = tuple(not_negative(each, f"{name}[{place}]") for place, each in enumerate(value))
    if not any(weights):
        raise ValueError(f"{name} must have a number > 0, got {shown(list(weights))}")
    return weights
