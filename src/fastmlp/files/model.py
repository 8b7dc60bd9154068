"""Trained networks in files: what a network is and where its training stands, as named tensors and a description."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastmlp.data import check_finite
from fastmlp.files.header import Entry, parse_json
from fastmlp.files.tensors import FilePath, read_tensor, reading, save_file
from fastmlp.spec import NetworkSpec, Optimizer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["ModelFile", "load_model", "save_model"]

Array: TypeAlias = NDArray[Any]

_FORMAT: Final = 1
_FIELDS: Final = frozenset({"format", "spec", "seed", "epoch", "step", "optimizer", "slots"})
_MAX_SEED: Final = 2**64 - 1
_MAX_COUNT: Final = 2**61  # of epochs and steps: far enough from 2**63 that training can go on counting


@dataclass(frozen=True, eq=False)
class ModelFile:
    """All that a network needs to go on where it stopped, checked when it is made.

    Parameters
    ----------
    spec : NetworkSpec
        What the network is.
    weights : list of ndarray of shape (n_in, n_out)
        One for each layer, in the network's dtype, finite.
    biases : list of ndarray of shape (n_out,)
        One for each layer, in the network's dtype, finite.
    seed : int
        Of the random numbers, in [0, 2**64).
    epoch : int
        Epochs that training has completed, in [0, 2**61].
    optimizer : dict, optional
        As `Optimizer.to_dict` makes it.
    step : int
        Steps that the optimizer has made, in [0, 2**61].
    state : list of (list of ndarray, list of ndarray)
        The optimizer's slots, each shaped as (weights, biases). They may hold infinities, as Adam's second moment can
        overflow, but no NaN.

    Raises
    ------
    TypeError, ValueError
        A field is not what it must be; the message names the tensor or field.
    """

    spec: NetworkSpec
    weights: list[Array]
    biases: list[Array]
    seed: int = 0
    epoch: int = 0
    optimizer: dict[str, Any] | None = None
    step: int = 0
    state: list[tuple[list[Array], list[Array]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        _check_count(self.seed, "seed", _MAX_SEED)
        _check_count(self.epoch, "epoch", _MAX_COUNT)
        _check_count(self.step, "step", _MAX_COUNT)
        if self.optimizer is not None:
            Optimizer.from_dict(self.optimizer)
        if self.optimizer is None and self.state:
            raise ValueError(f"state has {len(self.state)} slots without an optimizer; it must be empty")
        for name, array in _layer_tensors(self.spec, "", self.weights, self.biases):
            check_finite(array, name)
        for slot, (weights, biases) in enumerate(self.state):
            for name, array in _layer_tensors(self.spec, _slot_prefix(slot), weights, biases):
                if np.isnan(array.min()):  # NaN wins a minimum
                    raise ValueError(f"{name} has NaN in it")


def save_model(path: FilePath, model: ModelFile) -> None:
    """Write a network to a file, which then holds the old network or the new one, whatever happens.

    Parameters
    ----------
    path : str, bytes or path-like
        Conventionally ``*.safetensors``. Layer k is in the tensors ``layers.k.weight`` and ``layers.k.bias``, slot s of
        the optimizer in ``optimizer.s.layers.k.weight`` and ``.bias``, all else as JSON in the metadata's ``fastmlp``.
    model : ModelFile

    Raises
    ------
    OSError
        The file cannot be written; what was there before is untouched.
    """
    tensors = dict(_layer_tensors(model.spec, "", model.weights, model.biases))
    for slot, (weights, biases) in enumerate(model.state):
        tensors.update(_layer_tensors(model.spec, _slot_prefix(slot), weights, biases))
    description = {
        "format": _FORMAT,
        "spec": model.spec.to_dict(),
        "seed": str(model.seed),  # JSON numbers of other readers end at 2**53
        "epoch": model.epoch,
        "step": model.step,
        "optimizer": model.optimizer,
        "slots": len(model.state),
    }
    save_file(path, tensors, {"fastmlp": json.dumps(description, allow_nan=False)})


def load_model(path: FilePath) -> ModelFile:
    """Read a network that `save_model` wrote.

    Parameters
    ----------
    path : str, bytes or path-like

    Returns
    -------
    ModelFile

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The file is not one of ours, or is damaged; the message names the file and the fault.
    """
    with reading(path) as (file, entries, metadata):
        try:
            return _read_model(file, entries, metadata)
        except TypeError as error:  # the specification's checks tell types from values; in a file both are damage
            raise ValueError(str(error)) from error


def _slot_prefix(slot: int) -> str:
    return f"optimizer.{slot}."


def _layer_shapes(spec: NetworkSpec, prefix: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    for k, layer in enumerate(spec.layers):
        yield f"{prefix}layers.{k}.weight", (layer.n_in, layer.n_out)
        yield f"{prefix}layers.{k}.bias", (layer.n_out,)


def _layer_tensors(
    spec: NetworkSpec, prefix: str, weights: Sequence[Array], biases: Sequence[Array]
) -> list[tuple[str, Array]]:
    """Name the arrays of all layers, and check that they are what the spec says."""
    n_layers = len(spec.layers)
    if len(weights) != n_layers or len(biases) != n_layers:
        raise ValueError(
            f"{prefix}layers: {len(weights)} weights and {len(biases)} biases; the network has {n_layers} layers"
        )
    arrays = [array for pair in zip(weights, biases, strict=True) for array in pair]
    dtype = np.dtype(spec.dtype)
    tensors = []
    for (name, shape), array in zip(_layer_shapes(spec, prefix), arrays, strict=True):
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{name} is a {type(array).__name__}; it must be an array")
        _check_tensor(name, array.dtype, array.shape, dtype, shape)
        tensors.append((name, array))
    return tensors


def _check_tensor(
    name: str, dtype: np.dtype[Any], shape: tuple[int, ...], wanted: np.dtype[Any], wanted_shape: tuple[int, ...]
) -> None:
    if dtype != wanted or shape != wanted_shape:
        raise ValueError(f"{name} is {dtype} of shape {shape}; the network needs {wanted} of shape {wanted_shape}")


def _check_count(value: Any, name: str, limit: int) -> None:
    if type(value) is not int or not 0 <= value <= limit:
        raise ValueError(f"{name} is {value!r:.40}; it must be an integer from 0 to {limit}")


def _read_model(file: BinaryIO, entries: dict[str, Entry], metadata: dict[str, str]) -> ModelFile:
    if "fastmlp" not in metadata:
        raise ValueError('not a fastmlp model: its metadata has no "fastmlp"')
    # A hidden layer, with two tensors or more, takes less than 100 characters and four commas and brackets.
    description = parse_json(
        metadata["fastmlp"], 'metadata "fastmlp"', 2000 + 200 * len(entries), 100 + 4 * len(entries)
    )
    version = description.get("format")
    if type(version) is not int or version != _FORMAT:
        raise ValueError(f"model format is {version!r:.40}; this version of fastmlp reads format {_FORMAT}")
    if description.keys() != _FIELDS:
        raise ValueError(f"model description must have the fields {', '.join(sorted(_FIELDS))}")
    seed, slots = description["seed"], description["slots"]
    if not isinstance(seed, str) or re.fullmatch(r"[0-9]{1,20}", seed, re.ASCII) is None:
        raise ValueError(f"seed is {seed!r:.40}; it must be a string of decimal digits")
    _check_count(slots, "slots", len(entries))
    spec = NetworkSpec.from_dict(description["spec"])

    # The specification says which tensors there must be, so that no other is read or allocated.
    n_tensors = 2 * (len(spec.sizes) - 1) * (1 + slots)
    if len(entries) != n_tensors:
        raise ValueError(
            f"{len(entries)} tensors; {len(spec.sizes) - 1} layers and {slots} optimizer slots make {n_tensors}"
        )
    groups = [list(_layer_shapes(spec, prefix)) for prefix in ("", *map(_slot_prefix, range(slots)))]
    dtype = np.dtype(spec.dtype)
    for name, shape in (pair for group in groups for pair in group):
        if name not in entries:
            raise ValueError(f"tensor {name!r} is missing")
        _check_tensor(name, entries[name].dtype, entries[name].shape, dtype, shape)
    arrays = [[read_tensor(file, name, entries[name]) for name, _ in group] for group in groups]
    return ModelFile(
        spec=spec,
        weights=arrays[0][0::2],
        biases=arrays[0][1::2],
        seed=int(seed),
        epoch=description["epoch"],
        optimizer=description["optimizer"],
        step=description["step"],
        state=[(group[0::2], group[1::2]) for group in arrays[1:]],
    )
