"""
Every signal and every sensitivity
==================================

A network of 2-2-2-2 logistic units, small enough to be computed by hand, and drawn with all that runs through it:
forward the signals z = W a + b and outputs a = f(z), backward the sensitivities dE/dz.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastmlp
from fastmlp import plot

net = fastmlp.MLP([2, 2, 2, 2], activation="logistic", output="logistic", loss="squared_error", dtype="float64")
net.weights = [np.transpose(W) for W in ([[1, -2], [-1, 1]], [[2, -1], [-2, -1]], [[3, -1], [-1, 4]])]
net.biases = [[1, 0], [0, 0], [-2, 2]]

# %%
# Forward and backward for x = (1, -1), y = (1, 0)
# ------------------------------------------------
#
# The first unit's signal is 1 * 1 + (-2) * (-1) + 1 = 4, its output 0.98. At the end stand 0.62 and 0.83. The rings:
# the output that is too large (0.83, and should be 0) has a positive sensitivity, the one that is too small a
# negative one. Towards the inputs rings get pale: each logistic unit multiplies by a slope of at most 1/4. A unit
# that says 0.98 is nearly flat, and learns least.

x, y = [[1.0, -1.0]], [[1.0, 0.0]]
trace = net.trace(x, y)
plot.network(net, trace, inputs=x)
plt.show()

assert np.array_equal(trace.signals[0], [[4, -2]])
assert np.array_equal(np.round(trace.outputs[0], 2), [[0.98, 0.12]])
assert np.array_equal(np.round(trace.outputs[-1], 2), [[0.62, 0.83]])
assert np.array_equal(np.round(net.predict([[0.0, 0.0]]), 2), [[0.51, 0.85]])

# %%
# The recursion, in four lines
# ----------------------------
#
# delta = (a - y) f'(z) at the end, and from each layer to the one before: through the weights, times the slope there.

a, W = trace.outputs, net.weights
delta = (a[-1] - y) * a[-1] * (1 - a[-1])
for layer in (2, 1, 0):
    assert np.allclose(delta, trace.sensitivities[layer])
    if layer:
        delta = (delta @ W[layer].T) * a[layer - 1] * (1 - a[layer - 1])

size = [float(np.abs(s).max()) for s in trace.sensitivities]
assert size[0] < size[1] < size[2]

# %%
# Counting parameters
# -------------------
#
# A layer of O units on I inputs has I O weights and O biases. So 3-4-2 has 3 * 4 + 4 + 4 * 2 + 2 = 26, and the one
# above 18.

assert fastmlp.MLP([3, 4, 2]).n_parameters == 26
assert net.n_parameters == 18
plot.network(fastmlp.MLP([3, 4, 2], seed=1))
plt.show()
