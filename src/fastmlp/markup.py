"""HTML for notebooks: tables and curves, small, without scripts. Imports nothing of ours."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["curves", "summary", "table"]

#: Seen as well on white as on black, and told apart by those who do not see red or green.
COLOURS = ("#0072B2", "#D55E00")


def table(caption: str, header: Sequence[object], rows: Sequence[Sequence[object]], below: str = "") -> str:
    """Return a table; what is in its cells is escaped, `below` is HTML already.

    Examples
    --------
    >>> table("a < b", ["x"], [[1]])
    '<table><caption>a &lt; b</caption><thead><tr><th>x</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>'
    """

    def row(cells: Sequence[object], kind: str) -> str:
        return "<tr>" + "".join(f"<{kind}>{_escape(str(cell))}</{kind}>" for cell in cells) + "</tr>"

    body = "".join(row(cells, "td") for cells in rows)
    return (
        f"<table><caption>{_escape(caption)}</caption><thead>{row(header, 'th')}</thead>"
        f"<tbody>{body}</tbody></table>{below}"
    )


def summary(text: str) -> str:
    """Return a network's summary, whose columns are two spaces apart, as a table."""
    head, names, *lines, last = map(str.strip, text.split("\n"))
    cells = [re.split(r" {2,}", line) for line in lines]
    rows = [[*row[:1], *[""] * (4 - len(row)), *row[1:]] for row in cells]  # the total has no shape
    return table(f"{head}; {last}", re.split(r" {2,}", names), rows)


def curves(columns: Mapping[str, Sequence[float]], width: int = 360, height: int = 120) -> str:
    """Return up to two curves over the same places as an SVG; numbers that are not finite are left out."""
    finite = [value for column in columns.values() for value in column if math.isfinite(value)]
    longest = max(map(len, columns.values()), default=0)
    if longest < 2 or len(finite) < 2:
        return ""
    low, high = min(finite), max(finite)
    across, up = (width - 10) / (longest - 1), (height - 10) / ((high - low) or 1.0)
    drawn, names = [], []
    for (name, column), colour in zip(columns.items(), COLOURS, strict=False):
        places = " ".join(
            f"{5 + across * x:.1f},{height - 5 - up * (value - low):.1f}"
            for x, value in enumerate(column)
            if math.isfinite(value)
        )
        drawn.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{places}"/>')
        names.append(f'<span style="color:{colour}">{_escape(name)}</span>')
    return (
        f'<svg role="img" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f"<title>{_escape(', '.join(columns))} by epoch, from {high:.4g} at the top to {low:.4g}</title>"
        f"{''.join(drawn)}</svg><br/>{', '.join(names)}"
    )


def _escape(text: str) -> str:
    from html import escape  # whose list of all entities is for notebooks alone

    return escape(text)
