"""Files of tensors and models: what goes in comes out, what is damaged is refused, and a kill loses nothing."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import stat
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastmlp.files import Checkpoint, load_file, load_model, model, save_file, save_model
from fastmlp.spec import SGD, Adam, LeakyReLU, NetworkSpec

DTYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX file modes and links")


def tensors_of_all_kinds():
    rng = np.random.default_rng(0)
    tensors = {f"dtype {dtype}": rng.integers(0, 2, (3, 5)).astype(dtype) for dtype in DTYPES}
    tensors |= {
        "scalar": np.float32(1.5),
        "empty": np.zeros((0, 3)),
        "vector": np.arange(7, dtype=np.int16),
        "nan, -0, tiny": np.array([np.nan, -0.0, 5e-324, np.inf]),
        "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "strided": np.arange(10)[::-3],
        "big-endian": np.arange(5, dtype=">f8"),
        "": np.ones(1, np.uint8),
        'näme "quoted"\n\U0001f600': np.ones(2),
    }
    return tensors


def assert_same(left, right):
    assert left.keys() == right.keys()
    for name, array in left.items():
        expected = np.asarray(right[name])
        assert array.dtype == expected.dtype.newbyteorder("=")
        assert array.shape == expected.shape
        assert array.tobytes() == expected.astype(array.dtype).tobytes()


def packed(header, data=b"", *, length=None):
    """A file with any header: JSON of an object, or bytes as they are."""
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(encoded) if length is None else length).to_bytes(8, "little") + encoded + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def leftovers(directory):
    return sorted(path.name for path in directory.iterdir() if path.name.endswith(".tmp"))


# --- files of tensors ------------------------------------------------------------------------------------------------


def test_round_trip(tmp_path):
    tensors, metadata = tensors_of_all_kinds(), {"key": "välue", "": "\n\"'"}
    save_file(tmp_path / "t", tensors, metadata)
    loaded, loaded_metadata = load_file(str(tmp_path / "t"))
    assert_same(loaded, tensors)
    assert loaded_metadata == metadata
    assert all(array.flags.writeable and array.flags.c_contiguous for array in loaded.values())
    save_file(tmp_path / "t", {})
    assert load_file(tmp_path / "t") == ({}, {})


def test_layout(tmp_path):
    tensors = {"bytes": np.ones(3, np.uint8), "half": np.ones(3, np.float16), "double": np.ones(3)}
    save_file(tmp_path / "t", tensors, {"k": "v"})
    content = (tmp_path / "t").read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0
    header = json.loads(content[8 : 8 + length])
    assert header.pop("__metadata__") == {"k": "v"}
    assert [header[name]["data_offsets"] for name in ("double", "half", "bytes")] == [[0, 24], [24, 30], [30, 33]]
    assert len(content) == 8 + length + 33


def test_the_safetensors_library_reads_ours(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    tensors = tensors_of_all_kinds()
    save_file(tmp_path / "t", tensors, {"key": "välue"})
    assert_same(library.load_file(tmp_path / "t"), tensors)
    with pytest.importorskip("safetensors").safe_open(tmp_path / "t", "np") as file:
        assert file.metadata() == {"key": "välue"}


def test_we_read_the_safetensors_librarys(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    tensors = {name: np.ascontiguousarray(array) for name, array in tensors_of_all_kinds().items()}
    del tensors["big-endian"]
    library.save_file(tensors, tmp_path / "t", {"key": "välue"})
    loaded, metadata = load_file(tmp_path / "t")
    assert_same(loaded, tensors)
    assert metadata == {"key": "välue"}


@pytest.mark.parametrize(
    ("tensors", "metadata", "error", "message"),
    [
        ({1: np.ones(1)}, None, TypeError, "tensor name 1 is a int"),
        ({"__metadata__": np.ones(1)}, None, ValueError, "__metadata__"),
        ({"x": np.ones(1, complex)}, None, TypeError, "tensor 'x' has dtype complex128"),
        ({"x": np.array(["a"])}, None, TypeError, "tensor 'x' has dtype <U1"),
        ({"x": np.array([None])}, None, TypeError, "tensor 'x' has dtype object"),
        ({"\ud800": np.ones(1)}, None, ValueError, "not valid Unicode"),
        ({}, {"key": 1}, TypeError, "metadata must map str to str; it has 'key': int"),
        ({}, {1: "text"}, TypeError, "it has 1: str"),
        ({}, {"key": "\udfff"}, ValueError, "not valid Unicode"),
        ({}, {"key": "x" * 8_388_608}, ValueError, "they may take 8388608"),
        ({}, {"key": "x" * 4_194_304}, ValueError, "a string of 4194306 bytes; it may have 4194304"),
        ({}, dict.fromkeys(map(str, range(1001)), ""), ValueError, "more than 1000 metadata"),
        (dict.fromkeys(map(str, range(65_537)), np.ones(0)), None, ValueError, "more than 65536 tensors"),
        ({"x": np.ones((1,) * 32)[..., np.newaxis]}, None, ValueError, "at most 32 sizes"),
    ],
)
def test_what_cannot_be_saved_changes_nothing(tmp_path, tensors, metadata, error, message):
    save_file(tmp_path / "t", {"old": np.ones(1)})
    with pytest.raises(error, match=message):
        save_file(tmp_path / "t", tensors, metadata)
    assert_same(load_file(tmp_path / "t")[0], {"old": np.ones(1)})
    assert leftovers(tmp_path) == []


GOOD = packed({"x": entry()}, bytes(8))
HOSTILE = {
    "empty": (b"", "truncated: 0 bytes, not even the 8"),
    "seven bytes": (bytes(7), "truncated: 7 bytes"),
    "no header": (bytes(8), "header is not a JSON object"),
    "header length huge": (packed({}, length=2**64 - 1), "header length is 18446744073709551615; at most 8388608"),
    "header length over the limit": (packed({}, length=8_388_609), "at most 8388608"),
    "header longer than file": (packed({}, length=8_388_608), "truncated: a header of 8388608 bytes in a file of"),
    "header too short": (packed({"x": entry()}, bytes(8), length=20), "header is not valid JSON"),
    "invalid UTF-8": (packed(b'{"\xff": 1}'), "header is not UTF-8"),
    "UTF-16": (packed('{"x": 1}'.encode("utf-16")), "header is not a JSON object"),
    "BOM": (packed(b"\xef\xbb\xbf{}"), "header is not a JSON object"),
    "leading space": (packed(b" {}"), "header is not a JSON object"),
    "invalid JSON": (packed(b"{]"), "header is not valid JSON"),
    "JSON and more": (packed(b"{} {}"), "header is not valid JSON"),
    "a list": (packed(b"[]"), "header is not a JSON object"),
    "lone surrogate": (packed(b'{"\\ud800": 1}'), "header is not valid JSON"),
    "control character": (packed(b'{"\n": 1}'), "header is not valid JSON"),
    "no colon": (packed(b'{"x" {}}'), "':' is missing"),
    "no comma": (packed(b'{"x": %b "y": %b}' % ((json.dumps(entry()).encode(),) * 2)), "',' is missing"),
    "comma at the end": (packed(b'{"x": %b,}' % json.dumps(entry()).encode()), "a string is missing"),
    "name without an end": (packed(b'{"x'), "header is not valid JSON at byte 1: a string is missing or does not end"),
    "name that ends escaped": (packed(b'{"x\\\"'), "a string is missing or does not end"),
    "invalid UTF-8 in an entry": (packed(b'{"x": {"dtype": "\xff"}}'), "header is not UTF-8"),
    "NaN": (packed(b'{"x": NaN}'), "NaN is not JSON"),
    "Infinity": (packed(b'{"x": -Infinity}'), "-Infinity is not JSON"),
    "ten thousand digits": (packed(b'{"x": ' + b"9" * 10_000 + b"}"), "tensor 'x' must have dtype"),
    "size of a thousand digits": (packed({"x": entry(shape=(10**999,))}, bytes(8)), "has shape"),
    "deep lists": (packed(b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "nested too deeply"),
    "deep objects": (packed(b'{"x":' * 100_000 + b"1" + b"}" * 100_000), "header is not valid JSON"),
    "deep and open": (packed(b'{"x": ' + b"[" * 1_000_000), "nested too deeply"),
    "deep shape": (packed(b'{"x":{"dtype":"F32","data_offsets":[0,8],"shape":' + b"[" * 900 + b"]" * 900 + b"}}"),
                   "has shape|nested too deeply"),
    "duplicate tensor": (packed(b'{"x": %b, "x": %b}' % ((json.dumps(entry()).encode(),) * 2), bytes(8)), "twice"),
    "duplicate field": (packed(b'{"x":{"shape":[1],"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(8)),
                        "twice"),
    "duplicate metadata": (packed(b'{"__metadata__": {"a": "b", "a": "c"}}'), "twice"),
    "metadata a list": (packed({"__metadata__": ["a"]}), "__metadata__ must map strings to strings"),
    "metadata null": (packed({"__metadata__": None}), "__metadata__ must map"),
    "metadata a number": (packed({"__metadata__": {"a": 1}}), "__metadata__ must map"),
    "metadata nested": (packed({"__metadata__": {"a": {"b": "c"}}}), "__metadata__ must map"),
    "entry a number": (packed({"x": 1}), "tensor 'x' must have dtype, shape and data_offsets"),
    "entry without shape": (packed({"x": {"dtype": "F32", "data_offsets": [0, 8]}}, bytes(8)), "must have dtype"),
    "entry with more": (packed({"x": {**entry(), "more": 1}}, bytes(8)), "must have dtype"),
    "unknown dtype": (packed({"x": entry("F33")}, bytes(8)), "tensor 'x' has dtype 'F33'; it must be one of F64"),
    "dtype a number": (packed({"x": entry(32)}, bytes(8)), "tensor 'x' has dtype 32"),
    "dtype a list": (packed({"x": entry(["F32"])}, bytes(8)), r"tensor 'x' has dtype \['F32'\]"),
    "shape a number": (packed({"x": {**entry(), "shape": 2}}, bytes(8)), "tensor 'x' has shape 2"),
    "shape of bools": (packed({"x": entry(shape=(True, 2))}, bytes(8)), r"has shape \[True, 2\]"),
    "shape of floats": (packed({"x": entry(shape=(2.0,))}, bytes(8)), r"has shape \[2.0\]"),
    "shape of 1e999": (packed(b'{"x": {"dtype": "F32", "shape": [1e999], "data_offsets": [0, 8]}}', bytes(8)), "shape"),
    "shape of strings": (packed({"x": entry(shape=("2",))}, bytes(8)), "has shape"),
    "negative shape": (packed({"x": entry(shape=(-2,))}, bytes(8)), r"has shape \[-2\]"),
    "negative shapes": (packed({"x": entry(shape=(-1, -2))}, bytes(8)), "has shape"),
    "shape too deep": (packed({"x": entry(shape=(1,) * 33)}, bytes(4)), "at most 32 sizes"),
    "size of 2**64": (packed({"x": entry(shape=(2**64,))}, bytes(8)), "has shape"),
    "product overflows to fit": (packed({"x": entry(shape=(2**33, 2**31))}, bytes(8)), "too large for any memory"),
    "product overflows to zero": (packed({"x": entry(shape=(2**62, 4), offsets=(0, 0))}), "too large for any memory"),
    "empty but overflowing": (packed({"x": entry(shape=(0, 2**62, 2**62), offsets=(0, 0))}), "too large for any"),
    "shape says more": (packed({"x": entry(shape=(3,))}, bytes(8)), "has 8 bytes; dtype F32 and shape .3. make 12"),
    "shape says less": (packed({"x": entry(shape=(1,))}, bytes(8)), "make 4"),
    "huge shape, small file": (packed({"x": entry("U8", (2**40,), (0, 2**40))}, bytes(8)), "truncated: tensors end"),
    "offsets three": (packed({"x": entry(offsets=(0, 8, 8))}, bytes(8)), "data_offsets"),
    "offsets reversed": (packed({"x": entry(offsets=(8, 0))}, bytes(8)), "data_offsets"),
    "offsets negative": (packed({"x": entry(offsets=(-8, 0))}, bytes(8)), "data_offsets"),
    "offsets of bools": (packed({"x": entry("U8", (1,), (False, True))}, bytes(1)), "data_offsets"),
    "offsets of floats": (packed({"x": entry(offsets=(0.0, 8.0))}, bytes(8)), "data_offsets"),
    "offsets huge": (packed({"x": entry(offsets=(2**64, 2**64 + 8))}, bytes(8)), "data_offsets"),
    "overlap": (packed({"x": entry(), "y": entry(offsets=(4, 12))}, bytes(12)), "tensor 'y' overlaps"),
    "the same bytes twice": (packed({"x": entry(), "y": entry()}, bytes(8)), "overlaps"),
    "gap": (packed({"x": entry(), "y": entry(offsets=(12, 20))}, bytes(20)), "tensor 'y' leaves a gap"),
    "gap in front": (packed({"x": entry(offsets=(4, 12))}, bytes(12)), "tensor 'x' leaves a gap"),
    "truncated": (GOOD[:-1], "truncated: tensors end at byte"),
    "no data": (GOOD[:-8], "truncated: tensors end"),
    "trailing byte": (GOOD + b"\0", "1 bytes too many"),
    "trailing bytes, no tensors": (packed({}, bytes(3)), "3 bytes too many"),
    "BOOL of two": (packed({"x": entry("BOOL", (2,), (0, 2))}, b"\1\2"), "BOOL and bytes other than 0 and 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_named_with_their_fault(tmp_path, name):
    content, message = HOSTILE[name]
    path = tmp_path / "hostile"
    path.write_bytes(content)
    for load in (load_file, load_model):
        tracemalloc.start()
        with pytest.raises(ValueError, match=message if load is load_file else None) as caught:
            load(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert str(caught.value).startswith(f"{path}: ")
        assert len(str(caught.value)) < 1000
        assert peak < 20_000_000


def brimful(start, unit, end, size=8 << 20):
    """A header of that size: as many units as go in."""
    return packed(start + unit * ((size - len(start) - len(end)) // len(unit)) + end)


def full_of_tensors(count, metadata=b"", name="%d", size=0):
    """A header of so many tensors, of one float32 each or (size 0) of none, and their bytes."""
    tensors = (
        f'"{name % k}":{{"dtype":"F32","shape":[{size}],"data_offsets":[{4 * size * k},{4 * size * (k + 1)}]}}'
        for k in range(count)
    )
    return packed(b"{" + metadata + ",".join(tensors).encode() + b"}", bytes(4 * size * count))


def described(text, count):
    """Make a header of so many tensors, with a description as long as that many allow."""
    return full_of_tensors(count, b'"__metadata__":{"fastmlp":%b},' % json.dumps(text).encode(), size=1)


SMILE = "\U0001f600".encode()  # makes Python take four bytes for every character of the string
# Each is made of its worst bytes, up to a limit of what is parsed or (the first two) far beyond.
BOMBS = {
    "94 MB of lists": lambda: brimful(b'{"x":[', b"[],", b"[]]}", 94_000_000),
    "a million tensors": lambda: full_of_tensors(1_000_000),
    "lists": lambda: brimful(b'{"x":[', b"[],", b"[]]}"),
    "lists in a tensor": lambda: brimful(b'{"x":{"shape":[', b"[],", b"[]]}}"),
    "objects": lambda: brimful(b"{", b'"":{},', b'"x":{}}'),
    "depth": lambda: brimful(b'{"x":', b"[", b""),
    "digits": lambda: brimful(b'{"x":', b"9", b"}"),
    "spaces": lambda: brimful(b'{"x":', b" ", b"1}"),
    "metadata": lambda: brimful(b'{"__metadata__":{', b'"":"",', b'"":""}}'),
    "tensors": lambda: full_of_tensors(65_537),
    "tensors of long names": lambda: full_of_tensors(65_536, name="%d" + "a" * 60 + SMILE.decode()),
    "a long name": lambda: brimful(b'{"' + SMILE, b"a", b'":1}', 4 << 20),
    "a longer name": lambda: brimful(b'{"' + SMILE, b"a", b'":1}'),
    "escapes": lambda: brimful(b'{"__metadata__":{"":"' + SMILE, b"\\n", b'"}}', 4 << 20),
    "escapes without an end": lambda: brimful(b'{"__metadata__":{"":"', b'\\"', b""),
    "description of lists": lambda: described('{"x":[' + "[]," * 40_000 + "[]]}", 20_000),
    "description of numbers": lambda: described('{"x":[' + "1000," * 79_000 + "1]}", 20_000),
    "description of a string": lambda: described('{"x":"' + SMILE.decode() + "a" * 3_900_000 + '"}', 20_000),
    "description of digits": lambda: described('{"x":' + "9" * 3_900_000 + "}", 20_000),
}
LOAD_BOMB = """
import sys
from pathlib import Path
from fastmlp.files import load_model

