"""Weights to start from: spread and bounds of the named distributions, and what a user's function may return."""

import math

import numpy as np
import pytest

from fastmlp import initializers
from fastmlp.initializers import Initializer, draw, normal
from fastmlp.reference import random
from fastmlp.spec import as_activation
from fastmlp.spec.initializers import INITIALIZERS, as_initializer, default

N_IN, N_OUT = 300, 700
DEVIATIONS = {
    "normal": 0.1,
    "glorot_uniform": math.sqrt(2 / (N_IN + N_OUT)),
    "glorot_normal": math.sqrt(2 / (N_IN + N_OUT)),
    "he_uniform": math.sqrt(2 / N_IN),
    "he_normal": math.sqrt(2 / N_IN),
    "lecun_uniform": math.sqrt(1 / N_IN),
    "lecun_normal": math.sqrt(1 / N_IN),
    "zeros": 0.0,
}


def test_every_initializer_has_an_expected_spread():
    assert set(DEVIATIONS) == set(INITIALIZERS)
    for name in INITIALIZERS:
        assert hasattr(initializers, name)


@pytest.mark.parametrize("name", DEVIATIONS)
def test_moments_and_bounds(name):
    W, sigma = draw(name, 7, 0, N_IN, N_OUT), DEVIATIONS[name]
    assert W.shape == (N_IN, N_OUT)
    assert W.dtype == np.float64
    assert W.flags.c_contiguous
    assert abs(W.mean()) <= 5 * sigma / math.sqrt(W.size)
    assert abs(W.std() - sigma) <= 0.01 * sigma
    if name.endswith("uniform"):
        assert np.abs(W).max() <= math.sqrt(3) * sigma
        assert np.abs(W).max() > 0.9999 * math.sqrt(3) * sigma
    elif sigma:
        assert 4 * sigma < np.abs(W).max() < 6 * sigma
        assert abs(np.mean(np.abs(W) < sigma) - 0.6827) < 0.01


def test_a_draw_depends_on_seed_and_layer_alone():
    first = draw("he_normal", 3, 1, 5, 6)
    np.testing.assert_array_equal(first, draw(INITIALIZERS["he_normal"], 3, 1, 5, 6))
    assert (first != draw("he_normal", 3, 2, 5, 6)).all()
    assert (first != draw("he_normal", 4, 1, 5, 6)).all()
    assert (first != draw("he_normal", 3 + 2**40, 1, 5, 6)).all()


def test_numbers_come_from_the_stream_of_their_layer():
    np.testing.assert_array_equal(
        draw(normal(1.0), 5, 2, 3, 4).ravel(), random.normal(seed=5, stream=random.INIT, substream=2, n=12)
    )


def test_normal_has_the_sigma_that_was_asked_for():
    np.testing.assert_array_equal(draw(normal(0.5), 0, 0, 9, 9), 0.5 * draw(normal(1), 0, 0, 9, 9))


def test_defaults_follow_the_activation():
    for name in ("relu", "leaky_relu", "elu", "softplus", "gelu", "silu", "mish", "hard_swish", "relu6"):
        assert default(as_activation(name)).name == "he_uniform"
    for name in ("identity", "sign", "logistic", "tanh", "exp", "softmax", "softsign", "hardtanh"):
        assert default(as_activation(name)).name == "glorot_uniform"
    assert default(as_activation("selu")).name == "lecun_normal"


def test_a_function_of_the_user():
    given = []

    def ramp(n_in, n_out):
        given.append((n_in, n_out))
        return np.arange(n_in * n_out, dtype=np.int16).reshape(n_in, n_out, order="F")

    W = draw(ramp, 0, 0, 2, 3)
    assert given == [(2, 3)]
    assert W.tolist() == [[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]
    assert W.flags.c_contiguous
    assert draw(lambda n_in, n_out: [[1.0] * n_out] * n_in, 0, 0, 2, 2).tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_a_function_keeps_its_own_array():
    own = np.ones((2, 2))
    W = draw(lambda *_: own, 0, 0, 2, 2)
    W[0, 0] = 5.0
    assert own[0, 0] == 1.0


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: as_initializer("xavier"), ValueError, ["initializer", "xavier", "'glorot_uniform'", "'zeros'"]),
        (lambda: as_initializer(0.1), TypeError, ["initializer", "0.1", "float"]),
        (lambda: Initializer("xavier"), ValueError, ["initializer", "xavier"]),
        (lambda: Initializer("zeros", 0.1), ValueError, ["sigma", "0.1", "zeros"]),
        (lambda: normal(0.0), ValueError, ["sigma", "> 0"]),
        (lambda: normal(-1.0), ValueError, ["sigma", "-1.0"]),
        (lambda: normal(math.nan), ValueError, ["sigma", "nan"]),
        (lambda: normal(math.inf), ValueError, ["sigma", "inf"]),
        (lambda: normal("1"), TypeError, ["sigma", "'1'"]),
        (lambda: normal(True), TypeError, ["sigma", "bool"]),
        (lambda: draw(lambda i, o: np.zeros((o, i)), 0, 0, 2, 3), ValueError, ["shape (2, 3)", "(3, 2)"]),
        (lambda: draw(lambda i, o: np.zeros((i, o), complex), 0, 0, 2, 3), TypeError, ["real", "complex128"]),
        (lambda: draw(lambda i, o: None, 0, 0, 2, 3), TypeError, ["real", "object"]),
        (lambda: draw(lambda i, o: np.full((i, o), np.inf), 0, 0, 2, 3), ValueError, ["finite"]),
    ],
)
def test_bad_initializers(make, error, words):
    with pytest.raises(error) as caught:
        make()
    for word in words:
        assert word in str(caught.value)
