"""Dropout as users ask for it: the argument, the training that goes on, files and pickles, what does without."""

import copy
import json
import pickle

import numpy as np
import pytest
from conftest import parameters

import fastmlp
from fastmlp.files import tensors
from fastmlp.spec import NetworkSpec

SIZES = [7, 20, 12, 3]


def network(backend, **arguments):
    arguments = {"dropout": [0.25, 0.5], "input_dropout": 0.1, "seed": 5} | arguments
    return fastmlp.MLP(SIZES, activation="tanh", output="softmax", backend=backend, **arguments)


def data(n=90):
    rng = np.random.default_rng(n)
    return rng.normal(size=(n, SIZES[0])).astype(np.float32), rng.integers(0, SIZES[-1], n)


# ---- the arguments --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "rates"),
    [
        ({}, ((0.0, 0.0), 0.0)),
        ({"dropout": 0.3}, ((0.3, 0.3), 0.0)),
        ({"dropout": (0, np.float32(0.5)), "input_dropout": 0.2}, ((0.0, 0.5), 0.2)),
        ({"dropout": np.array([0.1, 0.2])}, ((0.1, 0.2), 0.0)),
    ],
)
def test_one_rate_for_all_or_one_per_hidden_layer(backend, arguments, rates):
    net = fastmlp.MLP(SIZES, seed=0, backend=backend, **arguments)
    assert (net.dropout, net.input_dropout) == rates
    assert fastmlp.MLP([3, 1], dropout=0.5).dropout == ()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"dropout": 1.0}, ValueError, "dropout must be >= 0 and < 1, got 1.0"),
        ({"dropout": -0.1}, ValueError, "dropout must be >= 0 and < 1, got -0.1"),
        ({"dropout": float("nan")}, ValueError, "dropout must be finite, got nan"),
        ({"dropout": [0.1, 1.5]}, ValueError, r"dropout\[1\] must be >= 0 and < 1, got 1.5"),
        ({"dropout": [0.1]}, ValueError, r"dropout must be one for all or one per hidden layer \(2\), got 1 of them"),
        ({"dropout": []}, ValueError, r"dropout must be one for all or one per hidden layer \(2\), got 0 of them"),
        ({"dropout": "0.1"}, TypeError, "dropout must be a real number, got '0.1' of type str"),
        ({"dropout": None}, TypeError, "dropout must be a real number, got None"),
        ({"dropout": True}, TypeError, "dropout must be a real number, got True"),
        ({"input_dropout": 1}, ValueError, "input_dropout must be >= 0 and < 1, got 1.0"),
        ({"input_dropout": [0.1]}, TypeError, "input_dropout must be a real number, got"),
    ],
)
def test_wrong_rates(arguments, error, message):
    with pytest.raises(error, match=message):
        fastmlp.MLP(SIZES, **arguments)


def test_a_specification_wants_a_tuple_of_one_rate_per_hidden_layer():
    spec = NetworkSpec.make(SIZES)
    fields = (spec.sizes, spec.activations, spec.output, spec.loss, spec.dtype)
    assert NetworkSpec(*fields).dropout == NetworkSpec(*fields, (0.0, 0.0)).dropout == (0.0, 0.0)
    for wrong in ([0.1, 0.1], 0.1, None):
        with pytest.raises(TypeError, match="dropout must be a tuple"):
            NetworkSpec(*fields, wrong)
    with pytest.raises(ValueError, match=r"dropout must be .* \(2\), got 1"):
        NetworkSpec(*fields, (0.1,))


def test_repr_makes_the_same_network(backend):
    for rates, written in (
        ({"dropout": 0.25}, "dropout=0.25, dtype"),
        ({"dropout": [0.25, 0.5], "input_dropout": 0.1}, "dropout=[0.25, 0.5], input_dropout=0.1, dtype"),
        ({"input_dropout": 0.1}, "loss='cross_entropy', input_dropout=0.1, dtype"),
    ):
        net = fastmlp.MLP(SIZES, output="softmax", seed=5, backend=backend, **rates)
        assert written in repr(net)
        again = eval(repr(net), {"MLP": fastmlp.MLP})
        assert (again.dropout, again.input_dropout) == (net.dropout, net.input_dropout)
    assert "dropout" not in repr(fastmlp.MLP(SIZES))


# ---- training -------------------------------------------------------------------------------------------------------


def test_rates_of_0_change_no_bit(backend):
    X, y = data()
    nets = [network(backend, dropout=0.0, input_dropout=0.0), network(backend, dropout=[0, 0], input_dropout=0)]
    nets.append(fastmlp.MLP(SIZES, activation="tanh", output="softmax", seed=5, backend=backend))
    assert len({tuple(net.fit(X, y, epochs=2, batch_size=16).loss) for net in nets}) == 1
    assert len({parameters(net) for net in nets}) == 1


