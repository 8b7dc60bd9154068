"""A user's own loss: a function of arrays in Python, which engines call where they have computed a batch's outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from fastmlp.spec.checks import shown
from fastmlp.spec.losses.base import Loss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.spec.losses.base import LossRows
    from fastmlp.spec.names import Array

__all__ = ["CustomLoss"]

#: fn(outputs, targets) -> (row losses, gradient by the outputs)
LossFunction: TypeAlias = Callable[[Any, Any], tuple[Any, Any]]


@dataclass(frozen=True)
class CustomLoss(Loss):
    """A loss of one's own: fn(outputs, targets) returns the rows' losses and their derivatives by the outputs.

    It works in training, evaluation, `loss_and_grad` and `trace`, with any output activation (whose slope fastmlp
    applies), weights of rows, and both backends. It is slow: for every batch (for every part of one that is too large
    for the caches) all threads wait while Python computes. The metric beside it is "r2".

    Parameters
    ----------
    fn : callable
        Gets outputs and targets, arrays (B, O) of the network's dtype that are its own, and returns two arrays: of each
        row its loss, (B,), and of each output the derivative of its row's loss, (B, O). Rows are not weighted and not
        averaged there. What it raises comes out of `fit`, with the network as it was after the last whole step. It may
        read the network, and not change it.

    Raises
    ------
    TypeError
        If fn is not callable; and in training, TypeError or ValueError if what it returns is not as above.

    Notes
    -----
    A file holds no functions: `save` notes the function's name alone, and `load` wants ``loss=CustomLoss(fn)`` again.
    Pickles hold it where it can be pickled, as functions of a module can.

    Examples
    --------
    >>> import numpy as np, fastmlp
    >>> def asymmetric(outputs, targets):
    ...     errors = outputs - targets
    ...     weights = np.where(errors > 0, 1.0, 3.0)  # too little is three times as bad as too much
    ...     return (weights * errors**2).sum(axis=1), 2 * weights * errors
    >>> net = fastmlp.MLP([1, 1], loss=fastmlp.CustomLoss(asymmetric), dtype="float64")
    >>> net.weights, net.biases = [[[1.0]]], [[0.0]]
    >>> net.evaluate([[1.0], [2.0]], [[2.0], [1.0]])["loss"]
    2.0
    """

    name: ClassVar[str] = "custom"
    metric: ClassVar[str] = "r2"
    mixes: ClassVar[bool] = True
    custom: ClassVar[bool] = True

    fn: LossFunction

    def __post_init__(self) -> None:
        if not callable(self.fn):
            raise TypeError(f"fn must be callable, got {shown(self.fn)} of type {type(self.fn).__name__}")

    @property
    def params(self) -> tuple[float, ...]:
        """No numbers: kernels know nothing of it."""
        return ()

    @property
    def function(self) -> str:
        """Name of the function, for messages and files."""
        known = self.fn if hasattr(self.fn, "__qualname__") else type(self.fn)
        return f"{known.__module__}.{known.__qualname__}"

    def of(self, outputs: Array, targets: Array) -> tuple[NDArray[np.float64], Array]:
        """Call the function: losses of the rows (B,), and their derivatives by the outputs (B, O), of their dtype."""
        shape, dtype = outputs.shape, outputs.dtype
        returned: Any = self.fn(outputs, targets)
        if not isinstance(returned, (tuple, list)) or len(returned) != 2:
            raise TypeError(
                f"{self.function} must return two arrays, row losses and gradient, got {shown(returned)} "
                f"of type {type(returned).__name__}"
            )
        losses = self._checked(returned[0], "row losses", shape[:1], "one for each row")
        gradient = self._checked(returned[1], "the gradient", shape, "as the outputs have")
        return losses.astype(np.float64), gradient.astype(dtype)

    def _checked(self, value: object, what: str, shape: tuple[int, ...], why: str) -> Array:
        array = np.asarray(value)
        if array.dtype.kind not in "fiu":
            raise TypeError(f"{what} that {self.function} returns must be real numbers, got dtype {array.dtype}")
        if array.shape != shape:
            raise ValueError(f"{what} that {self.function} returns must have shape {shape}, {why}, got {array.shape}")
        return array

    def rows(self, block: LossRows) -> None:
        """What the function says; delta its gradient."""
        losses, gradient = self.of(block.a.copy(), block.y.copy())
        np.copyto(block.row_loss, losses)
        np.multiply(gradient, block.scale, out=block.d)

    def deviance(self, y: Array, mean: Array) -> Array:
        """Return the squared distance of targets and predictions."""
        error: Array = np.square(y - mean)
        return error

    def to_dict(self) -> dict[str, Any]:
        """Name of the loss and of the function."""
        return {"name": self.name, "function": self.function}

    def described(self) -> dict[str, Any]:
        """Name of the loss and of the function: there is no default one."""
        return self.to_dict()

    def written(self) -> str:
        """Return the text by which one means it."""
        return f"CustomLoss({self.function.rpartition('.')[2]})"
