"""X as rows that the engine reads in place: an array, or a table of several; and the names of its columns.

Nothing here copies an array of a source dtype, so memmaps larger than memory stay on disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastmlp.data.arrays import as_real, as_source
from fastmlp.data.frames import as_frame, is_frame, names_of
from fastmlp.data.sparse import as_sparse, is_sparse
from fastmlp.data.table import Pieces, Table
from fastmlp.data.values import Finite, check_finite

if TYPE_CHECKING:
    from fastmlp.data.table import Inputs

__all__ = ["are_chunks", "as_inputs", "check_names"]


def as_inputs(
    X: Any,
    n_features: int,
    name: str = "X",
    *,
    allow_empty: bool = False,
    check: bool = True,
    finite: Finite | None = None,
    names: tuple[str, ...] | None = None,
) -> Inputs:
    """Check a network's inputs and return them as an array that the engine reads in place, or a table of such arrays.

    Parameters
    ----------
    X : array_like of shape (n, n_features)
        NumPy array or memmap of any strides, nested lists, or anything with ``__array__``, ``numpy()`` (PyTorch),
        ``__dlpack__`` or a buffer; a frame of pandas or polars, an Arrow table, or what exports an Arrow stream; sparse
        rows of SciPy (CSR, or CSC); or a list of any of these that are 2-D, one below the other. float64, float32,
        float16, uint8, int16, int32, int64 and bool in native byte order are not copied; other real dtypes are
        converted to the smallest of these that holds their values.
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
    names : tuple of str, optional
        Names that X's columns must have, in this order, where they have any.

    Returns
    -------
    ndarray or Table, of shape (n, n_features)
        One of `SOURCE_DTYPES`, native byte order, aligned; possibly X itself or a view of it, possibly read-only.

    Raises
    ------
    TypeError
        X is not an array of real numbers: complex, strings, objects; or sparse in another format.
    ValueError
        X has the wrong shape, no rows, masked entries, or NaN or infinity in it (with row and column), or columns of
        other names.
    """
    if names is not None:
        check_names(X, names, name)
    array = _taken(X, name, n_features)
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
    rows = array if isinstance(array, Table) else as_source(array)
    if check or (isinstance(rows, Table) and rows.sparse):  # of which an engine looks at no value
        check_finite(rows, name, finite)
    return rows


def are_chunks(X: Any) -> bool:
    """Tell whether X is a list of tables, one below the other."""
    return isinstance(X, list | tuple) and bool(X) and all(len(getattr(each, "shape", ())) == 2 for each in X)


def check_names(X: Any, names: tuple[str, ...], name: str = "X") -> None:
    """Raise a ValueError if X's columns have names, and not these in their order."""
    found = names_of(X)
    if found is None or found == names:
        return
    missing, new = [each for each in names if each not in found], [each for each in found if each not in names]
    if missing or new:
        which = " and ".join(
            f"{what} {', '.join(map(repr, some[:5]))}{', ...' if len(some) > 5 else ''}"
            for what, some in (("has not", missing), ("has", new))
            if some
        )
        raise ValueError(f"{name} {which}; the network was trained on columns of other names: pass the same columns")
    place = next(place for place, (a, b) in enumerate(zip(found, names, strict=False)) if a != b)
    raise ValueError(
        f"{name} has the column {found[place]!r} where the network was trained on {names[place]!r}: it must have the "
        "same columns in the same order"
    )


def _taken(X: Any, name: str, n_features: int) -> Inputs:
    """Return X as an array of real numbers or a table, whose values are not looked at yet."""
    if isinstance(X, Table):
        return X
    if is_frame(X):
        return as_frame(X, name)
    if is_sparse(X):
        return as_sparse(X, name)
    if not are_chunks(X):
        return as_real(X, name)
    for place, piece in enumerate(X):
        if names_of(piece) != names_of(X[0]):
            raise ValueError(f"{name}[{place}] has columns of other names than {name}[0]; they must be the same")
    chunks = [
        as_inputs(piece, n_features, f"{name}[{place}]", allow_empty=True, check=False) for place, piece in enumerate(X)
    ]
    return chunks[0] if len(chunks) == 1 else Pieces(chunks)
