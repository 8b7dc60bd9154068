"""The C interface: a C and a C++ program that are compiled here, and its table as others call it, against MLP."""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import re
import shutil
import sys
import threading
import weakref
from pathlib import Path

import compiled  # noqa: F401 - skips without the extension
import numpy as np
import pytest
from c_programs import native_compiler, run
from c_table import CODES, Options, Table, address, declarations, handle_of, table
from numpy.testing import assert_array_equal

import fastmlp

PROGRAM = Path(__file__).with_name("c_api_check.c")
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wpedantic", "-Werror"]
COMPILED_AS = {"c": ["-x", "c", "-std=c11"], "c++": ["-x", "c++", "-std=c++14"]}


@pytest.fixture
def api():
    return table()


@pytest.fixture(params=["float32", "float64"])
def net(request):
    return fastmlp.MLP([5, 16, 3], activation="gelu", output="softmax", dtype=request.param, seed=2)


@pytest.fixture
def handle(api, net):
    handle = handle_of(net)
    yield handle
    api.release(handle)


def of(array):
    """A pointer and a size, as C passes them."""
    return array.ctypes.data, array.nbytes


def rows(net, n):
    return np.random.default_rng(n).standard_normal((n, net.sizes[0])).astype(net.dtype)


@pytest.mark.skipif(os.name != "posix", reason="the program has POSIX threads")
@pytest.mark.parametrize("language", COMPILED_AS)
def test_a_program(language, api, tmp_path):
    compiler = native_compiler()
    if compiler is None or (language == "c++" and not shutil.which("c++")):
        pytest.skip(f"no compiler for {language}")
    sanitize = os.environ.get("FASTMLP_SANITIZE")
    flags = [f"-fsanitize={sanitize}", "-fno-sanitize-recover=all"] if sanitize else []
    library = tmp_path / "check.so"
    command = ["c++"] if language == "c++" else compiler
    command += [*COMPILED_AS[language], *WARNINGS, *flags, "-g", "-O1", "-shared", "-fPIC", "-pthread"]
    built = run([*command, f"-I{fastmlp.get_include()}", str(PROGRAM), "-o", str(library), "-lm"])
    assert built.returncode == 0, built.stderr
    fastmlp.MLP([3, 2], seed=0).save(tmp_path / "net.safetensors")
    content = (tmp_path / "net.safetensors").read_bytes()
    line = ctypes.CDLL(str(library)).check(ctypes.byref(api), content, ctypes.c_size_t(len(content)))
    assert line == 0, f"line {line}: {PROGRAM.read_text().splitlines()[line - 1].strip()}; {api.last_error()}"


@pytest.mark.parametrize("threads", [0, 1, 2])
@pytest.mark.parametrize("n", [0, 1, 3, 1000])
def test_predictions_are_those_of_python(n, threads, api, net, handle):
    X = rows(net, n)
    y = np.empty((n, 3), net.dtype)
    assert api.predict(handle, *of(X), *of(y), threads) == CODES["OK"]
    assert_array_equal(y, net.predict(X))


def test_predictions_of_more_rows_than_a_block(api, handle, net):
    X = rows(net, 9001)
    y = np.empty((9001, 3), net.dtype)
    assert api.predict(handle, *of(X), *of(y), 1) == CODES["OK"]
    assert_array_equal(y, net.predict(X))


def test_value_takes_doubles_for_any_dtype(api, net, handle):
    x = rows(net, 1).astype(np.float64)
    assert api.value(5, (ctypes.c_double * 5)(*x[0]), handle) == net.predict(x)[0, 0]


def test_scipy_integrates_a_network(api):
    scipy = pytest.importorskip("scipy")
    quad = pytest.importorskip("scipy.integrate").quad
    net = fastmlp.MLP([1, 8, 1], activation="tanh", dtype="float64", seed=1)
    handle = handle_of(net)
    integral, error = quad(scipy.LowLevelCallable(api.value, handle), 0, 1)
    api.release(handle)
    assert integral == quad(lambda x: net.predict([[x]])[0, 0], 0, 1)[0]
    assert error < 1e-6


