"""What needs a package beside NumPy says, where it is missing, how to install it; and no extra is forgotten here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastmlp

#: What asks for the packages of each extra: a statement, with net a network and X, y its data.
ASKS = {
    "arrow": "from fastmlp.data import parquet; parquet('rows.parquet', target='y')",
    "lbfgs": "net.fit(X, y, optimizer='lbfgs')",
    "mpi": "from fastmlp.train.exchange import mpi; mpi()",
    "onnx": "net.to_onnx('net.onnx')",
    "optuna": "fastmlp.OptunaPruning(type('Trial', (), {'report': print, 'should_prune': print})())",
    "plot": "from fastmlp import plot; plot.history(net.fit(X, y, epochs=1, progress=False))",
    "progress": "net.fit(X, y, epochs=1, progress=True)",
    "sklearn": "import fastmlp.sklearn",
    "tensorboard": "net.fit(X, y, epochs=1, callbacks=[fastmlp.TensorBoard('run')])",
    "torch": "import fastmlp.torch",
}

PROGRAM = """
import json, sys

import numpy

PACKAGES = {"argcomplete", "joblib", "matplotlib", "mpi4py", "onnx", "optuna", "pandas", "polars", "pyarrow", "scipy",
            "sklearn", "tensorboardX", "threadpoolctl", "torch", "tqdm"}

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in PACKAGES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
import fastmlp

net = fastmlp.MLP([2, 1], seed=0)
X, y = numpy.zeros((4, 2)), numpy.zeros(4)
said = {}
for extra, statement in json.loads(sys.argv[1]).items():
    try:
        exec(statement)
    except ImportError as error:
        said[extra] = str(error)
    except Exception as error:
        said[extra] = repr(error)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each of ASKS says in a process where NumPy alone can be imported."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(ASKS)]
    folder = tmp_path_factory.mktemp("alone")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(fastmlp.__file__).parents[1]), *sys.path])}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


@pytest.mark.parametrize("extra", ASKS)
def test_the_error_has_the_command(said: dict[str, str], extra: str) -> None:
    assert f"pip install 'fastmlp[{extra}]'" in said.get(extra, "no error"), said


def test_every_extra_of_a_message_is_asked_for() -> None:
    sources = Path(fastmlp.__file__).parent.rglob("*.py")
    named = {name for path in sources for name in re.findall(r"'fastmlp\[(\w+)\]'", path.read_text(encoding="utf-8"))}
    assert named == set(ASKS)
