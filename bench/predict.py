"""Prediction from Python, a NumPy array in, a NumPy array out: fastmlp against NumPy, PyTorch, JAX, ONNX Runtime.

Each runs in a process of its own, in the fastest of the ways that its experts know (_peers/prediction.py); they take
turns, round by round. `python bench/predict.py --help` tells the options, README.md how to read the figures.
"""

import argparse
import itertools
import statistics
from typing import Any

from _common import describe, failed_checks, machine, one_of, run_script, write_json
from _peers.crew import assemble, same_job
from _peers.job import ACTIVATIONS, Job
from _peers.report import add_options, best_rival, chart, ratios, say_left_out, threads_in_use
from _worker import WorkerFailed
from _workloads import Shape, load_predictions

from fastmlp.cli import table
from fastmlp.runtime.measure import fma_peak

PEERS = ("fastmlp", "numpy", "sklearn", "torch", "jax", "onnxruntime")
#: Issue 3: never slower than the fastest; these more than that.
AT_LEAST = {"20-64-64-1, batch 32": 1.4, "20-64-64-1, batch 1024": 1.4, "20-64-64-1, batch 16384": 1.4}
AT_LEAST |= {"784-256-128-10, batch 1": 1.3}
MOST_MICROSECONDS = {"20-64-64-1, batch 1": 1.5}
MOST_ERROR = {"float32": 1e-4, "float64": 1e-10}


def compare(net: Shape, batch: int, options: argparse.Namespace, told: set[str]) -> dict[str, Any]:
    """Run all rounds of one network at one batch size."""
    job = Job(
        sizes=net.sizes,
        batch=batch,
        rows=batch,
        activation=options.activation,
        loss=net.loss,
        dtype=options.dtype,
        threads=options.threads or 0,
        tune_seconds=options.tune_seconds,
    )
    peak = fma_peak(threads_in_use(options.threads), dtype=options.dtype)
    with assemble("predict", same_job(job, options.peers)) as crew:
        rivals = dict(crew.rivals)
        rounds = crew.rounds(options.rounds, options.seconds)
        say_left_out(crew, told)
    if "fastmlp" not in rounds:
        raise WorkerFailed(crew.left_out["fastmlp"])
    peak = max(peak, fma_peak(threads_in_use(options.threads), dtype=options.dtype))
    flops = 2.0 * batch * sum(i * o for i, o in itertools.pairwise(net.sizes))
    found = ratios(rounds)
    variants = {}
    for name, answers in rounds.items():
        median = statistics.median(a["seconds"] for a in answers)
        variants[name] = {
            "us_per_call_min": 1e6 * min(a["min"] for a in answers),
            "us_per_call_median": 1e6 * median,
            "rows_per_second": batch / median,
            "percent_of_peak": 100 * flops / median / peak,
            "slower_than_fastmlp": found[name],
            "error": rivals[name].facts["error"],
            "way": rivals[name].facts["way"],
            "versions": rivals[name].versions,
            "rounds": answers,
        }
    best = best_rival(found, ours=("fastmlp",))
    return {
        "job": job.to_dict(),
        "fma_peak_gflops": peak / 1e9,
        "variants": variants,
        "best_rival": best,
        "ratio": found[best] if best else None,
        "left_out": crew.left_out,
    }


def show(name: str, result: dict[str, Any]) -> str:
    """Write one network's rows, the fastest first."""
    rows = []
    order = sorted(result["variants"].items(), key=lambda item: item[1]["slower_than_fastmlp"]["median"])
    for variant, figures in order:
        ratio = figures["slower_than_fastmlp"]
        rows.append([
            variant,
            f"{figures['us_per_call_min']:.2f}",
            f"{figures['us_per_call_median']:.2f}",
            f"{figures['rows_per_second']:.4g}",
            f"{figures['percent_of_peak']:.1f}",
            f"{ratio['median']:.2f}",
            f"{ratio['min']:.2f} - {ratio['max']:.2f}",
            f"{figures['error']:.0e}",
            figures["way"],
        ])  # fmt: skip
    names = ["", "us/call min", "median", "rows/s", "% of peak", "ratio", "(range)", "error", "way"]
    return f"\n{name}\n{table(names, rows, 1)}"


