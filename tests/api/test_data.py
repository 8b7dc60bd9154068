"""A user's X, y and sample_weight: what they may be, what becomes of them, what each wrong thing is told."""

from __future__ import annotations

import sys
import tracemalloc

import numpy as np
import pytest

from fastmlp.data import SOURCE_DTYPES, as_inputs, as_real, as_targets, as_weights, check_finite, values
from fastmlp.spec import BinaryCrossEntropy, CrossEntropy, Poisson, SquaredError

CE, BCE, SE, POISSON = CrossEntropy(), BinaryCrossEntropy(), SquaredError(), Poisson()
ALL_DTYPES = ["?", "b", "B", "h", "H", "i", "I", "l", "L", "q", "Q", "e", "f", "d", "g"]


def swapped(array):
    return array.astype(array.dtype.newbyteorder("S"))


def test_source_dtypes_are_the_contract():
    assert [str(d) for d in SOURCE_DTYPES] == ["float64", "float32", "float16", "uint8", "int16", "int32", "int64"]


# --- inputs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", SOURCE_DTYPES, ids=str)
@pytest.mark.parametrize(
    "view",
    [
        lambda X: X,
        lambda X: X[::-1],
        lambda X: X[::2],
        lambda X: X[:, ::-1],
        np.asfortranarray,
        lambda X: np.broadcast_to(X[:1], X.shape),
    ],
    ids=["C", "reversed", "strided", "columns reversed", "F", "broadcast"],
)
def test_source_dtypes_are_read_in_place(dtype, view):
    X = view(np.arange(24).reshape(6, 4).astype(dtype))
    X.flags.writeable = False
    result = as_inputs(X, 4)
    assert result.dtype == dtype
    assert result.strides == X.strides
    assert np.shares_memory(result, X)
    np.testing.assert_array_equal(result, X)


@pytest.mark.parametrize("order", ["native", "swapped"])
@pytest.mark.parametrize("dtype", ALL_DTYPES)
def test_every_real_dtype_becomes_a_source_dtype_with_the_same_values(dtype, order):
    info = np.iinfo(dtype) if dtype not in "?efdg" else None
    low, high = (info.min, info.max) if info else (0, 1)
    X = np.array([[low, 1, high]], dtype)
    if order == "swapped":
        X = swapped(X)
    result = as_inputs(X, 3)
    assert result.dtype in SOURCE_DTYPES
    assert result.dtype.isnative
    assert result.dtype.char in {d.char for d in SOURCE_DTYPES}  # long long and long have other buffer formats
    rounded = np.float64 if result.dtype == np.float64 else np.longdouble  # 64-bit unsigned integers lose bits
    np.testing.assert_array_equal(result.astype(np.longdouble), X.astype(rounded).astype(np.longdouble))


@pytest.mark.parametrize(
    ("dtype", "becomes"),
    [("?", "uint8"), ("b", "int16"), ("H", "int32"), ("I", "int64"), ("Q", "float64"), ("g", "float64"), (">f4", "f4")],
)
def test_conversions_of_the_contract(dtype, becomes):
    assert as_inputs(np.ones((2, 3), dtype), 3).dtype == np.dtype(becomes)


def test_bool_is_a_view():
    X = np.eye(3, dtype=bool)
    assert np.shares_memory(as_inputs(X, 3), X)


def test_unaligned_arrays_are_copied():
    packed = np.zeros(5, np.dtype([("tag", "u1"), ("x", "f4", (3,))]))
    packed["x"] = np.arange(15).reshape(5, 3)
    X = packed["x"]
    assert not X.flags.aligned
    result = as_inputs(X, 3)
    assert result.flags.aligned
    np.testing.assert_array_equal(result, X)


