"""A picture of a training's epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastmlp.plot.style import axes, style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["plot_epochs"]


def plot_epochs(results: Mapping[str, Mapping[str, Sequence[float]]], metric: str, ax: Any = None) -> Any:
    """Draw the metric of every epoch, or the training's loss where nothing was validated; return the axes."""
    ax = axes(ax)
    name = f"val_{metric}" if all(f"val_{metric}" in columns for columns in results.values()) else "loss"
    for number, (label, columns) in enumerate(results.items()):
        ax.plot(columns["epoch"], columns[name], label=label.replace("_", " "), **style(number))
    ax.set(xlabel="epoch", ylabel=name.removeprefix("val_").replace("_", " "))
    if len(results) > 1:
        ax.legend()
    return ax
