"""A table as it comes, with text, dates and gaps: what flats cost, in a range, and what it hangs on.

Needs scikit-learn:  python examples/tabular.py

The table is made up, and known to be right: the price comes from the size, the town, the year and the distance to the
centre, with noise that grows with it. Nothing is scaled, encoded or filled by hand.
"""

import tempfile
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

from fastmlp.tabular import TabularRegressor, load

NAMES = ["town", "size", "distance", "built", "owner"]


def flats(n, rng):
    """Rows of a town, a size and a distance with gaps, a date, and a name that has nothing to do with the price."""
    town = rng.choice(["Lund", "Turku", "Bergen"], n, p=[0.5, 0.3, 0.2])
    size, distance = rng.gamma(8.0, 10.0, n), rng.exponential(4.0, n)
    built = np.datetime64("1950-01-01") + rng.integers(0, 27000, n)
    level = np.select([town == "Lund", town == "Turku"], [3.0, 2.2], 4.1)
    price = size * level * (0.6 + np.exp(-distance / 3.0)) * (1.0 + built.astype("datetime64[Y]").astype(int) / 150.0)
    X = np.empty((n, len(NAMES)), object)
    X[:, 0], X[:, 1], X[:, 2] = town, size, distance
    X[:, 3], X[:, 4] = built.astype(object), rng.choice(["Ada", "Bo", "Cy", "Di"], n)
    X[rng.random(n) < 0.05, 2] = None
    return X, price * rng.lognormal(0.0, 0.1, n)


def main() -> None:
    X, y = flats(4000, np.random.default_rng(0))
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, random_state=0)
    reg = TabularRegressor("fast", random_state=0).fit(X, y)
    print(f"R2 of {len(X_test)} other flats: {reg.score(X_test, y_test):.3f}")
    low, high = reg.predict(X_test, quantiles=[0.1, 0.9]).T
    print(f"between the quantiles 0.1 and 0.9: {np.mean((low < y_test) & (y_test < high)):.0%} of them")
    for name, share in sorted(zip(NAMES, reg.feature_importances_, strict=True), key=lambda pair: -pair[1]):
        print(f"  {name:10}{share:6.1%} of what is known")
    with tempfile.TemporaryDirectory() as folder:
        reg.save(Path(folder) / "flats.safetensors")
        same = load(Path(folder) / "flats.safetensors")
    row = ["Oulu", 70.0, None, "2019-05-01", "Eve"]  # a town and an owner that it has never heard of, and a gap
    print(f"a flat in another town: {same.predict([row])[0]:.0f}")


if __name__ == "__main__":
    main()
