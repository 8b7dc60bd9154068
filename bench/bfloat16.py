"""What bfloat16 costs in accuracy: the same networks in float32 and bfloat16, on rows that nobody has trained on.

Digits and two tables of scikit-learn's, and Fashion-MNIST where Debian's package is installed; several seeds each, of
the split, the weights and the order of the rows. Means over the seeds with their standard errors, and those of the
differences.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _common import describe, machine, positive, run_script, write_json

import fastmlp
from fastmlp.cli import table

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Rows = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]

DTYPES = ("float32", "bfloat16")
#: The data, widths of the hidden layers, epochs.
TASKS: dict[str, tuple[str, list[int], int]] = {
    "digits": ("digits", [256, 128], 40),
    "breast cancer": ("breast_cancer", [64, 64], 60),
    "diabetes": ("diabetes", [64, 64], 60),
    "Fashion-MNIST": ("fashion", [256, 128], 10),
}


def of_sklearn(name: str, seed: int) -> Rows:
    """Four fifths of a data set's rows for training, and the others."""
    from sklearn import datasets  # type: ignore[import-untyped]

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(X))
    kept, held_out = order[: len(X) * 4 // 5], order[len(X) * 4 // 5 :]
    return X[kept], y[kept], X[held_out], y[held_out]


def of_fashion(_name: str, _seed: int) -> Rows:
    """The split that the data set comes with."""
    X, y, X_test, y_test = fastmlp.datasets.load_fashion_mnist()
    return X, y, X_test, y_test


def score(rows: Rows, hidden: list[int], epochs: int, dtype: str, seed: int) -> float:
    """Percent of classes that are right, or 100 R^2."""
    X, y, X_test, y_test = rows
    classes = y.dtype.kind in "iu"
    net = fastmlp.MLP(
        [X.shape[1], *hidden, int(y.max()) + 1 if classes else 1],
        output="softmax" if classes else None,
        dtype=dtype,  # type: ignore[arg-type]
        seed=seed,
        normalize="standard",
        normalize_targets=None if classes else "standard",
    )
    net.fit(X, y if classes else y[:, None], epochs=epochs, batch_size=64, optimizer=fastmlp.Adam(1e-3), verbose=0)
    outputs = net.predict(X_test)
    if classes:
        return float(100 * np.mean(outputs.argmax(axis=1) == y_test))
    return float(100 * (1 - np.mean((outputs[:, 0] - y_test) ** 2) / np.var(y_test)))


def compare(load: Callable[[int], Rows], hidden: list[int], epochs: int, seeds: int) -> dict[str, list[float]]:
    """Scores of all seeds, by dtype."""
    found: dict[str, list[float]] = {dtype: [] for dtype in DTYPES}
    for seed in range(seeds):
        rows = load(seed)
        for dtype in DTYPES:
            found[dtype].append(score(rows, hidden, epochs, dtype, seed))
    return found


def line(name: str, scores: dict[str, list[float]]) -> list[str]:
    """A line of the table: means with their standard errors, and the difference of the pairs."""
    cells = [name]
    for dtype in DTYPES:
        error = statistics.stdev(scores[dtype]) / len(scores[dtype]) ** 0.5
        cells.append(f"{statistics.mean(scores[dtype]):.2f} +- {error:.2f}")
    differences = [b - a for a, b in zip(*(scores[dtype] for dtype in DTYPES), strict=True)]
    error = statistics.stdev(differences) / len(differences) ** 0.5
    return [*cells, f"{statistics.mean(differences):+.2f} +- {error:.2f}"]


def main() -> int:
    """Train, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--seeds", type=positive(int), default=5, help="default: 5; at least 2")
    parser.add_argument("--json", type=Path, help="where to write the report (default: a new file in build/bench)")
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error("--seeds must be at least 2, or there is no standard error")
    where = machine()
    print(describe(where) + "\n", flush=True)
    results: dict[str, dict[str, list[float]]] = {}
    for name, (data, hidden, epochs) in TASKS.items():
        source = of_fashion if data == "fashion" else of_sklearn
        try:
            results[name] = compare(lambda seed, s=source, d=data: s(d, seed), hidden, epochs, options.seeds)  # type: ignore[misc]
        except (FileNotFoundError, ImportError) as error:
            print(f"left out: {name} ({error})")
    print("percent of classes right, or 100 R^2, of rows held out: means and standard errors")
    print(table(["data", *DTYPES, "difference"], [line(name, scores) for name, scores in results.items()], 1))
    report = {"machine": where, "settings": {"seeds": options.seeds}, "scores": results}
    print(f"\nwritten to {write_json(options.json, 'bfloat16', report)}")
    return 0


if __name__ == "__main__":
    run_script(main)
