"""`fastmlp train`: a model of a file's rows, a report of what it is worth, and the history of its training."""

import argparse
import csv
import io
import time
from pathlib import Path
from typing import Any

from fastmlp.cli.arguments import add_encoding, add_json, described, duration, fraction, names, number, sizes, whole
from fastmlp.cli.exits import Report
from fastmlp.cli.files import FileTable, gaps, kind_of, read_table, read_with_target
from fastmlp.cli.outputs import add_force, refuse_existing, write
from fastmlp.cli.page import page
from fastmlp.cli.pictures import pictures_of
from fastmlp.cli.problem import Problem, as_problem, split
from fastmlp.cli.scores import importances, metrics_of, scores
from fastmlp.cli.text import complain, counted, shown, table, table_of_scores
from fastmlp.cli.watching import Watch
from fastmlp.runtime import VERSION
from fastmlp.runtime.threads import MAX_THREADS
from fastmlp.spec import Array

__all__ = ["add"]

EXAMPLES = """
examples:
  fastmlp train houses.csv --target price
  fastmlp train people.parquet --target income --ignore id --time 60s --test others.parquet
  fastmlp train train-images-idx3-ubyte.gz --target train-labels-idx1-ubyte.gz --out fashion.safetensors
then:
  fastmlp predict model.safetensors new.csv -o predictions.csv
"""

#: Options that are the recipe's own: None leaves each of them to it.
RECIPE = {
    "sizes": "hidden_layer_sizes",
    "epochs": "epochs",
    "batch_size": "batch_size",
    "learning_rate": "learning_rate",
    "dropout": "dropout",
    "networks": "n_estimators",
    "bins": "n_bins",
}


def add(commands: Any) -> None:
    """Add the command."""
    train = described(commands, "train", "train a model on the rows of a file, and tell what it is worth", EXAMPLES)
    train.add_argument("data", help="CSV or other delimited text (also .gz), .parquet, .npy, .npz or IDX")
    train.add_argument("--target", metavar="COLUMN", required=True, help="what to predict: a column, by its name or "
                       "number (1 is the first, -1 the last), or a file that has nothing else")  # fmt: skip
    train.add_argument("--task", choices=["auto", "classification", "regression"], default="auto",
                       help="auto: text is classes, and so are up to 20 whole numbers")  # fmt: skip
    train.add_argument("--ignore", type=names, default=(), metavar="A,B", help="columns to learn nothing from")
    train.add_argument("--categorical", type=names, default=(), metavar="A,B",
                       help="columns of numbers that are names of categories; columns of text always are")  # fmt: skip
    train.add_argument("--skip-empty", action="store_true", help="leave out rows without a target")
    train.add_argument("--validation", default="0.2", metavar="SHARE|FILE", help="rows that tell the best epoch: a "
                       "share of the data, or a file (default: 0.2)")  # fmt: skip
    train.add_argument("--test", metavar="FILE", help="rows that have no part in the training, to measure the model on")
    add_encoding(train)

    how = train.add_argument_group("how to train")
    how.add_argument("--effort", choices=["fast", "default", "best"], default="default",
                     help="a small network, a larger one, or several (default: default)")  # fmt: skip
    how.add_argument("--time", type=duration, metavar="60s", help="how long it may take: 90, 60s, 5m or 1h")
    how.add_argument("--sizes", type=sizes, metavar="256,128", help="units of the hidden layers")
    how.add_argument("--epochs", type=whole(1), help="times to go over the rows, at most")
    how.add_argument("--batch-size", type=whole(1), help="rows of a step")
    how.add_argument("--learning-rate", type=number, help="its peak")
    how.add_argument("--dropout", type=fraction, help="share of the hidden units that are left out in a step")
    how.add_argument("--networks", type=whole(1), help="whose mean is the model")
    how.add_argument("--bins", type=whole(0, 1024), help="of each column of numbers, 0 for none")
    how.add_argument("--metric", help="what tells the best epoch, such as auc or mae")
    how.add_argument("--balanced", action="store_true", help="let all classes weigh the same")
    how.add_argument("--seed", type=whole(0, 2**31 - 1), default=0, help="of all random numbers (default: 0)")
    how.add_argument("--threads", type=whole(1, MAX_THREADS), help="default: as many as there are processors")

    out = train.add_argument_group("what to write")
    out.add_argument("--out", default="model.safetensors", metavar="FILE", help="default: model.safetensors")
    out.add_argument("--report", metavar="FILE", help="a page with tables and pictures (default: report.html beside "
                     "the model; where that is called NAME.safetensors, NAME-report.html)")  # fmt: skip
    out.add_argument(
        "--history", metavar="FILE", help="what each epoch measured (default: history.csv in the same way)"
    )
    add_force(train)
    add_json(train)
    train.set_defaults(gather=_train, show=_show)


