"""scikit-learn's MLP against fastmlp's with the same settings: seconds and score, side by side.

Each library runs in a process of its own; they take turns, round by round. Data sets are scikit-learn's own, and
Fashion-MNIST if it is installed; the "gallery" tasks are the settings of scikit-learn's documented examples of the MLP.
`python bench/sklearn_suite.py --help` tells the options.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _common import (
    describe,
    failed_checks,
    limits,
    machine,
    one_of,
    positive,
    run_script,
    script_worker,
    threads_argument,
    write_json,
)
from _worker import Worker, serve

from fastmlp.cli import table

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LIBRARIES = ("sklearn", "fastmlp")
#: Issue 4: at least so many times faster.
AT_LEAST = {"digits": 10.0, "small": 20.0, "fashion": 4.0, "predict_one": 8.0}
AT_LEAST |= {"grid_loky": 10.0, "grid_threading": 10.0, "grid_multiprocessing": 10.0}
MOST_IMPORT_MILLISECONDS = 100.0

Rows = tuple["NDArray[Any]", "NDArray[Any]"]


# ---- data -----------------------------------------------------------------------------------------------------------


def data(name: str) -> tuple[Rows, Rows]:
    """Rows to train and to test on."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import scale

    if name.startswith("fashion"):
        import fastmlp

        split = fastmlp.datasets.load_fashion_mnist()
        dtype = np.float64 if name.endswith("64") else np.float32
        X, X_test = (images.reshape(len(images), -1).astype(dtype) / 255 for images in (split.X_train, split.X_test))
        return (X, split.y_train), (X_test, split.y_test)
    if name in ("small", "small64"):
        X, y = datasets.make_classification(10000, 20, n_informative=10, random_state=0)
    elif name == "moons":
        X, y = datasets.make_moons(300, noise=0.3, random_state=0)
    elif name == "circles":
        X, y = datasets.make_circles(300, noise=0.2, factor=0.5, random_state=1)
    elif name == "multilabel":
        X, y = datasets.make_multilabel_classification(2000, 30, n_classes=8, random_state=0)
    else:
        X, y = getattr(datasets, f"load_{name.removesuffix('32')}")(return_X_y=True)
    if name == "diabetes":
        y = scale(y)
    if not name.startswith("digits"):
        X = scale(X)
    if name in ("small", "digits32"):
        X = X.astype(np.float32)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    return (X_train, y_train), (X_test, y_test)


# ---- tasks ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """One fit (or what `run` does) on one data set."""

    data: str
    what: str
    parameters: dict[str, Any] = field(default_factory=dict)
    run: str = "fit"


