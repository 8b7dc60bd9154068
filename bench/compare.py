"""Two commits of fastmlp: how much longer one takes for a step, or for the prediction of a row, than the other.

`python bench/compare.py BASE` builds the commit BASE (or takes a folder that holds a build), and measures it against
the fastmlp that is imported here. Both are asked in turns, A B B A, a twentieth of a second each, in pairs of processes
that are started anew for every pass over what is measured: addresses, and with them the speed of small networks, differ
from process to process by more than what is looked for. What is known well enough drops out; the others go on until
the time is spent. `python bench/compare.py --help` tells the options, README.md how to read the figures.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import random
import statistics
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from _builds import Build, base_build, differences, this_build
from _common import describe, machine, one_of, positive, run_script, write_json
from _paired import CONFIDENCE, Paired, paired_ratio
from _worker import Worker, WorkerFailed
from _workloads import Workload, load_predictions, load_workloads

from fastmlp.cli import table
from fastmlp.runtime.measure import phase_seconds, training_flops

DTYPES = ("float32", "float64")
#: Issue 10: a step takes no longer than so much more on one thread, on several, and a row's prediction.
LIMITS = {"one": 0.01, "several": 0.02, "predict": 0.02}
#: The fewest pairs of processes after which an interval is believed.
FEWEST_PAIRS = 8
#: An epoch of more steps than this machine makes in a visit, about, would only be longer; its steps are all alike.
FLOPS = 5e10
FAR_SECONDS = 0.4e-6  # a phase costs 0.1 us between processors that share a cache, and a multiple of it between others
#: A second build's process finds processors that the first one's idle threads have left.
PAUSE_SECONDS = 2e-3
#: BLAS is not what is compared, and its idle threads spin.
ONE_BLAS_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "MKL", "BLIS", "GOTO")}
SIDES = ("base", "this")
HEADS = [
    "network", "dtype", "threads", "base us", "this us", "ratio", f"{CONFIDENCE:.0%} interval", "rounds' quartiles",
    "whole calls", "pairs", "far",
]  # fmt: skip


@dataclass
class Cell:
    """A network in one dtype on one number of threads; `pairs` holds the rounds of each pair of processes."""

    kind: str
    workload: Workload
    dtype: str
    threads: int
    pairs: list[list[dict[str, Any]]] = field(default_factory=list)
    same_bits: bool = True

    @property
    def name(self) -> str:
        return f"{self.workload.name} {self.dtype} {self.threads}"

    @property
    def limit(self) -> float:
        return LIMITS["predict" if self.kind == "predict" else "one" if self.threads == 1 else "several"]

    def known(self, what: str = "seconds") -> Paired:
        """Ratio of this build's time to the base's."""
        return Paired.of([[paired_ratio(*(r[side][what] for side in SIDES)) for r in rounds] for rounds in self.pairs])

    def open(self, precision: float | None) -> bool:
        """Return whether the cell has to be measured further."""
        if len(self.pairs) < FEWEST_PAIRS:
            return True
        return not self.known().settled(precision or self.limit / 2)

    def microseconds(self, side: str) -> float:
        """Return the time of a step or call, the median of all visits."""
        return 1e6 * statistics.median(s for rounds in self.pairs for r in rounds for s in r[side]["seconds"])

    def far(self) -> int | None:
        """Pairs of processes in which a phase took long; None on one thread."""
        if self.threads == 1:
            return None
        return sum(statistics.median(r["phase"] for r in rounds) > FAR_SECONDS for rounds in self.pairs)


def cells_of(options: argparse.Namespace) -> list[Cell]:
    """List everything that is to be measured."""
    trained, (predicted, _) = load_workloads(), load_predictions()
    cells = []
    for name in options.workloads:
        if name in trained:
            w = trained[name]
            steps = max(1, int(options.seconds * FLOPS / training_flops(w.sizes, w.batch)))
            cells += [Cell("train", w.shortened(steps), d, n) for d in options.dtypes for n in options.threads]
        else:
            shape = predicted[name.removeprefix("row:")]
            w = Workload(name, shape.sizes, batch=1, rows=1, activation="relu", loss=shape.loss)
            cells += [Cell("predict", w, d, 1) for d in options.dtypes]
    return cells


# ---- measuring ------------------------------------------------------------------------------------------------------


def one_pass(cells: list[Cell], builds: dict[str, Build], number: int, deadline: float, chance: random.Random,
             options: argparse.Namespace) -> None:  # fmt: skip
    """Measure every cell in a new pair of processes: one pair for those on one thread, which stays on one processor,
    and one for each other number of threads."""
    processors = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    counts = sorted({cell.threads for cell in cells})
    chance.shuffle(counts)
    for threads in counts:
        pinned = [processors[number % len(processors)]] if threads == 1 and processors else None
        with contextlib.ExitStack() as stack:
            workers = {}
            for side in chance.sample(SIDES, 2):
                script, package = str(Path(__file__).with_name("_side.py")), builds[side].package
                worker = Worker([script], side, package=package, environment=ONE_BLAS_THREAD, processors=pinned)
                workers[side] = stack.enter_context(worker)
            for side, worker in workers.items():
                if (found := worker.ask("where")) != str(builds[side].package):
                    raise WorkerFailed(f"the fastmlp of {side} is that in {found}, not in {builds[side].package}")
            mine = [cell for cell in cells if cell.threads == threads]
            chance.shuffle(mine)
            for cell in mine:
                if not cell.pairs or time.monotonic() < deadline:
                    cell.pairs.append(rounds_of(cell, workers, chance, options))


def rounds_of(
    cell: Cell, workers: dict[str, Worker], chance: random.Random, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Rounds of a cell in a pair of processes, each A B B A or B A A B."""
    setting = {"dtype": cell.dtype, "threads": cell.threads, "seconds": options.seconds}
    ready = {
        side: worker.ask("prepare", kind=cell.kind, workload=cell.workload.to_dict(), **setting)
        for side, worker in workers.items()
    }
    cell.same_bits = cell.same_bits and ready["base"]["result"] == ready["this"]["result"]
    units = max(1, round(options.seconds / statistics.fmean(answer["seconds"] for answer in ready.values())))
    rounds = []
    for _ in range(options.rounds):
        a, b = chance.sample(SIDES, 2)
        found: dict[str, Any] = {side: {"seconds": [], "whole": []} for side in SIDES}
        found["phase"] = phase_seconds(cell.threads, 0.0) if cell.threads > 1 else 0.0
        for side in (a, b, b, a):
            time.sleep(PAUSE_SECONDS)
            answer = workers[side].ask("work", units=units)
            for what in ("seconds", "whole"):
                found[side][what].append(answer[what])
        rounds.append(found | {"units": units, "first": a})
    return rounds


