"""How good the tabular estimators are for the time that they take: errors and CPU seconds, beside those of others.

`python bench/tabular.py --help` tells the options, README.md how to read the figures.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _common import describe, machine, one_of, positive, run_script, write_json

from fastmlp.cli.text import table

if TYPE_CHECKING:
    from collections.abc import Callable

#: Data that scikit-learn ships, where no folder with others is given.
SHIPPED = ("breast_cancer", "wine", "digits", "diabetes")


@dataclass(frozen=True)
class Data:
    """Rows in three parts: to train on, to stop and select by, and to test."""

    parts: list[tuple[Any, np.ndarray]]
    classes: bool

    def error(self, out: np.ndarray, y: np.ndarray) -> float:
        """Share of wrong classes, 1 - AUC for a rare one of two; the root mean square error by the deviation."""
        if not self.classes:
            return float(np.sqrt(np.mean((out - y) ** 2)) / y.std())
        if out.shape[1] == 2 and min(y.mean(), 1.0 - y.mean()) < 0.05:
            from sklearn.metrics import roc_auc_score

            return 1.0 - float(roc_auc_score(y, out[:, 1]))
        return float((out.argmax(axis=1) != y).mean())


def load(name: str, folder: Path | None) -> Data:
    """Read a data set: columns, `__y__` and `__split__` (0, 1, 2) of a Parquet file, or one that scikit-learn ships."""
    if folder is not None:
        import pandas as pd

        frame = pd.read_parquet(folder / f"{name}.parquet")
        X, y, part = (
            frame.drop(columns=["__y__", "__split__"]),
            frame["__y__"].to_numpy(),
            frame["__split__"].to_numpy(),
        )
        parts = [(X[part == k].reset_index(drop=True), y[part == k]) for k in range(3)]
    else:
        import sklearn.datasets

        X, y = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
        part = np.digitize(np.random.default_rng(0).random(len(y)), [0.6, 0.8])
        parts = [(X[part == k], y[part == k]) for k in range(3)]
    return Data(parts, classes=np.asarray(y).dtype.kind in "iu")


def fastmlp_model(effort: str) -> Callable[..., Any]:
    """The estimators of this package."""

    def fit(data: Data, seed: int, threads: int) -> Any:
        from fastmlp.tabular import TabularClassifier, TabularRegressor

        kind = TabularClassifier if data.classes else TabularRegressor
        return kind(effort, random_state=seed, n_threads=threads).fit(*data.parts[0], eval_set=data.parts[1])

    return fit


def trees(library: str) -> Callable[..., Any]:
    """Boosted trees with their defaults, stopped after 50 rounds without progress on the second part."""

    def fit(data: Data, seed: int, threads: int) -> Any:
        (X, y), (V, v) = data.parts[0], data.parts[1]
        if library == "lightgbm":
            import lightgbm as lgb

            kind = lgb.LGBMClassifier if data.classes else lgb.LGBMRegressor
            net = kind(n_estimators=2000, random_state=seed, n_jobs=threads, verbose=-1)
            return net.fit(X, y, eval_set=[(V, v)], callbacks=[lgb.early_stopping(50, verbose=False)])
        import catboost

        named = [c for c in X if X[c].dtype == "category"] if hasattr(X, "columns") else []
        kind = catboost.CatBoostClassifier if data.classes else catboost.CatBoostRegressor
        net = kind(random_state=seed, thread_count=threads, verbose=0, allow_writing_files=False, cat_features=named)
        net.fit(texts(X, named), y, eval_set=[(texts(V, named), v)], early_stopping_rounds=50)
        return Texts(net, named)

    return fit


def texts(X: Any, named: list[str]) -> Any:
    """Return a frame whose categories are text, "?" where there is a gap, as CatBoost wants them."""
    return X.assign(**{c: X[c].astype(object).where(X[c].notna(), "?").astype(str) for c in named}) if named else X


@dataclass(frozen=True)
class Texts:
    """A model that reads categories as text."""

    model: Any
    named: list[str]

    def predict(self, X: Any) -> Any:
        """Predict numbers."""
        return self.model.predict(texts(X, self.named))

    def predict_proba(self, X: Any) -> Any:
        """Predict probabilities."""
        return self.model.predict_proba(texts(X, self.named))


MODELS: dict[str, tuple[Callable[..., Any], str]] = {
    "fast": (fastmlp_model("fast"), "fastmlp"),
    "default": (fastmlp_model("default"), "fastmlp"),
    "best": (fastmlp_model("best"), "fastmlp"),
    "lightgbm": (trees("lightgbm"), "lightgbm"),
    "catboost": (trees("catboost"), "catboost"),
}


def cpu_seconds() -> float:
    """Seconds that this process's threads have computed."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(model: str, name: str, seed: int, threads: int, folder: Path | None) -> dict[str, float]:
    """Fit and predict in this process; imports and reading are outside of the seconds."""
    warnings.simplefilter("ignore")
    fit, library = MODELS[model]
    importlib.import_module(library)
    data = load(name, folder)
    begun = cpu_seconds()
    net = fit(data, seed, threads)
    X, y = data.parts[2]
    out = np.asarray(net.predict_proba(X) if data.classes else net.predict(X), float)
    seconds = cpu_seconds() - begun
    V, v = data.parts[1]
    held = np.asarray(net.predict_proba(V) if data.classes else net.predict(V), float)
    return {"error": data.error(out, y), "validation error": data.error(held, v), "seconds": seconds}


