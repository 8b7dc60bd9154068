"""What X, y and sample weights may be: everything a user passes becomes an array the engine can read, or an error.

Nothing here copies an array of a source dtype, so memmaps larger than memory stay on disk; checks walk over blocks.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from fastmlp.spec import Array, Interval, Loss

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "SOURCE_DTYPES",
    "as_inputs",
    "as_real",
    "as_source",
    "as_targets",
    "as_weights",
    "check_finite",
    "count_classes",
]

Finite: TypeAlias = Callable[[Array], bool]
"""A backend's quick answer to "is every element of this 2-D float array finite?"."""

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
# A block is what a check holds at a time: small enough for a core's cache, large enough to hide NumPy's call overhead.
_BLOCK_ELEMENTS: Final = 1 << 16
_BLOCK_COLUMNS: Final = 1 << 12


def as_inputs(
    X: Any,
    n_features: int,
    name: str = "X",
    *,
    allow_empty: bool = False,
    check: bool = True,
    finite: Finite | None = None,
) -> Array:
    """Check a network's inputs and return them as an array that the engine reads in place.

    Parameters
    ----------
    X : array_like of shape (n, n_features)
        NumPy array or memmap of any strides, nested lists, or anything with ``__array__`` (pandas, polars) or
        ``numpy()`` (PyTorch). float64, float32, float16, uint8, int16, int32, int64 and bool in native byte order are
        not copied; other real dtypes are converted to the smallest of these that holds their values.
    n_features : int
        Columns that X must have.
    name : str
        What X is called in messages.
    allow_empty : bool
        Whether X may have no rows.
    check : bool
        Whether to look for NaN and infinity; an engine can do that on its way.
    finite : callable, optional
        ``finite(X) -> bool`` for 2-D float arrays, used instead of NumPy where X is all finite.

    Returns
    -------
    ndarray of shape (n, n_features)
        One of `SOURCE_DTYPES`, native byte order, aligned; possibly X itself or a view of it, possibly read-only.

    Raises
    ------
    TypeError
        X is not an array of real numbers: sparse, complex, strings, objects.
    ValueError
        X has the wrong shape, no rows, masked entries, or NaN or infinity in it (with row and column).
    """
    array = as_real(X, name)
    if array.ndim != 2:
        advice = ""
        if array.ndim == 1:
            advice = f"; reshape one row with {name}.reshape(1, -1), one feature with {name}.reshape(-1, 1)"
        raise ValueError(f"{name} has shape {array.shape}; it must be 2-D, (n, {n_features}){advice}")
    if array.shape[1] != n_features:
        raise ValueError(
            f"{name} has shape {array.shape}, {array.shape[1]} features; the network takes {n_features}: "
            f"it must be (n, {n_features})"
        )
    if array.shape[0] == 0 and not allow_empty:
        raise ValueError(f"{name} has shape {array.shape}; it must have at least one row")
    array = as_source(array)
    if check:
        check_finite(array, name, finite)
    return array


def as_targets(
    y: Any, loss: Loss, n_outputs: int, n_rows: int, name: str = "y", *, finite: Finite | None = None
) -> Array:
    """Check the targets of a loss and return them as an array that the engine reads in place.

    Parameters
    ----------
    y : array_like
        Numbers that lie in ``loss.targets``, shape (n_rows, ``loss.target_width(n_outputs)``), or (n_rows,) if that is
        one column; where the loss takes distributions, probabilities that sum to one along each row. Where it takes
        labels, also integer classes in [0, n_outputs), shape (n_rows,). Dtypes as for `as_inputs`.
    loss : Loss
    n_outputs, n_rows : int
        Outputs of the network and rows of X.
    name : str
        What y is called in messages.
    finite : callable, optional
        As for `as_inputs`.

    Returns
    -------
    ndarray
        Classes: int32, C-contiguous, shape (n_rows,). All others: one of `SOURCE_DTYPES`, shape (n_rows, n_outputs),
        possibly a view of y.

    Raises
    ------
    TypeError
        y is not an array of real numbers, or classes are not integers.
    ValueError
        y has the wrong shape, masked entries, NaN, infinity, or a value that the loss is not defined for.
    """
    array = as_real(y, name)
    if loss.labels and array.ndim == 1:
        return _as_classes(array, n_outputs, n_rows, name)

    width = loss.target_width(n_outputs)
    if array.ndim == 1 and width == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2 or array.shape[1] != width:
        is_column = loss.labels and array.shape == (n_rows, 1)
        advice = f"; pass {name}.ravel()" if is_column else ""
        raise ValueError(f"{name} has shape {array.shape}; {_targets_wanted(loss, width, n_rows)}{advice}")
    if array.shape[0] != n_rows:
        raise ValueError(f"{name} has {array.shape[0]} rows, the inputs have {n_rows}; they must have the same number")
    array = as_source(array)
    check_finite(array, name, finite)
    what = "probabilities" if loss.distribution else f"targets of {loss.name}"
    _check_range(array, loss.targets, name, f"{what} must {loss.targets.rule}")
    if loss.distribution:
        _check_row_sums(array, name)
    return array


