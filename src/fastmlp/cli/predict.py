"""`fastmlp predict`: a model's predictions for the rows of a file."""

import argparse
import sys
from typing import Any

from fastmlp.cli.arguments import add_encoding, add_json, described
from fastmlp.cli.exits import Report
from fastmlp.cli.files import read_table
from fastmlp.cli.models import open_model
from fastmlp.cli.outputs import add_force, csv_text, refuse_existing, write
from fastmlp.cli.text import counted

__all__ = ["add"]

EXAMPLES = """
examples:
  fastmlp predict model.safetensors new.csv -o predictions.csv
  fastmlp predict model.safetensors new.csv | head
"""


def add(commands: Any) -> None:
    """Add the command."""
    predict = described(commands, "predict", "predict with a model for the rows of a file", EXAMPLES)
    predict.add_argument("model", help="file that `fastmlp train`, or a network's `save`, has written")
    predict.add_argument(
        "data", help="CSV (also .gz), .parquet, .npy, .npz or IDX, with the columns that the model knows"
    )
    predict.add_argument("-o", "--out", metavar="FILE", help="CSV to write: predictions, and of classes their "
                         "probabilities, a row for each of the data's (default: standard output)")  # fmt: skip
    add_encoding(predict)
    add_force(predict)
    add_json(predict)
    predict.set_defaults(gather=_predict, show=_show_predict)


def _predict(given: argparse.Namespace) -> Report:
    refuse_existing([given.out], given.force, [given.data, given.model])
    model = open_model(given.model)
    table = read_table(given.data, given.encoding, model.kinds)
    columns = model.predictions(model.outputs(model.select(table).columns))
    report: Report = {"model": given.model, "data": given.data, "rows": len(table), "out": given.out}
    if given.out is not None:
        write(given.out, csv_text(columns))
    elif given.json:
        report["columns"] = {name: column.tolist() for name, column in columns.items()}
    else:
        report["text"] = csv_text(columns)
    return report


def _show_predict(report: Report) -> None:
    if report["out"] is None:
        sys.stdout.write(report["text"])
    else:
        print(f"{counted(report['rows'], 'prediction')} in {report['out']}")
