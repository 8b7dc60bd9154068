"""Files of models: they come back bit for bit, what is damaged is refused, what a later version adds is left out."""

from __future__ import annotations

import contextlib
import json
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_files import a_model, assert_same, description, named, packed, write_model

from fastmlp.files import Checkpoint, load_file, load_model, model, save_file, save_model
from fastmlp.spec import SGD, Adam, NetworkSpec

SMILE = "\U0001f600".encode()  # makes Python take four bytes for every character of the string


# --- models ----------------------------------------------------------------------------------------------------------


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
        ({"optimizer": {"name": "adan"}}, "adan"),
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
    computed[where]["colour"] = 0.5
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
