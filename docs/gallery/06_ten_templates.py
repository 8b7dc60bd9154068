"""
Ten neurons as templates
========================

Ten softmax units on the pixels of digits, one for each class, and nothing between. The weights into a unit are an
image: red where it wants ink, blue where it wants none. While it learns, they become templates; and why templates are
not enough can be seen, too.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation

import fastmlp
from fastmlp import plot

X, y, X_test, y_test = fastmlp.datasets.load_digits(split=True)
X, X_test = X / 16, X_test / 16

# %%
# While they learn
# ----------------
#
# The weights begin at zero, and are kept after every tenth step. First comes the mean image of each class against all
# others, within a few steps; then strokes that tell it from its neighbours: the 0 has a blue middle, the 7 no foot.

seen = fastmlp.WeightHistory(every="10 steps", layers=[0])
net = fastmlp.MLP([64, 10], output="softmax", init="zeros", seed=0)
net.fit(X, y, epochs=8, optimizer=fastmlp.SGD(0.5), callbacks=[seen])

figure, axes = plt.subplots(3, 1, figsize=(11, 5), layout="constrained")
limit = np.abs(seen.weights[0][-1]).max()
for ax, frame in zip(axes, [1, 5, -1], strict=True):
    plot.filters(seen.weights[0][frame], columns=10, limit=limit, ax=ax).set_title(f"step {seen.steps[frame]}")
plt.show()

# %%
# As an animation:

figure, ax = plt.subplots(figsize=(11, 1.8))


def draw(frame):
    figure.clear()
    plot.filters(seen.weights[0][frame], columns=10, limit=limit, ax=figure.add_subplot())
    figure.axes[0].set_title(f"step {seen.steps[frame]}")


animation = FuncAnimation(figure, draw, frames=range(0, len(seen.steps), 2), interval=250)
plt.show()

# %%
# Why templates fail
# ------------------
#
# A template is one way to write a digit. Who writes it in another way, or moved by a pixel, is measured against the
# wrong pixels: the templates lose far more of their accuracy than a network with a hidden layer, trained on the same
# rows.

deep = fastmlp.MLP([64, 64, 10], output="softmax", seed=0)
deep.fit(X, y, epochs=40, optimizer=fastmlp.Adam(3e-3))
moved = np.roll(X_test.reshape(-1, 8, 8), 1, axis=2).reshape(-1, 64)
both = {"templates": net, "64 hidden": deep}
found = {name: [n.evaluate(rows, y_test)["accuracy"] for rows in (X_test, moved)] for name, n in both.items()}

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
for offset, (name, values) in zip((-0.2, 0.2), found.items(), strict=True):
    bars = left.bar(np.arange(2) + offset, values, 0.4, label=name, hatch="//" if name == "templates" else "")
    left.bar_label(bars, [f"{value:.1%}" for value in values])
left.set_xticks(range(2), ["as written", "moved by one pixel"])
left.set(ylabel="accuracy on test rows", ylim=(0, 1.15))
left.legend()
plot.confusion(y_test, net.predict(X_test), ax=right)
plt.show()

assert 0.9 < found["templates"][0] < found["64 hidden"][0]
assert found["templates"][1] < found["templates"][0] - 0.2
