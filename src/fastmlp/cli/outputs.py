"""Files that commands write: none takes the place of another unless that is asked for, and none is half written."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastmlp.files.tensors import replacing

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping, Sequence

    from fastmlp.spec import Array

__all__ = ["add_force", "csv_text", "refuse_existing", "write"]


def add_force(parser: argparse.ArgumentParser) -> None:
    """Add `--force`, which all commands have that write a file."""
    parser.add_argument("--force", action="store_true", help="write over files that are there")


def refuse_existing(paths: Iterable[str | None], force: bool, sources: Sequence[str] = ()) -> None:
    """Refuse files that are there already, before any work is done, and at all times the ones that are read."""
    found: set[Path] = set()
    for path in filter(None, paths):
        place = Path(path).resolve()
        if place in found:
            raise ValueError(f"{path}: two of the files to write are this one")
        found.add(place)
        if any(Path(source).exists() and Path(path).exists() and Path(path).samefile(source) for source in sources):
            raise ValueError(f"{path}: is what is read, and would be written over")
        if Path(path).is_dir():
            raise IsADirectoryError(f"{path}: is a folder; it must be the name of a file")
        if Path(path).exists() and not force:
            raise FileExistsError(f"{path}: is there already; --force writes over it")
        if not Path(path).absolute().parent.is_dir():
            raise FileNotFoundError(f"{path}: there is no folder {Path(path).parent}")


def write(path: str, text: str) -> None:
    """Write a file aside and rename it, so that there is the old one or the new one at any time."""
    with replacing(path) as file:
        file.write(text.encode())


def csv_text(columns: Mapping[str, Array | Sequence[object]]) -> str:
    """Lay columns out as CSV: floats so that they are read as the same, None as nothing."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*map(_cells, columns.values()), strict=True))
    return out.getvalue()


def _cells(column: Array | Sequence[object]) -> list[object]:
    if not isinstance(column, np.ndarray):
        return list(column)
    shortest = (
        column.dtype.kind == "f" and column.dtype.itemsize < 8
    )  # as Python's floats they have digits of their own
    return list((column.astype(str) if shortest else column).tolist())
