"""The time of a training by its stages, beside what the machine could do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastmlp.plot.style import COLOURS, axes

if TYPE_CHECKING:
    from fastmlp.train.profile import Profile

__all__ = ["profile"]


def profile(profile: Profile, *, ax: Any = None) -> Any:
    """Draw the time of a step by its stages, beside the least time that its matrix products could take.

    Parameters
    ----------
    profile : Profile
        What ``fit(profile=True)`` leaves in ``net.profile_``.
    ax : matplotlib.axes.Axes, optional
        Default: those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        A bar for each stage, of all threads together; below those with matrix products, the time that these would take
        at the machine's multiply-add peak, and the share of it that they reach.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np, fastmlp
    >>> net = fastmlp.MLP([20, 64, 1], seed=0)
    >>> history = net.fit(np.zeros((256, 20)), np.zeros(256), epochs=2, profile=True)
    >>> ax = fastmlp.plot.profile(net.profile_)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['gather', 'forward', 'loss', 'backward', 'update', 'wait']
    """
    ax = axes(ax, 6.4, 3.4)
    steps, stages = max(profile.steps, 1), list(profile.seconds)
    spent = [1e6 * profile.seconds[stage] / steps for stage in stages]
    ax.barh([place - 0.2 for place in range(len(stages))], spent, 0.4, color=COLOURS[0], label="measured")
    least, places, shares = [], [], []
    for place, stage in enumerate(stages):
        share = profile.peak_share(stage)
        if share is not None:
            least.append(1e6 * profile.flops(stage) / profile.peak / steps)
            places.append(place)
            shares.append(share)
    if least:
        label = "its products at the multiply-add peak"
        bars = ax.barh([place + 0.2 for place in places], least, 0.4, color=COLOURS[1], hatch="//", label=label)
        ax.bar_label(bars, [f"{share:.0%} of the peak" for share in shares], padding=3, fontsize="small")
    ax.set_yticks(range(len(stages)), stages)
    ax.invert_yaxis()
    ax.margins(x=0.2)
    ax.set_xlabel(f"time of a step, all threads together [us], network {'-'.join(map(str, profile.sizes))}")
    ax.legend()
    return ax
