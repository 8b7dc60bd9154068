"""Programs that several MPI processes run: started by mpiexec, a process for each rank, which answers in a file."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "ranks" / "rank_program.py"
PATIENCE = 100  # seconds until a hang is called one: four ranks share two processors, and maybe those with other tests


def start(n, scenario, folder):
    """Start a scenario of the program on n ranks."""
    return start_program(n, PROGRAM, scenario, str(folder))


def start_program(n, *command, **environment):
    """Start a program on n ranks."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    mpiexec = shutil.which("mpiexec", path=path)
    if mpiexec is None:
        pytest.skip("there is no mpiexec")
    return subprocess.Popen(
        [mpiexec, "-n", str(n), sys.executable, *map(str, command)],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(n, scenario, folder):
    """Run a scenario to its end; what each rank answered."""
    finish(start(n, scenario, folder))
    return [json.loads((Path(folder) / f"{scenario}.{rank}.json").read_text()) for rank in range(n)]


def finish(process):
    """Wait for a program that should come to its end; its standard output."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 0, out + err
    return out
