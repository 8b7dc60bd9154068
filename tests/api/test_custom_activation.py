"""A user's own activation: the same as the built-in one whose formula it has, and errors of its functions."""

import copy
import pickle

import numpy as np
import pytest
from conftest import parameters

import fastmlp
from fastmlp import CustomActivation
from fastmlp.spec import NetworkSpec

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(300, 5)), RNG.normal(size=(300, 3))


def rectified(z):
    return np.maximum(z, 0)


def is_positive(z):
    return z > 0


def step(z):
    return is_positive(z).astype(z.dtype)


OURS = CustomActivation(rectified, step)


def network(activation, backend, **arguments):
    given = {"dtype": "float64", "seed": 3, "init": "he_uniform"} | arguments
    return fastmlp.MLP([5, 7, 40, 3], activation=activation, backend=backend, **given)


@pytest.mark.parametrize("different", [{}, {"dtype": "float32"}, {"dropout": 0.3}, {"loss": "huber"}], ids=str)
def test_trainings_are_those_of_the_activation_with_the_same_formula(backend, different):
    made = [network([each, "tanh"], backend, output=each, **different) for each in (OURS, "relu")]
    for net in made:
        net.fit(X, Y, epochs=2, batch_size=32, validation_data=(X, Y), threads=2)
    ours, theirs = made
    assert parameters(ours) == parameters(theirs)
    assert ours.history.loss == theirs.history.loss
    assert ours.history.val_loss == theirs.history.val_loss
    assert ours.predict(X).tobytes() == theirs.predict(X).tobytes()
    assert ours.predict(X[:1]).tobytes() == theirs.predict(X[:1]).tobytes()


def test_all_that_looks_into_a_network(backend):
    ours, theirs = (network(["tanh", each], backend) for each in (OURS, "relu"))
    for found, wanted in zip(ours.loss_and_grad(X, Y), theirs.loss_and_grad(X, Y), strict=True):
        np.testing.assert_equal(found, wanted)
    for name in ("signals", "outputs", "sensitivities"):
        np.testing.assert_equal(getattr(ours.trace(X, Y), name), getattr(theirs.trace(X, Y), name))
    np.testing.assert_equal(ours.transform(X), theirs.transform(X))
    np.testing.assert_equal(ours.input_gradient(X[:5]), theirs.input_gradient(X[:5]))
    assert ours.evaluate(X, Y) == theirs.evaluate(X, Y)
    assert "CustomActivation(rectified, step)" in repr(ours)
    assert ours.step(X, Y) == theirs.step(X, Y)


class Boom(Exception):
    pass


@pytest.mark.parametrize("where", ["fn", "slope"])
def test_what_a_function_raises_comes_out_with_the_network_after_a_whole_step(backend, where):
    calls, most = [], [3]

    def failing(z):
        calls.append(len(z))
        if len(calls) > most[0]:
            raise Boom
        return getattr(OURS, where)(z)

    functions = {"fn": rectified, "slope": step} | {where: failing}
    net, other = (network([each, "tanh"], backend) for each in (CustomActivation(**functions), OURS))
    with pytest.raises(Boom):
        net.fit(X, Y, epochs=1, batch_size=50, shuffle=False)
    assert net.n_steps == 3
    for start in (0, 50, 100):
        other.step(X[start : start + 50], Y[start : start + 50])
    assert parameters(net) == parameters(other)
    for call in (net.loss_and_grad, net.trace, net.step) + ((net.evaluate,) if where == "fn" else ()):
        with pytest.raises(Boom):
            call(X, Y)
    most[0] = 10**9
    assert (parameters(net), net.predict(X).tobytes()) == (parameters(other), other.predict(X).tobytes())
    assert net.step(X, Y) == other.step(X, Y)


def test_after_an_error_no_function_is_called_again(backend):
    calls = []

    def failing(z):
        calls.append(len(z))
        raise Boom

    net = network(CustomActivation(failing, step), backend, output=CustomActivation(failing, step))
    for call in (net.step, net.evaluate, net.loss_and_grad, net.trace):
        calls.clear()
        with pytest.raises(Boom):
            call(X, Y)
        assert len(calls) == 1


def test_what_the_functions_return_is_checked(backend):
    wrong = {
        "shape": (lambda z: z[:, :1], ValueError, r"must have shape \(4, 7\), as the signals have, got \(4, 1\)"),
        "numbers": (lambda z: z * 1j, TypeError, "must be real numbers, got dtype complex128"),
        "truth": (is_positive, TypeError, "is_positive returns must be real numbers, got dtype bool"),
    }
    for function, error, message in wrong.values():
        for activation in (CustomActivation(function, step), CustomActivation(rectified, function)):
            net = network([activation, "tanh"], backend)
            before = parameters(net)
            with pytest.raises(error, match=message):
                net.step(X[:4], Y[:4])
            assert (parameters(net), net.n_steps) == (before, 0)


def test_pickles_and_copies_have_the_functions_and_files_ask_for_them(backend, tmp_path):
    net, path = network(OURS, backend), tmp_path / "net.safetensors"
    net.fit(X, Y, epochs=1)
    net.save(path)
    with pytest.raises(ValueError, match=r"CustomActivation\('.*rectified', '.*step'\).*load\(path, activation="):
        fastmlp.load(path, backend)
    others = [pickle.loads(pickle.dumps(net)), copy.deepcopy(net), fastmlp.load(path, backend, activation=OURS)]
    for each in (net, *others):
        each.fit(X, Y, epochs=1)
    assert {parameters(each) for each in others} == {parameters(net)}
    assert [each.activation.name for each in fastmlp.load(path, backend, activation="tanh", output="exp").layers] == [
        "tanh", "tanh", "exp",
    ]  # fmt: skip
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(network(CustomActivation(lambda z: z, np.ones_like), backend))


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="slope must be callable, got 3 of type int"):
        CustomActivation(np.tanh, 3)
    with pytest.raises(TypeError, match=r"CustomActivation\(fn, slope\) makes one of two functions"):
        fastmlp.MLP([1, 1, 1], activation=np.tanh)
    with pytest.raises(ValueError, match="activation must be one of"):
        fastmlp.MLP([1, 1, 1], activation="custom")
    assert NetworkSpec.make([1, 1], output=OURS).output is OURS
