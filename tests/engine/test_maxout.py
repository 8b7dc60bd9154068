"""Maxout: PyTorch's trajectories, gradients, the same bits however a step is cut, files, exports, refusals."""

import copy
import pickle

import numpy as np
import pytest
from both_engines import pair
from compiled import ISAS, Engine
from engine_calls import gradient_of, layers_of
from random_networks import central_differences, fill, flat, targets, train
from stored import script

import fastmlp
from fastmlp.spec import Adam, NetworkSpec

#: Sizes, batch and rows: whose steps are cut and shared out in every way, and pieces that begin with panels, with
#: vectors, and anywhere.
WAYS = {
    "few rows": ((37, 45, 33), 1, 5),
    "whole vectors": ((13, 64, 32, 5), 40, 100),
    "microbatches": ((37, 45, 33), 1100, 1500),
    "parts": ((64, 400, 9), 300, 390),
}


STORED = script("make_torch_maxout")


def network(backend, pieces=2, sizes=(3, 5, 4, 2), dtype="float64", **how):
    given = {"activation": fastmlp.Maxout(pieces)} | how
    return fastmlp.MLP(list(sizes), dtype=dtype, seed=2, backend=backend, **given)


def rows(n=7, width=3):
    return np.random.default_rng(0).normal(size=(n, width))


# ---- what it computes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", STORED.TRAININGS)
def test_steps_are_pytorchs(pieces, backend):
    net = network(backend, pieces, STORED.SIZES)
    layers, X, y = STORED.problem(pieces)
    net.weights, net.biases = zip(*layers, strict=True)
    parts = map(STORED.rows_of, range(STORED.STEPS))
    losses = [net.step(X[part], y[part], optimizer=fastmlp.Adam(STORED.RATE)) for part in parts]
    last = [net.predict(X), *(each for pair in zip(net.weights, net.biases, strict=True) for each in pair)]
    with np.load(STORED.PATH) as stored:
        np.testing.assert_allclose(losses, stored[f"{pieces}/losses"], rtol=1e-10)
        found = np.concatenate([np.ravel(each) for each in last])
        np.testing.assert_allclose(found, stored[f"{pieces}/last"], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("pieces", STORED.TRAININGS)
def test_what_is_stored_is_what_pytorch_says(pieces):
    pytest.importorskip("torch")
    with np.load(STORED.PATH) as stored:
        for key, array in STORED.torch_trajectory(pieces).items():
            np.testing.assert_allclose(array, stored[f"{pieces}/{key}"], rtol=1e-10, atol=1e-12)


WITH = {
    "plain": {},
    "layer norm": {"norm": "layer"},
    "residual": {"residual": True},
    "penalties": {"l1": 0.01, "l2": 0.1},
    "beside others": {"activation": ["tanh", fastmlp.Maxout(3), "maxout"]},
}


@pytest.mark.parametrize("name", WITH)
def test_gradients_are_slopes(name, backend):
    net = network(backend, 3, (3, 5, 5, 4, 2), **WITH[name])
    X, y = rows(), rows(7, 2)
    _, dW, db = net.loss_and_grad(X, y)
    for arrays, gradients, kind in ((net.weights, dW, "weights"), (net.biases, db, "biases")):
        for layer, gradient in enumerate(gradients):
            for place in list(np.ndindex(gradient.shape))[:: 3 if kind == "biases" else 7]:
                values = []
                for side in (1e-6, -1e-6):
                    changed = [array.copy() for array in arrays]
                    changed[layer][place] += side
                    setattr(net, kind, changed)
                    values.append(net.loss_and_grad(X, y)[0])
                setattr(net, kind, arrays)
                assert gradient[place] == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-6)


def test_of_equal_pieces_the_first_learns_and_nan_stays(backend):
    net = network(backend, 2, (1, 2, 1))
    net.weights = [np.array([[1.0, 2.0, 1.0, -2.0]]), np.ones((2, 1))]
    assert net.predict([[3.0], [-1.0]]).tolist() == [[9.0], [1.0]]
    _, dW, _ = net.loss_and_grad([[3.0]], [[0.0]])
    assert dW[0].tolist() == [[27.0, 27.0, 0.0, 0.0]]
    trace = net.trace([[3.0]], [[0.0]])
    assert trace.signals[0].tolist() == [[3.0, 6.0, 3.0, -6.0]]
    assert trace.outputs[0].tolist() == [[3.0, 6.0]]
    assert trace.sensitivities[0].tolist() == [[9.0, 9.0, 0.0, 0.0]]
    assert net.transform([[3.0]], layer=0).tolist() == [[3.0, 6.0]]
    for piece in range(4):
        weights = [np.array([[1.0, 2.0, 1.0, -2.0]]), np.ones((2, 1))]
        weights[0][0, piece] = 1e308
        net.weights = weights
        with np.errstate(all="ignore"):
            assert not np.isfinite(net.predict([[-1e3 if piece < 2 else 1e3], [1e3]])).all()


# ---- engines --------------------------------------------------------------------------------------------------------


