"""Tables out of files of any kind that is read: text, Parquet, NumPy's arrays, IDX."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.cli.files.table import FileTable, Kind, column_name
from fastmlp.cli.files.text_file import read_text
from fastmlp.datasets.idx import load_idx

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastmlp.spec import Array

__all__ = ["TARGET", "read_table", "read_with_target"]

TARGET = "y"
"""The column of targets of an .npz file that has them apart."""


def read_table(path: str, encoding: str | None = None, kinds: Mapping[str, Kind] | None = None) -> FileTable:
    """Read a file, of the kind that its name tells: .parquet, .npy, .npz, IDX (MNIST's), and text otherwise.

    Parameters
    ----------
    path : str
    encoding : str, optional
        Of text; default: UTF-8.
    kinds : mapping of str to {"number", "category", "date"}, optional
        What the columns hold that a model was trained on. Default: it is found out.

    Raises
    ------
    ImportError
        A Parquet file, and no library that reads it.
    OSError, ValueError
        The file cannot be read; the message names it, and the place.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    if Path(path).is_dir():
        raise IsADirectoryError(f"{path}: is a folder; pass one of its files")
    name = Path(path).name.lower()
    plain = name.removesuffix(".gz")
    if plain.endswith((".parquet", ".pq")):
        return _read_parquet(path)
    if plain.endswith(".npy"):
        return _of_array(path, _loaded(path))
    if plain.endswith(".npz"):
        return _read_npz(path)
    if plain.endswith((".idx", "-ubyte")) or ".idx" in plain or "-idx" in plain:
        return _of_array(path, load_idx(path))
    if plain.endswith((".xlsx", ".xls", ".json", ".feather", ".arrow", ".h5")):
        raise ValueError(f"{path}: read are CSV and other delimited text, .parquet, .npy, .npz and IDX files")
    return read_text(path, encoding, kinds)


def _loaded(path: str) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not a file of numbers by NumPy: {error}") from error


def _read_npz(path: str) -> FileTable:
    """Take X and y, by these names or Keras's x_train and y_train, or the only array."""
    with _loaded(path) as arrays:
        names = list(arrays.files)
        pair = next((pair for pair in (("X", "y"), ("x", "y"), ("x_train", "y_train"), ("X_train", "y_train"))
                     if set(pair) <= set(names)), None)  # fmt: skip
        if pair is None and len(names) != 1:
            raise ValueError(f"{path}: has arrays {', '.join(map(repr, names))}; wanted are X and y, or one alone")
        try:
            if pair is None:
                return _of_array(path, arrays[names[0]])
            table, y = _of_array(path, arrays[pair[0]]), arrays[pair[1]]
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: {str(error).removeprefix(path + ': ')}") from error
    if y.shape not in ((len(table),), (len(table), 1)):
        raise ValueError(f"{path}: {pair[1]} has shape {y.shape} for the {len(table)} rows of {pair[0]}")
    table.columns[TARGET] = _column(path, TARGET, y.reshape(-1))
    return table


def _of_array(path: str, array: Array) -> FileTable:
    """Take an array's rows: of images, their pixels one behind the other; of numbers alone, each is one."""
    if array.ndim == 0 or not array.size:
        raise ValueError(f"{path}: an array of shape {array.shape} has no rows")
    flat = array.reshape(len(array), -1)
    names = map(column_name, range(flat.shape[1]))
    return FileTable(path, {name: _column(path, name, flat[:, place]) for place, name in enumerate(names)})


def _column(path: str, name: str, values: Array) -> Array:
    """Return an array's column as a table has it."""
    if values.dtype.kind in "fiub":
        return np.asarray(values, np.float64)
    if values.dtype.kind in "US":
        return np.array([each.decode() if isinstance(each, bytes) else str(each) for each in values.tolist()], object)
    if values.dtype.kind == "M":
        return values.astype("datetime64[us]")
    raise ValueError(f"{path}, column {name!r}: has dtype {values.dtype}; it must have numbers, text or dates")


def _read_parquet(path: str) -> FileTable:
    """Read a Parquet file by pyarrow, or polars; pandas reads it by one of these, too."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return _read_parquet_by_polars(path)
    try:
        names = pq.read_schema(path).names
        twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
        if twice is None:
            arrow = pq.read_table(path)
    except (pa.ArrowException, ValueError) as error:
        raise ValueError(f"{path}: not a Parquet file that can be read: {error}") from error
    if twice is not None:
        raise ValueError(f"{path}: two columns are called {twice!r}")
    columns = {}
    for name in arrow.column_names:
        column = arrow.column(name)
        if pa.types.is_dictionary(column.type):
            column = pa.array(column.to_pylist())  # there is no cast from all that a dictionary may have
        if pa.types.is_boolean(column.type) or pa.types.is_decimal(column.type):
            column = column.cast(pa.float64())
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            columns[name] = np.asarray(column.cast(pa.timestamp("us")).to_numpy(), "datetime64[us]")
        elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            columns[name] = column.to_numpy().astype(np.float64)
        else:
            columns[name] = _texts(path, name, column.to_pylist())
    return _checked(FileTable(path, columns))


def _read_parquet_by_polars(path: str) -> FileTable:
    try:
        import polars as pl
    except ImportError as error:
        raise ImportError(
            f"{path}: Parquet is read by pyarrow or polars, and neither is installed: pip install 'fastmlp[arrow]'"
        ) from error
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise ValueError(f"{path}: not a Parquet file that can be read: {error}") from error
    columns = {}
    for name in frame.columns:
        column = frame.get_column(name)
        if column.dtype == pl.Boolean or column.dtype.is_numeric():
            columns[name] = column.cast(pl.Float64).to_numpy().astype(np.float64)
        elif column.dtype in (pl.Date, pl.Datetime):
            columns[name] = column.cast(pl.Datetime("us")).to_numpy().astype("datetime64[us]")
        else:
            named = column.dtype in (pl.Categorical, pl.Enum)
            columns[name] = _texts(path, name, (column.cast(pl.String) if named else column).to_list())
    return _checked(FileTable(path, columns))


def _texts(path: str, name: str, values: list[Any]) -> Array:
    for row, each in enumerate(values):
        if each is not None and not isinstance(each, str):
            raise ValueError(
                f"{path}, row {row + 1}, column {name!r}: is a {type(each).__name__}; read are numbers, text and dates"
            )
    known: dict[str, str] = {}
    return np.array([each if each is None else known.setdefault(each, each) for each in values], object)


def _checked(table: FileTable) -> FileTable:
    if not len(table):
        raise ValueError(f"{table.path}: the file has no rows")
    return table


def read_with_target(
    path: str, target: str, encoding: str | None = None, kinds: Mapping[str, Kind] | None = None
) -> tuple[FileTable, str]:
    """Read a table and find its target, which may be a column, or a file of its own: return its name, too."""
    table = read_table(path, encoding, kinds)
    if target in table.columns or not Path(target).is_file():
        return table, table.find(target, "--target")
    other = read_table(target, encoding)
    if len(other.columns) != 1:
        raise ValueError(f"{target}: has {len(other.columns)} columns; a file of targets has one")
    if len(other) != len(table):
        raise ValueError(f"{target}: has {len(other):,} rows, and {path} has {len(table):,}")
    (column,) = other.columns.values()
    table.columns[TARGET] = column
    return table, TARGET