def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024

before = peak()
try:
    load_model(sys.argv[1])
except ValueError as error:
    assert str(error).startswith(sys.argv[1] + ": "), error
    print(peak() - before)
"""


@pytest.mark.skipif("FASTMLP_SANITIZE" in os.environ, reason="what a sanitizer keeps would be counted")
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from Linux's /proc")
@pytest.mark.parametrize("name", BOMBS)
def test_a_hostile_file_takes_memory_in_the_order_of_its_size(tmp_path, name):
    path = tmp_path / "bomb"
    path.write_bytes(BOMBS[name]())
    environment = {**os.environ, "PYTHONINTMAXSTRDIGITS": "0"}  # without Python's own limit, as some programs want it
    result = subprocess.run(
        [sys.executable, "-c", LOAD_BOMB, path], capture_output=True, text=True, check=False, env=environment
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) < 2 * path.stat().st_size + 50_000_000


def test_a_model_of_thousands_of_layers_and_their_moments_loads(tmp_path):
    rng = np.random.default_rng(0)
    spec = NetworkSpec.make([1] * 10_001, LeakyReLU(0.012345678901234567))
    tensors = {kind: layers_of(spec, rng) for kind in ("parameters", "state.0", "state.1")}
    save_model(tmp_path / "m", Checkpoint(spec, tensors, optimizer=Adam(), step=1))
    loaded = load_model(tmp_path / "m")
    assert loaded.spec == spec
    assert_same(loaded.tensors["state.1"], tensors["state.1"])


@pytest.mark.parametrize("kind", [str, os.fsencode, lambda path: path], ids=["str", "bytes", "path-like"])
def test_paths_of_every_kind(tmp_path, kind):
    path = kind(tmp_path / "näme")
    save_file(path, {"x": np.ones(1)})
    assert list(load_file(path)[0]) == ["x"]
    save_model(path, a_model())
    assert load_model(path).epoch == 7
    assert [child.name for child in tmp_path.iterdir()] == ["näme"]


@pytest.mark.parametrize(
    "path", [5, True, np.int64(5), None, io.BytesIO(), ["m"]], ids=lambda path: type(path).__name__
)
def test_what_is_no_path_is_refused_and_no_descriptor_is_touched(path):
    for use in (load_model, load_file, lambda path: save_file(path, {}), lambda path: save_model(path, a_model())):
        with pytest.raises(TypeError, match=r"path must be a str, bytes or path-like, got .* \(\w+\)"):
            use(path)


def test_a_descriptor_in_the_place_of_a_path_stays_open(tmp_path):
    with (tmp_path / "m").open("wb") as file:
        with pytest.raises(TypeError, match="path must be"):
            load_model(file.fileno())
        file.write(b"still open")
        file.flush()


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_file(tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        save_file(tmp_path / "missing" / "t", {})
    with pytest.raises(OSError):
        load_file(tmp_path)
    with pytest.raises(OSError, match="not a regular file"):
        save_file(tmp_path, {})
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo")
        with pytest.raises(ValueError, match="not a regular file"):
            load_file(tmp_path / "fifo")
        with pytest.raises(OSError, match="not a regular file"):
            save_file(tmp_path / "fifo", {})
        assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)
    if os.name == "posix":
        with pytest.raises(ValueError, match="not a regular file"):
            load_file("/dev/null")
        with pytest.raises(OSError, match="not a regular file"):
            save_file("/dev/null", {})


def sparse_file(path, tensors, size):
    """A file of a model of two inputs and an output, and `size` bytes of zeros that are not on the disk."""
    path.write_bytes(
        packed({"__metadata__": {"fastmlp": description(2, spec=NetworkSpec.make([2, 1]).to_dict())}, **tensors})
    )
    try:
        os.truncate(path, path.stat().st_size + size)
    except OSError:
        pytest.skip("the file system has no sparse files of that size")


def test_a_sparse_file_of_a_terabyte_is_not_read_for_a_small_model(tmp_path):
    tensors = {
        "layers.0.weight": entry(shape=(2**38, 1), offsets=(0, 2**40)),
        "layers.0.bias": entry(shape=(1,), offsets=(2**40, 2**40 + 4)),
    }
    sparse_file(tmp_path / "sparse", tensors, 2**40 + 4)
    with pytest.raises(ValueError, match=r"layers.0.weight is float32 of shape \(274877906944, 1\); the network needs"):
        load_model(tmp_path / "sparse")


def test_a_terabyte_that_is_not_the_networks_is_left_out_unread(tmp_path):
    tensors = {
        "average": entry(shape=(2**38, 1), offsets=(0, 2**40)),
        "layers.0.weight": entry(shape=(2, 1), offsets=(2**40, 2**40 + 8)),
        "layers.0.bias": entry(shape=(1,), offsets=(2**40 + 8, 2**40 + 12)),
    }
    sparse_file(tmp_path / "sparse", tensors, 2**40 + 12)
    assert not load_model(tmp_path / "sparse").tensors["parameters"]["layers.0.weight"].any()


# --- replacing a file ------------------------------------------------------------------------------------------------


@posix
def test_a_new_file_obeys_the_umask_and_an_old_one_keeps_its_mode(tmp_path):
    path = tmp_path / "t"
    old = os.umask(0o027)
    try:
        save_file(path, {})
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        for mode in (0o600, 0o664, 0o444):
            path.chmod(mode)
            save_file(path, {"x": np.ones(1)})
            assert stat.S_IMODE(path.stat().st_mode) == mode
    finally:
        os.umask(old)


@posix
def test_links_stay_links(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target, link, dangling, loop = (
        tmp_path / "elsewhere" / "t",
        tmp_path / "link",
        tmp_path / "dangling",
        tmp_path / "o",
    )
    save_file(target, {"old": np.ones(1)})
    link.symlink_to(target)
    save_file(link, {"new": np.ones(1)})
    assert link.is_symlink()
    assert "new" in load_file(target)[0]
    dangling.symlink_to(tmp_path / "elsewhere" / "fresh")
    save_file(dangling, {"new": np.ones(1)})
    assert dangling.is_symlink()
    assert "new" in load_file(tmp_path / "elsewhere" / "fresh")[0]
    loop.symlink_to(loop)
    with pytest.raises(OSError):
        save_file(loop, {})


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, error, where):
    def fail(*args):
        raise error

    path = tmp_path / "t"
    save_file(path, {"old": np.ones(1)})
    with monkeypatch.context() as patch:
        if where == "fsync":
            patch.setattr("os.fsync", fail)
        else:
            patch.setattr("pathlib.Path.replace", fail)
        with pytest.raises(type(error)):
            save_file(path, {"new": np.ones(1)})
    assert [p.name for p in tmp_path.iterdir()] == ["t"]
    assert "old" in load_file(path)[0]


def test_content_and_directory_are_synced(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr("os.fsync", lambda fd: (synced.append(stat.S_IFMT(os.fstat(fd).st_mode)), fsync(fd)))
    save_file(tmp_path / "t", {})
    assert synced == [stat.S_IFREG, *([stat.S_IFDIR] if hasattr(os, "O_DIRECTORY") else [])]


def test_threads_that_save_the_same_file(tmp_path):
    path = tmp_path / "t"

    def save(value):
        for _ in range(10):
            save_file(path, {"x": np.full(1000, value), "y": np.full(10, value)})

    threads = [threading.Thread(target=save, args=(value,)) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    loaded = load_file(path)[0]
    assert len({*loaded["x"].tolist(), *loaded["y"].tolist()}) == 1
    assert leftovers(tmp_path) == []


KILLER = """
import os, signal, sys, time
import numpy as np
from fastmlp.files import Checkpoint, load_model, save_model
from fastmlp.spec import NetworkSpec

