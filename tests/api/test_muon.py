"""Muon: PyTorch's trajectories, what is orthogonal, which tensors it takes, bits, resumes, and what is refused."""

import dataclasses

import numpy as np
import pytest
from conftest import parameters
from stored import script

import fastmlp

SIZES = [5, 40, 33, 9, 3]


STORED = script("make_torch_muon")


def stored(name):
    with np.load(STORED.PATH) as arrays:
        return {key.partition("/")[2]: arrays[key] for key in arrays.files if key.startswith(f"{name}/")}


def problem(backend, rows=96, **given):
    rng = np.random.default_rng(0)
    net = fastmlp.MLP(given.pop("sizes", SIZES), activation="tanh", seed=1, backend=backend, **given)
    return net, rng.normal(size=(rows, net.sizes[0])), rng.normal(size=(rows, net.sizes[-1]))


@pytest.mark.parametrize("name", STORED.TRAININGS)
def test_twenty_steps_are_pytorchs(name, backend):
    layers, X, y = STORED.problem()
    net = fastmlp.MLP(STORED.SIZES, activation="tanh", dtype="float64", backend=backend)
    net.weights, net.biases = zip(*layers, strict=True)
    optimizer = fastmlp.Muon(epsilon=STORED.EPSILON, **STORED.TRAININGS[name][1])
    losses = [net.step(X[rows], y[rows], optimizer=optimizer) for rows in map(STORED.rows_of, range(STORED.STEPS))]
    last = np.concatenate([np.ravel(each) for pair in zip(net.weights, net.biases, strict=True) for each in pair])
    np.testing.assert_allclose(losses, stored(name)["losses"], rtol=1e-10)
    np.testing.assert_allclose(last, stored(name)["last"], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", STORED.TRAININGS)
def test_what_is_stored_is_what_pytorch_says(name):
    torch = pytest.importorskip("torch")
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this PyTorch has no Muon")
    for key, array in STORED.torch_trajectory(name).items():
        np.testing.assert_allclose(array, stored(name)[key], rtol=1e-10, atol=1e-12)


def test_a_step_of_weights_is_nearly_orthogonal_and_that_of_the_others_is_adamws(backend):
    net, X, y = problem(backend, dtype="float64")
    other, *_ = problem(backend, dtype="float64")
    before, net_only = net.weights, fastmlp.Muon(0.01, hidden_only=True, weight_decay=0.5)
    net.step(X, y, optimizer=fastmlp.Muon(0.01))
    for layer, (W, old) in enumerate(zip(net.weights, before, strict=True)):
        values = np.linalg.svd(W - old, compute_uv=False) / (0.01 * max(1.0, W.shape[1] / W.shape[0]) ** 0.5)
        assert ((values > 0.3) & (values < 1.3)).sum() >= min(3, *W.shape), f"layer {layer}"
        assert (values < 1.3).all()
    other.step(X, y, optimizer=fastmlp.AdamW(0.01 * 0.05, weight_decay=0.5))
    np.testing.assert_allclose(np.concatenate(net.biases), np.concatenate(other.biases), rtol=1e-12, atol=1e-15)
    net, *_ = problem(backend, dtype="float64")
    net.step(X, y, optimizer=net_only)
    for layer, (W, adam) in enumerate(zip(net.weights, other.weights, strict=True)):
        assert np.allclose(W, adam, rtol=1e-12, atol=1e-15) == (layer in (0, 3)), f"layer {layer}"


#: Whose directions lie as the weights that are updated do or across, and need several panels, and whose gradients are
#: stored for others.
WAYS = {
    "plain": ({}, {}),
    "many panels": ({"sizes": [70, 100, 20, 65, 1]}, {"batch_size": 16}),
    "clipped": ({"l2": 0.01, "max_norm": 1.0}, {"clip_norm": 0.05, "ema": 0.9}),
    "clipped by value": ({}, {"clip_value": 0.01}),
    "factors": ({}, {"lr_factors": {"layers.1": 0.0, "layers.2.weight": 2.0, "bias": 0.5}}),
    "microbatches": ({"rows": 1024}, {"batch_size": 512}),
}


@pytest.mark.parametrize("way", WAYS)
def test_bits_do_not_depend_on_threads_and_both_backends_agree(way):
    pytest.importorskip("fastmlp.passes")
    made, given = WAYS[way]
    schedule, found = fastmlp.schedules.Cosine(0.02, steps=9, warmup=2), []
    for backend, threads in (("cython", 1), ("cython", 2), ("cython", 3), ("numpy", None)):
        net, X, y = problem(backend, dtype="float64", **made)
        optimizer = fastmlp.Muon(schedule, momentum=lambda step: 0.9 + 0.001 * step, bias_correction=True)
        net.fit(X, y, **{"epochs": 2, "batch_size": 20, "optimizer": optimizer, "threads": threads} | given)
        found.append(np.concatenate([np.ravel(each) for each in (*net.weights, *net.biases)]))
    assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()
    np.testing.assert_allclose(found[0], found[3], rtol=1e-8, atol=1e-10)


def test_a_gradient_of_ones_own_is_applied_as_a_step_applies_it(backend):
    stepped, X, y = problem(backend, dtype="float64")
    applied, *_ = problem(backend, dtype="float64")
    for _ in range(3):
        stepped.step(X, y, optimizer="muon", clip_norm=0.1)
        _, dW, db = applied.loss_and_grad(X, y)
        applied.apply_gradients(dW, db, optimizer="muon", clip_norm=0.1)
    assert parameters(stepped) == parameters(applied)


def test_a_training_goes_on_to_the_same_bits(backend, tmp_path):
    through, X, y = problem(backend)
    halves, *_ = problem(backend)
    through.fit(X, y, epochs=4, batch_size=20, optimizer="muon")
    halves.fit(X, y, epochs=2, batch_size=20, optimizer="muon")
    halves.save(tmp_path / "net.safetensors")
    loaded = fastmlp.load(tmp_path / "net.safetensors", backend=backend)
    assert loaded.optimizer == fastmlp.Muon()
    loaded.fit(X, y, epochs=2, batch_size=20)
    assert parameters(loaded) == parameters(through)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"ns_steps": 0}, ValueError, "ns_steps must be from 1 to 100, got 0"),
        ({"ns_coefficients": (1.0, 2.0)}, TypeError, "ns_coefficients must be three numbers"),
        ({"ns_coefficients": (1.0, "b", 2.0)}, TypeError, r"ns_coefficients\[1\] must be a real number"),
        ({"momentum": 1.0}, ValueError, "momentum must be >= 0 and < 1"),
        ({"hidden_only": 1}, TypeError, "hidden_only must be True or False"),
        ({"adam_lr_ratio": 0.0}, ValueError, "adam_lr_ratio must be > 0"),
        ({"consistent_rms": -1.0}, ValueError, "consistent_rms must be >= 0"),
    ],
)
def test_what_is_refused(given, error, words):
    with pytest.raises(error, match=words):
        fastmlp.Muon(**given)


def test_hyperparameters_come_back_from_their_description():
    muon = dataclasses.replace(fastmlp.Muon(), ns_coefficients=[2, -1.5, 0.5], hidden_only=True)
    assert muon.ns_coefficients == (2.0, -1.5, 0.5)
    assert fastmlp.spec.Optimizer.from_dict({**muon.to_dict(), "ns_coefficients": [2.0, -1.5, 0.5]}) == muon
