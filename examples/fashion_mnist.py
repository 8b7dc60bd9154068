"""Fashion-MNIST, 784-256-128-10: epochs, seconds, GFLOP/s and test accuracy.

Needs fastmlp and the data: Debian and Ubuntu have it in the package dataset-fashion-mnist; a folder with the four IDX
files does as well:  python examples/fashion_mnist.py [--data FOLDER] [--epochs 15]
"""

import argparse
import itertools

import numpy as np

import fastmlp

SIZES = [784, 256, 128, 10]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="folder with the IDX files (default: where Debian's package puts them)")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()

    X, y, X_test, y_test = fastmlp.datasets.load_fashion_mnist(options.data)
    X, X_test = (images.reshape(len(images), -1) / np.float32(255) for images in (X, X_test))
    net = fastmlp.MLP(SIZES, output="softmax", seed=0)
    optimizer = fastmlp.Adam(5e-4)

    def tell(_: fastmlp.MLP, logs: dict[str, float]) -> None:
        print("epoch {epoch:2d}   loss {loss:.4f}   {seconds:.2f} s   {samples_per_second:,.0f} rows/s".format(**logs))

    history = net.fit(
        X, y, epochs=options.epochs, batch_size=128, optimizer=optimizer, threads=options.threads, callbacks=[tell]
    )
    products = [2] + [3] * (len(SIZES) - 2)  # forward and gradient; the first layer needs no input delta
    flops = sum(2 * n * i * o for n, (i, o) in zip(products, itertools.pairwise(SIZES), strict=True))
    flops *= len(X) * options.epochs
    seconds = sum(history.seconds)
    print(f"{options.epochs} epochs in {seconds:.2f} s, {flops / seconds * 1e-9:.0f} GFLOP/s")
    print(f"test accuracy {net.evaluate(X_test, y_test)['accuracy']:.4f}")


if __name__ == "__main__":
    main()
