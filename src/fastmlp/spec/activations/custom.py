"""A user's own activation: two functions of arrays in Python, which engines call where a layer's signals are whole."""

# ruff: noqa: ARG002 - all activations have one signature

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.spec.activations.base import Activation
from fastmlp.spec.checks import shown

if TYPE_CHECKING:
    from fastmlp.spec.activations.base import Scratch
    from fastmlp.spec.names import Array

__all__ = ["CustomActivation"]

#: fn(signals) -> outputs, or slopes
ElementFunction: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True)
class CustomActivation(Activation):
    """An activation of one's own: fn(z) returns the outputs of a layer, slope(z) their derivatives, element by element.

    It serves hidden layers and the output layer, in training, prediction, `loss_and_grad` and `trace`, on both
    backends. It is slow: Python computes for every block of rows, and such a network uses one thread.

    Parameters
    ----------
    fn : callable
        Gets the signals of a layer for some rows, an array (B, O) of the network's dtype that is its own, and returns
        an array of that shape: f of each of them.
    slope : callable
        Gets the same, and returns f'(z) of each. What either raises comes out of `fit`, with the network as it was
        after the last whole step.

    Raises
    ------
    TypeError
        If one of them is not callable; and when it is called, TypeError or ValueError if what it returns is not as
        above.

    Notes
    -----
    A file holds no functions: `save` notes their names alone, and `load` wants ``activation=CustomActivation(fn,
    slope)`` (or ``output=``) again. Pickles hold them where they can be pickled, as functions of a module can.

    Examples
    --------
    >>> import numpy as np, fastmlp
    >>> square = fastmlp.CustomActivation(np.square, lambda z: 2 * z)
    >>> net = fastmlp.MLP([1, 1, 1], activation=square)
    >>> net.weights, net.biases = [[[1.0]], [[1.0]]], [[0.0], [0.0]]
    >>> net.predict([[2.0], [3.0]]).tolist()
    [[4.0], [9.0]]
    """

    name: ClassVar[str] = "custom"
    custom: ClassVar[bool] = True
    keeps: ClassVar[Literal["output", "signal"]] = "signal"

    fn: ElementFunction
    slope: ElementFunction

    def __post_init__(self) -> None:
        for name in ("fn", "slope"):
            value = getattr(self, name)
            if not callable(value):
                raise TypeError(f"{name} must be callable, got {shown(value)} of type {type(value).__name__}")

    @property
    def params(self) -> tuple[float, ...]:
        """No numbers: kernels know nothing of it."""
        return ()

    @property
    def functions(self) -> tuple[str, str]:
        """Names of the functions, for messages and files."""
        return _name_of(self.fn), _name_of(self.slope)

    def of(self, z: Array) -> Array:
        """Call the function: f(z) of signals (B, O), of their dtype."""
        return _checked(self.fn, z)

    def slope_of(self, z: Array) -> Array:
        """Call the function of the slope: f'(z) of signals (B, O), of their dtype."""
        return _checked(self.slope, z)

    def forward(self, z: Array, scratch: Scratch) -> None:
        """Put what the function says where z was."""
        np.copyto(z, self.of(z))

    def backward(self, kept: Array, d: Array, scratch: Scratch) -> None:
        """Multiply d by what the function of the slope says."""
        np.multiply(d, self.slope_of(kept), out=d)

    def to_dict(self) -> dict[str, Any]:
        """Name of the activation and of its functions."""
        fn, slope = self.functions
        return {"name": self.name, "fn": fn[-80:], "slope": slope[-80:]}

    def written(self) -> str:
        """Return the text by which one means it."""
        return f"CustomActivation({', '.join(name.rpartition('.')[2] for name in self.functions)})"


def _name_of(function: object) -> str:
    known: Any = function if hasattr(function, "__qualname__") else type(function)
    module = getattr(known, "__module__", None)  # NumPy's ufuncs have none in some versions
    return f"{module}.{known.__qualname__}" if module else str(known.__qualname__)


def _checked(function: ElementFunction, z: Array) -> Array:
    shape, dtype = z.shape, z.dtype
    array = np.asarray(function(z.copy()))
    if array.dtype.kind not in "fiu":
        raise TypeError(f"what {_name_of(function)} returns must be real numbers, got dtype {array.dtype}")
    if array.shape != shape:
        raise ValueError(
            f"what {_name_of(function)} returns must have shape {shape}, as the signals have, got {array.shape}"
        )
    return np.ascontiguousarray(array, dtype)
