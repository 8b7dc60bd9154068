"""The base of the losses: what a loss says of itself, and a block of rows of which the NumPy engine asks it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from fastmlp.spec.checks import choice, shown
from fastmlp.spec.operations import Operation, read_operation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastmlp.spec.activations.base import Scratch
    from fastmlp.spec.names import Array

__all__ = ["Interval", "Loss", "LossRows", "Target"]


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
        """Targets as an array (B, O), which they are unless the loss takes labels."""
        assert self.target.values is not None
        return self.target.values


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

    Keras and PyTorch take means over the K outputs of a row, too, so that learning rates and weight decay do not carry
    over. With the same data, ours is theirs times:

    ====================  =============================================
    squared_error         K / 2 (their mse has no 1/2)
    binary_cross_entropy  K
    cross_entropy         1
    poisson               K, and a constant that has no gradient
    absolute_error        K
    huber, log_cosh       K
    quantile              K
    ====================  =============================================

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
    custom : bool
        Whether it is a user's own function in Python, of which engines have no kernel.
    metric : str
        What `evaluate` reports beside it: "accuracy", or "r2" or "d2" for the share of `deviance` that is explained.
    """

    output: ClassVar[str] = ""
    usual: ClassVar[bool] = False
    targets: ClassVar[Interval] = Interval()
    labels: ClassVar[bool] = False
    distribution: ClassVar[bool] = False
    custom: ClassVar[bool] = False
    metric: ClassVar[str]

    def target_width(self, n_outputs: int) -> int:
        """Count the columns of the targets of a network with so many outputs."""
        return n_outputs

    def rows(self, block: LossRows) -> None:
        """Compute row losses and the delta of a block of rows: the NumPy engine's, and the formula for people to read.

        A loss that is fused with an output activation leaves outputs where logits were, and the delta is dE/dz; for any
        other it is dE/da. Each row's delta is multiplied by its scale.
        """
        raise NotImplementedError(f"{type(self).__name__} has no formula in NumPy")

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
