"""
Over-fitting, and what helps
============================

A network that is large enough learns its rows by heart, errors included. Here a quarter of the training rows have a
wrong label. What the network makes of *other* rows, with right labels, tells whether it has learnt digits or the
list.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastmlp
from fastmlp import plot

X, y, X_test, y_test = fastmlp.datasets.load_digits(split=True)
X, X_test, rng = X[:600] / 16, X_test / 16, np.random.default_rng(0)
noisy = np.where(rng.random(600) < 0.25, rng.integers(0, 10, 600), y[:600])


def train(width=256, epochs=150, callbacks=(), **arguments):
    """Train one hidden layer on the noisy labels; validate on right ones."""
    net = fastmlp.MLP([64, width, 10], output="softmax", seed=0, **arguments)
    others, adam = (X_test, y_test), fastmlp.Adam(3e-3)
    return net, net.fit(X, noisy, epochs=epochs, optimizer=adam, validation_data=others, callbacks=callbacks)


# %%
# Capacity
# --------
#
# The more units, the better the *training* rows are known. The others are best known by a network of a middle size;
# with more units the wrong labels are learnt by heart. (The largest is better again: it has room to be wrong at
# single rows only. That is called double descent.)

WIDTHS = [1, 2, 4, 8, 16, 32, 64, 256]
nets = [train(width)[0] for width in WIDTHS]
rows = {"training rows, noisy": (X, noisy), "other rows": (X_test, y_test)}
scores = {name: [net.evaluate(*data)["accuracy"] for net in nets] for name, data in rows.items()}
ax = plt.subplots(figsize=(7, 4), layout="constrained")[1]
for (name, values), marker in zip(scores.items(), ["o", "^"], strict=True):
    ax.plot(WIDTHS, values, marker=marker, label=name)
ax.set(xscale="log", xlabel="hidden units", ylabel="accuracy")
ax.set_xticks(WIDTHS, WIDTHS, minor=False)
ax.legend()
known, other = scores.values()
assert known[-1] > 0.99 > max(other[2:5]) > max(other[5:7]) + 0.05

# %%
# Time
# ----
#
# The training loss falls for ever; that of other rows turns after some epochs. Early stopping goes back to the dotted
# line.

_, history = train()
plot.history(history)
best = int(np.argmin(history.val_loss))
assert best < 30
assert history.val_loss[-1] > 1.3 * history.val_loss[best]

# %%
# What helps
# ----------
#
# Accuracy on the other rows of the same large network: stopped early, with an L2 penalty, with dropout, with smoothed
# labels.

remedies = {
    "none": train(),
    "early stopping": train(callbacks=[fastmlp.EarlyStopping(patience=10)]),
    "L2": train(l2=0.02),
    "dropout": train(dropout=0.7, epochs=60),
    "smooth labels": train(loss=fastmlp.CrossEntropy(label_smoothing=0.3), epochs=30),
}
found = {name: net.evaluate(X_test, y_test)["accuracy"] for name, (net, _) in remedies.items()}
ax = plt.subplots(figsize=(7, 3.4), layout="constrained")[1]
ax.bar_label(ax.barh(list(found), list(found.values())), [f"{value:.1%}" for value in found.values()], padding=3)
ax.set(xlabel="accuracy on other rows", xlim=(0.5, 1.05))
assert all(found[name] > found["none"] for name in found if name != "none")
