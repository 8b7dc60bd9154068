"""Weights to start from: spread and bounds of the named distributions, and what a user's function may return."""

import hashlib
import math

import numpy as np
import pytest

import fastmlp
from fastmlp import initializers
from fastmlp.initializers import Initializer, draw, normal
from fastmlp.reference import random
from fastmlp.spec import as_activation
from fastmlp.spec.initializers import INITIALIZER_ALIASES, INITIALIZERS, as_initializer, default

N_IN, N_OUT = 300, 700
GLOROT, HE, LECUN = math.sqrt(2 / (N_IN + N_OUT)), math.sqrt(2 / N_IN), math.sqrt(1 / N_IN)
CUT = 0.8796256610342398  # the deviation of a standard normal that is cut at -2 and 2
DEVIATIONS = {
    "normal": 0.1,
    "glorot_uniform": GLOROT,
    "glorot_normal": GLOROT,
    "glorot_truncated_normal": GLOROT,
    "he_uniform": HE,
    "he_normal": HE,
    "he_truncated_normal": HE,
    "lecun_uniform": LECUN,
    "lecun_normal": LECUN,
    "lecun_truncated_normal": LECUN,
    "truncated_normal": 0.1 * CUT,
    "orthogonal": 1 / math.sqrt(N_OUT),
    "zeros": 0.0,
}


def test_every_initializer_has_an_expected_spread():
    assert set(DEVIATIONS) == set(INITIALIZERS)
    for name in INITIALIZERS:
        assert hasattr(initializers, name)
        assert as_initializer(name).deviation(N_IN, N_OUT) == pytest.approx(DEVIATIONS[name])


@pytest.mark.parametrize("name", DEVIATIONS)
@pytest.mark.parametrize("seed", [7, 8])
def test_moments_and_bounds(name, seed):
    W, sigma = draw(name, seed, 0, N_IN, N_OUT), DEVIATIONS[name]
    assert W.shape == (N_IN, N_OUT)
    assert W.dtype == np.float64
    assert W.flags.c_contiguous
    assert abs(W.mean()) <= 5 * sigma / math.sqrt(W.size)
    assert abs(W.std() - sigma) <= 0.01 * sigma
    family = as_initializer(name).family
    if family == "uniform":
        assert np.abs(W).max() <= math.sqrt(3) * sigma
        assert np.abs(W).max() > 0.9999 * math.sqrt(3) * sigma
    elif family == "truncated":
        assert 1.999 * sigma / CUT < np.abs(W).max() < 2 * sigma / CUT
        assert abs(np.mean(np.abs(W) < sigma / CUT) - 0.6827 / 0.9545) < 0.01
        assert abs(np.mean((W / sigma) ** 4) - 2.3656) < 0.02  # the kurtosis of what is left
    elif family in ("normal", "orthogonal"):
        assert 4 * sigma < np.abs(W).max() < 6 * sigma
        assert abs(np.mean(np.abs(W) < sigma) - 0.6827) < 0.01
        assert abs(np.mean((W / sigma) ** 4) - 3.0) < 0.1
    else:
        assert family == "zeros"


@pytest.mark.parametrize(("alias", "name"), INITIALIZER_ALIASES.items())
def test_aliases(alias, name):
    assert as_initializer(alias) is INITIALIZERS[name]
    np.testing.assert_array_equal(draw(alias, 1, 2, 3, 4), draw(name, 1, 2, 3, 4))


# Of layer 2 with seed 2^40 + 3, 23 x 17: what one processor drew, every other draws.
BITS = {
    "normal": "f98a469160e1f8a2",
    "glorot_uniform": "36633a6f9e86d6d1",
    "truncated_normal": "43e24ab3ec138df5",
    "orthogonal": "547ed5e30e2e6aad",
}


@pytest.mark.parametrize("name", BITS)
def test_bits_are_the_same_everywhere(name):
    W = draw(name, 2**40 + 3, 2, 23, 17)
    assert hashlib.sha256(W.astype("<f8").tobytes()).hexdigest()[:16] == BITS[name]


