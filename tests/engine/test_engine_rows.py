"""Ways in which rows can come: every source, layout and number of them, shuffled by the reference's random numbers."""

import numpy as np
import pytest
import random_networks as nets
from both_engines import CLOSE
from compiled import ISAS, Engine
from engine_calls import gradient_of, layers_of, run_steps, set_layers
from random_networks import fill, flat, targets, train

from fastmlp import reference
from fastmlp import spec as specs
from fastmlp.passes import kernels, permutation, probes
from fastmlp.spec import NetworkSpec

# --- ways in which arrays can come -----------------------------------------------------------------------------------


def layouts(array, folder):
    """The same numbers in other memory: strided both ways, Fortran order, reversed, odd offsets, read-only, memmap."""
    n, m = array.shape
    padded = np.zeros((2 * n + 3, 3 * m + 2), array.dtype)
    padded[1 : 2 * n : 2, 2 : 3 * m + 1 : 3] = array
    reversed_ = np.ascontiguousarray(array[::-1, ::-1])
    raw = np.zeros(array.nbytes + 1, np.uint8)
    raw[1:] = np.frombuffer(array.tobytes(), np.uint8)
    read_only = array.copy()
    read_only.flags.writeable = False
    path = folder / f"{array.dtype}.bin"
    array.tofile(path)
    return {
        "C": array,
        "Fortran": np.asfortranarray(array),
        "strided": padded[1 : 2 * n : 2, 2 : 3 * m + 1 : 3],
        "reversed": reversed_[::-1, ::-1],
        "unaligned": raw[1:].view(array.dtype).reshape(n, m),
        "read-only": read_only,
        "memmap": np.memmap(path, array.dtype, "r", shape=(n, m)),
    }


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("source", nets.SOURCES)
def test_sources_and_strides(source, dtype, tmp_path):
    """What comes in another dtype or another layout is the same as its copy in the network's dtype, bit for bit."""
    spec = NetworkSpec.make([37, 11, 5], "tanh", dtype=dtype)
    rng, n = np.random.default_rng(7), 29
    if source.startswith("float"):
        X, y = rng.normal(size=(n, 37)).astype(source), rng.normal(size=(n, 5)).astype(source)
    else:
        info = np.iinfo(source)
        X, y = (rng.integers(max(info.min, -99), min(info.max, 99), (n, m)).astype(source) for m in (37, 5))
        X[0, 0], X[-1, -1] = info.min, info.max
    order = rng.integers(0, n, 40)
    plain_X, plain_y = X.astype(dtype), y.astype(dtype)

    def results(X, y):
        engine = fill(Engine(spec), spec)
        out, again, row_loss = np.empty((n, 5), dtype), np.empty((n, 5), dtype), np.empty(n)
        engine.predict(X, out, 2)
        engine.evaluate(X, y, again, row_loss, 1)
        trace = engine.trace(X, y, 1)
        _, *gradient = gradient_of(engine, X, y, None, 2)
        _, losses = train(engine, X, y, order, 8, specs.SGD(1e-6), threads=2)
        pieces = [out, again, row_loss, *trace[0], *trace[2], flat(gradient), losses, flat(layers_of(engine))]
        return b"".join(piece.tobytes() for piece in pieces)

    wanted = results(plain_X, plain_y)
    ys = layouts(y, tmp_path)
    (tmp_path / "x").mkdir()
    for name, array in layouts(X, tmp_path / "x").items():
        assert results(array, ys[name]) == wanted, name


def test_every_float16_is_read_exactly():
    bits = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = bits[np.isfinite(bits)].reshape(-1, 1)
    for dtype in ("float32", "float64"):
        engine = Engine(NetworkSpec.make([1, 1], dtype=dtype))
        set_layers(engine, [np.ones((1, 1), dtype)], [np.full(1, -0.0, dtype)])
        out = np.empty((len(finite), 1), dtype)
        engine.predict(finite, out, 1)
        np.testing.assert_array_equal(out, finite.astype(dtype))


def test_float64_inputs_are_rounded_once():
    x = np.random.default_rng(8).normal(size=(50, 1)) * 1e3
    engine = Engine(NetworkSpec.make([1, 1], dtype="float32"))
    set_layers(engine, [np.ones((1, 1), "float32")], [np.zeros(1, "float32")])
    out = np.empty((50, 1), "float32")
    engine.predict(x, out, 1)
    np.testing.assert_array_equal(out, x.astype("float32"))