def _train(given: argparse.Namespace) -> Report:
    begun = time.monotonic()
    from fastmlp.cli.models.tabular import TabularModel, estimators  # which need scikit-learn

    estimators()
    report_path = given.report or _beside(given.out, "report.html")
    history_path = given.history or _beside(given.out, "history.csv")
    sources = [
        path for path in (given.data, given.target, given.validation, given.test) if path and Path(path).exists()
    ]
    refuse_existing([given.out, report_path, history_path], given.force, sources)

    data, target = read_with_target(
        given.data, given.target, given.encoding, dict.fromkeys(given.categorical, "category")
    )
    problem = as_problem(data, target, given.task, given.ignore, given.categorical, given.skip_empty)
    learnt, validation = _parts(given, problem)
    test = None if given.test is None else _other(given, problem, given.test)
    for warning in problem.warnings:
        complain(f"fastmlp: warning: {warning}")

    limit = None if given.time is None else max(0.1, given.time - (time.monotonic() - begun))
    with Watch(draw=not given.json) as watch:
        estimator = _fitted(given, problem, learnt, validation, watch, limit)
    kinds = {name: kind_of(column) for name, column in problem.features.columns.items()}
    model = TabularModel(estimator, problem.target, kinds)
    model.save(given.out)
    seconds = time.monotonic() - begun

    outputs = model.outputs(validation[0].columns)
    metrics = metrics_of(None if problem.classes is None else len(problem.classes))
    found = {"validation": scores(metrics, validation[1], outputs)}
    if test is not None:
        found["test"] = scores(metrics, test[1], model.outputs(test[0].columns))
    report: Report = {
        "model": given.out,
        "report": report_path,
        "history": history_path,
        "data": given.data,
        "target": problem.target,
        "task": problem.task,
        "classes": None if problem.classes is None else list(problem.classes),
        "rows": {
            "training": len(learnt[1]),
            "validation": len(validation[1]),
            "test": 0 if test is None else len(test[1]),
        },
        "columns": _columns(problem.features),
        "left_out": problem.left_out,
        "warnings": problem.warnings,
        "scores": found,
        "metric": metrics[0].name,
        "importances": importances(model.outputs, validation[0].columns, validation[1], metrics[0]),
        "training": _told(given, estimator, watch, seconds),
        "seconds": seconds,
        "interrupted": watch.interrupted,
    }
    labels = None if problem.classes is None else [str(each) for each in problem.classes]
    first = next(iter(estimator.evals_result_.values()))
    write(history_path, _history(estimator.evals_result_))
    pictures = pictures_of(first, validation[1], outputs, labels, problem.target, _metric_of(estimator))
    write(report_path, page(report, pictures))
    return report


def _parts(given: argparse.Namespace, problem: Problem) -> tuple[tuple[FileTable, Array], tuple[FileTable, Array]]:
    """Return the rows to learn from, and those that tell the best epoch: features and targets."""
    if Path(given.validation).is_file():
        return (problem.features, problem.y), _other(given, problem, given.validation)
    try:
        share = fraction(given.validation)
    except argparse.ArgumentTypeError:
        share = 0.0
    if not share:
        raise ValueError(f"--validation is {given.validation!r}, which is neither a share > 0 and < 1 nor a file")
    rows, held = split(problem, share, given.seed)
    return (problem.features.rows(rows), problem.y[rows]), (problem.features.rows(held), problem.y[held])


def _other(given: argparse.Namespace, problem: Problem, path: str) -> tuple[FileTable, Array]:
    """Read another file as the data were."""
    kinds = {name: kind_of(column) for name, column in problem.features.columns.items()}
    if problem.classes is not None and isinstance(problem.classes[0], str):
        kinds[problem.target] = "category"  # as they are written
    return problem.apply(read_table(path, given.encoding, kinds))


