"""What docs/command_line.md types gives what it shows."""

from __future__ import annotations

import doctest
import re
import shlex
import sys

import pytest
from places import ROOT

from fastmlp import cli

PAGE = ROOT / "docs" / "command_line.md"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason=f"no manual in {ROOT}")


def test_the_typed_sessions_are_as_shown(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # pictures are another test's
    text = PAGE.read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    exec(code, {})
    typed = 0
    for session in re.findall(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        for command, shown in re.findall(r"^\$ fastmlp (.*)\n((?:(?!\$ ).*\n)*)", session, re.MULTILINE):
            code = cli.main(shlex.split(command))
            out, err = capsys.readouterr()
            flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            assert doctest.OutputChecker().check_output(shown, out + err, flags), f"{command}\n{out}{err}"
            assert code == (2 if "error" in shown else 0)
            typed += 1
    assert typed == text.count("\n$ ")


def test_all_commands_and_extras_are_named():
    text = PAGE.read_text(encoding="utf-8")
    for command in ("train", "predict", "evaluate", "show", "export", "bench", "demo", "info"):
        assert re.search(rf"\bfastmlp {command}\b", text), command
