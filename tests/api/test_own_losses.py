"""Gradients for losses of others: forward, backward, apply_gradients and vectors of all parameters.

Oracles: the engine's own gradient and `step`, to the bit; central differences; derivatives by inputs one at a time.
"""

import copy
import pickle
import threading

import numpy as np
import pytest
from compiled import ISAS, Engine
from conftest import BACKENDS
from random_networks import fill

import fastmlp
from fastmlp.spec import NetworkSpec

each_backend = pytest.mark.parametrize("backend", BACKENDS)

#: Sizes and rows of batches that a step cuts in every way there is.
WAYS = {
    "few rows": ((37, 45, 33), 5),
    "narrow": ((20, 5, 1), 40),
    "microbatches": ((37, 45, 33), 1100),
    "parts": ((290, 300, 9), 1000),
    "one layer": ((7, 3), 20),
}


def data(sizes, n, dtype="float64"):
    rng = np.random.default_rng(n)
    return rng.normal(size=(n, sizes[0])).astype(dtype), rng.normal(size=(n, sizes[-1])).astype(dtype)


def flat_of(weights, biases):
    return np.concatenate([part.ravel() for pair in zip(weights, biases, strict=True) for part in pair])


def squared_error(outputs, y):
    """Derivatives of the mean over rows of half the squared distances, as the engine has them."""
    return (outputs - y) * outputs.dtype.type(1.0 / len(y))


@each_backend
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("sizes", "n"), WAYS.values(), ids=WAYS)
def test_the_engines_own_gradient_to_the_bit(sizes, n, dtype, backend):
    net = fastmlp.MLP(sizes, activation="tanh", dtype=dtype, seed=1, backend=backend)
    X, y = data(sizes, n, dtype)
    _, *wanted = net.loss_and_grad(X, y, threads=1)
    for threads in (1, 2, 3):
        outputs = net.forward(X, threads=threads)
        np.testing.assert_array_equal(outputs, net.predict(X))
        got = net.backward(squared_error(outputs, y), threads=threads)
        np.testing.assert_array_equal(flat_of(*got), flat_of(*wanted))


@pytest.mark.parametrize(("sizes", "n"), WAYS.values(), ids=WAYS)
def test_every_isa_has_the_same_bits_and_so_have_transposed_weights(sizes, n):
    spec = NetworkSpec.make(sizes, "gelu", dtype="float32")
    X, y = data(sizes, n, "float32")
    found = set()
    for number, isa in enumerate(ISAS):
        first, engine = fill(Engine(spec, isa), spec), Engine(spec, isa)
        engine.write_transposed([np.ascontiguousarray(each.T) for each in first.read().values()], number % 3)
        assert all((a == b).all() for a, b in zip(first.read().values(), engine.read().values(), strict=True))
        outputs, gradient, by_inputs = np.empty_like(y), np.empty(spec.n_parameters, "float32"), np.empty_like(X)
        tape = engine.forward(X, outputs, 2)
        engine.backward(tape, outputs - y, gradient, by_inputs, 2)
        found.add(outputs.tobytes() + gradient.tobytes() + by_inputs.tobytes())
        turned = np.empty_like(gradient)
        engine.backward(tape, outputs - y, turned, None, 1, True)
        at = 0
        for layer in spec.layers:
            end = at + layer.n_in * layer.n_out
            weights = turned[at:end].reshape(layer.n_out, layer.n_in)
            np.testing.assert_array_equal(weights.T, gradient[at:end].reshape(layer.n_in, layer.n_out))
            at = end + layer.n_out
    assert len(found) == 1