@pytest.mark.parametrize("training", [False, True])
def test_gradients_are_those_of_python(training, api):
    net = fastmlp.MLP([5, 16, 3], dropout=0.5, dtype="float64", seed=2)
    handle = handle_of(net)
    X, dy = rows(net, 7), np.random.default_rng(0).standard_normal((7, 3))
    y, gradient, dx, tape = np.empty((7, 3)), np.empty(net.n_parameters), np.empty((7, 5)), ctypes.c_void_p()
    assert api.forward(handle, *of(X), *of(y), CODES["TRAINING"] * training, 0, tape) == CODES["OK"]
    assert api.backward(tape, *of(dy), *of(gradient), *of(dx), 0) == CODES["OK"]
    expected = np.empty_like(gradient)
    assert_array_equal(y, net.forward(X, training=training))
    _, _, by_inputs = net.backward(dy, out=expected, input_gradient=True)
    assert_array_equal(gradient, expected)
    assert_array_equal(dx, by_inputs)

    same = pickle.loads(pickle.dumps(net))
    api.release(handle)
    again = np.empty_like(gradient)
    assert api.backward(tape, *of(dy), *of(again), None, 0, 1) == CODES["OK"]  # a tape lives on without its network
    assert_array_equal(again, gradient)
    api.release_tape(tape)

    handle = handle_of(same)
    for optimizer, rate in (("sgd", 0.25), (None, 0), ("adam", 0.125), (None, 0)):
        name = None if optimizer is None else optimizer.encode()
        assert api.step(handle, *of(gradient), name, rate, 1) == CODES["OK"]
    for optimizer in (fastmlp.SGD(0.25), None, fastmlp.Adam(0.125), None):
        net.apply_gradients(gradient, optimizer=optimizer)
    assert_array_equal(same.get_flat(), net.get_flat())
    api.release(handle)


@pytest.mark.parametrize(
    "how", [{"norm": "layer"}, {"norm": "batch"}, {"normalize": "standard", "normalize_targets": "minmax"}], ids=str
)
def test_gradients_are_those_of_python_in_the_units_that_were_given(how, api):
    net, rng = fastmlp.MLP([5, 16, 3], dtype="float64", seed=2, **how), np.random.default_rng(1)
    X, dy = rng.normal(3, 2, (7, 5)), rng.normal(size=(7, 3))
    if "normalize" in how:
        net.adapt(X, rng.normal(50, 10, (7, 3)))
    handle = handle_of(net)
    y, gradient, dx, tape = np.empty((7, 3)), np.empty(net.n_parameters), np.empty((7, 5)), ctypes.c_void_p()
    assert api.forward(handle, *of(X), *of(y), 0, 1, tape) == CODES["OK"]
    expected = np.empty_like(gradient)
    assert_array_equal(y, net.forward(X))
    _, _, by_inputs = net.backward(dy, out=expected, input_gradient=True)
    for _time in range(2):
        assert api.backward(tape, *of(dy), *of(gradient), *of(dx), 1) == CODES["OK"]
        assert_array_equal(gradient, expected)
        assert_array_equal(dx, by_inputs)
    api.release_tape(tape)
    api.release(handle)


def test_no_training_pass_where_a_batch_is_normalised(api):
    net = fastmlp.MLP([5, 16, 3], norm="batch", dropout=0.5, dtype="float64")
    handle, tape = handle_of(net), ctypes.c_void_p()
    X, y = rows(net, 7), np.zeros((7, 3))
    assert api.forward(handle, *of(X), *of(y), CODES["TRAINING"], 1, tape) == CODES["ARGUMENT"]
    assert b"norm='batch'" in api.last_error()
    assert not tape
    assert not y.any()
    api.release(handle)


def test_an_update_that_overflows_is_taken_back(api, net, handle):
    before = net.get_flat()
    gradient = np.full_like(before, np.finfo(net.dtype).max)
    assert api.step(handle, *of(gradient), b"sgd", 1e30, 1) == CODES["DIVERGED"]
    assert_array_equal(net.get_flat(), before)


