"""MLP: construction, outputs, state, copies, files, threads. Answers to wrong arguments are in test_bad_input.py."""

import copy
import pickle
import threading

import numpy as np
import pytest
from conftest import parameters

import fastmlp
from fastmlp import runtime
from fastmlp.data import rows
from fastmlp.spec import LOSS_NAMES, as_loss

LOSSES = {  # targets that each can take, and those that are special to one
    **dict.fromkeys(LOSS_NAMES, np.array([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]])),
    "squared_error": np.array([[0.5, 1.0], [-1.0, 0.0], [2.0, 1.5]]),
    "cross_entropy": np.array([0, 1, 1]),
    "binary_cross_entropy": np.array([[1, 0], [0, 1], [1, 1]]),
    "poisson": np.array([[0, 3], [1, 0.5], [2, 0]]),
    "gamma": np.array([[0.5, 3], [1, 0.5], [2, 1e-3]]),
    "gaussian_nll": np.array([[0.5], [-1.0], [2.0]]),
}
X3 = np.array([[1.0, -1.0, 0.5], [0.0, 2.0, -1.0], [-1.5, 0.3, 0.1]])


def test_public_names():
    assert sorted(fastmlp.__all__, key=str.casefold) == sorted(set(fastmlp.__all__), key=str.casefold)
    for name in fastmlp.__all__:
        assert hasattr(fastmlp, name)


def test_properties(backend):
    net = fastmlp.MLP([3, 4, 2], activation="tanh", output="softmax", dtype="float64", seed=7, backend=backend)
    assert net.n_parameters == 26
    assert net.sizes == (3, 4, 2)
    assert [layer.activation.name for layer in net.layers] == ["tanh", "softmax"]
    assert (net.loss, net.dtype, net.seed, net.backend) == ("cross_entropy", np.float64, 7, backend)
    assert (net.n_epochs, net.n_steps, net.optimizer) == (0, 0, None)
    assert net.isa
    assert len(net.history.loss) == 0


def test_repr_makes_the_same_network(backend):
    for arguments in (
        {"activation": "tanh", "output": "softmax"},
        {"activation": ["relu", fastmlp.ELU(0.5)], "dtype": "float64"},
        {"activation": fastmlp.LeakyReLU(0.2), "loss": fastmlp.BinaryCrossEntropy()},
    ):
        net = fastmlp.MLP([2, 5, 4, 3], seed=3, backend=backend, **arguments)
        again = eval(repr(net), {"MLP": fastmlp.MLP, "ELU": fastmlp.ELU, "LeakyReLU": fastmlp.LeakyReLU})
        assert repr(again) == repr(net)
        assert parameters(again) == parameters(net)
        assert "2-5-4-3" in str(net)
    assert "activation" not in repr(fastmlp.MLP([2, 1], backend=backend))


def test_seed(backend):
    first, second = (fastmlp.MLP([4, 8, 2], seed=5, backend=backend) for _ in range(2))
    assert parameters(first) == parameters(second)
    assert parameters(first) != parameters(fastmlp.MLP([4, 8, 2], seed=6, backend=backend))
    drawn = fastmlp.MLP([4, 8, 2], backend=backend)
    assert parameters(drawn) == parameters(fastmlp.MLP([4, 8, 2], seed=drawn.seed, backend=backend))
    assert drawn.seed != fastmlp.MLP([4, 8, 2], backend=backend).seed
    fastmlp.MLP([2, 1], seed=2**64 - 1, backend=backend)
    fastmlp.MLP([2, 1], seed=np.uint64(2**64 - 1), backend=backend)


def test_init(backend):
    assert not any(W.any() for W in fastmlp.MLP([3, 4, 2], init="zeros", backend=backend).weights)
    net = fastmlp.MLP([3, 4, 2], init=lambda n_in, n_out: np.full((n_in, n_out), n_in), backend=backend)
    assert [W[0, 0] for W in net.weights] == [3, 4]
    assert not any(b.any() for b in net.biases)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predict(backend, dtype):
    net = fastmlp.MLP([3, 5, 2], output="softmax", dtype=dtype, seed=0, backend=backend)
    outputs = net.predict(X3)
    assert outputs.shape == (3, 2)
    assert outputs.dtype == dtype
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-6)
    assert net.predict(np.empty((0, 3))).shape == (0, 2)
    np.testing.assert_array_equal(net.predict(X3[:1]), outputs[:1])


