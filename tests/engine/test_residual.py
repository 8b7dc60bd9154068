"""Residual connections: PyTorch's trajectories, slopes, the same bits however a step is shared out, and files."""

import copy
import pickle

import numpy as np
import pytest
from compiled import ISAS, Engine
from engine_calls import gradient_of, layers_of, states_of
from random_networks import central_differences, fill, flat, targets
from stored import script

import fastmlp
from fastmlp import reference
from fastmlp.spec import SGD, Adam, NetworkSpec, Run

#: Sizes, batch, rows and an activation that keeps outputs or signals: steps are cut and shared out in every way.
WAYS = {
    "few rows": ((37, 45, 45, 33), 1, 5, "silu"),
    "rows": ((13, 70, 70, 70, 5), 40, 100, "relu"),
    "panels": ((37, 145, 145, 33, 3), 2, 9, "tanh"),
    "panels of signals": ((37, 145, 145, 33, 3), 2, 9, "silu"),
    "two microbatches": ((5, 3, 3, 1), 300, 700, "silu"),
    "parts": ((290, 300, 300, 9), 1000, 1200, "relu"),
}
each_engine = pytest.mark.parametrize("kind", [reference.Engine, Engine], ids=["numpy", "compiled"])


STORED = script("make_torch_residual")


@pytest.mark.parametrize("activation", STORED.ACTIVATIONS)
def test_steps_are_pytorchs(activation, backend):
    net = fastmlp.MLP(STORED.SIZES, activation=activation, dtype="float64", backend=backend, residual=True)
    layers, X, y = STORED.problem()
    net.weights, net.biases = zip(*layers, strict=True)
    rows = map(STORED.rows_of, range(STORED.STEPS))
    losses = [net.step(X[part], y[part], optimizer=fastmlp.Adam(0.02)) for part in rows]
    last = [np.ravel(array) for pair in zip(net.weights, net.biases, strict=True) for array in pair]
    with np.load(STORED.PATH) as wanted:
        np.testing.assert_allclose(losses, wanted[f"{activation}/losses"], rtol=1e-10)
        np.testing.assert_allclose(np.concatenate(last), wanted[f"{activation}/last"], rtol=1e-10, atol=1e-11)


# ---- slopes ---------------------------------------------------------------------------------------------------------


@each_engine
@pytest.mark.parametrize("activation", ["tanh", "gelu", "softmax"])
def test_gradients_are_slopes(kind, activation):
    spec = NetworkSpec.make([3, 4, 4, 4, 2], activation, dtype="float64", residual=True)
    engine, X, y = fill(kind(spec), spec), np.random.default_rng(0).normal(size=(5, 3)), targets(spec, 5)

    def losses():
        return np.array([gradient_of(engine, X, y, None, 1)[0]])

    wanted = central_differences(engine, losses, 1e-5)
    np.testing.assert_allclose(flat(gradient_of(engine, X, y, None, 1)[1:]), wanted, rtol=1e-6, atol=1e-8)


@each_engine
@pytest.mark.parametrize("activation", ["tanh", "gelu", "softmax"])
def test_a_step_with_dropout_goes_down_its_slope(kind, activation):
    spec = NetworkSpec.make([3, 4, 4, 4, 2], activation, dtype="float64", residual=True, dropout=[0.3, 0.4, 0.3])
    engine, X, y = fill(kind(spec), spec), np.random.default_rng(0).normal(size=(6, 3)), targets(spec, 6)

    def step(rate):
        """The loss of one step, the first: its masks are the same every time."""
        losses = np.empty(1)
        engine.use_optimizer("sgd")
        assert engine.train(Run(X, y, None, np.arange(6), 6, SGD(rate).scalars(0, 1), losses, seed=9), 1).steps == 1
        return losses

    start = layers_of(engine)
    slopes = central_differences(engine, lambda: step(1e-300), 1e-5)
    step(1.0)
    np.testing.assert_allclose(flat(start) - flat(layers_of(engine)), slopes, rtol=1e-6, atol=1e-8)


def test_what_is_dropped_is_not_the_sum(backend):
    net = fastmlp.MLP([1, 500, 500, 1], activation="identity", init="zeros", residual=True, dropout=[0, 0.5], seed=0,
                      backend=backend)  # fmt: skip
    net.biases = [np.ones(500), np.full(500, 2.0), np.zeros(1)]
    net.step([[0.0]], [1.0], optimizer=fastmlp.SGD(1.0))
    by_last = net.weights[-1][:, 0]  # the outputs of the hidden layer, times the error, which is 1
    assert set(by_last.tolist()) == {1.0, 5.0}
    assert 200 < (by_last == 1.0).sum() < 300


