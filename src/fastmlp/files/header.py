"""The JSON header of a safetensors file, read as if an enemy had written it.

It is taken piece by piece from the bytes and checked as it goes, so that what it becomes in memory is bounded by what
it may say, not by what Python makes of the worst JSON of its length (26 bytes for each byte of ``[],[],[],``).
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DTYPES", "MAX_HEADER", "Entry", "parse_header", "parse_json", "read_header"]

DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U64": np.dtype(np.uint64),
    "U32": np.dtype(np.uint32),
    "U16": np.dtype(np.uint16),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}
# 10,000 layers and Adam's moments of each are 60,000 tensors of 97 bytes in the header.
MAX_HEADER: Final = 8 << 20
_MAX_TENSORS: Final = 1 << 16
_MAX_METADATA: Final = 1000
_MAX_STRING: Final = 4 << 20  # bytes: one character beyond U+FFFF makes Python take four for each of the others
_MAX_ENTRY: Final = 4096  # characters: 32 dimensions of 19 digits are 640
_MAX_DIMENSIONS: Final = 32  # what every NumPy can hold
_MAX_BYTES: Final = 2**63 - 1
_SPACE: Final = re.compile(rb"[ \t\n\r]*")
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_LONG_NUMBER: Final = re.compile(r"[0-9]{100}")  # whose conversion takes the square of its length


class Entry(NamedTuple):
    """The place of a tensor: begin and end count from the start of the file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


def read_header(file: BinaryIO, size: int) -> tuple[dict[str, Entry], dict[str, str]]:
    """Read where the tensors of a file of `size` bytes are, and its metadata; any fault is a ValueError.

    The tensors are known to fill the file from the header to its end, without a gap or an overlap.
    """
    prefix = file.read(8)
    if len(prefix) < 8:
        raise ValueError(f"truncated: {len(prefix)} bytes, not even the 8 of the header's length")
    length = int.from_bytes(prefix, "little")
    if length > MAX_HEADER:
        raise ValueError(f"header length is {length}; at most {MAX_HEADER} is allowed (is this a safetensors file?)")
    start = 8 + length
    if start > size:
        raise ValueError(f"truncated: a header of {length} bytes in a file of {size}")
    encoded = file.read(length)
    if len(encoded) < length:
        raise ValueError(f"truncated while it was read: header of {length} bytes ends after {len(encoded)}")
    return parse_header(encoded, size)


def parse_header(encoded: bytes, size: int) -> tuple[dict[str, Entry], dict[str, str]]:
    """Read where the tensors of a file of `size` bytes are, and its metadata, from the bytes of its header."""
    start = 8 + len(encoded)
    entries, metadata = _Header(encoded, start).parse()
    _check_places(entries, start, size)
    return entries, metadata


def parse_json(text: str, what: str, max_length: int, max_parts: int) -> dict[str, Any]:
    """Parse a JSON object strictly: no duplicate keys, no NaN, no lone surrogates, no overlong numbers.

    A text that is longer, or has more commas and brackets, than the limits is refused before it is parsed.
    """
    if len(text) > max_length:
        raise ValueError(f"{what} has {len(text)} characters; it may have {max_length}")
    parts = sum(map(text.count, "[{,"))
    if parts > max_parts:
        raise ValueError(f"{what} has {parts} commas and opening brackets; it may have {max_parts}")
    try:
        if _LONG_NUMBER.search(text):
            raise ValueError("a number has 100 digits or more")
        value, end = _decode(text, what)
        if text[end:].strip(" \t\n\r"):
            raise ValueError("text after its end")
        if "\\u" in text:  # the only way to a lone surrogate
            json.dumps(value, ensure_ascii=False).encode()
    except ValueError as error:
        raise ValueError(f"{what} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{what} is not a JSON object")
    return value


# --- JSON -------------------------------------------------------------------------------------------------------------


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("an object has the same key twice")
    return result


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse)


def _decode(text: str, what: str) -> tuple[Any, int]:
    """Return the JSON value that `text` begins with, and where that ends."""
    try:
        return _DECODER.raw_decode(text, _skip(text))
    except RecursionError as error:
        raise ValueError(f"{what} is nested too deeply") from error


def _skip(text: str) -> int:
    return len(text) - len(text.lstrip(" \t\n\r"))


