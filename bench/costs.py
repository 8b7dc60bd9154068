"""What a feature costs: a step with it by a plain step, of networks that train in turns in the same process.

`python bench/costs.py --help` tells the options, README.md how to read the figures.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from _common import describe, machine, one_of, positive, run_script, threads_argument, write_json
from _paired import median_interval, paired_ratio
from _side import quick
from _workloads import Workload, load_workloads

import fastmlp
from fastmlp.cli import table

PLAIN = {"activation": "relu"}
#: Name: what of the network and of its optimizer differs from a plain one (ReLU, Adam), and the most that it may cost.
#: A norm of 1e-3 binds in every step.
FEATURES: dict[str, tuple[dict[str, Any], fastmlp.spec.Optimizer, float | None]] = {
    "plain": (PLAIN, fastmlp.Adam(1e-4), None),
    "tanh": ({"activation": "tanh"}, fastmlp.Adam(1e-4), None),
    "gelu": ({"activation": "gelu"}, fastmlp.Adam(1e-4), 1.15),
    "gelu_tanh": ({"activation": "gelu_tanh"}, fastmlp.Adam(1e-4), None),
    "silu": ({"activation": "silu"}, fastmlp.Adam(1e-4), 1.1),
    "mish": ({"activation": "mish"}, fastmlp.Adam(1e-4), 1.15),
    "maxout": ({"activation": fastmlp.Maxout(2)}, fastmlp.Adam(1e-4), 2.2),
    "selu": ({"activation": "selu"}, fastmlp.Adam(1e-4), None),
    "hard_swish": ({"activation": "hard_swish"}, fastmlp.Adam(1e-4), None),
    "dropout": ({"activation": "relu", "dropout": 0.2}, fastmlp.Adam(1e-4), 1.15),
    "gelu_dropout": ({"activation": "gelu", "dropout": 0.1}, fastmlp.Adam(1e-4), None),
    "input_noise": ({"activation": "relu", "input_noise": 0.1}, fastmlp.Adam(1e-4), None),
    "adamw": (PLAIN, fastmlp.AdamW(1e-4), 1.05),
    "nadam": (PLAIN, fastmlp.NAdam(1e-4), 1.05),
    "lion": (PLAIN, fastmlp.Lion(1e-5, weight_decay=0.1), 1.05),
    "rmsprop": (PLAIN, fastmlp.RMSprop(1e-4), 1.05),
    "schedule_free": (PLAIN, fastmlp.ScheduleFreeAdamW(1e-4), None),
    "muon": (PLAIN, fastmlp.Muon(1e-3), None),
    "l2": (PLAIN | {"l2": 1e-4}, fastmlp.Adam(1e-4), None),
    "l1_l2": (PLAIN | {"l1": 1e-5, "l2": 1e-4}, fastmlp.Adam(1e-4), 1.05),
    "max_norm": (PLAIN | {"max_norm": 1.0}, fastmlp.Adam(1e-4), None),
    "residual": (PLAIN | {"residual": True}, fastmlp.Adam(1e-4), 1.05),
    "layer norm": (PLAIN | {"norm": "layer"}, fastmlp.Adam(1e-4), 1.2),
    "batch norm": (PLAIN | {"norm": "batch"}, fastmlp.Adam(1e-4), 1.4),
    "clip_norm": (PLAIN, fastmlp.Adam(1e-4), 1.15),
    "clip_value": (PLAIN, fastmlp.Adam(1e-4), None),
    "ema": (PLAIN, fastmlp.Adam(1e-4), 1.1),
    "per_sample": (PLAIN, fastmlp.Adam(1e-4), None),
    "schedule": (PLAIN, fastmlp.Adam(fastmlp.schedules.Cosine(1e-4, steps=10**7, warmup=1000)), 1.01),
}
#: Arguments of fit that a feature stands for, by its name.
OF_FIT: dict[str, dict[str, Any]] = {
    "clip_norm": {"clip_norm": 1e-3},
    "clip_value": {"clip_value": 1e-3},
    "ema": {"ema": 0.999},
    "per_sample": {"per_sample": True},
}


class Training:
    """A network that trains with a feature."""

    def __init__(self, name: str, workload: Workload, threads: int | None) -> None:
        different, self.optimizer, self.limit = FEATURES[name]
        self.workload, self.threads, self.of_fit = workload, threads, OF_FIT.get(name, {})
        self.X, self.y = workload.data("float32")
        arguments: Any = {"loss": workload.loss, "output": workload.output, "seed": 0} | different
        self.net = fastmlp.MLP(workload.sizes, backend="cython", **arguments)

    def step_seconds(self, epochs: int) -> float:
        """Seconds of a step in quick epochs."""
        options: Any = {"batch_size": self.workload.batch, "threads": self.threads} | self.of_fit
        history = self.net.fit(self.X, self.y, epochs=epochs, optimizer=self.optimizer, **options)
        return quick(history.seconds) / self.workload.steps


def rounds_of(feature: Training, plain: Training, rounds: int, seconds: float) -> list[dict[str, float]]:
    """Rounds A B B A of a feature and the plain training."""
    epochs = max(2, round(seconds / (plain.step_seconds(2) * plain.workload.steps)))
    feature.step_seconds(epochs)
    found = []
    for _ in range(rounds):
        visits = [training.step_seconds(epochs) for training in (plain, feature, feature, plain)]
        base, this = [visits[0], visits[3]], visits[1:3]
        means = {"plain": statistics.fmean(base), "this": statistics.fmean(this)}
        found.append(means | {"ratio": paired_ratio(base, this)})
    return found


def main() -> int:
    """Measure, print, write, check."""
    workloads, names = load_workloads(), [name for name in FEATURES if name != "plain"]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--features", type=one_of(names), default=names, help=f"default: {','.join(names)}")
    parser.add_argument("--workload", choices=list(workloads), default="tab", help="default: tab")
    parser.add_argument("--threads", type=threads_argument, default=2, help="auto or a number (default: 2)")
    parser.add_argument("--rounds", type=positive(int), default=15, help="of each feature (default: 15)")
    parser.add_argument("--seconds", type=positive(float), default=0.05, help="of a visit (default: 0.05)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a feature costs more than it may")
    parser.add_argument("--json", type=Path, help="where to write the report (default: a new file in build/bench)")
    options = parser.parse_args()
    where, workload = machine(), workloads[options.workload]
    print(f"{describe(where)}\n{workload.name}, float32, threads {options.threads or 'auto'}\n", flush=True)
    plain = Training("plain", workload, options.threads)
    results, rows, failed = {}, [], []
    for name in options.features:
        feature = Training(name, workload, options.threads)
        rounds = rounds_of(feature, plain, options.rounds, options.seconds)
        ratios = [each["ratio"] for each in rounds]
        ratio, (low, high) = statistics.median(ratios), median_interval(ratios)
        results[name] = {"ratio": ratio, "interval": [low, high], "limit": feature.limit, "rounds": rounds}
        us = [f"{1e6 * statistics.median(each[side] for each in rounds):.2f}" for side in ("plain", "this")]
        limit = "" if feature.limit is None else f"{feature.limit:.2f}"
        rows.append([name, *us, f"{ratio:.3f}", f"{low:.3f} - {high:.3f}", limit])
        if feature.limit is not None and ratio > feature.limit:
            failed.append(f"{name}: {ratio:.3f} of a plain step, more than {feature.limit:g}")
    print(table(["feature", "plain us", "us", "ratio", "95% interval", "at most"], rows, 1))
    settings = {key: getattr(options, key) for key in ("workload", "threads", "rounds", "seconds")}
    report = {"machine": where, "settings": settings, "results": results}
    print(f"\nwritten to {write_json(options.json, 'costs', report)}")
    for line in failed if options.check else []:
        print(f"CHECK FAILED  {line}")
    return 1 if options.check and failed else 0


if __name__ == "__main__":
    run_script(main)
