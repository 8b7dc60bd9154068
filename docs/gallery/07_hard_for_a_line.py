"""
Hard cases for a line
=====================

Quadrants, a ring and three modes on a line: none of them is cut by one line. A hidden layer bends the border, each
unit by one fold. Does it help more to be wide, or deep?
"""

import matplotlib.pyplot as plt
import numpy as np

import fastmlp
from fastmlp import plot

rng = np.random.default_rng(0)
P = rng.uniform(-1, 1, (400, 2))
CASES = {
    "quadrants": (P, (P[:, 0] * P[:, 1] > 0).astype(int)),
    "a ring": (P, (np.abs(np.hypot(*P.T) - 0.65) < 0.22).astype(int)),
    "three modes": (P, (np.cos(2 * np.pi * P[:, 0]) > 0).astype(int)),
}


def trained(sizes, X, y):
    """A network of these sizes that has learnt the points: the best of three seeds."""
    nets = [fastmlp.MLP(sizes, activation="tanh", loss="binary_cross_entropy", seed=seed) for seed in range(3)]
    falling = fastmlp.schedules.Cosine(0.05, 300 * 13)
    fastmlp.fit_many(nets, X, y, epochs=300, batch_size=32, optimizer=fastmlp.Adam(falling))
    return max(nets, key=lambda net: net.evaluate(X, y)["accuracy"])


# %%
# By depth
# --------
#
# One layer: a line, right for hardly more than the larger class. Two layers of eight: each hidden unit is a line, and
# the output adds them up. Three: folds of folds, with corners that are sharper.

DEPTHS = {"1 layer": [2, 1], "2 layers": [2, 8, 1], "3 layers": [2, 8, 8, 1]}
accuracy = {}
figure, axes = plt.subplots(3, 3, figsize=(13, 11), layout="constrained")
for row, (case, (X, y)) in zip(axes, CASES.items(), strict=True):
    for ax, (depth, sizes) in zip(row, DEPTHS.items(), strict=True):
        net = trained(sizes, X, y)
        accuracy[case, depth] = net.evaluate(X, y)["accuracy"]
        plot.decision_regions(net, X, y, resolution=100, ax=ax)
        ax.set_title(f"{case}, {depth}: {accuracy[case, depth]:.0%}")
plt.show()

for case in CASES:
    assert accuracy[case, "1 layer"] < 0.8
    assert accuracy[case, "2 layers"] > 0.9
    assert accuracy[case, "3 layers"] > 0.97

# %%
# Fat and short, or thin and tall
# -------------------------------
#
# Three networks with about as many parameters, trained as long on a spiral: one hidden layer of 60 units, two of 13,
# four of 8. The two deeper ones wind along with it. The wide one still sees two halves: it would need more units, or
# far more time.

angle = np.linspace(0.5, 3 * np.pi, 200)
arm = angle[:, None] / 10 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
X, y = np.concatenate([arm, -arm]) + rng.normal(0, 0.02, (400, 2)), np.repeat([0, 1], 200)
SHAPES = {"60": [2, 60, 1], "13-13": [2, 13, 13, 1], "8-8-8-8": [2, 8, 8, 8, 8, 1]}
figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
found = {}
for ax, (name, sizes) in zip(axes, SHAPES.items(), strict=True):
    net = trained(sizes, X, y)
    found[name] = net.evaluate(X, y)["accuracy"]
    assert 220 < net.n_parameters < 260
    plot.decision_regions(net, X, y, ax=ax).set_title(f"{name}, {net.n_parameters} parameters: {found[name]:.0%}")
plt.show()
assert min(found["8-8-8-8"], found["13-13"]) > 0.95 > found["60"] + 0.1