def test_a_handle_keeps_its_network(api):
    net = fastmlp.MLP([2, 1], seed=0)
    gone = weakref.ref(net)
    handle = handle_of(net)
    del net
    gc.collect()
    found = ctypes.c_void_p()
    assert api.to_python(handle, found) == CODES["OK"]
    net = ctypes.cast(found, ctypes.py_object).value
    assert net is gone()
    ctypes.pythonapi.Py_DecRef(ctypes.py_object(net))
    api.release(handle)
    references = sys.getrefcount(net)
    for _ in range(3):
        api.release(handle_of(net))
    assert sys.getrefcount(net) == references
    del net
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    ("other", "says"),
    [(fastmlp.MLP([2, 1], backend="numpy"), b"numpy"), ("net", b"str"), (fastmlp.MLP, b"type")],
    ids=["numpy", "string", "class"],
)
def test_what_is_no_network_of_the_compiled_backend(other, says, api):
    handle = ctypes.c_void_p()
    assert api.from_python(id(other), handle) == CODES["ARGUMENT"]
    assert says in api.last_error()
    assert not handle


def test_an_activation_in_python(api):
    cube = fastmlp.CustomActivation(lambda z: z**3, lambda z, a: 3 * z**2)
    net = fastmlp.MLP([2, 3, 1], activation=cube, dtype="float64", seed=0)
    handle, X, y = handle_of(net), np.ones((2, 2)), np.empty((2, 1))
    assert api.predict(handle, *of(X), *of(y), 1) == CODES["OK"]
    assert_array_equal(y, net.predict(X))
    assert np.isnan(api.value(2, (ctypes.c_double * 2)(), handle))
    api.release(handle)


def test_predictions_while_another_thread_changes_the_network(api, net, handle):
    """Either all of the old parameters or all of the new ones, or BUSY."""
    X, stop, seen = rows(net, 1), threading.Event(), []
    first = net.get_flat()
    outputs = []
    for parameters in (first, -first):
        net.set_flat(parameters)
        outputs.append(net.predict(X)[0].tolist())

    def predict():
        y = np.empty((1, 3), net.dtype)
        while not stop.is_set():
            code = api.predict(handle, *of(X), *of(y), 1)
            if code != CODES["BUSY"]:
                seen.append((code, y[0].tolist()))

    thread = threading.Thread(target=predict)
    thread.start()
    for _ in range(200):
        net.set_flat(first)
        net.set_flat(-first)
    stop.set()
    thread.join()
    assert {code for code, _ in seen} == {CODES["OK"]}
    assert all(y in outputs for _, y in seen)


def test_errors_have_texts_and_are_of_their_thread(api):
    negative = {name: code for name, code in CODES.items() if code < 0}
    texts = {api.text(code) for code in negative.values()}
    assert len(texts) == len(negative) == len(set(negative.values()))
    unknown = api.text(min(negative.values()) - 1)
    assert unknown not in texts
    assert api.text(1) == unknown
    api.predict(None, None, 0, None, 0, 1)
    assert api.last_error() == api.text(CODES["NULL"])
    elsewhere = []
    thread = threading.Thread(target=lambda: elsewhere.append(api.last_error()))
    thread.start()
    thread.join()
    assert elsewhere == [b""]


def test_a_long_message_is_cut(api):
    handle, options = ctypes.c_void_p(), Options(ctypes.sizeof(Options), 0, 0, 0, b"x" * 5000, None, None)
    assert api.create((ctypes.c_ssize_t * 2)(2, 1), 2, options, handle) == CODES["ARGUMENT"]
    assert len(api.last_error()) < 512


def test_ctypes_and_the_header_say_the_same():
    """So that the tests here call what C does: names in their order, and their number of arguments."""
    struct = re.search(r"typedef struct fastmlp_api \{(.*?)\} fastmlp_api;", declarations(), re.DOTALL)
    assert struct
    functions = re.findall(r"\(\*(\w+)\)\(([^)]*)\)", re.sub(r"/\*.*?\*/", "", struct[1], flags=re.DOTALL))
    assert [name for name, _ in functions] == [name for name, _ in Table._fields_[2:]]
    for name, arguments in functions:
        count = 0 if arguments == "void" else arguments.count(",") + 1
        assert count == len(dict(Table._fields_)[name]._argtypes_), name
    assert ctypes.sizeof(Table) == table().size
    assert address() == address()
    assert table().version == 1
