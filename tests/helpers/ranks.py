"""Programs that several MPI processes run: started by mpiexec, a process for each rank, which answers in a file."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "distributed" / "rank_program.py"
PATIENCE = 100  # seconds until a hang is called one: four ranks share two processors, and maybe those with other tests


def start(n, scenario, folder, *arguments):
    """Start a scenario of the program on n ranks."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    mpiexec = shutil.which("mpiexec", path=path)
    if mpiexec is None:
        pytest.skip("there is no mpiexec")
    command = [mpiexec, "-n", str(n), sys.executable, str(PROGRAM), scenario, str(folder), *arguments]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(n, scenario, folder, *arguments):
    """Run a scenario to its end; what each rank answered."""
    process = start(n, scenario, folder, *arguments)
    try:
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 0, out + err
    return [json.loads((Path(folder) / f"{scenario}.{rank}.json").read_text()) for rank in range(n)]
