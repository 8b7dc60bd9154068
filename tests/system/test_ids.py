"""Tests have the same names in every process, or pytest-xdist's workers do not agree on what there is to run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Another time, and random numbers from another seed, than those of a process that only lists its tests.
ELSEWHERE = """
import random, sys, time
shift, seed = int(sys.argv[1]), int(sys.argv[1])
now = time.time
time.time = lambda: now() + shift
random.seed(seed)
import numpy, pytest
numpy.random.seed(seed)
sys.exit(pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", sys.argv[2]]))
"""


@pytest.mark.slow
def test_ids_are_the_same_in_every_process():
    """Whatever the time, the order of sets and the random numbers."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ELSEWHERE, shift, str(Path(__file__).parents[1])],
            env=os.environ | {"PYTHONHASHSEED": shift},
            stdout=subprocess.PIPE,
            text=True,
        )
        for shift in ("1", "1000000")
    ]
    found = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    first, second = ([line for line in output.splitlines() if "::" in line] for output in found)
    assert len(first) > 100
    assert first == second
