"""Weights of units as images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.plot.style import DIVERGING, axes
from fastmlp.spec.checks import integer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from fastmlp.network import MLP

__all__ = ["filters"]


def filters(
    weights: MLP | ArrayLike,
    *,
    shape: tuple[int, int] | None = None,
    units: Sequence[int] | None = None,
    columns: int | None = None,
    limit: float | None = None,
    ax: Any = None,
) -> Any:
    """Draw the weights into each unit of the first layer as an image: red where it wants ink, blue where it wants none.

    Parameters
    ----------
    weights : MLP or array_like of shape (n_in, n_out)
        A network, or the weights of a layer, such as those that `WeightHistory` keeps.
    shape : (int, int), optional
        Rows and columns of an image. Default: a square.
    units : sequence of int, optional
        Which units. Default: all.
    columns : int, optional
        Images in a row. Default: about as many as there are rows.
    limit : float, optional
        The weight with the deepest colour. Default: the largest.
    ax : matplotlib.axes.Axes, optional
        Default: those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    ValueError
        If the inputs are no images of the shape.

    Examples
    --------
    >>> import fastmlp
    >>> net = fastmlp.MLP([64, 10], output="softmax", seed=0)
    >>> fastmlp.plot.filters(net, columns=5).get_images()[0].get_array().shape
    (17, 44)
    """
    W = np.asarray(weights.weights[0] if hasattr(weights, "weights") else weights, float)
    if W.ndim != 2:
        raise ValueError(f"weights must be a network or a matrix (n_in, n_out), got shape {W.shape}")
    height, width = (math.isqrt(len(W)),) * 2 if shape is None else shape
    if height * width != len(W):
        raise ValueError(f"shape must be that of images of {len(W)} inputs, got {shape}")
    chosen = W if units is None else W[:, list(units)]
    across = math.ceil(math.sqrt(chosen.shape[1])) if columns is None else integer(columns, "columns", 1)
    down = math.ceil(chosen.shape[1] / across)
    mosaic = np.full((down * (height + 1) - 1, across * (width + 1) - 1), np.nan)
    for number, unit in enumerate(chosen.T):
        row, column = divmod(number, across)
        top, left = row * (height + 1), column * (width + 1)
        mosaic[top : top + height, left : left + width] = unit.reshape(height, width)
    ax = axes(ax, 1.0 + across, 0.6 + down)
    largest = float(np.abs(chosen).max()) if limit is None else float(limit)
    drawn = ax.imshow(mosaic, cmap=DIVERGING, vmin=-largest, vmax=largest)
    ax.set(xticks=[], yticks=[], xlabel=f"the {height} x {width} weights into each of {chosen.shape[1]} units")
    ax.spines[:].set_visible(False)
    ax.figure.colorbar(drawn, ax=ax, label="weight", shrink=0.8)
    return ax
