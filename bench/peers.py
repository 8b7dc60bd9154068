"""fastmlp against every other way to train the same network on the same data on a CPU.

Rivals: scikit-learn, PyTorch (eager, and compiled as one graph), JAX with optax, and the NumPy version that ships with
fastmlp. Each runs in a process of its own, in the fastest of the ways that its experts know (_peers/training.py); they
take turns, round by round. `python bench/peers.py --help` tells the options, README.md how to read the figures.
"""

import argparse
import statistics
from typing import Any

from _common import describe, failed_checks, machine, one_of, run_script, write_json
from _peers.crew import assemble, same_job
from _peers.job import ACTIVATIONS, Job
from _peers.report import OURS, add_options, best_rival, draw_training, ratios, say_left_out, threads_in_use
from _worker import WorkerFailed
from _workloads import Workload, load_workloads

from fastmlp.cli import table
from fastmlp.runtime.measure import fma_peak, training_flops

PEERS = ("fastmlp", "numpy", "sklearn", "torch", "torch.compile", "jax", "jax-scan")
#: Least ratios to the fastest rival, float32 and ReLU; for other activations the same within 30 %.
AT_LEAST = {
    "tiny": 5.0,
    "batch8": 4.5,
    "online": 3.0,
    "tab": 3.0,
    "digits": 1.6,
    "wide": 1.2,
    "huge": 1.08,
    "deep": 2.5,
}
AT_LEAST_FLOAT64 = {"tab": 1.3, "digits": 1.3, "wide": 1.3}
AT_LEAST_NUMPY = {"tiny": 12.0, "tab": 4.0, "digits": 3.0}
AT_LEAST_PERCENT = {"huge": 80.0}
OTHER_ACTIVATIONS = 0.7
#: Losses of the first epoch, from the same weights in the same order, differ by rounding only.
SAME_LOSS = 0.01


def compare(workload: Workload, options: argparse.Namespace, told: set[str]) -> dict[str, Any]:
    """Run all rounds of one workload."""
    job = Job(
        sizes=tuple(workload.sizes),
        batch=workload.batch,
        rows=workload.rows,
        activation=options.activation or workload.activation,
        loss=workload.loss,
        dtype=options.dtype,
        threads=options.threads or 0,
        tune_seconds=options.tune_seconds,
    )
    threads = threads_in_use(options.threads)
    peaks = [fma_peak(threads, dtype=options.dtype)]
    with assemble("train", same_job(job, options.peers)) as crew:
        say_left_out(crew, told)
        rivals = dict(crew.rivals)
        rounds: dict[str, list[dict[str, Any]]] = {}
        for _ in range(options.rounds):
            one = crew.rounds(1, options.seconds)
            peaks.append(fma_peak(threads, dtype=options.dtype))
            rounds = {name: rounds.get(name, []) + answers for name, answers in one.items()}
        say_left_out(crew, told)
    if "fastmlp" not in rounds:
        raise WorkerFailed(crew.left_out["fastmlp"])

    flops, found = training_flops(job.sizes, job.batch), ratios(rounds)
    variants = {}
    for name, answers in rounds.items():
        median = statistics.median(a["seconds"] for a in answers)
        variants[name] = {
            "us_per_step_min": 1e6 * min(a["seconds"] for a in answers),
            "us_per_step_median": 1e6 * median,
            "gflops": flops / median / 1e9,
            "percent_of_peak": 100 * flops / median / max(peaks),
            "slower_than_fastmlp": found[name],
            "first_loss": rivals[name].facts["loss"],
            "way": rivals[name].facts["way"],
            "versions": rivals[name].versions,
            "rounds": answers,
        }
    return {
        "job": job.to_dict(),
        "gflop_per_step": flops / 1e9,
        "fma_peak_gflops": max(peaks) / 1e9,
        "variants": variants,
        "best_rival": (best := best_rival(found)),
        "ratio": found[best] if best else None,
        "left_out": crew.left_out,
    }


def show(name: str, result: dict[str, Any]) -> str:
    """Write one workload's rows, the fastest first."""
    job, rows = result["job"], []
    order = sorted(result["variants"].items(), key=lambda item: item[1]["slower_than_fastmlp"]["median"])
    for variant, figures in order:
        ratio = figures["slower_than_fastmlp"]
        rows.append([
            variant,
            f"{figures['us_per_step_min']:.2f}",
            f"{figures['us_per_step_median']:.2f}",
            f"{figures['gflops']:.1f}",
            f"{figures['percent_of_peak']:.1f}",
            f"{ratio['median']:.2f}",
            f"{ratio['min']:.2f} - {ratio['max']:.2f}",
            f"{figures['first_loss']:.5g}",
            figures["way"],
        ])  # fmt: skip
    sizes = "-".join(map(str, job["sizes"]))
    title = f"\n{name}: {sizes}, batch {job['batch']}, {job['activation']}, FMA peak {result['fma_peak_gflops']:.0f}"
    names = ["", "us/step min", "median", "GFLOP/s", "% of peak", "ratio", "(range)", "first loss", "way"]
    return f"{title} GFLOP/s\n{table(names, rows, 1)}"


