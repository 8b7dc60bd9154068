"""
What hidden layers see
======================

A classifier's hidden layers move rows until a plane can part the classes. The same test digits as pixels, and as the
first and the last hidden layer of a network have them, in two dimensions.
"""

import matplotlib.pyplot as plt
import numpy as np
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
for ax, seer, layer in zip(axes, (None, net, net), (0, 0, 1), strict=True):
    plot.embedding(seer, X_test, y_test, layer=layer, ax=ax)
plt.show()

# %%
# Neighbours, by t-SNE
# --------------------
#
# t-SNE shows who is whose neighbour; distances and sizes of its clouds mean nothing. Pixels have the classes'
# neighbourhoods already, with strays and split clouds (see the 1 and the 9); the last hidden layer leaves few strays.

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

# %%
# Clothes
# -------
#
# The same with 60,000 pictures of clothes (Fashion-MNIST, where Debian's package of it is installed), for a thousand
# others. Shoes, trousers and bags go ways of their own; T-shirts (0), pullovers (2), coats (4) and shirts (6) stay
# side by side, and most errors are among those four.

try:
    X, y, X_test, y_test = fastmlp.datasets.load_fashion_mnist()
except FileNotFoundError as error:
    print(f"without clothes: {error}")
else:
    net = fastmlp.MLP([784, 128, 32, 10], output="softmax", normalize="minmax", seed=0)
    net.fit(X, y, epochs=4, batch_size=128, optimizer=fastmlp.Adam(1e-3))
    wrong = net.predict(X_test).argmax(axis=1) != y_test
    X_test, some = X_test[:1000], y_test[:1000]
    figure, axes = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
    for ax, seer in zip(axes, (None, net), strict=True):
        plot.embedding(seer, X_test, some, ax=ax)
    plt.show()
    assert np.isin(y_test[wrong], [0, 2, 4, 6]).mean() > 0.6
    assert silhouette_score(X_test, some) < silhouette_score(net.transform(X_test, 1), some)
