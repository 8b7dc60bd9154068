"""The shipped digits, and IDX files good and bad."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastmlp.datasets import load_digits, load_fashion_mnist, load_idx

CODES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def header(code, *shape):
    return bytes([0, 0, code, len(shape)]) + np.array(shape, ">u4").tobytes()


def idx(array, code):
    return header(code, *array.shape) + array.astype(CODES[code]).tobytes()


@pytest.fixture
def write(tmp_path):
    def write(content, name="file"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


# --- digits ----------------------------------------------------------------------------------------------------------


def test_digits():
    X, y = load_digits()
    assert X.shape == (1797, 64)
    assert X.dtype == np.uint8
    assert (X.min(), X.max()) == (0, 16)
    assert y.shape == (1797,)
    assert y.dtype == np.int64
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_digits_are_scikit_learns():
    theirs = pytest.importorskip("sklearn.datasets").load_digits()
    X, y = load_digits()
    np.testing.assert_array_equal(X, theirs.data)
    np.testing.assert_array_equal(y, theirs.target)


def test_digits_split_is_stratified_and_whole():
    X, y = load_digits()
    split = load_digits(split=True)
    assert split.X_train.shape == (1437, 64)
    assert split.X_test.shape == (360, 64)
    assert split.y_train.shape == (1437,)
    assert split.y_test.shape == (360,)
    assert np.abs(np.bincount(split.y_test) - np.bincount(y) / 5).max() < 1
    for a, b in zip(split, load_digits(split=True), strict=True):
        np.testing.assert_array_equal(a, b)
    rows = np.vstack([np.column_stack([split.X_train, split.y_train]), np.column_stack([split.X_test, split.y_test])])
    np.testing.assert_array_equal(np.unique(rows, axis=0), np.unique(np.column_stack([X, y]), axis=0))


def test_digits_files_are_small_and_licensed():
    import fastmlp.datasets

    directory = Path(fastmlp.datasets.__file__).parent
    assert sum(path.stat().st_size for path in directory.glob("digits-*")) < 150_000
    text = (directory / "DIGITS-LICENSE").read_text()
    for needed in ("Alpaydin", "Kaynak", "CC BY 4.0", "Changes"):
        assert needed in text


def test_the_script_makes_the_shipped_files(tmp_path):
    pytest.importorskip("sklearn")
    import fastmlp.datasets

    subprocess.run(
        [sys.executable, Path(__file__).parents[1] / "data" / "make_digits.py", tmp_path],
        check=True,
        capture_output=True,
    )
    for name in ("digits-images.idx.gz", "digits-labels.idx.gz"):
        shipped = (Path(fastmlp.datasets.__file__).parent / name).read_bytes()
        # zlib versions may compress differently; what is inside may not.
        assert gzip.decompress((tmp_path / name).read_bytes()) == gzip.decompress(shipped)


# --- IDX -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4), (1, 2, 1, 3, 1, 2), (0,), (3, 0, 2)], ids=str)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_idx_round_trip(write, code, shape, pack):
    array = (np.arange(np.prod(shape)) - 3).reshape(shape).astype(CODES[code])
    result = load_idx(write(pack(idx(array, code))))
    assert result.dtype == array.dtype.newbyteorder("=")
    assert result.dtype.isnative
    assert result.flags.writeable
    assert result.shape == shape
    np.testing.assert_array_equal(result, array)


def test_gzip_is_seen_by_content_not_by_name(write):
    content = idx(np.arange(4), 0x08)
    assert load_idx(write(gzip.compress(content), "plain-idx1-ubyte")).tolist() == [0, 1, 2, 3]
    assert load_idx(str(write(content, "packed.gz"))).tolist() == [0, 1, 2, 3]


def test_gzip_of_several_members(write):
    content = idx(np.arange(100), 0x08)
    assert load_idx(write(gzip.compress(content[:50]) + gzip.compress(content[50:]))).tolist() == list(range(100))


def test_most_dimensions_that_numpy_has(write):
    assert load_idx(write(header(0x08, *[1] * 32) + b"\7")).shape == (1,) * 32


GOOD = idx(np.arange(6).reshape(2, 3), 0x08)


def packed(content):
    """Gzip without the time, so that the names of tests are the same in every process."""
    return gzip.compress(content, mtime=0)


PACKED = packed(GOOD)
BIG = packed(header(0x08, 1000, 1000) + bytes(1_000_000))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\0\0\x08", "truncated header: 3 bytes of the 4"),
        (GOOD[:11], "truncated header: 7 bytes of sizes; 2 dimensions take 4 each"),
        (b"PK\3\4" + bytes(20), "not an IDX file: it begins with 50 4b"),
        (b"\0\1\x08\1" + bytes(20), "not an IDX file"),
        (b"\0\0\x0a\1" + bytes(20), "unknown element type 0x0a"),
        (b"\0\0\x08\0\7", "no dimensions"),
        (GOOD[:-1], "truncated: shape .2, 3. of uint8 takes 6 bytes"),
        (GOOD[:-6], "truncated"),
        (GOOD + b"\0", "trailing bytes after the 6"),
        (header(0x08, 0) + b"\0", "trailing bytes after the 0"),
        (header(0x0E, *[2**32 - 1] * 2), "truncated: .* more than the file can hold"),
        (header(0x0E, *[2**32 - 1] * 255), "truncated: .* more than the file can hold"),
        (header(0x08, *[1] * 255) + b"\7", "255 dimensions that NumPy cannot hold"),
        (header(0x08, 0, *[2**32 - 1] * 3), "4 dimensions that NumPy cannot hold"),
        (packed(b""), "the file is empty"),
        (packed(GOOD[:-1]), "truncated: 5 bytes of elements"),
        (packed(GOOD + b"\0"), "trailing bytes"),
        (packed(header(0x0E, *[2**32 - 1] * 3)), "truncated: .* more than the file can hold"),
        (PACKED[:-1], "corrupt gzip"),
        (PACKED[:12], "corrupt gzip"),
        (b"\x1f\x8b", "corrupt gzip"),
        (b"\x1f\x8b\x07" + PACKED[3:], "corrupt gzip"),
        (PACKED[:10] + bytes(b ^ 255 for b in PACKED[10:]), "corrupt gzip"),
        (PACKED[:-8] + bytes(8), "corrupt gzip: CRC"),
        (PACKED + b"garbage", "corrupt gzip"),
        (BIG[:-20], "corrupt gzip: Compressed file ended"),
        (BIG[:500], "truncated: .* more than the file can hold"),
    ],
)
def test_malformed_files_are_named_with_their_fault(write, content, message):
    path = write(content)
    with pytest.raises(ValueError, match=message) as caught:
        load_idx(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(header(0x08, 10) + bytes(50_000_000)),  # a bomb: the header promises ten bytes
        gzip.compress(bytes(50_000_000)),
        header(0x08, 2**31, 3),
        gzip.compress(header(0x08, 2**31, 3)),
    ],
    ids=["bomb", "bomb without header", "promise", "packed promise"],
)
def test_no_more_memory_than_the_file_can_fill(write, content):
    path = write(content)
    tracemalloc.start()
    with pytest.raises(ValueError):
        load_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_idx(tmp_path / "missing")
    with pytest.raises(ValueError, match="not a regular file"):
        load_idx(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo")
        with pytest.raises(ValueError, match="not a regular file"):
            load_idx(tmp_path / "fifo")


@settings(max_examples=300, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    content=st.sampled_from([GOOD, PACKED, idx(np.arange(9) / 7, 0x0E)]),
    flips=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=3),
    end=st.integers(0, 200),
    tail=st.binary(max_size=3),
)
def test_damaged_files_are_value_errors(tmp_path, content, flips, end, tail):
    damaged = bytearray(content[:end] + tail)
    for place, mask in flips:
        if place < len(damaged):
            damaged[place] ^= mask
    path = tmp_path / "damaged"
    path.write_bytes(damaged)
    message = None
    try:
        load_idx(path)
    except ValueError as error:
        message = str(error)
    assert message is None or message.startswith(f"{path}: ")


# --- Fashion-MNIST ---------------------------------------------------------------------------------------------------


@pytest.fixture
def fashion(tmp_path):
    for part, n, pack, end in (("train", 6, gzip.compress, ".gz"), ("t10k", 3, bytes, "")):
        images = np.arange(n * 784).reshape(n, 28, 28) % 251
        (tmp_path / f"{part}-images-idx3-ubyte{end}").write_bytes(pack(idx(images, 0x08)))
        (tmp_path / f"{part}-labels-idx1-ubyte{end}").write_bytes(pack(idx(np.arange(n), 0x08)))
    return tmp_path


def test_fashion_mnist_from_a_directory(fashion):
    split = load_fashion_mnist(fashion)
    assert split.X_train.shape == (6, 784)
    assert split.X_train.dtype == np.uint8
    assert split.X_train[1, :3].tolist() == [784 % 251, 785 % 251, 786 % 251]
    assert split.y_train.dtype == np.int64
    assert split.y_test.tolist() == [0, 1, 2]
    assert load_fashion_mnist(str(fashion)).X_test.shape == (3, 784)


def test_fashion_mnist_says_what_is_missing(fashion):
    (fashion / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=r"t10k-labels-idx1-ubyte.*dataset-fashion-mnist.*directory"):
        load_fashion_mnist(fashion)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("t10k-images-idx3-ubyte", np.zeros((3, 28, 27)), r"uint8 of shape \(3, 28, 27\); images must be"),
        ("t10k-images-idx3-ubyte", np.zeros((3, 784)), "images must be"),
        ("t10k-labels-idx1-ubyte", np.zeros(4), r"labels must be uint8 of shape \(3,\)"),
        ("t10k-labels-idx1-ubyte", np.array([0, 10, 0]), "label 10 at 1"),
    ],
)
def test_fashion_mnist_checks_that_files_fit(fashion, name, array, message):
    (fashion / name).write_bytes(idx(array, 0x08))
    with pytest.raises(ValueError, match=message):
        load_fashion_mnist(fashion)


@pytest.mark.skipif(not Path("/usr/share/datasets/fashion-mnist").exists(), reason="no dataset-fashion-mnist package")
def test_fashion_mnist_of_debian():
    split = load_fashion_mnist()
    assert split.X_train.shape == (60000, 784)
    assert split.X_test.shape == (10000, 784)
    assert split.X_train.max() == 255
    assert np.bincount(split.y_train).tolist() == [6000] * 10
    assert np.bincount(split.y_test).tolist() == [1000] * 10
