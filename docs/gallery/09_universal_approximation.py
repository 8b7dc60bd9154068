"""
Any smooth curve, if there are units enough
===========================================

One hidden layer can come as near to a continuous function as one likes (Cybenko, 1989; Hornik, 1991). How near with
2, 4, 8, ... units? And the same for a border between two classes.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastmlp
from fastmlp import plot

WIDTHS = [2, 4, 8, 16, 32]

# %%
# A curve
# -------
#
# Each tanh unit is one soft step, at a place, of a width and a height that it learns. Two steps make one bump; the
# curve has five. The error falls with the units until all bumps are there, and slowly from then on.

x = np.linspace(-1, 1, 256)[:, None]
y = np.sin(2.5 * np.pi * x[:, 0]) * (1 + x[:, 0]) / 2


def best(width, X, target, **arguments):
    """Of four trainings the one with the smallest loss: not every start finds its way."""
    nets = [fastmlp.MLP([X.shape[1], width, 1], activation="tanh", seed=seed, **arguments) for seed in range(4)]
    for net in nets:  # the steps begin all over the place, not all in the middle
        net.weights = [4 * net.weights[0], net.weights[1]]
        net.biases = [np.random.default_rng(net.seed).uniform(-4, 4, width), net.biases[1]]
    falling = fastmlp.schedules.Cosine(0.05, 600 * -(-len(X) // 32))
    fastmlp.fit_many(nets, X, target, epochs=600, batch_size=32, optimizer=fastmlp.Adam(falling))
    return min(nets, key=lambda net: net.evaluate(X, target)["loss"])


curves = {width: best(width, x, y) for width in WIDTHS}
errors = [float(np.sqrt(np.mean((net.predict(x)[:, 0] - y) ** 2))) for net in curves.values()]

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
left.plot(x, y, color="0.5", linewidth=4, label="the curve")
for width, dashes in zip([2, 4, 16], [":", "--", "-"], strict=True):
    left.plot(x, curves[width].predict(x), dashes, label=f"{width} units")
left.set(xlabel="x", ylabel="y")
left.legend()
right.plot(WIDTHS, errors, marker="o")
right.set(xscale="log", yscale="log", xlabel="hidden units", ylabel="root mean squared error")
right.set_xticks(WIDTHS, WIDTHS)
right.minorticks_off()
plt.show()

assert errors[0] > 3 * errors[1] > 6 * errors[2]
assert max(errors[2:]) < 0.02

# %%
# A border
# --------
#
# Inside or outside of a flower. With two units there are two lines, and the flower lies in the strip between them;
# with four a kind of box; with sixteen and more the leaves are there.

rng = np.random.default_rng(0)
P = rng.uniform(-1, 1, (800, 2))
flower = (np.hypot(*P.T) < 0.6 + 0.2 * np.cos(4 * np.arctan2(P[:, 1], P[:, 0]))).astype(int)
figure, axes = plt.subplots(1, 4, figsize=(16, 3.6), layout="constrained")
accuracy = []
for ax, width in zip(axes, [2, 4, 8, 32], strict=True):
    net = best(width, P, flower, loss="binary_cross_entropy")
    accuracy.append(net.evaluate(P, flower)["accuracy"])
    plot.decision_regions(net, P, flower, resolution=100, ax=ax).set_title(f"{width} units: {accuracy[-1]:.0%}")
plt.show()

assert accuracy == sorted(accuracy)
assert accuracy[-1] > 0.95
# sphinx_gallery_thumbnail_number = 2