path, rounds = sys.argv[1], int(sys.argv[2])
spec = NetworkSpec.make([300, 200, 10])

def model(step):
    tensors = {f"layers.{k}.weight": np.full((l.n_in, l.n_out), step % 1000, "f4") for k, l in enumerate(spec.layers)}
    tensors |= {f"layers.{k}.bias": np.full(l.n_out, step % 1000, "f4") for k, l in enumerate(spec.layers)}
    return Checkpoint(spec, {"parameters": tensors}, step=step)

last = 0
begun = time.perf_counter()
save_model(path, model(last))
taken = time.perf_counter() - begun
for n in range(rounds):
    started, ready = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            step = last
            while True:
                step += 1
                os.write(ready, b".")
                save_model(path, model(step))
        finally:
            os._exit(1)
    os.read(started, 1)
    time.sleep(n * 0.618 % 1 * max(0.01, 4 * taken))  # a disk that others use too may need long
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the child failed by itself"
    os.close(started), os.close(ready)
    found = load_model(path)
    assert found.step >= last
    for array in found.tensors["parameters"].values():
        assert (array == found.step % 1000).all()
    last = found.step
print(last)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and kill -9")
def test_kill_while_saving(tmp_path):
    """kill -9 in a loop of FASTMLP_KILL_ROUNDS (25): the file always loads, and is one of those that were saved."""
    rounds = os.environ.get("FASTMLP_KILL_ROUNDS", "25")
    path = tmp_path / "m.safetensors"
    result = subprocess.run(
        [sys.executable, "-c", KILLER, path, rounds], capture_output=True, text=True, timeout=600, check=False
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 0
    assert all(name.startswith(".fastmlp-") for name in leftovers(tmp_path))


# --- models ----------------------------------------------------------------------------------------------------------


def layers_of(spec, rng):
    dtype = np.dtype(spec.dtype)
    tensors = {}
    for k, layer in enumerate(spec.layers):
        tensors[f"layers.{k}.weight"] = rng.standard_normal((layer.n_in, layer.n_out)).astype(dtype)
        tensors[f"layers.{k}.bias"] = rng.standard_normal(layer.n_out).astype(dtype)
    return tensors


def a_model(dtype="float32", optimizer=None, states=2):
    rng = np.random.default_rng(1)
    spec = NetworkSpec.make([3, 5, 2], LeakyReLU(0.1), loss="cross_entropy", dtype=dtype)
    return Checkpoint(
        spec,
        {kind: layers_of(spec, rng) for kind in ("parameters", "state.0", "state.1")[: 1 + states]},
        seed=2**64 - 1,
        epoch=7,
        optimizer=Adam(1 / 3) if optimizer is None else optimizer,
        step=2**53 + 1,
    )


def description(version, **changes):
    """Describe a model as a file does, with changes; `...` takes a field out. States had another name."""
    spec = NetworkSpec.make([3, 5, 2], LeakyReLU(0.1), loss="cross_entropy").to_dict()
    fields = {"format": version, "spec": spec, "seed": "0", "epoch": 0, "step": 0, "optimizer": None, "states": 0}
    fields |= {"needs": []} if version > 1 else {}
    fields |= changes
    if version == 1:
        fields["slots"] = fields.pop("states")
    return json.dumps({key: value for key, value in fields.items() if value is not ...})


def named(model, version):
    """All tensors of a model as a format calls them."""
    state = "optimizer" if version == 1 else "state"
    prefixes = {kind: "" if kind == "parameters" else f"{kind.replace('state', state)}." for kind in model.tensors}
    return {prefixes[kind] + name: a for kind, tensors in model.tensors.items() for name, a in tensors.items()}


def write_model(path, model, version):
    """Write a file as `save_model` does, or did when there was format 1 alone."""
    facts = {"spec": model.spec.to_dict(), "seed": str(model.seed), "epoch": model.epoch, "step": model.step}
    facts |= {"optimizer": model.optimizer and model.optimizer.to_dict(), "states": len(model.tensors) - 1}
    save_file(path, named(model, version), {"fastmlp": description(version, **facts)})


each_version = pytest.mark.parametrize("version", [1, 2])


@each_version
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("optimizer", "states"), [(Adam(1 / 3), 2), (SGD(0.1, momentum=0.9, nesterov=True), 1), (SGD(), 0)]
)
def test_models_come_back_bit_for_bit(tmp_path, dtype, optimizer, states, version):
    model = a_model(dtype, optimizer, states)
    write_model(tmp_path / "m", model, version)
    loaded = load_model(tmp_path / "m")
    for name in ("spec", "seed", "epoch", "optimizer", "step"):
        assert getattr(loaded, name) == getattr(model, name)
    assert list(loaded.tensors) == list(model.tensors)
    for kind, tensors in model.tensors.items():
        assert_same(loaded.tensors[kind], tensors)


