"""The examples in docstrings: where they are, and whether they give what they say."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Callable
from types import ModuleType

#: Docstrings whose examples need more than NumPy: module, name in it, and what is wanted.
NEEDS = {
    ("fastmlp.data.frames", "table"): "pandas",
    ("fastmlp.data.parquet", "parquet"): "pyarrow",
    ("fastmlp.datasets.fashion_mnist", "load_fashion_mnist"): "dataset-fashion-mnist",
    ("fastmlp.network.load", "from_onnx"): "onnx",
    ("fastmlp.train.pruning", "OptunaPruning"): "optuna",
    ("fastmlp.train.tensorboard", "TensorBoard"): "tensorboardX",
}


class Finder(doctest.DocTestFinder):
    """Looks into decorated functions, too: what wraps them is of another module."""

    def _from_module(self, module, found):
        return super()._from_module(module, inspect.unwrap(found) if inspect.isfunction(found) else found)


def run_examples(module: ModuleType, wanted: Callable[[str], bool]) -> doctest.TestResults:
    """Run the examples of a module's docstrings of wanted names; return how many there were, and how many failed."""
    runner = doctest.DocTestRunner()
    for test in Finder().find(module, module.__name__):
        if wanted(test.name.removeprefix(f"{module.__name__}.")):
            runner.run(test)
    return runner.summarize()
