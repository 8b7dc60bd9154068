"""The losses by name: what users may type, and the class that is meant."""

from __future__ import annotations

from typing import TypeAlias

from fastmlp.spec.checks import shown
from fastmlp.spec.losses import cosine, deviances, entropies, focal, gaussian, margins, regression
from fastmlp.spec.losses.base import Loss, OutputsLoss
from fastmlp.spec.losses.custom import CustomLoss
from fastmlp.spec.losses.regression import SquaredError
from fastmlp.spec.operations import aliases_of, as_operation, kinds_of

__all__ = ["LOSSES", "LOSS_ALIASES", "LOSS_NAMES", "MEANS", "LossName", "as_loss", "loss_of_output"]

LossName: TypeAlias = (
    regression.Name
    | entropies.Name
    | focal.Name
    | deviances.Name
    | margins.Name
    | cosine.Name
    | gaussian.Name
)  # fmt: skip

#: By name.
LOSSES: dict[str, type[Loss]] = kinds_of(Loss, regression, entropies, focal, deviances, margins, cosine, gaussian)
LOSS_NAMES: tuple[str, ...] = tuple(LOSSES)
#: Other names of theirs; those of MEANS are of their means over outputs.
LOSS_ALIASES: dict[str, str] = aliases_of(LOSSES)
MEANS: dict[str, Loss] = {
    name: kind(reduction="mean")
    for kind in LOSSES.values()
    if issubclass(kind, OutputsLoss)
    for name in kind.mean_names
}


def as_loss(loss: str | Loss, name: str = "loss") -> Loss:
    """The loss meant by a name or an object; `name` is the argument that an error speaks of.

    Examples
    --------
    >>> as_loss("cross_entropy"), as_loss("mse")
    (CrossEntropy(clip=0.0, label_smoothing=0.0), SquaredError(reduction='mean'))
    """
    if isinstance(loss, CustomLoss):
        return loss
    if callable(loss):
        raise TypeError(
            f"{name} must be a name or a Loss, got {shown(loss)}; CustomLoss(fn) makes a loss of a function"
        )
    if isinstance(loss, str) and loss in MEANS:
        return MEANS[loss]
    return as_operation(loss, name, Loss, LOSSES, {**LOSS_ALIASES, **{each: loss.name for each, loss in MEANS.items()}})


def loss_of_output(output: str) -> Loss:
    """The loss that goes with an output activation: the one that is computed together with it, or the squared error.

    Examples
    --------
    >>> loss_of_output("softmax"), loss_of_output("exp"), loss_of_output("tanh")
    (CrossEntropy(clip=0.0, label_smoothing=0.0), Poisson(), SquaredError())
    """
    return next((kind() for kind in LOSSES.values() if kind.output == output and kind.usual), SquaredError())