def test_the_format_that_is_written(tmp_path):
    model = a_model()
    save_model(tmp_path / "m", model)
    write_model(tmp_path / "same", model, 2)
    (found, metadata), (tensors, expected) = load_file(tmp_path / "m"), load_file(tmp_path / "same")
    assert_same(found, tensors)
    assert json.loads(metadata.pop("fastmlp")) == json.loads(expected.pop("fastmlp"))
    assert metadata == expected == {}


def test_untrained_models(tmp_path):
    spec = NetworkSpec.make([2, 1])
    zeros = {"layers.0.weight": np.zeros((2, 1), np.float32), "layers.0.bias": np.zeros(1, np.float32)}
    save_model(tmp_path / "m", Checkpoint(spec, {"parameters": zeros}))
    loaded = load_model(tmp_path / "m")
    assert (loaded.seed, loaded.epoch, loaded.optimizer, loaded.step) == (0, 0, None, 0)
    assert list(loaded.tensors) == ["parameters"]


def test_models_are_safetensors(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    model = a_model()
    save_model(tmp_path / "m", model)
    tensors = library.load_file(tmp_path / "m")
    assert sorted(tensors) == sorted(
        f"{prefix}layers.{k}.{kind}"
        for prefix in ("", "state.0.", "state.1.")
        for k in (0, 1)
        for kind in ("weight", "bias")
    )
    np.testing.assert_array_equal(tensors["layers.1.weight"], model.tensors["parameters"]["layers.1.weight"])
    np.testing.assert_array_equal(tensors["state.1.layers.0.bias"], model.tensors["state.1"]["layers.0.bias"])


def changed(model, kind="parameters", layer=None, **changes):
    """A checkpoint with other fields, or with other tensors of one kind; None takes one out."""
    tensors = dict(model.tensors)
    if layer is not None:
        tensors[kind] = {name: a for name, a in (tensors[kind] | layer).items() if a is not None}
    fields = {name: getattr(model, name) for name in model.__dataclass_fields__} | {"tensors": tensors}
    return Checkpoint(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"seed": -1}, ValueError, "seed must be from 0 to 18446744073709551615, got -1"),
        ({"seed": 2**64}, ValueError, "seed must be from 0"),
        ({"seed": True}, TypeError, "seed must be an integer, got True"),
        ({"epoch": 1.0}, TypeError, "epoch must be an integer, got 1.0"),
        ({"step": None}, TypeError, "step must be an integer, got None"),
        ({"step": 2**61 + 1}, ValueError, "step must be from 0"),
        ({"epoch": 2**63 - 1}, ValueError, f"epoch must be from 0 to {2**61}, got {2**63 - 1}"),
        ({"optimizer": None}, ValueError, "there are 2 states without an optimizer; there must be none"),
        ({"optimizer": "adam"}, TypeError, "optimizer is 'adam'; it must be an Optimizer"),
        ({"optimizer": Adam().to_dict()}, TypeError, "it must be an Optimizer"),
        ({"tensors": {}}, ValueError, "they must be 'parameters', then 'state.0', 'state.1'"),
        ({"tensors": {"state.0": {}}}, ValueError, "kinds 'state.0'; they must be"),
        ({"tensors": {"parameters": {}, "state.1": {}}}, ValueError, "kinds 'parameters', 'state.1'; they must be"),
        ({"tensors": {"parameters": {}}}, ValueError, "tensor 'layers.0.bias' is missing"),
        ({"layer": {"layers.1.weight": None}}, ValueError, "tensor 'layers.1.weight' is missing"),
        ({"layer": {"layers.2.bias": np.zeros(2, "f4")}}, ValueError, "'layers.2.bias' is none of the network's"),
        ({"kind": "state.1", "layer": {"layers.0.bias": None}}, ValueError, "'state.1.layers.0.bias' is missing"),
        ({"layer": {"layers.0.weight": [1.0]}}, TypeError, "layers.0.weight is a list"),
        ({"layer": {"layers.0.bias": np.zeros(5)}}, ValueError, "layers.0.bias is float64 .* needs float32"),
        (
            {"kind": "state.0", "layer": {"layers.0.bias": np.zeros(2, "f4")}},
            ValueError,
            r"state.0.layers.0.bias is float32 of shape \(2,\); the network needs float32 of shape \(5,\)",
        ),
        ({"layer": {"layers.1.bias": np.array([0, np.inf], "f4")}}, ValueError, "layers.1.bias has inf at row 1"),
    ],
)
def test_wrong_models_are_refused_when_they_are_made(changes, error, message):
    with pytest.raises(error, match=message):
        changed(a_model(), **changes)