def _fitted(
    given: argparse.Namespace,
    problem: Problem,
    learnt: tuple[FileTable, Array],
    validation: tuple[FileTable, Array],
    watch: Watch,
    time_limit: float | None,
) -> Any:
    """Train the estimator that the options say."""
    from fastmlp.tabular import TabularClassifier, TabularRegressor
    from fastmlp.tabular.columns import NamedColumns

    options = {theirs: getattr(given, ours) for ours, theirs in RECIPE.items()}
    options |= {"metric": given.metric or "auto", "time_limit": time_limit, "n_threads": given.threads}
    options |= {"random_state": given.seed, "callbacks": [watch]}
    if problem.classes is None:
        if given.balanced:
            raise ValueError("--balanced is for classes, and the target is numbers")
        estimator: Any = TabularRegressor(given.effort, **options)
    else:
        weights = "balanced" if given.balanced else None
        estimator = TabularClassifier(given.effort, class_weight=weights, **options)
    (X, y), (X_val, y_val) = ((NamedColumns(part.columns), problem.labels_of(y)) for part, y in (learnt, validation))
    return estimator.fit(X, y, eval_set=(X_val, y_val))


def _columns(features: FileTable) -> dict[str, Report]:
    """Tell of each column what it holds."""
    told: dict[str, Report] = {}
    for name, column in features.columns.items():
        missing = gaps(column)
        text = kind_of(column) == "category"
        different = len(set(column[~missing].tolist())) if text else None
        told[name] = {"kind": kind_of(column), "gaps": int(missing.sum()), "different": different}
    return told


def _told(given: argparse.Namespace, estimator: Any, watch: Watch, seconds: float) -> dict[str, str]:
    """Tell how the model was made."""
    net, results = estimator.ensemble_[0], estimator.evals_result_
    epochs = [len(each["epoch"]) for each in results.values()]
    return {
        "model": f"{type(estimator).__name__}, effort {given.effort!r}, seed {given.seed}",
        "networks": f"{len(estimator.ensemble_)} of {' - '.join(map(str, net.sizes))}",
        "epochs": ", ".join(map(str, epochs)) + (", then stopped by Ctrl-C" if watch.interrupted else ""),
        "best epoch by": _metric_of(estimator),
        "seconds": f"{seconds:.1f}",
        "fastmlp": VERSION,
    }


def _metric_of(estimator: Any) -> str:
    """Name what told the best epoch."""
    return str(getattr(estimator.metric_, "name", estimator.metric_))


def _history(results: dict[str, dict[str, list[float]]]) -> str:
    """Lay out what each epoch of each network measured, as CSV."""
    named = list(dict.fromkeys(name for columns in results.values() for name in columns))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["network", *named])
    for network, columns in enumerate(results.values()):
        for epoch in range(len(columns["epoch"])):
            writer.writerow([network, *(columns[name][epoch] if name in columns else "" for name in named)])
    return out.getvalue()


def _beside(model: str, name: str) -> str:
    """Name a file beside the model's, of which it has the name, unless that is the default one."""
    path = Path(model)
    return str(path.with_name(name if path.stem == "model" else f"{path.stem}-{name}"))


def _show(report: Report) -> None:
    rows = report["rows"]
    what = "numbers" if report["classes"] is None else f"{len(report['classes'])} classes"
    print(f"{report['target']}: {what}, from {counted(len(report['columns']), 'column')} of {report['data']}")
    print(f"{counted(rows['training'], 'row')} to learn from, {rows['validation']:,} held out")
    if report["interrupted"]:
        print("stopped by Ctrl-C: the model is as far as it came")
    for which, of_rows in report["scores"].items():
        print(f"\n{which} rows ({rows[which]:,}):\n{table_of_scores(of_rows)}")
    best = [[name, shown(worth)] for name, worth in list(report["importances"].items())[:8]]
    metric = report["metric"].replace("_", " ")
    print(
        f"\ncolumns that tell most, by how much worse the {metric} is without them:\n{table(['column', ''], best, 1)}"
    )
    print(f"\n{report['model']}, {report['report']} and {report['history']} after {report['seconds']:.1f} s")