def test_memmap_is_not_read_into_memory(tmp_path):
    rows = 20_000
    X = np.memmap(tmp_path / "X", np.float32, "w+", shape=(rows, 100))
    X[:] = 1
    X = np.memmap(tmp_path / "X", np.float32, "r", shape=(rows, 100))
    tracemalloc.start()
    result = as_inputs(X, 100)
    targets = as_targets(X, SE, 100, rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.shares_memory(result, X)
    assert np.shares_memory(targets, X)
    assert type(result) is np.ndarray
    assert peak < 1_000_000  # of 8 MB


class Framework:
    """A tensor of a framework, as seen by NumPy."""

    def __init__(self, array):
        self.array = array


class WithArray(Framework):
    def __array__(self, dtype=None, copy=None):
        return self.array


class WithNumpy(Framework):
    def numpy(self):
        return self.array


class OnAnotherDevice(Framework):
    def __array__(self, dtype=None, copy=None):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


class NeedsGradient(Framework):
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


@pytest.mark.parametrize("kind", [WithArray, WithNumpy])
def test_other_libraries_arrays(kind):
    X = np.ones((2, 3), np.float32)
    assert np.shares_memory(as_inputs(kind(X), 3), X)


def test_lists_tuples_ranges_and_memoryviews():
    assert as_inputs([[1, 2], [3, 4]], 2).dtype == np.int64
    assert as_inputs(([1.5, 2], (3, 4)), 2).dtype == np.float64
    assert as_inputs([range(3)], 3).tolist() == [[0, 1, 2]]
    assert as_inputs(memoryview(np.ones((2, 2))), 2).shape == (2, 2)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (None, TypeError, "X is None"),
        ("text", TypeError, "X is a str"),
        ({}, TypeError, "X is a dict"),
        ((row for row in [[1]]), TypeError, "X is a generator"),
        (np.float32, TypeError, "X is a type|X has dtype object"),
        (3.0, ValueError, r"X has shape \(\)"),
        ([1.0, 2.0, 3.0], ValueError, r"X has shape \(3,\).*X.reshape\(1, -1\)"),
        (np.zeros((2, 3, 4)), ValueError, r"X has shape \(2, 3, 4\).*2-D, \(n, 3\)"),
        (np.zeros((3, 5)), ValueError, r"X has shape \(3, 5\), 5 features; the network takes 3"),
        (np.zeros((0, 3)), ValueError, "at least one row"),
        ([[1, 2, 3], [4, 5]], ValueError, "X is not a rectangular array"),
        ([["a", "b", "c"]], TypeError, "X has dtype <U1"),
        ([[1, None, 2]], TypeError, "X has dtype object"),
        ([[10**30, 1, 2]], TypeError, "X has dtype object"),
        (np.zeros((2, 3), complex), TypeError, "complex128.*X.real and X.imag"),
        (np.zeros((2, 3), "M8[s]"), TypeError, r"datetime64\[s\]"),
        (np.zeros((2, 3), "m8[s]"), TypeError, r"timedelta64\[s\]"),
        (np.zeros((2, 3), "S3"), TypeError, "S3"),
        (np.zeros(3, [("a", "f4")]), TypeError, "structured_to_unstructured"),
        (OnAnotherDevice(0), TypeError, "X is a OnAnotherDevice that NumPy cannot read: can't convert cuda"),
        (NeedsGradient(0), TypeError, "requires grad"),
        (np.ma.masked_equal([[1, 2, 3], [4, 5, 6]], 5), ValueError, r"masked entries, the first at \(1, 1\)"),
    ],
)
def test_wrong_inputs_are_named(X, error, message):
    with pytest.raises(error, match=message):
        as_inputs(X, 3)


def test_masked_arrays_without_masked_entries_are_arrays():
    X = np.ma.masked_equal(np.ones((2, 3)), 7)
    assert type(as_inputs(X, 3)) is np.ndarray


def test_sparse_targets_are_refused_with_advice():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match=r"y is a sparse csr_matrix; it must be dense: pass y.toarray\(\)"):
        as_real(sparse.csr_matrix(np.eye(3)), "y")


def test_no_rows_are_fine_for_prediction():
    assert as_inputs(np.zeros((0, 3)), 3, allow_empty=True).shape == (0, 3)
    with pytest.raises(ValueError, match="X_val has shape"):
        as_inputs(np.zeros((0, 2)), 3, "X_val", allow_empty=True)


# --- NaN and infinity ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (70_000, 2), (3, 9000), (40, 5000)], ids=str)
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_first_bad_element_is_named(dtype, bad, shape, order):
    rng = np.random.default_rng(0)
    X = np.ones(shape, dtype, order)
    places = sorted((int(rng.integers(shape[0])), int(rng.integers(shape[1]))) for _ in range(3))
    for place in places:
        X[place] = bad
    row, column = places[0]
    with pytest.raises(ValueError, match=f"^X has {bad} at row {row}, column {column}; all values must be finite"):
        as_inputs(X, shape[1])


def test_a_longdouble_that_float64_cannot_hold():
    X = np.full((1, 1), np.finfo(np.longdouble).max)
    if X.dtype.itemsize == 8:
        pytest.skip("longdouble is float64 here")
    with pytest.raises(ValueError, match="inf at row 0, column 0"):
        as_inputs(X, 1)
    with pytest.raises(ValueError, match="sample_weight has inf at row 0"):
        as_weights(X[0], 1)


