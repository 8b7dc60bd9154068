"""Networks of bfloat16: the same bits however products are made and shared out, the NumPy engine, files, warnings."""

import copy
import itertools
import pickle
import warnings

import numpy as np
import pytest
from compiled import ISAS, Engine
from engine_calls import layers_of
from random_networks import flat, targets, train, with_state

import fastmlp
from fastmlp import reference
from fastmlp.reference.bfloat16 import rounded
from fastmlp.runtime import backend as backends
from fastmlp.spec import NetworkSpec

pytestmark = pytest.mark.filterwarnings("ignore:dtype='bfloat16':RuntimeWarning")

#: Sizes, rows of a batch and of all, what else the network has, and an optimizer: odd numbers of everything, since
#: numbers are taken two at a time, layers of all kinds of products, and every way of cutting and sharing out a step.
WAYS = {
    "wide": ((37, 45, 33), 32, 101, {"activation": "relu", "output": "softmax"}, "adam"),
    "few outputs": ((5, 7, 3, 1), 7, 38, {"activation": "tanh"}, "adam"),
    "one row": ((9, 21, 37, 3), 1, 7, {"activation": "gelu"}, "sgd"),
    "one layer": ((37, 7), 7, 38, {"output": "logistic"}, "nadam"),
    "panels": ((37, 145, 145, 33), 5, 23, {"activation": "silu"}, "sgd"),
    "microbatches": ((37, 45, 33), 501, 1100, {"activation": "tanh"}, "sgd"),
    "parts": ((701, 101, 9), 801, 801, {"activation": "tanh"}, "sgd"),
    "layer norm": ((9, 37, 21, 6), 7, 38, {"activation": "relu", "norm": "layer"}, "adam"),
    "batch norm": ((9, 37, 21, 6), 31, 101, {"activation": "relu", "norm": "batch"}, "adam"),
    "whole rows": ((9, 37, 21, 6), 31, 101, {"activation": ["softmax", "tanh"]}, "adam"),
    "maxout": ((9, 37, 21, 6), 7, 38, {"activation": fastmlp.Maxout(3)}, "adam"),
    "slopes": ((9, 37, 37, 6), 7, 38, {"activation": "prelu", "residual": True}, "adam"),
    "noise": ((9, 37, 21, 6), 7, 38, {"dropout": 0.3, "input_dropout": 0.2, "input_noise": 0.1}, "schedule_free_adamw"),
    "bounds": ((9, 37, 21, 6), 7, 38, {"l1": 1e-3, "l2": 1e-2, "max_norm": 0.5}, "adamw"),
}


def begun(kind, sizes, dtype, what, isa=None):
    """An engine with random weights, and rows for it."""
    spec, rng = NetworkSpec.make(sizes, dtype=dtype, **what), np.random.default_rng(1)
    weights = [
        (rng.normal(size=(layer.n_in, layer.n_signals)) / np.sqrt(layer.n_in)).astype(spec.dtype)
        for layer in spec.layers
    ]
    engine = kind(spec) if isa is None else kind(spec, isa)
    engine.write(spec.beginning(weights))
    return spec, engine


def rows_for(spec, n):
    return np.random.default_rng(2).normal(size=(n, spec.sizes[0])).astype("float32"), targets(spec, n)


def learnt(sizes, batch_size, rows, what, optimizer, isa, threads):
    """Losses, parameters, predictions and a gradient after an epoch, as bytes."""
    spec, engine = begun(Engine, sizes, "bfloat16", what, isa)
    X, y = rows_for(spec, rows)
    outcome, losses = train(engine, X, y, np.arange(rows), batch_size, with_state(optimizer), threads=threads)
    assert outcome.status == "done"
    out, gradient = np.empty((rows, sizes[-1]), "float32"), {}
    engine.predict(X, out, threads)
    engine.gradient(X[:batch_size], y[:batch_size], None, threads, gradient)
    parts = [losses, *engine.read().values(), out, *gradient.values()]
    assert all(np.isfinite(part).all() for part in parts)
    return [part.tobytes() for part in parts]


@pytest.mark.parametrize("way", WAYS)
def test_same_bits_on_every_isa_and_number_of_threads(way):
    wanted = learnt(*WAYS[way], "scalar", 1)
    for isa, threads in itertools.product(ISAS, (1, 3)):
        assert learnt(*WAYS[way], isa, threads) == wanted, (isa, threads)


@pytest.mark.parametrize("way", WAYS)
def test_the_numpy_engine_rounds_the_same_operands(way):
    sizes, _, _, what, _ = WAYS[way]
    found = {}
    for kind, dtype in itertools.product((Engine, reference.Engine), ("bfloat16", "float32")):
        spec, engine = begun(kind, sizes, dtype, what)
        gradient = {}
        engine.gradient(*rows_for(spec, 11), None, out=gradient)
        found[kind, dtype] = np.concatenate([array.ravel() for array in gradient.values()])
    ours, theirs = found[Engine, "bfloat16"], found[reference.Engine, "bfloat16"]
    largest = abs(theirs).max()
    # Where two engines' sums lie on both sides of a rounding to bfloat16, one operand is another by 2^-8 of itself.
    assert abs(ours - theirs).max() < 2e-3 * largest
    assert np.median(abs(ours - theirs)) < 1e-5 * largest
    assert abs(ours - found[Engine, "float32"]).max() > 5e-4 * largest


