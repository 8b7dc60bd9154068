"""Frames and Arrow tables as tables of the columns that they have: pandas, polars, pyarrow and what exports Arrow.

None of these libraries is imported, except pyarrow for what only it can read. A column is read where it lies; copied is
a column of booleans that Arrow keeps as bits, one with codes of categories, and one that NumPy has to convert.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.data.arrays import as_real, as_source
from fastmlp.data.table import Columns, Pieces, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastmlp.data.table import Inputs
    from fastmlp.spec import Array

__all__ = [
    "EncodedColumns",
    "arrow_table",
    "as_frame",
    "frame_columns",
    "is_frame",
    "library_of",
    "names_of",
    "numbers_of",
    "table",
]


class EncodedColumns(Columns):
    """Columns of a frame, some of which have the codes of categories.

    Attributes
    ----------
    categories : dict of str to tuple
        By column, the category of each code, counted from 0.
    """

    categories: dict[str, tuple[Any, ...]]


def is_frame(value: Any) -> bool:
    """Tell whether a value has columns that `as_frame` takes."""
    return library_of(value) is not None


def names_of(value: Any) -> tuple[str, ...] | None:
    """Return the names of a frame's columns, or None: for what has none, or some that are no strings."""
    if isinstance(value, Table):
        return value.names
    if isinstance(value, list | tuple):  # chunks, whose names agree
        return names_of(value[0]) if value and not isinstance(value[0], int | float | list | tuple) else None
    library = library_of(value)
    if library in (None, "arrow"):
        return None
    labels = tuple(value.column_names if library == "pyarrow" else value.columns)
    return labels if all(isinstance(label, str) for label in labels) else None


def as_frame(value: Any, name: str) -> Inputs:
    """Return a frame as one array where its columns lie evenly in one, and else as a table of its columns.

    Raises
    ------
    TypeError
        A column is not of real numbers; the message names it.
    ValueError
        A column has missing values, or there is none.
    """
    return _assembled(*_read(value, name, None))


def table(frame: Any, *, categories: str | Mapping[str, Sequence[Any]] | None = None) -> EncodedColumns:
    """Take a frame as rows to learn from, with its columns of categories as codes.

    The result is given to `MLP.fit`, `MLP.predict` and the others in the place of the frame.

    Parameters
    ----------
    frame : pandas or polars DataFrame, pyarrow Table, or what exports an Arrow stream
    categories : "codes", or mapping of str to sequence, optional
        "codes": a column of categories (pandas' category, polars' Categorical and Enum, Arrow's dictionary) becomes the
        numbers of its categories, from 0 and in their order (of a Categorical, the alphabet's); a missing one is -1. A
        mapping says what they are, by the columns' names, also for columns of strings: with
        ``categories=train.categories``, a category has one code in the data to learn from and to predict. What is none
        of them has the code -1.

    Returns
    -------
    EncodedColumns
        Its attribute ``categories`` is such a mapping.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Examples
    --------
    A frame with a column of categories, whose codes are the numbers:

    >>> import fastmlp, pandas
    >>> frame = pandas.DataFrame({"area": [50.0, 80.0], "town": pandas.Categorical(["York", "Hull"])})
    >>> X = fastmlp.data.table(frame, categories="codes")
    >>> X.categories
    {'town': ('Hull', 'York')}
    >>> fastmlp.MLP([2, 1], init="zeros").predict(X).shape
    (2, 1)
    """
    if not is_frame(frame):
        raise TypeError(f"frame must be a DataFrame or an Arrow table, got {type(frame).__name__}")
    if categories is not None and categories != "codes" and not isinstance(categories, Mapping):
        raise ValueError(f"categories must be 'codes', a mapping from columns to their categories or None, "
                         f"got {categories!r:.80}")  # fmt: skip
    wanted = categories if isinstance(categories, Mapping) else None if categories is None else {}
    for label, given in (wanted or {}).items():
        if isinstance(given, str) or not hasattr(given, "__len__"):
            raise TypeError(f"categories[{label!r}] must be a sequence of categories, got {given!r:.80}")
        if len(set(given)) < len(given):
            raise ValueError(f"categories[{label!r}] must have each category once, got {given!r:.80}")
    columns, names, found = _read(frame, "frame", wanted)
    result = EncodedColumns(columns, names)
    result.categories = found
    return result


