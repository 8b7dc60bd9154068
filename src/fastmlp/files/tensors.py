"""Named arrays in files of the safetensors layout, with NumPy alone.

A file is eight bytes of little-endian header length, a JSON header, and the tensors' bytes
(https://github.com/huggingface/safetensors#format). Writing replaces a file as a whole or not at all; reading trusts
nothing that it finds.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias

import numpy as np

from fastmlp.files.header import DTYPES, MAX_HEADER, Entry, parse_header, read_header
from fastmlp.spec import Array

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["FilePath", "load_file", "read_tensor", "reading", "replacing", "save_file"]

FilePath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]

_NAMES: Final = {dtype: name for name, dtype in DTYPES.items()}


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

    with replacing(path) as file:
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
    with reading(path) as (file, entries, metadata):
        return {name: read_tensor(file, name, entry) for name, entry in entries.items()}, metadata


# --- reading ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def reading(path: FilePath) -> Iterator[tuple[BinaryIO, dict[str, Entry], dict[str, str]]]:
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
    """Return a path as text. Numbers are no paths: `open` would take them for descriptors, and close them."""
    try:
        return os.fsdecode(path)
    except TypeError:
        raise TypeError(f"path must be a str, bytes or path-like, got {path!r:.80} ({type(path).__name__})") from None


def _open_without_waiting(path: str, flags: int) -> int:
    # A FIFO would otherwise wait for a writer; regular files do not care.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_tensor(file: BinaryIO, name: str, entry: Entry) -> Array:
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
def replacing(path: FilePath) -> Iterator[BinaryIO]:
    """Open a temporary file beside the target of path, which replaces it when the block is left without an error."""
    path = _name_of(path)
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:  # new, or a link whose target is
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        raise OSError(f"{path}: not a regular file; it cannot be replaced")
    target = Path(path).resolve()
    temporary = target.parent / f".fastmlp-{os.urandom(8).hex()}.tmp"
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