@each_backend
@pytest.mark.parametrize(
    ("output", "loss"),
    [("softmax", "cross_entropy"), ("logistic", "binary_cross_entropy"), ("gelu", None), ("identity", None)],
)
def test_central_differences_of_any_function_of_the_outputs(output, loss, backend):
    net = fastmlp.MLP([4, 6, 3], activation="silu", output=output, loss=loss, dtype="float64", seed=2, backend=backend)
    X, _ = data(net.sizes, 7)
    c = np.random.default_rng(3).normal(size=(7, 3))

    def energy(w=None, X=X):
        if w is not None:
            net.set_flat(w)
        return float(np.sum(np.sin(c * net.predict(X))))

    w, step = net.get_flat(), 1e-5
    outputs, gradient = net.forward(X), np.empty_like(w)
    dW, _db, dX = net.backward(c * np.cos(c * outputs), out=gradient, input_gradient=True)
    assert np.shares_memory(dW[0], gradient)
    for number in range(len(w)):
        difference = np.zeros_like(w)
        difference[number] = step
        slope = (energy(w + difference) - energy(w - difference)) / (2 * step)
        assert abs(slope - gradient[number]) < 1e-8
    net.set_flat(w)
    for place in np.ndindex(X.shape):
        moved = np.zeros_like(X)
        moved[place] = step
        assert abs((energy(X=X + moved) - energy(X=X - moved)) / (2 * step) - dX[place]) < 1e-8


@each_backend
@pytest.mark.parametrize("optimizer", [fastmlp.SGD(0.1, momentum=0.9), fastmlp.AdamW(0.01)], ids=["SGD", "AdamW"])
@pytest.mark.parametrize(
    "how",
    [{}, {"clip_norm": 0.1}, {"clip_value": 0.01, "lr_factors": {"layers.0": 0.5}}],
    ids=["plain", "norm", "value"],
)
def test_forward_backward_and_apply_are_a_step_to_the_bit(optimizer, how, backend):
    net = fastmlp.MLP(
        [9, 20, 20, 2],
        dropout=0.25,
        input_dropout=0.1,
        input_noise=0.1,
        max_norm=1.5,
        seed=4,
        backend=backend,
    )
    X, y = data(net.sizes, 300, "float32")
    stepped = copy.deepcopy(net)
    for number in range(3):
        outputs = net.forward(X, training=True)
        gradient = net.backward(squared_error(outputs, y))
        stepped.step(X, y, optimizer=optimizer, **how)
        given = (flat_of(*gradient),) if number == 1 else gradient
        net.apply_gradients(*given, optimizer=optimizer, **how)
        np.testing.assert_array_equal(net.get_flat(), stepped.get_flat())
    assert net.n_steps == stepped.n_steps == 3
    assert repr(net.optimizer) == repr(stepped.optimizer)


@each_backend
def test_dropout_is_for_training_and_in_the_derivatives_by_inputs(backend):
    net = fastmlp.MLP([50, 30, 1], activation="tanh", input_dropout=0.5, dropout=0.5, seed=1, backend=backend)
    X, _ = data(net.sizes, 20, "float32")
    np.testing.assert_array_equal(net.forward(X), net.predict(X))
    assert (net.backward(np.ones((20, 1)), input_gradient=True)[2] != 0).all()
    assert (net.forward(X, training=True) != net.predict(X)).any()
    by_inputs = net.backward(np.ones((20, 1)), input_gradient=True)[2]
    assert 0.4 < (by_inputs == 0).mean() < 0.6


@each_backend
def test_a_backward_needs_a_forward_under_the_same_weights(backend):
    net = fastmlp.MLP([3, 4, 2], seed=0, backend=backend)
    X, y = data(net.sizes, 5, "float32")
    missing = "backward needs a forward before it"
    with pytest.raises(RuntimeError, match=missing):
        net.backward(y)
    net.forward(X)
    with pytest.raises(ValueError, match=r"shape of what forward returned, \(5, 2\), got \(4, 2\)"):
        net.backward(y[:4])
    with pytest.raises(ValueError, match=r"dE_doutput \(as float32\) must be finite|dE_doutput"):
        net.backward(np.full((5, 2), np.nan))
    with pytest.raises(ValueError, match=r"out must have shape \(26,\), got \(25,\)"):
        net.backward(y, out=np.empty(25, "float32"))
    with pytest.raises(TypeError, match="out must have the network's dtype float32"):
        net.backward(y, out=np.empty(26))
    net.backward(y)  # what was refused has used nothing up
    with pytest.raises(RuntimeError, match=missing):
        net.backward(y)
    changes = [
        lambda: net.step(X, y),
        lambda: net.set_flat(net.get_flat()),
        lambda: setattr(net, "weights", net.weights),
        lambda: net.apply_gradients(net.get_flat()),
        lambda: net.fit(X, y, epochs=1),
    ]
    for change in changes:
        net.forward(X)
        change()
        with pytest.raises(RuntimeError, match="weights have changed since forward"):
            net.backward(y)


