"""
Back-propagation: right, and cheap
==================================

All derivatives of the loss, by all weights, for about the price of two predictions. Is it right? Against finite
differences. Is it cheap? Against the clock.
"""

import timeit

import matplotlib.pyplot as plt
import numpy as np

import fastmlp

rng = np.random.default_rng(0)

# %%
# Right
# -----
#
# Each weight is moved by h to both sides, and the loss computed: (E(w + h) - E(w - h)) / 2h. Every point is a weight;
# all lie on the diagonal. For a smaller h the difference comes nearer to the derivative, like h^2, until rounding
# takes over below 1e-5.

net = fastmlp.MLP([6, 10, 8, 3], activation="tanh", output="softmax", dtype="float64", seed=0)
X, y = rng.normal(size=(20, 6)), rng.integers(0, 3, 20)
_, dW, db = net.loss_and_grad(X, y)
exact = np.concatenate([part.ravel() for pair in zip(dW, db, strict=True) for part in pair])
w = net.get_flat()


def differences(h):
    """The derivatives by all parameters, one after the other: two losses each."""
    found = np.empty_like(w)
    for k, unit in enumerate(np.eye(len(w))):
        losses = []
        for sign in (1, -1):
            net.set_flat(w + sign * h * unit)
            losses.append(net.evaluate(X, y, metrics=[])["loss"])
        found[k] = (losses[0] - losses[1]) / (2 * h)
    return found


steps = 10.0 ** -np.arange(1, 11)
errors = [np.abs(differences(h) - exact).max() for h in steps]
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
left.plot(exact, differences(1e-5), "o", markersize=4)
left.set(xlabel="derivative, by back-propagation", ylabel="by differences, h = 1e-5")
right.plot(steps, errors, marker="o")
right.set(xscale="log", yscale="log", xlabel="h", ylabel="largest difference")
plt.show()
assert min(errors) < 1e-8
assert errors[0] > 50 * errors[1] > 0  # a tenth of h, a hundredth of the error

# %%
# Cheap
# -----
#
# A gradient over n rows costs n times the number of weights: each is multiplied once for each row forward, and twice
# backward. The seconds lie on a line through 0, for networks of very different widths. Differences would need two
# losses for each weight: hours for what takes milliseconds.

work, seconds = [], []
for width in (256, 512, 1024, 1536):
    big = fastmlp.MLP([width, width, width, 10], output="softmax", seed=0)
    for n in (512, 1024):
        rows, labels = rng.normal(size=(n, width)).astype(np.float32), rng.integers(0, 10, n)
        taken = timeit.repeat(lambda: big.loss_and_grad(rows, labels, threads=1), number=1, repeat=7)  # noqa: B023
        work.append(n * sum(W.size for W in big.weights))
        seconds.append(min(taken))
work, seconds = np.array(work, float), np.array(seconds)
slope = work @ seconds / (work @ work)
ax = plt.subplots(figsize=(7, 4), layout="constrained")[1]
ax.plot(work / 1e9, 1e3 * seconds, "o", label="measured")
ax.plot([0, work.max() / 1e9], [0, 1e3 * slope * work.max()], "--", label="a line through 0")
ax.set(xlabel="rows times weights [1e9]", ylabel="time of a gradient [ms]")
ax.legend()
plt.show()
assert np.corrcoef(work, seconds)[0, 1] > 0.9