def test_the_backend_decides_and_numpy_locates():
    calls = []

    def finite(table):
        calls.append(table.shape)
        return bool(np.isfinite(table).all())

    X = np.ones((4, 3))
    as_inputs(X, 3, finite=finite)
    X[2, 1] = np.nan
    with pytest.raises(ValueError, match="row 2, column 1"):
        as_inputs(X, 3, finite=finite)
    as_inputs(np.ones((4, 3), np.int32), 3, finite=finite)
    with pytest.raises(ValueError, match=r"^y has nan at row 2, column 0"):
        as_targets([1, 2, np.nan], SE, 1, 3, finite=finite)
    assert calls == [(4, 3), (4, 3), (3, 1)]
    check_finite(np.full((1, 1), 1.0), "X", lambda table: False)  # NumPy has the last word


def test_finite_check_runs_in_bounded_memory():
    X = np.ones((1000, 4000), np.float32)
    tracemalloc.start()
    check_finite(X, "X")
    check_finite(X.T, "X")
    check_finite(X.reshape(-1), "X")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 400_000  # a mask of the whole is 4 MB


# --- targets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [d for d in ALL_DTYPES if d not in "?efdg"] + [">i8", ">u2"])
def test_classes_of_every_integer_dtype(dtype):
    result = as_targets(np.array([0, 2, 1], dtype), CE, 3, 3)
    assert result.dtype == np.int32
    assert result.dtype.isnative
    assert result.flags.c_contiguous
    assert result.tolist() == [0, 2, 1]


def test_classes_from_lists_bools_and_views():
    assert as_targets([0, 1], CE, 2, 2).tolist() == [0, 1]
    assert as_targets([True, False], CE, 2, 2).tolist() == [1, 0]
    y = np.arange(10, dtype=np.int32)
    assert as_targets(y, CE, 10, 10) is y
    result = as_targets(y[::-2], CE, 10, 5)
    assert result.flags.c_contiguous
    assert result.tolist() == [9, 7, 5, 3, 1]


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "u1", "i8", "?"])
def test_one_hot_and_probabilities(dtype):
    y = np.eye(3, dtype=dtype)[[0, 2, 2, 1]]
    result = as_targets(y, CE, 3, 4)
    assert np.shares_memory(result, y)
    np.testing.assert_array_equal(result, y)
    soft = np.full((4, 3), 1 / 3, np.float16)
    assert as_targets(soft, CE, 3, 4).dtype == np.float16


@pytest.mark.parametrize("loss", [SE, BCE, POISSON])
def test_one_output_takes_one_dimension(loss):
    y = np.array([0.0, 1.0, 0.5])
    result = as_targets(y, loss, 1, 3)
    assert result.shape == (3, 1)
    assert np.shares_memory(result, y)
    assert as_targets(y[:, np.newaxis], loss, 1, 3).shape == (3, 1)


@pytest.mark.parametrize(
    ("y", "loss", "n_outputs", "error", "message"),
    [
        ([0, 1, 3], CE, 3, ValueError, r"y has 3 at row 2; classes must lie in \[0, 3\)"),
        ([0, -1, 1], CE, 3, ValueError, "y has -1 at row 1"),
        (np.array([0, 2**64 - 1, 0], "u8"), CE, 3, ValueError, "y has 18446744073709551615 at row 1"),
        (np.array([0, 2**32, 0]), CE, 3, ValueError, "y has 4294967296 at row 1"),
        ([0.0, 1.0, 2.0], CE, 3, TypeError, r"y has dtype float64; classes must be integers: pass y.astype\(int\)"),
        (["a", "b", "c"], CE, 3, TypeError, r"y has dtype <U1.*numpy.unique\(y, return_inverse=True\)"),
        ([0, 1], CE, 3, ValueError, "y has 2 rows, the inputs have 3"),
        (np.zeros((3, 1), int), CE, 3, ValueError, r"y has shape \(3, 1\).*classes of shape \(3,\).*y.ravel\(\)"),
        (np.zeros((3, 2)), CE, 3, ValueError, r"probabilities of shape \(3, 3\)"),
        (np.eye(4)[:, :3], CE, 3, ValueError, "y has 4 rows, the inputs have 3"),
        (np.eye(3) * 1.01, CE, 3, ValueError, "y has a sum of 1.01 in row 0; probabilities must sum to 1"),
        (np.zeros((3, 3)), CE, 3, ValueError, "a sum of 0 in row 0"),
        ([[1, 0, 0], [0.6, 0.6, -0.2], [0, 0, 1]], CE, 3, ValueError, "y has -0.2.* at row 1, column 2; probabilities"),
        ([[1, 0, 0], [0, 1, 0], [0, 0, np.nan]], CE, 3, ValueError, "y has nan at row 2, column 2"),
        ([0, 1, 2], BCE, 1, ValueError, r"y has 2 at row 2, column 0; targets of binary_cross_entropy must lie in \[0"),
        ([0, 1, -0.5], BCE, 1, ValueError, "y has -0.5 at row 2"),
        ([0, 1, 1], BCE, 2, ValueError, r"y has shape \(3,\); binary_cross_entropy takes shape \(3, 2\)"),
        ([0, 7, -1], POISSON, 1, ValueError, "y has -1 at row 2, column 0; targets of poisson must be at least 0"),
        ([0, 1, np.nan], POISSON, 1, ValueError, "y has nan at row 2"),
        ([0, 1, np.inf], SE, 1, ValueError, "y has inf at row 2"),
        (np.zeros((3, 2)), SE, 1, ValueError, r"takes shape \(3, 1\) or \(3,\)"),
        (np.zeros((2, 2)), SE, 2, ValueError, "y has 2 rows, the inputs have 3"),
        (np.zeros((3, 2, 1)), SE, 2, ValueError, r"y has shape \(3, 2, 1\)"),
        (1.0, SE, 1, ValueError, r"y has shape \(\)"),
        (None, SE, 1, TypeError, "y is None"),
    ],
)
def test_wrong_targets_are_named(y, loss, n_outputs, error, message):
    with pytest.raises(error, match=message):
        as_targets(y, loss, n_outputs, 3)


