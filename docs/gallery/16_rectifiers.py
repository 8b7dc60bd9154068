"""
Rectifiers: ReLU, leaky ReLU, maxout's idea
===========================================

ReLU has slope 1 on one side, 0 on the other: no dilution, and no cost. But a unit whose signal is below 0 for every
row has no slope at all: it is dead, and stays so. Leaky ReLU keeps a slope of 0.1 there.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastmlp
from fastmlp import plot

KINDS = {"ReLU": fastmlp.ReLU(), "leaky ReLU, 0.1": fastmlp.LeakyReLU(0.1)}

# %%
# The functions
# -------------
#
# Full lines are f, dashed ones f'. Only below 0 do they differ.

plot.activations(list(KINDS.values()))
plt.show()

# %%
# Dead units
# ----------
#
# Biases begin at -6, as after a few far too large steps: most units are silent for most rows. Leaky ReLU learns all
# the same, and wakes them; ReLU's dead ones never come back.

X, y = fastmlp.datasets.load_digits()
X = (X - X.mean(axis=0)) / (X.std(axis=0) + 1e-6)
dead, nets = {}, {}
figure, axes = plt.subplots(1, 2, figsize=(12, 3.8), layout="constrained")
for (name, kind), dashes in zip(KINDS.items(), ["-", "--"], strict=True):
    net = fastmlp.MLP([64, 32, 10], activation=kind, output="softmax", seed=0)
    net.biases = [np.full(32, -6.0), np.zeros(10)]
    history = net.fit(X, y, epochs=30, optimizer=fastmlp.SGD(0.02))
    silent = (net.trace(X).signals[0] <= 0).all(axis=0)
    dead[name], nets[name] = int(silent.sum()), net
    axes[0].plot(history.epoch, history.loss, dashes, label=f"{name}: {dead[name]} dead units of 32")
    axes[1].plot(np.sort((net.trace(X).signals[0] > 0).mean(axis=0)), dashes, label=name)
axes[0].set(xlabel="epoch", ylabel="loss", yscale="log")
axes[0].legend()
axes[1].set(xlabel="units, in order", ylabel="share of the rows with a signal above 0")
plt.show()

assert dead["ReLU"] > 5 > dead["leaky ReLU, 0.1"]
assert nets["leaky ReLU, 0.1"].evaluate(X, y)["loss"] < nets["ReLU"].evaluate(X, y)["loss"]

# %%
# Maxout's idea
# -------------
#
# Both are the larger of two lines: max(z, 0) and max(z, 0.1 z). Maxout (Goodfellow and others, 2013) learns the lines
# themselves, and so any convex function; two ReLU units and a sum do it for abs(x), which is max(x, -x):

absolute = fastmlp.MLP([1, 2, 1], activation="relu", dtype="float64")
absolute.weights = [[[1.0, -1.0]], [[1.0], [1.0]]]
x = np.linspace(-2, 2, 101)[:, None]
assert np.allclose(absolute.predict(x), np.abs(x))
plot.network(absolute, absolute.trace([[-1.5]]), inputs=[[-1.5]])
plt.show()
# sphinx_gallery_thumbnail_number = 2
