"""The worked numbers of the five lectures (DESIGN 9), on both backends."""

import itertools

import numpy as np
import pytest

import fastmlp

#: Rows of the slide's matrices are units, so ours are their transposes.
SLIDE_W = [[[1, -2], [-1, 1]], [[2, -1], [-2, -1]], [[3, -1], [-1, 4]]]
SLIDE_B = [[1, 0], [0, 0], [-2, 2]]
CORNERS = np.array(list(itertools.product([-1.0, 1.0], repeat=2)))


def lecture_network(backend, dtype="float64"):
    net = fastmlp.MLP(
        [2, 2, 2, 2], activation="sigmoid", output="sigmoid", loss="squared_error", dtype=dtype, backend=backend
    )
    net.weights = [np.array(W, dtype).T for W in SLIDE_W]
    net.biases = [np.array(b, dtype) for b in SLIDE_B]
    return net


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_network_of_the_lecture(backend, dtype):
    outputs = lecture_network(backend, dtype).predict([[1, -1], [0, 0]])
    np.testing.assert_array_equal(np.round(outputs, 2), np.array([[0.62, 0.83], [0.51, 0.85]], dtype))


def test_its_signals_by_hand(backend):
    trace = lecture_network(backend).trace([[1, -1], [0, 0]])
    np.testing.assert_array_equal(trace.signals[0], [[4, -2], [1, 0]])
    np.testing.assert_array_equal(np.round(trace.outputs[0], 2), [[0.98, 0.12], [0.73, 0.50]])
    np.testing.assert_array_equal(np.round(trace.outputs[1], 2), [[0.86, 0.11], [0.72, 0.12]])
    for z, a in zip(trace.signals, trace.outputs, strict=True):
        np.testing.assert_allclose(a, 1 / (1 + np.exp(-z)), rtol=1e-14)


def sign_net(backend, sizes, weights, biases):
    net = fastmlp.MLP(sizes, activation="sign", output="sign", backend=backend)
    net.weights, net.biases = [np.transpose(W) for W in weights], biases
    return net


@pytest.mark.parametrize(
    ("weights", "bias", "truth"),
    [([1, 1], -1, np.logical_and), ([1, 1], 1, np.logical_or)],
    ids=["AND", "OR"],
)
def test_a_sign_unit_computes(backend, weights, bias, truth):
    net = sign_net(backend, [2, 1], [[weights]], [[bias]])
    wanted = np.where(truth(CORNERS[:, 0] > 0, CORNERS[:, 1] > 0), 1, -1)
    np.testing.assert_array_equal(net.predict(CORNERS)[:, 0], wanted)


def test_a_sign_unit_computes_not(backend):
    np.testing.assert_array_equal(sign_net(backend, [1, 1], [[[-1]]], [[0]]).predict([[-1], [1]]), [[1], [-1]])


def test_two_layers_of_sign_units_compute_xor(backend):
    """x1 XOR x2 = (x1 OR x2) AND NOT (x1 AND x2)."""
    net = sign_net(backend, [2, 2, 1], [[[1, 1], [-1, -1]], [[1, 1]]], [[1, 1], [-1]])
    np.testing.assert_array_equal(net.predict(CORNERS)[:, 0], [-1, 1, 1, -1])


def test_one_sign_unit_cannot_compute_xor(backend):
    """Over a grid of weights: what the lecture proves, and why XOR needs a hidden layer."""
    grid = np.linspace(-2, 2, 9)
    found = 0
    for w1, w2, b in itertools.product(grid, repeat=3):
        outputs = np.sign(CORNERS @ [w1, w2] + b)
        found += np.array_equal(outputs, [-1, 1, 1, -1])
    assert found == 0
    net = fastmlp.MLP([2, 1], output="logistic", init="zeros", backend=backend)
    net.fit(CORNERS, [0, 1, 1, 0], epochs=100, batch_size=4, optimizer=fastmlp.SGD(1.0))
    np.testing.assert_allclose(net.predict(CORNERS), 0.5, atol=1e-6)


def test_3_4_2_has_26_parameters(backend):
    net = fastmlp.MLP([3, 4, 2], backend=backend)
    assert net.n_parameters == 26
    assert sum(a.size for a in (*net.weights, *net.biases)) == 26


def test_sensitivities_are_the_recursion_of_the_lecture(backend):
    """delta^L = (a - y) f'(z), delta^l = W delta^(l+1) f'(z): written out, against trace."""
    net = lecture_network(backend)
    y = np.array([[1.0, 0.0]])
    trace = net.trace([[1, -1]], y)
    delta = (trace.outputs[-1] - y) * trace.outputs[-1] * (1 - trace.outputs[-1])
    for layer in (2, 1, 0):
        np.testing.assert_allclose(trace.sensitivities[layer], delta, rtol=1e-12)
        if layer:
            a = trace.outputs[layer - 1]
            delta = delta @ net.weights[layer].T * a * (1 - a)


def test_adaline_is_one_linear_unit(backend):
    """The delta rule of Widrow and Hoff: w += eta (y - w x - b) x, row after row."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    net = fastmlp.MLP([3, 1], init="zeros", dtype="float64", backend=backend)
    net.fit(X, y, epochs=2, batch_size=1, shuffle=False, optimizer=fastmlp.SGD(0.1))
    w, b = np.zeros(3), 0.0
    for x, wanted in [*zip(X, y, strict=True)] * 2:
        error = wanted - (w @ x + b)
        w, b = w + 0.1 * error * x, b + 0.1 * error
    np.testing.assert_allclose(net.weights[0][:, 0], w, rtol=1e-12)
    np.testing.assert_allclose(net.biases[0], b, rtol=1e-12)
