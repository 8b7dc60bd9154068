"""`fastmlp evaluate`: how good a model is on the rows of a file."""

import argparse
from typing import Any

from fastmlp.cli.arguments import add_encoding, add_json, described
from fastmlp.cli.exits import Report
from fastmlp.cli.files import FileTable, read_with_target
from fastmlp.cli.models import Model, as_targets, open_model
from fastmlp.cli.scores import metrics_of, scores
from fastmlp.cli.text import counted, table_of_scores

__all__ = ["add", "measured"]

EXAMPLES = """
examples:
  fastmlp evaluate model.safetensors test.csv
  fastmlp evaluate network.safetensors test.npz --target y
"""


def add(commands: Any) -> None:
    """Add the command."""
    evaluate = described(commands, "evaluate", "measure a model on rows whose target is known", EXAMPLES)
    evaluate.add_argument("model", help="file that `fastmlp train`, or a network's `save`, has written")
    evaluate.add_argument("data", help="CSV (also .gz), .parquet, .npy or .npz, with the target's column")
    evaluate.add_argument("--target", metavar="COLUMN", help="the column to compare with, by name or number, or a "
                          "file that has nothing else (default: the one that the model was trained on)")  # fmt: skip
    add_encoding(evaluate)
    add_json(evaluate)
    evaluate.set_defaults(gather=_evaluate, show=_show_evaluate)


def _evaluate(given: argparse.Namespace) -> Report:
    model = open_model(given.model)
    wanted = given.target or model.target
    if wanted is None:
        raise ValueError(f"{given.model} does not know which column it tells: pass --target")
    table, target = read_with_target(given.data, wanted, given.encoding, model.kinds_with(wanted))
    return {
        "model": given.model,
        "data": given.data,
        "target": target,
        "rows": len(table),
        "scores": measured(model, table, target),
    }


def measured(model: Model, table: FileTable, target: str) -> dict[str, Report]:
    """Return the scores of a model on a table that has the target."""
    y = as_targets(table, target, model.classes)
    outputs = model.outputs(model.select(table.without([target])).columns)
    if model.classes is None and outputs.shape[1] != 1:
        raise ValueError(f"the model tells {outputs.shape[1]} numbers for a row, and {table.path} has one target")
    return scores(metrics_of(None if model.classes is None else len(model.classes)), y, outputs)


def _show_evaluate(report: Report) -> None:
    print(f"{counted(report['rows'], 'row')} of {report['data']}, {report['target']}:\n")
    print(table_of_scores(report["scores"]))