def outcome(spec, isa, threads, batch_size, n):
    engine = fill(Engine(spec, isa), spec)
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(n, spec.sizes[0])).astype("float32"), targets(spec, n)
    run, losses = train(engine, X, y, rng.permutation(n), batch_size, Adam(0.01), threads=threads)
    assert run.status == "done"
    out = np.empty((n, spec.sizes[-1]), spec.dtype)
    engine.predict(X, out, threads)
    _, *gradient = gradient_of(engine, X, y, None, threads)
    return [each.tobytes() for each in (losses, flat(layers_of(engine)), out, flat(gradient))]


@pytest.mark.parametrize("way", WAYS)
def test_same_bits_on_every_isa_and_number_of_threads(way):
    sizes, batch_size, n = WAYS[way]
    for dtype in ("float32", "float64"):
        how = {"dropout": 0.3, "norm": "layer"} if way == "whole vectors" else {"dropout": 0.3}
        spec = NetworkSpec.make(sizes, fastmlp.Maxout(3), dtype=dtype, **how)
        wanted = outcome(spec, "scalar", 1, batch_size, n)
        for isa in ISAS:
            for threads in (1, 2, 3) if isa != "scalar" else (2,):
                assert outcome(spec, isa, threads, batch_size, n) == wanted, (dtype, isa, threads)


@pytest.mark.parametrize("how", [{}, {"norm": "layer", "residual": True, "dropout": 0.2, "input_dropout": 0.1}])
def test_both_engines_agree(how):
    spec = NetworkSpec.make((19, 35, 35, 18, 4), [fastmlp.Maxout(3), "maxout", "relu"], dtype="float64", **how)
    rng = np.random.default_rng(2)
    X, y, order = rng.normal(size=(57, 19)), targets(spec, 57), rng.permutation(57)
    found = []
    for engine in pair(spec):
        _, losses = train(engine, X, y, order, 16, Adam(0.01), threads=2)
        signals, outputs, deltas = engine.trace(X, y)
        found.append([losses, flat(layers_of(engine)), *signals, *outputs, *deltas])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-11)


def test_central_differences_of_random_networks(backend):
    spec = NetworkSpec.make((4, 6, 3), "maxout", dtype="float64")
    engine = fill(network(backend, sizes=(4, 6, 3))._learner.engine, spec)
    X, y = rows(9, 4), targets(spec, 9)
    row_loss = np.empty(9)

    def losses():
        engine.evaluate(X, y, np.empty((9, 3)), row_loss, 1)
        return row_loss.copy() / 9

    _, *gradient = gradient_of(engine, X, y, None, 1)
    np.testing.assert_allclose(flat(gradient), central_differences(engine, losses, 1e-6), atol=1e-6)


# ---- around it ------------------------------------------------------------------------------------------------------


def test_copies_pickles_and_files_go_on_to_the_same_bits(backend, tmp_path):
    net = network(backend, 3, dropout=0.2)
    X, y = rows(30), rows(30, 2)
    net.fit(X, y, epochs=2, batch_size=8)
    net.save(tmp_path / "net.safetensors")
    others = [
        copy.deepcopy(net),
        pickle.loads(pickle.dumps(net)),
        fastmlp.load(tmp_path / "net.safetensors", backend=backend),
    ]
    net.fit(X, y, epochs=2, batch_size=8)
    for other in others:
        assert other.layers == net.layers
        other.fit(X, y, epochs=2, batch_size=8)
        assert other.get_flat().tobytes() == net.get_flat().tobytes()


def test_summary_counts_all_pieces(backend):
    net = network(backend, 3)
    assert net.n_parameters == (3 + 1) * 15 + (5 + 1) * 12 + (4 + 1) * 2
    assert "Maxout(3)" in repr(net)
    assert "60" in str(net)


def test_it_learns_what_one_rectifier_cannot(backend):
    X = np.linspace(-1, 1, 64)[:, None]
    net = network(backend, 2, (1, 1, 1))
    net.fit(X, np.abs(X), epochs=300, batch_size=16, optimizer=fastmlp.Adam(0.02))
    assert net.evaluate(X, np.abs(X))["loss"] < 1e-3


def test_a_picture_of_it_is_refused():
    pytest.importorskip("matplotlib")
    from fastmlp import plot

    with pytest.raises(ValueError, match="Maxout has one for each piece"):
        plot.network(network(None))


def test_onnx_computes_the_same(tmp_path):
    pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    net = network(None, 3)
    net.to_onnx(tmp_path / "net.onnx")
    (found,) = ReferenceEvaluator(str(tmp_path / "net.onnx")).run(None, {"x": rows()})
    np.testing.assert_allclose(found, net.predict(rows()), rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: fastmlp.Maxout(1), ValueError, "pieces must be from 2 to"),
        (lambda: fastmlp.Maxout(2.0), TypeError, "pieces must be an integer"),
        (lambda: fastmlp.MLP([2, 3, 1], output="maxout"), ValueError, "output must not have several pieces"),
        (lambda: fastmlp.MLP([2, 3, 1], activation="maxout", norm="batch"), ValueError, "norm='batch' is for"),
    ],
)
def test_what_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()