@each_backend
def test_what_is_kept_is_a_threads_own_and_not_a_copys(backend):
    net = fastmlp.MLP([3, 4, 2], seed=0, backend=backend)
    X, y = data(net.sizes, 5, "float32")
    net.forward(X)
    failed = []

    def other():
        try:
            net.backward(y)
        except RuntimeError as error:
            failed.append(str(error))
        net.forward(-X)
        net.backward(y)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert "same Python thread" in failed[0]
    for made in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        with pytest.raises(RuntimeError, match="needs a forward"):
            made.backward(y)
    got = flat_of(*net.backward(y))
    net.forward(X)
    np.testing.assert_array_equal(got, flat_of(*net.backward(y)))


@each_backend
def test_gradients_that_cannot_be_applied_change_nothing(backend):
    net = fastmlp.MLP([3, 2], seed=0, backend=backend)
    before, big = net.get_flat(), [np.full((3, 2), 1e30)]
    with pytest.raises(ValueError, match=r"dW\[0\] must have shape \(3, 2\), got \(2, 3\)"):
        net.apply_gradients([np.zeros((2, 3))], [np.zeros(2)])
    with pytest.raises(ValueError, match="db must be 1 arrays"):
        net.apply_gradients([np.zeros((3, 2))], [])
    with pytest.raises(ValueError, match=r"db\[0\]"):
        net.apply_gradients([np.zeros((3, 2))], [[0.0, np.inf]])
    with pytest.raises(ValueError, match=r"dW must have shape \(8,\)"):
        net.apply_gradients(np.zeros(7))
    with pytest.raises(ValueError, match="parameters"):
        net.set_flat(np.full(8, np.nan))
    with pytest.raises(ValueError, match="ScheduleFreeAdamW takes gradients where only fit and step can"):
        net.apply_gradients(before, optimizer="schedule_free_adamw")
    assert net.n_steps == 0
    with pytest.raises(fastmlp.TrainingDiverged, match="update by this gradient overflowed"):
        net.apply_gradients(big, [np.zeros(2)], optimizer=fastmlp.SGD(1e30))
    np.testing.assert_array_equal(net.get_flat(), before)
    assert net.n_steps == 0


@each_backend
def test_penalties_are_not_in_the_gradient_of_somebody_elses_loss(backend):
    X, y = data((3, 2), 5, "float32")
    found = []
    for l2 in (0.0, 0.5):
        net = fastmlp.MLP([3, 2], seed=0, l1=l2, l2=l2, backend=backend)
        net.forward(X)
        found.append(flat_of(*net.backward(y)))
    np.testing.assert_array_equal(*found)


def test_scipys_optimizers_need_three_lines():
    optimize = pytest.importorskip("scipy.optimize")
    net = fastmlp.MLP([1, 8, 1], activation="tanh", dtype="float64", seed=0)
    X = np.linspace(-1, 1, 30).reshape(-1, 1)

    def loss(w):
        net.set_flat(w)
        error = net.forward(X) - np.sin(3 * X)
        return 0.5 * np.sum(error**2), flat_of(*net.backward(error))

    before = loss(net.get_flat())[0]
    found = optimize.minimize(loss, net.get_flat(), jac=True, method="L-BFGS-B", options={"maxiter": 60})
    assert found.fun < 0.05 * before
