"""Arrays and trained networks in files of the safetensors layout, with NumPy alone.

A file is eight bytes of little-endian header length, a JSON header, and the tensors' bytes
(https://github.com/huggingface/safetensors#format). Writing replaces a file as a whole or not at all; reading trusts
nothing that it finds.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import secrets
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .data import check_finite
from .header import DTYPES, MAX_HEADER, Entry, parse_header, parse_json, read_header
from .spec import NetworkSpec, Optimizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["ModelFile", "load_file", "load_model", "save_file", "save_model"]

Array: TypeAlias = NDArray[Any]
FilePath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]

_NAMES: Final = {dtype: name for name, dtype in DTYPES.items()}
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
    with _reading(path) as (file, entries, metadata):
        try:
            return _read_model(file, entries, metadata)
        except TypeError as error:  # the specification's checks tell types from values; in a file both are damage
            raise ValueError(str(error)) from error


def save_file(path: FilePath, tensors: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> None:
    """Write named arrays to a safetensors file, which then holds the old content or the new, whatever happens.

    The content goes to a temporary file ``.fastmlp-*.tmp`` in the same directory, is flushed to the disk, and replaces
    the file in one step. A symbolic link stays one: the file it points to is replaced. An existing file's permission
    bits are kept. A process that is killed while writing leaves its temporary file behind.

    Parameters
    ----------
    path : str, bytes or path-like
    tensors : mapping of str to ndarray
        Of any shape and strides; float64, float32, float16, the integers of 8 to 64 bits, or bool.
    metadata : mapping of str to str, optional

    Raises
    ------
    TypeError
        A name or text is not a string, or a dtype cannot be stored.
    ValueError
        A name is ``"__metadata__"``, a text is not valid Unicode, or there is more than a file may have: a header of
        8 MiB with 65,536 tensors of 32 dimensions and 1000 metadata of 4 MiB.
    OSError
        The file cannot be written; what was there before is untouched.
    """
    header: dict[str, Any] = {}
    if metadata:
        pairs: Iterable[tuple[object, object]] = metadata.items()
        for key, text in pairs:
            if not isinstance(key, str) or not isinstance(text, str):
                raise TypeError(f"metadata must map str to str; it has {key!r:.80}: {type(text).__name__}")
        header["__metadata__"] = dict(metadata)
    arrays: dict[str, Array] = {}
    for name, array in tensors.items():
        if not isinstance(name, str):
            raise TypeError(f"tensor name {name!r:.80} is a {type(name).__name__}; it must be a str")
        if name == "__metadata__":
            raise ValueError("a tensor must not be named '__metadata__'")
        arrays[name] = np.asarray(array)
        if arrays[name].dtype.newbyteorder("=") not in _NAMES:
            raise TypeError(
                f"tensor {name!r} has dtype {arrays[name].dtype}; "
                f"it must be one of {', '.join(str(dtype) for dtype in _NAMES)}"
            )
    # Wide elements first: with the padded header, every tensor is aligned in the file.
    arrays = dict(sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize))
    offset = 0
    for name, array in arrays.items():
        end = offset + array.nbytes
        code = _NAMES[array.dtype.newbyteorder("=")]
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [offset, end]}
        offset = end
    try:
        encoded = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"a tensor name or metadata text is not valid Unicode: {error}") from error
    encoded += b" " * (-len(encoded) % 8)
    if len(encoded) > MAX_HEADER:
        raise ValueError(f"names and metadata take {len(encoded)} bytes; they may take {MAX_HEADER}")
    parse_header(encoded, 8 + len(encoded) + offset)  # nothing is saved that would not be loaded

    with _replacing(path) as file:
        file.write(len(encoded).to_bytes(8, "little"))
        file.write(encoded)
        for array in arrays.values():
            stored = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
            file.write(stored.reshape(-1).view(np.uint8).data)


def load_file(path: FilePath) -> tuple[dict[str, Array], dict[str, str]]:
    """Read all tensors and the metadata of a safetensors file.

    Parameters
    ----------
    path : str, bytes or path-like

    Returns
    -------
    tensors : dict of str to ndarray
        Writable, C-contiguous, native byte order; in the order of the header.
    metadata : dict of str to str

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The file is damaged, or not a safetensors file of the dtypes of `save_file`; the message names the file and the
        fault. What a header may hold is bounded, and no more memory is asked for than the file is large.
    """
    with _reading(path) as (file, entries, metadata):
        return {name: _read_tensor(file, name, entry) for name, entry in entries.items()}, metadata


# --- reading ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _reading(path: FilePath) -> Iterator[tuple[BinaryIO, dict[str, Entry], dict[str, str]]]:
    """Open a file and check its header; every ValueError in the block is given the file's name."""
    path = _name_of(path)
    with open(path, "rb", opener=_open_without_waiting) as file:
        try:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("not a regular file")
            entries, metadata = read_header(file, status.st_size)
            yield file, entries, metadata
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        except RecursionError as error:  # in the repr of what a message shows
            raise ValueError(f"{path}: nested too deeply") from error


def _name_of(path: FilePath) -> str:
    """A path as text. Numbers are no paths: `open` would take them for descriptors, and close them."""
    try:
        return os.fsdecode(path)
    except TypeError:
        raise TypeError(f"path must be a str, bytes or path-like, got {path!r:.80} ({type(path).__name__})") from None


def _open_without_waiting(path: str, flags: int) -> int:
    # A FIFO would otherwise wait for a writer; regular files do not care.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read_tensor(file: BinaryIO, name: str, entry: Entry) -> Array:
    flat = np.empty(math.prod(entry.shape), entry.dtype)
    content = flat.view(np.uint8)
    if content.size:
        file.seek(entry.begin)
        count = file.readinto(content.data)  # type: ignore[attr-defined]  # typeshed's BinaryIO has no readinto
        if count != content.size:
            raise ValueError(f"truncated while it was read: tensor {name!r:.80} ends after {count} bytes")
    if entry.dtype == np.bool_ and content.size and content.max() > 1:
        raise ValueError(f"tensor {name!r:.80} has dtype BOOL and bytes other than 0 and 1")
    if sys.byteorder == "big":
        flat.byteswap(inplace=True)
    return flat.reshape(entry.shape)


# --- writing ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _replacing(path: FilePath) -> Iterator[BinaryIO]:
    """Open a temporary file beside the target of path, which replaces it when the block is left without an error."""
    path = _name_of(path)
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:  # new, or a link whose target is
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        raise OSError(f"{path}: not a regular file; it cannot be replaced")
    target = Path(path).resolve()
    temporary = target.parent / f".fastmlp-{secrets.token_hex(8)}.tmp"
    # The kernel applies the umask to a new file; what replaces a private one is private from the beginning.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(temporary, flags, 0o666 if mode is None else 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), mode & 0o777)
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_directory(target.parent)


def _sync_directory(directory: Path) -> None:
    """Make the new name durable where the system can; the file's content is either way."""
    if hasattr(os, "O_DIRECTORY"):
        with contextlib.suppress(OSError):
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


# --- models -----------------------------------------------------------------------------------------------------------


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
    arrays = [[_read_tensor(file, name, entries[name]) for name, _ in group] for group in groups]
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
