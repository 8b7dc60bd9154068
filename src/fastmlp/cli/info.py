"""`fastmlp info` says what this machine can do."""

import argparse
from typing import Any

from fastmlp.cli.arguments import add_json
from fastmlp.cli.exits import Report
from fastmlp.cli.text import counted, table
from fastmlp.runtime import config, load_passes, show_config
from fastmlp.runtime.measure import fma_peak, phase_seconds

__all__ = ["add"]


def add(commands: Any) -> None:
    """Add the command."""
    what = "show what fastmlp uses on this machine, and measure how fast its arithmetic can be"
    info = commands.add_parser("info", help=what, description=what[0].upper() + what[1:] + ".")
    add_json(info)
    info.set_defaults(gather=_info, show=_show_info)


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
    threads = [counted(n, "thread") for n in sorted({1, report["threads"]})]
    print("\nFMA peak, just measured: the most that multiply-adds reach, in GFLOP/s (10^9 operations a second)")
    print(table(["ISA", "dtype", "", *threads], rows, 3))
    if report["phase_seconds"]:
        costs = [f"{seconds * 1e6:.2f} us on {n} threads" for n, seconds in report["phase_seconds"].items()]
        print("\nThreads that share a training step wait for each other at least twice in it. Each time costs")
        print(", ".join(costs))