def test_rounding_is_to_the_nearest_even():
    near = np.array([1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, 3.4e38, 1e-39, -1e-39, np.inf, np.nan], np.float32)
    wanted = np.array([1, 1 + 2**-6, 1 + 2**-7, np.inf, 0, -0.0, np.inf, np.nan], np.float32)
    np.testing.assert_array_equal(rounded(near), wanted)
    assert np.signbit(rounded(near)[5])


def net_and_rows(**how):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 21)).astype("float32")
    y = np.eye(6, dtype="float32")[(X[:, :6]).argmax(axis=1)]
    return fastmlp.MLP([21, 33, 6], loss="cross_entropy", dtype="bfloat16", seed=1, **how), X, y


def parameters(net):
    return flat(layers_of(net._learner.engine)).tobytes()


def test_trainings_go_on_to_the_same_bits_from_files_pickles_and_copies(tmp_path):
    whole, X, y = net_and_rows()
    whole.fit(X, y, epochs=4, batch_size=17)
    half, *_ = net_and_rows()
    half.fit(X, y, epochs=2, batch_size=17)
    half.save(tmp_path / "half")
    for net in (fastmlp.load(tmp_path / "half"), pickle.loads(pickle.dumps(half)), copy.deepcopy(half)):
        assert net.number_format == "bfloat16"
        assert net.predict(X).tobytes() == half.predict(X).tobytes()
        net.fit(X, y, epochs=2, batch_size=17)
        assert parameters(net) == parameters(whole)


def test_it_learns_what_float32_learns():
    net, X, y = net_and_rows()
    losses = {}
    for dtype in ("float32", "bfloat16"):
        net = fastmlp.MLP([21, 33, 6], loss="cross_entropy", dtype=dtype, seed=1)
        losses[dtype] = net.fit(X, y, epochs=30, batch_size=16).loss[-1]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.05)
    assert losses["bfloat16"] != losses["float32"]


def test_single_rows_panels_and_blocks_are_predicted_alike():
    net, X, _ = net_and_rows()
    whole = net.predict(X, threads=1)
    for threads in (1, 2, 5):
        assert net.predict(X, threads=threads).tobytes() == whole.tobytes()
        assert b"".join(net.predict(X[r : r + 1], threads=threads).tobytes() for r in range(9)) == whole[:9].tobytes()
        assert net.predict(X[:3], threads=threads).tobytes() == whole[:3].tobytes()


def test_a_loss_of_ones_own_derivatives_gives_the_gradient_of_the_engine():
    rng = np.random.default_rng(0)
    net = fastmlp.MLP([21, 33, 17, 6], dtype="bfloat16", seed=1)
    X, y = rng.normal(size=(300, 21)).astype("float32"), rng.normal(size=(300, 6)).astype("float32")
    _, by_weights, by_biases = net.loss_and_grad(X, y)
    outputs = net.forward(X)
    pulled = net.backward((outputs - y) * np.float32(1 / len(X)))
    traced = net.trace(X, y)
    assert traced.outputs[-1].tobytes() == net.predict(X).tobytes()
    for wanted, got in zip((*by_weights, *by_biases), (*pulled[0], *pulled[1]), strict=True):
        assert got.tobytes() == wanted.tobytes()


def test_sparse_rows_are_those_of_dense_ones():
    sparse = pytest.importorskip("scipy.sparse")
    net, X, y = net_and_rows()
    X[X < 0.5] = 0
    other = copy.deepcopy(net)
    net.fit(X, y, epochs=2, batch_size=17)
    other.fit(sparse.csr_array(X), y, epochs=2, batch_size=17)
    assert parameters(net) == parameters(other)
    with pytest.raises(ValueError, match="read as they are, and dtype='bfloat16' changes them"):
        net.fit(sparse.csr_array(X), y, epochs=1, lazy=True)


def test_where_there_is_no_instruction_a_warning_says_so_once(monkeypatch):
    monkeypatch.setattr(backends, "_process", backends._Process())
    with pytest.warns(RuntimeWarning, match="dtype='float32' is faster here") as found:
        fastmlp.MLP([2, 5], dtype="bfloat16", backend="numpy")
    assert found[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fastmlp.MLP([2, 5], dtype="bfloat16", backend="numpy")


def test_what_has_no_products_of_bfloat16_says_so(tmp_path):
    net, *_ = net_and_rows()
    with pytest.raises(ValueError, match=r"to_c writes no products of bfloat16; a network of dtype='float32'"):
        net.to_c(tmp_path / "net.h")
    with pytest.raises(ValueError, match="dtype must be float32, float64 or bfloat16, got 'float16'"):
        fastmlp.MLP([2, 1], dtype="float16")
    with pytest.raises(ValueError, match="bfloat16 is for networks of float32"):
        NetworkSpec((2, 1), (), fastmlp.spec.as_activation("identity"), fastmlp.spec.as_loss("squared_error"),
                    "float64", bfloat16=True)  # fmt: skip
