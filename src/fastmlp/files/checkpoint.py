"""A network and where its training stands, as it goes into files, pickles and other engines: tensors by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fastmlp.data import check_finite
from fastmlp.spec import NOT_NORMALIZED, Array, NetworkSpec, Normalizing, Optimizer
from fastmlp.spec.checks import integer

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Checkpoint", "check_tensor", "file_name", "kinds_of"]

_MAX_SEED: Final = 2**64 - 1
_MAX_COUNT: Final = 2**61  # of epochs and steps: far enough from 2**63 that training can go on counting


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Everything that a network needs to go on where it stopped, checked when it is made.

    Parameters
    ----------
    spec : NetworkSpec
        What the network is.
    tensors : mapping of str to (mapping of str to ndarray)
        By kind, what engines read and write: "parameters", the optimizer's "state.0", "state.1", ..., and "average", a
        moving average of the parameters, if one is kept; each holds all of "layers.0.weight" of shape (n_in, n_out),
        "layers.0.bias" (n_out,), "layers.1.weight" and so on, in the network's dtype. Parameters and average are
        finite; state may hold infinities, as Adam's second moment can overflow, but no NaN.
    seed : int
        Of the random numbers, in [0, 2**64).
    epoch : int
        Epochs that training has completed, in [0, 2**61].
    optimizer : Optimizer, optional
        None before the first training.
    step : int
        Steps that the optimizer has made, in [0, 2**61].
    first_epoch : int
        Of the epochs, those before the optimizer's state began, in [0, epoch].
    feature_names : tuple of str, optional
        One for each input.
    normalizing : Normalizing
        What is normalised as it is read.
    training : mapping, optional
        Of a training that is not over, what else it stands on: a tree of texts, numbers and arrays (train/record.py).

    Raises
    ------
    TypeError, ValueError
        A field is not what it must be; the message names the tensor or field.
    """

    spec: NetworkSpec
    tensors: Mapping[str, Mapping[str, Array]]
    seed: int = 0
    epoch: int = 0
    optimizer: Optimizer | None = None
    step: int = 0
    first_epoch: int = 0
    feature_names: tuple[str, ...] | None = None
    normalizing: Normalizing = NOT_NORMALIZED
    training: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for name, limit in (("seed", _MAX_SEED), ("epoch", _MAX_COUNT), ("step", _MAX_COUNT)):
            object.__setattr__(self, name, integer(getattr(self, name), name, 0, limit))
        object.__setattr__(self, "first_epoch", integer(self.first_epoch, "first_epoch", 0, self.epoch))
        if self.optimizer is not None and not isinstance(self.optimizer, Optimizer):
            raise TypeError(f"optimizer is {self.optimizer!r:.80}; it must be an Optimizer, or None")
        names = self.feature_names
        if names is not None and (len(names) != self.spec.sizes[0] or not all(type(name) is str for name in names)):
            raise ValueError(f"feature_names must be a string for each of {self.spec.sizes[0]} inputs")
        self.normalizing.check(self.spec)
        if tuple(self.tensors) != kinds_of(self.states, self.average):
            raise ValueError(
                f"tensors are of the kinds {', '.join(map(repr, self.tensors))}; "
                "they must be 'parameters', then 'state.0', 'state.1', ..., and 'average' if there is one"
            )
        if self.optimizer is None and self.states:
            raise ValueError(f"there are {self.states} states without an optimizer; there must be none")
        for kind, tensors in self.tensors.items():
            self._check(kind, tensors)

    def _check(self, kind: str, tensors: Mapping[str, Array]) -> None:
        shapes = shapes_of(self.spec, kind)
        dtype = np.dtype(self.spec.dtype)
        if tensors.keys() != shapes.keys():
            different = min(tensors.keys() ^ shapes.keys())
            fault = "is missing" if different in shapes else "is none of the network's"
            raise ValueError(f"tensor {file_name(kind, different)!r:.80} {fault}")
        for name, shape in shapes.items():
            array, full = tensors[name], file_name(kind, name)
            if not isinstance(array, np.ndarray):
                raise TypeError(f"{full} is a {type(array).__name__}; it must be an array")
            check_tensor(full, array.dtype, array.shape, dtype, shape)
            if kind in ("parameters", "average"):
                check_finite(array, full)
                if name.endswith(".running_var") and array.min() < 0:
                    raise ValueError(f"{full} has a negative variance in it")
            elif np.isnan(array.min()):  # NaN wins a minimum
                raise ValueError(f"{full} has NaN in it")

    @property
    def states(self) -> int:
        """Number of states that the optimizer keeps for each parameter."""
        return len(self.tensors) - 1 - self.average

    @property
    def average(self) -> bool:
        """Whether there is a moving average of the parameters."""
        return "average" in self.tensors


def kinds_of(states: int, average: bool = False) -> tuple[str, ...]:
    """The kinds of tensors of a network whose optimizer keeps so many numbers for each parameter, and of an average."""
    return ("parameters", *(f"state.{state}" for state in range(states)), *(("average",) if average else ()))


def shapes_of(spec: NetworkSpec, kind: str) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors of a kind: statistics that are not trained have no optimizer's state."""
    return spec.all_shapes if kind in ("parameters", "average") else spec.shapes


def file_name(kind: str, name: str) -> str:
    """Return the name of a tensor in files and messages: parameters have their name alone."""
    return name if kind == "parameters" else f"{kind}.{name}"


def check_tensor(
    name: str, dtype: np.dtype[Any], shape: tuple[int, ...], wanted: np.dtype[Any], wanted_shape: tuple[int, ...]
) -> None:
    """Refuse a tensor that is not what the network needs."""
    if dtype != wanted or shape != wanted_shape:
        raise ValueError(f"{name} is {dtype} of shape {shape}; the network needs {wanted} of shape {wanted_shape}")
