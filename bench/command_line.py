"""`fastmlp train` and `fastmlp predict` on files, beside scikit-learn's MLP in a pipeline made by hand for each.

Five data sets out of packages, as CSV, Parquet and IDX; whole processes, from reading the file to the written
predictions; the rows of the test are drawn anew for each seed. `python bench/command_line.py --help` tells the options,
README.md how to read the table.
"""

from __future__ import annotations

import argparse
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from _common import describe, machine, one_of, positive, run_script, threads_argument, write_json
from _tables import DATA, Files, make, missing
from _worker import HANDICAPS

from fastmlp.cli.text import table
from fastmlp.runtime.measure import limit_threads

#: Ways of scikit-learn's MLP.
RIVALS = {"stopped": "two layers of 128, and early stopping", "plain": "scikit-learn's defaults"}
#: A difference is none, with five per cent of error, within so many standard errors: Student's t by seeds - 1.
STUDENT = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}


# ---- scikit-learn's side, in a process of its own -------------------------------------------------------------------


def rival(data: str, target: str, test: str, out: str, seed: int, way: str) -> None:
    """Read, train, predict and write as somebody does who knows scikit-learn: gaps filled, numbers scaled, one-hot."""
    import pandas as pd
    from sklearn.compose import TransformedTargetRegressor, make_column_transformer
    from sklearn.compose import make_column_selector as columns
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

    warnings.simplefilter("ignore")  # of trainings that could have gone on
    options: dict[str, Any] = {"random_state": seed}
    if way == "stopped":
        options |= {"hidden_layer_sizes": (128, 128), "early_stopping": True}
    if Path(target).exists():
        from fastmlp.datasets import load_idx  # a reader, which scikit-learn has not

        X, y, X_test = (load_idx(path) for path in (data, target, test))
        model = make_pipeline(MinMaxScaler(), MLPClassifier(**options))
        model.fit(X.reshape(len(X), -1), y)
        guess, chances = _predicted(model, X_test.reshape(len(X_test), -1), classes=True)
    else:
        read = pd.read_parquet if data.endswith(".parquet") else pd.read_csv
        frame, X_test = read(data), read(test)
        X, y = frame.drop(columns=target), frame[target]
        encode = make_column_transformer(
            (
                make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
                columns(dtype_include="number"),
            ),
            (OneHotEncoder(handle_unknown="ignore", sparse_output=False), columns(dtype_exclude="number")),
        )
        classes = y.dtype.kind != "f" and y.nunique() <= 20
        net = MLPClassifier(**options) if classes else MLPRegressor(**options)
        net = net if classes else TransformedTargetRegressor(net, transformer=StandardScaler())
        model = make_pipeline(encode, net)
        model.fit(X, y)
        guess, chances = _predicted(model, X_test, classes)
    pd.DataFrame({"guess": guess} | {f"p({name})": chances[name] for name in chances}).to_csv(out, index=False)


def _predicted(model: Any, X: Any, classes: bool) -> tuple[Any, dict[Any, Any]]:
    chances = dict(zip(model.classes_, model.predict_proba(X).T, strict=True)) if classes else {}
    return model.predict(X), chances


# ---- both sides, as commands ----------------------------------------------------------------------------------------


def ours(files: Files, folder: Path, seed: int, effort: str) -> list[list[str]]:
    """Return the two commands."""
    program = [sys.executable, "-m", "fastmlp"]
    model, out = str(folder / "model.safetensors"), str(folder / "ours.csv")
    train = ["train", str(files.train), "--target", files.target, "--seed", str(seed), "--effort", effort]
    return [
        [*program, *train, "--out", model, "--force", "--json"],
        [*program, "predict", model, str(files.test), "-o", out, "--force"],
    ]


def theirs(files: Files, folder: Path, seed: int, way: str) -> list[list[str]]:
    """Return the one command of scikit-learn's side."""
    what = [str(files.train), files.target, str(files.test), str(folder / f"{way}.csv"), str(seed), way]
    return [[sys.executable, __file__, "--rival", *what]]


def run(commands: list[list[str]], out: Path, files: Files, threads: int | None) -> dict[str, float]:
    """Run commands one after the other; return their seconds, and what the predictions are worth."""
    environment = {name: value for name, value in limit_threads(threads).items() if name not in HANDICAPS}
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-500:]}")
    seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "CPU seconds": used, **worth(out, files)}


