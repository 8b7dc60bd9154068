"""A class that one row in a hundred has: how much of it each loss, and a weight of the classes, lets a network find.

Needs fastmlp alone:  python examples/rare_class.py

Nearly all rows are of the other class, so that accuracy says nothing: the table has recall and precision of the
rare class, and the average precision, which is of all thresholds. Weights move what is found at the threshold 1/2; how
well rows are ordered stays nearly the same.
"""

import numpy as np

import fastmlp

#: What the table's lines say: a loss, and weights of the classes.
WAYS = (
    ("binary_cross_entropy", "binary_cross_entropy", None),
    ("  pos_weight=10", fastmlp.BinaryCrossEntropy(pos_weight=10.0), None),
    ("  class_weight='balanced'", "binary_cross_entropy", "balanced"),
    ("binary_focal, gamma=2", "binary_focal", None),
    ("  class_weight='balanced'", "binary_focal", "balanced"),
)
METRICS = ["recall", "precision", "average_precision"]


def rows(n, rng):
    """Rows of eight features; those of the rare class lie around a point three deviations away from the others'."""
    y = (rng.random(n) < 0.01).astype(int)
    X = rng.normal(size=(n, 8))
    X[y == 1] += 3.0 / np.sqrt(8)
    return X, y


def main() -> None:
    rng = np.random.default_rng(0)
    (X, y), test = rows(20000, rng), rows(20000, rng)
    print(f"{y.sum()} of {len(y)} rows are of the rare class, and {test[1].sum()} of {len(test[1])} to test on")
    print(f"{'':27}{'recall':>8}{'precision':>11}{'average precision':>19}")
    for name, loss, class_weight in WAYS:
        net = fastmlp.MLP([8, 16, 1], loss=loss, seed=0)
        net.init_output_bias(y)
        net.fit(X, y, epochs=10, batch_size=128, optimizer=fastmlp.Adam(3e-3), class_weight=class_weight)
        found = net.evaluate(*test, metrics=METRICS)
        print(f"{name:27}{found['recall']:8.3f}{found['precision']:11.3f}{found['average_precision']:19.3f}")


if __name__ == "__main__":
    main()
