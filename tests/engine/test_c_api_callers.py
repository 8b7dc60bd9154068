"""The table of the C interface as cffi and Numba call it."""

from __future__ import annotations

import compiled  # noqa: F401 - skips without the extension
import numpy as np
import pytest
from c_table import address, declarations, handle_of, table

import fastmlp


@pytest.fixture
def net():
    return fastmlp.MLP([4, 8, 2], activation="tanh", dtype="float64", seed=3)


def test_cffi_reads_the_header(net):
    cffi = pytest.importorskip("cffi")
    ffi = cffi.FFI()
    ffi.cdef(declarations())
    api = ffi.cast("const fastmlp_api *", address())
    assert api.size == ffi.sizeof("fastmlp_api")
    handle = ffi.new("fastmlp_net **")
    assert api.from_python(ffi.cast("void *", id(net)), handle) == 0
    x, y = ffi.new("double[4]", [1, 2, 3, 4]), ffi.new("double[2]")
    assert api.predict(handle[0], x, ffi.sizeof(x), y, ffi.sizeof(y), 1) == 0
    assert list(y) == net.predict([[1, 2, 3, 4]])[0].tolist()
    assert ffi.string(api.text(-1)) == table().text(-1)
    api.release(handle[0])


def test_numba_predicts_in_compiled_code(net):
    numba = pytest.importorskip("numba")
    predict, handle = table().predict, handle_of(net)

    @numba.njit
    def sums(handle, X, y):
        total = 0.0
        for r in range(len(X)):
            code = predict(handle, X[r].ctypes, X[r].nbytes, y.ctypes, y.nbytes, 1)
            if code != 0:
                return np.nan
            total += y.sum()
        return total

    X = np.random.default_rng(0).standard_normal((50, 4))
    total = sums(handle.value, X, np.empty(2))
    table().release(handle)
    assert total == sum(float(net.predict(x[None]).sum()) for x in X)