def test_every_step_drops_something_else(backend):
    """The loss of the same batch all but without learning: by SGD with a rate that changes no loss of float32."""
    net, (X, y) = network(backend), data()
    still = fastmlp.SGD(1e-30)
    losses = [net.step(X, y, optimizer=still) for _ in range(20)]
    assert len(set(losses)) == 20
    without = net.evaluate(X, y)["loss"]
    assert 0 < np.std(losses) < 0.2 * without
    assert net.evaluate(X, y)["loss"] == without
    net.reset_optimizer()  # from step 0 on again
    assert [net.step(X, y, optimizer=still) for _ in range(20)] == losses
    other = network(backend, seed=6)
    other.weights, other.biases = net.weights, net.biases
    assert other.step(X, y, optimizer=still) not in losses


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_mean_over_masks_is_what_prediction_takes(backend, rate):
    """Of 4000 masks of 40 linear units: 4.5 standard errors."""
    net = fastmlp.MLP([1, 40, 1], activation="identity", dropout=rate, seed=0, dtype="float64", backend=backend)
    outputs = np.ones(40) / 40
    net.weights, net.biases = [np.ones((1, 40)), outputs[:, None]], [np.zeros(40), np.zeros(1)]
    n, error = 4000, np.sqrt(rate / (1 - rate) / 40 / 4000)
    X, y = np.ones((n, 1)), np.zeros(n)
    # The loss is half the mean of the outputs' squares: their variance by the masks, and the square of their mean.
    loss = net.step(X, y, optimizer=fastmlp.SGD(1e-300))
    variance = rate / (1 - rate) / 40
    assert net.predict(X[:1])[0, 0] == pytest.approx(1)
    assert 2 * loss == pytest.approx(1 + variance, abs=4.5 * (2 * error + variance * np.sqrt(2 / n)))


@pytest.mark.parametrize("how", ["as it is", "copy", "pickle", "file"])
def test_a_training_in_pieces_equals_one_in_one(backend, how, tmp_path):
    X, y = data()
    whole, net = network(backend), network(backend)
    whole.fit(X, y, epochs=3, batch_size=16)
    whole.step(X, y)
    net.fit(X, y, epochs=1, batch_size=16)
    if how == "copy":
        net = copy.deepcopy(net)
    elif how == "pickle":
        net = pickle.loads(pickle.dumps(net))
    elif how == "file":
        net.save(tmp_path / "m")
        net = fastmlp.load(tmp_path / "m", backend)
    assert net.dropout == (0.25, 0.5)
    net.fit(X, y, epochs=2, batch_size=16)
    net.step(X, y)
    assert parameters(net) == parameters(whole)


def test_an_epoch_can_be_cut_at_every_step(backend, tmp_path):
    X, y = data()
    whole, net = network(backend), network(backend)
    whole.fit(X, y, epochs=1, batch_size=16, shuffle=False)
    for start in range(0, len(X), 16):
        net.step(X[start : start + 16], y[start : start + 16])
        net.save(tmp_path / "m")
        net = fastmlp.load(tmp_path / "m", backend)
    assert parameters(net) == parameters(whole)


def test_the_backends_drop_the_same():
    pytest.importorskip("fastmlp.passes")
    X, y = data()
    losses = [network(name, dtype="float64").fit(X, y, epochs=3, batch_size=16).loss for name in ("numpy", "cython")]
    np.testing.assert_allclose(*losses, rtol=1e-10)


def test_all_but_training_does_without(backend):
    net, plain = network(backend), network(backend, dropout=0.0, input_dropout=0.0)
    X, y = data()
    net.fit(X, y, epochs=1)
    plain.weights, plain.biases = net.weights, net.biases
    np.testing.assert_array_equal(net.predict(X), plain.predict(X))
    assert net.evaluate(X, y) == plain.evaluate(X, y)
    (loss, *slopes), (plain_loss, *plain_slopes) = net.loss_and_grad(X, y), plain.loss_and_grad(X, y)
    assert loss == plain_loss
    for ours, theirs in zip((*slopes[0], *slopes[1]), (*plain_slopes[0], *plain_slopes[1]), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(net.trace(X).outputs, plain.trace(X).outputs, strict=True):
        np.testing.assert_array_equal(ours, theirs)


# ---- files ----------------------------------------------------------------------------------------------------------


def described(path):
    with tensors.reading(path) as (_, _, metadata):
        return json.loads(metadata["fastmlp"])


def test_a_network_without_dropout_writes_what_it_wrote_before(tmp_path):
    network("numpy", dropout=0.0, input_dropout=0.0).save(tmp_path / "m")
    assert list(described(tmp_path / "m")["spec"]) == ["sizes", "activations", "output", "loss", "dtype"]
    network("numpy", dropout=0.0, input_dropout=0.5).save(tmp_path / "m")
    assert {"input_dropout"} == described(tmp_path / "m")["spec"].keys() & {"dropout", "input_dropout"}


@pytest.mark.parametrize(
    "fields",
    [
        {"dropout": 0.5},
        {"dropout": [0.5]},
        {"dropout": [0.5, 1.0]},
        {"dropout": [0.5, "0.5"]},
        {"dropout": {"0": 0.5, "1": 0.5}},
        {"dropout": None},
        {"input_dropout": -0.5},
        {"input_dropout": [0.5]},
        {"input_dropout": None},
    ],
    ids=str,
)
def test_a_file_with_wrong_rates_is_refused(tmp_path, fields):
    network("numpy").save(tmp_path / "m")
    data = tmp_path / "m"
    with tensors.reading(data) as (file, entries, metadata):
        description = json.loads(metadata["fastmlp"])
        found = {name: tensors.read_tensor(file, name, entry) for name, entry in entries.items()}
    description["spec"] |= fields
    tensors.save_file(data, found, {"fastmlp": json.dumps(description)})
    with pytest.raises(ValueError, match=next(iter(fields))):
        fastmlp.load(data)
