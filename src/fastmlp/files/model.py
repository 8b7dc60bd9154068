"""Checkpoints in files: tensors by name, and a description in JSON in the metadata's "fastmlp".

Two formats are read, and the second is written. It takes additions without a third: what a reader does not know is left
out, a field of the description as well as a tensor, unless the description's "needs" names it. Not so within "spec" and
"optimizer", nor among the tensors "layers.*" and "state.*": they say what is computed, and all of it has to be known.
"""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np

from fastmlp.files.checkpoint import Checkpoint, check_tensor, file_name, kinds_of, shapes_of
from fastmlp.files.header import Entry, parse_json, read_header
from fastmlp.files.tensors import FilePath, read_tensor, reading, save_file
from fastmlp.files.tree import pack, unpack
from fastmlp.spec import NOT_NORMALIZED, Activation, Array, Loss, NetworkSpec, Normalizing, Optimizer, Scaling
from fastmlp.spec.checks import flag, integer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["SEVERAL", "load_model", "parse_model", "read_model", "save_model", "written"]

#: In the metadata of a file of several networks, how many they are.
SEVERAL: Final = "fastmlp.networks"

#: By format, the fields that a description must have.
_FIELDS: Final = {
    1: frozenset({"format", "spec", "seed", "epoch", "step", "optimizer", "slots"}),
    2: frozenset({"format", "needs", "spec", "seed", "epoch", "step", "optimizer", "states"}),
}
_NEEDS: Final = frozenset({"normalize"})  # what a description may need beside its fields


def save_model(path: FilePath, checkpoint: Checkpoint) -> None:
    """Write a network to a file, which then holds the old network or the new one, whatever happens.

    Parameters
    ----------
    path : str, bytes or path-like
        Conventionally ``*.safetensors``. Layer k is in the tensors ``layers.k.weight`` and ``layers.k.bias``, state s
        of the optimizer in ``state.s.layers.k.weight`` and ``.bias``, the moving average in ``average.layers.k.weight``
        and ``.bias``, all else as JSON in the metadata's ``fastmlp``.
    checkpoint : Checkpoint

    Raises
    ------
    OSError
        The file cannot be written; what was there before is untouched.
    ValueError
        Names of columns, or the state of a callback, would make a file that cannot be read.
    """
    save_file(path, *written(checkpoint))


def written(checkpoint: Checkpoint) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the tensors and the metadata of a network's file."""
    optimizer = checkpoint.optimizer
    description = {
        "format": max(_FIELDS),
        "needs": [],
        "spec": checkpoint.spec.to_dict(),
        "seed": str(checkpoint.seed),  # JSON numbers of other readers end at 2**53
        "epoch": checkpoint.epoch,
        "step": checkpoint.step,
        "optimizer": None if optimizer is None else optimizer.to_dict(),
        "states": checkpoint.states,
    }
    if checkpoint.average:
        description["average"] = True  # which a reader may leave out, and its tensors
    if checkpoint.first_epoch:
        description["first_epoch"] = checkpoint.first_epoch  # which a reader may leave out, unless schedules count it
    tensors = {file_name(kind, name): a for kind, named in checkpoint.tensors.items() for name, a in named.items()}
    if checkpoint.normalizing is not NOT_NORMALIZED:
        description["normalize"], more = _normalized(checkpoint.normalizing)
        description["needs"] = ["normalize"]  # without it, the outputs would be others
        tensors |= more
    metadata = {"fastmlp": json.dumps(description, allow_nan=False)}
    if checkpoint.feature_names is not None:  # beside it: a reader bounds the description's length
        metadata["feature_names"] = json.dumps({"names": checkpoint.feature_names})
        _feature_names(metadata, checkpoint.spec.sizes[0])  # nothing is saved that would not be loaded
    if checkpoint.training is not None:
        metadata["training"], arrays = pack(checkpoint.training)
        tensors |= {f"training.{number}": array for number, array in enumerate(arrays)}
    return tensors, metadata


