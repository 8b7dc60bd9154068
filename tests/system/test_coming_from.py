"""The tables of what is typed in other libraries and here: every line runs, in the order of its page."""

from __future__ import annotations

import ast
import shlex
from pathlib import Path
from typing import Any

import pytest
from manual import DOCS, boxes, run

from fastmlp.cli import main

COMING_FROM = sorted(path for path in (DOCS / "coming_from").glob("*.md") if path.stem != "index")

pytestmark = pytest.mark.skipif(not COMING_FROM, reason=f"no manual in {DOCS}")


def rows(path: Path) -> list[tuple[str, str]]:
    """What is typed there and here, of every row of a page's tables."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip()[1:-1].split("|")]
        if line.startswith("| ") and len(cells) == 3 and cells[0] != "what":
            found.append((cells[1].strip("`"), cells[2].strip("`")))
    return found


@pytest.mark.parametrize("path", COMING_FROM, ids=[path.stem for path in COMING_FROM])
def test_every_line_of_coming_from_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if path.stem == "sklearn":
        pytest.importorskip("sklearn")
    names: dict[str, Any] = {}
    for box in boxes(path.read_text(encoding="utf-8")):
        run(box, path, names)
    lines = rows(path)
    assert len(lines) > 15
    for there, here in lines:
        ast.parse(there)
        assert here, there
        if here.startswith("$ fastmlp "):
            assert main(shlex.split(here)[2:]) == 0
        else:
            run(here, path, names)


@pytest.mark.parametrize("stem", ["sklearn", "pytorch"])
def test_every_line_of_theirs_runs(stem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = DOCS / "coming_from" / f"{stem}.md"
    names: dict[str, Any] = {}
    if stem == "pytorch":
        pytest.importorskip("torch")
        run("import torch\nfrom torch import nn", path, names)
    else:
        pytest.importorskip("sklearn")
    for box in boxes(path.read_text(encoding="utf-8")):
        run(box, path, names)
    for there, _ in rows(path):
        run(there, path, names)