def test_state_may_overflow_but_not_be_nan():
    model = a_model()
    model.tensors["state.1"]["layers.0.weight"][2, 1] = np.inf
    changed(model)
    model.tensors["state.1"]["layers.0.weight"][2, 1] = np.nan
    with pytest.raises(ValueError, match=r"state\.1\.layers\.0\.weight has NaN"):
        changed(model)


def refused(path, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_model(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "not a fastmlp model"),
        ({"fastmlp": ""}, 'metadata "fastmlp" is not valid JSON'),
        ({"fastmlp": "[]"}, 'metadata "fastmlp" is not a JSON object'),
        ({"fastmlp": '{"format": 1, "format": 1}'}, "twice"),
        ({"fastmlp": "{" + '"x":[' * 100_000}, "has 500001 characters; it may have 2800"),
        ({"fastmlp": '{"x":' + "[" * 110}, "not valid JSON|nested too deeply"),
        ({"fastmlp": '{"x":[' + "[]," * 100 + "[]]}"}, "has 203 commas and opening brackets; it may have 116"),
        ({"fastmlp": '{"x":' + "1" * 100 + "}"}, "a number has 100 digits or more"),
        ({"fastmlp": description(1) + "{}"}, "text after its end"),
        ({"fastmlp": '{"\\ud800": 1}'}, 'metadata "fastmlp" is not valid JSON'),
    ],
)
def test_hostile_metadata(tmp_path, metadata, message):
    save_file(tmp_path / "m", a_model().tensors["parameters"], metadata)
    refused(tmp_path / "m", message)


