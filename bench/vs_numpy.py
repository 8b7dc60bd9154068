"""fastmlp against the NumPy reference that ships with it: the same networks, the same data, the same call of fit.

Each runs in a process of its own; they take turns, round by round, so that whatever else happens on the machine happens
to all. NumPy runs twice, with one BLAS thread and with all; the faster of the two in a round is the one to beat.
`python bench/vs_numpy.py --help` tells the options, README.md how to read the figures.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
from pathlib import Path
from typing import Any

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
from _workloads import Workload, architecture, load_workloads

import fastmlp
from fastmlp.cli import table
from fastmlp.runtime.measure import BusyThreads, fma_peak, training_flops

VARIANTS = {"fastmlp": "cython", "numpy": "numpy", "numpy1": "numpy"}  # numpy1: with one BLAS thread
WARM_UP_SECONDS = 0.05


# ---- in a worker ----------------------------------------------------------------------------------------------------


class Training:
    """One variant's side: a workload is prepared once and then run in rounds."""

    def __init__(self, variant: str) -> None:
        self.backend = VARIANTS[variant]

    def prepare(self, workload: dict[str, Any], dtype: str, threads: int | None) -> str:
        """Make the data, warm up, and learn how long an epoch takes; returns what does the arithmetic."""
        self.workload, self.dtype, self.threads = Workload(**workload), dtype, threads
        self.X, self.y = self.workload.data(dtype)
        self.epoch_seconds = self.round(0.0)["seconds"]
        if self.epoch_seconds < WARM_UP_SECONDS:
            answer = self.round(WARM_UP_SECONDS)
            self.epoch_seconds = answer["seconds"] / answer["epochs"]
        return self.network().isa

    def network(self) -> fastmlp.MLP:
        """A fresh one, so that all rounds do the same."""
        w = self.workload
        output = "softmax" if w.loss == "cross_entropy" else "identity"
        return fastmlp.MLP(
            w.sizes, activation=w.activation, output=output, loss=w.loss, dtype=self.dtype, seed=0, backend=self.backend
        )

    def round(self, seconds: float) -> dict[str, Any]:
        """Train for about so long, at least one epoch. Times are those of the steps: shuffling and fit's own
        bookkeeping between epochs, the same Python for both, do not count."""
        epochs = max(1, round(seconds / self.epoch_seconds)) if seconds else 1
        net = self.network()
        with BusyThreads() as busy:
            history = net.fit(
                self.X,
                self.y,
                epochs=epochs,
                batch_size=self.workload.batch,
                optimizer=fastmlp.Adam(1e-4),
                threads=self.threads,
            )
        return {
            "epochs": epochs,
            "seconds": sum(history.seconds),
            "best_epoch": min(history.seconds),
            "busy_threads": busy.count,
            "loss": history.loss[-1],
        }

    def peak(self, dtype: str, threads: int | None) -> float:
        """FLOP/s of multiply-adds alone."""
        return fma_peak(threads or fastmlp.get_num_threads(), None, dtype, seconds=0.05)


# ---- the rounds -----------------------------------------------------------------------------------------------------


def compare(workload: Workload, workers: dict[str, Worker], options: argparse.Namespace) -> dict[str, Any]:
    """Run all rounds of one workload."""
    setting = {"dtype": options.dtype, "threads": options.threads}
    isas = {name: worker.ask("prepare", workload=workload.to_dict(), **setting) for name, worker in workers.items()}
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
    peaks = []
    for number in range(options.rounds):
        order = list(workers) if number % 2 == 0 else list(reversed(workers))
        for name in order:
            rounds[name].append(workers[name].ask("round", seconds=options.seconds))
        peaks.append(workers["fastmlp"].ask("peak", **setting))

    flops = training_flops(workload.sizes, workload.batch)
    steps = {name: [r["seconds"] / (r["epochs"] * workload.steps) for r in done] for name, done in rounds.items()}
    rivals = zip(*(taken for name, taken in steps.items() if name != "fastmlp"), strict=True)
    ratios = [min(theirs) / ours for ours, theirs in zip(steps["fastmlp"], rivals, strict=True)]
    return {
        "workload": workload.to_dict(),
        "gflop_per_step": flops / 1e9,
        "fma_peak_gflops": max(peaks) / 1e9,
        "variants": {
            name: {
                "isa": isas[name],
                "busy_threads": max(r["busy_threads"] for r in done),
                "us_per_step_min": min(r["best_epoch"] for r in done) / workload.steps * 1e6,
                "us_per_step_median": statistics.median(steps[name]) * 1e6,
                "gflops": flops / statistics.median(steps[name]) / 1e9,
                "percent_of_peak": 100 * flops / statistics.median(steps[name]) / max(peaks),
                "rounds": done,
            }
            for name, done in rounds.items()
        },
        "ratio": {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)},
    }


