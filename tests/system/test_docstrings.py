"""Docstrings that can be read without the name above them, as `help` and an editor show them; read off the sources."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import PACKAGE, ROOT

SOURCES = sorted(path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".pyx", ".pxd", ".pyi"})
# Words by which a sentence goes on from one before it.
GOES_ON = re.compile(
    r"(Of|That|Those|Them|Such as|So many|In the order|The same|Same|Without|Where|For who|To be|As when|Asked)\b"
)

pytestmark = pytest.mark.skipif(not SOURCES, reason=f"no sources in {PACKAGE}")


def docstrings(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield ast.get_docstring(node) or ""
    else:
        yield from re.findall(r'^\s*"""(.*?)"""', text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", SOURCES, ids=[path.relative_to(ROOT).as_posix() for path in SOURCES])
def test_docstrings_stand_without_the_name_above_them(path: Path) -> None:
    assert not [text[:80] for text in docstrings(path) if GOES_ON.match(text)]
