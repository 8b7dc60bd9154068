"""Pictures of a report, drawn by Matplotlib where it is installed, as texts that a page holds in itself."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fastmlp.spec import Array

__all__ = ["Pictures", "pictures_of"]

Pictures = dict[str, str]
"""By caption, the data URI of each."""

MOST_CLASSES: Final = 20
"""Of a table of which was taken for which."""
MOST_POINTS: Final = 3000


def pictures_of(
    history: Mapping[str, Sequence[float]],
    y: Array,
    outputs: Array,
    classes: Sequence[str] | None,
    target: str,
    metric: str,
) -> Pictures | None:
    """Draw the training, and what predictions are worth; None where Matplotlib is missing.

    Parameters
    ----------
    history : mapping of str to list
        Of one network, by the epoch.
    y : ndarray of shape (n,)
        Numbers of classes, or targets.
    outputs : ndarray of shape (n, k)
        Probabilities, or estimates.
    classes : sequence of str, or None
        Their names.
    target : str
        The column's name.
    metric : str
        What told the best epoch.
    """
    try:
        import matplotlib as mpl  # noqa: F401
    except ImportError:
        return None
    from fastmlp import plot

    found: Pictures = {}
    names = [name for name in history if name.removeprefix("val_") not in ("epoch", "seconds", "samples_per_second")]
    if len(history.get("epoch", ())):
        best = f"val_{metric}"
        caption = "By the epoch: loss and metric" + (" of targets of mean 0 and deviation 1" if classes is None else "")
        found[caption] = _drawn(5.2, 3.8, lambda ax: plot.history(history, names, monitor=best, ax=ax))
    if classes is None:
        found[f"Predicted and true {target}"] = _drawn(5.0, 4.6, lambda ax: _estimates(ax, y, outputs[:, 0], target))
        return found
    if len(classes) <= MOST_CLASSES:
        guessed, size = outputs.argmax(axis=1), 2.4 + 0.5 * len(classes)
        seen = np.unique(np.concatenate([y, guessed]))
        labels = [classes[number] for number in seen]
        found["How many rows of each class were taken for which"] = _drawn(
            size, 0.8 * size, lambda ax: plot.confusion(y, guessed, labels=labels, ax=ax)
        )
    found["Whether probabilities hold"] = _drawn(5.0, 4.6, lambda ax: plot.calibration(y, outputs, ax=ax))
    return found


def _estimates(ax: Any, y: Array, estimates: Array, target: str) -> None:
    """Draw true values and what was predicted for them, of some rows."""
    some = np.random.default_rng(0).permutation(len(y))[:MOST_POINTS]
    low, high = min(y.min(), estimates.min()), max(y.max(), estimates.max())
    ax.plot([low, high], [low, high], color="#767676", linestyle=":", label="as it should be")
    ax.plot(y[some], estimates[some], ".", markersize=3, alpha=0.5, label=f"{len(some):,} rows")
    ax.set(xlabel=f"true {target}", ylabel=f"predicted {target}")
    ax.legend()


def _drawn(width: float, height: float, draw: Callable[[Any], object]) -> str:
    """Draw into a figure of its own, which no other code sees, and return it as a data URI."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure.add_subplot())
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