def score(errors: list[float]) -> float:
    """Geometric mean of errors that are shifted by 0.01, so that one near 0 does not decide alone."""
    return float(np.exp(np.mean(np.log(np.array(errors) + 0.01))) - 0.01)


def draw(path: Path, points: dict[str, tuple[float, float]]) -> None:
    """Draw the score of each model against its CPU seconds, and the line of those that nothing beats in both."""
    import matplotlib as mpl

    mpl.use("agg")
    from fastmlp.plot.style import COLOURS, GREY, axes

    ax = axes(None)
    front = sorted(p for p in points.values() if not any(q[0] < p[0] and q[1] < p[1] for q in points.values()))
    ax.plot(*zip(*front, strict=True), color=GREY, linewidth=1, zorder=1)
    for name, point in points.items():
        ax.plot(*point, "o", color=COLOURS[0 if MODELS[name][1] == "fastmlp" else 1])
        ax.annotate(name, point, xytext=(5, 5), textcoords="offset points")
    ax.margins(0.2)
    ax.set(xscale="log", xlabel="CPU seconds for all data sets", ylabel="error (shifted geometric mean)")
    ax.figure.savefig(path, dpi=150)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--models", type=one_of(list(MODELS)), default=list(MODELS))
    parser.add_argument("--folder", type=Path, help="Parquet files with the columns __y__ and __split__ (0, 1, 2)")
    parser.add_argument(
        "--data", help="names, with commas between; default: all of the folder, or what scikit-learn ships"
    )
    parser.add_argument("--seeds", type=positive(int), default=1, help="how many")
    parser.add_argument("--threads", type=positive(int), default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--png", type=Path, help="where to draw error against seconds (needs matplotlib)")
    parser.add_argument("--one", nargs=3, metavar=("MODEL", "DATA", "SEED"), help=argparse.SUPPRESS)
    return parser.parse_args()


def in_own_process(model: str, name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one model on one data set in a fresh process."""
    command = [sys.executable, __file__, "--one", model, name, str(seed), "--threads", str(options.threads)]
    command += [] if options.folder is None else ["--folder", str(options.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{model} on {name}: {done.stderr[-300:]}")
    return {"model": model, "data": name, "seed": seed, **json.loads(done.stdout.splitlines()[-1])}


def report(rounds: list[dict[str, Any]], names: list[str], models: list[str]) -> dict[str, tuple[float, float]]:
    """Print errors and seconds, means over the seeds; return each model's seconds and score of all data sets."""
    means = {
        (model, name): [float(np.mean([r[key] for r in rounds if (r["model"], r["data"]) == (model, name)]))
                        for key in ("error", "seconds")]
        for model in models for name in names
    }  # fmt: skip
    points = {
        model: (sum(means[model, name][1] for name in names), score([means[model, name][0] for name in names]))
        for model in models
    }
    lines = [[name, *("{:.4f} in {:.1f} s".format(*means[model, name]) for model in models)] for name in names]
    lines.append(["all", *(f"{points[model][1]:.4f} in {points[model][0]:.1f} s" for model in models)])
    print(table(["", *models], lines))
    return points


def main() -> int:
    """Measure each model on each data set in a process of its own; print, write, draw."""
    options = arguments()
    if options.one:
        model, name, seed = options.one
        print(json.dumps(measure(model, name, int(seed), options.threads, options.folder)))
        return 0
    found = SHIPPED if options.folder is None else sorted(path.stem for path in options.folder.glob("*.parquet"))
    names = options.data.split(",") if options.data else list(found)
    missing = [name for name in options.models if importlib.util.find_spec(MODELS[name][1]) is None]
    models = [name for name in options.models if name not in missing]
    where = machine()
    print(describe(where))
    if missing:
        print(f"not installed: {', '.join(missing)}")
    rounds = [
        in_own_process(model, name, seed, options)
        for name in names
        for seed in range(options.seeds)
        for model in models
    ]
    points = report(rounds, names, models)
    print(f"written to {write_json(options.json, 'tabular', {'machine': where, 'rounds': rounds})}")
    if options.png:
        draw(options.png, points)
    return 0


if __name__ == "__main__":
    run_script(main)
