"""Looking into a network: outputs of a layer, derivatives by the inputs, the summary."""

import dataclasses

import numpy as np
import pytest
from conftest import parameters
from random_networks import HEADS, fill, targets

import fastmlp
from fastmlp.runtime import load_passes
from fastmlp.spec import ACTIVATION_NAMES, as_activation

STEP = 1e-6
#: Signals keep so far away from kinks.
CLEARANCE = 1e-4


# ---- derivatives by the inputs --------------------------------------------------------------------------------------


def problem(activation, loss, output, backend, widths=(5, 7, 6, 4), n=3):
    """Draw a network and rows whose signals stay clear of kinks."""
    net = fastmlp.MLP(widths, activation=activation, output=output, loss=loss, dtype="float64", seed=0, backend=backend)
    kinks = [np.array(layer.activation.kinks) for layer in net.layers]
    for seed in range(200):
        fill(net._learner.engine, net._learner.spec, seed, 0.7)
        X = np.random.default_rng(seed).normal(size=(n, widths[0]))
        signals = net.trace(X).signals
        if all(k.size == 0 or np.abs(z[..., None] - k).min() > CLEARANCE for z, k in zip(signals, kinks, strict=True)):
            return net, X
    raise AssertionError("every draw came near a kink")


def slopes(function, X):
    """Central differences of what a function makes of each row, by the row's inputs, as the last axis."""
    columns = []
    for i in range(X.shape[1]):
        step = np.zeros_like(X)
        step[:, i] = STEP
        columns.append((function(X + step) - function(X - step)) / (2 * STEP))
    return np.stack(columns, axis=-1)


def far(found, wanted):
    return np.linalg.norm(found - wanted) / max(np.linalg.norm(wanted), 1e-3)


def row_losses(net, X, y):
    return np.array([net.evaluate(x[None], t[None], metrics=[])["loss"] for x, t in zip(X, y, strict=True)])


@pytest.mark.parametrize("activation", ACTIVATION_NAMES)
def test_jacobians_through_every_activation(backend, activation):
    net, X = problem([activation, "tanh"], "squared_error", "identity", backend)
    assert far(net.input_gradient(X), slopes(net.predict, X)) <= 1e-6
    if as_activation(activation).name not in ("exp", "sign"):
        net, X = problem("tanh", "squared_error", activation, backend)
        assert far(net.input_gradient(X), slopes(net.predict, X)) <= 1e-6


@pytest.mark.parametrize(("loss", "output"), HEADS)
def test_derivatives_of_every_loss_and_output(backend, loss, output):
    net, X = problem("tanh", loss, output, backend)
    spec = net._learner.spec
    found = net.input_gradient(X)
    assert found.shape == (3, 4, 5)
    assert far(found, slopes(lambda X: net.trace(X).outputs[-1], X)) <= 1e-6
    for y in [targets(spec, 3), *([targets(spec, 3, labels=True)] if spec.loss.labels else [])]:
        found = net.input_gradient(X, y)
        assert found.shape == X.shape
        assert far(found, slopes(lambda X, y=y: row_losses(net, X, y), X)) <= 1e-6