def load_model(
    path: FilePath,
    loss: str | Loss | None = None,
    activation: str | Activation | Sequence[str | Activation] | None = None,
    output: str | Activation | None = None,
) -> Checkpoint:
    """Read a network that `save_model` wrote, also one of format 1.

    Parameters
    ----------
    path : str, bytes or path-like
    loss, activation, output : optional
        In the place of the file's.

    Returns
    -------
    Checkpoint

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The file is not one of ours, or is damaged; the message names the file and the fault.
    """
    with reading(path) as (file, entries, metadata):
        try:
            return read_model(file, entries, metadata, {"loss": loss, "activation": activation, "output": output})
        except TypeError as error:  # the specification's checks tell types from values; in a file both are damage
            raise ValueError(str(error)) from error


def parse_model(content: bytes | memoryview) -> Checkpoint:
    """Read a network out of the bytes of a file that `save_model` wrote; any fault is a ValueError."""
    try:
        with io.BytesIO(content) as file:
            return read_model(file, *read_header(file, len(content)))
    except TypeError as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:  # in the repr of what a message shows
        raise ValueError("nested too deeply") from error


def read_model(
    file: BinaryIO, entries: dict[str, Entry], metadata: dict[str, str], others: Mapping[str, Any] | None = None
) -> Checkpoint:
    """Read a network of these tensors and this metadata, with others of what `NetworkSpec.from_dict` takes."""
    if SEVERAL in metadata:
        raise ValueError("the file has several networks: fastmlp.Ensemble.load reads it")
    if "fastmlp" not in metadata:
        raise ValueError('not a fastmlp model: its metadata has no "fastmlp"')
    # A hidden layer, with two tensors or more, takes less than 100 characters and four commas and brackets.
    description = parse_json(
        metadata["fastmlp"], 'metadata "fastmlp"', 2000 + 200 * len(entries), 100 + 4 * len(entries)
    )
    version = _checked_format(description)
    count = "slots" if version == 1 else "states"
    seed, states = description["seed"], description[count]
    if not isinstance(seed, str) or re.fullmatch(r"[0-9]{1,20}", seed, re.ASCII) is None:
        raise ValueError(f"seed is {seed!r:.40}; it must be a string of decimal digits")
    states = integer(states, count, 0, len(entries))
    average = flag(description.get("average", False), "average")
    spec = NetworkSpec.from_dict(description["spec"], **(others or {}))
    optimizer = description["optimizer"]
    places = _places(spec, kinds_of(states, average), entries, version)
    return Checkpoint(
        spec=spec,
        tensors={
            kind: {name: read_tensor(file, *place) for name, place in named.items()} for kind, named in places.items()
        },
        seed=int(seed),
        epoch=description["epoch"],
        optimizer=None if optimizer is None else Optimizer.from_dict(optimizer),
        step=description["step"],
        first_epoch=description.get("first_epoch", 0),
        training=_read_training(file, entries, metadata),
        feature_names=_feature_names(metadata, spec.sizes[0]),
        normalizing=_normalizing(file, entries, description, spec),
    )


def _normalized(normalizing: Normalizing) -> tuple[dict[str, str | None], dict[str, Array]]:
    """Return the description of what is normalised, and the tensors of what is known of it."""
    tensors: dict[str, Array] = {}
    for of, scaling in (("inputs", normalizing.input_scaling), ("targets", normalizing.target_scaling)):
        if scaling is not None:
            tensors |= {f"{of}.shift": scaling.shift, f"{of}.scale": scaling.scale}
    return {"inputs": normalizing.inputs, "targets": normalizing.targets}, tensors