def measure(cells: list[Cell], builds: dict[str, Build], options: argparse.Namespace) -> None:
    """Passes over what is not known well enough yet, until all is or the time is spent."""
    chance, number = random.Random(), 0
    start = time.monotonic()
    deadline = start + 60 * options.minutes
    while (left := [cell for cell in cells if cell.open(options.precision)]) and (
        number == 0 or time.monotonic() < deadline
    ):
        one_pass(left, builds, number, deadline, chance, options)
        number += 1
        if sys.stderr.isatty() or number % 10 == 0:
            minutes = (time.monotonic() - start) / 60
            print(f"{minutes:.1f} min: {number} passes, {len(left)} of {len(cells)} open", file=sys.stderr, flush=True)


# ---- what was found -------------------------------------------------------------------------------------------------


def row(cell: Cell, precision: float | None) -> list[str]:
    """A line of the table."""
    found, far = cell.known(), cell.far()
    interval = f"{found.low:.4f} - {found.high:.4f}" if math.isfinite(found.low) else "-"
    return [
        cell.workload.name,
        cell.dtype,
        str(cell.threads),
        *(f"{cell.microseconds(side):.2f}" for side in SIDES),
        f"{found.median:.4f}",
        interval + "?" * cell.open(precision),
        "{:.3f} - {:.3f}".format(*found.quartiles),
        f"{cell.known('whole').median:.4f}",
        f"{found.pairs} x {found.rounds // found.pairs}",
        "" if far is None else f"{far} of {found.pairs}",
    ]


def failures(cells: list[Cell]) -> list[str]:
    """Cells that take longer than they may."""
    return [
        f"{cell.name}: {found.median:.4f} of the base's time ({found.low:.4f} - {found.high:.4f}), more than "
        f"{1 + cell.limit:g}"
        for cell in cells
        if (found := cell.known()).median > 1 + cell.limit
    ]


