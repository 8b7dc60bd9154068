"""Text for terminals."""

from collections.abc import Sequence

__all__ = ["counted", "table"]


def table(names: Sequence[str], rows: Sequence[Sequence[str]], left: int = 0) -> str:
    """Lay out rows under a line of names, the first `left` columns flush left and all others flush right."""
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    return "\n".join(map(line, [names, *rows]))


def counted(number: int, thing: str) -> str:
    """Say how many there are: "1 thread", "2 threads"."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
