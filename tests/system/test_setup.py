"""Building without a compiler: the error names both ways out, and one of them is a pure build that works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

pytestmark = pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason=f"no setup.py in {ROOT}")
pytest.importorskip("setuptools", minversion="64", reason="without setuptools nothing is built")


def run_setup(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """setup.py where there is no compiler, into a folder."""
    (folder / "empty").mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in {"CC", "PATH"}}
    arguments = [sys.executable, "setup.py", command, "--build-lib", str(folder / "lib")]
    if command == "build_ext":
        arguments += ["--build-temp", str(folder / "temp")]
    environment = kept | {"PATH": str(folder / "empty"), "PYTHONDONTWRITEBYTECODE": "1"} | environment
    return subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a compiler is not found by PATH")
def test_without_a_compiler_the_last_lines_tell_both_ways_out(tmp_path: Path) -> None:
    result = run_setup("build_ext", tmp_path)
    assert result.returncode
    last = "\n".join(result.stderr.splitlines()[-14:])
    for way_out in ("apt-get install gcc", "xcode-select --install", "Build Tools", "FASTMLP_PURE=1 pip install ."):
        assert way_out in last, result.stderr


def test_a_pure_build_trains_and_says_what_it_is_without_a_warning(tmp_path: Path) -> None:
    result = run_setup("build_py", tmp_path, FASTMLP_PURE="1")
    assert result.returncode == 0, result.stderr
    program = (
        "import fastmlp\n"
        "net = fastmlp.MLP([2, 8, 1], seed=0)\n"
        "assert net.fit([[0, 1], [1, 0]], [0, 1], epochs=30).loss[-1] < 0.1\n"
        "assert net.backend == 'numpy', net.backend\n"
        "fastmlp.show_config()\n"
        "fastmlp.MLP([2, 8, 1], backend='cython')\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "lib")}
    command = [sys.executable, "-W", "error", "-c", program]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "pure wheel" in result.stdout, result.stderr
    assert "ImportError: backend='cython' needs the compiled extension" in result.stderr
    assert "Warning" not in result.stderr