def as_weights(sample_weight: Any, n_rows: int, name: str = "sample_weight") -> NDArray[np.float64] | None:
    """Check the weights of the rows and return them as float64, or None for None.

    Parameters
    ----------
    sample_weight : array_like of shape (n_rows,), or None
        Finite, not negative, not all zero.
    n_rows : int
        Rows of X.
    name : str
        What the weights are called in messages.

    Returns
    -------
    ndarray of float64, C-contiguous, shape (n_rows,), or None

    Raises
    ------
    TypeError
        The weights are not an array of real numbers.
    ValueError
        Wrong shape, NaN, infinity, a negative weight, all weights zero, or a sum that overflows.
    """
    if sample_weight is None:
        return None
    array = as_real(sample_weight, name)
    if array.shape != (n_rows,):
        raise ValueError(f"{name} has shape {array.shape}; it must be ({n_rows},), one weight for each row")
    with np.errstate(over="ignore"):  # a longdouble beyond float64 becomes infinity, which the next line names
        weights = np.ascontiguousarray(array, dtype=np.float64)
    check_finite(weights, name)
    _check_range(weights, Interval(0), name, "weights must be at least 0")
    with np.errstate(over="ignore"):
        total = weights.sum()
    if n_rows and total == 0:
        raise ValueError(f"{name} is all zero; at least one weight must be positive")
    if total == np.inf:
        raise ValueError(f"{name} is too large: the sum of the weights overflows float64")
    return weights


def count_classes(y: Array) -> int:
    """How many classes the targets of a network with one output number, from 3 to 20; 0 if they do not look like that.

    They do if they are of an integer dtype and the first rows have all of 0, 1, ..., k - 1 and nothing else, each twice
    on average. Not 0 and 1: one output with these targets is as good a classifier.

    Parameters
    ----------
    y : ndarray
        What `as_targets` returned.

    Examples
    --------
    >>> count_classes(np.array([[2], [0], [1], [1], [0], [2]])), count_classes(np.array([[0.0], [1.0], [2.0]] * 9))
    (3, 0)
    """
    if y.dtype.kind not in "iu" or y.ndim != 2 or y.shape[1] != 1:
        return 0
    first = y[:_BLOCK_ELEMENTS, 0]
    k = int(first.max()) + 1
    if first.min() != 0 or not 3 <= k <= 20 or len(first) < 2 * k or not np.bincount(first).all():
        return 0
    return k


def check_finite(array: Array, name: str, finite: Finite | None = None) -> None:
    """Raise a ValueError with the place of the first NaN or infinity of a 1-D or 2-D array, in bounded memory.

    Parameters
    ----------
    array : ndarray
        Integers pass unread.
    name : str
        What the array is called in the message.
    finite : callable, optional
        As for `as_inputs`; NumPy decides when it answers False, and says where.
    """
    if array.dtype.kind != "f" or array.size == 0:
        return
    table = _table(array)
    if finite is not None and finite(table):
        return
    place = _first(table, lambda block: ~np.isfinite(block))
    if place is not None:
        raise ValueError(f"{name} has {table[place]} at {_place(array, place)}; all values must be finite")


