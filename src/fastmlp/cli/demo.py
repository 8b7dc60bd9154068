"""`fastmlp demo` trains on the shipped digits, and measures that beside the same in NumPy."""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp.cli.arguments import add_json, whole
from fastmlp.cli.exits import INTERRUPTED, Report
from fastmlp.cli.text import counted, table
from fastmlp.datasets import Split, load_digits
from fastmlp.network import MLP
from fastmlp.runtime import VERSION, load_passes
from fastmlp.runtime.measure import BusyThreads, fma_peak, limit_threads, training_flops
from fastmlp.runtime.threads import MAX_THREADS
from fastmlp.spec import Adam
from fastmlp.spec.names import BackendName
from fastmlp.train.callbacks import Callback, Logs

__all__ = ["add"]


def add(commands: Any) -> None:
    """Add the command."""
    what = "train on the handwritten digits that ship with fastmlp, and measure it against NumPy"
    demo = commands.add_parser("demo", help=what, description=what[0].upper() + what[1:] + ".")
    demo.add_argument("--seed", type=whole(0, 2**64 - 1), default=0, help="of all random numbers (default: 0)")
    demo.add_argument("--epochs", type=whole(1), default=100, help="times to go over the rows (default: 100)")
    demo.add_argument("--threads", type=whole(1, MAX_THREADS), help="default: chosen by the size of the work")
    demo.add_argument("--no-numpy", action="store_true", help="leave out the same run on the NumPy backend")
    demo.add_argument("--only-numpy", action="store_true", help=argparse.SUPPRESS)  # what _numpy_runs starts
    add_json(demo)
    demo.set_defaults(gather=_demo, show=_show_demo)


SIZES = (64, 256, 128, 10)
BATCH_SIZE = 64
NUMPY_SECONDS = 4.0  # the comparison stops after the epoch that reaches it: a crowded BLAS can be very slow


# The last words of the demo.
NEXT = """
With data of your own, X (rows, columns) and classes y, in Python:

    import fastmlp
    net = fastmlp.MLP([X.shape[1], 64, y.max() + 1], output="softmax")
    net.fit(X, y, epochs=20)
    net.predict(X).argmax(axis=1)

More: help(fastmlp.MLP), README.md, examples/digits.py; `fastmlp info`: what your machine can do"""


class _TimeLimit(Callback):
    """Stop after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_train_begin(self, net: MLP, logs: Logs) -> None:  # noqa: ARG002
        self.end = time.monotonic() + self.seconds

    def on_epoch_end(self, net: MLP, logs: Logs) -> bool:  # noqa: ARG002
        return time.monotonic() >= self.end


def _demo(given: argparse.Namespace) -> Report:
    """Train, evaluate and measure on every backend that there is."""
    module, reason = load_passes()
    load = _load_average()
    if module is None or given.only_numpy:
        runs = [_run("numpy", given, NUMPY_SECONDS if given.only_numpy else None)]
    else:
        runs = [_run("cython", given, None)]
    report: Report = {
        "version": VERSION,
        "data": "UCI optical digits",
        "sizes": list(SIZES),
        "optimizer": repr(Adam()),
        "batch_size": BATCH_SIZE,
        "seed": given.seed,
        "extension_missing": reason,
        "load_average": load,
        "test_accuracy": runs[0]["test_accuracy"],
        "runs": runs,
    }
    if runs[0]["backend"] == "cython":
        peak = fma_peak(runs[0]["threads"], runs[0]["isa"], seconds=0.2) / 1e9
        report["fma_peak_gflops"], report["percent_of_peak"] = peak, 100 * runs[0]["gflops"] / peak
        if not given.no_numpy:
            runs += _numpy_runs(given)
            fastest = max(run["samples_per_second"] for run in runs[1:])
            report["times_numpy"] = runs[0]["samples_per_second"] / fastest
    if _draws_bars() and not given.only_numpy:
        print(file=sys.stderr)
    return report


def _numpy_runs(given: argparse.Namespace) -> list[Report]:
    """Run the same training with NumPy, in processes of their own: on one BLAS thread, and on as many as it likes."""
    command = [sys.executable, "-m", "fastmlp", "demo", "--only-numpy", "--json"]
    command += ["--seed", str(given.seed), "--epochs", str(given.epochs)]
    package = str(Path(__file__).parents[2])
    runs = []
    for threads in [given.threads] if given.threads else [1, None] if (os.cpu_count() or 1) > 1 else [None]:
        environment = limit_threads(threads)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package, environment.get("PYTHONPATH")]))
        limited = [*command, "--threads", str(threads)] if threads else command
        child = subprocess.run(limited, env=environment, stdout=subprocess.PIPE, text=True, check=False)
        if child.returncode == INTERRUPTED:
            raise KeyboardInterrupt
        if child.returncode:
            raise OSError(f"the run with NumPy ended with exit code {child.returncode}")
        runs += json.loads(child.stdout)["runs"]
    return runs


def _introduce(net: MLP, data: Split, seed: int) -> None:
    """Say what is going to be done."""
    rows = [
        [str(number), f"{layer.n_in} -> {layer.n_out}", layer.activation.name, f"{(layer.n_in + 1) * layer.n_out:,}"]
        for number, layer in enumerate(net.layers, 1)
    ]
    rows.append(["", "", "", f"{net.n_parameters:,}"])
    print(
        f"fastmlp {VERSION}: {len(data.X_train)} handwritten digits of 8 x 8 pixels to learn from, "
        f"{len(data.X_test)} others to\ntest with; Adam, batches of {BATCH_SIZE}, {net.dtype}, seed {seed}\n\n"
        f"{table(['layer', 'shape', 'activation', 'parameters'], rows, 3)}\n"
    )
    reason = load_passes()[1]
    if reason:
        print(f"The compiled extension cannot be used ({reason}):\nthis is the NumPy reference alone.\n")
    sys.stdout.flush()


def _load_average() -> float | None:
    """Return how many programs wanted to run in the last minute; None where the system does not tell."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def _draws_bars() -> bool:
    return sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None


