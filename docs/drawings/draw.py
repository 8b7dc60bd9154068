"""The drawings of "How it works": panels, the register tile, the phases of a step. `python docs/drawings/draw.py`.

Colours are those of fastmlp.plot, which can be read on white and on black, and what is told by a colour is written
there as well. A drawing is 480 wide, so that its letters are still of ten pixels on a phone.
"""

from __future__ import annotations

from pathlib import Path

from fastmlp.plot.style import COLOURS, GREY

HERE = Path(__file__).parent
BLUE, ORANGE, GREEN, VIOLET = COLOURS[:4]
WIDTH = 480


class Drawing:
    """An SVG that grows by what is put into it."""

    def __init__(self, height: int, title: str) -> None:
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"',
            f' font-family="system-ui, sans-serif" font-size="13" fill="{GREY}" role="img">',
            f"<title>{title}</title>",
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6"',
            f' orient="auto"><path d="M0 0L8 4L0 8z" fill="{GREY}"/></marker></defs>',
        ]

    def box(self, x: float, y: float, width: float, height: float, colour: str, strength: float = 0.3) -> None:
        """Draw a rectangle, its inside as dense as its strength."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{colour}" '
            f'fill-opacity="{strength:g}" stroke="{colour}"/>'
        )

    def text(self, x: float, y: float, words: str, anchor: str = "start", *, bold: bool = False) -> None:
        """Write a line; y is that of its feet."""
        weight = ' font-weight="bold"' if bold else ""
        self.parts.append(f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{weight}>{words}</text>')

    def path(self, points: list[tuple[float, float]], *, dashed: bool = False, head: bool = True) -> None:
        """Draw a line through points, with a head at its end."""
        line = "M" + "L".join(f"{x:g} {y:g}" for x, y in points)
        more = (' stroke-dasharray="4 3"' if dashed else "") + (' marker-end="url(#head)"' if head else "")
        self.parts.append(f'<path d="{line}" fill="none" stroke="{GREY}" stroke-width="1.5"{more}/>')

    def done(self) -> str:
        """Return the file's content."""
        return "\n".join([*self.parts, "</svg>", ""])


def panels() -> str:
    """A matrix in column panels: where its numbers lie in memory."""
    d = Drawing(262, "A matrix cut into panels of P columns, each panel contiguous in memory, row by row")
    cell, rows, P, left, top = 20, 6, 4, 60, 40
    colours = BLUE, ORANGE, GREEN
    for panel, colour in enumerate(colours):
        x0 = left + panel * (P * cell + 16)
        d.text(x0 + P * cell / 2, top - 22, f"panel {panel}", "middle", bold=True)
        for row in range(rows):
            for column in range(P):
                filled = panel < 2 or column < 2
                ink = (colour, 0.3) if filled else (GREY, 0)
                d.box(x0 + column * cell, top + row * cell, cell, cell, *ink)
        ends = x0 + 8, x0 + P * cell - 8
        zigzag = [(x, top + (row + 0.5) * cell) for row in range(rows) for x in ends]
        d.path(zigzag)
    d.text(left - 10, top + rows * cell / 2 - 4, "R rows", "end")
    d.text(left + P * cell / 2, top - 6, "P columns", "middle")
    last = left + 2 * (P * cell + 16)
    d.text(last + P * cell + 12, top + rows * cell / 2 - 4, "empty: zeros")
    d.text(last + P * cell + 12, top + rows * cell / 2 + 13, "for padding")
    y, unit = top + rows * cell + 40, 16.5
    d.text(left - 50, y - 8, "in memory:")
    for panel, colour in enumerate(colours):
        for row in range(rows):
            d.box(left - 50 + (panel * rows + row) * unit * 1.42, y, unit * 1.42, 22, colour, 0.15 + 0.05 * row)
            d.text(left - 50 + (panel * rows + row + 0.5) * unit * 1.42, y + 16, str(row), "middle")
    d.text(left - 50, y + 40, "each box P numbers: a row of a panel. Element (r, c) of the matrix is at")
    d.text(left - 50, y + 58, "(c / P) * stride + r * P + c % P, with a stride of R * P or a little more.")
    return d.done()