def show(results: dict[str, dict[str, Any]]) -> str:
    """The table that is printed."""
    rows = []
    for name, result in results.items():
        workload, ratio = result["workload"], result["ratio"]
        labels = [name, "", ""], [architecture(workload["sizes"]), f"batch {workload['batch']}", ""]
        ratios = [f"{ratio['median']:.2f}", f"({ratio['min']:.2f} - {ratio['max']:.2f})", ""]
        for first, second, last, (variant, figures) in zip(*labels, ratios, result["variants"].items(), strict=False):
            rows.append([
                first,
                second,
                variant,
                str(figures["busy_threads"]),
                f"{figures['us_per_step_min']:.2f}",
                f"{figures['us_per_step_median']:.2f}",
                f"{figures['gflops']:.1f}",
                f"{figures['percent_of_peak']:.1f}",
                last,
            ])  # fmt: skip
    names = ["workload", "network", "", "threads", "us/step min", "median", "GFLOP/s", "% of peak", "ratio"]
    return table(names, rows, 3)


def main() -> int:
    """Compare, print, write, check."""
    workloads = load_workloads()
    names = list(workloads)
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--workloads", type=one_of(names), default=names, help=f"default: {','.join(names)}")
    parser.add_argument("--rounds", type=positive(int), default=7, help="of each workload (default: 7)")
    parser.add_argument("--seconds", type=positive(float), default=0.5, help="of each round and variant (default: 0.5)")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--threads", type=threads_argument, default=None, help="a number, or auto (default)")
    parser.add_argument("--check", type=limits(names), default={}, help="least ratios, such as tiny=8,tab=3,digits=2")
    parser.add_argument("--json", type=Path, help="where to write the report (default: a new file in build/bench)")
    parser.add_argument("--worker", choices=list(VARIANTS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        training = Training(options.worker)
        serve({"prepare": training.prepare, "round": training.round, "peak": training.peak})
        return 0

    where = machine()
    print(describe(where), flush=True)
    results = {}
    variants = {"fastmlp": options.threads, "numpy": options.threads}
    if options.threads is None and (os.cpu_count() or 1) > 1:
        variants["numpy1"] = 1
    with contextlib.ExitStack() as stack:
        workers = {name: stack.enter_context(script_worker(__file__, name, n)) for name, n in variants.items()}
        for name in options.workloads:
            results[name] = compare(workloads[name], workers, options)
    peaks = [result["fma_peak_gflops"] for result in results.values()]
    threads = options.threads or where["threads"]
    print(
        f"{options.dtype}, Adam, {options.rounds} rounds of {options.seconds:g} s; FMA peak of {threads} "
        f"thread{'s' * (threads > 1)}: {max(peaks):.0f} GFLOP/s (by workload from {min(peaks):.0f})\n"
    )
    print(show(results))
    settings = {"dtype": options.dtype, "threads": options.threads or "auto"}
    settings |= {"rounds": options.rounds, "seconds": options.seconds}
    path = write_json(options.json, "vs_numpy", {"machine": where, "settings": settings, "results": results})
    print(f"\nwritten to {path}")
    failed = failed_checks({name: r["ratio"]["median"] for name, r in results.items()}, options.check, "x")
    for line in failed:
        print(f"CHECK FAILED  {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    run_script(main)
