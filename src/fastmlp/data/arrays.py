"""Anything with an array behind it as one that the engine reads in place, or an error.

Nothing here copies an array of a source dtype, so memmaps larger than memory stay on disk.
"""

from __future__ import annotations

import mmap
from typing import Any, Final

import numpy as np

from fastmlp.spec import Array

__all__ = ["SOURCE_DTYPES", "as_real", "as_source"]


SOURCE_DTYPES: Final = tuple(
    np.dtype(name) for name in ("float64", "float32", "float16", "uint8", "int16", "int32", "int64")
)
"""The dtypes that the engine's gather reads in place."""

# The source dtype that holds every value of a dtype; longdouble and uint64 have none and are rounded to float64.
_SOURCE: Final = {
    **{dtype: dtype for dtype in SOURCE_DTYPES},
    np.dtype(np.int8): np.dtype(np.int16),
    np.dtype(np.uint16): np.dtype(np.int32),
    np.dtype(np.uint32): np.dtype(np.int64),
    np.dtype(np.uint64): np.dtype(np.float64),
    np.dtype(np.longdouble): np.dtype(np.float64),
}


def as_real(value: Any, name: str) -> Array:
    """Return any array-like of real numbers as a plain ndarray, without a copy where there is an array behind it."""
    if isinstance(value, np.ma.MaskedArray):
        if np.ma.is_masked(value):
            first = tuple(int(i) for i in np.argwhere(np.ma.getmaskarray(value))[0])
            raise ValueError(
                f"{name} is a masked array with masked entries, the first at {first}; fill or drop them, "
                f"e.g. {name}.filled(0)"
            )
        value = value.data
    if _is_sparse(value):
        raise TypeError(f"{name} is a sparse {type(value).__name__}; it must be dense: pass {name}.toarray()")
    try:
        if not hasattr(value, "__array__"):
            if callable(getattr(value, "numpy", None)):
                value = value.numpy()
            elif hasattr(value, "__dlpack__"):
                value = np.from_dlpack(value)
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is not a rectangular array: {error}") from error
    except (TypeError, RuntimeError, BufferError) as error:  # PyTorch: on a GPU, bfloat16, with gradients required
        raise TypeError(f"{name} is a {type(value).__name__} that NumPy cannot read: {error}") from error
    if array.base is not None:
        _check_file(array, name)
    dtype = array.dtype
    if dtype.kind not in "fiub" or dtype.isbuiltin == 2:
        what = f"has dtype {dtype}" if isinstance(value, list | tuple) or hasattr(value, "dtype") else _described(value)
        raise TypeError(f"{name} {what}; it must be an array of real numbers{_advice(array, name)}")
    return array


def as_source(array: Array) -> Array:
    """Return an array of real numbers in one of `SOURCE_DTYPES`: native, aligned, the canonical type of its size."""
    if array.dtype == np.bool_:
        return array.view(np.uint8)
    target: np.dtype[Any] = _SOURCE[array.dtype.newbyteorder("=")]
    if array.dtype == target and array.flags.aligned:
        # long long and long are equal dtypes with different buffer formats: the engine reads formats.
        return array if array.dtype.char == target.char else array.view(target)
    with np.errstate(over="ignore"):  # a longdouble beyond float64 becomes infinity, which is refused by name
        return array.astype(target, order="K")


def _check_file(array: Array, name: str) -> None:
    """Refuse an array in a file that has become too short for it: to read behind a file's end is a SIGBUS."""
    base: Any = array
    file, offset = "", 0
    while isinstance(base, np.ndarray | memoryview):
        if isinstance(base, np.memmap):  # a view's offset is that of the whole
            file, offset = f" {str(base.filename)!r}" if base.filename else "", base.offset or 0
        base = base.obj if isinstance(base, memoryview) else base.base
    if not isinstance(base, mmap.mmap) or array.size == 0:
        return
    try:
        size = base.size()
    except (OSError, ValueError):  # no file, or none that the mapping knows
        return
    begin = np.frombuffer(base, np.uint8, 1).__array_interface__["data"][0]
    last = sum((n - 1) * stride for n, stride in zip(array.shape, array.strides, strict=True) if stride > 0)
    end = array.__array_interface__["data"][0] + last + array.itemsize
    needed = offset - offset % mmap.ALLOCATIONGRANULARITY + end - begin
    if needed > size:
        raise ValueError(
            f"{name} lies in the first {needed} bytes of the file{file}, which has {size} now: it was cut after it had "
            "been mapped"
        )


def _is_sparse(value: Any) -> bool:
    """Recognise sparse matrices by where their class comes from, or by what they can do: SciPy stays unimported."""
    if any(
        base.__module__.partition(".")[0] == "scipy" and "sparse" in base.__module__ for base in type(value).__mro__
    ):
        return True
    return not hasattr(value, "__array__") and callable(getattr(value, "todense", None))


def _described(value: Any) -> str:
    return "is None" if value is None else f"is a {type(value).__name__}"


def _advice(array: Array, name: str) -> str:
    kind = array.dtype.kind
    if kind == "c":
        return f": pass {name}.real and {name}.imag as columns"
    if array.dtype.names is not None:
        return f": stack its fields with numpy.lib.recfunctions.structured_to_unstructured({name})"
    if kind in "OUSTV" and array.ndim == 1:
        return f": number strings and classes with numpy.unique({name}, return_inverse=True), or convert with astype"
    if kind == "O" and array.ndim == 0:
        return ""
    if kind == "O" and all(isinstance(value, float | int | np.number | np.bool_) for value in array.flat[:1000]):
        return f": its numbers and booleans are of several dtypes, pass {name}.astype(float)"
    if kind in "OUSTV":
        return ": encode its categories and missing values as numbers, or convert it with astype(float)"
    if kind in "mM":
        return ": convert times with astype('int64') or to differences in a unit of yours"
    return ": convert it with astype('float32')"
