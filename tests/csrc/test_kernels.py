"""The Python face of the C tables: what the programs beside it do not see."""

import numpy as np
import pytest
from compiled import ISAS
from random_networks import SOURCES

from fastmlp import passes
from fastmlp.passes import kernels, probes

DTYPES = kernels.names("dtype")
VECTOR_BYTES = {"scalar": None, "neon": 16, "avx2": 32, "avx512": 64}


def test_names():
    assert kernels.names("dtype") == ["float32", "float64"]
    for kind in ("dtype", "source", "activation", "loss", "optimizer", "math"):
        names = kernels.names(kind)
        assert len(names) == len(set(names)) > 0
        names.clear()  # a copy
        assert kernels.names(kind)
    with pytest.raises(KeyError):
        kernels.names("colour")
    assert list(kernels.activations()) == kernels.names("activation")
    assert list(kernels.losses()) == kernels.names("loss")
    assert list(kernels.optimizers()) == kernels.names("optimizer")


def test_isas(monkeypatch):
    rows = kernels.isas()
    assert [row["name"] for row in rows] == ["avx512", "avx2", "neon", "scalar"]  # best first
    assert rows[-1]["available"]
    assert all(row["needs"] for row in rows)
    monkeypatch.delenv("FASTMLP_ISA", raising=False)
    assert kernels.default_isa() == ISAS[0]
    monkeypatch.setenv("FASTMLP_ISA", "scalar")
    assert kernels.default_isa() == "scalar"
    assert kernels.table_sizes(None, "float32")["isa"] == "scalar"
    monkeypatch.setenv("FASTMLP_ISA", "vax")
    for call in (kernels.default_isa, lambda: kernels.table_sizes(None, "float32")):
        with pytest.raises(ValueError, match="FASTMLP_ISA is 'vax'"):
            call()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("isa", ISAS)
def test_table_sizes(isa, dtype):
    sizes = kernels.table_sizes(isa, dtype)
    assert (sizes["isa"], sizes["dtype"], sizes["itemsize"]) == (isa, dtype, np.dtype(dtype).itemsize)
    assert sizes["panel"] == 2 * sizes["lanes"]
    assert sizes["tile_rows"] >= 4
    if VECTOR_BYTES[isa]:
        assert sizes["lanes"] * sizes["itemsize"] == VECTOR_BYTES[isa]