@each_version
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 2**61 + 1}, f"epoch must be from 0 to {2**61}, got {2**61 + 1}"),
        ({"step": 2**62}, f"step must be from 0 to {2**61}, got {2**62}"),
        ({"format": 3}, "model format is 3; this version of fastmlp reads the formats 1 and 2"),
        ({"format": True}, "model format is True"),
        ({"format": ...}, "model format is None"),
        ({"format": [2]}, r"model format is \[2\]"),
        ({"spec": ...}, "must have the fields"),
        ({"states": ...}, "must have the fields"),
        ({"spec": None}, "network must be a mapping"),
        ({"spec": {"sizes": [3, 2]}}, "network must have the keys"),
        ({"seed": 0}, "seed is 0; it must be a string"),
        ({"seed": "-1"}, "seed is '-1'"),
        ({"seed": "1\n"}, "seed is"),
        ({"seed": "٣"}, "seed is"),
        ({"seed": str(2**64)}, "seed must be from 0 to 18446744073709551615, got 18446744073709551616"),
        ({"epoch": -1}, "epoch must be from 0 to .*, got -1"),
        ({"epoch": 1.0}, "epoch must be an integer, got 1.0"),
        ({"step": "1"}, "step must be an integer, got '1'"),
        ({"states": -1}, "(slots|states) must be from 0 to 4, got -1"),
        ({"states": 10**9}, "(slots|states) must be from 0 to 4, got 1000000000"),
        ({"states": True}, "(slots|states) must be an integer, got True"),
        ({"states": 1}, "4 tensors; 2 layers and 1 optimizer states make 8"),
        ({"optimizer": []}, "optimizer must be a mapping"),
        ({"optimizer": {"name": "adamw"}}, "adamw"),
        ({"optimizer": {"name": "sgd"}}, "optimizer must have the keys"),
        ({"optimizer": {**Adam().to_dict(), "beta1": 1.5}}, "beta1"),
    ],
)
def test_hostile_descriptions(tmp_path, changes, message, version):
    save_file(tmp_path / "m", a_model().tensors["parameters"], {"fastmlp": description(version, **changes)})
    refused(tmp_path / "m", message)