SMALL = {"hidden_layer_sizes": (64, 64), "batch_size": 32, "max_iter": 5}
SGD = {"solver": "sgd", "learning_rate_init": 0.2, "max_iter": 15, "momentum": 0.0}
TASKS = {
    "digits": Task("digits", "defaults"),
    "digits32": Task("digits32", "defaults, float32"),
    "small": Task("small", "(64, 64), batch 32, float32", SMALL),
    "small64": Task("small64", "(64, 64), batch 32, float64", SMALL),
    "fashion": Task("fashion", "(256, 128), float32", {"hidden_layer_sizes": (256, 128), "max_iter": 2}),
    "fashion64": Task("fashion64", "(256, 128), float64", {"hidden_layer_sizes": (256, 128), "max_iter": 1}),
    "predict_one": Task("digits", "predict of one row", {"max_iter": 20}, run="predict_one"),
    "grid_loky": Task("small", "24 settings, loky", {"backend": "loky"}, run="grid"),
    "grid_threading": Task("small", "24 settings, threads", {"backend": "threading"}, run="grid"),
    "grid_multiprocessing": Task("small", "24 settings, processes", {"backend": "multiprocessing"}, run="grid"),
    "grid_digits": Task("digits", "24 settings, loky", {"backend": "loky"}, run="grid"),
    "iris": Task("iris", "defaults"),
    "wine": Task("wine", "defaults"),
    "breast_cancer": Task("breast_cancer", "defaults"),
    "diabetes": Task("diabetes", "defaults"),
    "multilabel": Task("multilabel", "defaults", {"max_iter": 50}),
    "early_stopping": Task("digits", "early stopping", {"early_stopping": True}),
    "lbfgs": Task("breast_cancer", "lbfgs", {"solver": "lbfgs"}),
    "gallery_curves_constant": Task("digits", "constant rate", SGD),
    "gallery_curves_momentum": Task("digits", "momentum", {**SGD, "momentum": 0.9, "nesterovs_momentum": False}),
    "gallery_curves_nesterov": Task("digits", "Nesterov", {**SGD, "momentum": 0.9}),
    "gallery_curves_invscaling": Task("digits", "invscaling", {**SGD, "learning_rate": "invscaling"}),
    "gallery_curves_adam": Task("digits", "adam", {"learning_rate_init": 0.01, "max_iter": 15}),
    "gallery_circles_adam": Task("circles", "adam", {"learning_rate_init": 0.01, "max_iter": 400}),
    "gallery_alpha": Task(
        "moons", "(10, 10), alpha 0.1, lbfgs", {"solver": "lbfgs", "alpha": 0.1, "hidden_layer_sizes": (10, 10)}
    ),
    "gallery_filters": Task(
        "fashion", "(40,), 8 epochs of sgd", {"hidden_layer_sizes": (40,), "solver": "sgd", "learning_rate_init": 0.2,
                                              "max_iter": 8, "alpha": 1e-4}
    ),
}  # fmt: skip
GRID = {
    "hidden_layer_sizes": [(20,), (50,), (20, 20)],
    "alpha": [1e-5, 1e-3, 1e-1, 1.0],
    "activation": ["relu", "tanh"],
}


class Library:
    """The estimators of one library, in a process of their own."""

    def __init__(self, name: str) -> None:
        warnings.simplefilter("ignore")
        if name == "sklearn":
            from sklearn.neural_network import MLPClassifier, MLPRegressor
        else:
            from fastmlp.sklearn import MLPClassifier, MLPRegressor
        self.kinds = {False: MLPClassifier, True: MLPRegressor}
        self.data: dict[str, Any] = {}

    def prepare(self, task: str) -> dict[str, Any]:
        """Load the data, and run once unless that takes long: pools, caches, clocks."""
        chosen = TASKS[task]
        self.data = {chosen.data: data(chosen.data)}
        if chosen.run == "grid":  # joblib's processes exist
            (X, y), _ = self.data[chosen.data]
            self.grid(self.kinds[False], X[:100], y[:100], chosen.parameters["backend"])
        elif not chosen.data.startswith("fashion"):
            self.measure(task)
        return {}

    def measure(self, task: str) -> dict[str, Any]:
        """Seconds and score of one run."""
        chosen = TASKS[task]
        (X, y), (X_test, y_test) = self.data[chosen.data]
        kind = self.kinds[chosen.data == "diabetes"]
        if chosen.run == "grid":
            return self.grid(kind, X, y, chosen.parameters["backend"])
        estimator = kind(random_state=0, **chosen.parameters)
        start = time.perf_counter()
        estimator.fit(X, y)
        seconds = time.perf_counter() - start
        if chosen.run == "predict_one":
            row, calls = X[:1].copy(), 500
            start = time.perf_counter()
            for _ in range(calls):
                estimator.predict(row)
            seconds = (time.perf_counter() - start) / calls
        return {"seconds": seconds, "score": float(estimator.score(X_test, y_test)), "epochs": estimator.n_iter_}

    def grid(self, kind: Any, X: NDArray[Any], y: NDArray[Any], backend: str) -> dict[str, Any]:
        """A search over 24 settings with two jobs."""
        import joblib
        from sklearn.model_selection import GridSearchCV

        X, y = X[:1200], y[:1200]
        search = GridSearchCV(kind(random_state=0, max_iter=30, batch_size=32), GRID, cv=3, n_jobs=2)
        start = time.perf_counter()
        with joblib.parallel_config(backend):
            search.fit(X, y)
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "score": float(search.best_score_), "epochs": 24}


def import_milliseconds(repeats: int) -> float:
    """Measure what importing fastmlp.sklearn adds to importing scikit-learn's MLP."""
    code = (
        "import time, sklearn.neural_network; start = time.perf_counter(); import fastmlp.sklearn;"
        "print(time.perf_counter() - start)"
    )
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(repeats)
    ]
    return 1e3 * statistics.median(times)


