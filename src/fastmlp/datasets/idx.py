"""The IDX format of MNIST (http://yann.lecun.com/exdb/mnist/), plain or gzip, read without trust.

Two zero bytes, a type, the number of dimensions, each size as a big-endian 32-bit number, then the elements.
"""

from __future__ import annotations

import gzip
import math
import os
import stat
import sys
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DTYPES: Final[dict[int, np.dtype[Any]]] = {
    0x08: np.dtype(np.uint8),
    0x09: np.dtype(np.int8),
    0x0B: np.dtype(np.int16),
    0x0C: np.dtype(np.int32),
    0x0D: np.dtype(np.float32),
    0x0E: np.dtype(np.float64),
}
_GZIP: Final = b"\x1f\x8b"
_DEFLATE_RATIO: Final = 1032  # a byte of deflate makes no more: 258 bytes from two bits


def load_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read an array from an IDX file, the format of MNIST and its relatives.

    Parameters
    ----------
    path : str or path-like
        Plain or gzip, whatever its name is.

    Returns
    -------
    ndarray
        uint8, int8, int16, int32, float32 or float64 in native byte order, in the file's shape.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The file is not IDX, truncated, too long or corrupt; the message names the file and the fault. No more is
        decompressed than the header announces, and a byte to see that it ends there.

    Examples
    --------
    >>> import fastmlp, tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "labels.idx"
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))
    ...     fastmlp.datasets.load_idx(path)
    array([7, 8, 9], dtype=uint8)
    """
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("not a regular file")
        with Path(path).open("rb") as file:
            is_gzip = file.read(len(_GZIP)) == _GZIP
            file.seek(0)
            if not is_gzip:
                return _read(file, status.st_size)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _read(unpacked, status.st_size * _DEFLATE_RATIO)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{os.fspath(path)}: corrupt gzip: {error}") from error
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from error


def _read(file: IO[bytes] | gzip.GzipFile, limit: int) -> NDArray[Any]:
    """Read an array from a file that can yield no more than limit bytes."""
    magic = file.read(4)
    if not magic:
        raise ValueError("the file is empty")
    if len(magic) < 4:
        raise ValueError(f"truncated header: {len(magic)} bytes of the 4 that say type and dimensions")
    if magic[:2] != b"\0\0":
        raise ValueError(f"not an IDX file: it begins with {magic[:2].hex(' ')}, not with two zero bytes")
    if magic[2] not in _DTYPES:
        known = ", ".join(f"0x{code:02x}" for code in _DTYPES)
        raise ValueError(f"unknown element type 0x{magic[2]:02x}; IDX has {known}")
    dtype, n_dimensions = _DTYPES[magic[2]], magic[3]
    if n_dimensions == 0:
        raise ValueError("the header announces no dimensions; an array has at least one")
    header = file.read(4 * n_dimensions)
    if len(header) < 4 * n_dimensions:
        raise ValueError(f"truncated header: {len(header)} bytes of sizes; {n_dimensions} dimensions take 4 each")
    shape = tuple(int(size) for size in np.frombuffer(header, ">u4"))

    # Python's integers do not overflow, so a product beyond the file's end is seen here and never allocated.
    n_elements = math.prod(shape)
    n_bytes = n_elements * dtype.itemsize
    if 4 + len(header) + n_bytes > limit:
        raise ValueError(f"truncated: shape {shape} of {dtype} takes {n_bytes} bytes, more than the file can hold")
    flat = np.empty(n_elements, dtype)
    try:
        array = flat.reshape(shape)  # too many dimensions for NumPy, or too large ones beside an empty one
    except ValueError as error:
        raise ValueError(f"{n_dimensions} dimensions that NumPy cannot hold: {error}") from error
    count = _fill(file, flat.view(np.uint8))
    if count < n_bytes:
        raise ValueError(f"truncated: {count} bytes of elements; shape {shape} of {dtype} takes {n_bytes}")
    if file.read(1):
        raise ValueError(f"trailing bytes after the {n_bytes} of shape {shape} of {dtype}")
    if sys.byteorder == "little":
        flat.byteswap(inplace=True)
    return array


def _fill(file: IO[bytes] | gzip.GzipFile, content: NDArray[np.uint8]) -> int:
    """Read until content is full or the file ends; gzip hands out what it has."""
    position = 0
    while position < content.size:
        chunk = file.read(min(content.size - position, 1 << 20))
        if not chunk:
            break
        content[position : position + len(chunk)] = np.frombuffer(chunk, np.uint8)
        position += len(chunk)
    return position
