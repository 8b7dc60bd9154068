"""The L2 penalty alpha, and how it smooths what scikit-learn's MLP learns; run it with and without fastmlp.

Needs scikit-learn (pip install '.[sklearn]'), and matplotlib for ``--plot``:

    python examples/sklearn_alpha.py
    python -m fastmlp.patch examples/sklearn_alpha.py

Larger alphas mean smaller weights and a simpler border between the classes. With ``--plot regions.png`` the decision
regions are drawn.
"""

import argparse
import time

import numpy as np
from sklearn.datasets import make_circles, make_classification, make_moons
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ALPHAS = (0.01, 0.1, 1.0, 10.0)


def linear():
    """Two clouds that a line nearly separates."""
    X, y = make_classification(
        n_features=2, n_redundant=0, n_informative=2, n_clusters_per_class=1, random_state=0, n_samples=100
    )
    return X + 2 * np.random.RandomState(2).uniform(size=X.shape), y


DATA = {
    "moons": lambda: make_moons(noise=0.3, random_state=0),
    "circles": lambda: make_circles(noise=0.2, factor=0.5, random_state=1),
    "linear": linear,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--plot", metavar="FILE", help="draw the decision regions into this file")
    options = parser.parse_args()
    fitted, seconds = {}, 0.0
    for name, load in DATA.items():
        X, X_test, y, y_test = train_test_split(*load(), test_size=0.4, random_state=42)
        for alpha in ALPHAS:
            net = MLPClassifier(solver="lbfgs", alpha=alpha, random_state=1, max_iter=2000, hidden_layer_sizes=[10, 10])
            model = make_pipeline(StandardScaler(), net)
            start = time.perf_counter()
            model.fit(X, y)
            seconds += time.perf_counter() - start
            fitted[name, alpha] = model, X, y
            norm = np.sqrt(sum(float(np.square(W).sum()) for W in net.coefs_))
            print(f"{name:<8} alpha {alpha:<5g} |W| {norm:8.2f}  test score {model.score(X_test, y_test):.3f}")
    print(f"# {MLPClassifier.__module__}: {seconds:.2f} s")

    if options.plot:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(len(DATA), len(ALPHAS), figsize=(12, 9), constrained_layout=True)
        for axis, ((name, alpha), (model, X, y)) in zip(axes.flat, fitted.items(), strict=True):
            low, high = X.min(axis=0) - 0.5, X.max(axis=0) + 0.5
            grid = np.meshgrid(np.linspace(low[0], high[0], 200), np.linspace(low[1], high[1], 200))
            chance = model.predict_proba(np.column_stack([each.ravel() for each in grid]))[:, 1]
            # From 0 to 1 in every panel: a network that is sure of nothing is white all over.
            drawn = axis.contourf(*grid, chance.reshape(grid[0].shape), cmap="RdBu", levels=np.linspace(0, 1, 21))
            for label, color in enumerate(("tab:red", "tab:blue")):
                axis.scatter(*X[y == label].T, color=color, edgecolors="white", linewidths=0.7, s=22)
            axis.set(title=f"{name}, alpha {alpha:g}", xticks=[], yticks=[])
        figure.colorbar(
            drawn, ax=axes, label="probability of the blue class", shrink=0.5, ticks=[0, 0.25, 0.5, 0.75, 1]
        )
        figure.savefig(options.plot)


if __name__ == "__main__":
    main()
