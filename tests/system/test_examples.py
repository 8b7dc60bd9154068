"""The examples: each says first what it needs, and those that need fastmlp alone run where there is nothing else."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

import fastmlp

EXAMPLES = sorted((*(ROOT / "examples").glob("*.py"), *(ROOT / "examples" / "distributed").glob("*.py")))
ALONE = "Needs fastmlp alone"

pytestmark = pytest.mark.skipif(not EXAMPLES, reason=f"no examples in {ROOT}")
each_example = pytest.mark.parametrize("path", EXAMPLES, ids=[path.name for path in EXAMPLES])


def docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


STAND_ALONE = [path for path in EXAMPLES if ALONE in docstring(path)]


@pytest.fixture
def nothing_else(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that can import fastmlp and NumPy, and none of what else may be installed here."""
    others = ["sklearn", "scipy", "matplotlib", "pandas", "tqdm", "safetensors", "threadpoolctl", "torch"]
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({others}))\n")
    package = str(Path(fastmlp.__file__).parents[1])
    path = os.pathsep.join(filter(None, [str(tmp_path), package, os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}


@each_example
def test_an_example_says_in_its_first_lines_what_it_needs_and_how_to_run_it(path: Path) -> None:
    lines = docstring(path).splitlines()
    assert any(line.startswith("Needs ") for line in lines[:4])
    place = path.relative_to(ROOT).as_posix()
    assert re.search(rf"python (-m mpi4py\S* )?{place}", "\n".join(lines))


@each_example
def test_an_example_imports_what_it_says_it_needs(path: Path) -> None:
    imported = re.findall(r"^ *(?:from|import) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    needs = docstring(path)
    words = {"sklearn": "scikit-learn", "torch": "PyTorch", "distributed": "Dask", "ray": "Ray"}
    for module, word in (words | {name: name for name in ("matplotlib", "mpi4py")}).items():
        assert (module in imported) == (word in needs.partition("Needs ")[2]), module
    if ALONE in needs:
        assert set(imported) <= {"numpy", "fastmlp", *sys.stdlib_module_names}


def test_two_examples_need_fastmlp_alone() -> None:
    assert len(STAND_ALONE) >= 2


@pytest.mark.parametrize("path", STAND_ALONE, ids=[path.name for path in STAND_ALONE])
def test_an_example_runs_where_there_is_fastmlp_alone(path: Path, nothing_else: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(path)]
    if fastmlp.runtime.load_passes()[0] is None:
        command[1:3] = []  # without the extension there is a warning
    result = subprocess.run(
        command, cwd=tmp_path, env=nothing_else, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr
    expected = {
        "digits.py": r"test accuracy 0\.9\d",
        "learning_rate.py": r"suggestion: 0\.00\d+\n",
        "save_and_resume.py": "the same weights, bit for bit: True",
    }
    assert re.search(expected.get(path.name, r"\S"), result.stdout)
