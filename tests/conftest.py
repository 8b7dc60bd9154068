"""What all tests share: the backends there are, and a loud failure where a missing extension would pass unnoticed."""

import os
import warnings

import numpy as np
import pytest

import fastmlp
from fastmlp import runtime

EXTENSION, REASON = runtime.load_passes()
BACKENDS = ["numpy"] if EXTENSION is None else ["numpy", "cython"]


@pytest.fixture(scope="session", autouse=True)
def extension():
    """Fail where FASTMLP_REQUIRE_EXTENSION=1 and it is missing; elsewhere let its warning come before the tests."""
    if EXTENSION is None and os.environ.get("FASTMLP_REQUIRE_EXTENSION") == "1":
        pytest.fail(f"FASTMLP_REQUIRE_EXTENSION=1, but the compiled extension cannot be used: {REASON}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        runtime.choose_backend(None)


@pytest.fixture(params=BACKENDS)
def backend(request):
    """Every backend that can be used here, by its name."""
    return request.param


@pytest.fixture(autouse=True)
def _num_threads():
    yield
    fastmlp.set_num_threads(None)


@pytest.fixture
def toy():
    """Rows and classes that a small network can learn: 3 noisy groups in the plane."""
    rng = np.random.default_rng(0)
    y = np.arange(150) % 3
    X = rng.normal(size=(150, 2)) * 0.3 + np.array([[0, 0], [2, 0], [0, 2]])[y]
    return X.astype(np.float32), y


def parameters(net):
    """Weights and biases of a network as one string of bytes."""
    return b"".join(array.tobytes() for array in (*net.weights, *net.biases))