# --- orthogonal ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 2), (7, 7), (64, 20), (20, 64), (130, 129)])
@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_orthogonal_has_orthogonal_rows_or_columns(shape, gain):
    W = draw(initializers.orthogonal(gain), 5, 1, *shape)
    assert W.shape == shape
    square = W @ W.T if shape[0] <= shape[1] else W.T @ W
    np.testing.assert_allclose(square, gain**2 * np.eye(min(shape)), atol=3e-15)


def test_orthogonal_is_the_q_of_householders_reflections():
    A = random.normal(seed=9, stream=random.INIT, substream=4, n=6 * 4).reshape(4, 6)
    Q = np.eye(6)[:, :4]
    for j in range(3, -1, -1):
        v = np.concatenate([np.zeros(j), A[j, j:]])
        sign = math.copysign(1.0, v[j])
        Q[:, j] *= -sign
        v[j] += sign * np.linalg.norm(A[j, j:])
        Q -= np.outer(v, v @ Q) * (2 / (v @ v))
    np.testing.assert_allclose(draw("orthogonal", 9, 4, 6, 4), Q, atol=1e-14)
    np.testing.assert_array_equal(draw("orthogonal", 9, 4, 4, 6), draw("orthogonal", 9, 4, 6, 4).T)


def test_orthogonal_has_no_favourite_among_rotations():
    drawn = np.array([draw("orthogonal", seed, 0, 3, 3) for seed in range(2000)])
    np.testing.assert_allclose(drawn.mean(axis=0), 0.0, atol=5 / math.sqrt(3 * 2000))
    np.testing.assert_allclose((drawn**2).mean(axis=0), 1 / 3, atol=0.035)
    determinants = np.linalg.det(drawn)
    np.testing.assert_allclose(np.abs(determinants), 1.0, atol=1e-14)
    assert abs(determinants.mean()) < 5 / math.sqrt(2000)
    traces = np.trace(drawn, axis1=1, axis2=2)  # of all orthogonal matrices: mean 0, mean square 1, fourth power 3
    assert abs(traces.mean()) < 5 / math.sqrt(2000)
    assert abs((traces**2).mean() - 1.0) < 0.15
    turned = np.trace(drawn @ np.linalg.qr(np.arange(9.0).reshape(3, 3) ** 2)[0], axis1=1, axis2=2)
    assert abs(turned.mean()) < 5 / math.sqrt(2000)


def test_constant_and_a_network_of_each():
    assert draw(initializers.constant(-0.5), 0, 0, 2, 3).tolist() == [[-0.5] * 3] * 2
    for name in [*INITIALIZERS, *INITIALIZER_ALIASES, initializers.orthogonal(2.0), initializers.constant(0.25)]:
        net = fastmlp.MLP([4, 5, 3], init=name, seed=1)
        np.testing.assert_array_equal(net.weights[1], draw(name, 1, 1, 5, 3).astype(np.float32))


def test_reprs_have_what_counts():
    assert [repr(INITIALIZERS[name]) for name in ("zeros", "normal", "orthogonal")] == [
        "Initializer('zeros')", "Initializer('normal', sigma=0.1)", "Initializer('orthogonal', gain=1.0)",
    ]  # fmt: skip
    for made in (*INITIALIZERS.values(), initializers.constant(0.5)):
        assert eval(repr(made), {"Initializer": Initializer}) == made


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
        (lambda: Initializer("normal", 0.1, gain=2.0), ValueError, ["gain is for 'orthogonal' only, got 2.0"]),
        (lambda: Initializer("he_normal", 0.1), ValueError, ["sigma is for 'normal' and 'truncated_normal' only"]),
        (lambda: as_initializer("constant"), ValueError, ["initializer must be one of", "'constant'"]),
        (lambda: initializers.orthogonal(0.0), ValueError, ["gain must be > 0"]),
        (lambda: initializers.truncated_normal(-0.1), ValueError, ["sigma must be > 0"]),
        (lambda: initializers.constant(math.inf), ValueError, ["value must be finite"]),
        (lambda: initializers.constant("1"), TypeError, ["value must be a real number"]),
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
