"""What it brings to train many networks side by side: `fit_many` by one after the other, and by scikit-learn's search.

`python bench/many.py --help` tells the options, README.md how to read the figures.
"""

from __future__ import annotations

import argparse
import operator
import statistics
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _common import describe, failed_checks, machine, positive, run_script, write_json

import fastmlp
from fastmlp.cli import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIZES, TINY = [20, 64, 64, 1], [10, 16, 1]
EPOCHS = 20
LONG = 100  # epochs by workers that are other processes


def seconds_of(work: Callable[[], Any]) -> float:
    """How long a call takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def networks(sizes: list[int], count: int) -> list[fastmlp.MLP]:
    """So many networks that differ by their seeds."""
    return [fastmlp.MLP(sizes, seed=seed) for seed in range(count)]


def rows_for(sizes: list[int], n: int) -> tuple[np.ndarray, np.ndarray]:
    """n rows of noise, and one of its columns to learn."""
    X = np.random.default_rng(0).normal(size=(n, sizes[0])).astype(np.float32)
    return X, X[:, 0]


def one_by_one(nets: list[fastmlp.MLP], X: np.ndarray, y: np.ndarray) -> None:
    """Train networks one after the other, on one thread."""
    for net in nets:
        net.fit(X, y, epochs=EPOCHS, threads=1)


def by_search(X: np.ndarray, y: np.ndarray, count: int) -> Callable[[], Any]:
    """Make scikit-learn's search over as many settings; it trains each on all rows, and looks at a few."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.neural_network import MLPRegressor

    warnings.simplefilter("ignore")
    settings = {"batch_size": 32, "max_iter": EPOCHS, "n_iter_no_change": EPOCHS, "tol": 0.0}
    estimator = MLPRegressor(hidden_layer_sizes=tuple(SIZES[1:-1]), **settings)
    split = [(np.arange(len(X)), np.arange(8))]
    grid = {"random_state": list(range(count))}
    return lambda: GridSearchCV(estimator, grid, cv=split, n_jobs=2, refit=False).fit(X, y)


@contextmanager
def dask_workers() -> Iterator[Any]:
    """Two workers of Dask."""
    import distributed

    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client:
        yield client.get_executor()


@contextmanager
def ray_workers() -> Iterator[Any]:
    """Two workers of Ray."""
    import ray
    from ray.util.multiprocessing import Pool

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        yield Pool(2)
    finally:
        ray.shutdown()


#: How to begin with two workers, the module that it needs, and how many times as fast as one thread they are to be.
EXECUTORS: dict[str, tuple[Callable[[], Any], str, float]] = {
    "processes": (lambda: ProcessPoolExecutor(2, mp_context=get_context("spawn")), "concurrent.futures", 1.7),
    "dask": (dask_workers, "distributed", 1.4),
    "ray": (ray_workers, "ray", 1.4),
}


def by_executor(name: str, count: int, n: int, rounds: int) -> dict[str, list[float]]:
    """Seconds for so many networks by two workers that are there, and on one thread, in turns."""
    X, y = rows_for(SIZES, n)
    times: dict[str, list[float]] = {"one thread": [], name: []}
    with EXECUTORS[name][0]() as executor:
        fastmlp.fit_many(networks(SIZES, 4), X, y, epochs=1, executor=executor)  # which imports fastmlp there
        for _ in range(rounds):
            first, second = networks(SIZES, count), networks(SIZES, count)
            alone, several = (
                lambda: fastmlp.fit_many(first, X, y, epochs=LONG, threads=1),  # noqa: B023 - called at once
                lambda: fastmlp.fit_many(second, X, y, epochs=LONG, executor=executor),  # noqa: B023
            )
            times["one thread"].append(seconds_of(alone))
            times[name].append(seconds_of(several))
            assert all((a.weights[0] == b.weights[0]).all() for a, b in zip(first, second, strict=True))
    return times


def main() -> int:
    """Measure, print, write, check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--networks", type=positive(int), default=64, help="of 20-64-64-1 (default: 64)")
    parser.add_argument("--tiny", type=positive(int), default=1000, help="of 10-16-1 (default: 1000)")
    parser.add_argument("--rows", type=positive(int), default=1000, help="default: 1000")
    parser.add_argument("--rounds", type=positive(int), default=5, help="default: 5")
    parser.add_argument("--sklearn", action="store_true", help="scikit-learn's GridSearchCV(n_jobs=2) as well, once")
    parser.add_argument("--executors", action="store_true", help="by processes, and by Dask and Ray where they are")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a figure is less than it should be")
    parser.add_argument("--json", type=Path, help="where to write the report (default: a new file in build/bench)")
    options = parser.parse_args()

    where = machine()
    print(describe(where), flush=True)
    found: dict[str, dict[str, list[float]]] = {}
    for name, sizes, count in (("20-64-64-1", SIZES, options.networks), ("10-16-1", TINY, options.tiny)):
        X, y = rows_for(sizes, options.rows)
        times = found[name] = {"one by one": [], "fit_many": []}
        for _ in range(options.rounds):
            first, second = networks(sizes, count), networks(sizes, count)
            times["one by one"].append(seconds_of(lambda: one_by_one(first, X, y)))  # noqa: B023 - called at once
            times["fit_many"].append(seconds_of(lambda: fastmlp.fit_many(second, X, y, epochs=EPOCHS)))  # noqa: B023
            assert all((a.weights[0] == b.weights[0]).all() for a, b in zip(first, second, strict=True))
    if options.sklearn:
        found["20-64-64-1"]["GridSearchCV"] = [seconds_of(by_search(*rows_for(SIZES, options.rows), options.networks))]
    wanted = [name for name, (_, module, _) in EXECUTORS.items() if options.executors and find_spec(module)]
    by_workers = {name: by_executor(name, options.networks, options.rows, options.rounds) for name in wanted}
    seconds = {name: {way: statistics.median(times) for way, times in ways.items()} for name, ways in found.items()}
    lines = [
        [name, way, f"{took:.3f}", f"{took / ways['fit_many']:.2f}"]
        for name, ways in seconds.items()
        for way, took in ways.items()
    ]
    print(table(["networks", "way", "seconds", "by fit_many"], lines, 2))
    faster = {name: statistics.median(map(operator.truediv, *times.values())) for name, times in by_workers.items()}
    for name, ratio in faster.items():
        print(f"{options.networks} networks by two workers, {name}: {ratio:.2f} times as fast as on one thread")
    settings = {name: getattr(options, name) for name in ("networks", "tiny", "rows", "rounds")} | {"epochs": EPOCHS}
    path = write_json(options.json, "many", {"machine": where, "settings": settings, "results": found | by_workers})
    print(f"\nwritten to {path}")
    if not options.check:
        return 0
    ways = seconds["20-64-64-1"]
    speeds = {
        "one by one": ways["one by one"] / ways["fit_many"],
        "1000 tiny in 2 s": 2 / seconds["10-16-1"]["fit_many"],
    }
    least = {"one by one": 1.85, "1000 tiny in 2 s": 1.0}
    if options.sklearn:
        speeds["GridSearchCV"], least["GridSearchCV"] = ways["GridSearchCV"] / ways["fit_many"], 20.0
    least |= {name: EXECUTORS[name][2] for name in faster}
    failed = failed_checks(speeds | faster, least, " times")
    for line in failed:
        print(f"CHECK FAILED  {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    run_script(main)