def test_wrong_rows_far_down_are_found():
    y = np.zeros((100_000, 3))
    y[:, 1] = 1
    y[99_998, 2] = 0.5
    with pytest.raises(ValueError, match=r"a sum of 1\.5 in row 99998"):
        as_targets(y, CE, 3, len(y))
    labels = np.zeros(100_000, int)
    labels[77_777] = 3
    with pytest.raises(ValueError, match="3 at row 77777"):
        as_targets(labels, CE, 3, len(labels))


def test_of_two_wrong_numbers_in_a_wide_array_the_upper_one_is_named():
    X = np.zeros((6, 5000))
    X[4, 7] = X[2, 4900] = np.nan
    with pytest.raises(ValueError, match="row 2, column 4900"):
        check_finite(X, "X")


# --- weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [[1, 2, 0], [True, False, True], np.array([1, 2, 3], ">f4"), np.arange(6)[::2]])
def test_weights_become_float64(weights):
    result = as_weights(weights, 3)
    assert result.dtype == np.float64
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, weights)


def test_no_weights():
    assert as_weights(None, 3) is None
    weights = np.ones(3)
    assert as_weights(weights, 3) is weights
    assert as_weights([], 0).shape == (0,)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([1, 1], ValueError, r"sample_weight has shape \(2,\); it must be \(3,\)"),
        ([[1], [1], [1]], ValueError, r"shape \(3, 1\)"),
        (1.0, ValueError, r"shape \(\)"),
        ([1, np.nan, 1], ValueError, "sample_weight has nan at row 1"),
        ([1, 1, np.inf], ValueError, "sample_weight has inf at row 2"),
        ([1, -1, 1], ValueError, "sample_weight has -1.0 at row 1; weights must be at least 0"),
        ([0, 0, 0], ValueError, "sample_weight is all zero"),
        ([1e308, 1e308, 0], ValueError, "overflows float64"),
        (["a", "b", "c"], TypeError, "sample_weight has dtype <U1"),
        ([1j, 1, 1], TypeError, "complex"),
    ],
)
def test_wrong_weights_are_named(weights, error, message):
    with pytest.raises(error, match=message):
        as_weights(weights, 3)


def test_scipy_is_not_imported():
    import subprocess

    code = "import sys, fastmlp.data as d; d.as_inputs([[1]], 1); assert 'scipy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_as_real_keeps_the_array():
    X = np.ones(3)
    assert as_real(X, "w") is X


@pytest.mark.parametrize("row", [0, 1, 2, 50, 99])
def test_every_row_of_probabilities_is_summed(row, monkeypatch):
    """Sums are made in blocks of rows, of three here."""
    monkeypatch.setattr(values, "BLOCK_ELEMENTS", 6)
    y = np.full((100, 2), 0.5)
    assert as_targets(y, CE, 2, 100) is y
    y[row, 1] = 0.6
    with pytest.raises(ValueError, match=rf"y has a sum of 1\.1 in row {row};"):
        as_targets(y, CE, 2, 100)
