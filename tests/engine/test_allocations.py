"""Steps of a training take no memory: a run of many asks the C library for no more than a run of few.

tests/csrc/count_allocations.c is preloaded into the process that trains, and counts.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from c_programs import native_compiler, run
from compiled import ISAS  # noqa: F401 - without the extension there is nothing to count

COUNTER = Path(__file__).parents[1] / "csrc" / "count_allocations.c"
PROGRAM = """
import ctypes, json, sys, numpy as np, fastmlp
from fastmlp.passes import Engine
from fastmlp.spec import Adam, NetworkSpec, Run

allocations = ctypes.CDLL(None).allocations
allocations.restype = ctypes.c_long
sizes, batch, threads = json.loads(sys.argv[1])
spec, rng = NetworkSpec.make(sizes, "tanh", loss="squared_error"), np.random.default_rng(0)
engine = Engine(spec)
engine.use_optimizer("adam")

def counted(steps):
    n = steps * batch
    X, y, order = rng.normal(size=(n, sizes[0])), rng.normal(size=(n, sizes[-1])), rng.permutation(n)
    run = Run(X, y, np.ones(n), order, batch, Adam().scalars(0, steps), np.empty(steps))
    before = allocations()
    assert engine.train(run, threads).status == "done"
    return allocations() - before

counted(5)  # workers, buffers
assert allocations() > 0
# A look at the clock may end a region, and to open another takes memory: seldom, and not in every try.
print(json.dumps([min(counted(steps) for _ in range(10)) for steps in (3, 12)]))
"""

WAYS = {
    "one thread": ([20, 30, 5], 16, 1),
    "two threads": ([20, 30, 5], 64, 2),
    "by panels": ([64, 64, 64, 64], 2, 2),
    "microbatches": ([20, 30, 5], 600, 2),
    "parts": ([2000, 40, 2], 400, 2),
}


@pytest.fixture(scope="module")
def counter(tmp_path_factory):
    compiler = native_compiler()
    if compiler is None or sys.platform != "linux" or "FASTMLP_SANITIZE" in os.environ:
        pytest.skip("needs a C compiler and glibc, without another library that counts")
    library = tmp_path_factory.mktemp("counter") / "count_allocations.so"
    result = run([*compiler, "-std=c11", "-O1", "-shared", "-fPIC", str(COUNTER), "-o", str(library)])
    assert result.returncode == 0, result.stderr
    return str(library)


@pytest.mark.parametrize("way", WAYS)
def test_steps_allocate_nothing(counter, way):
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(WAYS[way])],
        env=os.environ | {"LD_PRELOAD": counter},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    few, many = json.loads(result.stdout)
    assert few <= many < few + 9  # the 9 steps more; what there may be is of other regions
