"""
Two rules for one neuron
========================

The **perceptron rule** (Rosenblatt, 1958) moves the line only for points on its wrong side, and stops when there are
none. The **delta rule** (Widrow and Hoff, 1960) moves it for every point, by how far the signal is from -1 or 1. Both
are gradient descent, on the perceptron criterion max(0, -y z) and on the squared error (y - z)^2 / 2.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastmlp
from fastmlp import plot

rng = np.random.default_rng(3)
SIDE = np.repeat([-1.0, 1.0], 60)


def points(distance):
    """Two clouds whose middles are so far apart."""
    return rng.normal(0, 0.6, (120, 2)) + SIDE[:, None] * distance / 2


def learn(X, loss, rate):
    """Go through the points one after another; return the neuron and how many were wrong after each time."""
    neuron = fastmlp.MLP([2, 1], output="identity", loss=loss, init="zeros", seed=0)
    wrong = []
    for _ in range(40):
        neuron.fit(X, SIDE, epochs=1, batch_size=1, optimizer=fastmlp.SGD(rate))
        wrong.append(int(np.sum(np.sign(neuron.predict(X)[:, 0]) != SIDE)))
    return neuron, wrong


# %%
# Separable, and not
# ------------------
#
# Above, a line separates the clouds: the perceptron finds one and stays there, close to some points, for it stops as
# soon as it may. The delta rule's line keeps away from both clouds. Below, the clouds overlap: the perceptron's line
# jumps about for ever, and the delta rule settles near the best one.

figure, axes = plt.subplots(2, 2, figsize=(10, 8), layout="constrained")
curves = {}
for row, (distance, kind) in zip(axes, [(4.0, "separable"), (1.2, "overlapping")], strict=True):
    X = points(distance)
    for ax, (loss, rate) in zip(row, [("perceptron", 0.1), ("squared_error", 0.01)], strict=True):
        neuron, wrong = learn(X, loss, rate)
        curves[kind, loss] = wrong
        plot.decision_regions(neuron, X, SIDE, ax=ax).set_title(f"{loss}, {kind}: {wrong[-1]} wrong")
plt.show()

# %%
# Points on the wrong side, time after time
# -----------------------------------------
#
# The flat lines at 0 are the separable case. Of the two others, the perceptron's is the restless one.

ax = plt.subplots(figsize=(7, 3.6), layout="constrained")[1]
for ((kind, loss), wrong), dashes in zip(curves.items(), ["-", "--", "-.", ":"], strict=True):
    ax.plot(range(1, 41), wrong, dashes, label=f"{loss}, {kind}")
ax.set(xlabel="times through the points", ylabel="points on the wrong side")
ax.legend()
plt.show()

assert curves["separable", "perceptron"][-1] == 0
restless, settled = (np.std(curves["overlapping", loss][10:]) for loss in ("perceptron", "squared_error"))
assert restless > 2 * settled
assert np.mean(curves["overlapping", "squared_error"][10:]) < np.mean(curves["overlapping", "perceptron"][10:])
