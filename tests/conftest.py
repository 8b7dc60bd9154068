"""What all tests share: the backends there are, and a loud failure where something missing would pass unnoticed."""

import os
import sys
import warnings
from pathlib import Path

import hypothesis
import numpy as np
import pytest

import fastmlp
from fastmlp import runtime

# The same examples in every run, and none too slow: how long one takes is up to the machine.
hypothesis.settings.register_profile("fastmlp", derandomize=True, deadline=None)
hypothesis.settings.load_profile("fastmlp")

EXTENSION, REASON = runtime.load_passes()
BACKENDS = ["numpy"] if EXTENSION is None else ["numpy", "cython"]

#: What shows, within a minute, that a wheel is whole and computes what it should, on whatever it was built for.
OF_A_WHEEL = {
    "system": ("packaging", "runtime", "doctests", "examples"),
    "engine": ("bits", "threads"),
    "csrc": ("kernels",),
    "api": ("network", "serialization", "formats", "training"),
    "estimators": ("sklearn",),
}


def of_numpy(item):
    """Whether it is a test of NumPy's engine alone."""
    return hasattr(item, "callspec") and item.callspec.params.get("backend") == "numpy"


def pytest_collection_modifyitems(config, items):
    if "FASTMLP_SANITIZE" in os.environ:  # which looks at C, and takes its time
        config.hook.pytest_deselected(items=[item for item in items if of_numpy(item)])
        items[:] = [item for item in items if not of_numpy(item)]
    files = {Path(folder, f"test_{name}.py") for folder, names in OF_A_WHEEL.items() for name in names}
    for item in items:
        if item.path.relative_to(Path(__file__).parent) in files:
            item.add_marker(pytest.mark.wheel)


@pytest.fixture(scope="session", autouse=True)
def extension():
    """Fail where FASTMLP_REQUIRE_EXTENSION=1 and it is missing; elsewhere let its warning come before the tests."""
    if EXTENSION is None and os.environ.get("FASTMLP_REQUIRE_EXTENSION") == "1":
        pytest.fail(f"FASTMLP_REQUIRE_EXTENSION=1, but the compiled extension cannot be used: {REASON}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        runtime.choose_backend(None)


def _required(report):
    """The report, a failure in place of a skip where FASTMLP_REQUIRE_ECOSYSTEM=1 says that nothing is missing."""
    if os.environ.get("FASTMLP_REQUIRE_ECOSYSTEM") == "1" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"skipped, but FASTMLP_REQUIRE_ECOSYSTEM=1: {report.longrepr[2]}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    return _required((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    return _required((yield))


@pytest.fixture(params=BACKENDS)
def backend(request):
    """Every backend that can be used here, by its name."""
    return request.param


@pytest.fixture(autouse=True)
def _settings_of_the_process():
    """Give each test PyTorch's own dtype, which oracles in float64 change, and as many threads as there are."""
    yield
    fastmlp.set_num_threads(None)
    set_dtype = getattr(sys.modules.get("torch"), "set_default_dtype", None)
    if set_dtype is not None:
        set_dtype(sys.modules["torch"].float32)


@pytest.fixture
def toy():
    """Rows and classes that a small network can learn: 3 noisy groups in the plane."""
    rng = np.random.default_rng(0)
    y = np.arange(150) % 3
    X = rng.normal(size=(150, 2)) * 0.3 + np.array([[0, 0], [2, 0], [0, 2]])[y]
    return X.astype(np.float32), y


@pytest.fixture(scope="module")
def digits():
    """Five hundred of scikit-learn's digits."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X[:500] / 16.0, y[:500]


@pytest.fixture(scope="module")
def cancer():
    """Two classes, on scaled features."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.preprocessing import scale

    X, y = load_breast_cancer(return_X_y=True)
    return scale(X), y


@pytest.fixture(scope="module")
def regression():
    """One target of eight features."""
    from sklearn.datasets import make_regression

    X, y = make_regression(200, 8, noise=5.0, random_state=0)
    return X, y / y.std()


def parameters(net):
    """Weights and biases of a network as one string of bytes."""
    return b"".join(array.tobytes() for array in (*net.weights, *net.biases))
