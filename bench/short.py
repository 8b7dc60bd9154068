"""The price of short trainings: the first 1000 steps of a fresh process, and of a second network, by the settled speed.

`python bench/short.py --help` tells the options, README.md how to read the figures.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from _common import describe, failed_checks, machine, one_of, positive, run_script, write_json
from _worker import HERE, Worker
from _workloads import load_workloads

from fastmlp.cli import table
from fastmlp.runtime.measure import phase_seconds

STEPS = 1000  # at least, in whole epochs
SPIN_SECONDS = 0.2  # in which BLAS's idle workers stop spinning after the products of a workload's data
FAR_SECONDS = 0.4e-6  # a phase costs 0.1 us between processors that share a cache, and a multiple of it between others


# ---- the rounds -----------------------------------------------------------------------------------------------------


def summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians, and each fit by the settled speed of its own process."""
    first = [r["first"] / r["settled"] for r in rounds]
    return {
        "settled_us": 1e6 * statistics.median(r["settled"] for r in rounds),
        "first": statistics.median(first),
        "worst": max(first),
        "second": statistics.median(r["second"] / r["settled"] for r in rounds),
        "phase_us": 1e6 * statistics.median(r["phase"] for r in rounds),
        "far": sum(r["phase"] > FAR_SECONDS for r in rounds),
        "rounds": rounds,
    }


def row(name: str, build: str, result: dict[str, Any]) -> list[str]:
    """A line of the table."""
    ratios = [f"{result[column]:.2f}" for column in ("first", "worst", "second")]
    place = f"{result['phase_us']:.2f} ({result['far']} of {len(result['rounds'])} far)"
    return [name, build, f"{result['settled_us']:.2f}", *ratios, place]


def main() -> int:
    """Measure, print, write, check."""
    workloads = load_workloads()
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    names = ["tiny", "tab", "digits"]
    parser.add_argument("--workloads", type=one_of(list(workloads)), default=names, help=f"default: {','.join(names)}")
    parser.add_argument("--processes", type=positive(int), default=20, help="fresh ones, of each (default: 20)")
    parser.add_argument("--seconds", type=positive(float), default=2.0, help="until it is settled (default: 2)")
    parser.add_argument("--threads", type=positive(int), help="of every fit (default: the engine chooses)")
    parser.add_argument("--against", type=Path, help="folder of another build of fastmlp, to be measured in turns")
    parser.add_argument("--after-blas", action="store_true", help="do not wait until BLAS's workers have gone to sleep")
    parser.add_argument("--check", action="store_true", help="exit with 1 if the first fit loses more than it may")
    parser.add_argument("--json", type=Path, help="where to write the report (default: a new file in build/bench)")
    options = parser.parse_args()

    where = machine()
    print(describe(where), flush=True)
    builds = {"this": None} | ({"against": options.against} if options.against else {})
    wait = 0 if options.after_blas else SPIN_SECONDS
    setting = {"seconds": options.seconds, "threads": options.threads, "wait": wait}
    print(
        f"{options.processes} fresh processes each, in turns: us/step when settled; the first {STEPS} steps of a "
        "process by that\n(median, worst), those of a second network (median); what a phase costs between two threads\n"
    )
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for _ in range(options.processes):
        for name in options.workloads:
            for build, package in builds.items():
                with Worker([str(HERE / "_side.py")], f"{name} {build}", package=package) as worker:
                    answer = worker.ask("first_fits", workload=workloads[name].to_dict(), least_steps=STEPS, **setting)
                found.setdefault((name, build), []).append(answer | {"phase": phase_seconds(2)})
    results = {f"{name} {build}": summary(rounds) for (name, build), rounds in found.items()}
    columns = ["workload", "build", "settled us", "first", "worst", "second", "phase us"]
    print(table(columns, [row(*key.split(), result) for key, result in results.items()], 2))
    settings = setting | {"processes": options.processes, "against": str(options.against or "")}
    path = write_json(options.json, "short", {"machine": where, "settings": settings, "results": results})
    print(f"\nwritten to {path}")
    if not options.check:
        return 0
    speeds, least = {}, {}
    for name in options.workloads:
        result = results[f"{name} this"]
        for what, limit in (("first", 1.10), ("worst", 1.25), ("second", 1.03)):
            speeds[f"{name}, {what}"], least[f"{name}, {what}"] = 1 / result[what], 1 / limit
    failed = failed_checks(speeds, least, " of the settled speed")
    for line in failed:
        print(f"CHECK FAILED  {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    run_script(main)
