"""
What hidden layers see
======================

A classifier's hidden layers move rows until a plane can part the classes. The same test digits as pixels, and as the
first and the last hidden layer of a network have them, in two dimensions.
"""

import matplotlib.pyplot as plt
from sklearn.metrics import silhouette_score
from threadpoolctl import threadpool_limits

import fastmlp
from fastmlp import plot

X, y, X_test, y_test = fastmlp.datasets.load_digits(split=True)
X, X_test = X / 16, X_test / 16
net = fastmlp.MLP([64, 64, 32, 10], output="softmax", seed=0)
net.fit(X, y, epochs=30, optimizer=fastmlp.Adam(3e-3))

# %%
# Principal components
# --------------------
#
# The two directions with most variance. In pixels most classes lie on top of each other; layer by layer they draw
# apart, into rays: the output layer asks how far along each direction a row is.

figure, axes = plt.subplots(1, 3, figsize=(16, 5), layout="constrained")
plot.embedding(None, X_test, y_test, ax=axes[0])
for ax, layer in zip(axes[1:], (0, 1), strict=True):
    plot.embedding(net, X_test, y_test, layer=layer, ax=ax)
plt.show()

# %%
# Neighbours, by t-SNE
# --------------------
#
# t-SNE shows who is whose neighbour, and nothing else: neither distances nor sizes of its clouds mean anything.
# Pixels already have the classes' neighbourhoods, with strays and split clouds (see the 1 and the 9); in the last
# hidden layer there are few strays left.

figure, axes = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
with threadpool_limits(1):  # more wait for each other
    plot.embedding(None, X_test, y_test, method="tsne", ax=axes[0])
    plot.embedding(net, X_test, y_test, layer=1, method="tsne", ax=axes[1])
plt.show()

# %%
# In a number
# -----------
#
# The silhouette compares a row's distance to its own class with that to the nearest other one, in all dimensions: 1
# is far apart, 0 is on the border. It grows with every layer, on digits that the network has not seen.

seen = [silhouette_score(rows, y_test) for rows in (X_test, net.transform(X_test, 0), net.transform(X_test, 1))]
print("silhouettes of pixels, first and last hidden layer:", *(f"{value:.2f}" for value in seen))
assert seen[0] < seen[1] < seen[2]
