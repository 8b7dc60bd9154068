"""A table as a file has it: named columns of numbers, text or dates, and where each row stands."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from fastmlp.spec import Array

__all__ = ["FileTable", "Kind", "as_dates", "column_name", "gaps", "is_number", "kind_of", "label_of"]

Kind: TypeAlias = Literal["number", "category", "date"]
"""What a column holds: floats of which NaN are gaps, strings of which None are, or datetime64 of which NaT are."""


_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?Z?)?", re.ASCII)


@dataclass
class FileTable:
    """Columns of one length.

    Attributes
    ----------
    path : str
        Of the file, for messages.
    columns : dict of str to ndarray
        By name, in the file's order: float64 with NaN for gaps, object with strings and None, or datetime64 with NaT.
    lines : ndarray of int, or None
        The line of the file where each row begins, counted from 1; None where a file has no lines.
    warnings : list of str
        What was odd about the file.
    """

    path: str
    columns: dict[str, Array]
    lines: NDArray[np.int64] | None = None
    warnings: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def place(self, row: int, column: str) -> str:
        """Say where a value stands: file, line and column."""
        where = f"row {row + 1}" if self.lines is None else f"line {self.lines[row]}"
        return f"{self.path}, {where}, column {column!r}"

    def find(self, wanted: str, what: str) -> str:
        """Return the name of the column that a user means: by its name, or its number from 1 (from the end, -1)."""
        names = list(self.columns)
        if wanted in self.columns:
            return wanted
        try:
            number = int(wanted)
        except ValueError:
            number = 0
        if 1 <= number <= len(names) or -len(names) <= number <= -1:
            return names[number - 1 if number > 0 else number]
        raise ValueError(f"{self.path}: {what} is {wanted!r}, which is no column{_advice(wanted, names)}")

    def without(self, names: Iterable[str]) -> FileTable:
        """Return the table without some columns, which share their memory."""
        left_out = set(names)
        kept = {name: column for name, column in self.columns.items() if name not in left_out}
        return FileTable(self.path, kept, self.lines, self.warnings)

    def rows(self, numbers: Array) -> FileTable:
        """Return some of the rows, in this order."""
        lines = None if self.lines is None else self.lines[numbers]
        return FileTable(self.path, {name: each[numbers] for name, each in self.columns.items()}, lines, self.warnings)

    def like(self, kinds: Mapping[str, Kind]) -> FileTable:
        """Return the columns that a model was trained on, in its order, as it had them.

        Raises
        ------
        ValueError
            One is not there, or has text where there were numbers: the message names the line.
        """
        missing = [name for name in kinds if name not in self.columns]
        if missing:
            shown = ", ".join(map(repr, missing[:5])) + (", ..." if len(missing) > 5 else "")
            advice = _advice(missing[0], list(self.columns))
            raise ValueError(f"{self.path}: has no column {shown}, which the model was trained on{advice}")
        kept = {name: self._as(name, kind) for name, kind in kinds.items()}
        return FileTable(self.path, kept, self.lines, self.warnings)

    def refuse_infinities(self) -> None:
        """Refuse numbers that are infinite, which nothing is learnt from."""
        for name, column in self.columns.items():
            wrong = np.flatnonzero(np.isinf(column)) if kind_of(column) == "number" else np.empty(0, int)
            if wrong.size:
                raise ValueError(f"{self.place(int(wrong[0]), name)}: is infinite; leave it empty if it is not known")

    def _as(self, name: str, kind: Kind) -> Array:
        column = self.columns[name]
        have = kind_of(column)
        if have == kind:
            return column
        missing = gaps(column)
        if missing.all():  # of no kind
            return {
                "number": np.full(len(column), np.nan),
                "category": np.full(len(column), None, object),
                "date": np.full(len(column), np.datetime64("NaT"), "datetime64[us]"),
            }[kind]
        if kind == "category":
            as_text = label_of if have == "number" else str
            texts = [None if gap else as_text(each) for each, gap in zip(column, missing, strict=True)]
            return np.array(texts, object)
        wanted = "a number" if kind == "number" else "a date"
        row = int(np.flatnonzero(~missing)[0])
        if have == "category":
            fits = _is_date if kind == "date" else is_number
            row = next((row for row, each in enumerate(column) if each is not None and not fits(each)), row)
        raise ValueError(
            f"{self.place(row, name)}: {str(column[row])!r:.60} is not {wanted}, as the model was trained on"
        )


def label_of(value: Any) -> str:
    """Return a class as text: a whole number without a point, however it is stored."""
    if isinstance(value, str):
        return value
    number = float(value)
    return str(int(number)) if number.is_integer() else repr(number)


def kind_of(column: Array) -> Kind:
    """Tell what a column holds."""
    return {"O": "category", "M": "date"}.get(column.dtype.kind, "number")  # type: ignore[return-value]


def gaps(column: Array) -> NDArray[np.bool_]:
    """Tell which values are missing."""
    if column.dtype.kind == "O":
        return np.array([each is None for each in column], bool)
    missing: NDArray[np.bool_] = np.isnat(column) if column.dtype.kind == "M" else np.isnan(column)
    return missing


def is_number(text: str) -> bool:
    """Tell whether a text is a number, as Python writes them, but for underscores."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _is_date(text: str) -> bool:
    return _DATE.fullmatch(text) is not None


def as_dates(column: Array) -> Array | None:
    """Return texts as dates and times, if all that are no gaps are such as ISO 8601 writes them; else None."""
    if not all(each is None or _is_date(each) for each in column) or gaps(column).all():
        return None
    try:
        return np.array([each and each.rstrip("Z") for each in column], "datetime64[us]")
    except ValueError:  # as 2026-02-30
        return None


def column_name(number: int) -> str:
    """Name a column that has no name of its own, by its number from 0."""
    return f"column {number + 1}"


def _advice(wanted: str, names: list[str]) -> str:
    near = get_close_matches(wanted, names, 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return "; there are " + ", ".join(map(repr, names[:12])) + (", ..." if len(names) > 12 else "")
