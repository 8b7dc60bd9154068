"""The cost of taking turns with another library's threads: a predict on two threads, a NumPy product, and again.

Idle workers that go on spinning after a region take the processors from whoever comes next. The cost of the pair, in
turns, is divided by the sum of what the two cost alone. PyTorch brings an OpenMP of its own, whose settings are for
whoever loads one first: each order of the imports is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if sys.argv[1:] == ["--worker", "torch-before"]:  # fastmlp loads its OpenMP when it is imported
    import torch  # noqa: F401

import numpy as np
from _common import describe, machine, one_of, positive, run_script, script_worker, write_json
from _worker import serve
from _workloads import Workload, load_alternate

import fastmlp
from fastmlp.cli import table
from fastmlp.runtime.measure import BusyThreads

if TYPE_CHECKING:
    from collections.abc import Callable

#: In which order libraries are loaded.
ORDERS = ("alone", "torch-before", "torch-after")
LEAST_SECONDS = 0.3  # of warming up: clocks, pools, BLAS buffers


def seconds_per_call(work: Callable[[], object], calls: int) -> float:
    """Mean time of `calls` calls in a row."""
    start = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - start) / calls


# ---- in a worker ----------------------------------------------------------------------------------------------------


class Alternation:
    """One process: the two calls, alone and in turns."""

    def __init__(self, order: str) -> None:
        if order != "alone":
            import torch

            torch.ones(512, 512).matmul(torch.ones(512, 512))  # its pool of threads exists
        self.torch = None if order == "alone" else torch.__version__

    def prepare(self, workload: dict[str, Any], threads: int, microseconds: float) -> dict[str, Any]:
        """Make a network and a product of about so many microseconds, and warm up."""
        rng = np.random.default_rng(0)
        w = Workload(**workload)
        self.net = fastmlp.MLP(w.sizes, activation=w.activation, loss=w.loss, seed=0, backend="cython")
        self.X = rng.standard_normal((w.rows, w.sizes[0])).astype("float32")
        self.threads, n = threads, 64
        while True:
            self.a = rng.standard_normal((n, n)).astype("float32")
            seconds_per_call(self.product, 20)
            fastest = min(seconds_per_call(self.product, 10) for _ in range(10))
            if fastest >= 0.8e-6 * microseconds or n >= 4096:
                break
            n += 32
        end = time.perf_counter() + LEAST_SECONDS
        while time.perf_counter() < end:
            self.pair()
        calls = max(1, int(0.1 / seconds_per_call(self.predict, 20)))
        time.sleep(0.1)  # until BLAS's idle workers have stopped spinning, which would count as work
        with BusyThreads() as busy:
            seconds_per_call(self.predict, calls)
        return {"product": n, "busy_threads": busy.count, "torch": self.torch}

    def predict(self) -> None:
        self.net.predict(self.X, threads=self.threads)

    def product(self) -> None:
        np.matmul(self.a, self.a)

    def pair(self) -> None:
        self.predict()
        self.product()

    def round(self, calls: int) -> dict[str, float]:
        """Mean seconds of each alone and of both in turns."""
        alone = {name: seconds_per_call(getattr(self, name), calls) for name in ("predict", "product")}
        return alone | {"pair": seconds_per_call(self.pair, calls)}


# ---- the rounds -----------------------------------------------------------------------------------------------------


def summary(rounds: list[dict[str, float]]) -> dict[str, Any]:
    """Medians in microseconds, and the pair's cost by the sum of the two, round by round."""
    ratios = [r["pair"] / (r["predict"] + r["product"]) for r in rounds]
    medians = {name: 1e6 * statistics.median(r[name] for r in rounds) for name in ("predict", "product", "pair")}
    ratio = medians["pair"] / (medians["predict"] + medians["product"])
    return {"microseconds": medians, "ratio": ratio, "lowest": min(ratios), "highest": max(ratios), "rounds": rounds}


def main() -> int:
    """Measure, print, write, check."""
    available = list(ORDERS if find_spec("torch") else ORDERS[:1])
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--orders", type=one_of(available), default=available, help=f"default: {','.join(available)}")
    parser.add_argument("--rounds", type=positive(int), default=61, help="of each order (default: 61)")
    parser.add_argument("--calls", type=positive(int), default=50, help="of each kind in a round (default: 50)")
    parser.add_argument("--threads", type=positive(int), default=2, help="of predict (default: 2)")
    parser.add_argument("--rows", type=positive(int), help="of predict (default: as in workloads.toml)")
    parser.add_argument("--microseconds", type=positive(float), default=200.0, help="of the product (default: 200)")
    parser.add_argument("--check", type=positive(float), help="largest ratio of the pair to the sum, for every order")
    parser.add_argument("--json", type=Path, help="where to write the report (default: a new file in build/bench)")
    parser.add_argument("--worker", choices=available, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        alternation = Alternation(options.worker)
        serve({"prepare": alternation.prepare, "round": alternation.round})
        return 0

    where = machine()
    print(describe(where), flush=True)
    workload = load_alternate()
    if options.rows:
        workload = dataclasses.replace(workload, batch=options.rows, rows=options.rows)
    setting = {"workload": workload.to_dict(), "threads": options.threads, "microseconds": options.microseconds}
    results = {}
    for order in options.orders:
        with script_worker(__file__, order, None) as worker:
            prepared = worker.ask("prepare", **setting)
            rounds = [worker.ask("round", calls=options.calls) for _ in range(options.rounds)]
        results[order] = prepared | summary(rounds)
    print(
        f"predict of {workload.rows} rows by {'-'.join(map(str, workload.sizes))} on {options.threads} threads and a "
        "float32 product, "
        f"{options.rounds} rounds of {options.calls} calls\n"
    )
    columns = ["imports", "product", "threads", "predict us", "product us", "pair us", "pair / sum", "range"]
    print(table(columns, [row(order, result) for order, result in results.items()], 1))
    settings = setting | {"rounds": options.rounds, "calls": options.calls}
    path = write_json(options.json, "alternate", {"machine": where, "settings": settings, "results": results})
    print(f"\nwritten to {path}")
    slow = [order for order, result in results.items() if options.check and not result["ratio"] <= options.check]
    for order in slow:
        print(f"CHECK FAILED  {order}: {results[order]['ratio']:.2f} is more than {options.check:g}")
    return 1 if slow else 0


def row(order: str, result: dict[str, Any]) -> list[str]:
    """A line of the table."""
    times = [f"{result['microseconds'][name]:.1f}" for name in ("predict", "product", "pair")]
    sides = f"{result['product']} x {result['product']}"
    spread = f"({result['lowest']:.2f} - {result['highest']:.2f})"
    return [order, sides, str(result["busy_threads"]), *times, f"{result['ratio']:.2f}", spread]


if __name__ == "__main__":
    run_script(main)
