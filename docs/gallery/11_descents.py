"""
Batch, stochastic and mini-batch descent
========================================

The gradient of all rows points straight down; that of one row points there on average. A step of all rows costs as
much as a thousand steps of one. In between are mini-batches.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastmlp
from fastmlp import plot

rng = np.random.default_rng(0)
x = rng.normal(size=(200, 1))
y = 1.5 * x[:, 0] + rng.normal(0, 1.0, 200)


def descent(start, batch_size, rate, steps):
    """Train y = w2 w1 x, without biases, and return its way: w1, w2 after every step, beside the biases."""
    net = fastmlp.MLP([1, 1, 1], activation="identity", seed=0, dtype="float64")
    net.weights = [[[start[0]]], [[start[1]]]]
    seen = fastmlp.WeightHistory(every=1)
    still = {"lr_factors": {"bias": 0.0}, "callbacks": [seen]}
    net.fit(x, y, epochs=None, max_steps=steps, batch_size=batch_size, optimizer=fastmlp.SGD(rate), **still)
    return np.array([[w1[0, 0], 0, w2[0, 0], 0] for w1, w2 in zip(*seen.weights.values(), strict=True)])


# %%
# Three ways on one surface
# -------------------------
#
# The loss of y = w2 w1 x over its two weights. The batch's way is smooth. Single rows push it to and fro: see how it
# runs past its end and comes back, and is never at rest. Mini-batches of 20 are between.

middle = fastmlp.MLP([1, 1, 1], activation="identity", init="zeros", dtype="float64")
figure, axes = plt.subplots(1, 3, figsize=(15, 4), layout="constrained")
jitter = {}
for ax, (size, name) in zip(axes, [(200, "batch"), (20, "mini-batch"), (1, "stochastic")], strict=True):
    way = descent((-1.7, 1.9), size, 0.04, 200)
    plot.loss_surface(middle, x, y, directions=np.eye(4)[::2], path=way, radius=2, points=40, ax=ax)
    ax.set(title=name, xlabel="w1", ylabel="w2")
    jitter[name] = np.abs(np.diff(way[-50:], axis=0)).mean()
assert jitter["batch"] < jitter["mini-batch"] < jitter["stochastic"]

# %%
# Another start, another minimum
# ------------------------------
#
# All w1 w2 = 1.5 are as good, on two curves. Which one a training finds hangs on where it begins.

ways = [descent(start, 200, 0.1, 200) for start in [(-0.3, 1.4), (-0.3, -1.4), (0.2, 0.3), (-1.8, -0.2)]]
ends = [way[-1, [0, 2]] for way in ways]
ax = plot.loss_surface(middle, x, y, directions=np.eye(4)[::2], radius=2, points=40)
for way in ways:
    ax.plot(way[:, 0], way[:, 2], ".-", color="white", markersize=3)
    ax.plot(*way[-1, [0, 2]], "*", color="white", markersize=14)
ax.set(xlabel="w1", ylabel="w2")
plt.show()
assert np.allclose([w1 * w2 for w1, w2 in ends], 1.5, atol=0.1)
assert {bool(w1 > 0) for w1, _ in ends} == {True, False}

# %%
# To a target loss
# ----------------
#
# Digits, until the training loss is 0.1: how often all rows were gone through, and the seconds. Batches of all rows
# make one step each time, and need by far the most; single rows need the fewest, but each of their steps uses the
# processor badly.

X, digit = fastmlp.datasets.load_digits()
spent = {}
for size, rate in [(1797, 0.5), (32, 0.2), (1, 0.01)]:
    net = fastmlp.MLP([64, 32, 10], output="softmax", seed=0)
    history = net.fit(X / 16, digit, epochs=1000, batch_size=size, optimizer=fastmlp.SGD(rate), target_loss=0.1)
    spent[size] = len(history.epoch)
    print(f"batches of {size:4d}: {len(history.epoch):4d} times through the rows, {sum(history.seconds):.3f} s")
assert spent[1797] > 5 * spent[32]
# sphinx_gallery_thumbnail_number = 2