def failures(results: dict[str, dict[str, Any]]) -> list[str]:
    """List the figures that should be and were not reached in this run."""
    least = {name: AT_LEAST.get(name, 1.0) for name in results}
    found = {name: result["ratio"]["median"] for name, result in results.items() if result["ratio"]}
    failed = failed_checks(found, least, "x the fastest rival")
    for name, most in MOST_MICROSECONDS.items():
        if name in results and (us := results[name]["variants"]["fastmlp"]["us_per_call_median"]) > most:
            failed.append(f"{name}: {us:.2f} us is more than {most:g} us")
    return failed


def main() -> int:
    """Compare, print, write, draw, check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    nets, numbers = load_predictions()
    parser.add_argument("--nets", type=one_of(list(nets)), default=list(nets), help=f"default: {','.join(nets)}")
    batches = [str(n) for n in numbers]
    parser.add_argument("--batches", type=one_of(batches), default=batches, help=f"default: {','.join(batches)}")
    parser.add_argument("--peers", type=one_of(PEERS), default=list(PEERS), help=f"default: {','.join(PEERS)}")
    parser.add_argument("--activation", choices=ACTIVATIONS, default="relu")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a figure is less than AT_LEAST")
    add_options(parser, rounds=7, seconds=0.2, tune=1.0)
    options = parser.parse_args()
    options.peers = ["fastmlp", *(name for name in options.peers if name != "fastmlp")]

    where, told = machine(), set[str]()
    print(describe(where), flush=True)
    print(f"{options.dtype}, {options.rounds} rounds of {options.seconds:g} s; ratio: its time by fastmlp's")
    results = {}
    for net in options.nets:
        for batch in map(int, options.batches):
            name = f"{net}, batch {batch}"
            results[name] = compare(nets[net], batch, options, told)
            print(show(name, results[name]), flush=True)

    print("\nratio to the fastest rival")
    rows = [
        [
            name,
            r["best_rival"],
            f"{r['variants']['fastmlp']['us_per_call_median']:.2f}",
            f"{r['ratio']['median']:.2f}",
            f"{r['ratio']['min']:.2f} - {r['ratio']['max']:.2f}",
        ]
        for name, r in results.items()
        if r["ratio"]
    ]
    print(table(["network", "rival", "fastmlp us", "ratio", "(range)"], rows, 2))
    for variant in {v: None for r in results.values() for v in r["variants"]}:
        where["versions"] |= next(
            r["variants"][variant]["versions"] for r in results.values() if variant in r["variants"]
        )
    settings = {
        "dtype": options.dtype,
        "activation": options.activation,
        "threads": options.threads or "auto",
        "rounds": options.rounds,
        "seconds": options.seconds,
        "tune_seconds": options.tune_seconds,
    }
    path = write_json(options.json, "predict", {"machine": where, "settings": settings, "results": results})
    print(f"\nwritten to {path}")
    if options.png:
        groups = {
            name.replace(", ", "\n"): {
                variant: figures["slower_than_fastmlp"]["median"]
                for variant, figures in result["variants"].items()
                if variant != "fastmlp"
            }
            for name, result in results.items()
        }
        note = f"{options.dtype}; {where['cpu']}, {where['isa']}; {where['date'][:10]}"
        chart(options.png, "Others take {least:.3g} to {most:.0f} times as long for a prediction", note, groups)
    wrong = [
        f"{name}: {variant}'s outputs are off by {figures['error']:.1e}"
        for name, result in results.items()
        for variant, figures in result["variants"].items()
        if not figures["error"] <= MOST_ERROR[options.dtype]
    ]
    failed = failures(results) if options.check else []
    for line in wrong:
        print(f"NOT THE SAME OUTPUTS  {line}")
    for line in failed:
        print(f"CHECK FAILED  {line}")
    return 1 if failed or wrong else 0


if __name__ == "__main__":
    run_script(main)
