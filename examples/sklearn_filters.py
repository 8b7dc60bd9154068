"""Patterns that the hidden units of scikit-learn's MLP look for in images; run it with and without fastmlp.

Needs scikit-learn (pip install '.[sklearn]'), and matplotlib for ``--plot``:

    python examples/sklearn_filters.py
    python -m fastmlp.patch examples/sklearn_filters.py

Fashion-MNIST if it is installed, else scikit-learn's digits. With ``--plot filters.png`` the weights of the
first layer are drawn as images.
"""

import argparse
import time
import warnings

from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import fastmlp


def images(use_digits):
    """Rows of pixels in [0, 1], classes, and the side of an image."""
    if not use_digits:
        try:
            split = fastmlp.datasets.load_fashion_mnist()
        except OSError:
            print("Fashion-MNIST is not installed; scikit-learn's digits instead")
        else:
            X = split.X_train[:20000].reshape(20000, -1).astype("float32") / 255
            return X, split.y_train[:20000], 28
    X, y = load_digits(return_X_y=True)
    return X / 16, y, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--digits", action="store_true", help="take the digits")
    parser.add_argument("--plot", metavar="FILE", help="draw the weights into this file")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    X, y, side = images(options.digits)
    X, X_test, y, y_test = train_test_split(X, y, random_state=0, test_size=0.3)
    net = MLPClassifier((40,), solver="sgd", max_iter=8, learning_rate_init=0.2, random_state=1, verbose=True)
    start = time.perf_counter()
    net.fit(X, y)
    seconds = time.perf_counter() - start
    print(f"training score {net.score(X, y):.3f}, test score {net.score(X_test, y_test):.3f}")
    print(f"# {MLPClassifier.__module__}: {seconds:.2f} s")

    if options.plot:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(4, 10, figsize=(12, 5), constrained_layout=True)
        largest = abs(net.coefs_[0]).max() / 2
        for axis, weights in zip(axes.flat, net.coefs_[0].T, strict=True):
            drawn = axis.imshow(weights.reshape(side, side), cmap="gray", vmin=-largest, vmax=largest)
            axis.set_axis_off()
        figure.colorbar(drawn, ax=axes, label="weight", shrink=0.6)
        figure.savefig(options.plot)


if __name__ == "__main__":
    main()
