"""Memory: how much anonymous memory (RssAnon) training takes while X is a memmap larger than many a machine.

A sparse float32 file of 4 GB is made, `wide` is trained on it by a process of its own, and the file is removed. The
memory of that process is read from outside, every few milliseconds. Linux only.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from _common import describe, machine, positive, run_script, write_json
from _worker import Worker
from _workloads import load_workloads

from fastmlp.cli import table

MOST_MEGABYTES = 300.0
INTERVAL_SECONDS = 0.005


def resident_megabytes(pid: int) -> tuple[float, float]:
    """RssAnon and RssFile of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    fields = dict(line.split(":", 1) for line in status.splitlines() if line.startswith("Rss"))
    anonymous, mapped = (int(fields.get(name, "0 kB").split()[0]) * 1024 / 1e6 for name in ("RssAnon", "RssFile"))
    return anonymous, mapped


def main() -> int:
    """Measure, print, write, check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--workload", default="wide", choices=list(load_workloads()))
    parser.add_argument("--gigabytes", type=positive(float), default=4.0, help="of X, 10^9 bytes each (default: 4)")
    parser.add_argument("--epochs", type=positive(int), default=1, help="(default: 1)")
    parser.add_argument("--folder", type=Path, help="where the file is made (default: the system's temporary folder)")
    parser.add_argument("--json", type=Path, help="where to write the report (default: a new file in build/bench)")
    parser.add_argument("--check", action="store_true", help=f"exit with 1 if it is more than {MOST_MEGABYTES:g} MB")
    options = parser.parse_args()
    if not Path("/proc/self/status").exists():
        parser.error("needs Linux's /proc")

    where, columns = machine(), load_workloads()[options.workload].sizes[0]
    print(describe(where), flush=True)
    rows = int(options.gigabytes * 1e9) // (4 * columns)
    with tempfile.TemporaryDirectory(prefix="fastmlp-memory-", dir=options.folder) as folder:
        path = Path(folder) / "X.f32"
        with path.open("wb") as file:
            file.truncate(4 * rows * columns)
        phases = measure(path, rows, options)
    base = phases[0]["anon_mb"]
    peak = max(phase["anon_mb_peak"] for phase in phases) - base
    print(
        f"{options.workload} on {rows} rows of {columns} float32, {4e-9 * rows * columns:.2f} GB, sparse; megabytes\n"
    )
    lines = [
        [p["phase"], f"{p['anon_mb']:.1f}", f"{p['anon_mb_peak']:.1f}", f"{p['anon_mb_peak'] - base:.1f}",
         f"{p['file_mb_peak']:.0f}"]
        for p in phases
    ]  # fmt: skip
    print(table(["after", "RssAnon", "peak", "above interpreter", "RssFile"], lines, 1))
    speed = rows * options.epochs / phases[-1]["seconds"]
    print(f"\ntraining took {phases[-1]['seconds']:.1f} s, {speed:,.0f} rows/s")
    print(f"{peak:.1f} MB above the interpreter's own at the most")
    settings = {"workload": options.workload, "rows": rows, "columns": columns, "epochs": options.epochs}
    report = {"machine": where, "settings": settings, "phases": phases, "megabytes_above_interpreter": peak}
    print(f"written to {write_json(options.json, 'memory', report)}")
    if options.check and peak > MOST_MEGABYTES:
        print(f"CHECK FAILED  {peak:.1f} MB are more than {MOST_MEGABYTES:g} MB")
        return 1
    return 0


def measure(path: Path, rows: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The worker's memory at the end of each phase, and at its most in it."""
    requests: dict[str, dict[str, Any]] = {
        "interpreter": {},
        "imports": {},
        "network": {"path": str(path), "rows": rows, "workload": load_workloads()[options.workload].to_dict()},
        "training": {"epochs": options.epochs},
    }
    phases: list[dict[str, Any]] = []
    with Worker(["-m", "_peers.memmap"], "memmap") as worker:
        for phase, arguments in requests.items():
            anon = file = 0.0
            worker.send(phase, **arguments)
            while not worker.wait(INTERVAL_SECONDS):
                now = resident_megabytes(worker.pid)
                anon, file = max(anon, now[0]), max(file, now[1])
            seconds, now = worker.receive(), resident_megabytes(worker.pid)
            phases.append({
                "phase": phase,
                "seconds": seconds,
                "anon_mb": now[0],
                "anon_mb_peak": max(anon, now[0]),
                "file_mb_peak": max(file, now[1]),
            })  # fmt: skip
    return phases


if __name__ == "__main__":
    run_script(main)