def test_predict_out(backend):
    net = fastmlp.MLP([2, 5, 2], seed=0, backend=backend)
    X = X3[:, :2].astype(np.float32)
    expected = net.predict(X)
    out = np.full((3, 2), np.nan, np.float32)
    assert net.predict(X, out=out) is out
    np.testing.assert_array_equal(out, expected)
    assert net.predict(X, out=X) is X  # the rows are replaced after all of them were read
    np.testing.assert_array_equal(X, expected)
    empty = np.empty((0, 2), np.float32)
    assert net.predict(np.empty((0, 2)), out=empty) is empty


@pytest.mark.parametrize("loss", LOSSES)
def test_loss_and_grad_agree_with_evaluate_and_differences(backend, loss):
    net = fastmlp.MLP([3, 4, 2], activation="tanh", loss=loss, dtype="float64", seed=1, backend=backend)
    y, w = LOSSES[loss], np.array([1.0, 0.5, 2.0])
    value, dW, db = net.loss_and_grad(X3, y, sample_weight=w)
    assert value == pytest.approx(net.evaluate(X3, y, sample_weight=w)["loss"], rel=1e-12)
    before, h = net.weights, 1e-6
    for layer, place in ((0, (1, 2)), (1, (3, 0))):
        values = []
        for sign in (1, -1):
            changed = [W.copy() for W in before]
            changed[layer][place] += sign * h
            net.weights = changed
            values.append(net.evaluate(X3, y, sample_weight=w)["loss"])
        assert dW[layer][place] == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-6, abs=1e-9)
    assert [g.shape for g in dW] == [(3, 4), (4, 2)]
    assert [g.shape for g in db] == [(4,), (2,)]


