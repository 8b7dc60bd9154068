"""A user's own loss: the same as the built-in one whose formula it has, and errors of its function."""

import copy
import pickle
import threading

import numpy as np
import pytest
from conftest import BACKENDS, parameters
from random_networks import central_differences

import fastmlp
from fastmlp import CustomLoss, SquaredError
from fastmlp.spec import NetworkSpec

RNG = np.random.default_rng(0)
X, Y, WEIGHT = RNG.normal(size=(300, 5)), RNG.normal(size=(300, 3)), RNG.integers(0, 4, 300) + 0.0


def half_square(outputs, targets):
    errors = outputs - targets
    return 0.5 * (errors**2).sum(axis=1), errors


OURS = CustomLoss(half_square)


def network(loss, backend, **arguments):
    given = {"activation": "tanh", "output": "logistic", "dtype": "float64", "seed": 3} | arguments
    return fastmlp.MLP([5, 7, 3], loss=loss, backend=backend, **given)


@pytest.mark.parametrize("output", ["identity", "logistic", "softmax", "silu"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["rows alike", "weights"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_trainings_are_those_of_the_loss_with_the_same_formula(backend, output, weight, dtype):
    found, wanted = [network(loss, backend, output=output, dtype=dtype) for loss in (OURS, SquaredError())]
    for net in (found, wanted):
        net.fit(X, Y, sample_weight=weight, epochs=2, batch_size=32, validation_data=(X, Y), threads=2)
    assert parameters(found) == parameters(wanted)  # the deltas are the same products
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(found.history.loss, wanted.history.loss, tolerance)
    np.testing.assert_allclose(found.history.val_loss, wanted.history.val_loss, tolerance)
    np.testing.assert_allclose(found.history.val_r2, wanted.history.val_r2, tolerance)


def test_bits_are_the_same_on_any_number_of_threads(backend):
    made = [network(OURS, backend) for _ in range(3)]
    for threads, net in enumerate(made, 1):
        net.fit(X, Y, epochs=2, batch_size=300, threads=threads)
    assert len({parameters(net) for net in made}) == 1


def test_everything_that_a_loss_is_asked_for(backend):
    found, wanted = network(OURS, backend), network("squared_error", backend)
    assert found.evaluate(X, Y, WEIGHT) == pytest.approx(wanted.evaluate(X, Y, WEIGHT), rel=1e-12)
    (loss, dW, db), (wanted_loss, wanted_dW, wanted_db) = (net.loss_and_grad(X, Y, WEIGHT) for net in (found, wanted))
    assert loss == pytest.approx(wanted_loss, rel=1e-12)
    for ours, theirs in zip((*dW, *db), (*wanted_dW, *wanted_db), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-14)
    for ours, theirs in zip(found.trace(X, Y).sensitivities, wanted.trace(X, Y).sensitivities, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert found.step(X, Y) == pytest.approx(wanted.step(X, Y), rel=1e-12)
    assert (found.loss, "loss=CustomLoss(half_square)" in repr(found)) == ("custom", True)


def test_gradients_are_those_of_differences(backend):
    def quartic(outputs, targets):
        errors = outputs - targets
        return (errors**4).sum(axis=1) + errors[:, 0] * errors[:, 1], 4 * errors**3 + errors[:, [1, 0, 2]] * [1, 1, 0]

    net = network(CustomLoss(quartic), backend, output="softmax")
    rows = slice(0, 9)
    _, dW, db = net.loss_and_grad(X[rows], Y[rows])
    engine, out, losses = net._learner.engine, np.empty((9, 3)), np.empty(9)

    def losses_of():
        engine.evaluate(X[rows], Y[rows], out, losses, 1)
        return losses / 9

    slopes = central_differences(engine, lambda: losses_of().copy(), 1e-5)
    found = np.concatenate([np.ravel(array) for array in (*dW, *db)])
    assert np.linalg.norm(found - slopes) <= 1e-6 * np.linalg.norm(slopes)


def test_a_batch_in_parts_is_as_good_as_whole(backend, monkeypatch):
    calls = []

    def noted(outputs, targets):
        calls.append(len(outputs))
        return half_square(outputs, targets)

    rng = np.random.default_rng(1)
    many, targets = rng.normal(size=(70_000, 5)), rng.normal(size=(70_000, 3))
    found, wanted = network(CustomLoss(noted), backend), network("squared_error", backend)
    assert found.step(many, targets) == pytest.approx(wanted.step(many, targets), rel=1e-11)
    np.testing.assert_allclose(found.weights[0], wanted.weights[0], rtol=1e-9)
    assert sum(calls) == 70_000


class Boom(Exception):
    pass


def test_what_the_function_raises_comes_out_with_the_network_after_a_whole_step(backend):
    calls = []

    def failing(outputs, targets):
        calls.append(len(outputs))
        if len(calls) == 4:
            raise Boom
        return half_square(outputs, targets)

    net, other = network(CustomLoss(failing), backend), network(OURS, backend)
    with pytest.raises(Boom):
        net.fit(X, Y, epochs=1, batch_size=50, shuffle=False)
    assert net.n_steps == 3
    for start in (0, 50, 100):
        other.step(X[start : start + 50], Y[start : start + 50])
    assert parameters(net) == parameters(other)
    for call in (net.evaluate, net.loss_and_grad, net.trace, net.step):
        calls[:] = [0, 0, 0]
        with pytest.raises(Boom):
            call(X, Y)
    assert parameters(net) == parameters(other)


WRONG = {
    "nothing": (lambda a, y: None, TypeError, "must return two arrays, row losses and gradient, got None"),
    "one": (lambda a, y: a.sum(axis=1), TypeError, "must return two arrays"),
    "a mean": (lambda a, y: (0.0, a), ValueError, r"row losses .* must have shape \(4,\), one for each row, got \(\)"),
    "losses of outputs": (lambda a, y: (a, a), ValueError, r"row losses .* must have shape \(4,\)"),
    "a narrow gradient": (
        lambda a, y: (a[:, 0], a[:, :1]),
        ValueError,
        r"the gradient .* \(4, 3\), as the outputs have",
    ),
    "complex": (lambda a, y: (a[:, 0] * 1j, a), TypeError, "row losses .* must be real numbers, got dtype complex128"),
    "objects": (lambda a, y: (a[:, 0], a.astype(object)), TypeError, "the gradient .* got dtype object"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_the_function_returns_is_checked(backend, kind):
    function, error, message = WRONG[kind]
    net = network(CustomLoss(function), backend)
    before = parameters(net)
    for call in (net.step, net.fit, net.evaluate, net.loss_and_grad):
        with pytest.raises(error, match=message):
            call(X[:4], Y[:4])
    assert (parameters(net), net.n_steps) == (before, 0)


def test_a_loss_that_is_not_finite_is_a_divergence(backend):
    def infinite(outputs, targets):
        losses, gradient = half_square(outputs, targets)
        return np.full_like(losses, np.inf) if len(losses) == 20 else losses, gradient

    net = network(CustomLoss(infinite), backend)
    with pytest.raises(fastmlp.TrainingDiverged, match="step 7 of 7"):
        net.fit(X[:200], Y[:200], epochs=1, batch_size=30)
    assert np.isfinite(net.weights[0]).all()


def test_the_function_may_read_the_network_and_not_change_it(backend):
    seen = []

    def curious(outputs, targets):
        seen.append(np.abs(net.predict(X[: len(outputs)]) - outputs).max())
        with pytest.raises(RuntimeError):
            net.step(X, Y)
        return half_square(outputs, targets)

    net = network(CustomLoss(curious), backend)
    assert net.step(X[:20], Y[:20]) > 0
    assert seen == [pytest.approx(0, abs=1e-12)]


def test_the_arrays_are_the_functions_own(backend):
    def rude(outputs, targets):
        result = half_square(outputs, targets)
        outputs[:] = targets[:] = np.nan
        return result

    found, wanted, y = network(CustomLoss(rude), backend), network(OURS, backend), Y.copy()
    for net in (found, wanted):
        net.fit(X, y, epochs=1)
    assert parameters(found) == parameters(wanted)
    assert found.evaluate(X, y) == wanted.evaluate(X, y)
    assert (y == Y).all()


def test_pickles_and_copies_have_the_function_and_files_ask_for_it(backend, tmp_path):
    net = network(OURS, backend)
    net.fit(X, Y, epochs=1)
    path = tmp_path / "net.safetensors"
    net.save(path)
    with pytest.raises(ValueError, match=r"CustomLoss\('.*half_square'\).*load\(path, loss=fastmlp.CustomLoss\(fn\)\)"):
        fastmlp.load(path, backend)
    others = [pickle.loads(pickle.dumps(net)), copy.deepcopy(net), fastmlp.load(path, backend, loss=OURS)]
    for each in (net, *others):
        each.fit(X, Y, epochs=1)
    assert {parameters(each) for each in others} == {parameters(net)}
    assert fastmlp.load(path, backend, loss="huber").loss == "huber"
    local = network(CustomLoss(lambda a, y: (a.sum(axis=1), a)), backend)
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(local)


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="fn must be callable, got 3 of type int"):
        CustomLoss(3)
    with pytest.raises(TypeError, match=r"CustomLoss\(fn\) makes a loss of a function"):
        fastmlp.MLP([1, 1], loss=half_square)
    with pytest.raises(ValueError, match="loss must be one of"):
        fastmlp.MLP([1, 1], loss="custom")
    assert NetworkSpec.make([1, 1], loss=OURS).loss is OURS


@pytest.mark.skipif("cython" not in BACKENDS, reason="no compiled extension")
def test_other_threads_go_on_while_the_function_runs():
    began, done = threading.Event(), threading.Event()

    def waiting(outputs, targets):
        began.set()
        assert done.wait(60)
        return half_square(outputs, targets)

    net = network(CustomLoss(waiting), "cython")
    worker = threading.Thread(target=net.step, args=(X, Y), kwargs={"threads": 2})
    worker.start()
    assert began.wait(60)
    done.set()
    worker.join(60)
    assert net.n_steps == 1
