"""`fastmlp show`: what is in a model's file."""

import argparse
from typing import Any

from fastmlp.cli.arguments import add_json, described
from fastmlp.cli.exits import Report
from fastmlp.cli.models import open_model

__all__ = ["add"]

EXAMPLES = """
example:
  fastmlp show model.safetensors
"""


def add(commands: Any) -> None:
    """Add the command."""
    show = described(commands, "show", "show what is in a model's file", EXAMPLES)
    show.add_argument("model", help="file that `fastmlp train`, or a network's `save`, has written")
    add_json(show)
    show.set_defaults(gather=_gather, show=_show)


def _gather(given: argparse.Namespace) -> Report:
    model = open_model(given.model)
    report: Report = {"model": given.model, **model.describe()}
    if not given.json:
        report["text"] = model.text()
    return report


def _show(report: Report) -> None:
    print(report["text"])
