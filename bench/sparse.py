"""Sparse rows beside dense ones: 20000-64-10 on rows of 20,000 columns, 50 of them not 0, batch 256, Adam.

    python bench/sparse.py                          100,000 sparse rows; 8,192 of them as an array, 655 MB
    python bench/sparse.py --rows 5000 --repeats 1  a glance

Both are trained in the same process in turns, an epoch at a time; the best of the repeats counts, in rows per second.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import scipy.sparse

import fastmlp


def made(rows: int, columns: int, entries: int) -> tuple[Any, Any]:
    """Rows of so many entries at random places, and classes at random."""
    rng = np.random.default_rng(0)
    places = rng.integers(0, columns, rows * entries, dtype=np.int32)
    values = rng.standard_normal(rows * entries, dtype=np.float32)
    X = scipy.sparse.csr_matrix((values, places, np.arange(rows + 1) * entries), (rows, columns))
    X.sum_duplicates()
    return X, rng.integers(0, 10, rows)


def rows_per_second(X: Any, y: Any, threads: int | None) -> float:
    """Train an epoch, behind one that warms up on a few rows."""
    net = fastmlp.MLP([X.shape[1], 64, 10], output="softmax", seed=0)
    net.fit(X[:512], y[:512], epochs=1, batch_size=256, optimizer=fastmlp.Adam(), threads=threads)
    begun = time.perf_counter()
    net.fit(X, y, epochs=1, batch_size=256, threads=threads)
    return len(y) / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dense-rows", type=int, default=8192)
    parser.add_argument("--columns", type=int, default=20_000)
    parser.add_argument("--entries", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    X, y = made(arguments.rows, arguments.columns, arguments.entries)
    some = min(arguments.dense_rows, arguments.rows)
    dense = X[:some].toarray()
    found: dict[str, list[float]] = {"sparse": [], "dense": []}
    for _ in range(arguments.repeats):
        found["sparse"].append(rows_per_second(X, y, arguments.threads))
        found["dense"].append(rows_per_second(dense, y[:some], arguments.threads))
    for way, speeds in found.items():
        print(f"{way:6} {max(speeds):10,.0f} rows/s (of {len(speeds)}: {min(speeds):,.0f} at the least)")
    print(f"sparse rows are {max(found['sparse']) / max(found['dense']):.2f} times as fast")


if __name__ == "__main__":
    main()
