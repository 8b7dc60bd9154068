"""A table as columns of numbers, categories and dates, whatever library it is of; none of them is imported.

What a column is, is found here; how it becomes numbers that a network reads, in encoding.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, time, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from fastmlp.data.frames import arrow_table, frame_columns, library_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fastmlp.spec import Array

__all__ = [
    "Codes",
    "Column",
    "Kind",
    "NamedColumns",
    "Scalar",
    "columns_of",
    "is_gap",
    "kind_of",
    "place_codes",
    "to_codes",
    "to_days",
    "to_numbers",
]

Kind: TypeAlias = Literal["number", "category", "date"]
Scalar: TypeAlias = str | int | float | bool

#: Texts that are a gap in a column of numbers, beside the empty one.
_GAPS = frozenset({"", "nan", "na", "n/a", "null", "none", "?"})


@dataclass(frozen=True)
class Codes:
    """A column of categories: for each row the number of its value, or -1 for a gap."""

    codes: NDArray[np.int32]
    values: tuple[Scalar, ...]

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Any) -> Codes:
        return Codes(self.codes[rows], self.values)


Column: TypeAlias = "Array | Codes"


class NamedColumns:
    """A table of arrays by the names of its columns, for who has no library of frames.

    Parameters
    ----------
    columns : mapping of str to ndarray
        Of one length, (n,): numbers, dates or objects.
    """

    def __init__(self, columns: Mapping[str, Array]) -> None:
        self.columns = dict(columns)
        self.names = tuple(self.columns)
        self.shape = (len(next(iter(self.columns.values()))) if self.columns else 0, len(self.columns))

    def __len__(self) -> int:
        return self.shape[0]


def columns_of(X: Any, name: str = "X") -> list[Column]:
    """Return the columns of a table: arrays of numbers, dates or objects, and codes of categories.

    Parameters
    ----------
    X : array_like of shape (n, n_features), pandas or polars DataFrame, pyarrow Table, or what exports an Arrow stream
        Or `NamedColumns`. Arrays of numbers are not copied.
    name : str
        What errors call it.

    Raises
    ------
    TypeError, ValueError
        If it is no table: sparse, complex, of another number of dimensions, without rows or columns.
    """
    if isinstance(X, NamedColumns):
        return list(X.columns.values())
    library = library_of(X)
    if library is not None:
        if library == "arrow":
            X, library = arrow_table(X, name), "pyarrow"
        return [_frame_column(column, library) for column in frame_columns(X, library, name)[1]]
    if hasattr(X, "tocsr"):
        raise TypeError(f"{name} is a sparse {type(X).__name__}; a table must be dense: pass {name}.toarray()")
    array = np.asarray(X)
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} has dtype {array.dtype}")
    if array.ndim != 2:
        advice = (
            " Reshape your data: X.reshape(-1, 1) is one column, X.reshape(1, -1) one row" if array.ndim == 1 else ""
        )
        raise ValueError(f"{name} must have 2 dimensions (rows and columns), got shape {array.shape}.{advice}")
    if array.shape[0] == 0:
        raise ValueError(f"Found array with 0 sample(s) (shape={array.shape}) while a minimum of 1 is required.")
    if array.shape[1] == 0:
        raise ValueError(f"Found array with 0 feature(s) (shape={array.shape}) while a minimum of 1 is required.")
    array = _seconds(array) if array.dtype.kind == "m" else array
    return [array[:, place] for place in range(array.shape[1])]


def _frame_column(column: Any, library: str) -> Column:
    if library == "pandas":
        categories = getattr(column.dtype, "categories", None)
        if categories is not None and hasattr(column, "cat"):
            codes = column.cat.codes.to_numpy().astype(np.int32)
            return Codes(codes, tuple(map(_scalar, categories)))
        if getattr(column.dtype, "kind", "O") in "fiub" and not isinstance(column.dtype, np.dtype):
            return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
        if getattr(column.dtype, "kind", "O") == "M":
            return np.asarray(column.dt.tz_localize(None).to_numpy(), "datetime64[us]")
        if getattr(column.dtype, "kind", "O") == "m":
            return _seconds(np.asarray(column.to_numpy(), "timedelta64[us]"))
        return np.asarray(column.to_numpy(dtype=object) if column.dtype.kind not in "fiub" else column.to_numpy())
    if library == "polars":
        named = type(column.dtype).__name__
        if named in ("Categorical", "Enum", "String", "Object", "Utf8"):
            return np.array(column.cast(str).to_list() if named != "Object" else column.to_list(), object)
        return _with_gaps(column.to_numpy())
    if hasattr(column.type, "index_type"):
        column = column.cast(column.type.value_type)
    return _with_gaps(column.to_numpy(zero_copy_only=False) if not hasattr(column, "chunks") else column.to_numpy())


def _with_gaps(array: Any) -> Array:
    """Return a column as polars and Arrow give it: dates in one unit, and objects as they are."""
    column: Array = np.asarray(array)
    if column.dtype.kind == "m":
        return _seconds(column)
    return column.astype("datetime64[us]") if column.dtype.kind == "M" else column


def _seconds(durations: Array) -> NDArray[np.float64]:
    """Return durations as seconds, NaN where there is a gap."""
    seconds = durations.astype("timedelta64[us]").astype(np.float64) / 1e6
    seconds[np.isnat(durations)] = np.nan
    return seconds


def kind_of(column: Column) -> Kind:
    """Tell what a column holds: objects are numbers or dates if all that are no gaps are."""
    if isinstance(column, Codes):
        return "category"
    if column.dtype.kind in "fiub":
        return "number"
    if column.dtype.kind == "M":
        return "date"
    found = [value for value in column.tolist() if not is_gap(value)]
    if all(isinstance(value, int | float | np.number | np.bool_ | time | timedelta) for value in found):
        return "number"  # one without any value, too: a gap everywhere
    if found and all(isinstance(value, date | np.datetime64) for value in found):
        return "date"
    return "category"


def to_numbers(column: Column, name: str) -> Array:
    """Return a column as real numbers, NaN where there is a gap; the array itself, where it is one of them."""
    if isinstance(column, Codes):
        values = np.array([_number(value, name) for value in column.values] + [np.nan])
        numbers: Array = values[column.codes]
    elif column.dtype.kind in "fiub":
        numbers = column
    elif column.dtype.kind == "M":
        raise TypeError(f"column {name} has dates, and had numbers in the data to learn from")
    else:
        numbers = np.array([_number(value, name) for value in column.tolist()])
    if numbers.dtype.kind == "f" and np.isinf(numbers).any():
        row = int(np.flatnonzero(np.isinf(numbers))[0])
        raise ValueError(
            f"column {name} contains infinity, in row {row}: what is too large for a number may be given as a gap (NaN)"
        )
    return numbers


def to_days(column: Column, name: str) -> NDArray[np.float64]:
    """Return a column of dates as days since 1970, NaN where there is a gap."""
    if isinstance(column, Codes):
        values = np.array(
            [np.datetime64(str(value)) for value in column.values] + [np.datetime64("NaT")], "datetime64[us]"
        )
        array = values[column.codes]
    elif column.dtype.kind == "M":
        array = column.astype("datetime64[us]")
    else:
        try:
            array = np.array([_moment(value) for value in column.tolist()], "datetime64[us]")
        except (TypeError, ValueError) as error:
            raise TypeError(f"column {name} had dates in the data to learn from, and has none now: {error}") from None
    days = array.astype(np.int64) / 86_400_000_000.0
    return np.where(np.isnat(array), np.nan, days)


def to_codes(column: Column) -> Codes:
    """Return a column as categories, in the order in which they come."""
    if isinstance(column, Codes):
        return column
    if column.dtype.kind in "fiub":
        found, inverse = np.unique(column, return_inverse=True)
        gap = np.isnan(found) if found.dtype.kind == "f" else np.zeros(len(found), bool)
        numbers = np.where(gap, -1, np.cumsum(~gap) - 1).astype(np.int32)
        return Codes(numbers[inverse.reshape(-1)], tuple(map(_scalar, found[~gap])))
    known: dict[Scalar, int] = {}
    codes = np.empty(len(column), np.int32)
    for row, value in enumerate(column.tolist()):
        codes[row] = -1 if is_gap(value) else known.setdefault(_scalar(value), len(known))
    return Codes(codes, tuple(known))


def place_codes(column: Codes, known: Sequence[Scalar]) -> NDArray[np.int32]:
    """Return for each row the place of its value in `known`: -1 for a gap, -2 for what is none of them."""
    places = {value: place for place, value in enumerate(known)}
    table = np.array([places.get(value, -2) for value in column.values] + [-1], np.int32)
    return table[column.codes]


def is_gap(value: Any) -> bool:
    """Tell None, NaN, NaT and pandas' NA: what does not equal itself, or has no answer whether it does."""
    if value is None:
        return True
    if isinstance(value, str):
        return False
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return type(value).__name__ == "NAType"


def _scalar(value: Any) -> Scalar:
    """Return a category as what a file can have: text, a number, yes or no; anything else as its text."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and value.is_integer():
        return int(value)  # a column of integers with a gap is one of floats
    return value if isinstance(value, str | int | float | bool) else str(value)


def _moment(value: Any) -> Any:
    """Return a date or a time of the day as NumPy's; one with a time zone as its own clock shows it."""
    if is_gap(value):
        return np.datetime64("NaT")
    return np.datetime64(value.replace(tzinfo=None) if getattr(value, "tzinfo", None) else value)


def _number(value: Any, name: str) -> float:
    """Return the number that a value of a column of numbers is, or says; NaN for a gap."""
    if is_gap(value) or (isinstance(value, str) and value.strip().lower() in _GAPS):
        return float("nan")
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, time):  # of the day
        return ((value.hour * 60 + value.minute) * 60 + value.second) + value.microsecond / 1e6
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"column {name} has an integer beyond 1e308, which no float can be") from None
    except (TypeError, ValueError):
        raise ValueError(
            f"could not convert string to float: column {name} had numbers in the data to learn from, "
            f"and has {value!r:.80} now"
        ) from None