def _run(backend: BackendName, given: argparse.Namespace, seconds_at_most: float | None) -> Report:
    """Run one training, shown by a bar if somebody is looking, and report what it reached."""
    data = load_digits(split=True)
    X_train, X_test = (X.astype(np.float32) / 16 for X in (data.X_train, data.X_test))
    net = MLP(SIZES, output="softmax", seed=given.seed, backend=backend)
    if not given.json:
        _introduce(net, data, given.seed)
    progress = _draws_bars()
    if progress:
        engine = "compiled engine" if backend == "cython" else "NumPy"
        print(
            engine,
            counted(given.threads, "thread") if given.threads else "threads as it likes",
            sep=", ",
            file=sys.stderr,
        )
    with BusyThreads() as busy:
        history = net.fit(
            X_train,
            data.y_train,
            epochs=given.epochs,
            batch_size=BATCH_SIZE,
            optimizer=Adam(),
            validation_data=(X_test, data.y_test),
            threads=given.threads,
            callbacks=[] if seconds_at_most is None else [_TimeLimit(seconds_at_most)],
            progress=progress,
        )
    seconds, rows = sum(history.seconds), len(history.epoch) * len(X_train)
    return {
        "backend": backend,
        "isa": net.isa,
        "threads": given.threads if given.threads and backend == "cython" else busy.count,
        "n_parameters": net.n_parameters,
        "layers": [[layer.n_in, layer.n_out, layer.activation.name] for layer in net.layers],
        "n_train": len(X_train),
        "n_test": len(X_test),
        "epochs": len(history.epoch),
        "seconds": seconds,
        "samples_per_second": rows / seconds,
        "gflops": training_flops(SIZES, rows) / seconds / 1e9,
        "test_accuracy": history["val_accuracy"][-1],
        "history": {name: list(column) for name, column in history.items()},
    }


def _show_demo(report: Report) -> None:
    runs: list[Report] = report["runs"]
    first = runs[0]
    history = first["history"]
    last = len(history["epoch"])
    shown = [n for n in range(1, last + 1) if n == last or n in {d * 10**k for d in (1, 2, 5) for k in range(9)}]
    columns = ("loss", "val_loss", "val_accuracy", "seconds")
    rows = [[str(n), *(f"{history[name][n - 1]:.4f}" for name in columns)] for n in shown]
    print(table(["epoch", "loss", "test loss", "test accuracy", "seconds"], rows))

    rows = [
        [
            "NumPy" if run["backend"] == "numpy" else f"fastmlp ({run['isa']})",
            str(run["threads"]),
            str(run["epochs"]),
            f"{run['seconds']:.3f}",
            f"{run['samples_per_second']:,.0f}",
            f"{run['gflops']:.1f}",
            f"{run['test_accuracy']:.4f}",
        ]
        for run in runs
    ]
    names = ["backend", "threads", "epochs", "seconds", "rows/s", "GFLOP/s", "test accuracy"]
    print("\n" + table(names, rows, 1) + "\n")
    if "times_numpy" in report:
        print(f"{report['times_numpy']:.1f} times as many rows per second as the same algorithm in NumPy at its best")
    if "fma_peak_gflops" in report:
        print(
            f"{report['percent_of_peak']:.0f} % of the arithmetic that the processor can do at most (its FMA peak, just"
        )
        where = f"{counted(first['threads'], 'thread')}, {first['isa']}"
        print(f"measured: {report['fma_peak_gflops']:.0f} GFLOP/s on {where})")
    if any(run["epochs"] < first["epochs"] for run in runs):
        print(f"NumPy was stopped after {NUMPY_SECONDS:.0f} seconds")
    if (report["load_average"] or 0) > 0.5 * (os.cpu_count() or 1):
        print(f"other programs are at work here (load {report['load_average']:.1f}): figures may be far off")
    right = round(report["test_accuracy"] * first["n_test"])
    print(f"test accuracy {report['test_accuracy']:.4f}: {right} of {first['n_test']} digits that it had not seen")
    print(NEXT)