def test_labels_may_be_read_only_and_strided():
    spec = NetworkSpec.make([3, 4], loss="cross_entropy")
    engine = fill(Engine(spec), spec)
    X, y = np.random.default_rng(9).normal(size=(20, 3)), targets(spec, 20, labels=True)
    wanted = gradient_of(engine, X, y, None, 1)
    twice = np.repeat(y, 2)
    twice.flags.writeable = False
    for labels in (twice[::2], twice[::-2][::-1]):
        got = gradient_of(engine, X, labels, None, 1)
        assert got[0] == wanted[0]
        assert flat(got[1:]).tobytes() == flat(wanted[1:]).tobytes()


# --- rows in chunks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("loss", "output"), [("cross_entropy", "softmax"), ("squared_error", "tanh")])
def test_rows_do_not_depend_on_those_beside_them(loss, output, dtype):
    """Many rows, a few rows and single rows go through other kernels and other blocks, and give the same bits."""
    spec = NetworkSpec.make([21, 70, 33, 3], "elu", output, loss, dtype)
    engine = fill(Engine(spec), spec)
    rng, n = np.random.default_rng(10), 2999
    X, y = rng.normal(size=(n, 21)).astype(dtype), targets(spec, n)
    whole, row_loss = np.empty((n, 3), dtype), np.empty(n)
    engine.predict(X, whole, 1)
    again = np.empty_like(whole)
    engine.evaluate(X, y, again, row_loss, 1)
    if loss == "cross_entropy":
        np.testing.assert_allclose(again, whole, **CLOSE[dtype])
    else:
        assert again.tobytes() == whole.tobytes()
    for length, threads in ((1, 1), (2, 1), (3, 3), (4, 1), (7, 2), (500, 3), (n, 3)):
        for start in {0, 1, n - length} & set(range(n - length + 1)) | set(range(0, n - length, 211)):
            rows = slice(start, start + length)
            part, evaluated, losses = np.empty((length, 3), dtype), np.empty((length, 3), dtype), np.empty(length)
            engine.predict(X[rows], part, threads)
            engine.evaluate(X[rows], y[rows], evaluated, losses, threads)
            assert part.tobytes() == whole[rows].tobytes(), rows
            assert evaluated.tobytes() == again[rows].tobytes(), rows
            assert losses.tobytes() == row_loss[rows].tobytes(), rows


@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_over_more_rows_than_a_chunk(weighted):
    """gradient takes 64 MiB of rows at once; wide inputs make that few. The sums go on where a chunk stopped."""
    spec = NetworkSpec.make([9000, 2, 1], "tanh", dtype="float64")
    n = 64 * 2**20 // (8 * 9000) + 70
    engine = fill(Engine(spec), spec)
    rng = np.random.default_rng(11)
    X, y = rng.integers(0, 255, (n, 9000), dtype=np.uint8), rng.normal(size=(n, 1))
    weight = rng.random(n) if weighted else None
    value, *gradient = gradient_of(engine, X, y, weight, 2)
    w = np.full(n, 1 / n) if weight is None else weight / weight.sum()
    parts = [gradient_of(engine, X[rows], y[rows], w[rows], 1) for rows in (slice(300), slice(300, n))]
    shares = [w[:300].sum(), w[300:].sum()]
    assert value == pytest.approx(sum(s * part[0] for s, part in zip(shares, parts, strict=True)), rel=1e-12)
    wanted = sum(s * flat(part[1:]) for s, part in zip(shares, parts, strict=True))
    np.testing.assert_allclose(flat(gradient), wanted, rtol=1e-9, atol=1e-12 * np.abs(wanted).max())
    # Rows of the last chunk count: without them the gradient is another.
    assert not np.allclose(flat(gradient), flat(parts[0][1:]), rtol=1e-3)


