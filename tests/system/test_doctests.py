"""The examples in docstrings give what they say."""

import importlib
import warnings
from pathlib import Path

import pytest

import fastmlp
from examples import NEEDS, Finder, run_examples

PACKAGE = Path(fastmlp.__file__).parent


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


#: Of these, only the examples that need a library.
NEED_A_LIBRARY = {module for module, _ in NEEDS} - {"fastmlp.network.load"}
WITH_EXAMPLES = {module_name(path) for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8")}
MODULES = sorted(WITH_EXAMPLES - NEED_A_LIBRARY)


def test_modules_are_found():
    assert {"fastmlp", "fastmlp.network.mlp", "fastmlp.patch", "fastmlp.sklearn", "fastmlp.spec.network"} <= set(
        MODULES
    )


def test_examples_of_decorated_functions_are_found():
    found = {test.name for test in Finder().find(importlib.import_module("fastmlp.network.training"), "network")}
    assert {"network.Training", "network.Training.fit", "network.Training.step"} <= found


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    if name.startswith(("fastmlp.sklearn", "fastmlp.patch")):
        pytest.importorskip("sklearn", reason=f"the examples of {name} need scikit-learn")
    if name.startswith("fastmlp.plot"):
        matplotlib = pytest.importorskip("matplotlib", reason=f"the examples of {name} draw with Matplotlib")
        matplotlib.use("agg")
        pytest.importorskip("sklearn", reason=f"the examples of {name} need scikit-learn")
    if name.startswith("fastmlp.torch"):
        pytest.importorskip("torch", reason=f"the examples of {name} need PyTorch")
    with warnings.catch_warnings():
        # That there is no extension, and so no patching; and of an old scikit-learn with a new SciPy.
        warnings.filterwarnings("ignore", "fastmlp ")
        warnings.simplefilter("ignore", DeprecationWarning)
        result = run_examples(importlib.import_module(name), lambda of: (name, of) not in NEEDS)
    assert result.attempted > 0
    assert result.failed == 0
