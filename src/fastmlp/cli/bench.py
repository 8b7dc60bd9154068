"""`fastmlp bench`: how fast this machine trains, beside NumPy and the libraries that are installed.

It is a look, in one process; bench/ of the sources has the careful comparisons, each rival in a process of its own.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from fastmlp.cli.arguments import add_json, described, duration, whole
from fastmlp.cli.exits import Report
from fastmlp.cli.text import table
from fastmlp.network import MLP
from fastmlp.runtime import VERSION, config, load_passes
from fastmlp.runtime.threads import MAX_THREADS
from fastmlp.spec import Adam, Array

__all__ = ["add"]

EXAMPLES = """
examples:
  fastmlp bench
  fastmlp bench --seconds 5s --threads 1
"""


class Work(NamedTuple):
    """A network to train: on so many batches of random rows, float32, with Adam."""

    sizes: tuple[int, ...]
    batch_size: int
    steps: int

    @property
    def name(self) -> str:
        """Its layers."""
        return "-".join(map(str, self.sizes))

    def data(self) -> tuple[Array, Array]:
        """Draw rows, and targets: numbers for one output, else classes."""
        random, n = np.random.default_rng(0), self.batch_size * self.steps
        X = random.standard_normal((n, self.sizes[0]), np.float32)
        width = self.sizes[-1]
        return X, X[:, 0] if width == 1 else random.integers(width, size=n)


WORKS: Final = (Work((20, 64, 64, 1), 32, 100), Work((100, 128, 128, 10), 128, 50), Work((784, 256, 128, 10), 128, 20))
ROUNDS: Final = 3


def add(commands: Any) -> None:
    """Add the command."""
    what = "measure how fast this machine trains, beside NumPy and the libraries that are installed"
    bench = described(commands, "bench", what, EXAMPLES)
    bench.add_argument("--seconds", type=duration, default=1.0, help="for each network and library (default: 1)")
    bench.add_argument("--threads", type=whole(1, MAX_THREADS), help="of fastmlp; default: by the size of the work")
    add_json(bench)
    bench.set_defaults(gather=_bench, show=_show)


def _bench(given: argparse.Namespace) -> Report:
    found: list[Report] = []
    missing: list[str] = []
    for work in WORKS:
        X, y = work.data()
        epochs: dict[str, Callable[[], object]] = {}
        for name, make in _RIVALS.items():
            try:
                epochs[name] = make(work, X, y, given.threads)
            except ImportError:
                if name not in missing:
                    missing.append(name)
        found.append(
            {"sizes": list(work.sizes), "batch_size": work.batch_size, "us": _measured(work, epochs, given.seconds)}
        )
    return {"version": VERSION, "cpu": config()["cpu"], "works": found, "missing": missing}


def _measured(work: Work, epochs: Mapping[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """Return microseconds of a step: medians over epochs, in which all take turns."""
    times: dict[str, list[float]] = {name: [] for name in epochs}
    for epoch in epochs.values():
        epoch()  # buffers are made, threads started
    for _ in range(ROUNDS):
        for name, epoch in epochs.items():
            end = time.perf_counter() + seconds / ROUNDS
            while True:
                begun = time.perf_counter()
                epoch()
                times[name].append(time.perf_counter() - begun)
                if time.perf_counter() >= end:
                    break
    return {name: 1e6 * statistics.median(each) / work.steps for name, each in times.items()}


def _compiled(work: Work, X: Array, y: Array, threads: int | None) -> Callable[[], object]:
    if load_passes()[0] is None:
        raise ImportError("no extension")
    return _ours(work, X, y, threads, "cython")


def _in_numpy(work: Work, X: Array, y: Array, threads: int | None) -> Callable[[], object]:
    return _ours(work, X, y, threads, "numpy")


def _ours(work: Work, X: Array, y: Array, threads: int | None, backend: Any) -> Callable[[], object]:
    net = MLP(work.sizes, output="identity" if work.sizes[-1] == 1 else "softmax", seed=0, backend=backend)
    return lambda: net.fit(X, y, epochs=1, batch_size=work.batch_size, optimizer=Adam(), threads=threads)


def _by_sklearn(work: Work, X: Array, y: Array, threads: int | None) -> Callable[[], object]:  # noqa: ARG001
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    kind = MLPRegressor if work.sizes[-1] == 1 else MLPClassifier
    estimator = kind(hidden_layer_sizes=work.sizes[1:-1], batch_size=work.batch_size, alpha=0.0, random_state=0)
    first = {} if work.sizes[-1] == 1 else {"classes": np.arange(work.sizes[-1])}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.partial_fit(X, y, **first)
    return lambda: estimator.partial_fit(X, y)


def _by_torch(work: Work, X: Array, y: Array, threads: int | None) -> Callable[[], object]:  # noqa: ARG001
    import torch

    layers: list[Any] = []
    for n_in, n_out in zip(work.sizes[:-1], work.sizes[1:], strict=True):
        layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1])
    loss = torch.nn.MSELoss() if work.sizes[-1] == 1 else torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters())
    rows, targets = torch.from_numpy(X), torch.from_numpy(y.reshape(-1, 1) if y.dtype.kind == "f" else y)

    def epoch() -> None:
        order = torch.randperm(len(rows))
        for start in range(0, len(rows), work.batch_size):
            batch = order[start : start + work.batch_size]
            optimizer.zero_grad()
            loss(net(rows[batch]), targets[batch]).backward()
            optimizer.step()

    return epoch


_RIVALS: Final[dict[str, Callable[[Work, Array, Array, int | None], Callable[[], object]]]] = {
    "fastmlp": _compiled,
    "NumPy": _in_numpy,
    "scikit-learn": _by_sklearn,
    "PyTorch": _by_torch,
}


def _show(report: Report) -> None:
    names = [name for name in _RIVALS if name not in report["missing"]]
    rows = [
        ["-".join(map(str, work["sizes"])), str(work["batch_size"]), *(f"{work['us'][name]:,.1f}" for name in names)]
        for work in report["works"]
    ]
    print(f"{report['cpu']}: microseconds of a training step (float32, Adam), medians\n")
    print(table(["network", "batch", *names], rows, 1))
    if report["missing"]:
        print(f"\nnot here: {', '.join(report['missing'])}")
    print("\nA look in one process, each library with its own number of threads; other programs disturb it.")
