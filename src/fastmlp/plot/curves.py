"""Curves: of a history, of a range test of learning rates, of gradients by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.metrics import as_metric
from fastmlp.plot.style import GREY, MARKERS, axes, style

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastmlp.network import MLP
    from fastmlp.train.finder import LearningRateFinder

__all__ = ["gradient_norms", "history", "learning_rate_finder"]


def history(
    history: Mapping[str, Sequence[float]],
    names: Sequence[str] | None = None,
    *,
    monitor: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw losses and metrics by the epoch, and mark the best one.

    Parameters
    ----------
    history : History or mapping of str to sequence of float
        What `MLP.fit` returns; ``net.history`` is of all trainings.
    names : sequence of str, optional
        What to draw. Default: all losses and metrics.
    monitor : str, optional
        What is best: a loss where it is lowest, a metric as it says of itself; marked by a dotted line. Default:
        "val_loss" where there is one; "" for no mark.
    ax : matplotlib.axes.Axes, optional
        Default: those of a new figure. Losses are drawn there, and metrics on an axis of their own on the right.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    ValueError
        If there are no epochs, or the history has nothing of a name.

    Examples
    --------
    >>> from fastmlp import plot
    >>> ax = plot.history({"epoch": [1, 2, 3], "loss": [0.9, 0.5, 0.4], "val_loss": [0.8, 0.6, 0.7]})
    >>> [line.get_label() for line in ax.get_lines()]
    ['loss', 'val_loss', 'best val_loss: epoch 2']
    """
    known = [name for name in history if name not in ("epoch", "seconds", "samples_per_second")]
    for name in (*(names or ()), *([monitor] if monitor else ())):
        if name not in known:
            raise ValueError(f"the history has no {name!r}; it has {', '.join(known)}")
    epochs = np.asarray(history["epoch"])
    if not len(epochs):
        raise ValueError("the history has no epochs: call fit before")
    ax = axes(ax)
    drawn = list(names or known)
    losses = [name for name in drawn if _is_loss(name)]
    metrics = [name for name in drawn if not _is_loss(name)]
    right = ax.twinx() if losses and metrics else ax
    marker = "o" if len(epochs) == 1 else ""  # of which no line could be seen
    lines = []
    for number, name in enumerate([*losses, *metrics]):
        side = ax if name in losses else right
        lines += side.plot(epochs, history[name], label=name, marker=marker, **style(number))
    ax.set(xlabel="epoch", ylabel="loss" if losses else ", ".join(metrics))
    if right is not ax:
        right.set_ylabel(", ".join(dict.fromkeys(name.removeprefix("val_") for name in metrics)))
    monitored = ("val_loss" if "val_loss" in known else "") if monitor is None else monitor
    column = np.asarray(history[monitored], float) if monitored else np.empty(0)
    if np.isfinite(column).any():
        best = epochs[np.nanargmax(column) if _rises(monitored) else np.nanargmin(column)]
        lines.append(ax.axvline(best, color=GREY, linestyle=":", label=f"best {monitored}: epoch {best}"))
    (right if right is not ax else ax).legend(
        handles=lines, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False
    )
    return ax


def _is_loss(name: str) -> bool:
    return name == "loss" or name.endswith("_loss")


def _rises(name: str) -> bool:
    """Return whether a measure is the better the larger it is; what nobody knows falls."""
    if _is_loss(name):
        return False
    try:
        return as_metric(name.removeprefix("val_")).mode == "max"
    except ValueError:
        return False


def learning_rate_finder(finder: LearningRateFinder, *, ax: Any = None) -> Any:
    """Draw the losses of a range test over the rates, and its suggestion.

    Parameters
    ----------
    finder : LearningRateFinder
        One that has been run.
    ax : matplotlib.axes.Axes, optional
        Default: those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    RuntimeError
        If nothing has been run, or no loss was finite.

    Examples
    --------
    >>> import fastmlp
    >>> X, y = fastmlp.datasets.load_digits()
    >>> net = fastmlp.MLP([64, 32, 10], output="softmax", seed=0)
    >>> finder = fastmlp.LearningRateFinder(1e-5, 10.0, steps=100).run(net, X, y)
    >>> fastmlp.plot.learning_rate_finder(finder).get_xscale()
    'log'
    """
    if not len(finder.rates):
        raise RuntimeError("the finder has no losses to draw: call run(net, X, y) before")
    ax = axes(ax)
    ax.plot(finder.rates, finder.losses, color=GREY, alpha=0.5, label="loss of each batch")
    ax.plot(finder.rates, finder.smoothed, label="smoothed", **style(0))
    try:
        suggestion = finder.suggestion
    except RuntimeError:  # then there is none to show
        pass
    else:
        ax.axvline(suggestion, label=f"suggestion: {suggestion:.2g}", **style(1))
    ax.set(xscale="log", xlabel="learning rate", ylabel="loss")
    low, high = finder.smoothed.min(), finder.smoothed.max()
    ax.set_ylim(low - 0.1 * (high - low), high + 0.3 * (high - low))
    ax.legend()
    return ax


def gradient_norms(networks: MLP | Mapping[str, MLP], X: ArrayLike, y: ArrayLike, *, ax: Any = None) -> Any:
    """Draw how large the gradient is in each layer: the norm of dE/dW on a logarithmic axis.

    Parameters
    ----------
    networks : MLP or mapping of str to MLP
        One, or several by the names of their lines.
    X, y : array_like
        As for `MLP.loss_and_grad`, the same for all.
    ax : matplotlib.axes.Axes, optional
        Default: those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If Matplotlib is not installed.

    Examples
    --------
    >>> import fastmlp
    >>> nets = {f: fastmlp.MLP([2, 4, 4, 1], activation=f, seed=0) for f in ("relu", "logistic")}
    >>> ax = fastmlp.plot.gradient_norms(nets, [[1.0, 2.0]], [1.0])
    >>> [(line.get_label(), len(line.get_ydata())) for line in ax.get_lines()]
    [('relu', 3), ('logistic', 3)]
    """
    ax = axes(ax)
    named = networks if isinstance(networks, Mapping) else {"": networks}
    for number, (name, net) in enumerate(named.items()):
        norms = [float(np.linalg.norm(dW.astype(float))) for dW in net.loss_and_grad(X, y)[1]]
        marker = MARKERS[number % len(MARKERS)]
        ax.plot(range(1, len(norms) + 1), norms, marker=marker, label=name or None, **style(number))
    ax.set(yscale="log", xlabel="layer, the first one behind the inputs", ylabel="norm of the gradient of its weights")
    ax.xaxis.get_major_locator().set_params(integer=True)
    if isinstance(networks, Mapping):
        ax.legend()
    return ax
