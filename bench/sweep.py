"""No cliffs: fastmlp against its fastest rivals over shapes that no table was tuned for.

Odd widths, one wide or many narrow layers, bottlenecks, a single output or a thousand, batches from one to all rows.
`python bench/sweep.py --help` tells the options, README.md how to read the figures.
"""

import argparse
import statistics
from typing import Any

from _common import describe, machine, one_of, run_script, write_json
from _peers.crew import assemble, same_job
from _peers.job import ACTIVATIONS, Job
from _peers.report import add_options, best_rival, ratios, say_left_out
from _worker import WorkerFailed
from _workloads import Shape, load_sweep

from fastmlp.cli import table
from fastmlp.runtime.measure import training_flops

PEERS = ("fastmlp", "numpy", "sklearn", "torch", "torch.compile", "jax")
MULTIPLY_ADDS = 1.5e9  # of an epoch, about
MOST_STEPS = 1024
ALL_ROWS = 8192
WORST = 5


def job_of(shape: Shape, options: argparse.Namespace) -> Job:
    """An epoch of about MULTIPLY_ADDS, with every class in it."""
    sizes, batch = shape.sizes, shape.batch
    if batch == 0:
        batch = rows = ALL_ROWS
    else:
        cost = 0.5 * training_flops(sizes, batch)
        steps = max(2, -(-sizes[-1] // batch), min(MOST_STEPS, round(MULTIPLY_ADDS / cost)))
        rows = steps * batch
    return Job(
        sizes=sizes,
        batch=batch,
        rows=rows,
        activation=options.activation,
        loss=shape.loss,
        dtype=options.dtype,
        threads=options.threads or 0,
        tune_seconds=options.tune_seconds,
    )


def compare(job: Job, options: argparse.Namespace, told: set[str]) -> dict[str, Any]:
    """Run all rounds of one shape."""
    with assemble("train", same_job(job, options.peers)) as crew:
        facts = {name: rival.facts for name, rival in crew.rivals.items()}
        rounds = crew.rounds(options.rounds, options.seconds)
        say_left_out(crew, told)
    if "fastmlp" not in rounds:
        raise WorkerFailed(crew.left_out["fastmlp"])
    found = ratios(rounds)
    best = best_rival(found)
    return {
        "job": job.to_dict(),
        "variants": {
            name: {
                "us_per_step_median": 1e6 * statistics.median(a["seconds"] for a in answers),
                "slower_than_fastmlp": found[name],
                **facts[name],
                "rounds": answers,
            }
            for name, answers in rounds.items()
        },
        "best_rival": best,
        "ratio": found[best] if best else None,
        "left_out": crew.left_out,
    }


def row(name: str, result: dict[str, Any]) -> list[str]:
    """A line of the table."""
    own, ratio = result["variants"]["fastmlp"]["us_per_step_median"], result["ratio"]
    gflops = training_flops(result["job"]["sizes"], result["job"]["batch"]) / own / 1e3
    if not ratio:
        return [name, "no rival", f"{own:.2f}", f"{gflops:.1f}", "", "", ""]
    theirs = result["variants"][result["best_rival"]]["us_per_step_median"]
    spread = f"{ratio['min']:.2f} - {ratio['max']:.2f}"
    return [
        name, result["best_rival"], f"{own:.2f}", f"{gflops:.1f}", f"{theirs:.2f}", f"{ratio['median']:.2f}", spread
    ]  # fmt: skip


def main() -> int:
    """Compare, print, write, check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    rivals = ["fastmlp", "torch", "jax"]
    parser.add_argument("--peers", type=one_of(PEERS), default=rivals, help=f"default: {','.join(rivals)}")
    parser.add_argument("--shapes", help="only those whose network is given, such as 2-3-1,784-10 (default: all)")
    parser.add_argument("--activation", choices=ACTIVATIONS, default="relu")
    parser.add_argument(
        "--check",
        type=float,
        nargs="?",
        const=1.2,
        metavar="LIMIT",
        help="exit with 1 if fastmlp takes more than so many times the fastest rival's time anywhere (1.2)",
    )
    add_options(parser, rounds=5, seconds=0.15, tune=0.3, png=False)
    options = parser.parse_args()
    options.peers = ["fastmlp", *(name for name in options.peers if name != "fastmlp")]
    chosen = options.shapes.split(",") if options.shapes else None
    shapes = [shape for shape in load_sweep() if not chosen or shape.network in chosen]
    if not shapes:
        parser.error("--shapes: no such shape")

    where, told = machine(), set[str]()
    print(describe(where), flush=True)
    print(f"{options.dtype}, {options.activation}, Adam, {options.rounds} rounds of {options.seconds:g} s\n")
    results, head = {}, ["shape", "rival", "fastmlp us", "GFLOP/s", "rival us", "ratio", "(range)"]
    for shape in shapes:
        job = job_of(shape, options)
        name = f"{shape.network}, batch {job.batch}"
        results[name] = compare(job, options, told)
        print("  ".join(row(name, results[name])), flush=True)
    rated = {name: result for name, result in results.items() if result["ratio"]}
    worst = sorted(rated, key=lambda name: rated[name]["ratio"]["median"])
    print(f"\n{len(results)} shapes; the worst of them (ratio: the fastest rival's time by fastmlp's)")
    print(table(head, [row(name, results[name]) for name in worst[:WORST]], 2))
    settings = {"dtype": options.dtype, "activation": options.activation, "threads": options.threads or "auto"}
    settings |= {"rounds": options.rounds, "seconds": options.seconds, "tune_seconds": options.tune_seconds}
    path = write_json(options.json, "sweep", {"machine": where, "settings": settings, "results": results})
    print(f"\nwritten to {path}")
    if options.check is None:
        return 0
    failed = [name for name in worst if rated[name]["ratio"]["median"] < 1.0 / options.check]
    for name in failed:
        print(
            f"CHECK FAILED  {name}: {1 / rated[name]['ratio']['median']:.2f}x the time of {rated[name]['best_rival']}"
        )
    if not rated:
        print("CHECK FAILED  no rival took part")
    return 1 if failed or not rated else 0


if __name__ == "__main__":
    run_script(main)