def _assembled(columns: list[Array | Pieces], names: tuple[str, ...] | None, _: object) -> Inputs:
    whole = _one_array(columns)
    return Columns(columns, names) if whole is None else whole


def _read(
    value: Any, name: str, categories: Mapping[str, Sequence[Any]] | None
) -> tuple[list[Array | Pieces], tuple[str, ...] | None, dict[str, tuple[Any, ...]]]:
    """Read a frame's columns, their names if all are strings, and the categories of those that were encoded."""
    library = library_of(value) or ""
    if library == "arrow":
        value, library = arrow_table(value, name), "pyarrow"
    labels, given = frame_columns(value, library, name)
    unknown = [each for each in categories or () if each not in labels]
    if unknown:
        raise ValueError(f"categories has {unknown[0]!r}, which is no column of {name}")
    columns: list[Array | Pieces] = []
    found: dict[str, tuple[Any, ...]] = {}
    for label, column in zip(labels, given, strict=True):
        called = f"{name}[{label!r}]"
        codes = None if categories is None else _codes(column, library, categories.get(label))
        if codes is None:
            chunks = [numbers_of(chunk, library, called) for chunk in _chunks(column, library)]
            columns.append(chunks[0] if len(chunks) == 1 else Pieces(chunks))
        else:
            columns.append(codes[0])
            found[label] = codes[1]
    return columns, tuple(labels) if all(isinstance(label, str) for label in labels) else None, found


def frame_columns(value: Any, library: str, name: str) -> tuple[list[Any], list[Any]]:
    """Return the labels and the columns of a frame of pandas, polars or pyarrow, as their library has them."""
    if library == "pyarrow":
        labels = list(value.column_names)
        columns = [value.column(place) for place in range(len(labels))]
    elif library == "polars":
        if not hasattr(value, "get_columns"):
            raise TypeError(f"{name} is a {type(value).__name__}, which has no rows yet; pass {name}.collect()")
        columns, labels = value.get_columns(), list(value.columns)
    else:
        labels = list(value.columns)
        columns = [value.iloc[:, place] for place in range(len(labels))]
    if not labels:
        raise ValueError(f"{name} has no columns")
    return labels, columns


def library_of(value: Any) -> str | None:
    """Name the library that a frame is of; "arrow" for what exports an Arrow stream, and None for what is no frame."""
    for base in type(value).__mro__:
        library = base.__module__.partition(".")[0]
        if library == "pandas" and hasattr(value, "iloc") and getattr(value, "ndim", 0) == 2:
            return library
        if library == "polars" and base.__name__ in ("DataFrame", "LazyFrame"):
            return library
        if library == "pyarrow" and hasattr(value, "column_names"):
            return library
    stream = hasattr(value, "__arrow_c_stream__") or hasattr(value, "__arrow_c_array__")
    return "arrow" if stream and not hasattr(value, "__array__") else None


