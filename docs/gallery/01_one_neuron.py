"""
One neuron
==========

A neuron multiplies its inputs by weights, adds a bias, and puts the sum, its *signal* z = w x + b, through a function
f. What f is decides what it can say; where z is 0 is always a line. Here: five functions, and what a line can
separate.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastmlp
from fastmlp import plot

# %%
# Threshold, linear, logistic, ReLU
# ---------------------------------
#
# The **threshold** (sign) says yes or no, and is flat on both sides: there is no derivative to learn by. The
# **linear** neuron says how much. The **logistic** one says yes or no with a probability, and has a slope everywhere,
# largest in the middle, 1/4. **ReLU** is linear on one side and silent on the other; its slope is 1 or 0.

figure, axes = plt.subplots(1, 4, figsize=(12, 3.2), layout="constrained")
for ax, name in zip(axes, ["sign", "identity", "logistic", "relu"], strict=True):
    plot.activations(name, ax=ax)
plt.show()

logistic = fastmlp.MLP([1, 1], output="logistic", loss="squared_error", dtype="float64")
logistic.weights = [[[1.0]]]
assert np.allclose(logistic.input_gradient([[0.0]]), 0.25)

# %%
# Softmax: several neurons that share one certainty
# -------------------------------------------------
#
# Each neuron's output is its exponential over the sum of all: they are positive, and sum to 1. Raise one signal and
# all others' outputs fall. See how the middle class is the answer only between the two others.

softmax = fastmlp.MLP([1, 3], output="softmax", dtype="float64")
softmax.weights, softmax.biases = [[[-2.0, 0.0, 2.0]]], [[0.0, 1.5, 0.0]]
x = np.linspace(-3, 3, 200)[:, None]
shares = softmax.predict(x)
assert np.allclose(shares.sum(axis=1), 1)

ax = plt.subplots(figsize=(6, 3.2), layout="constrained")[1]
for k, dashes in enumerate(["-", "--", "-."]):
    ax.plot(x, shares[:, k], dashes, label=f"class {k}")
ax.set(xlabel="input x", ylabel="softmax output")
ax.legend()
plt.show()

# %%
# What a line can separate
# ------------------------
#
# A single logistic neuron, trained on two clouds and on a ring around a spot. On the left it is right for all points;
# on the right no line is: it does hardly better than a coin.

rng = np.random.default_rng(0)
clouds = np.concatenate([rng.normal(-1, 0.5, (80, 2)), rng.normal(1, 0.5, (80, 2))])
angle, radius = rng.uniform(0, 2 * np.pi, 160), np.repeat([0.4, 1.5], 80) + rng.normal(0, 0.1, 160)
ring = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
kind = np.repeat([0, 1], 80)

figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
accuracy = []
for ax, points, name in zip(axes, [clouds, ring], ["two clouds", "a ring"], strict=True):
    neuron = fastmlp.MLP([2, 1], loss="binary_cross_entropy", seed=0)
    neuron.fit(points, kind, epochs=100, optimizer=fastmlp.Adam(0.05))
    accuracy.append(neuron.evaluate(points, kind)["accuracy"])
    plot.decision_regions(neuron, points, kind, ax=ax).set_title(f"{name}: {accuracy[-1]:.0%} right")
plt.show()

assert accuracy[0] == 1.0
assert accuracy[1] < 0.7
# sphinx_gallery_thumbnail_number = 3