@pytest.mark.parametrize(
    ("isa", "dtype", "message"),
    [("mmx", "float32", "isa is 'mmx'"), ("scalar", "float16", "dtype is 'float16'; there are: float32, float64")],
)
def test_wrong_tables(isa, dtype, message):
    for call in (
        lambda: kernels.table_sizes(isa, dtype),
        lambda: probes.fma_rate(isa, dtype, 1),
        lambda: probes.gemm_rate("rows", isa, dtype, 1, 1, 1),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_math_bounds():
    for name in kernels.names("math"):
        for dtype in DTYPES:
            assert 0.5 < kernels.math_ulp(name, dtype) < 4
    with pytest.raises(ValueError, match="math is 'cosine'"):
        kernels.math_ulp("cosine", "float32")
    with pytest.raises(ValueError, match="dtype is 'int8'"):
        kernels.math_ulp("exp", "int8")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("isa", ISAS)
def test_rates(isa, dtype):
    flops, seconds = probes.fma_rate(isa, dtype, 1000)
    twice, _ = probes.fma_rate(isa, dtype, 2000)
    assert twice == 2 * flops
    assert flops >= 2 * 1000 * kernels.table_sizes(isa, dtype)["lanes"]
    assert 0 < seconds < 5
    panel = kernels.table_sizes(isa, dtype)["panel"]
    for kernel, rows in (("rows", 1), ("rows", 100), ("columns", 1), ("columns", panel), ("few", 1)):
        flops, seconds = probes.gemm_rate(kernel, isa, dtype, rows, 33, 10)
        assert flops == 2 * rows * panel * 33 * 10
        assert 0 < seconds < 5


@pytest.mark.parametrize(
    "arguments",
    [
        ("rows", 0, 8, 1),
        ("rows", -1, 8, 1),
        ("rows", 4, 0, 1),
        ("rows", 4, 8, 0),
        ("rows", 4, -8, -1),
        ("rows", 1 << 20, 1 << 20, 1),
        ("rows", 1 << 40, 1 << 24, 1),  # whose product is 0 modulo 2^64
        ("columns", kernels.table_sizes("scalar", "float64")["panel"] + 1, 8, 1),
        ("few", 4, 8, 1),
        ("diagonal", 4, 8, 1),
    ],
)
def test_wrong_rates(arguments):
    kernel, rows, k, repeats = arguments
    with pytest.raises(ValueError):
        probes.gemm_rate(kernel, "scalar", "float64", rows, k, repeats)


# --- finite ----------------------------------------------------------------------------------------------------------


def matrices(dtype, rows, columns):
    """One array of ones in several layouts, writable through each of them."""
    yield np.ones((rows, columns), dtype)
    yield np.ones((columns, rows), dtype).T
    yield np.ones((2 * rows, 3 * columns), dtype)[::2, ::3]
    yield np.ones((rows, columns), dtype)[::-1, ::-1]
    yield np.ones(rows * columns * np.dtype(dtype).itemsize + 1, np.uint8)[1:].view(dtype).reshape(rows, columns)


@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_finite_sees_every_place(dtype, bad):
    for rows, columns in ((1, 1), (1, 67), (67, 1), (5, 33)):
        for array in matrices(dtype, rows, columns):
            array[...] = np.finfo(dtype).max
            assert passes.finite(array)
            for row in {0, rows // 2, rows - 1}:
                for column in range(columns):
                    kept = array[row, column]
                    array[row, column] = bad
                    assert not passes.finite(array), (row, column)
                    array[row, column] = kept
            assert passes.finite(array)


@pytest.mark.parametrize("threads", [1, 2, 3, 0, -2])
@pytest.mark.parametrize("shape", [(1 << 20, 1), (30_000, 35), (5, 200_000)])
def test_finite_by_several_threads(shape, threads):
    """8 MB and more are several pieces."""
    for array in matrices("float64", *shape):
        assert passes.finite(array, threads)
        for place in ((0, 0), (shape[0] // 2, shape[1] - 1), (shape[0] - 1, 0)):
            array[place] = np.nan
            assert not passes.finite(array, threads), place
            array[place] = 1


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_finite_looks_at_nothing_else(dtype):
    room = np.full((9, 20), np.nan, dtype)
    inside = room[2:7:2, 3:17:4]
    inside[...] = 1
    assert passes.finite(inside)
    assert passes.finite(inside[0])
    assert not passes.finite(room)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_finite_knows_numbers_from_infinities(dtype):
    info = np.finfo(dtype)
    numbers = np.array([info.max, -info.max, info.tiny, info.smallest_subnormal, 0, -0.0], dtype)
    assert passes.finite(numbers)
    assert passes.finite(np.empty((0, 3), dtype))
    # Every NaN, quiet and signalling, of either sign.
    integer = {2: np.uint16, 4: np.uint32, 8: np.uint64}[info.bits // 8]
    exponent = int(np.array(np.inf, dtype).view(integer))
    for fraction in (1, 1 << (info.nmant - 1), (1 << info.nmant) - 1):
        for sign in (0, 1 << (info.bits - 1)):
            assert not passes.finite(np.array([0, exponent | fraction | sign], integer).view(dtype))


def test_every_float16():
    for bits in np.arange(1 << 16, dtype=np.uint16).view(np.float16)[::37]:
        assert passes.finite(np.array([bits])) == bool(np.isfinite(bits))


@pytest.mark.parametrize("dtype", [name for name in SOURCES if not name.startswith("float")])
def test_integers_are_finite(dtype):
    for array in matrices(dtype, 3, 5):
        array[...] = np.iinfo(dtype).max
        assert passes.finite(array)
        array[...] = -1 if dtype != "uint8" else 255  # all bits
        assert passes.finite(array)


@pytest.mark.parametrize(
    "array", [np.ones(2, complex), np.ones((1, 1, 1)), np.ones(2, ">f8"), np.array([None]), np.array("a"), [1.0, 2.0]]
)
def test_what_finite_does_not_read(array):
    with pytest.raises(TypeError):
        passes.finite(array)
