"""The manual: its boxes run, every public name has a page and an example, and the gallery keeps its form."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

import pytest
from manual import DOCS, boxes, run

import fastmlp

GUIDE = sorted((DOCS / "guide").glob("*.md"))

pytestmark = pytest.mark.skipif(not GUIDE, reason=f"no manual in {DOCS}")


@pytest.mark.parametrize("path", GUIDE, ids=[path.stem for path in GUIDE])
def test_the_boxes_of_the_guide_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    code = boxes(path.read_text(encoding="utf-8"))
    assert code or path.stem == "index"
    for box in code:
        run(box, path, names)


# ---- the reference --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def api_pages():
    pytest.importorskip("sphinx", reason="the reference is made by Sphinx, which comes with '.[docs]'")
    sys.path.insert(0, str(DOCS))
    try:
        return importlib.import_module("api_pages")
    finally:
        sys.path.remove(str(DOCS))


def test_every_public_name_has_a_page(api_pages) -> None:
    groups = api_pages.groups()
    of_fastmlp = [name for group in groups if group.module == "fastmlp" for name in group.names]
    assert len(of_fastmlp) == len(set(of_fastmlp))
    assert set(of_fastmlp) == set(fastmlp.__all__) - {"__version__", *api_pages.MODULES}
    for group in groups:
        if group.module != "fastmlp" and group.title.removeprefix("fastmlp.") not in api_pages.CHOSEN:
            offered = set(importlib.import_module(group.module).__all__)
            assert offered - set(group.names) <= api_pages.ELSEWHERE.get(group.title.removeprefix("fastmlp."), set())
    page = api_pages.index()
    assert all(f"   {name}\n" in page for name in of_fastmlp)
    files = [name.lower() for name in api_pages.file_names().values()]
    assert len(files) == len(set(files))


def test_every_public_name_has_documentation_and_an_example(api_pages) -> None:
    without, constants = [], {}
    for group in api_pages.groups():
        if group.module.removeprefix("fastmlp.") in api_pages.MOCKED:  # whose docstrings need PyTorch
            continue
        for name in group.names:
            text = api_pages.text_of(group.module, name)
            if ">>> " not in text:
                without.append(f"{group.module}.{name}")
            thing = getattr(importlib.import_module(group.module), name)
            if not (inspect.isclass(thing) or inspect.isroutine(thing) or type(thing).__module__.startswith("fastmlp")):
                constants[name] = text
            members = inspect.getmembers(thing) if inspect.isclass(thing) else []
            for member, value in members:
                ours = any(member in each.__dict__ for each in thing.__mro__ if each.__module__.startswith("fastmlp"))
                described = isinstance(inspect.getattr_static(thing, member), property) or callable(value)
                if not member.startswith("_") and ours and described and not inspect.getdoc(value):
                    without.append(f"{group.module}.{name}.{member}")
    assert without == []
    # Comments are no docstrings, in which test_doctests.py would have found these.
    assert {"METRICS", "METRIC_ALIASES", "Mode"} <= set(constants)
    runner = doctest.DocTestRunner()
    for name, text in constants.items():
        runner.run(doctest.DocTestParser().get_doctest(text, {"fastmlp": fastmlp}, name, None, None))
    assert runner.summarize().failed == 0


# ---- the gallery ----------------------------------------------------------------------------------------------------

GALLERY = sorted((DOCS / "gallery").glob("[0-9]*.py"))


@pytest.mark.parametrize("path", GALLERY, ids=[path.stem for path in GALLERY])
def test_a_script_of_the_gallery_is_short_and_asserts_what_it_says(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    tree = ast.parse(text)
    assert (ast.get_docstring(tree) or "").splitlines()[1].startswith("=")
    assert any(isinstance(node, ast.Assert) for node in ast.walk(tree))


# ---- the drawings ---------------------------------------------------------------------------------------------------


def test_the_drawings_are_what_their_script_draws_and_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = DOCS / "drawings"
    monkeypatch.syspath_prepend(folder)
    drawings = importlib.import_module("draw").DRAWINGS
    shown = (DOCS / "design.md").read_text(encoding="utf-8")
    assert {path.name for path in folder.glob("*.svg")} == set(drawings)
    for name, draw in drawings.items():
        assert (folder / name).read_text(encoding="utf-8") == draw()
        assert f"(drawings/{name})" in shown
