"""The loss over a plane in the space of the weights."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.plot.style import COLOURS, SEQUENTIAL, axes
from fastmlp.spec.checks import integer, positive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from fastmlp.network import MLP
    from fastmlp.spec import Array

__all__ = ["loss_surface"]


def loss_surface(
    net: MLP,
    X: ArrayLike,
    y: ArrayLike,
    *,
    directions: tuple[ArrayLike, ArrayLike] | None = None,
    path: Sequence[ArrayLike] | None = None,
    radius: float | None = None,
    points: int = 25,
    seed: int = 0,
    ax: Any = None,
) -> Any:
    """Draw the loss along two directions from a network's weights, and the way that a training took.

    Parameters
    ----------
    net : MLP
        Its weights are the middle of the picture; they stay as they are.
    X, y : array_like
        As for `MLP.evaluate`, with which the loss is computed at each place.
    directions : two array_like of shape (n_parameters,), optional
        Vectors as of `MLP.get_flat`. Default: with a path, the two in which it goes furthest; else random ones, each
        unit's weights as long as its own in the network (Li and others, 2018).
    path : sequence of array_like, optional
        Vectors as of `MLP.get_flat`, in the order of the training; drawn as they lie in the plane.
    radius : float, optional
        How far to go to all sides, in multiples of the directions. Default: 1, or what the path needs.
    points : int
        Places along each axis: so many squared losses are computed.
    seed : int
        Of the random directions.
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
        If an argument is not as described.

    Examples
    --------
    >>> import fastmlp
    >>> net = fastmlp.MLP([2, 3, 1], seed=0)
    >>> ax = fastmlp.plot.loss_surface(net, [[0, 1], [1, 0]], [0, 1], points=5)
    >>> ax.get_xlabel()
    'along direction 1'
    """
    points, centre = integer(points, "points", 2), net.get_flat().astype(float)
    way = None if path is None else np.stack([_flat(place, net, "path") for place in path]) - centre
    if directions is not None:
        first, second = (_flat(direction, net, "directions") for direction in directions)
    elif way is not None:
        first, second = _furthest(way)
    else:
        first, second = (_random(net, np.random.default_rng([seed, k])) for k in (0, 1))
    plane = np.stack([first, second], axis=1)
    drawn = None if way is None else np.linalg.lstsq(plane, way.T, rcond=None)[0]
    if radius is None:
        radius = 1.0 if drawn is None else float(1.2 * np.abs(drawn).max()) or 1.0
    steps = np.linspace(-positive(radius, "radius"), radius, points)
    losses = _losses(net, X, y, centre, plane, steps)
    ax = axes(ax, 5.6, 4.4)
    finite = losses[np.isfinite(losses)]
    low, high = float(finite.min()), float(finite.max())
    levels = np.geomspace(low, high, 15) if 0.0 < low < high else np.linspace(low, high or 1.0, 15)
    filled = ax.contourf(steps, steps, losses, levels=levels, cmap=SEQUENTIAL, extend="both", norm=_norm(low, high))
    ax.figure.colorbar(filled, ax=ax, label="loss", format="%.3g")
    if drawn is not None:
        ax.plot(*drawn, color="white", linewidth=3.5)
        ax.plot(*drawn, color=COLOURS[1], marker=".", label="training")
        ax.plot(*drawn[:, -1], color=COLOURS[1], marker="*", markersize=14, markeredgecolor="white")
    ax.set(xlabel="along direction 1", ylabel="along direction 2")
    return ax


def _norm(low: float, high: float) -> Any:
    from matplotlib.colors import LogNorm

    return LogNorm(low, high) if 0.0 < low < high else None


def _losses(net: MLP, X: ArrayLike, y: ArrayLike, centre: Array, plane: Array, steps: Array) -> Array:
    """Compute the loss at each place of a grid, row by row of the second direction, with a copy of the network."""
    probe, losses = copy.deepcopy(net), np.empty((len(steps), len(steps)))
    for row, column in np.ndindex(losses.shape):
        probe.set_flat((centre + plane @ [steps[column], steps[row]]).astype(net.dtype))
        losses[row, column] = probe.evaluate(X, y, metrics=[])["loss"]
    return losses


def _flat(vector: ArrayLike, net: MLP, name: str) -> Array:
    flat = np.asarray(vector, float)
    if flat.shape != (net.n_parameters,):
        raise ValueError(f"{name} must be vectors of the {net.n_parameters} parameters, got shape {flat.shape}")
    return flat


def _furthest(way: Array) -> tuple[Array, Array]:
    """Return the two directions in which a path goes furthest, of length 1."""
    if len(way) < 3:
        raise ValueError(f"path must have three places or more to tell two directions, got {len(way)}")
    found = np.linalg.svd(way, full_matrices=False)[2]
    return found[0], found[1]


def _random(net: MLP, rng: np.random.Generator) -> Array:
    """Draw a direction in which each unit's weights are as long as its own; biases stay as they are."""
    parts = []
    for W in net.weights:
        drawn = rng.normal(size=W.shape)
        drawn *= np.linalg.norm(W.astype(float), axis=0) / np.linalg.norm(drawn, axis=0)
        parts += [drawn.ravel(), np.zeros(W.shape[1])]
    return np.concatenate(parts)