def arrow_table(value: Any, name: str) -> Any:
    """Read an Arrow stream, or a struct of arrays, into a table of Arrow's own library."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ImportError(
            f"{name} is a {type(value).__name__}, which is read by pyarrow, and that is not installed: "
            "pip install 'fastmlp[arrow]'"
        ) from error
    try:
        return pa.table(value) if hasattr(value, "__arrow_c_stream__") else pa.record_batch(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} is a {type(value).__name__} that Arrow cannot read as a table: {error}") from error


def _chunks(column: Any, library: str) -> list[Any]:
    """Return the pieces of memory that a column lies in: at least one."""
    if library == "polars" and column.n_chunks() > 1:
        return list(column.get_chunks())
    if library == "pyarrow" and hasattr(column, "chunks"):
        return list(column.chunks) or [column.combine_chunks()]
    return [column]


def numbers_of(chunk: Any, library: str, name: str) -> Array:
    """Return the numbers of a piece of a column, where they lie if NumPy can read them there."""
    dtype = getattr(chunk, "type", None) if library == "pyarrow" else chunk.dtype
    missing = chunk.null_count if library == "pyarrow" else chunk.null_count() if library == "polars" else 0
    if library == "pandas" and not isinstance(dtype, np.dtype):  # which keep what is missing apart from the numbers
        missing = int(chunk.isna().sum())
    if missing:
        raise ValueError(f"{name} has {missing} missing values; fill them or drop their rows")
    try:
        if library == "pyarrow":
            array = chunk.to_numpy(zero_copy_only=False)
        elif library == "pandas" and not isinstance(dtype, np.dtype):
            array = chunk.to_numpy(dtype=getattr(dtype, "numpy_dtype", None))
        else:
            array = chunk.to_numpy()
    except (TypeError, ValueError, NotImplementedError) as error:  # the last one is pyarrow's of a column of a union
        raise TypeError(f"{name} has dtype {dtype}; it must have real numbers: {error}") from error
    if array.dtype.kind not in "fiub":
        advice = "encode it, or pass fastmlp.data.table(frame, categories='codes') for codes of categories"
        raise TypeError(f"{name} has dtype {dtype}; it must have real numbers: {advice}")
    return as_source(as_real(array, name))


def _codes(column: Any, library: str, wanted: Sequence[Any] | None) -> tuple[Array, tuple[Any, ...]] | None:
    """Return a column's codes and categories; None if it has no categories, and none are wanted of it."""
    if library == "pyarrow" and wanted is None:
        return _dictionary(column)
    if library == "pandas" and wanted is None:
        categories = getattr(column.dtype, "categories", None)
        if categories is None:
            return None
        return column.cat.codes.to_numpy().astype(np.int32), tuple(categories)
    if library == "polars" and wanted is None:
        if type(column.dtype).__name__ not in ("Categorical", "Enum"):
            return None
        named = getattr(column.dtype, "categories", None)  # of an Enum; a Categorical has those that occur
        wanted = sorted(column.drop_nulls().cast(str).unique().to_list()) if named is None else named.to_list()
    if wanted is None:
        return None
    numbers = {category: code for code, category in enumerate(wanted)}
    values = column.to_pylist() if library == "pyarrow" else column.to_list()
    return np.array([numbers.get(each, -1) for each in values], np.int32), tuple(wanted)


def _dictionary(column: Any) -> tuple[Array, tuple[Any, ...]] | None:
    """Return codes and categories of a column that Arrow has encoded itself."""
    if not hasattr(column.type, "index_type"):
        return None
    if hasattr(column, "chunks"):
        column = column.unify_dictionaries().combine_chunks()
        column = column.chunk(0) if hasattr(column, "chunk") else column
    codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return codes.astype(np.int32), tuple(column.dictionary.to_pylist())


def _one_array(columns: Sequence[Array | Pieces]) -> Array | None:
    """Return columns that lie evenly in one array as a view of it, or None: then the engine reads it in place."""
    first = columns[0]
    if isinstance(first, Table) or any(isinstance(column, Table) for column in columns):
        return None
    arrays = [column for column in columns if not isinstance(column, Table)]
    places = [array.__array_interface__["data"][0] for array in arrays]
    apart = places[1] - places[0] if len(places) > 1 else first.itemsize
    owner = _owner(first)
    for number, array in enumerate(arrays):
        if (
            _owner(array) is not owner
            or array.dtype != first.dtype
            or array.strides != first.strides
            or places[number] != places[0] + number * apart
        ):
            return None
    return np.lib.stride_tricks.as_strided(first, (len(first), len(arrays)), (first.strides[0], apart), writeable=False)


def _owner(array: Array) -> object:
    """Find the object that an array is a view into."""
    base: Any = array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    return base
