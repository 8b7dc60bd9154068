"""Files of tensors and models, good and bad, as tests of files make them."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from fastmlp.files import Checkpoint, save_file
from fastmlp.spec import Adam, LeakyReLU, NetworkSpec

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


GOOD = packed({"x": entry()}, bytes(8))


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
