"""
Rectifiers: ReLU, leaky ReLU, maxout
====================================

ReLU has slope 1 on one side, 0 on the other: no dilution, and no cost. But a unit whose signal is below 0 for every
row has no slope at all: it is dead, and stays so. Leaky ReLU keeps a slope of 0.1 there. Maxout takes the largest of
several signals, one of which always learns.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastmlp
from fastmlp import plot

KINDS = {"ReLU": fastmlp.ReLU(), "leaky ReLU, 0.1": fastmlp.LeakyReLU(0.1), "maxout of 2": fastmlp.Maxout(2)}

# %%
# The functions
# -------------
#
# Full lines are f, dashed ones f'. Only below 0 do they differ.

plot.activations(list(KINDS.values())[:2])
plt.show()

# %%
# Dead units
# ----------
#
# Biases begin at -6, as after a few far too large steps: most units are silent for most rows. Leaky ReLU learns all
# the same, and wakes them; ReLU's dead ones never come back. For maxout, -6 in both pieces is no more than a shift.

X, y = fastmlp.datasets.load_digits()
X = (X - X.mean(axis=0)) / (X.std(axis=0) + 1e-6)
dead, losses = {}, {}
figure, axes = plt.subplots(1, 2, figsize=(12, 3.8), layout="constrained")
for (name, kind), dashes in zip(KINDS.items(), ["-", "--", ":"], strict=True):
    net = fastmlp.MLP([64, 32, 10], activation=kind, output="softmax", seed=0)
    net.biases = [np.full_like(net.biases[0], -6.0), np.zeros(10)]
    history = net.fit(X, y, epochs=30, optimizer=fastmlp.SGD(0.02))
    moves = net.trace(X, y).sensitivities[0].any(axis=0).reshape(-1, 32).any(axis=0)
    dead[name], losses[name] = int((~moves).sum()), net.evaluate(X, y)["loss"]
    silent = dead[name] if name == "ReLU" else 0
    axes[0].plot(history.epoch, history.loss, dashes, label=f"{name}: {silent} dead units of 32")
    if name != "maxout of 2":
        axes[1].plot(np.sort((net.trace(X).signals[0] > 0).mean(axis=0)), dashes, label=name)
axes[0].set(xlabel="epoch", ylabel="loss", yscale="log")
axes[0].legend()
axes[1].set(xlabel="units, in order", ylabel="share of the rows with a signal above 0")
plt.show()

assert dead["ReLU"] > 5
assert dead["leaky ReLU, 0.1"] == dead["maxout of 2"] == 0
assert max(losses["leaky ReLU, 0.1"], losses["maxout of 2"]) < losses["ReLU"]

# %%
# Learning the function itself
# ----------------------------
#
# Both rectifiers are the larger of two lines: max(z, 0) and max(z, 0.1 z). Maxout (Goodfellow and others, 2013) learns
# the lines, and with enough of them any convex function: one unit of five pieces finds its own chords of a parabola.

x = np.linspace(-2, 2, 201)[:, None]
net = fastmlp.MLP([1, 1, 1], activation=fastmlp.Maxout(5), dtype="float64", seed=0)
net.weights = [[np.linspace(-1, 1, 5)], [[1.0]]]
net.fit(x, x**2, epochs=400, batch_size=20, optimizer=fastmlp.Adam(0.02), lr_factors={"layers.1": 0.0})
axes = plt.figure(figsize=(7, 4), layout="constrained").gca()
axes.plot(x, net.trace(x).signals[0], "--", color="gray", linewidth=1)
axes.plot(x, x**2, linewidth=4, alpha=0.4, label="x squared")
axes.plot(x, net.predict(x), label="the largest of five lines")
axes.set(xlabel="x", ylabel="y", ylim=(-2, 4.5))
axes.legend()
plt.show()

assert net.evaluate(x, x**2)["loss"] < 0.01
# sphinx_gallery_thumbnail_number = 3
