"""
Losses, and what each makes of an outlier
=========================================

A loss says how bad an answer is, and its slope how hard it pulls. For two classes, y = -1 and 1, everything depends
on the *margin* y z: how far on the right side the signal is.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastmlp

# %%
# Seven losses over the margin
# ----------------------------
#
# The **zero-one** loss counts errors, and has no slope. The **perceptron** pulls only what is wrong, the **hinge**
# also what is right by less than 1, the **cross entropy** everything, ever less. **Squared error** and **L1** pull
# back what is *too* right: see them rise again beyond 1.

margin = np.linspace(-3, 3, 601)
LOSSES = ["squared_error", "absolute_error", "hinge", "perceptron", "binary_cross_entropy"]


def losses(name, z):
    """The loss of each signal for the class 1: one row at a time through a unit with weight 1."""
    unit = fastmlp.MLP([1, 1], output="logistic" if "entropy" in name else "identity", loss=name, dtype="float64")
    unit.weights = [[[1.0]]]
    return np.array([unit.evaluate([[value]], [1.0], metrics=[])["loss"] for value in z])


ax = plt.subplots(figsize=(8, 4.4), layout="constrained")[1]
drawn = {name: losses(name, margin) for name in LOSSES} | {"zero-one": (margin < 0).astype(float)}
for (name, values), dashes in zip(drawn.items(), ["-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1))], strict=True):
    ax.plot(margin, values, linestyle=dashes, label=name)
ax.set(xlabel="margin y z", ylabel="loss", ylim=(-0.1, 4))
ax.legend()
plt.show()

assert np.allclose(drawn["hinge"], np.maximum(0, 1 - margin))
assert np.allclose(drawn["perceptron"], np.maximum(0, -margin))
assert np.allclose(drawn["binary_cross_entropy"], np.log1p(np.exp(-margin)))
assert drawn["squared_error"][-1] > drawn["squared_error"][np.searchsorted(margin, 1)]

# %%
# An outlier
# ----------
#
# Twenty points on a line, and one that is far off. The squared error is pulled hardest by what is farthest; L1 pulls
# all points alike, and hardly notices; Huber's loss lies between them.

rng = np.random.default_rng(1)
x = np.linspace(-1, 1, 21)[:, None]
y = 2 * x[:, 0] + rng.normal(0, 0.1, 21)
y[18] = -6.0

ax = plt.subplots(figsize=(8, 4), layout="constrained")[1]
ax.plot(x, y, "o", color="0.5", label="points")
slope = {}
for name, dashes in [("squared_error", "-"), ("huber", "--"), ("absolute_error", "-.")]:
    line = fastmlp.MLP([1, 1], loss=name, init="zeros", dtype="float64")
    rate = fastmlp.schedules.Cosine(0.1, 1000)
    line.fit(x, y, epochs=1000, batch_size=21, optimizer=fastmlp.Adam(rate))
    slope[name] = float(line.weights[0][0, 0])
    ax.plot(x, line.predict(x), dashes, label=f"{name}: slope {slope[name]:.2f}")
ax.set(xlabel="x", ylabel="y")
ax.legend()
plt.show()

assert abs(slope["absolute_error"] - 2) < 0.2
assert abs(slope["squared_error"] - 2) > 0.8
assert slope["squared_error"] < slope["huber"] < slope["absolute_error"] + 0.01
