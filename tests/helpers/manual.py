"""The manual's pages, and the code in them."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

from places import ROOT

DOCS = ROOT / "docs"


def run(code: str, where: Path, names: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of trainings that end before they have come anywhere
        exec(compile(code, str(where), "exec"), names)


def boxes(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
