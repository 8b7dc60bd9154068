"""Text for terminals."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

__all__ = ["complain", "counted", "line_of", "shown", "table", "table_of_scores"]


def table(names: Sequence[str], rows: Sequence[Sequence[str]], left: int = 0) -> str:
    """Lay out rows under a line of names, the first `left` columns flush left and all others flush right."""
    names, *rows = ([line_of(cell) for cell in cells] for cells in (names, *rows))
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    return "\n".join(map(line, [names, *rows]))


def line_of(text: str) -> str:
    """Return text of somebody else's, such as a column's name, without what would move a terminal's cursor."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def counted(number: int, thing: str) -> str:
    """Say how many there are: "1 thread", "2 threads"."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def table_of_scores(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """Lay out metrics with their intervals."""
    rows = [
        [name.replace("_", " "), shown(score["value"]), f"{shown(score['low'])} to {shown(score['high'])}"]
        for name, score in scores.items()
    ]
    return table(["metric", "value", "95 % interval"], rows, 1)


def shown(value: float | None) -> str:
    """Return a measurement in four digits, or more where it has more before the point."""
    if value is None:
        return "undefined"
    return f"{value:,.0f}" if abs(value) >= 10000 else f"{value:.4g}"


def complain(text: str) -> None:
    """Print a line on standard error, if that is there and takes it."""
    if sys.stderr is not None:  # print would take standard output instead
        with suppress(OSError):
            print(text, file=sys.stderr)