def refuse_overflow(array: Array, dtype: np.dtype[Any], name: str) -> None:
    """Raise a ValueError with the place of the first value that is finite here and infinite in a network's dtype.

    To be asked when a result is NaN: until then an infinity is an honest answer to such a value, and costs nothing.
    """
    if array.dtype.kind != "f" or array.dtype.itemsize <= dtype.itemsize:
        return
    table, largest = _table(array), float(np.finfo(dtype).max)
    place = _first(table, lambda block: np.abs(block) > largest)
    if place is not None:
        raise ValueError(
            f"{name} has {table[place]} at {_place(array, place)}, which is infinite in the network's {dtype} and "
            "makes the result NaN: scale it, or make the network with dtype='float64'"
        )


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
        raise TypeError(
            f"{name} is a sparse {type(value).__name__}; it must be dense: pass {name}.toarray(), "
            "or fit on dense slices of its rows"
        )
    if not hasattr(value, "__array__") and callable(getattr(value, "numpy", None)):
        value = value.numpy()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is not a rectangular array: {error}") from error
    except (TypeError, RuntimeError) as error:  # PyTorch: tensors on a GPU, bfloat16, tensors that require gradients
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


def _as_classes(array: Array, n_outputs: int, n_rows: int, name: str) -> NDArray[np.int32]:
    if array.shape[0] != n_rows:
        raise ValueError(f"{name} has {array.shape[0]} rows, the inputs have {n_rows}; they must have the same number")
    if array.dtype.kind == "f":
        raise TypeError(
            f"{name} has dtype {array.dtype}; classes must be integers: pass {name}.astype(int), "
            f"or probabilities of shape ({n_rows}, {n_outputs})"
        )
    if array.dtype == np.bool_:
        array = array.view(np.uint8)
    rule = f"classes must lie in [0, {n_outputs}), as the network has outputs"
    _check_range(array, Interval(0, n_outputs - 1), name, rule)
    return np.ascontiguousarray(array, dtype=np.int32)


def _targets_wanted(loss: Loss, width: int, n_rows: int) -> str:
    """What shape targets may have, for an error message."""
    if loss.labels:
        rows = "probabilities" if loss.distribution else "numbers"
        return f"{loss.name} takes integer classes of shape ({n_rows},), or {rows} of shape ({n_rows}, {width})"
    either = f" or ({n_rows},)" if width == 1 else ""
    return f"{loss.name} takes shape ({n_rows}, {width}){either}: one column for each output of the network"


def _check_range(array: Array, interval: Interval, name: str, rule: str) -> None:
    if interval.holds(array):
        return
    table = _table(array)
    place = _first(table, interval.outside)
    if place is not None:
        raise ValueError(f"{name} has {table[place]} at {_place(array, place)}; {rule}")


def _check_row_sums(array: Array, name: str) -> None:
    rows = max(1, _BLOCK_ELEMENTS // array.shape[1])
    for start in range(0, array.shape[0], rows):
        with np.errstate(over="ignore"):
            sums = array[start : start + rows].sum(axis=1, dtype=np.float64)
        wrong = np.flatnonzero(np.abs(sums - 1) > 1e-3)
        if wrong.size:
            row = int(wrong[0])
            raise ValueError(
                f"{name} has a sum of {sums[row]:.6g} in row {start + row}; probabilities must sum to 1 along each row"
            )


def _first(table: Array, wrong: Callable[[Array], NDArray[np.bool_]]) -> tuple[int, int] | None:
    """Return row and column of the first element, in row order, that is wrong; hold one block's answers at a time."""
    n_rows, n_columns = table.shape
    rows = max(1, _BLOCK_ELEMENTS // max(1, min(n_columns, _BLOCK_COLUMNS)))
    for top in range(0, n_rows, rows):
        found = []
        for left in range(0, n_columns, _BLOCK_COLUMNS):
            mask = wrong(table[top : top + rows, left : left + _BLOCK_COLUMNS])
            if mask.any():
                row, column = np.unravel_index(int(mask.argmax()), mask.shape)  # argmax goes row by row
                found.append((top + int(row), left + int(column)))
        if found:
            return min(found)
    return None


def _table(array: Array) -> Array:
    return array if array.ndim == 2 else array[:, np.newaxis]


def _place(array: Array, place: tuple[int, int]) -> str:
    return f"row {place[0]}, column {place[1]}" if array.ndim == 2 else f"row {place[0]}"


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
