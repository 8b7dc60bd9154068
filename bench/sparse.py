"""Sparse rows: 20000-64-10 on 100,000 CSR rows of 50 entries, batch 256, Adam, beside dense rows and other libraries.

    python bench/sparse.py                    all of it, some two minutes and 1.5 GB of memory
    python bench/sparse.py --rows 5000 --texts 1000 --repeats 1       a glance

Each way is trained in a process of its own, in turns; the best of the repeats counts. "exact" and "lazy" are fastmlp's
updates of all weights and of those whose columns a batch has; "torch" is an EmbeddingBag(sparse=True) with SparseAdam.
Behind that, the estimators on TF-IDF of made texts. Memory is the most that a process has while it trains, above what
it had before the rows were made, in units of the matrix and the network with its moments. Libraries that are not
installed are left out.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH, HIDDEN, CLASSES = 256, 64, 10
#: What is trained, and what it needs besides fastmlp.
WAYS = {"dense": "", "exact": "", "lazy": "", "sklearn": "sklearn", "torch": "torch"}
TEXT_WAYS = {"text fastmlp": "sklearn", "text sklearn": "sklearn"}
#: Acceptance: a way, at least so many times as fast as another.
WANTED = [
    ("exact", 1.5, "dense"),
    ("exact", 3.0, "sklearn"),
    ("lazy", 10.0, "dense"),
    ("lazy", 2.0, "torch"),
    ("text fastmlp", 3.0, "text sklearn"),
]


def made(rows: int, columns: int, entries: int) -> tuple[Any, Any]:
    """Rows of so many entries at random places, and classes at random."""
    import scipy.sparse

    rng = np.random.default_rng(0)
    places = rng.integers(0, columns, rows * entries, dtype=np.int32)
    values = rng.standard_normal(rows * entries, dtype=np.float32)
    X = scipy.sparse.csr_matrix((values, places, np.arange(rows + 1) * entries), (rows, columns))
    X.sum_duplicates()
    return X, rng.integers(0, CLASSES, rows)


def texts(n: int) -> tuple[Any, Any]:
    """TF-IDF of made texts of some twelve words, of which some tell the class."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, n)
    words = np.minimum(rng.zipf(1.3, (n, 12)), 20_000)
    words[:, 0] = 20_001 + y * 50 + rng.integers(0, 50, n)
    return TfidfVectorizer(dtype=np.float32).fit_transform(" ".join(f"w{w}" for w in row) for row in words), y


