"""
Linear layers stay linear
=========================

W2 (W1 x + b1) + b2 = (W2 W1) x + (W2 b1 + b2): however many linear layers there are, they are one. What makes a
network more than a line is the function between them, nothing else.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastmlp
from fastmlp import plot

rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, (300, 2))
y = (X[:, 0] * X[:, 1] > 0).astype(int)

# %%
# Four layers that are one
# ------------------------
#
# On the left four layers with the identity between them: 333 parameters, and a straight border. On the right the same
# network with a tanh in the same places, trained as long on the same points.

nets = {}
figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
for ax, activation in zip(axes, ["identity", "tanh"], strict=True):
    net = fastmlp.MLP([2, 12, 12, 10, 1], activation=activation, loss="binary_cross_entropy", seed=0, dtype="float64")
    net.fit(X, y, epochs=150, optimizer=fastmlp.Adam(0.01))
    accuracy = net.evaluate(X, y)["accuracy"]
    plot.decision_regions(net, X, y, ax=ax).set_title(f"{activation}: {accuracy:.0%} right")
    nets[activation] = net, accuracy
plt.show()

assert nets["identity"][0].n_parameters == 333
assert nets["identity"][1] < 0.75
assert nets["tanh"][1] > 0.95

# %%
# Multiplied out
# --------------
#
# The four matrices of the left network, multiplied, are the weights of one neuron with the same outputs, to rounding.

net = nets["identity"][0]
W, b = np.eye(2), np.zeros(2)
for weights, bias in zip(net.weights, net.biases, strict=True):
    W, b = W @ weights, b @ weights + bias
one = fastmlp.MLP([2, 1], loss="binary_cross_entropy", dtype="float64")
one.weights, one.biases = [W], [b]
assert np.allclose(one.predict(X), net.predict(X), atol=1e-12)

# %%
# Along a straight walk through the plane, the signal of the linear network is a straight line; that of the other is
# not.

walk = np.linspace(-1, 1, 200)[:, None] * [[1.0, 0.6]]
ax = plt.subplots(figsize=(7, 3.6), layout="constrained")[1]
bend = {}
for (name, (net, _)), dashes in zip(nets.items(), ["-", "--"], strict=True):
    z = net.trace(walk).signals[-1][:, 0]
    bend[name] = np.abs(np.diff(z, 2)).max() / np.abs(np.diff(z)).max()
    ax.plot(walk[:, 0], z / np.abs(z).max(), dashes, label=name)
ax.set(xlabel="input 1 on the way", ylabel="signal of the output, as a share of its largest")
ax.legend()
plt.show()
assert bend["identity"] < 1e-6
assert bend["tanh"] > 0.01
