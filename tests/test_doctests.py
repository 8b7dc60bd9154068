"""The examples in docstrings give what they say."""

import doctest
import importlib
import warnings
from pathlib import Path

import pytest

import fastmlp

PACKAGE = Path(fastmlp.__file__).parent


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = sorted(module_name(path) for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8"))


def test_modules_are_found():
    assert {"fastmlp", "fastmlp.network", "fastmlp.patch", "fastmlp.sklearn", "fastmlp.spec"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    if name.startswith(("fastmlp.sklearn", "fastmlp.patch")):
        pytest.importorskip("sklearn", reason=f"the examples of {name} need scikit-learn")
    with warnings.catch_warnings():
        # That there is no extension, and so no patching; and of an old scikit-learn with a new SciPy.
        warnings.filterwarnings("ignore", "fastmlp ")
        warnings.simplefilter("ignore", DeprecationWarning)
        result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
