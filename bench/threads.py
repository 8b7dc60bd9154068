"""Threads that never hurt: one thread, all of them and the automatic choice; then with a busy neighbour on each core.

`python bench/threads.py --help` tells the options, README.md how to read the figures.
"""

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _common import describe, failed_checks, machine, one_of, positive, run_script, write_json
from _peers.crew import assemble
from _peers.job import ACTIVATIONS, Job
from _peers.report import ratios
from _worker import WorkerFailed
from _workloads import Workload, load_workloads

from fastmlp.cli import table

ONE, ALL, CHOSEN = "1 thread", "all threads", "chosen"
#: Issue 3, acceptance 4, for two threads: speed left to choose by speed with one thread.
NEVER_LESS = 0.95
AT_LEAST = {"digits": 1.7, "wide": 1.7, "huge": 1.7, "deep": 1.7}
LEAST_THROUGHPUT = 0.4
SPIN = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
print(flush=True)
while True:
    pass
"""


@contextmanager
def busy_neighbour(processor: int) -> Iterator[None]:
    """Keep a processor busy with a process pinned to it; it ends with the block."""
    process = subprocess.Popen([sys.executable, "-c", SPIN, str(processor)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def compare(workload: Workload, options: argparse.Namespace, processors: list[int]) -> dict[str, Any]:
    """Run all rounds of one workload: quiet ones, then each processor in turn with and without a neighbour."""
    jobs = {}
    for label, threads in {ONE: 1, ALL: len(processors), CHOSEN: 0}.items():
        job = Job(
            sizes=tuple(workload.sizes),
            batch=workload.batch,
            rows=workload.rows,
            activation=options.activation or workload.activation,
            loss=workload.loss,
            dtype=options.dtype,
            threads=threads,
        )
        jobs[label] = ("fastmlp", job)
    with assemble("train", jobs) as crew:
        rounds = crew.rounds(options.rounds, options.seconds)
        if crew.left_out:
            raise WorkerFailed("; ".join(crew.left_out.values()))
        chosen = crew.rivals[CHOSEN]
        quiet: dict[int, list[float]] = {processor: [] for processor in processors}
        busy: dict[int, list[float]] = {processor: [] for processor in processors}
        for _ in range(options.busy_rounds):
            for processor in processors:
                quiet[processor].append(chosen.round(options.seconds)["seconds"])
                with busy_neighbour(processor):
                    busy[processor].append(chosen.round(options.seconds)["seconds"])
    by_one = ratios(rounds, ours=CHOSEN)[ONE]
    shares = {str(p): [alone / crowded for alone, crowded in zip(quiet[p], busy[p], strict=True)] for p in processors}
    return {
        "job": jobs[CHOSEN][1].to_dict(),
        "us_per_step_median": {n: 1e6 * statistics.median(a["seconds"] for a in r) for n, r in rounds.items()},
        "speed_of_choice_by_one_thread": by_one,
        "throughput_with_neighbour": {p: {"median": statistics.median(s), "min": min(s)} for p, s in shares.items()},
        "rounds": rounds,
        "quiet_seconds": quiet,
        "busy_seconds": busy,
    }


def main() -> int:
    """Compare, print, write, check."""
    workloads = load_workloads()
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--workloads", type=one_of(list(workloads)), default=list(workloads), help="default: all")
    parser.add_argument("--rounds", type=positive(int), default=9, help="(default: 9)")
    parser.add_argument("--busy-rounds", type=positive(int), default=5, help="with a neighbour, per core (default: 5)")
    parser.add_argument("--seconds", type=positive(float), default=0.3, help="of each round (default: 0.3)")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--activation", choices=ACTIVATIONS, help="of the hidden layers (default: the workload's)")
    parser.add_argument("--json", type=Path, help="where to write the report (default: a new file in build/bench)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a figure is less than AT_LEAST")
    options = parser.parse_args()
    if not hasattr(os, "sched_setaffinity"):
        parser.error("needs Linux, where processes can be pinned to processors")
    processors = sorted(os.sched_getaffinity(0))

    where = machine()
    print(describe(where), flush=True)
    print(
        f"{options.dtype}, Adam; us/step, medians of {options.rounds} rounds of {options.seconds:g} s; speed: "
        f"chosen by 1 thread;\nbusy: throughput with a busy process on that processor by the quiet one, median of "
        f"{options.busy_rounds} pairs (minimum)\n"
    )
    results, rows = {}, []
    for name in options.workloads:
        result = results[name] = compare(workloads[name], options, processors)
        times, speed = result["us_per_step_median"], result["speed_of_choice_by_one_thread"]
        rows.append([
            name,
            *(f"{times[label]:.2f}" for label in (ONE, ALL, CHOSEN)),
            f"{speed['median']:.2f} ({speed['min']:.2f} - {speed['max']:.2f})",
            *(f"{s['median']:.0%} ({s['min']:.0%})" for s in result["throughput_with_neighbour"].values()),
        ])  # fmt: skip
        print(f"{name} done", file=sys.stderr, flush=True)
    print(table(["workload", ONE, ALL, CHOSEN, "speed", *(f"busy {p}" for p in processors)], rows, 1))
    settings = {"dtype": options.dtype, "rounds": options.rounds, "seconds": options.seconds}
    settings |= {"busy_rounds": options.busy_rounds, "processors": processors}
    path = write_json(options.json, "threads", {"machine": where, "settings": settings, "results": results})
    print(f"\nwritten to {path}")
    if not options.check:
        return 0
    speeds = {name: result["speed_of_choice_by_one_thread"]["median"] for name, result in results.items()}
    least = {name: AT_LEAST.get(name, NEVER_LESS) if len(processors) > 1 else NEVER_LESS for name in results}
    failed = failed_checks(speeds, least, "x the speed of one thread")
    shares = {
        f"{name}, busy processor {p}": share["median"]
        for name, result in results.items()
        for p, share in result["throughput_with_neighbour"].items()
    }
    failed += failed_checks(shares, dict.fromkeys(shares, LEAST_THROUGHPUT), " of the quiet throughput")
    for line in failed:
        print(f"CHECK FAILED  {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    run_script(main)
