"""Decision regions: what a network says of every place in a plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.plot.style import COLOURS, MARKERS, axes, labels_of
from fastmlp.spec.checks import integer

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastmlp.network import MLP
    from fastmlp.spec import Array

__all__ = ["decision_regions"]

#: Largest outputs from which on the colour of one of several classes is deeper.
STEPS = (0.5, 0.75, 0.95)


def decision_regions(
    net: MLP | Any, X: ArrayLike, y: ArrayLike, *, resolution: int = 200, margin: float = 0.1, ax: Any = None
) -> Any:
    """Draw what a network of two inputs answers over the plane, the line between the classes, and the points.

    Parameters
    ----------
    net : MLP or estimator
        With two inputs. Of an estimator, `predict_proba` is drawn.
    X : array_like of shape (n, 2)
        The points.
    y : array_like
        Their classes, in any form that `MLP.fit` takes: labels, -1 and 1, or a column for each class.
    resolution : int
        Places along each axis at which the network is asked.
    margin : float
        How far the picture goes beyond the points, as a share of their extent.
    ax : matplotlib.axes.Axes, optional
        Default: those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    Levels are fixed, whatever the outputs: of two classes, ten steps from the one target to the other, and what is
    beyond them has the last colour; of more classes, the colour of the largest output, paler where it is below 1/2, 3/4
    and 0.95. Pictures can be compared.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    ValueError
        If there are not two inputs.

    Examples
    --------
    >>> import fastmlp
    >>> net = fastmlp.MLP([2, 8, 1], loss="binary_cross_entropy", seed=0)
    >>> ax = fastmlp.plot.decision_regions(net, [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0])
    >>> ax.get_xlabel(), [text.get_text() for text in ax.get_legend().get_texts()]
    ('input 1', ['0', '1'])
    """
    points, labels = np.asarray(X, float), labels_of(y)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"X must have two columns to be drawn in a plane, got shape {points.shape}")
    if len(labels) != len(points):
        raise ValueError(f"y must have a class for each of the {len(points)} rows of X, got {len(labels)}")
    resolution = integer(resolution, "resolution", 2)
    low, high = points.min(axis=0), points.max(axis=0)
    room = margin * np.where(high > low, high - low, 1.0)
    horizontal, vertical = (np.linspace(low[k] - room[k], high[k] + room[k], resolution) for k in (0, 1))
    grid = np.stack(np.meshgrid(horizontal, vertical), axis=-1).reshape(-1, 2)
    outputs = np.asarray(net.predict_proba(grid) if hasattr(net, "predict_proba") else net.predict(grid), float)
    outputs = outputs.reshape(len(grid), -1)
    ax = axes(ax, 5.6, 4.4)
    classes = np.unique(labels)
    if outputs.shape[1] <= 2:
        _two(ax, horizontal, vertical, outputs[:, -1].reshape(resolution, -1), classes, outputs.shape[1])
    else:
        _several(ax, horizontal, vertical, outputs.reshape(resolution, resolution, -1))
    places = {label: place for place, label in enumerate(getattr(net, "classes_", classes))}
    for label in classes:
        place = places[label] if outputs.shape[1] <= 2 or not _is_number(label) else int(label)
        ax.scatter(
            *points[labels == label].T,
            s=36,
            color=COLOURS[place % len(COLOURS)],
            marker=MARKERS[place % len(MARKERS)],
            edgecolors="white",
            linewidths=1.0,
            label=f"{label:g}" if _is_number(label) else str(label),
        )
    ax.set(xlabel="input 1", ylabel="input 2", xlim=horizontal[[0, -1]], ylim=vertical[[0, -1]])
    ax.legend(title="class", loc="upper right")
    return ax


def _pale(colour: str, share: float) -> Array:
    """Mix a colour into white, so that it looks the same whatever is behind the axes."""
    from matplotlib.colors import to_rgb

    return 1.0 - share * (1.0 - np.array(to_rgb(colour)))


def _is_number(label: Any) -> bool:
    return isinstance(label, int | float | np.number)


def _two(ax: Any, x: Array, y: Array, answers: Array, classes: Array, columns: int) -> None:
    """Draw one answer in ten steps from the one target to the other, and the line in the middle."""
    from matplotlib.colors import LinearSegmentedColormap

    numbers = columns == 1 and len(classes) == 2 and all(_is_number(label) for label in classes)
    first, second = (float(classes[0]), float(classes[1])) if numbers else (0.0, 1.0)
    levels = np.linspace(first, second, 11)
    ends: Any = [_pale(colour, 0.7) for colour in COLOURS[:2]]
    colours = LinearSegmentedColormap.from_list("classes", [ends[0], "#F7F7F7", ends[1]])
    drawn = ax.contourf(x, y, answers, levels=levels, cmap=colours, extend="both")
    middle = (first + second) / 2
    if answers.min() < middle < answers.max():
        ax.contour(x, y, answers, levels=[middle], colors="black", linewidths=1.5)
    name = "probability of the second class" if columns == 2 else "output"
    ax.figure.colorbar(drawn, ax=ax, label=name, ticks=levels[::5])


def _several(ax: Any, x: Array, y: Array, answers: Array) -> None:
    """Draw the class of the largest answer, paler in three steps where that is smaller, and the lines between them."""
    found, largest = answers.argmax(axis=-1), answers.max(axis=-1)
    depths = np.searchsorted(STEPS, largest)
    image = np.empty((*found.shape, 3))
    for place, depth in np.ndindex(answers.shape[-1], len(STEPS) + 1):
        image[(found == place) & (depths == depth)] = _pale(COLOURS[place % len(COLOURS)], 0.25 + 0.15 * depth)
    ax.imshow(image, origin="lower", extent=(x[0], x[-1], y[0], y[-1]), aspect="auto", interpolation="nearest")
    for place in range(answers.shape[-1]):
        own = found == place
        if own.any() and not own.all():
            ax.contour(x, y, own, levels=[0.5], colors="black", linewidths=0.8)