# ---- the comparison -------------------------------------------------------------------------------------------------


def compare(task: str, workers: dict[str, Worker], rounds: int) -> dict[str, Any]:
    """Run all rounds of one task."""
    for worker in workers.values():
        worker.ask("prepare", task=task)
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
    for number in range(rounds):
        for name in LIBRARIES if number % 2 == 0 else reversed(LIBRARIES):
            answers[name].append(workers[name].ask("measure", task=task))
    ratios = [
        theirs["seconds"] / ours["seconds"] for theirs, ours in zip(answers["sklearn"], answers["fastmlp"], strict=True)
    ]
    return {
        "answers": answers,
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        **{name: min(answer["seconds"] for answer in found) for name, found in answers.items()},
    }


def row(task: str, found: dict[str, Any]) -> list[str]:
    """Write one line of the table."""
    theirs, ours = (found["answers"][name][-1] for name in LIBRARIES)
    low, high = found["ratio_range"]
    return [
        task,
        TASKS[task].what,
        *(_seconds(found[name]) for name in LIBRARIES),
        f"{found['ratio']:.1f} ({low:.1f} - {high:.1f})",
        f"{theirs['score']:.4f}",
        f"{ours['score']:.4f}",
        f"{theirs['epochs']}" if theirs["epochs"] == ours["epochs"] else f"{theirs['epochs']} / {ours['epochs']}",
    ]


def _seconds(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} us" if seconds < 1e-3 else f"{seconds:.4f} s"


def main() -> int:
    """Measure what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--tasks", type=one_of(list(TASKS)), default=list(TASKS), metavar="a,b,c")
    parser.add_argument("--rounds", type=positive(int), default=3)
    parser.add_argument("--threads", type=threads_argument, default=None, help="of both libraries; default: their own")
    parser.add_argument("--check", nargs="?", type=limits(list(TASKS)), const=AT_LEAST, metavar="digits=10,...",
                        help="exit with 1 if a ratio is less; without a value, than AT_LEAST")  # fmt: skip
    parser.add_argument("--json", type=Path, default=None, metavar="PATH")
    parser.add_argument("--worker", choices=LIBRARIES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is not None:
        library = Library(options.worker)
        functions: dict[str, Callable[..., Any]] = {"prepare": library.prepare, "measure": library.measure}
        serve(functions)
        return 0

    where = machine()
    import sklearn

    where["versions"]["scikit-learn"] = sklearn.__version__
    print(describe(where), f"scikit-learn {sklearn.__version__}", sep=", ")
    milliseconds = import_milliseconds(5)
    print(f"importing fastmlp.sklearn adds {milliseconds:.0f} ms to importing scikit-learn's MLP\n")
    found = {}
    names = dict.fromkeys(LIBRARIES)
    with (
        script_worker(__file__, "sklearn", options.threads) as theirs,
        script_worker(__file__, "fastmlp", options.threads) as ours,
    ):
        workers = dict(zip(names, (theirs, ours), strict=True))
        for task in options.tasks:
            found[task] = compare(task, workers, options.rounds)
            print(f"{task}: {found[task]['ratio']:.1f}", file=sys.stderr)
    heads = ["task", "settings", "scikit-learn", "fastmlp", "ratio (range)", "score", "score", "epochs"]
    print(table(heads, [row(task, answer) for task, answer in found.items()]))
    path = write_json(options.json, "sklearn_suite", {"machine": where, "import_ms": milliseconds, "tasks": found})
    print(f"\nwritten to {path}")
    if options.check is None:
        return 0
    wanted = {task: least for task, least in options.check.items() if task in found}
    failed = failed_checks({task: answer["ratio"] for task, answer in found.items()}, wanted, " times")
    if milliseconds > MOST_IMPORT_MILLISECONDS:
        failed.append(f"import: {milliseconds:.0f} ms is more than {MOST_IMPORT_MILLISECONDS:g} ms")
    print("\n".join(failed) or "all as fast as they should be")
    return bool(failed)


if __name__ == "__main__":
    run_script(main)
