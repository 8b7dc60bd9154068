"""The table of `fastmlp.h` as ctypes sees it, for tests that call C functions from Python."""

from __future__ import annotations

import ctypes
import re
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_double, c_int, c_size_t, c_ssize_t, c_uint64, c_void_p
from functools import cache
from pathlib import Path

import fastmlp

__all__ = ["CODES", "HEADER", "Options", "Table", "address", "declarations", "handle_of", "table"]

HEADER = Path(fastmlp.__file__).parent / "include" / "fastmlp.h"
CODES = {name: int(code) for name, code in re.findall(r"FASTMLP_(\w+) = (-?\d+)", HEADER.read_text(encoding="utf-8"))}


def declarations() -> str:
    """What the header declares, without what is for the preprocessor."""
    return re.split(r"/\* -- (?:declarations|end of)[^\n]*\n", HEADER.read_text(encoding="utf-8"))[1]


class Options(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t),
        ("dtype", c_int),
        ("seeded", c_int),
        ("seed", c_uint64),
        ("activation", c_char_p),
        ("output", c_char_p),
        ("loss", c_char_p),
    )


class Table(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t),
        ("version", c_int),
        ("text", CFUNCTYPE(c_char_p, c_int)),
        ("last_error", CFUNCTYPE(c_char_p)),
        ("create", CFUNCTYPE(c_int, POINTER(c_ssize_t), c_size_t, POINTER(Options), POINTER(c_void_p))),
        ("load", CFUNCTYPE(c_int, c_char_p, c_size_t, POINTER(c_void_p))),
        ("from_python", CFUNCTYPE(c_int, c_void_p, POINTER(c_void_p))),
        ("to_python", CFUNCTYPE(c_int, c_void_p, POINTER(c_void_p))),
        ("release", CFUNCTYPE(None, c_void_p)),
        ("n_inputs", CFUNCTYPE(c_ssize_t, c_void_p)),
        ("n_outputs", CFUNCTYPE(c_ssize_t, c_void_p)),
        ("n_parameters", CFUNCTYPE(c_ssize_t, c_void_p)),
        ("dtype", CFUNCTYPE(c_int, c_void_p)),
        ("get_parameters", CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t)),
        ("set_parameters", CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t)),
        ("predict", CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, c_int)),
        ("value", CFUNCTYPE(c_double, c_int, POINTER(c_double), c_void_p)),
        (
            "forward",
            CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, c_int, c_int, POINTER(c_void_p)),
        ),
        (
            "backward",
            CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, c_void_p, c_size_t, c_int),
        ),
        ("release_tape", CFUNCTYPE(None, c_void_p)),
        ("step", CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t, c_char_p, c_double, c_int)),
    )


def address() -> int:
    """Return where the table is."""
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = c_void_p, (ctypes.py_object, c_char_p)
    found = pointer(fastmlp._C_API, b"fastmlp._C_API")
    assert found is not None
    return found


@cache
def table() -> Table:
    return Table.from_address(address())


def handle_of(net: object) -> c_void_p:
    """Return a network of Python's as C has it; the caller releases it."""
    handle = c_void_p()
    code = table().from_python(id(net), handle)
    assert code == 0, table().last_error()
    return handle
