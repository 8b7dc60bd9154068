"""Files of tensors: what goes in comes out, what is damaged is refused, in memory of the order of its size."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from model_files import (
    GOOD,
    a_model,
    assert_same,
    described,
    description,
    entry,
    full_of_tensors,
    layers_of,
    leftovers,
    packed,
    tensors_of_all_kinds,
)

from fastmlp.files import Checkpoint, load_file, load_model, save_file, save_model
from fastmlp.spec import Adam, LeakyReLU, NetworkSpec


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