def megabytes(field: str) -> float:
    """A field of what Linux says of this process's memory; 0 elsewhere."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(field)), 0.0)


def train_fastmlp(way: str, threads: int | None) -> Callable[[Any, Any], None]:
    import fastmlp

    nets: list[Any] = []

    def train(X: Any, y: Any) -> None:
        if not nets:
            nets.append(fastmlp.MLP([X.shape[1], HIDDEN, CLASSES], output="softmax", seed=0))
        nets[0].fit(
            X,
            y,
            epochs=1,
            batch_size=BATCH,
            optimizer=fastmlp.Adam(),
            threads=threads,
            **({"lazy": True} if way == "lazy" else {}),
        )

    return train


def train_estimator(kind: Any, epochs: int = 1) -> Callable[[Any, Any], None]:
    import warnings

    def train(X: Any, y: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that so few epochs do not converge
            kind((HIDDEN,), batch_size=BATCH, max_iter=epochs, random_state=0, n_iter_no_change=epochs).fit(X, y)

    return train


def train_torch(threads: int | None) -> Callable[[Any, Any], None]:
    import torch

    if threads:
        torch.set_num_threads(threads)
    parts: list[Any] = []

    def train(X: Any, y: Any) -> None:
        if not parts:
            torch.manual_seed(0)
            bag = torch.nn.EmbeddingBag(X.shape[1], HIDDEN, mode="sum", sparse=True)
            rest = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(HIDDEN, CLASSES))
            bias = torch.nn.Parameter(torch.zeros(HIDDEN))
            parts.extend(
                [
                    bag,
                    bias,
                    rest,
                    torch.optim.SparseAdam(bag.parameters()),
                    torch.optim.Adam([bias, *rest.parameters()]),
                ]
            )
        bag, bias, rest, *optimizers = parts
        columns, values, targets = torch.from_numpy(X.indices).long(), torch.from_numpy(X.data), torch.from_numpy(y)
        starts, order = torch.from_numpy(X.indptr).long(), np.random.default_rng(0).permutation(len(y))
        for begin in range(0, len(y), BATCH):
            rows = torch.from_numpy(order[begin : begin + BATCH])
            lengths = starts[rows + 1] - starts[rows]
            offsets = torch.cumsum(lengths, 0) - lengths
            entries = torch.arange(int(lengths.sum())) + torch.repeat_interleave(starts[rows] - offsets, lengths)
            outputs = rest(bag(columns[entries], offsets, per_sample_weights=values[entries]) + bias)
            loss = torch.nn.functional.cross_entropy(outputs, targets[rows])
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()

    return train


def trainer(way: str, threads: int | None) -> Callable[[Any, Any], None]:
    """A way to train an epoch, or five of the texts."""
    if way == "torch":
        return train_torch(threads)
    if way.endswith("sklearn"):
        from sklearn.neural_network import MLPClassifier

        return train_estimator(MLPClassifier, 5 if way.startswith("text") else 1)
    if way == "text fastmlp":
        from fastmlp.sklearn import MLPClassifier as Ours

        return train_estimator(Ours, 5)
    return train_fastmlp(way, threads)


def measure(way: str, options: argparse.Namespace) -> dict[str, float]:
    """Rows per second and memory of one way, behind a training that warms up on a few rows."""
    train = trainer(way, options.threads)
    importlib.import_module("scipy.sparse")
    before = megabytes("VmRSS")
    X, y = texts(options.texts) if way.startswith("text") else made(options.rows, options.columns, options.entries)
    if way == "dense":
        X, y = X[: options.dense_rows].toarray(), y[: options.dense_rows]
    matrix = X.nbytes if way == "dense" else X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    network = 3 * 4 * (X.shape[1] * HIDDEN + HIDDEN * CLASSES)
    train(X[: 2 * BATCH], y[: 2 * BATCH])
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the most so far
    begun = time.perf_counter()
    train(X, y)
    seconds = time.perf_counter() - begun
    epochs = 5 if way.startswith("text") else 1
    memory = (megabytes("VmHWM") - before) / ((matrix + network) / 1e6)
    return {"rows_per_second": epochs * len(y) / seconds, "memory": memory}


def main() -> None:
    """Measure each way in its own process, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dense-rows", type=int, default=8192)
    parser.add_argument("--columns", type=int, default=20_000)
    parser.add_argument("--entries", type=int, default=50)
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--way", choices=[*WAYS, *TEXT_WAYS], help="measure this one here, and print it as JSON")
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options.way, options)))
        return
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(options.repeats):
        for way, library in (WAYS | TEXT_WAYS).items():
            if library and importlib.util.find_spec(library) is None:
                continue
            command = [sys.executable, __file__, *sys.argv[1:], "--way", way]
            answer = subprocess.run(command, capture_output=True, text=True, check=False)
            if answer.returncode:
                raise SystemExit(f"{way} failed:\n{answer.stderr}")
            found.setdefault(way, []).append(json.loads(answer.stdout))
    best = {way: max(each["rows_per_second"] for each in all_) for way, all_ in found.items()}
    for way, all_ in found.items():
        least = min(each["rows_per_second"] for each in all_)
        memory = max(each["memory"] for each in all_)
        print(
            f"{way:12} {best[way]:10,.0f} rows/s (at the least {least:,.0f}), memory {memory:.2f} of matrix and network"
        )
    for way, factor, other in WANTED:
        if way in best and other in best:
            print(f"{way} is {best[way] / best[other]:.2f} times as fast as {other} (wanted: {factor:g})")


if __name__ == "__main__":
    main()
