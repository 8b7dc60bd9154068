"""Rows as points in a plane, as a network's layers see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastmlp.plot.style import COLOURS, MARKERS, axes, labels_of
from fastmlp.spec.checks import choice

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastmlp.network import MLP

__all__ = ["embedding"]


def embedding(
    net: MLP | None,
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    layer: int = -2,
    method: Literal["pca", "tsne"] = "pca",
    seed: int = 0,
    ax: Any = None,
) -> Any:
    """Draw rows in two dimensions by the outputs of a layer, with scikit-learn's PCA or t-SNE.

    Parameters
    ----------
    net : MLP or None
        None: X itself is drawn.
    X : array_like of shape (n, n_inputs)
        The rows.
    y : array_like, optional
        Their classes: a colour and a marker each, and the label at its rows' median.
    layer : int
        As for `MLP.transform`: 0 is the first hidden layer, -2 the last one.
    method : {"pca", "tsne"}
        The two directions with the most variance, whose share stands at the axes; or a picture in which neighbours stay
        neighbours, and whose distances mean no more than that.
    seed : int
        Of t-SNE.
    ax : matplotlib.axes.Axes, optional
        Default: those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If Matplotlib or scikit-learn is not installed.
    ValueError
        If an argument is not as described.

    Examples
    --------
    >>> import fastmlp
    >>> X, y = fastmlp.datasets.load_digits()
    >>> net = fastmlp.MLP([64, 32, 10], output="softmax", seed=0)
    >>> ax = fastmlp.plot.embedding(net, X[:100], y[:100])
    >>> len(ax.collections), ax.get_title()
    (10, 'layer 1 of 2, 32 units')
    """
    choice(method, "method", ("pca", "tsne"))
    try:
        from sklearn.decomposition import PCA
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise ImportError(
            "embedding computes with scikit-learn, which is not installed: pip install 'fastmlp[sklearn]'"
        ) from error
    if net is None:
        rows = np.asarray(X, float)
        title = f"inputs, {rows.shape[1]} numbers"
    else:
        rows = net.transform(X, layer).astype(float)
        title = f"layer {layer % len(net.layers) + 1} of {len(net.layers)}, {rows.shape[1]} units"
    labels = np.zeros(len(rows), int) if y is None else labels_of(y)
    if len(labels) != len(rows):
        raise ValueError(f"y must have a class for each of the {len(rows)} rows of X, got {len(labels)}")
    if method == "pca":
        found = PCA(2, svd_solver="full").fit(rows)
        places, shares = found.transform(rows), found.explained_variance_ratio_
        names = [f"principal component {k + 1} ({share:.0%} of the variance)" for k, share in enumerate(shares)]
    else:
        perplexity = min(30.0, max(1.0, (len(rows) - 1) / 3))
        places = TSNE(2, init="pca", random_state=seed, perplexity=perplexity).fit_transform(rows)
        names = ["t-SNE 1 (no unit)", "t-SNE 2 (no unit)"]
    ax = axes(ax, 5.6, 4.6)
    for number, label in enumerate(np.unique(labels)):
        own = places[labels == label]
        colour = COLOURS[number % len(COLOURS)]
        marker = MARKERS[(number + number // len(MARKERS)) % len(MARKERS)]
        ax.scatter(*own.T, s=14, color=colour, marker=marker, alpha=0.7, linewidths=0, label=str(label))
        if y is not None:
            box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": colour}
            ax.annotate(str(label), np.median(own, axis=0), color="black", ha="center", va="center", bbox=box)
    ax.set(xlabel=names[0], ylabel=names[1], title=title)
    return ax
