"""What all pictures share: axes to draw into, and colours for everybody. Imports Matplotlib when it draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastmlp.spec import Array

__all__ = [
    "COLOURS",
    "DIVERGING",
    "GREY",
    "MARKERS",
    "SEQUENTIAL",
    "STYLES",
    "axes",
    "contrasting",
    "labels_of",
    "style",
]

#: Of lines and points: at least three to one against white and against black (WCAG 2.2, 1.4.11), and different to
#: people who see no red or no green, most of all the first two, which are Okabe's and Ito's (2008).
COLOURS = ("#0072B2", "#D55E00", "#5C9985", "#A300F5", "#1F6B7A", "#AB402B")
#: Of what the others are compared with.
GREY = "#767676"
#: So that no line or point is told by its colour alone.
STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", ">", "*")
#: Colour maps, by Matplotlib's names: of sizes, and of what is on two sides of zero.
SEQUENTIAL, DIVERGING = "cividis", "RdBu_r"


def axes(ax: Any, width: float = 6.4, height: float = 4.0) -> Any:
    """Return the axes to draw into: those given, or those of a new figure of so many inches."""
    try:
        from matplotlib import pyplot as plt
        from matplotlib.axes import Axes
    except ImportError as error:
        raise ImportError(
            "fastmlp.plot draws with Matplotlib, which is not installed: pip install 'fastmlp[plot]'"
        ) from error
    if ax is None:
        return plt.subplots(figsize=(width, height), layout="constrained")[1]
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be Matplotlib's axes, such as those of plt.subplots(), got {type(ax).__name__}")
    return ax


def style(number: int) -> dict[str, Any]:
    """Colour and dashes of the line of this number; lines with one colour have other dashes."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": STYLES[(number + number // len(COLOURS)) % len(STYLES)],
    }


def contrasting(colour: Any) -> str:
    """Black or white, whichever can be read on this colour, red, green and blue from 0 to 1."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if luminance > 0.179 else "white"  # where both have the same contrast


def labels_of(y: ArrayLike, name: str = "y") -> Array:
    """Return one label for each row: of labels as they are, of one column for each class the place of the largest."""
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] > 1:
        labels = labels.argmax(axis=1)
    if labels.ndim not in (1, 2):
        raise ValueError(f"{name} must have a label or a row of outputs for each row, got shape {labels.shape}")
    return labels.reshape(-1)