def test_trace_in_chunks():
    spec = NetworkSpec.make([9000, 3], "tanh", dtype="float64")
    n = 64 * 2**20 // (8 * 9000) + 5
    engine = fill(Engine(spec), spec)
    X, y = np.random.default_rng(12).integers(0, 9, (n, 9000), dtype=np.uint8), targets(spec, n)
    whole = engine.trace(X, y, 1)
    for rows in (slice(0, 2), slice(n - 7, n)):
        for ours, part in zip(whole, engine.trace(X[rows], y[rows], 1), strict=True):
            assert ours[0][rows].tobytes() == part[0].tobytes()


def test_no_rows_have_no_mean():
    engine = Engine(NetworkSpec.make([3, 4, 2]))
    with pytest.raises(ValueError, match="rows"):
        gradient_of(engine, np.empty((0, 3)), np.empty((0, 2)), None, 1)


def test_no_rows():
    spec = NetworkSpec.make([3, 4, 2])
    engine, X = fill(Engine(spec), spec), np.empty((0, 3))
    engine.predict(X, np.empty((0, 2), "float32"), 2)
    engine.evaluate(X, np.empty((0, 2)), np.empty((0, 2), "float32"), np.empty(0), 2)
    assert [z.shape for z in engine.trace(X, None, 1)[0]] == [(0, 4), (0, 2)]
    engine.use_optimizer("sgd")
    assert run_steps(engine, X, X[:, :2], np.empty(0, np.int64), 4, np.empty((0, 6)), None, np.empty(0), 2).steps == 0


# --- permutation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 63, 1000, 100_003])
def test_permutation_is_the_references(n):
    for seed, epoch in ((0, 0), (1, 7), (2**64 - 1, 2**32 - 1), (2**40 + 5, 3)):
        ours, theirs = permutation(seed, epoch, n), reference.permutation(seed, epoch, n)
        assert ours.dtype == theirs.dtype == np.int64
        np.testing.assert_array_equal(ours, theirs)


def test_permutation_in_the_place_of_an_older_one():
    order = permutation(0, 1, 1000)
    assert permutation(0, 2, 1000, order) is order
    np.testing.assert_array_equal(order, reference.permutation(0, 2, 1000, np.empty(1000, np.int64)))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("blocks", [0, 1, 63, 64, 65, 200])
def test_random_numbers_are_the_references(isa, blocks):
    for seed, stream, substream, first in ((0, 1, 0, 0), (2**64 - 1, 2**32 - 1, 5, 2**32 - 70), (9, 2, 3, 2**64 - 7)):
        out = np.empty((blocks, 4), np.uint32)
        probes.philox(seed, stream, substream, first, out, isa)
        np.testing.assert_array_equal(out, reference.random.philox(seed, stream, substream, first, blocks))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 33), (5, 64), (2, 65), (70, 200), (0, 3)], ids=str)
def test_random_numbers_of_elements_are_the_references(isa, shape):
    for key in ((0, 4, 0, 0, 0), (2**64 - 1, 2**32 - 1, 7, 2**64 - 1, 2**32 - 2), (2**40 + 3, 4, 1, 2**33, 12_345)):
        out = np.empty(shape, np.uint16)
        probes.random_rows(*key, out, isa)
        wanted = reference.random.elements(*key[:4], range(key[4], key[4] + shape[0]), shape[1])
        np.testing.assert_array_equal(out, wanted)


def test_a_block_of_random_numbers_has_four():
    with pytest.raises(ValueError, match="four numbers, not 3"):
        probes.philox(0, 1, 0, 0, np.empty((2, 3), np.uint32))


@pytest.mark.parametrize("bits", [1, 2, 8, 11, 15, 16])
@pytest.mark.parametrize("distinct", [1, 50, 2**32])
def test_rows_are_sorted_by_key_and_equal_keys_by_row(bits, distinct):
    keys = np.random.default_rng(0).integers(0, distinct, 1000, np.uint32) * np.uint32(max((2**32 - 1) // distinct, 1))
    order = np.empty(len(keys), np.int64)
    kernels.rows_by_key(keys, bits, order)
    np.testing.assert_array_equal(order, np.argsort(keys, kind="stable"))


def test_sort_of_rows_refuses_what_does_not_fit():
    keys, order = np.zeros(5, np.uint32), np.zeros(5, np.int64)
    for wrong in ((keys, 0, order), (keys, 17, order), (keys, 8, order[:4])):
        with pytest.raises(ValueError, match="digits of"):
            kernels.rows_by_key(*wrong)
