"""The examples in docstrings that need other libraries, or data that other packages have."""

import importlib
import warnings

import pytest

from examples import NEEDS, run_examples
from fastmlp.datasets import load_fashion_mnist


def wanted_by(library):
    """Skip where it is not there; the names are as .ci/run looks for them."""
    if library == "pandas":
        pytest.importorskip("pandas")
    elif library == "pyarrow":
        pytest.importorskip("pyarrow")
    elif library == "onnx":
        pytest.importorskip("onnx")
    elif library == "optuna":
        pytest.importorskip("optuna")
    elif library == "tensorboardX":
        pytest.importorskip("tensorboardX")
    else:
        try:
            load_fashion_mnist()
        except FileNotFoundError as error:
            pytest.skip(str(error))


@pytest.mark.parametrize(("module", "name"), NEEDS, ids=[name for _, name in NEEDS])
def test_examples_that_need_a_library(module, name):
    wanted_by(NEEDS[module, name])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        result = run_examples(importlib.import_module(module), lambda of: of == name)
    assert result.attempted > 1
    assert result.failed == 0
