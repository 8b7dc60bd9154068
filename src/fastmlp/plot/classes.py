"""How good a classifier is: what it takes for what, and whether its probabilities hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.plot.style import GREY, SEQUENTIAL, axes, contrasting, labels_of, style
from fastmlp.spec.checks import integer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

__all__ = ["calibration", "confusion"]


def confusion(y_true: ArrayLike, y_pred: ArrayLike, *, labels: Sequence[Any] | None = None, ax: Any = None) -> Any:
    """Draw how many rows of each class were taken for which.

    Parameters
    ----------
    y_true : array_like
        Classes, (n,), or a column for each, (n, k).
    y_pred : array_like
        The same, such as what `MLP.predict` gives for several classes.
    labels : sequence, optional
        Names of the classes, in the order of their labels. Default: the labels themselves.
    ax : matplotlib.axes.Axes, optional
        Default: those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Each field has its number of rows, and the colour of their share of the true class.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    ValueError
        If there are not as many predictions as rows, or names as classes.

    Examples
    --------
    >>> from fastmlp import plot
    >>> ax = plot.confusion([0, 0, 1, 1], [0, 1, 1, 1], labels=["cat", "dog"])
    >>> [text.get_text() for text in ax.texts]
    ['1', '1', '0', '2']
    """
    true, found = labels_of(y_true, "y_true"), labels_of(y_pred, "y_pred")
    if len(true) != len(found):
        raise ValueError(f"y_pred must have as many rows as y_true, {len(true)}, got {len(found)}")
    classes = np.unique(np.concatenate([true, found]))
    names = list(classes) if labels is None else list(labels)
    if len(names) != len(classes):
        raise ValueError(f"labels must name each of the {len(classes)} classes, got {len(names)}")
    counts = np.zeros((len(classes), len(classes)), int)
    np.add.at(counts, (np.searchsorted(classes, true), np.searchsorted(classes, found)), 1)
    ax = axes(ax, 1.6 + 0.5 * len(classes), 0.9 + 0.5 * len(classes))
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    drawn = ax.imshow(share, cmap=SEQUENTIAL, vmin=0.0, vmax=1.0)
    for row, column in np.ndindex(counts.shape):
        colour = contrasting(drawn.cmap(share[row, column]))
        ax.text(column, row, f"{counts[row, column]}", ha="center", va="center", color=colour)
    ax.set(xlabel="predicted class", ylabel="true class")
    ax.set_xticks(range(len(classes)), names)
    ax.set_yticks(range(len(classes)), names)
    ax.figure.colorbar(drawn, ax=ax, label="share of the true class", shrink=0.8)
    return ax


def calibration(y_true: ArrayLike, probabilities: ArrayLike, *, bins: int = 10, ax: Any = None) -> Any:
    """Draw how often what is said to have a probability happens.

    Parameters
    ----------
    y_true : array_like of shape (n,) or (n, k)
        Classes: 0 and 1 for probabilities of one output; else labels, or a column for each.
    probabilities : array_like of shape (n,), (n, 1) or (n, k)
        That of class 1; or of each class, of which the largest and whether it is the row's class are drawn.
    bins : int
        Parts of the interval from 0 to 1.
    ax : matplotlib.axes.Axes, optional
        Default: those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Points on the diagonal are as they should be, those below it too sure of themselves. The legend has the expected
        calibration error (Guo and others, 2017): the distance from the diagonal, weighted by rows.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    ValueError
        If these are no probabilities, or not as many as there are rows.

    Examples
    --------
    >>> from fastmlp import plot
    >>> ax = plot.calibration([0, 0, 0, 1], [0.25, 0.25, 0.25, 0.25])
    >>> [line.get_label() for line in ax.get_lines()]
    ['as it should be', 'calibration error 0.000']
    """
    given = np.asarray(probabilities, float)
    given = given[:, 0] if given.ndim == 2 and given.shape[1] == 1 else given
    true = labels_of(y_true, "y_true")
    if given.ndim not in (1, 2) or len(given) != len(true):
        raise ValueError(f"probabilities must be of the {len(true)} rows of y_true, got shape {given.shape}")
    if not len(given) or not (given >= 0.0).all() or not (given <= 1.0 + 1e-6).all():
        raise ValueError("probabilities must be from 0 to 1, and there must be some")
    sure = given if given.ndim == 1 else given.max(axis=1)
    happened = true == 1 if given.ndim == 1 else true == given.argmax(axis=1)
    bins = integer(bins, "bins", 1)
    place = np.minimum((sure * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    seen = count > 0
    said = np.bincount(place, sure, bins)[seen] / count[seen]
    is_so = np.bincount(place, happened, bins)[seen] / count[seen]
    error = float(np.sum(np.abs(said - is_so) * count[seen]) / len(sure))
    ax = axes(ax, 4.8, 4.4)
    ax.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="as it should be")
    ax.plot(said, is_so, marker="o", label=f"calibration error {error:.3f}", **style(0))
    for x, y, rows in zip(said, is_so, count[seen], strict=True):
        ax.annotate(f"{rows}", (x, y), xytext=(4, -11), textcoords="offset points", fontsize="x-small")
    what = "probability of class 1" if given.ndim == 1 else "probability of the predicted class"
    ax.set(xlabel=f"{what} (beside a point: its rows)", ylabel="how often it was so", xlim=(0, 1.03), ylim=(0, 1.03))
    ax.legend(loc="upper left")
    return ax
