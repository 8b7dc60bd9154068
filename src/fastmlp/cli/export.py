"""`fastmlp export`: a model for where there is no fastmlp, as ONNX or as a file of C."""

import argparse
from pathlib import Path
from typing import Any

from fastmlp.cli.arguments import add_json, described
from fastmlp.cli.exits import Report
from fastmlp.cli.models import open_model
from fastmlp.cli.outputs import add_force, refuse_existing

__all__ = ["add"]

EXAMPLES = """
examples:
  fastmlp export model.safetensors --onnx
  fastmlp export model.safetensors --c --name price -o price.h
"""


def add(commands: Any) -> None:
    """Add the command."""
    export = described(commands, "export", "write a model for where there is no fastmlp", EXAMPLES)
    export.add_argument("model", help="file that `fastmlp train`, or a network's `save`, has written")
    which = export.add_mutually_exclusive_group(required=True)
    which.add_argument("--onnx", dest="form", action="store_const", const="onnx",
                       help="an ONNX model (needs onnx: pip install 'fastmlp[onnx]')")  # fmt: skip
    which.add_argument("--c", dest="form", action="store_const", const="c",
                       help="one file of C99 without the heap, with a function for a row")  # fmt: skip
    export.add_argument("-o", "--out", metavar="FILE", help="default: the model's name with .onnx or .h, beside it")
    export.add_argument("--name", default="model", help="of the function in C, NAME_predict (default: model)")
    add_force(export)
    add_json(export)
    export.set_defaults(gather=_export, show=_show)


def _export(given: argparse.Namespace) -> Report:
    out = given.out or str(Path(given.model).with_suffix(".onnx" if given.form == "onnx" else ".h"))
    refuse_existing([out], given.force, [given.model])
    model = open_model(given.model)
    if given.form == "onnx":
        model.to_onnx(out)
    else:
        model.to_c(out, given.name)
    return {"model": given.model, "form": given.form, "out": out, "bytes": Path(out).stat().st_size}


def _show(report: Report) -> None:
    print(f"{report['out']}: {report['bytes']:,} bytes")
