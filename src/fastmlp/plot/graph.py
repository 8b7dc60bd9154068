"""A network as a graph: units as discs, weights as lines, and what runs through them as colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.plot.style import COLOURS, DIVERGING, axes, contrasting
from fastmlp.spec.checks import integer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from fastmlp.network import MLP, Trace
    from fastmlp.spec import Array

__all__ = ["network"]


def network(
    net: MLP,
    trace: Trace | None = None,
    *,
    inputs: ArrayLike | None = None,
    row: int = 0,
    max_units: int = 12,
    ax: Any = None,
) -> Any:
    """Draw a network: a column of units for each layer, weights as lines, as wide as they are large.

    Parameters
    ----------
    net : MLP
        Positive weights are drawn blue, negative ones red and dashed.
    trace : Trace, optional
        What `MLP.trace` returns: the discs have the colour of the signal z, and in them stands the output f(z); their
        rings have the colour of the sensitivity dE/dz where there are any.
    inputs : array_like of shape (n, n_inputs), optional
        The rows of the trace, for the first column's discs.
    row : int
        Which row of the trace.
    max_units : int
        Of each layer at most so many are drawn, the first and the last ones.
    ax : matplotlib.axes.Axes, optional
        Default: those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    TypeError, ValueError
        If an argument is not as described.

    Examples
    --------
    >>> import fastmlp
    >>> net = fastmlp.MLP([2, 3, 1], activation="tanh", seed=0)
    >>> ax = fastmlp.plot.network(net, net.trace([[1.0, -1.0]], [1.0]), inputs=[[1.0, -1.0]])
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['2 inputs', '3 tanh', '1 identity']
    """
    max_units = integer(max_units, "max_units", 2)
    if any(layer.n_signals > layer.n_out for layer in net.layers):
        raise ValueError("net must have one weight between two units to be drawn, and Maxout has one for each piece")
    shown = [_shown(width, max_units) for width in net.sizes]
    values = [None] * len(net.sizes) if trace is None else _values(net, trace, inputs, row)
    tallest = max(map(len, shown))
    ax = axes(ax, 1.6 * len(net.sizes) + (1.6 if trace is not None else 0.0), max(3.0, 1.2 + 0.62 * tallest))
    places = [np.linspace(1, -1, len(units) + 2)[1:-1] * (len(units) + 1) / 2 for units in shown]
    _draw_weights(ax, net, shown, places)
    _draw_units(ax, trace, row, shown, places, values)
    for column, (units, width) in enumerate(zip(shown, net.sizes, strict=True)):
        if len(units) < width:
            gap = (places[column][len(units) // 2 - 1] + places[column][len(units) // 2]) / 2
            ax.text(column, gap, "...", rotation=90, ha="center", va="center")
    names = [f"{net.sizes[0]} inputs", *(f"{layer.n_out} {layer.activation.name}" for layer in net.layers)]
    ax.set_xticks(range(len(names)), names)
    ax.set(yticks=[], xlim=(-0.4, len(names) - 0.6), ylim=(-0.5 * tallest - 0.2, 0.5 * tallest + 0.2))
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    return ax


def _shown(width: int, most: int) -> list[int]:
    """Return the units that are drawn of a layer of this width."""
    return list(range(width)) if width <= most else [*range(most // 2), *range(width - most + most // 2, width)]


def _values(net: MLP, trace: Trace, inputs: ArrayLike | None, row: int) -> list[Array | None]:
    """Return what is written into the units of each layer, the inputs first."""
    row = integer(row, "row", -len(trace.signals[-1]), len(trace.signals[-1]) - 1)
    widths = tuple(z.shape[1] for z in trace.signals)
    if widths != net.sizes[1:]:
        raise ValueError(f"trace must be of this network, whose layers have {net.sizes[1:]} units, got {widths}")
    first = None if inputs is None else np.atleast_2d(np.asarray(inputs, float))
    if first is not None and first.shape != (len(trace.signals[-1]), net.sizes[0]):
        raise ValueError(f"inputs must be the rows of the trace, {net.sizes[0]} numbers each, got shape {first.shape}")
    return [None if first is None else first[row], *(a[row] for a in trace.outputs)]


def _draw_weights(ax: Any, net: MLP, shown: Sequence[Sequence[int]], places: Sequence[Array]) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D

    signs: Any = ((1, COLOURS[0], "-", "weight > 0"), (-1, COLOURS[1], "--", "weight < 0"))
    for layer, W in enumerate(net.weights):
        drawn = W[np.ix_(shown[layer], shown[layer + 1])].astype(float)
        largest = np.abs(W).max() or 1.0
        for sign, colour, dashes, _ in signs:
            chosen = np.argwhere(sign * drawn > 0)
            lines = [[(layer, places[layer][i]), (layer + 1, places[layer + 1][o])] for i, o in chosen]
            widths = [0.3 + 3.2 * abs(drawn[i, o]) / largest for i, o in chosen]
            ax.add_collection(
                LineCollection(lines, colors=colour, linewidths=widths, linestyles=dashes, alpha=0.75, zorder=1)
            )
    handles = [Line2D([], [], color=colour, linestyle=dashes, label=name) for _, colour, dashes, name in signs]
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=2, frameon=False)


def _draw_units(
    ax: Any,
    trace: Trace | None,
    row: int,
    shown: Sequence[Sequence[int]],
    places: Sequence[Array],
    values: Sequence[Array | None],
) -> None:
    """Draw the units, in colours and with their values where a trace has any."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    def colours(arrays: Sequence[Array], label: str) -> ScalarMappable:
        largest = max(float(np.abs(array[row]).max()) for array in arrays) or 1.0
        mapped = ScalarMappable(Normalize(-largest, largest), DIVERGING)
        ax.figure.colorbar(mapped, ax=ax, label=label, shrink=0.7)
        return mapped

    plain = [0.93, 0.93, 0.93, 1.0]
    signals = None if trace is None else colours(trace.signals, "disc: signal z")
    rings = None
    if trace is not None and trace.sensitivities is not None:
        rings = colours(trace.sensitivities, "ring: sensitivity dE/dz")
    for column, (units, heights, written) in enumerate(zip(shown, places, values, strict=True)):
        inner, outer = np.tile(plain, (len(units), 1)), np.tile([0.44, 0.5, 0.56, 1.0], (len(units), 1))
        if column and signals is not None and trace is not None:
            inner = signals.to_rgba(trace.signals[column - 1][row][units])
        if column and rings is not None and trace is not None and trace.sensitivities is not None:
            outer = rings.to_rgba(trace.sensitivities[column - 1][row][units])
        at = np.full(len(units), column)
        ax.scatter(at, heights, s=1100, c="0.3", zorder=2)
        ax.scatter(at, heights, s=1020, c=outer, zorder=3)
        ax.scatter(at, heights, s=520, c=inner, edgecolors="0.3", zorder=4)
        for place, unit in enumerate(units):
            if written is not None:
                colour, text = contrasting(inner[place]), f"{written[unit]:.2f}"
                ax.text(column, heights[place], text, color=colour, ha="center", va="center", size=8, zorder=5)
