"""What it costs to train on several processes: ranks of one thread each, against one process of as many threads.

`python bench/scaling.py --help` tells the options, README.md how to read the figures.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from _common import describe, failed_checks, machine, positive, run_script, write_json

import fastmlp
from fastmlp.cli import table

#: Sizes and the rows of a whole batch; speed that ranks keep of a process of as many threads (issue 16, acceptance 2).
NETWORKS = {"large": ([784, 1024, 1024, 10], 512), "small": ([784, 256, 128, 10], 1024)}
AT_LEAST = {"large": 0.9, "small": 0.8}


def train(name: str, steps: int, epochs: int, threads: int, comm: Any) -> float:
    """Train on this rank's part of as many rows as the steps take; seconds of a step in the fastest epoch."""
    sizes, batch = NETWORKS[name]
    rank, ranks = (0, 1) if comm is None else (comm.rank, comm.size)
    rng = np.random.default_rng(rank)
    rows = batch * steps // ranks
    X, y = rng.random((rows, sizes[0]), np.float32), rng.integers(0, sizes[-1], rows)
    net = fastmlp.MLP(sizes, output="softmax", seed=0)
    history = net.fit(X, y, epochs=epochs, batch_size=batch, threads=threads, comm=comm)
    return min(history.seconds) / steps


def work(options: argparse.Namespace) -> int:
    """Answer as one rank, or as the only process."""
    comm = None
    if options.worker == "ranks":
        from mpi4py import MPI

        comm = MPI.COMM_WORLD
    threads = options.ranks if comm is None else 1
    found = {name: train(name, options.steps, options.epochs, threads, comm) for name in NETWORKS}
    if comm is None or comm.rank == 0:
        print(json.dumps(found))
    return 0


def measure(kind: str, options: argparse.Namespace) -> dict[str, float]:
    """Start a process, or one for each rank; seconds of a step by network."""
    command = [sys.executable, __file__, "--worker", kind]
    for name in ("ranks", "steps", "epochs"):
        command += [f"--{name}", str(getattr(options, name))]
    if kind == "ranks":
        mpiexec = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")
        if mpiexec is None:
            raise OSError("there is no mpiexec: pip install '.[mpi]'")
        command = [mpiexec, "-n", str(options.ranks), *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{kind} failed: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=positive(int), default=2, help="processes of one thread each (default: 2)")
    parser.add_argument("--rounds", type=positive(int), default=5, help="of both kinds in turns (default: 5)")
    parser.add_argument("--steps", type=positive(int), default=20, help="of an epoch (default: 20)")
    parser.add_argument("--epochs", type=positive(int), default=6, help="of which the fastest counts (default: 6)")
    parser.add_argument("--check", action="store_true", help="exit with 1 where ranks keep less speed than they should")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--worker", choices=["alone", "ranks"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return work(options)
    where = machine()
    print(describe(where))
    rounds = [{kind: measure(kind, options) for kind in ("alone", "ranks")} for _ in range(options.rounds)]
    kept: dict[str, float] = {}
    lines: list[list[str]] = []
    for name, (sizes, batch) in NETWORKS.items():
        alone, ranks = ([each[kind][name] for each in rounds] for kind in ("alone", "ranks"))
        ratios = [one / several for one, several in zip(alone, ranks, strict=True)]
        kept[name] = statistics.median(ratios)
        shape = "-".join(map(str, sizes))
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        lines.append(
            [shape, str(batch), f"{min(alone) * 1e3:.2f}", f"{min(ranks) * 1e3:.2f}", f"{kept[name]:.2f}", spread]
        )
    heads = ["network", "batch", f"{options.ranks} threads, ms", f"{options.ranks} ranks, ms", "speed kept", "rounds"]
    print(table(heads, lines))
    report = {"machine": where, "options": vars(options) | {"json": None}, "rounds": rounds, "kept": kept}
    print(f"figures: {write_json(options.json, 'scaling', report)}")
    failed = failed_checks(kept, AT_LEAST, "") if options.check else []
    for line in failed:
        print(line)
    return bool(failed)


if __name__ == "__main__":
    run_script(main)