@pytest.mark.parametrize("widths", [(3, 1), (5, 3, 1), (40, 33, 17, 1), (37, 45, 33)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_derivatives_are_products_of_the_weights(backend, widths, dtype):
    net = fastmlp.MLP(widths, activation="tanh", dtype=dtype, seed=4, backend=backend)
    X = np.random.default_rng(0).normal(size=(50, widths[0]))
    wanted = np.broadcast_to(np.eye(widths[-1]), (50, widths[-1], widths[-1]))
    for W, outputs in zip(net.weights[:0:-1], net.trace(X).outputs[-2::-1], strict=True):
        wanted = (wanted @ W.T) * (1 - outputs.astype("float64")[:, np.newaxis] ** 2)
    wanted = wanted @ net.weights[0].T
    found = net.input_gradient(X)
    assert (found.dtype, found.shape) == (np.dtype(dtype), (50, widths[-1], widths[0]))
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-10, "atol": 1e-12}
    np.testing.assert_allclose(found, wanted, **close)
    y = net.predict(X) - 0.5
    np.testing.assert_allclose(net.input_gradient(X, y), 0.5 * wanted.sum(axis=1), **close)


def test_the_same_bits_on_every_instruction_set_and_number_of_threads():
    module, _ = load_passes()
    if module is None:
        pytest.skip("the compiled extension cannot be used")
    X = np.random.default_rng(0).normal(size=(70, 37)).astype("float32")
    found = set()
    for isa in [each["name"] for each in module.isas() if each["available"]]:
        net = fastmlp.MLP((37, 45, 33), activation="gelu", output="softmax", seed=1, backend="cython")
        engine = module.Engine(net._learner.spec, isa)
        engine.write(net._learner.engine.read())
        net._learner.engine = engine
        net._backend = dataclasses.replace(net._backend, engine=lambda spec, isa=isa: module.Engine(spec, isa))
        assert net.isa == isa
        for threads in (1, 2, 3):
            pieces = net.input_gradient(X, threads=threads), net.input_gradient(X, np.arange(70) % 33, threads=threads)
            found.add(b"".join(piece.tobytes() for piece in (*pieces, net.transform(X, threads=threads))))
    assert len(found) == 1


def test_rows_come_in_chunks(backend, monkeypatch):
    net = fastmlp.MLP([3, 6, 2], activation="tanh", dtype="float64", seed=0, backend=backend)
    X = np.random.default_rng(1).normal(size=(25, 3))
    y = np.random.default_rng(2).normal(size=(25, 2))

    def everything():
        return [net.input_gradient(X), net.input_gradient(X, y), net.transform(X), net.transform(X[:0])]

    whole = everything()
    monkeypatch.setattr("fastmlp.data.rows.CHUNK", 150)
    for part, of_whole in zip(everything(), whole, strict=True):
        np.testing.assert_allclose(part, of_whole, rtol=1e-12)


def test_looking_changes_nothing(backend, toy):
    X, y = toy
    net, other = (fastmlp.MLP([2, 5, 3], output="softmax", seed=0, backend=backend) for _ in range(2))
    for each in (net, other):
        each.fit(X, y, epochs=1)
    before = parameters(net)
    net.input_gradient(X)
    net.input_gradient(X, y)
    net.transform(X)
    assert parameters(net) == before
    for each in (net, other):
        each.fit(X, y, epochs=1, callbacks=[lambda net, logs: net.input_gradient(X[:2]) is None])
    assert parameters(net) == parameters(other)


@pytest.mark.parametrize("call", ["input_gradient", "transform"])
def test_wrong_rows_are_refused(backend, call):
    net = fastmlp.MLP([2, 5, 3], output="softmax", seed=0, backend=backend)
    with pytest.raises(ValueError, match=r"X has shape \(1, 3\)"):
        getattr(net, call)([[1, 2, 3]])
    with pytest.raises(ValueError, match="X has nan at row 0, column 1"):
        getattr(net, call)([[1, np.nan]])
    with pytest.raises(ValueError, match="X has 1e[+]39 at row 0, column 0, which is infinite in"):
        fastmlp.MLP([1, 2, 2], activation="identity", init="zeros", backend=backend).transform([[1e39]])
    with pytest.raises(TypeError, match=f"MLP.{call}.. got an unexpected keyword argument 'batch_size'"):
        getattr(net, call)([[1, 2]], batch_size=3)
    with pytest.raises(ValueError, match="y"):
        net.input_gradient([[1, 2]], [7])


# ---- outputs of a layer ---------------------------------------------------------------------------------------------


def test_transform_gives_the_outputs_of_a_layer(backend):
    net = fastmlp.MLP([3, 7, 5, 2], activation=["tanh", "relu"], output="softmax", seed=0, backend=backend)
    X = np.random.default_rng(0).normal(size=(20, 3))
    outputs = net.trace(X).outputs
    for layer in range(-3, 3):
        found = net.transform(X, layer)
        assert found.dtype == net.dtype
        np.testing.assert_array_equal(found, net.predict(X) if layer in (-1, 2) else outputs[layer])
    np.testing.assert_array_equal(net.transform(X), outputs[1])
    assert net.transform(X[:0]).shape == (0, 5)


@pytest.mark.parametrize("layer", [-4, 3, 1.0, "last", None, True], ids=str)
def test_a_layer_that_is_not_there(backend, layer):
    net = fastmlp.MLP([3, 7, 5, 2], seed=0, backend=backend)
    with pytest.raises((TypeError, ValueError), match=r"layer must be (from -3 to 2|an integer), got"):
        net.transform([[1, 2, 3]], layer)


def test_a_network_without_hidden_layers_has_no_last_one():
    net = fastmlp.MLP([3, 2], seed=0)
    with pytest.raises(ValueError, match="layer must be from -1 to 0, got -2"):
        net.transform([[1, 2, 3]])
    assert net.transform([[1, 2, 3]], -1).shape == (1, 2)


# ---- summary --------------------------------------------------------------------------------------------------------


def test_the_summary_is_printed_and_is_the_network_as_text(backend, capsys, toy):
    net = fastmlp.MLP([2, 300, 3], activation=fastmlp.LeakyReLU(0.2), output="softmax", seed=0, backend=backend)
    assert net.summary() is None
    assert capsys.readouterr().out == f"{net}\n"
    header, columns, *layers, total, last = str(net).splitlines()
    assert header.startswith("MLP 2-300-3, float32, not trained, ")
    assert columns.split() == ["layer", "shape", "activation", "parameters"]
    assert [line.split() for line in layers] == [
        ["1", "2", "->", "300", "LeakyReLU(0.2)", "900"], ["2", "300", "->", "3", "softmax", "903"],
    ]  # fmt: skip
    assert total.split() == ["total", "1,803"]
    assert last == "  loss cross_entropy, optimizer not chosen"
    assert len({len(line) for line in (columns, *layers, total)}) == 1
    net.fit(*toy, epochs=1, optimizer=fastmlp.SGD(0.5))
    assert ", 1 epoch trained, " in str(net)
    assert str(net).endswith(f"loss cross_entropy, optimizer {net.optimizer!r}")
