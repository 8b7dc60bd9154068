"""First biases of an output layer: outputs begin at the mean of the targets."""

import math

import numpy as np
import pytest
from conftest import parameters

import fastmlp

RNG = np.random.default_rng(0)
WEIGHT = RNG.integers(0, 4, 60) / 2.0
CASES = {  # what MLP is given, the targets
    "squared_error": ({"sizes": [3, 4, 2]}, RNG.normal(40.0, 3.0, size=(60, 2))),
    "one output": ({"sizes": [3, 1]}, RNG.normal(size=60)),
    "tall": ({"sizes": [3, 1]}, RNG.normal(size=60).astype(np.float32)[:, np.newaxis]),
    "classes": ({"sizes": [3, 4, 3], "output": "softmax"}, np.array([0] * 50 + [2] * 7 + [1] * 3)),
    "shares": ({"sizes": [3, 4, 3], "output": "softmax"}, RNG.dirichlet(np.ones(3), 60)),
    "labels": ({"sizes": [3, 4, 2], "output": "logistic"}, RNG.integers(0, 2, (60, 2))),
    "counts": ({"sizes": [3, 4, 2], "loss": "poisson"}, RNG.poisson(5.0, (60, 2))),
    "gamma": ({"sizes": [3, 1], "loss": "gamma"}, RNG.gamma(2.0, size=60)),
}


def network(backend, sizes, **given):
    return fastmlp.MLP(sizes, init="zeros", dtype="float64", backend=backend, **given)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_outputs_begin_at_the_mean(backend, name, weight):
    given, y = CASES[name]
    net = network(backend, **given)
    net.init_output_bias(y, weight)
    one_hot = np.eye(3)[y] if name == "classes" else np.reshape(y, (60, -1)).astype(np.float64)
    wanted = np.average(one_hot, axis=0, weights=weight)
    np.testing.assert_allclose(net.predict([[1.0, 2.0, 3.0]])[0], wanted, rtol=1e-13)
    assert all((bias == 0).all() for bias in net.biases[:-1])
    loss, _, db = net.loss_and_grad(RNG.normal(size=(60, 3)), y, weight)
    np.testing.assert_allclose(db[-1], 0.0, atol=1e-12 * max(1.0, loss))  # the best that a constant can do


def test_what_no_row_has_counts_as_half_a_row(backend):
    net = network(backend, [2, 3], output="softmax")
    net.init_output_bias([0, 0, 1, 0])
    np.testing.assert_allclose(net.biases[0], np.log([0.75, 0.25, 0.125]))
    net = network(backend, [2, 2], output="logistic")
    net.init_output_bias([[0, 1]] * 10, [2.0] * 10)
    np.testing.assert_allclose(net.biases[0], [-math.log(39), math.log(39)])
    net = network(backend, [2, 1], loss="poisson")
    net.init_output_bias([0, 0])
    assert net.biases[0] == math.log(0.25)


def test_a_rare_class_is_not_learned_to_be_rare_first(backend):
    X, y = RNG.normal(size=(2000, 5)), (np.arange(2000) % 100 == 0).astype(int)
    first = []
    for prior in (False, True):
        net = fastmlp.MLP([5, 16, 1], output="logistic", seed=0, backend=backend)
        if prior:
            net.init_output_bias(y)
        first.append(net.fit(X, y, epochs=1, batch_size=100).loss[0])
    entropy = -(0.01 * math.log(0.01) + 0.99 * math.log(0.99))
    assert first[1] < 2 * entropy < 0.3 < first[0]


def test_many_rows_are_summed_in_their_order(backend):
    y = RNG.normal(size=(300_000, 2)) + 1e6
    net = network(backend, [1, 2])
    net.init_output_bias(y)
    np.testing.assert_array_equal(net.biases[0], np.add.accumulate(y, axis=0)[-1] / len(y))


@pytest.mark.parametrize(
    ("given", "y", "weight", "error", "message"),
    [
        ({"sizes": [2, 1], "output": "tanh"}, [0.5], None, ValueError, "known for outputs identity, .*, not for tanh"),
        ({"sizes": [2, 1]}, [], None, ValueError, "y has no rows"),
        ({"sizes": [2, 1]}, 3.0, None, ValueError, "shape"),
        ({"sizes": [2, 1]}, [math.nan], None, ValueError, "y"),
        ({"sizes": [2, 2], "output": "softmax"}, [0, 2], None, ValueError, "classes must lie in"),
        ({"sizes": [2, 1]}, [1.0, 2.0], [1.0], ValueError, "sample_weight has shape"),
        ({"sizes": [2, 1]}, [1.0, 2.0], [0.0, 0.0], ValueError, "sample_weight is all zero"),
        ({"sizes": [2, 1]}, ["a"], None, TypeError, "y"),
    ],
)
def test_errors_change_nothing(backend, given, y, weight, error, message):
    net = network(backend, **given)
    before = parameters(net)
    with pytest.raises(error, match=message):
        net.init_output_bias(y, weight)
    assert parameters(net) == before
