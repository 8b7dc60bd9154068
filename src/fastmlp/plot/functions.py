"""Activations and their derivatives, drawn as functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.plot.style import COLOURS, axes
from fastmlp.spec import Activation, as_activation
from fastmlp.spec.activations.base import Scratch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastmlp.spec import Array

__all__ = ["activations"]


def activations(
    names: str | Activation | Sequence[str | Activation] = ("logistic", "tanh", "relu"),
    *,
    low: float = -4.0,
    high: float = 4.0,
    derivatives: bool = True,
    ax: Any = None,
) -> Any:
    """Draw activations f(z), and their derivatives f'(z) dashed.

    Parameters
    ----------
    names : str, Activation or sequence of them
        As `MLP` takes them; "softmax", which is no function of one signal, is not among them.
    low, high : float
        The signals from which to which.
    derivatives : bool
        Whether f' is drawn, too.
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
        If there is no such activation, or one is a function of whole rows.

    Examples
    --------
    >>> import fastmlp
    >>> ax = fastmlp.plot.activations(["relu", fastmlp.LeakyReLU(0.1)])
    >>> [line.get_label() for line in ax.get_lines()]
    ['relu', "relu, f'", 'leaky_relu(slope=0.1)', "leaky_relu(slope=0.1), f'"]
    """
    kinds = [as_activation(kind, "names") for kind in ([names] if isinstance(names, str | Activation) else names)]
    for kind in kinds:
        if kind.whole_rows:
            raise ValueError(f"{kind.name} depends on all signals of a row, and has no curve over one")
    ax = axes(ax)
    z = np.linspace(low, high, 801)
    for number, kind in enumerate(kinds):
        colour, label = COLOURS[number % len(COLOURS)], _label(kind)
        f, slope = values(kind, z)
        ax.plot(z, _broken(kind, z, f), color=colour, label=label)
        if derivatives:
            ax.plot(z, _broken(kind, z, slope), color=colour, linestyle="--", label=f"{label}, f'")
    ax.set(xlabel="signal z", ylabel="f(z), and f'(z) dashed" if derivatives else "f(z)")
    ax.grid(visible=True, alpha=0.3)
    ax.legend()
    return ax


def values(kind: Activation, z: Array) -> tuple[Array, Array]:
    """Return f(z) and f'(z), as the NumPy engine computes them."""
    room = Scratch(np.empty((len(z), 1)), np.empty((len(z), 1), bool), np.empty((len(z), 1)))
    f, slope = z[:, None].copy(), np.ones((len(z), 1))
    kind.forward(f, room)
    kind.backward(f if kind.keeps == "output" else z[:, None].copy(), slope, room)
    return f[:, 0], slope[:, 0]


def _broken(kind: Activation, z: Array, drawn: Array) -> Array:
    """Leave out a place where it jumps, so that no line joins what is apart."""
    step = z[1] - z[0]
    for kink in kind.kinks:
        place = int(np.searchsorted(z, kink))
        if 0 < place < len(z) and abs(drawn[min(place + 1, len(z) - 1)] - drawn[place - 1]) > 20 * step:
            drawn[place] = np.nan
    return drawn


def _label(kind: Activation) -> str:
    params = ", ".join(f"{name}={value:g}" for name, value in vars(kind).items() if isinstance(value, float))
    return f"{kind.name}({params})" if params else kind.name