class _Header:
    """A pass over the bytes of a header: an object of tensors, and of strings in its `__metadata__`."""

    def __init__(self, encoded: bytes, start: int) -> None:
        self.encoded, self.start, self.position = encoded, start, 0
        self.metadata: dict[str, str] = {}

    def parse(self) -> tuple[dict[str, Entry], dict[str, str]]:
        if not self.encoded.startswith(b"{"):
            raise ValueError("header is not a JSON object")
        try:
            entries = self._object(self._entry, _MAX_TENSORS + 1, f"more than {_MAX_TENSORS} tensors")
            self._skip_space()
            if self.position < len(self.encoded):
                raise self._invalid("text after its end")
        except UnicodeDecodeError as error:
            raise ValueError(f"header is not UTF-8: {error.reason} near byte {self.position}") from error
        entries.pop("__metadata__", None)
        if len(entries) > _MAX_TENSORS:
            raise ValueError(f"header has more than {_MAX_TENSORS} tensors")
        return entries, self.metadata

    def _object(self, value: Callable[[str], Any], limit: int, fault: str) -> dict[str, Any]:
        """Take an object; `value(key)` takes what stands after a key and its colon."""
        members: dict[str, Any] = {}
        self.position += 1
        if self._next() == b"}":
            self.position += 1
            return members
        while True:
            key = self._string()
            if key in members:
                raise self._invalid("an object has the same key twice")
            if len(members) == limit:
                raise ValueError(f"header has {fault}")
            self._expect(b":")
            self._skip_space()
            members[key] = value(key)
            mark = self._next()
            if mark == b"}":
                self.position += 1
                return members
            self._expect(b",")

    def _entry(self, name: str) -> Entry | None:
        """Take what is said of a tensor: an object without others in it, so that it ends with the first brace."""
        if name == "__metadata__":
            if self._next() != b"{":
                raise ValueError("__metadata__ must map strings to strings")
            self.metadata = self._object(self._text, _MAX_METADATA, f"more than {_MAX_METADATA} metadata")
            return None
        limit = self.position + _MAX_ENTRY
        end = self.encoded.find(b"}", self.position, limit) + 1
        piece = self.encoded[self.position : end or limit].decode()
        try:
            value, used = _decode(piece, "header")
        except ValueError as error:
            raise self._invalid(str(error)) from error
        entry = _parse_entry(name, value, self.start)
        self.position += len(piece[:used].encode())
        return entry

    def _text(self, key: str) -> str:  # noqa: ARG002 - any key may have any text
        if self._next() != b'"':
            raise ValueError("__metadata__ must map strings to strings")
        return self._string()

    def _string(self) -> str:
        self._skip_space()
        found = _STRING.match(self.encoded, self.position)
        if found is None:
            raise self._invalid("a string is missing or does not end")
        if found.end() - found.start() > _MAX_STRING:
            raise ValueError(f"header has a string of {found.end() - found.start()} bytes; it may have {_MAX_STRING}")
        try:
            text: str = _DECODER.decode(found[0].decode())
            if not text.isascii():
                text.encode()  # no lone surrogates
        except UnicodeDecodeError:
            raise
        except ValueError as error:
            raise self._invalid(str(error)) from error
        self.position = found.end()
        return text

    def _skip_space(self) -> None:
        found = _SPACE.match(self.encoded, self.position)
        assert found is not None
        self.position = found.end()

    def _next(self) -> bytes:
        """Return the next byte that is not white space, without taking it; nothing at the end."""
        self._skip_space()
        return self.encoded[self.position : self.position + 1]

    def _expect(self, mark: bytes) -> None:
        if self._next() != mark:
            raise self._invalid(f"{mark.decode()!r} is missing")
        self.position += 1

    def _invalid(self, fault: str) -> ValueError:
        return ValueError(f"header is not valid JSON at byte {self.position}: {fault}")


# --- what it says -----------------------------------------------------------------------------------------------------


def _parse_entry(name: str, value: Any, start: int) -> Entry:
    where = f"tensor {name!r:.80}"
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{where} must have dtype, shape and data_offsets")
    code, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(code, str) or code not in DTYPES:
        raise ValueError(f"{where} has dtype {code!r:.40}; it must be one of {', '.join(DTYPES)}")
    if not _are_sizes(shape) or len(shape) > _MAX_DIMENSIONS:
        raise ValueError(f"{where} has shape {shape!r:.80}; it must be a list of at most {_MAX_DIMENSIONS} sizes")
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ValueError(f"{where} has data_offsets {offsets!r:.80}; they must be [begin, end]")
    dtype = DTYPES[code]
    # NumPy counts an empty array's other dimensions too.
    if math.prod(size for size in shape if size) * dtype.itemsize > _MAX_BYTES:
        raise ValueError(f"{where} has shape {shape!r:.80}, too large for any memory")
    needed = math.prod(shape) * dtype.itemsize
    if offsets[1] - offsets[0] != needed:
        raise ValueError(
            f"{where} has {offsets[1] - offsets[0]} bytes; dtype {code} and shape {shape!r:.80} make {needed}"
        )
    return Entry(dtype, tuple(shape), start + offsets[0], start + offsets[1])


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value <= _MAX_BYTES for value in values)


def _check_places(entries: dict[str, Entry], start: int, size: int) -> None:
    """Refuse a gap, an overlap, and an end that is not the file's."""
    position = start
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != position:
            fault = "overlaps the one before" if entry.begin < position else "leaves a gap before it"
            raise ValueError(f"tensor {name!r:.80} {fault}: it begins at byte {entry.begin}, not {position}")
        position = entry.end
    if position > size:
        raise ValueError(f"truncated: tensors end at byte {position}, the file at {size}")
    if position < size:
        raise ValueError(f"{size - position} bytes too many: tensors end at byte {position}, the file at {size}")