def tile() -> str:
    """The register tile, which makes all three products of a layer."""
    d = Drawing(348, "The register tile: numbers of the left operand, broadcast, times rows of a panel")
    x0, y0, wide, K = 150, 150, 160, 6
    d.text(x0 + wide / 2, 16, "a panel: P numbers a row, two vectors", "middle")
    for k in range(K):
        d.box(x0, 24 + 16 * k, wide, 16, ORANGE, 0.6 if k == 2 else 0.15)
    d.text(x0 + wide + 8, 24 + 16 * 2.5 + 4, "row k, loaded once")
    d.text(20, y0 - 8, "left operand")
    for row in range(5):
        for k in range(K):
            d.box(20 + 18 * k, y0 + 18 * row, 18, 18, BLUE, 0.6 if k == 2 else 0.1)
        d.box(x0, y0 + 18 * row, wide, 18, GREEN, 0.3)
    d.path([(20 + 18 * 3, y0 + 45), (x0 - 3, y0 + 45)])
    d.path([(x0 + wide / 2, 24 + 16 * 3), (x0 + wide / 2, y0 - 3)])
    d.text(x0 + wide + 8, y0 + 40, "sums, in registers:")
    d.text(x0 + wide + 8, y0 + 57, "+= left[i, k] * row k")
    d.text(20, y0 + 18 * 5 + 18, "column k: a number each, broadcast; then k + 1")
    lines = [
        ("forward", "A W", "A, along a row", "W"),
        ("backward", "D W\u1d40", "D, along a row", "W\u1d40"),
        ("gradient", "A\u1d40 D", "A, down a column", "D"),
    ]
    for number, words in enumerate([("", "product", "left operand", "panels of"), *lines]):
        for place, word in zip((20, 110, 200, 340), words, strict=True):
            d.text(place, y0 + 18 * 5 + 44 + 17 * number, word, bold=number == 0)
    return d.done()


def phases() -> str:
    """A step on two threads: blocks of rows, then tiles of weights."""
    d = Drawing(330, "A step on two threads: a phase of rows, then one of tiles, each cut into items that are claimed")
    left, lane = 72, 46
    stages = (("gather", GREY, 0.3), ("forward", BLUE, 0.35), ("loss", VIOLET, 0.35), ("backward", ORANGE, 0.35))
    widths = 10, 24, 7, 29
    lanes = 66, 66 + lane
    d.text(left + 115, 18, "1. rows", "middle", bold=True)
    d.text(left + 322, 18, "2. tiles", "middle", bold=True)
    for thread, y in enumerate(lanes):
        d.text(8, y + 17, f"thread {thread}")
    blocks = {0: ("block 0", "block 1", "block 2"), 1: ("block 4", "block 5", "block 3")}
    for thread, y in enumerate(lanes):
        for number, name in enumerate(blocks[thread]):
            x = left + 76 * number
            helps = thread == 1 and number == 2
            d.text(x + 35, y - 4, name, "middle")
            for (_, colour, strength), width in zip(stages, widths, strict=True):
                d.box(x, y, width, 24, colour, strength)
                x += width
            if helps:
                d.path([(left + 76 * 2 + 35, y + 44), (left + 76 * 2 + 35, y + 27)])
                d.text(left + 76 * 2 + 35, y + 58, "of thread 0's share:", "middle")
                d.text(left + 76 * 2 + 35, y + 74, "who is done helps", "middle")
    border = left + 76 * 3 + 3
    d.path([(border, 26), (border, lanes[1] + 30)], dashed=True, head=False)
    for thread, y in enumerate(lanes):
        for number in range(4):
            x = border + 8 + 39 * number
            d.text(x + 17, y - 4, f"{number + 4 * thread}", "middle")
            for width, colour, strength in ((18, GREEN, 0.35), (11, BLUE, 0.15), (6, GREY, 0.3)):
                d.box(x, y, width, 24, colour, strength)
                x += width
    end = border + 8 + 39 * 4
    d.path([(end, 26), (end, lanes[1] + 30)], dashed=True, head=False)
    d.text(end, lanes[1] + 44, "then the next step", "end")
    d.path([(left, 44), (end, 44)])
    y = 206
    d.text(8, y, "A block of rows, in one core's cache:")
    x = 20.0
    for name, colour, strength in stages:
        d.box(x, y + 8, 16, 16, colour, strength)
        d.text(x + 22, y + 21, name)
        x += 105
    d.text(8, y + 52, "A tile of weights, P x P, over all rows of the batch:")
    for place, name, colour, strength in (
        (20, "gradient", GREEN, 0.35), (125, "optimizer", BLUE, 0.15), (230, "its transpose, into W\u1d40", GREY, 0.3)
    ):  # fmt: skip
        d.box(place, y + 60, 16, 16, colour, strength)
        d.text(place + 22, y + 73, name)
    d.text(8, y + 104, "A phase is over when its items are, whoever has done them: nobody")
    d.text(8, y + 120, "waits for a thread, and no item writes where another one does.")
    return d.done()


DRAWINGS = {"panels.svg": panels, "tile.svg": tile, "phases.svg": phases}

if __name__ == "__main__":
    for name, draw in DRAWINGS.items():
        (HERE / name).write_text(draw(), encoding="utf-8")
