"""The scripts of tests/data, which wrote the numbers there and say of what they are."""

import importlib.util
from pathlib import Path

DATA = Path(__file__).parents[1] / "data"


def script(name):
    """Return a script of that folder as a module."""
    spec = importlib.util.spec_from_file_location(name, DATA / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