@each_version
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("layers.1.bias"), "3 tensors; 2 layers and 0 optimizer states make 4"),
        (lambda t: t.update({"layers.2.bias": t["layers.1.bias"]}), "5 tensors|'layers.2.bias' is none of the network"),
        (lambda t: t.update({"bias": t.pop("layers.1.bias")}), "tensor 'layers.1.bias' is missing"),
        (lambda t: t.update({"layers.0.weight": t["layers.0.weight"].T}), r"of shape \(5, 3\); the network needs"),
        (lambda t: t.update({"layers.0.bias": t["layers.0.bias"].astype("f8")}), "layers.0.bias is float64"),
        (lambda t: t["layers.0.weight"].__setitem__((2, 4), np.nan), "layers.0.weight has nan at row 2, column 4"),
        (lambda t: t["layers.1.bias"].__setitem__(1, -np.inf), "layers.1.bias has -inf at row 1"),
    ],
)
def test_hostile_tensors(tmp_path, change, message, version):
    tensors = a_model().tensors["parameters"]
    change(tensors)
    save_file(tmp_path / "m", tensors, {"fastmlp": description(version)})
    refused(tmp_path / "m", message)


@each_version
def test_a_state_that_is_missing_is_named_as_the_file_would_call_it(tmp_path, version):
    model = a_model()
    tensors = named(model, version)
    state = "optimizer" if version == 1 else "state"
    tensors["other"] = tensors.pop(f"{state}.1.layers.0.bias")
    text = description(version, optimizer=model.optimizer.to_dict(), states=2)
    save_file(tmp_path / "m", tensors, {"fastmlp": text})
    refused(tmp_path / "m", f"tensor '{state}.1.layers.0.bias' is missing")


# --- what a later version may add -----------------------------------------------------------------------------------


def test_format_1_takes_no_addition(tmp_path):
    tensors = a_model().tensors["parameters"]
    save_file(tmp_path / "m", tensors, {"fastmlp": description(1, more=1)})
    refused(tmp_path / "m", "must have the fields")
    save_file(tmp_path / "m", tensors | {"more": np.ones(1)}, {"fastmlp": description(1)})
    refused(tmp_path / "m", "5 tensors; 2 layers and 0 optimizer states make 4")


def test_unknown_fields_and_tensors_of_format_2_are_left_out(tmp_path):
    model = a_model()
    tensors = named(model, 2) | {"average.layers.0.bias": np.full(3, np.nan), "callback.best": np.ones(1, np.int8)}
    text = description(2, optimizer=model.optimizer.to_dict(), states=2, batch=12, callbacks=[{"name": "stop"}])
    save_file(tmp_path / "m", tensors, {"fastmlp": text, "note": "not ours"})
    loaded = load_model(tmp_path / "m")
    assert loaded.optimizer == model.optimizer
    for kind in model.tensors:
        assert_same(loaded.tensors[kind], model.tensors[kind])


def test_what_is_needed_and_not_known_is_named(tmp_path, monkeypatch):
    tensors = a_model().tensors["parameters"]
    save_file(tmp_path / "m", tensors, {"fastmlp": description(2, needs=["batch"], batch=12)})
    refused(tmp_path / "m", "the model needs 'batch', which this version of fastmlp does not know")
    monkeypatch.setattr(model, "_NEEDS", {"batch"})
    load_model(tmp_path / "m")