def test_traces_are_those_of_the_formula(backend):
    net = fastmlp.MLP([3, 5, 5, 5, 2], activation="tanh", dtype="float64", seed=1, backend=backend, residual=True)
    X, y = np.random.default_rng(2).normal(size=(7, 3)), np.random.default_rng(3).normal(size=(7, 2))
    a = X
    trace = net.trace(X, y)
    for layer, (W, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        z = a @ W + b
        np.testing.assert_allclose(trace.signals[layer], z, rtol=1e-12, atol=1e-13)
        a = z if layer == 3 else np.tanh(z) + (a if layer in (1, 2) else 0)
        np.testing.assert_allclose(trace.outputs[layer], a, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(net.transform(X, layer=1), trace.outputs[1], rtol=1e-14)
    found, step = net.input_gradient(X), 1e-6
    for i in range(3):
        shift = step * np.eye(3)[i]
        slope = (net.predict(X + shift) - net.predict(X - shift)) / (2 * step)
        np.testing.assert_allclose(found[:, :, i], slope, rtol=1e-7, atol=1e-9)


# ---- bits -----------------------------------------------------------------------------------------------------------


def outcome(spec, isa, batch_size, n, threads):
    """All that comes of an epoch, by weights and a step's hook too, and predictions together and by few rows."""
    engine, rng = fill(Engine(spec, isa), spec), np.random.default_rng(n)
    X, y = rng.normal(size=(n, spec.sizes[0])).astype(spec.dtype), targets(spec, n)
    losses = np.full(-(-n // batch_size), np.nan)
    engine.use_optimizer("adam")
    run = Run(X, y, rng.random(n), rng.permutation(n), batch_size, Adam(0.01).scalars(0, len(losses)), losses, seed=3)
    assert engine.train(run, threads).status == "done"
    out, few = np.empty((n, spec.sizes[-1]), spec.dtype), np.empty((2, spec.sizes[-1]), spec.dtype)
    engine.predict(X, out, threads)
    engine.predict(X[:2], few, threads)
    np.testing.assert_array_equal(few, out[:2])
    parts = losses, flat(layers_of(engine)), *map(flat, states_of(engine)), out
    assert all(np.isfinite(part).all() for part in parts)
    return [part.tobytes() for part in parts]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_same_bits_on_every_isa_and_number_of_threads(way):
    sizes, batch_size, n, activation = way
    spec = NetworkSpec.make(sizes, activation, residual=True, dropout=0.2)
    first = outcome(spec, ISAS[0], batch_size, n, 1)
    for isa in ISAS:
        for threads in (2, 5) if isa == ISAS[0] else (3,):
            assert outcome(spec, isa, batch_size, n, threads) == first, (isa, threads)


def test_a_saved_training_goes_on_to_the_same_bits(tmp_path, backend):
    X, y = np.random.default_rng(0).normal(size=(30, 4)), np.random.default_rng(1).normal(size=30)
    net = fastmlp.MLP([4, 6, 6, 1], residual=True, dropout=0.1, seed=2, backend=backend)
    net.fit(X, y, epochs=2, batch_size=8, ema=0.9)
    net.save(tmp_path / "net")
    others = [fastmlp.load(tmp_path / "net", backend=backend), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)]
    assert all(other.residual for other in others)
    net.fit(X, y, epochs=2, batch_size=8, ema=0.9)
    for other in others:
        other.fit(X, y, epochs=2, batch_size=8, ema=0.9)
        assert other.predict(X).tobytes() == net.predict(X).tobytes()
        assert other.averaged().predict(X).tobytes() == net.averaged().predict(X).tobytes() != net.predict(X).tobytes()


# ---- what a user sees -----------------------------------------------------------------------------------------------


def test_a_file_without_says_nothing_of_it():
    assert "residual" not in NetworkSpec.make([2, 3, 3, 1]).to_dict()
    spec = NetworkSpec.make([2, 3, 3, 4, 4, 4], residual=True)
    assert spec.residuals == (False, True, False, True, False)
    assert NetworkSpec.from_dict(spec.to_dict()) == spec


def test_representations(capsys):
    net = fastmlp.MLP([2, 3, 3, 1], residual=True, seed=0)
    assert repr(net).endswith("seed=0, residual=True)")
    net.summary()
    assert "relu + inputs" in capsys.readouterr().out
    assert net.residual
    assert not fastmlp.MLP([2, 1]).residual


@pytest.mark.parametrize("sizes", [[3, 3], [3, 3, 3], [2, 4, 5, 5]])
def test_networks_where_it_would_do_nothing_are_refused(sizes):
    with pytest.raises(ValueError, match="residual is for neighbouring hidden layers of one width"):
        fastmlp.MLP(sizes, residual=True)


def test_it_is_a_flag():
    with pytest.raises(TypeError, match="residual must be True or False, got 1"):
        fastmlp.MLP([2, 3, 3, 1], residual=1)