def failures(results: dict[str, dict[str, Any]], options: argparse.Namespace) -> list[str]:
    """List the figures that should be and were not reached in this run."""
    relu = all(result["job"]["activation"] == "relu" for result in results.values())
    least = dict(AT_LEAST) if options.dtype == "float32" else dict(AT_LEAST_FLOAT64)
    if not relu:
        least = {name: OTHER_ACTIVATIONS * limit for name, limit in least.items()}
    least = {name: limit for name, limit in least.items() if name in results}
    found = {name: result["ratio"]["median"] for name, result in results.items() if result["ratio"]}
    failed = failed_checks(found, least, "x the fastest rival")
    if options.dtype == "float32" and relu:
        by_numpy = {
            name: result["variants"]["numpy"]["slower_than_fastmlp"]["median"]
            for name, result in results.items()
            if "numpy" in result["variants"]
        }
        failed += failed_checks(by_numpy, {n: v for n, v in AT_LEAST_NUMPY.items() if n in by_numpy}, "x NumPy")
        percent = {name: result["variants"]["fastmlp"]["percent_of_peak"] for name, result in results.items()}
        failed += failed_checks(percent, {n: v for n, v in AT_LEAST_PERCENT.items() if n in percent}, " % of peak")
    return failed


def different_losses(results: dict[str, dict[str, Any]]) -> list[str]:
    """Rivals that do not train the same network."""
    return [
        f"{name}: {variant}'s loss in the first epoch is {figures['first_loss']:.6g}, fastmlp's {own:.6g}"
        for name, result in results.items()
        for own in [result["variants"]["fastmlp"]["first_loss"]]
        for variant, figures in result["variants"].items()
        if not abs(figures["first_loss"] - own) <= SAME_LOSS * abs(own)
    ]


def main() -> int:
    """Compare, print, write, draw, check."""
    workloads = load_workloads()
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--workloads", type=one_of(list(workloads)), default=list(workloads), help="default: all")
    parser.add_argument("--peers", type=one_of(PEERS), default=list(PEERS), help=f"default: {','.join(PEERS)}")
    parser.add_argument("--activation", choices=ACTIVATIONS, help="of the hidden layers (default: the workload's)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a ratio is less than AT_LEAST")
    add_options(parser, rounds=7, seconds=0.5, tune=2.0)
    options = parser.parse_args()
    options.peers = ["fastmlp", *(name for name in options.peers if name != "fastmlp")]

    where, told = machine(), set[str]()
    print(describe(where), flush=True)
    print(f"{options.dtype}, Adam, {options.rounds} rounds of {options.seconds:g} s; ratio: its time by fastmlp's")
    results = {}
    for name in options.workloads:
        results[name] = compare(workloads[name], options, told)
        print(show(name, results[name]), flush=True)

    print("\nratio to the fastest rival")
    rows = [
        [name, r["best_rival"], f"{r['ratio']['median']:.2f}", f"{r['ratio']['min']:.2f} - {r['ratio']['max']:.2f}"]
        for name, r in results.items()
        if r["ratio"]
    ]
    print(table(["workload", "rival", "ratio", "(range)"], rows, 2))
    for variant in {v: None for r in results.values() for v in r["variants"]}:
        versions = next(r["variants"][variant]["versions"] for r in results.values() if variant in r["variants"])
        where["versions"] |= {package: v for package, v in versions.items() if package not in OURS}
    settings = {
        "dtype": options.dtype,
        "threads": options.threads or "auto",
        "rounds": options.rounds,
        "seconds": options.seconds,
        "tune_seconds": options.tune_seconds,
    }
    report = {"machine": where, "settings": settings, "results": results}
    print(f"\nwritten to {write_json(options.json, 'peers', report)}")
    if options.png:
        draw_training(options.png, report)
    differing = different_losses(results)
    failed = failures(results, options) if options.check else []
    for line in differing:
        print(f"NOT THE SAME TRAINING  {line}")
    for line in failed:
        print(f"CHECK FAILED  {line}")
    return 1 if failed or differing else 0


if __name__ == "__main__":
    run_script(main)
