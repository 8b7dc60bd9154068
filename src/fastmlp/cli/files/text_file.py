"""CSV and its relatives, by the standard library's reader, so that a file is read alike wherever it is.

What a column holds decides a model, and libraries differ in what they take for a number, a gap or a broken line.
Numbers become floats a block of rows at a time: a cell takes 8 bytes where it is one, and equal texts are one object.
Where no commas stand between fields, one may stand in a number, as spreadsheets of half the world write them.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np

from fastmlp.cli.files.table import FileTable, Kind, as_dates, column_name, is_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fastmlp.spec import Array

__all__ = ["GAPS", "read_text"]

#: What stands for a value that is missing, as pandas has it, and "?" as the UCI repository does.
GAPS: Final = frozenset(
    ["", "?", "#N/A", "<NA>", "N/A", "NA", "NULL", "NaN", "Nan", "None", "n/a", "na", "nan", "null", "none", "-nan"]
)
DELIMITERS: Final = ",;\t|"
CELLS: Final = 1 << 16  # of a block that is converted at once
COMMA: Final = re.compile(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*", re.ASCII)
"""A number with a decimal comma."""
COMMAS: Final = re.compile(r"[+-]?[\d.,]*\d", re.ASCII)
"""A number with commas or points between its thousands, too."""


def read_text(path: str, encoding: str | None = None, kinds: Mapping[str, Kind] | None = None) -> FileTable:
    """Read a file of delimited text, plain or gzip: its first line names the columns, unless it is all numbers.

    Parameters
    ----------
    path : str
    encoding : str, optional
        Default: what a byte order mark says, or UTF-8.
    kinds : mapping of str to {"number", "category", "date"}, optional
        What columns hold that are to be read so; of the others, it is found out.

    Raises
    ------
    OSError, ValueError
        The file cannot be read; the message names the line, and the column where it is one.
    """
    try:
        codecs.lookup(encoding or "utf-8")
    except LookupError:
        raise ValueError(
            f"--encoding is {encoding!r}, which Python does not know; utf-8, latin-1 and cp1252 are such"
        ) from None
    kinds = kinds or {}
    names, builders, lines = _read(path, encoding, kinds, ())
    if late := [each.name for each in builders if each.late]:  # of which a later block shows that they are text
        names, builders, lines = _read(path, encoding, kinds, late)
    columns = {name: each.array() for name, each in zip(names, builders, strict=True)}
    table = FileTable(path, columns, lines, _oddities(path, builders, columns))
    if not len(table):
        raise ValueError(f"{path}: the file has no rows" + (" below its header" if names else ""))
    return table


def _read(
    path: str, encoding: str | None, kinds: Mapping[str, Kind], texts: Sequence[str]
) -> tuple[list[str], list[_Column], Array]:
    """Read all rows."""
    with _opened(path, encoding) as file:
        records = _Records(path, file)
        first = records.first()
        comma = records.delimiter != ","
        headless = all(is_number(cell) or (comma and COMMA.fullmatch(cell)) for cell in first)
        names = [column_name(number) for number in range(len(first))] if headless else _named(path, first)
        builders = [_Column(path, name, kinds.get(name), name in texts, comma) for name in names]
        lines: list[int] = []
        block: list[list[str]] = []
        begun: list[int] = []

        def flush() -> None:
            for builder, cells in zip(builders, zip(*block, strict=True), strict=False):
                builder.add(cells, begun)
            lines.extend(begun)
            block.clear()
            begun.clear()

        rows_at_once = max(1, CELLS // len(names))
        for line, record in records.rest(names, first if headless else None):
            block.append(record)
            begun.append(line)
            if len(block) == rows_at_once:
                flush()
        flush()
    return names, builders, np.array(lines, np.int64)


class _Records:
    """The records of a file, each with the line where it begins."""

    def __init__(self, path: str, file: io.TextIOBase) -> None:
        self.path, self.file = path, file

    def first(self) -> list[str]:
        """Find the delimiter, and return the first record."""
        head = ""
        self.skipped = 0
        while not head.strip():
            head = self.file.readline()
            if not head:
                raise ValueError(f"{self.path}: the file is empty")
            self.skipped += 1
        of = {each: len(next(csv.reader([head], delimiter=each, skipinitialspace=True))) for each in DELIMITERS}
        self.delimiter = max(DELIMITERS, key=lambda each: of[each])
        if self.delimiter == ",":  # or is it in the numbers of a line that has others between them?
            for each in DELIMITERS[1:]:
                cells = head.split(each)
                if len(cells) > 1 and all(is_number(cell) or COMMA.fullmatch(cell) for cell in cells):
                    self.delimiter = each
        # A name may have a line break in it, so that the reader has to see this line again.
        self.reader = csv.reader(self._with(head), delimiter=self.delimiter, skipinitialspace=True, strict=True)
        return [cell.strip() for cell in self._next()[1]]

    def _with(self, head: str) -> Iterator[str]:
        yield head
        yield from self.file

    def _next(self) -> tuple[int, list[str]]:
        line = self.reader.line_num + self.skipped
        try:
            return line, next(self.reader)
        except csv.Error as error:
            never = "unexpected end" in str(error) or "field larger" in str(error)
            what = "begins with a quote that is never closed" if never else str(error)
            raise ValueError(f"{self.path}, line {line}: {what}") from None

    def rest(self, names: Sequence[str], before: list[str] | None) -> Iterator[tuple[int, list[str]]]:
        """Give the other records, after one that was no header; each has a cell for every name."""
        if before is not None:
            yield self.skipped, before
        while True:
            try:
                line, record = self._next()
            except StopIteration:
                return
            if len(record) != len(names):
                if not record:  # an empty line
                    continue
                raise ValueError(self._wrong_length(line, record, names))
            yield line, record

    def _wrong_length(self, line: int, record: list[str], names: Sequence[str]) -> str:
        if len(record) > len(names):
            what = f"the first beyond column {names[-1]!r} is {record[len(names)]!r:.60}"
        else:
            what = f"there is nothing for column {names[len(record)]!r}"
        return f"{self.path}, line {line}: {len(record)} values where there are {len(names)} columns; {what}"


class _Column:
    """A column that is being read."""

    def __init__(self, path: str, name: str, kind: Kind | None, is_text: bool, comma: bool) -> None:
        self.path, self.name, self.kind = path, name, kind
        self.point = "" if comma else "."  # what stands before decimals; nothing: no number had any yet
        self.example = ""
        self.is_text = is_text or kind in ("category", "date")
        self.parts: list[Array] = []
        self.late = False
        self.known: dict[str, str] = {}

    def add(self, cells: Sequence[str], lines: Sequence[int]) -> None:
        """Add the cells of some rows."""
        if self.late:
            return
        if self.is_text:
            self.parts.append(self._text(cells))
            return
        numbers = self._numbers(cells)
        if isinstance(numbers, int):
            if self.kind == "number":
                where = f"{self.path}, line {lines[numbers]}, column {self.name!r}"
                raise ValueError(
                    f"{where}: {cells[numbers].strip()!r:.60} is not a number, as the model was trained on"
                )
            if self.parts:
                self.late = True
                return
            self.is_text = True
            numbers = self._text(cells)
        self.parts.append(numbers)

    def _numbers(self, cells: Sequence[str]) -> Array | int:
        """Return cells as numbers, or the place of the first that is none; one column has one decimal sign."""
        text = "".join(cells)
        if "_" not in text and not (self.point == "," and "." in text):  # which Python allows between digits
            try:
                out = np.array(cells, np.float64)
            except ValueError:
                pass
            else:
                self.point = self.point or ("." if "." in text else "")
                return out
        out = np.empty(len(cells))
        for row, cell in enumerate(cells):
            if cell.strip() in GAPS:
                out[row] = np.nan
                continue
            point = "." if "." in cell else "," if "," in cell else ""
            if not self.point:
                self.point, self.example = point, cell.strip()
            if point not in ("", self.point) or not (COMMA.fullmatch(cell) if point == "," else is_number(cell)):
                return row
            out[row] = float(cell.replace(",", "."))
        return out

    def _text(self, cells: Sequence[str]) -> Array:
        out = np.empty(len(cells), object)
        known = self.known
        for row, cell in enumerate(cells):
            cell = cell.strip()
            out[row] = None if cell in GAPS else known.setdefault(cell, cell)
        return out

    def array(self) -> Array:
        """Return the whole column: as dates, where all of its texts are."""
        whole = np.concatenate(self.parts) if self.parts else np.empty(0)
        if whole.dtype == object and self.kind != "category":
            dates = as_dates(whole)
            if dates is not None:
                return dates
        return whole


def _oddities(path: str, builders: Sequence[_Column], columns: Mapping[str, Array]) -> list[str]:
    """Tell which columns have numbers with commas, and what they were taken for."""
    found = []
    decimal = [f"{each.name!r} ({each.example:.20})" for each in builders if each.point == "," and not each.is_text]
    if decimal:
        found.append(f"{path}: commas are decimal points in {', '.join(decimal):.200}")
    for each in builders:
        column = columns[each.name]
        if each.kind is None and column.dtype == object:
            known = {text for text in column.tolist() if text is not None}
            example = min((text for text in known if "," in text), default=None)
            if example is not None and all(map(COMMAS.fullmatch, known)):
                found.append(f"{path}, column {each.name!r}: is text, such as {example!r:.40}; numbers have one point, "
                             "or one comma where fields are separated by other signs")  # fmt: skip
    return found


def _named(path: str, header: list[str]) -> list[str]:
    names = [cell or column_name(number) for number, cell in enumerate(header)]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise ValueError(f"{path}, line 1: two columns are called {name!r}")
    return names


@contextmanager
def _opened(path: str, encoding: str | None) -> Iterator[Any]:
    """Open a file as text; what is no text of its encoding is an error that says where."""
    with Path(path).open("rb") as raw:
        unpacked = _unpacked(raw)
        found = encoding
        try:
            if found is None:
                marks = codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE
                found = "utf-16" if unpacked.read(2) in marks else "utf-8-sig"
                unpacked.seek(0)
            yield io.TextIOWrapper(unpacked, encoding=found, newline="")
        except UnicodeDecodeError as error:
            raise ValueError(_undecodable(path, found or "utf-8")) from error
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: corrupt gzip: {error}") from error


def _unpacked(raw: BinaryIO) -> Any:
    """Return a file's content, which may be packed whatever its name is."""
    packed = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    return gzip.GzipFile(fileobj=raw) if packed else raw


def _undecodable(path: str, encoding: str) -> str:
    """Say which bytes of a file cannot be read, and what could."""
    with Path(path).open("rb") as raw:
        name = encoding.removesuffix("-sig")
        for number, line in enumerate(_unpacked(raw), 1):
            try:
                line.decode(name)
            except UnicodeDecodeError as error:
                before = line[: error.start].decode("latin-1")
                column = max(len(next(csv.reader([before], delimiter=each), [""])) for each in DELIMITERS) or 1
                return (
                    f"{path}, line {number}, value {column}: byte 0x{line[error.start]:02x} is not {name.upper()}; "
                    "the file may be in another encoding: try --encoding cp1252, or latin-1"
                )
    return f"{path}: not text in the encoding {encoding}: try another --encoding"
