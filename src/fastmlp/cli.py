"""The command line: `fastmlp demo` trains on the shipped digits, `fastmlp info` says what this machine can do.

A command gathers a report, a dict; `--json` prints that, and otherwise it is laid out as text.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from fastmlp.datasets import Split, load_digits
from fastmlp.network import MLP
from fastmlp.runtime import VERSION, config, load_passes, show_config
from fastmlp.runtime.measure import BusyThreads, fma_peak, limit_threads, phase_seconds, training_flops
from fastmlp.runtime.threads import MAX_THREADS
from fastmlp.spec import Adam
from fastmlp.spec.names import BackendName
from fastmlp.train.callbacks import Callback, Logs
from fastmlp.train.safety import TrainingDiverged

__all__ = ["main", "table"]

Report: TypeAlias = dict[str, Any]

FAILED, INTERRUPTED = 2, 130  # 130 = 128 + SIGINT, as shells have it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.

    Returns
    -------
    int
        Exit code: 0, 2 after an error (told in one line on stderr), 130 after Ctrl-C.

    Raises
    ------
    SystemExit
        From argparse: with 0 after ``--help`` and ``--version``, with 2 after arguments that are wrong.
    """
    parser = _parser()
    try:
        if sys.stdout is None:
            raise OSError("standard output is closed")
        try:
            return _obey(parser, arguments)
        finally:
            sys.stdout.flush()  # here, where a failure can still be told
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # as in `fastmlp info | head -1`: nobody is left to tell
        _forget_output()
    except (ImportError, MemoryError, OSError, TrainingDiverged, TypeError, ValueError) as error:
        if isinstance(error, OSError):
            _forget_output()
        _complain(f"{parser.prog}: error: {str(error) or type(error).__name__}")
    return FAILED


def _obey(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    """Do what the arguments say, and return the exit code."""
    given = parser.parse_args(arguments)
    if given.command is None:
        parser.print_help(sys.stderr)
        return FAILED
    report: Report = given.gather(given)
    if given.json:
        print(json.dumps(report, indent=2, allow_nan=False))
    else:
        given.show(report)
    return 0


def _complain(text: str) -> None:
    """Print a line on standard error, if that is there and takes it."""
    if sys.stderr is not None:  # print would take standard output instead
        with suppress(OSError):
            print(text, file=sys.stderr)


def _forget_output() -> None:
    """Keep Python from trying again, when it ends, what could not be written to standard output."""
    with suppress(AttributeError, OSError, ValueError):  # closed, or not a file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastmlp", description="Multi-layer perceptrons on CPUs, trained as fast as the machine allows."
    )
    parser.add_argument("--version", action="version", version=f"fastmlp {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="command", title="commands")

    what = "train on the handwritten digits that ship with fastmlp, and measure it against NumPy"
    demo = commands.add_parser("demo", help=what, description=what[0].upper() + what[1:] + ".")
    demo.add_argument("--seed", type=_whole(0, 2**64 - 1), default=0, help="of all random numbers (default: 0)")
    demo.add_argument("--epochs", type=_whole(1), default=100, help="times to go over the rows (default: 100)")
    demo.add_argument("--threads", type=_whole(1, MAX_THREADS), help="default: chosen by the size of the work")
    demo.add_argument("--no-numpy", action="store_true", help="leave out the same run on the NumPy backend")
    demo.add_argument("--only-numpy", action="store_true", help=argparse.SUPPRESS)  # what _numpy_runs starts
    demo.set_defaults(gather=_demo, show=_show_demo)

    what = "show what fastmlp uses on this machine, and measure how fast its arithmetic can be"
    info = commands.add_parser("info", help=what, description=what[0].upper() + what[1:] + ".")
    info.set_defaults(gather=_info, show=_show_info)

    for command in (demo, info):
        command.add_argument("--json", action="store_true", help="print a JSON object, and nothing else, on stdout")
    return parser


def _whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return what argparse is to call with a number's text: it makes an int of it, or an error that says the range."""
    wanted = f"an integer >= {low}" if high is None else f"an integer from {low} to {high}"

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low or (high is not None and value > high):
            raise argparse.ArgumentTypeError(f"must be {wanted}, got {text!r}")
        return value

    return parse


# ---- fastmlp demo ---------------------------------------------------------------------------------------------------

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
    package = str(Path(__file__).parents[1])
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
        print(engine, _threads(given.threads) if given.threads else "threads as it likes", sep=", ", file=sys.stderr)
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
        print(f"measured: {report['fma_peak_gflops']:.0f} GFLOP/s on {_threads(first['threads'])}, {first['isa']})")
    if any(run["epochs"] < first["epochs"] for run in runs):
        print(f"NumPy was stopped after {NUMPY_SECONDS:.0f} seconds")
    if (report["load_average"] or 0) > 0.5 * (os.cpu_count() or 1):
        print(f"other programs are at work here (load {report['load_average']:.1f}): figures may be far off")
    right = round(report["test_accuracy"] * first["n_test"])
    print(f"test accuracy {report['test_accuracy']:.4f}: {right} of {first['n_test']} digits that it had not seen")
    print(NEXT)


# ---- fastmlp info ---------------------------------------------------------------------------------------------------


def _info(given: argparse.Namespace) -> Report:  # noqa: ARG001
    """Report the configuration, and what can be measured in a second or so."""
    report = config()
    if load_passes()[0] is None:
        return report
    most = report["threads"]
    counts = sorted({1, most})
    report["fma_peak_gflops"] = {
        isa["name"]: {
            dtype: {n: fma_peak(n, isa["name"], dtype, seconds=0.05) / 1e9 for n in counts}
            for dtype in ("float32", "float64")
        }
        for isa in report["isas"]
        if isa["available"]
    }
    teams = range(2, most + 1) if most <= 8 else sorted({*(2**k for k in range(1, most.bit_length())), most})
    report["phase_seconds"] = {n: phase_seconds(n, 0.4 / len(teams)) for n in teams}
    return report


def _show_info(report: Report) -> None:
    show_config()
    if "fma_peak_gflops" not in report:
        return
    rows = [
        [isa, dtype, "in use" if isa == report["isa"] else "", *(f"{gflops:.1f}" for gflops in of.values())]
        for isa, dtypes in report["fma_peak_gflops"].items()
        for dtype, of in dtypes.items()
    ]
    threads = [_threads(n) for n in sorted({1, report["threads"]})]
    print("\nFMA peak, just measured: the most that multiply-adds reach, in GFLOP/s (10^9 operations a second)")
    print(table(["ISA", "dtype", "", *threads], rows, 3))
    if report["phase_seconds"]:
        costs = [f"{seconds * 1e6:.2f} us on {n} threads" for n, seconds in report["phase_seconds"].items()]
        print("\nThreads that share a training step wait for each other at least twice in it. Each time costs")
        print(", ".join(costs))


# ---- text -----------------------------------------------------------------------------------------------------------


def table(names: Sequence[str], rows: Sequence[Sequence[str]], left: int = 0) -> str:
    """Lay out rows under a line of names, the first `left` columns flush left and all others flush right."""
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    return "\n".join(map(line, [names, *rows]))


def _threads(n: int) -> str:
    return "1 thread" if n == 1 else f"{n} threads"