def notes(cells: list[Cell], precision: float | None) -> list[str]:
    """Write the lines that a reader of the table should know."""
    lines = []
    for threads in sorted({cell.threads for cell in cells}):
        ratios = [cell.known().median for cell in cells if cell.threads == threads]
        mean = statistics.geometric_mean(ratios)
        lines.append(f"on {threads} thread{'s' * (threads > 1)}: geometric mean {mean:.4f}, at most {max(ratios):.4f}")
    if unknown := sum(cell.open(precision) for cell in cells):
        lines.append(f"?: the time was spent before the interval was narrow enough ({unknown} of {len(cells)})")
    if differing := sorted({f"{cell.workload.name} {cell.dtype}" for cell in cells if not cell.same_bits}):
        lines.append(f"not the same bits after the first epoch, or of the prediction: {', '.join(differing)}")
    return lines


def report_of(cell: Cell, precision: float | None) -> dict[str, Any]:
    """Return a cell's part of the JSON file."""
    return {
        "kind": cell.kind,
        "workload": cell.workload.to_dict(),
        "dtype": cell.dtype,
        "threads": cell.threads,
        "limit": cell.limit,
        "us": {side: cell.microseconds(side) for side in SIDES},
        "ratio": asdict(cell.known()),
        "ratio_of_whole_calls": asdict(cell.known("whole")),
        "settled": not cell.open(precision),
        "same_bits": cell.same_bits,
        "far_pairs": cell.far(),
        "pairs": cell.pairs,
    }


def parse() -> argparse.Namespace:
    """The command line."""
    names = [*load_workloads(), *(f"row:{network}" for network in load_predictions()[0])]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("base", metavar="BASE", help="a commit, or the folder of a tree that is built in place")
    parser.add_argument("--workloads", type=one_of(names), default=names, help=f"default: {','.join(names)}")
    parser.add_argument("--dtypes", type=one_of(DTYPES), default=list(DTYPES), help=f"default: {','.join(DTYPES)}")
    parser.add_argument("--threads", type=one_of(("1", "2")), default=["1", "2"], help="default: 1,2")
    parser.add_argument("--minutes", type=positive(float), default=18.0, help="of measuring, at most (default: 18)")
    parser.add_argument("--seconds", type=positive(float), default=0.05, help="of each visit (default: 0.05)")
    parser.add_argument("--rounds", type=positive(int), default=1, help="A B B A, in a pair of processes (default: 1)")
    parser.add_argument(
        "--precision", type=positive(float), help="half of an interval that is narrow enough (default: half the limit)"
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 if a median is above its limit")
    parser.add_argument("--no-build", action="store_true", help="take what is built as it is")
    parser.add_argument("--json", type=Path, help="where to write the report (default: a new file in build/bench)")
    options = parser.parse_args()
    options.threads = [int(n) for n in options.threads]
    return options


def main() -> int:
    """Build, measure, print, write, check."""
    options = parse()
    builds = {"base": base_build(options.base, not options.no_build), "this": this_build(not options.no_build)}
    where, cells = machine(), cells_of(options)
    print(describe(where))
    print("\n".join(f"{side}: {build.origin}" for side, build in builds.items()))
    for line in differences(*builds.values()):
        print(f"NOT BUILT ALIKE  {line}")
    print(
        f"{len(cells)} cells, {options.minutes:g} min: pairs of processes with {options.rounds} x A B B A of "
        f"{options.seconds:g} s; ratio: this build's time by the base's\n",
        flush=True,
    )
    measure(cells, builds, options)
    print(table(HEADS, [row(cell, options.precision) for cell in cells], 2))
    print("".join(f"\n{line}" for line in notes(cells, options.precision)))
    settings = {name: getattr(options, name) for name in ("minutes", "seconds", "rounds", "precision")}
    results = {cell.name: report_of(cell, options.precision) for cell in cells}
    sides = {side: {"origin": build.origin, **build.config()} for side, build in builds.items()}
    report = {"machine": where, "settings": settings, "builds": sides, "results": results}
    print(f"written to {write_json(options.json, 'compare', report)}")
    failed = failures(cells) if options.check else []
    for line in failed:
        print(f"CHECK FAILED  {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    run_script(main)
