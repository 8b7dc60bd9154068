"""The list of small wrong changes applies to the sources as they are. What becomes of each: nox -s mutants."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest
from places import CSRC, ROOT

pytestmark = pytest.mark.skipif(not (CSRC / "kernels.h").exists(), reason=f"no C sources in {CSRC}")


def script() -> ModuleType:
    path = Path(__file__).parents[1] / "mutants" / "run.py"
    spec = importlib.util.spec_from_file_location("mutants_run", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look for their module there
    spec.loader.exec_module(module)
    return module


MUTANTS = script().mutants()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_change_has_its_place_its_tests_and_a_reason(mutant) -> None:
    assert mutant.place(ROOT).is_file()
    assert mutant.old != mutant.new
    assert mutant.why
    paths = [argument for argument in shlex.split(mutant.tests) if argument.startswith("tests/")]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_there_are_enough_of_each_language() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    counts = {
        language: sum(mutant.language == language for mutant in MUTANTS) for language in ("c", "cython", "python")
    }
    assert min(counts.values()) >= 20
    assert len(MUTANTS) >= 60
