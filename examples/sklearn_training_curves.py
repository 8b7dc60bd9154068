"""Loss curves of scikit-learn's MLP for six ways to descend, on four data sets; run it with and without fastmlp.

Needs scikit-learn (pip install '.[sklearn]'), and matplotlib for ``--plot``:

    python examples/sklearn_training_curves.py
    python -m fastmlp.patch examples/sklearn_training_curves.py

Both print the same losses. With ``--plot curves.png`` they are drawn.
"""

import argparse
import time
import warnings

from sklearn.datasets import load_digits, load_iris, make_circles, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import MinMaxScaler

DATA = {
    "iris": lambda: load_iris(return_X_y=True),
    "digits": lambda: load_digits(return_X_y=True),
    "circles": lambda: make_circles(noise=0.2, factor=0.5, random_state=1),
    "moons": lambda: make_moons(noise=0.3, random_state=0),
}
WAYS = {
    "constant": {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.2},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.2},
    "Nesterov": {"solver": "sgd", "learning_rate_init": 0.2},
    "invscaling": {"solver": "sgd", "momentum": 0.0, "learning_rate": "invscaling", "learning_rate_init": 0.2},
    "invscaling, Nesterov": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.2},
    "adam": {"solver": "adam", "learning_rate_init": 0.01},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--plot", metavar="FILE", help="draw the curves into this file")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    curves, seconds = {}, 0.0
    for name, load in DATA.items():
        X, y = load()
        X = MinMaxScaler().fit_transform(X)
        for way, parameters in WAYS.items():
            start = time.perf_counter()
            net = MLPClassifier(random_state=0, max_iter=15 if name == "digits" else 400, **parameters).fit(X, y)
            seconds += time.perf_counter() - start
            curves[name, way] = net.loss_curve_
            print(f"{name:<8} {way:<21} {net.n_iter_:>3} epochs  loss {net.loss_:.6f}  score {net.score(X, y):.4f}")
    print(f"# {MLPClassifier.__module__}: {seconds:.2f} s")

    if options.plot:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(2, 2, figsize=(11, 8), constrained_layout=True)
        for axis, name in zip(axes.flat, DATA, strict=True):
            for way in WAYS:
                # Two ways may lie on each other: one is drawn broken.
                axis.plot(curves[name, way], label=way, linestyle="--" if "Nesterov" in way else "-")
            axis.set(title=name, xlabel="epoch", ylabel="loss")
        figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        figure.savefig(options.plot)


if __name__ == "__main__":
    main()