def worth(out: Path, files: Files) -> dict[str, float]:
    """Measure written predictions: the error that decides, and a second one to look at."""
    import pandas as pd

    found, truth = pd.read_csv(out), files.truth
    guess = found.iloc[:, 0].to_numpy()
    if not files.classes:
        wrong = guess - truth
        return {"error": float(np.sqrt(np.mean(wrong**2))), "second": float(np.abs(wrong).mean())}
    names = [str(label) for label in truth.tolist()]
    chances = found[[f"p({name})" for name in dict.fromkeys(names)]]
    of_truth = chances.to_numpy()[np.arange(len(names)), chances.columns.get_indexer([f"p({name})" for name in names])]
    return {
        "error": float(np.mean([str(each) != name for each, name in zip(guess.tolist(), names, strict=True)])),
        "second": float(-np.log(np.clip(of_truth, 1e-15, None)).mean()),
    }


# ---- the table ------------------------------------------------------------------------------------------------------


def against(mine: list[float], other: list[float]) -> str:
    """Tell by how many per cent of ours their error is larger, with the interval of the mean over paired seeds."""
    more = [100 * (b - a) / max(statistics.fmean(mine), 1e-12) for a, b in zip(mine, other, strict=True)]
    mean = statistics.fmean(more)
    if len(more) == 1:
        return f"{mean:+.1f} %"
    reach = STUDENT.get(len(more) - 1, 2.2) * statistics.stdev(more) / math.sqrt(len(more))
    return f"{mean:+.1f} % ({mean - reach:+.1f} to {mean + reach:+.1f})"


def report(rounds: list[dict[str, Any]], sides: list[str]) -> str:
    """Lay out the means over the seeds, and the comparisons."""
    lines = []
    for name in dict.fromkeys(each["data"] for each in rounds):
        of = {side: [r for r in rounds if (r["data"], r["side"]) == (name, side)] for side in sides}
        for side in sides:
            mean = {
                key: statistics.fmean(r[key] for r in of[side]) for key in ("error", "second", "CPU seconds", "seconds")
            }
            mine, other = ([r["error"] for r in of[each]] for each in ("fastmlp", side))
            values = [
                f"{mean['error']:.5g}",
                f"{mean['second']:.4g}",
                f"{mean['CPU seconds']:.1f}",
                f"{mean['seconds']:.1f}",
            ]
            ratio = "" if side == "fastmlp" else against(mine, other)
            lines.append([name if side == sides[0] else "", side, str(len(of[side])), *values, ratio])
    head = ["", "", "seeds", "error", "log loss or mae", "CPU s", "s", "theirs is larger by (95 %)"]
    return table(head, lines)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=one_of(list(DATA)), default=list(DATA))
    parser.add_argument("--seeds", type=positive(int), default=3, help="how many")
    parser.add_argument("--effort", choices=["fast", "default", "best"], default="default")
    parser.add_argument("--rivals", type=one_of(list(RIVALS)), default=list(RIVALS),
                        help="; ".join(f"{name}: {what}" for name, what in RIVALS.items()))  # fmt: skip
    parser.add_argument("--threads", type=threads_argument, default="auto", help="of either side; default: as it likes")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> int:
    """Train, predict and measure, side by side; print and write."""
    if sys.argv[1:2] == ["--rival"]:
        data, target, test, out, seed, way = sys.argv[2:]
        rival(data, target, test, out, int(seed), way)
        return 0
    options = arguments()
    where = machine()
    print(describe(where))
    rounds: list[dict[str, Any]] = []
    sides = ["fastmlp", *options.rivals]
    for name in options.data:
        if (wanted := missing(name)) is not None:
            print(f"{name} is left out: {wanted}")
            continue
        for seed in range(options.seeds):
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder)
                files = make(name, place, seed)
                for side in sides:
                    mine = side == "fastmlp"
                    commands = ours(files, place, seed, options.effort) if mine else theirs(files, place, seed, side)
                    found = run(commands, place / ("ours.csv" if mine else f"{side}.csv"), files, options.threads)
                    rounds.append({"data": name, "seed": seed, "side": side, **found})
                    told = f"{found['error']:.5g} in {found['CPU seconds']:.1f} CPU s"
                    print(f"{name} {seed} {side}: {told}", file=sys.stderr)
    if not rounds:
        return 2
    print(report(rounds, sides))
    print(f"written to {write_json(options.json, 'command-line', {'machine': where, 'rounds': rounds})}")
    return 0


if __name__ == "__main__":
    run_script(main)
