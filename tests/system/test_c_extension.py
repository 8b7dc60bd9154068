"""examples/c_api, built from the header that is installed, and run: a package in C and Cython beside fastmlp."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys

import compiled  # noqa: F401 - skips without the extension
import numpy as np
import pytest
from c_programs import native_compiler
from places import ROOT

import fastmlp

EXAMPLE = ROOT / "examples" / "c_api"

RUN = """
import json, numpy as np, fastmlp, pendulum
steered = pendulum.swing(fastmlp.MLP([3, 16, 1], seed=0), 200)
force = pendulum.force(fastmlp.MLP([3, 16, 1], activation="tanh", dtype="float64", seed=0), np.arange(3.0))
refused = []
for call in (lambda: pendulum.swing("no network", 1), lambda: pendulum.force(fastmlp.MLP([3, 1]), np.arange(3.0))):
    try:
        call()
    except ValueError as error:
        refused.append(str(error))
print(json.dumps([steered, force.tolist(), refused]))
"""


@pytest.mark.slow
def test_the_example_package(tmp_path):
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")
    if native_compiler() is None or not EXAMPLE.exists():
        pytest.skip("no C compiler, or no examples")
    shutil.copytree(EXAMPLE, tmp_path / "source")
    built = tmp_path / "built"
    command = [sys.executable, "setup.py", "-q", "build", "--build-lib", str(built)]
    done = subprocess.run(command, cwd=tmp_path / "source", capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    paths = os.pathsep.join(path for path in (str(built), os.environ.get("PYTHONPATH")) if path)
    result = subprocess.run(
        [sys.executable, "-c", RUN], env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    (angle, velocity), force, refused = json.loads(result.stdout)

    net = fastmlp.MLP([3, 16, 1], seed=0)
    a, v = 3.0, 0.0
    for _ in range(200):
        x = np.array([[math.cos(a), math.sin(a), v]], np.float32)
        v += 0.05 * (15 * math.sin(a) + 3 * float(net.predict(x)[0, 0]))
        a += 0.05 * v
    assert (angle, velocity) == pytest.approx((a, v), abs=1e-6)  # compilers may fuse

    energy = fastmlp.MLP([3, 16, 1], activation="tanh", dtype="float64", seed=0)
    energy.forward([np.arange(3.0)])
    assert force == (-energy.backward([[1.0]], input_gradient=True)[2][0]).tolist()
    assert "MLP" in refused[0]
    assert "float64" in refused[1]
