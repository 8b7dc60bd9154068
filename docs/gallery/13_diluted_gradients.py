"""
Diluted gradients
=================

Back through every layer, sensitivities are multiplied by weights and slopes. If that makes them smaller, the first
layers of a deep network hear nothing. How large is the gradient in each of twelve layers, before any training?
"""

import matplotlib.pyplot as plt
import numpy as np

import fastmlp
from fastmlp import plot

X, y = fastmlp.datasets.load_digits()
X = (X - X.mean(axis=0)) / (X.std(axis=0) + 1e-6)
SIZES = [64] * 13 + [10]


def network(activation, init, **arguments):
    return fastmlp.MLP(SIZES, activation=activation, output="softmax", init=init, seed=0, **arguments)


def first_by_last(net):
    first, *_, last, _ = (np.linalg.norm(dW) for dW in net.loss_and_grad(X, y)[1])
    return first / last


# %%
# The function
# ------------
#
# All with Glorot's weights. The logistic function's slope is at most 1/4, so every layer takes three quarters or
# more: a straight line down, seven powers of ten in twelve layers. tanh has slope 1 in its middle, ReLU in half of
# the plane.

nets = {name: network(name, "glorot_normal") for name in ("logistic", "tanh", "relu")}
plot.gradient_norms(nets, X, y)
plt.show()
assert first_by_last(nets["logistic"]) < 1e-5 < 0.05 < first_by_last(nets["tanh"])

# %%
# The first weights
# -----------------
#
# ReLU with N(0, sigma^2): 0.05 is too small, 0.3 too large. Glorot's variance 2 / (I + O) keeps tanh alive; ReLU
# drops half of the variance in every layer, which He's 2 / I gives back.

inits = {f"N(0, {sigma}^2)": fastmlp.initializers.normal(sigma) for sigma in (0.05, 0.3)}
inits |= {"Glorot": "glorot_normal", "He": "he_normal"}
drawn = {name: network("relu", init) for name, init in inits.items()}
plot.gradient_norms(drawn, X, y)
plt.show()

# %%
# Residual connections
# --------------------
#
# With a' = f(a W + b) + a there is a way around every layer on which nothing is multiplied: even the logistic
# network's first layer hears of the errors.

ways = {name: network("logistic", "glorot_normal", residual=name != "plain") for name in ("plain", "residual")}
plot.gradient_norms(ways, X, y)
plt.show()
size = {name: np.linalg.norm(net.loss_and_grad(X, y)[1][0]) for name, net in drawn.items()}
assert size["N(0, 0.05^2)"] < size["Glorot"] < size["He"] < size["N(0, 0.3^2)"]
assert 0.1 < first_by_last(drawn["He"]) < 10
assert first_by_last(ways["residual"]) > 1e3 * first_by_last(ways["plain"])

# %%
# And does it matter?
# -------------------
#
# Ten epochs: without a way around, the logistic network has learnt nothing, not even on the rows that it saw.
learnt = {}
for name, net in ways.items():
    net.fit(X, y, epochs=10, optimizer=fastmlp.SGD(0.05))
    learnt[name] = net.evaluate(X, y)["accuracy"]
    print(f"{name}: {learnt[name]:.1%} right")
assert learnt["plain"] < 0.2 < 0.6 < learnt["residual"]