@pytest.mark.parametrize("loss", LOSSES)
def test_trace(backend, loss):
    net = fastmlp.MLP([3, 4, 2], activation="tanh", loss=loss, dtype="float64", seed=1, backend=backend)
    trace = net.trace(X3)
    assert trace.sensitivities is None
    np.testing.assert_allclose(trace.signals[0], X3 @ net.weights[0] + net.biases[0], rtol=1e-12)
    np.testing.assert_allclose(trace.outputs[0], np.tanh(trace.signals[0]), rtol=1e-12)
    np.testing.assert_array_equal(as_loss(loss).estimates(trace.outputs[-1]), net.predict(X3))
    deltas = net.trace(X3, LOSSES[loss]).sensitivities
    _, dW, db = net.loss_and_grad(X3, LOSSES[loss])
    inputs = [X3, trace.outputs[0]]
    for layer in range(2):
        np.testing.assert_allclose(inputs[layer].T @ deltas[layer] / 3, dW[layer], rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(deltas[layer].mean(axis=0), db[layer], rtol=1e-10, atol=1e-14)


def test_evaluate_accuracy(backend):
    net = fastmlp.MLP([2, 2], output="softmax", init=lambda *_: np.eye(2), backend=backend)
    X, y = [[1, 0], [0, 1], [1, 0], [0, 1]], [0, 1, 1, 1]
    assert net.evaluate(X, y)["accuracy"] == 0.75
    assert net.evaluate(X, np.eye(2)[y])["accuracy"] == 0.75
    assert net.evaluate(X, y, sample_weight=[1, 1, 6, 0])["accuracy"] == 0.25
    np.testing.assert_allclose(net.evaluate(X, y)["loss"], net.evaluate(X, np.eye(2)[y])["loss"], rtol=1e-6)

    net = fastmlp.MLP([2, 2], output="logistic", init=lambda *_: np.eye(2), backend=backend)
    assert net.evaluate([[1, -1], [-1, 1]], [[1, 0], [0, 0]])["accuracy"] == 0.75
    assert net.evaluate([[0, 1], [-1, 1]], [[1, 0.5], [0.5, 0.5]])["accuracy"] == 0.75  # the middle is a yes


def test_evaluate_r2_equals_sklearn(backend):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    X, y, w = rng.normal(size=(50, 3)), rng.normal(size=(50, 2)) + 1000, rng.uniform(size=50)
    net = fastmlp.MLP([3, 4, 2], dtype="float64", seed=0, backend=backend)
    assert net.evaluate(X, y)["r2"] == pytest.approx(metrics.r2_score(y, net.predict(X)))
    expected = metrics.r2_score(y, net.predict(X), sample_weight=w)
    assert net.evaluate(X, y, sample_weight=w)["r2"] == pytest.approx(expected)
    y[:, 1] = 5  # a constant target that is missed counts 0
    expected = metrics.r2_score(y, net.predict(X))
    assert net.evaluate(X, y)["r2"] == pytest.approx(expected)


def test_evaluate_d2_equals_sklearn(backend):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    X, y, w = rng.normal(size=(50, 3)), rng.poisson(1.5, size=50), rng.uniform(size=50)
    net = fastmlp.MLP([3, 4, 1], loss="poisson", dtype="float64", seed=0, backend=backend)
    for weight in (None, w):
        expected = metrics.d2_tweedie_score(y, net.predict(X)[:, 0], sample_weight=weight, power=1)
        assert net.evaluate(X, y, sample_weight=weight)["d2"] == pytest.approx(expected)


def test_evaluate_in_chunks(backend, monkeypatch, toy):
    for loss, y in (("cross_entropy", toy[1]), ("squared_error", toy[0])):
        net = fastmlp.MLP([2, 4, 3 if y.ndim == 1 else 2], loss=loss, seed=0, backend=backend)
        weight = np.linspace(0, 1, len(y))
        whole = net.evaluate(toy[0], y, sample_weight=weight)
        monkeypatch.setattr(rows, "CHUNK", 7)
        parts = net.evaluate(toy[0], y, sample_weight=weight)
        monkeypatch.undo()
        assert parts == pytest.approx(whole, rel=1e-12)


def test_weights_are_copies_that_refuse_changes(backend):
    net = fastmlp.MLP([3, 4, 2], seed=0, backend=backend)
    before = parameters(net)
    for arrays in (net.weights, net.biases):
        with pytest.raises(ValueError, match="read-only"):
            arrays[0][...] = 1
        with pytest.raises(TypeError):
            arrays[0] = np.zeros_like(arrays[0])
    assert parameters(net) == before

    given = [np.ones((3, 4)), np.full((4, 2), 2, order="F")]
    net.weights = given
    given[0][:] = 5
    np.testing.assert_array_equal(net.weights[0], np.ones((3, 4), np.float32))
    assert net.weights[1].dtype == np.float32
    net.biases = [[1, 2, 3, 4], np.zeros(2, np.int8)]
    assert net.biases[0].tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(net.weights[1], 2)


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_go_on_alike_and_apart(backend, toy, clone):
    net = fastmlp.MLP([2, 6, 3], output="softmax", seed=0, backend=backend)
    assert parameters(clone(net)) == parameters(net)  # before any optimizer
    net.fit(*toy, epochs=2, optimizer=fastmlp.SGD(0.1, momentum=0.9))
    other = clone(net)
    assert other.history == net.history
    assert other.history is not net.history
    assert (other.backend, other.n_epochs, other.n_steps) == (backend, 2, 10)
    before = parameters(net)
    other.fit(*toy, epochs=1)
    assert parameters(net) == before
    net.fit(*toy, epochs=1)
    assert parameters(net) == parameters(other)
    assert len(other.history.loss) == 3


@pytest.mark.parametrize("optimizer", ["sgd", fastmlp.Adam(0.01), fastmlp.SGD(0.1, momentum=0.9, nesterov=True)])
def test_save_load_resume(backend, toy, tmp_path, optimizer):
    path = tmp_path / "net.safetensors"
    straight, stopped = (fastmlp.MLP([2, 6, 3], output="softmax", seed=3, backend=backend) for _ in range(2))
    straight.fit(*toy, epochs=6, optimizer=optimizer)
    stopped.fit(*toy, epochs=2, optimizer=optimizer)
    stopped.step(toy[0][:9], toy[1][:9])
    stopped.save(path)
    loaded = fastmlp.load(path, backend=backend)
    assert repr(loaded) == repr(stopped)
    assert (loaded.n_epochs, loaded.n_steps, loaded.optimizer) == (2, 11, stopped.optimizer)
    loaded.fit(*toy, epochs=4)
    stopped.fit(*toy, epochs=4, optimizer=optimizer)
    assert parameters(loaded) == parameters(stopped)
    assert parameters(loaded) != parameters(straight)  # the extra step counts
    assert loaded.seed == 3


def test_load_of_a_network_without_training(backend, tmp_path):
    net = fastmlp.MLP([2, 3], seed=0, backend=backend)
    net.save(tmp_path / "a")
    loaded = fastmlp.load(str(tmp_path / "a"), backend=backend)
    assert loaded.optimizer is None
    assert parameters(loaded) == parameters(net)


def test_load_refuses_state_that_does_not_fit_the_optimizer(backend, tmp_path):
    from dataclasses import replace

    from fastmlp.files import load_model, save_model

    fastmlp.MLP([2, 3], seed=0, backend=backend).save(tmp_path / "good")
    save_model(tmp_path / "bad", replace(load_model(tmp_path / "good"), optimizer=fastmlp.Adam(), step=3))
    with pytest.raises(ValueError, match=r"bad: optimizer adam has 2 states, not 0"):
        fastmlp.load(tmp_path / "bad", backend=backend)


@pytest.mark.skipif(runtime.load_passes()[0] is None, reason="the extension is missing")
@pytest.mark.parametrize(
    "optimizer",
    [
        fastmlp.SGD(0.05, weight_decay=0.01),
        fastmlp.SGD(0.05, momentum=0.9),
        fastmlp.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
        fastmlp.Adam(0.01),
        fastmlp.Adam(0.01, beta1=0.8, weight_decay=0.01),
    ],
    ids=str,
)
def test_backends_agree(toy, optimizer):
    """Python's rows of scalars, the reference and the kernels mean the same."""
    nets = [fastmlp.MLP([2, 8, 3], output="softmax", seed=1, dtype="float64", backend=b) for b in runtime.BACKENDS]
    for net in nets:
        net.fit(*toy, epochs=3, optimizer=optimizer, sample_weight=np.linspace(0, 1, 150))
    np.testing.assert_allclose(nets[0].predict(toy[0]), nets[1].predict(toy[0]), rtol=1e-9)
    assert nets[0].history.loss == pytest.approx(nets[1].history.loss, rel=1e-9)


@pytest.mark.parametrize("name", runtime.BACKENDS)
def test_a_network_moves_between_backends(name, toy, tmp_path):
    if name == "cython" and runtime.load_passes()[0] is None:
        pytest.skip("the extension is missing")
    net = fastmlp.MLP([2, 8, 3], output="softmax", seed=1, backend="numpy")
    net.fit(*toy, epochs=2)
    net.save(tmp_path / "net")
    moved = fastmlp.load(tmp_path / "net", backend=name)
    assert moved.backend == name
    assert parameters(moved) == parameters(net)
    moved.fit(*toy, epochs=1)


def test_python_threads_wait_for_each_other(backend, toy):
    """Four threads step one network: no update is lost, and none is torn."""
    net = fastmlp.MLP([2, 8, 3], output="softmax", seed=0, backend=backend)
    barrier, failures = threading.Barrier(4), []

    def work():
        try:
            barrier.wait()
            for _ in range(25):
                net.step(*toy, optimizer=fastmlp.SGD(0.1))
                net.predict(toy[0])
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert not failures
    alone = fastmlp.MLP([2, 8, 3], output="softmax", seed=0, backend=backend)
    for _ in range(100):
        alone.step(*toy, optimizer=fastmlp.SGD(0.1))
    assert net.n_steps == 100
    assert parameters(net) == parameters(alone)


def test_python_threads_train_their_own_networks(backend, toy):
    def train(seed):
        net = fastmlp.MLP([2, 8, 3], output="softmax", seed=seed, backend=backend)
        net.fit(*toy, epochs=5)
        return parameters(net)

    results = [b""] * 8

    def work(seed):
        results[seed] = train(seed)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert results == [train(seed) for seed in range(8)]


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_threads_do_not_change_the_result(backend, toy, threads):
    one, many = (fastmlp.MLP([2, 40, 3], output="softmax", seed=0, backend=backend) for _ in range(2))
    one.fit(*toy, epochs=3, threads=1)
    many.fit(*toy, epochs=3, threads=threads)
    assert parameters(one) == parameters(many)
    np.testing.assert_array_equal(one.predict(toy[0], threads=1), many.predict(toy[0], threads=threads))
    assert one.evaluate(*toy, threads=1) == many.evaluate(*toy, threads=threads)
    assert one.loss_and_grad(*toy, threads=1)[0] == many.loss_and_grad(*toy, threads=np.int64(threads))[0]
    assert one.step(*toy, threads=1) == many.step(*toy, threads=threads)