@pytest.mark.parametrize("needs", ["batch", None, {"batch": 1}, [1], [["batch"]], ...])
def test_hostile_needs(tmp_path, needs):
    save_file(tmp_path / "m", a_model().tensors["parameters"], {"fastmlp": description(2, needs=needs)})
    refused(tmp_path / "m", "must have the fields" if needs is ... else "needs is .*; it must be a list of strings")


@pytest.mark.parametrize("where", ["spec", "optimizer"])
def test_an_addition_to_what_is_computed_is_refused(tmp_path, where):
    computed = {"spec": a_model().spec.to_dict(), "optimizer": Adam().to_dict()}
    computed[where]["dropout"] = 0.5
    save_file(tmp_path / "m", a_model(states=0).tensors["parameters"], {"fastmlp": description(2, **computed)})
    refused(tmp_path / "m", f"{'network' if where == 'spec' else where} must have the keys")


@pytest.mark.parametrize("name", ["layers.0.gain", "layers.2.weight", "state.0.layers.0.bias", "state.x"])
def test_an_unknown_tensor_beside_the_networks_is_refused(tmp_path, name):
    tensors = a_model().tensors["parameters"] | {name: np.ones(5, np.float32)}
    save_file(tmp_path / "m", tensors, {"fastmlp": description(2)})
    refused(tmp_path / "m", f"tensor {name!r} is none of the network's")


# --- fuzz ------------------------------------------------------------------------------------------------------------

fuzz = settings(max_examples=400, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module", params=[1, 2], ids=["format 1", "format 2"])
def model_bytes(tmp_path_factory, request):
    path = tmp_path_factory.mktemp("fuzz") / "m"
    write_model(path, a_model(), request.param)
    return path.read_bytes()


def assert_loads_or_is_refused(load, path):
    message = None
    try:
        load(path)
    except ValueError as error:
        message = str(error)
    assert message is None or message.startswith(f"{path}: ")


@fuzz
@given(data=st.data())
def test_flipped_bytes_are_value_errors_or_a_model(tmp_path, model_bytes, data):
    length = int.from_bytes(model_bytes[:8], "little") + 8
    places = st.one_of(st.integers(0, length - 1), st.integers(0, len(model_bytes) - 1))
    flips = data.draw(
        st.lists(st.tuples(places, st.integers(1, 255)), min_size=1, max_size=4, unique_by=lambda f: f[0])
    )
    damaged = bytearray(model_bytes)
    for place, mask in flips:
        damaged[place] ^= mask
    path = tmp_path / "m"
    path.write_bytes(damaged)
    for load in (load_model, load_file):
        assert_loads_or_is_refused(load, path)
    with contextlib.suppress(ValueError, ImportError):
        from safetensors.numpy import load_file as library_load

        loaded = load_file(path)[0]
        assert_same(library_load(path), loaded)  # what we take, the library takes, and finds the same in it


SPLICES = [
    *b'{}[],:"\\09-',
    b"\\ud800",
    b"NaN",
    b"1e999",
    b"9" * 5000,
    b"[[" * 60,
    b"\xff",
    SMILE,
    b'"__metadata__"',
    b"null",
]


@fuzz
@given(data=st.data())
def test_spliced_headers_are_value_errors_or_a_model(tmp_path, model_bytes, data):
    length = int.from_bytes(model_bytes[:8], "little")
    header = bytearray(model_bytes[8 : 8 + length])
    for _ in range(data.draw(st.integers(1, 3))):
        place, gone = data.draw(st.integers(0, len(header))), data.draw(st.sampled_from([0, 0, 1, 2, 20]))
        piece = data.draw(st.sampled_from(SPLICES))
        header[place : place + gone] = bytes([piece]) if isinstance(piece, int) else piece
    path = tmp_path / "m"
    path.write_bytes(packed(bytes(header), model_bytes[8 + length :]))
    for load in (load_model, load_file):
        assert_loads_or_is_refused(load, path)


@fuzz
@given(end=st.integers(0, 10_000))
def test_truncated_files_are_value_errors(tmp_path, model_bytes, end):
    path = tmp_path / "m"
    path.write_bytes(model_bytes[: end % len(model_bytes)])
    for load in (load_model, load_file):
        with pytest.raises(ValueError, match=re.escape(f"{path}: ")):
            load(path)


words = st.sampled_from(
    ["dtype", "shape", "data_offsets", "__metadata__", "fastmlp", "F32", "U8", "BOOL", "x", "\ud800"]
)
numbers = st.one_of(st.integers(-1, 9), st.sampled_from([2**31, 2**32, 2**62, 2**63, 2**64, 10**400, 1e999]))
leaves = st.one_of(st.none(), st.booleans(), numbers, st.floats(), words)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(words, inner, max_size=4)),
    max_leaves=12,
)
entries = st.fixed_dictionaries(
    {
        "dtype": st.one_of(st.sampled_from(["F32", "U8", "I16", "BOOL"]), leaves),
        "shape": st.one_of(st.lists(numbers, max_size=3), values),
        "data_offsets": st.one_of(st.lists(numbers, min_size=2, max_size=2), values),
    }
)


@fuzz
@given(header=st.dictionaries(words, st.one_of(entries, values), max_size=4), content=st.binary(max_size=16))
def test_any_json_header_is_a_value_error_or_tensors(tmp_path, header, content):
    path = tmp_path / "m"
    path.write_bytes(packed(header, content))
    with contextlib.suppress(ValueError):
        tensors, _ = load_file(path)
        assert sum(array.nbytes for array in tensors.values()) == len(content)


@posix
def test_what_replaces_a_private_file_is_private_before_anything_is_written(tmp_path, monkeypatch):
    path, modes = tmp_path / "t", []
    opened = os.open

    def open_(name, *arguments, **options):
        descriptor = opened(name, *arguments, **options)
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    old = os.umask(0o022)
    try:
        save_file(path, {})
        path.chmod(0o600)
        monkeypatch.setattr("os.open", open_)
        save_file(path, {"secret": np.ones(1)})
    finally:
        os.umask(old)
    assert modes[0] == 0o600
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
