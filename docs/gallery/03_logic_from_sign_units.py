"""
Logic from threshold units
==========================

With -1 for false and 1 for true, one sign unit computes AND, OR and NOT: only the bias differs. It cannot compute
XOR, whose true corners lie on a diagonal. Two layers can: x1 XOR x2 = OR(AND(x1, not x2), AND(not x1, x2)), each word
a unit.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np

import fastmlp
from fastmlp import plot

CORNERS = np.array(list(itertools.product([-1.0, 1.0], repeat=2)))


def unit_net(sizes, weights, biases):
    """A network of sign units by hand; each row of a matrix is a unit, as one writes it on a blackboard."""
    net = fastmlp.MLP(sizes, activation="sign", output="sign", loss="perceptron")
    net.weights, net.biases = [np.transpose(W) for W in weights], biases
    return net


NOT = unit_net([1, 1], [[[-1]]], [[0]])
AND = unit_net([2, 1], [[[1, 1]]], [[-1]])  # both have to say 1 to come above 0
OR = unit_net([2, 1], [[[1, 1]]], [[1]])
XOR = unit_net(
    [2, 2, 1],
    [[[1, -1], [-1, 1]], [[1, 1]]],  # h1 = AND(x1, not x2), h2 = AND(not x1, x2)
    [[-1, -1], [1]],  # and their OR
)

# %%
# One line, one line, and a band
# ------------------------------
#
# AND and OR cut off one corner, at one end or the other. XOR needs the band between two lines, which is what its two
# hidden units draw.

TRUTH = {"AND": [-1, -1, -1, 1], "OR": [-1, 1, 1, 1], "XOR": [-1, 1, 1, -1]}
figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
for ax, (name, truth), net in zip(axes, TRUTH.items(), [AND, OR, XOR], strict=True):
    assert np.array_equal(net.predict(CORNERS)[:, 0], truth)
    plot.decision_regions(net, CORNERS, np.array(truth), margin=0.5, ax=ax).set_title(name)
plt.show()
assert np.array_equal(NOT.predict([[-1], [1]])[:, 0], [1, -1])

# %%
# The network
# -----------
#
# For x = (1, -1): h1 says yes, h2 no, and OR of them yes. Blue lines are positive weights, dashed red ones negative;
# the colour of a disc is its signal, the number in it its output.

inputs = [[1.0, -1.0]]
plot.network(XOR, XOR.trace(inputs), inputs=inputs)
plt.show()

# %%
# No single unit does it
# ----------------------
#
# Of 9 x 9 x 9 weights and biases not one gives XOR: for w1 + w2 + b < 0 and b - w1 - w2 < 0 add up to b < 0, and the
# other two corners to b > 0.

grid = np.array(list(itertools.product(np.linspace(-2, 2, 9), repeat=3)))
signs = np.sign(grid[:, :2] @ CORNERS.T + grid[:, 2:])
assert not (signs == TRUTH["XOR"]).all(axis=1).any()
assert (signs == TRUTH["AND"]).all(axis=1).any()
