"""Factors of the learning rate by layer and kind: what they mean, that they are the same bits, and what is refused."""

import numpy as np
import pytest
from conftest import parameters

import fastmlp
from fastmlp.spec import OPTIMIZERS

FACTORS = {"bias": 0.1, "layers.0": 0.0, "layers.1.weight": 3.0, "layers.2.bias": 5.0}
RULES = [name for name in OPTIMIZERS if name != "rprop"]


def problem(backend, sizes=(5, 20, 9, 3), rows=96, **given):
    rng = np.random.default_rng(0)
    net = fastmlp.MLP(sizes, activation="tanh", seed=1, backend=backend, **given)
    return net, rng.normal(size=(rows, sizes[0])), rng.normal(size=(rows, sizes[-1]))


@pytest.mark.parametrize("name", RULES)
def test_a_tensor_moves_as_if_its_rate_were_that_of_all(name, backend):
    """In a first step, where the others have not moved yet."""
    kind, rates = OPTIMIZERS[name], {"weight": (0.0, 0.03, 0.01), "bias": (0.0, 0.001, 0.005)}
    net, X, y = problem(backend)
    net.step(X, y, optimizer=kind(0.01), lr_factors=FACTORS)
    for layer in range(3):
        for which, own in rates.items():
            other, *_ = problem(backend)
            before = (other.weights if which == "weight" else other.biases)[layer]
            if own[layer]:
                other.step(X, y, optimizer=kind(own[layer]))
            expected = (other.weights if which == "weight" else other.biases)[layer]
            found = (net.weights if which == "weight" else net.biases)[layer]
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
            assert (found == before).all() == (own[layer] == 0.0)


@pytest.mark.parametrize("name", RULES)
def test_one_factor_for_all_is_another_rate(name, backend):
    nets = []
    for rate, factors in ((0.02, None), (0.01, {"bias": 2.0, "weight": 2}), (0.02, {"layers.0": 1.0})):
        net, X, y = problem(backend)
        net.fit(X, y, epochs=2, batch_size=20, optimizer=OPTIMIZERS[name](rate), lr_factors=factors)
        nets.append(parameters(net))
    assert len(set(nets)) == 1


CUTS = {
    "tiles": ({}, {"batch_size": 20}),
    "microbatches": ({"sizes": (5, 8, 4, 2), "rows": 3000}, {"batch_size": 1024}),
    "stored": ({}, {"batch_size": 20, "clip_norm": 0.5}),
    "narrow": ({"sizes": (40, 30, 2, 1)}, {"batch_size": 4}),
    "wide": ({"sizes": (30, 70, 50, 20)}, {"batch_size": 40}),
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", ["sgd", "adamw", "lion"])
def test_bits_do_not_depend_on_threads_and_both_backends_agree(cut, name):
    made, given = CUTS[cut]
    found = []
    rate = fastmlp.schedules.Cosine(0.01, steps=20, warmup=2)
    decay = {} if name == "sgd" else {"weight_decay": 0.1}
    for backend, threads in (("cython", 1), ("cython", 2), ("cython", 3), ("cython", None), ("numpy", None)):
        if backend == "cython":
            pytest.importorskip("fastmlp.passes")
        net, X, y = problem(backend, **made)
        optimizer = OPTIMIZERS[name](rate, **decay)
        net.fit(X, y, epochs=3, optimizer=optimizer, lr_factors=FACTORS, threads=threads, **given)
        found.append(parameters(net))
    assert len(set(found[:4])) == 1
    compiled, reference = (np.frombuffer(one, np.float32) for one in found[3:])
    if name != "lion":  # whose signs turn with the last bit
        np.testing.assert_allclose(compiled, reference, rtol=1e-4, atol=2e-5)


def test_each_training_has_its_own(backend, tmp_path):
    net, X, y = problem(backend)
    net.fit(X, y, optimizer="adam", lr_factors=FACTORS)
    first = net.weights[0]
    net.save(tmp_path / "m")
    again = fastmlp.load(tmp_path / "m", backend=backend)
    for each in (net, again):
        each.fit(X, y, epochs=1, lr_factors={"layers.0.weight": 0})
        np.testing.assert_array_equal(each.weights[0], first)
        each.fit(X, y, epochs=1)
        assert (each.weights[0] != first).all()
    assert parameters(net) == parameters(again)


def test_state_goes_on_where_a_factor_is_0(backend):
    frozen, X, y = problem(backend)
    frozen.step(X, y, optimizer=fastmlp.Adam(0.01), lr_factors={"weight": 0, "bias": 0})
    frozen.step(X, y)
    byhand, *_ = problem(backend)
    start = byhand.weights, byhand.biases
    byhand.step(X, y, optimizer=fastmlp.Adam(0.01))
    byhand.weights, byhand.biases = start
    byhand.step(X, y)
    assert parameters(frozen) == parameters(byhand)


@pytest.mark.parametrize(
    ("factors", "optimizer", "error", "message"),
    [
        ([0.1], "sgd", TypeError, "lr_factors must be a mapping, got"),
        ({"biases": 0.1}, "sgd", ValueError, "lr_factors' key must be one of 'weight', 'bias', .*did you mean 'bias'"),
        ({"layers.3": 0.1}, "sgd", ValueError, "lr_factors' key must be one of"),
        ({0: 0.1}, "sgd", TypeError, "lr_factors' key must be a str, got 0"),
        ({"bias": -1.0}, "sgd", ValueError, r"lr_factors\['bias'\] must be >= 0, got -1.0"),
        ({"bias": "x"}, "sgd", TypeError, r"lr_factors\['bias'\] must be a real number"),
        ({"bias": 0.1}, "rprop", ValueError, "of every step, and Rprop has none"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "step"])
def test_errors_change_nothing(backend, factors, optimizer, error, message, method):
    net, X, y = problem(backend)
    before = parameters(net)
    with pytest.raises(error, match=message):
        getattr(net, method)(X, y, optimizer=optimizer, lr_factors=factors)
    assert (parameters(net), net.optimizer) == (before, None)
    with pytest.raises(ValueError, match="of every step, and LBFGS has none"):
        net.fit(X, y, optimizer="lbfgs", lr_factors={"bias": 0.1})
