"""Schedule-free AdamW: who sees which of its points, that resumes are exact, and its weights of a mean.

Trajectories are held to optax's in tests/reference/test_optax.py.
"""

import numpy as np
import pytest
from compiled import Engine
from conftest import parameters
from engine_calls import layers_of, states_of
from random_networks import fill, flat

import fastmlp
from fastmlp import reference
from fastmlp.schedules import Linear
from fastmlp.spec import NetworkSpec, Run

RNG = np.random.default_rng(5)
X = RNG.normal(size=(40, 3))
Y = np.tanh(X[:, :2] - X[:, 1:])
RULE = fastmlp.ScheduleFreeAdamW(Linear(0.05, steps=9, warmup=4), beta1=0.8, weight_decay=0.1)


def network(backend, **arguments):
    return fastmlp.MLP([3, 7, 2], activation="tanh", dtype="float32", seed=1, backend=backend, **arguments)


def test_a_training_goes_on_to_the_same_bits(backend, tmp_path):
    whole, cut = network(backend), network(backend)
    told = []
    fitting = {"batch_size": 9, "optimizer": RULE}
    whole.fit(X, Y, epochs=4, callbacks=[lambda net, logs: told.append(parameters(net))], **fitting)
    for epochs in (1, 2, 1):
        cut.fit(X, Y, epochs=epochs, **fitting)
        assert parameters(cut) == told[cut.n_epochs - 1]
        cut.save(tmp_path / "m")
        cut = fastmlp.load(tmp_path / "m", backend=backend)
    assert parameters(cut) == parameters(whole)


def test_weights_that_are_set_are_the_new_mean(backend):
    net = network(backend)
    net.fit(X, Y, epochs=2, batch_size=9, optimizer=RULE)
    weights = [2 * W for W in net.weights]
    net.weights = weights
    net.step(X, Y, lr_factors={"weight": 0.0, "bias": 0.0})  # z stays, and the mean moves towards it
    for old, new in zip(weights, net.weights, strict=True):
        assert 0 < np.abs(new - old).max() < 0.2 * np.abs(old).max()


@pytest.mark.parametrize("kind", [reference.Engine, Engine], ids=["numpy", "compiled"])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_mean_is_read_in_the_middle_of_a_run_and_goes_on_to_the_same_bits(kind, threads):
    spec = NetworkSpec.make([3, 7, 2], "tanh")
    order, read = np.arange(40), []

    def run(engine, first, last, hook=None):
        losses = np.empty(last - first)
        table = RULE.scalars(first, last - first)
        rows = order[10 * first : 10 * last]
        assert engine.train(Run(X, Y, None, rows, 10, table, losses, at_gradient=hook), threads).status == "done"

    def predictions(engine):
        out = np.empty((40, 2), np.float32)
        engine.predict(X, out, 1)
        return out

    def note(step, _gradient):
        read.append([engine.read(name) for name in engine.kinds])
        at_mean.write(read[-1][0])
        apart = np.abs(predictions(engine) - predictions(at_mean)).max()
        assert (apart > 1e-5) == (step > 1)  # they are of the point where the gradient is taken

    engine, other, at_mean = fill(kind(spec), spec), kind(spec), kind(spec)
    engine.use_optimizer(RULE.name)
    run(engine, 0, 4, note)
    other.use_optimizer(RULE.name)
    for name, tensors in zip(engine.kinds, read[2], strict=True):
        other.write(tensors, name)
    other.n_steps = 2
    run(other, 2, 4)
    assert flat(layers_of(other)).tobytes() == flat(layers_of(engine)).tobytes()
    assert [flat(state).tobytes() for state in states_of(other)] == [flat(s).tobytes() for s in states_of(engine)]


def test_shares_are_by_the_largest_rate_so_far_however_a_run_is_cut():
    rates = np.maximum.accumulate(RULE.learning_rate.values(0, 3000)) ** 2
    whole = RULE.scalars(0, 3000)
    np.testing.assert_allclose(whole[:, 6], rates / rates.cumsum(), rtol=1e-12)
    for start, steps in ((1700, 900), (0, 5), (5, 1), (2600, 400)):
        assert RULE.scalars(start, steps).tobytes() == whole[start : start + steps].tobytes()


@pytest.mark.parametrize("threads", [2, 3])
def test_bits_do_not_depend_on_threads(threads):
    pytest.importorskip("fastmlp.passes")
    nets = [network("cython") for _ in range(2)]
    for net, team in zip(nets, (1, threads), strict=True):
        net.fit(X, Y, epochs=3, batch_size=16, optimizer=RULE, threads=team)
    assert parameters(nets[0]) == parameters(nets[1])


def test_what_is_refused(backend):
    for arguments, given, name in (({}, {"ema": 0.9}, "ema"), ({"max_norm": 1.0}, {}, "max_norm")):
        with pytest.raises(ValueError, match=f"{name} is not for ScheduleFreeAdamW"):
            network(backend, **arguments).fit(X, Y, optimizer=RULE, **given)
