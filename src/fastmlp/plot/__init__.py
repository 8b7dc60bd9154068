"""Pictures of networks and of trainings, drawn by Matplotlib (``pip install 'fastmlp[plot]'``).

Each function draws into ``ax=``, or into a new figure, and returns the axes, so that anything may be added or changed.
Texts and frames have the colours of Matplotlib's style, also of a dark one; all others can be told apart on white and
on black, and by people who do not see red or green.

>>> import fastmlp
>>> from fastmlp import plot
>>> images, digits = fastmlp.datasets.load_digits()
>>> net = fastmlp.MLP([64, 16, 10], output="softmax", seed=0)
>>> ax = plot.history(net.fit(images, digits, epochs=5, validation_split=0.2))
>>> ax.get_xlabel(), ax.get_ylabel()
('epoch', 'loss')
>>> ax.figure.savefig("history.png")  # doctest: +SKIP
"""

from fastmlp.plot.classes import calibration, confusion
from fastmlp.plot.costs import profile
from fastmlp.plot.curves import gradient_norms, history, learning_rate_finder
from fastmlp.plot.functions import activations
from fastmlp.plot.graph import network
from fastmlp.plot.images import filters
from fastmlp.plot.regions import decision_regions
from fastmlp.plot.spaces import embedding
from fastmlp.plot.surfaces import loss_surface

__all__ = [
    "activations",
    "calibration",
    "confusion",
    "decision_regions",
    "embedding",
    "filters",
    "gradient_norms",
    "history",
    "learning_rate_finder",
    "loss_surface",
    "network",
    "profile",
]