def _normalizing(
    file: BinaryIO, entries: Mapping[str, Entry], description: Mapping[str, Any], spec: NetworkSpec
) -> Normalizing:
    """Read what is normalised, and by what; tensors that are not there have not been measured."""
    kinds = description.get("normalize")
    if kinds is None:
        return NOT_NORMALIZED
    if not isinstance(kinds, dict) or kinds.keys() != {"inputs", "targets"}:
        raise ValueError(f"normalize is {kinds!r:.80}; it must say how inputs and targets are")
    scalings = []
    for of, columns in (("inputs", spec.sizes[0]), ("targets", spec.loss.target_width(spec.sizes[-1]))):
        arrays = []
        for name in (f"{of}.shift", f"{of}.scale"):
            if name in entries:
                check_tensor(name, entries[name].dtype, entries[name].shape, np.dtype(np.float64), (columns,))
                arrays.append(read_tensor(file, name, entries[name]))
        if len(arrays) == 1:
            raise ValueError(f"of the tensors {of}.shift and {of}.scale one is missing")
        scalings.append(Scaling(*arrays) if arrays else None)
    return Normalizing(kinds["inputs"], kinds["targets"], *scalings)


def _feature_names(metadata: Mapping[str, str], n_inputs: int) -> tuple[str, ...] | None:
    """Read the names of the inputs; None where there are none."""
    if "feature_names" not in metadata:
        return None
    encoded = metadata["feature_names"]
    names = parse_json(encoded, 'metadata "feature_names"', len(encoded), len(encoded)).get("names")
    if not isinstance(names, list) or len(names) != n_inputs:
        raise ValueError(f"feature_names must be a list of {n_inputs} strings")
    return tuple(names)


def _checked_format(description: Mapping[str, Any]) -> int:
    """The format of a description that has all of its fields and needs nothing that is not known here."""
    version = description.get("format")
    if type(version) is not int or version not in _FIELDS:
        known = " and ".join(map(str, _FIELDS))
        raise ValueError(f"model format is {version!r:.40}; this version of fastmlp reads the formats {known}")
    fields = _FIELDS[version]
    if not description.keys() >= fields or (version == 1 and description.keys() != fields):
        raise ValueError(f"model description must have the fields {', '.join(sorted(fields))}")
    needs = description.get("needs", [])
    if not isinstance(needs, list) or not all(isinstance(need, str) for need in needs):
        raise ValueError(f"needs is {needs!r:.80}; it must be a list of strings")
    for need in needs:
        if need not in _NEEDS:
            raise ValueError(f"the model needs {need!r:.80}, which this version of fastmlp does not know")
    return version


def _places(
    spec: NetworkSpec, kinds: tuple[str, ...], entries: Mapping[str, Entry], version: int
) -> dict[str, dict[str, tuple[str, Entry]]]:
    """Find the names and places of the network's tensors in the file, by kind and name.

    The specification says which there must be, so that no other is read or allocated.
    """
    n_layers = len(spec.sizes) - 1
    dtype = np.dtype(spec.dtype)
    n_tensors = sum(len(shapes_of(spec, kind)) for kind in kinds)
    if len(entries) < n_tensors or (version == 1 and len(entries) > n_tensors):
        states = sum(kind.startswith("state.") for kind in kinds)
        raise ValueError(f"{len(entries)} tensors; {n_layers} layers and {states} optimizer states make {n_tensors}")
    places: dict[str, dict[str, tuple[str, Entry]]] = {}
    known = set()
    for kind in kinds:
        places[kind] = {}
        for name, shape in shapes_of(spec, kind).items():
            called = file_name(kind.replace("state", "optimizer") if version == 1 else kind, name)
            if called not in entries:
                raise ValueError(f"tensor {called!r} is missing")
            check_tensor(called, entries[called].dtype, entries[called].shape, dtype, shape)
            places[kind][name] = called, entries[called]
            known.add(called)
    for name in entries:
        if name not in known and name.startswith(("layers.", "state.")):
            raise ValueError(f"tensor {name!r:.80} is none of the network's")
    return places


def _read_training(file: BinaryIO, entries: Mapping[str, Entry], metadata: Mapping[str, str]) -> dict[str, Any] | None:
    """Read what a training that is not over stands on, if there is one: it is checked by whoever goes on with it."""
    if "training" not in metadata:
        return None
    arrays: list[Array] = []
    while (name := f"training.{len(arrays)}") in entries:
        arrays.append(read_tensor(file, name, entries[name]))
    return unpack(metadata["training"], arrays)
