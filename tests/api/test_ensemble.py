"""Ensembles: the mean and the deviation of networks, and one file for all of them."""

import json

import numpy as np
import pytest

import fastmlp
from fastmlp.files import load_file, save_file


@pytest.fixture
def ensemble():
    nets = [
        fastmlp.MLP([3, 5, 2], output="softmax", seed=0, loss=fastmlp.CrossEntropy(label_smoothing=0.1)),
        fastmlp.MLP([3, 2], output="softmax", seed=1, dtype="float64"),
        fastmlp.MLP([3, 4, 4, 2], output="softmax", seed=2, dropout=0.1),
    ]
    X = np.random.default_rng(0).normal(size=(30, 3))
    fastmlp.fit_many(nets, X, (X[:, 0] > 0).astype(int), epochs=2, optimizer=["adam", "sgd", "lion"], ema=0.9)
    return fastmlp.Ensemble(nets)


def test_mean_and_deviation(ensemble):
    X = np.random.default_rng(1).normal(size=(7, 3))
    outputs = np.array([net.predict(X) for net in ensemble], dtype=np.float64)
    mean, deviation = ensemble.predict(X, return_std=True)
    np.testing.assert_allclose(mean, outputs.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(deviation, outputs.std(axis=0), rtol=1e-10)
    np.testing.assert_array_equal(ensemble.predict(X), mean)
    assert mean.dtype == deviation.dtype == np.float64
    same = fastmlp.Ensemble([ensemble[0]] * 3)
    mean, deviation = same.predict(X, return_std=True)
    np.testing.assert_array_equal(mean, ensemble[0].predict(X))
    assert mean.dtype == np.float32
    assert not deviation.any()
    assert ensemble.predict(np.zeros((0, 3))).shape == (0, 2)


@pytest.mark.parametrize("backend", ["cython", "numpy"])
def test_a_file_has_all_of_it(ensemble, tmp_path, backend):
    path = tmp_path / "e.safetensors"
    ensemble.save(path)
    same = fastmlp.Ensemble.load(path, backend)
    assert len(same) == 3
    X = np.random.default_rng(1).normal(size=(30, 3))
    for ours, theirs in zip(ensemble, same, strict=True):
        assert theirs.backend == backend
        for net in (ours, theirs):
            net.fit(X, (X[:, 1] > 0).astype(int), epochs=1, ema=0.9)
        np.testing.assert_allclose(ours.weights[0], theirs.weights[0], rtol=1e-4)
        if backend == ours.backend:
            assert ours.weights[0].tobytes() == theirs.weights[0].tobytes()
            assert ours.averaged().weights[-1].tobytes() == theirs.averaged().weights[-1].tobytes()
        assert repr(ours) == repr(theirs)


def test_single_networks_and_ensembles_are_told_apart(ensemble, tmp_path):
    one, several = tmp_path / "one", tmp_path / "several"
    ensemble[0].save(one)
    ensemble.save(several)
    with pytest.raises(ValueError, match=r"one: not an ensemble.*fastmlp\.load"):
        fastmlp.Ensemble.load(one)
    with pytest.raises(ValueError, match=r"several: .*Ensemble\.load"):
        fastmlp.load(several)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda tensors, metadata: metadata.update({"fastmlp.networks": "4"}), "network 3: not a fastmlp model"),
        (lambda tensors, metadata: metadata.update({"fastmlp.networks": "2"}), "none of the 2 networks"),
        (lambda tensors, metadata: metadata.update({"fastmlp.networks": "0"}), "must be a number of networks"),
        (lambda tensors, metadata: metadata.update({"fastmlp.networks": "9" * 6}), "must be a number of networks"),
        (lambda tensors, metadata: tensors.pop("networks.1.layers.0.bias"), "network 1: "),
        (lambda tensors, metadata: metadata.pop("networks.1.fastmlp"), "network 1: not a fastmlp model"),
        (lambda tensors, metadata: metadata.update({"networks.0.fastmlp": json.dumps({})}), "network 0: model format"),
        (
            lambda tensors, metadata: (
                [tensors.pop(name) for name in list(tensors) if name.startswith("networks.1.")],
                metadata.update({"networks.1.fastmlp": metadata["networks.0.fastmlp"].replace("[3, 5", "[4, 5")}),
                tensors.update(
                    {
                        name.replace("networks.0.", "networks.1."): np.zeros((4, 5), np.float32)
                        if value.shape == (3, 5)
                        else value
                        for name, value in list(tensors.items())
                        if name.startswith("networks.0.")
                    }
                ),
            ),
            r"networks\[1\] has 4 inputs",
        ),
    ],
)
def test_a_damaged_file_is_refused(ensemble, tmp_path, damage, message):
    path = tmp_path / "e"
    ensemble.save(path)
    tensors, metadata = load_file(path)
    damage(tensors, metadata)
    save_file(path, tensors, metadata)
    with pytest.raises(ValueError, match=f"e: .*{message}"):
        fastmlp.Ensemble.load(path)


def test_networks_that_do_not_go_together(ensemble):
    with pytest.raises(ValueError, match="one or more"):
        fastmlp.Ensemble([])
    with pytest.raises(TypeError, match=r"networks\[1\] must be an MLP"):
        fastmlp.Ensemble([ensemble[0], 3])
    with pytest.raises(TypeError, match="must be a list"):
        fastmlp.Ensemble(ensemble[0])
    for other in (fastmlp.MLP([2, 2], output="softmax"), fastmlp.MLP([3, 3], output="softmax"), fastmlp.MLP([3, 2])):
        with pytest.raises(ValueError, match=r"networks\[1\] has .* and networks\[0\] 3 inputs and 2 softmax outputs"):
            fastmlp.Ensemble([ensemble[0], other])
    assert repr(ensemble) == "<Ensemble of 3 networks: 3 inputs and 2 softmax outputs>"
