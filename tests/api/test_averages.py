"""The moving average of the weights: what it is, the same bits everywhere, in files and after a divergence."""

import copy
import json
import pickle
import re

import numpy as np
import pytest
from conftest import parameters
from random_networks import OPTIMIZERS, fill, targets
from small_networks import classifier

import fastmlp
from fastmlp.runtime import load_passes
from fastmlp.spec import SGD, NetworkSpec, Run

RNG = np.random.default_rng(8)
X = RNG.normal(size=(30, 3))
Y = np.tanh(X[:, :2] - X[:, 1:])

#: All but the one whose weights are an average already.
FOLLOWED = {name: each for name, each in OPTIMIZERS.items() if name != "schedule_free_adamw"}


def network(backend, **arguments):
    return fastmlp.MLP([3, 7, 2], activation="tanh", dtype="float64", seed=1, backend=backend, **arguments)


@pytest.mark.parametrize("arguments", [{}, {"max_norm": 0.8}], ids=["any", "bounded"])
@pytest.mark.parametrize("optimizer", FOLLOWED.values(), ids=FOLLOWED)
def test_it_follows_the_weights_step_by_step(backend, optimizer, arguments):
    net, plain = network(backend, l1=1e-3, **arguments), network(backend, l1=1e-3, **arguments)
    wanted, told = [*net.weights, *net.biases], []

    def note(net, logs):
        told.append([*net.weights, *net.biases])

    fitting = {"epochs": 8, "batch_size": 30, "optimizer": optimizer, "clip_norm": 0.5}  # an epoch is a step
    net.fit(X, Y, ema=0.8, callbacks=[note], **fitting)
    plain.fit(X, Y, **fitting)
    assert parameters(net) == parameters(plain)
    for weights in told:
        wanted = [0.8 * a + (1 - 0.8) * w for a, w in zip(wanted, weights, strict=True)]
    mean = net.averaged()
    for found, each in zip([*mean.weights, *mean.biases], wanted, strict=True):
        np.testing.assert_allclose(found, each, rtol=1e-11, atol=1e-13)


def test_the_network_with_the_average_is_one_of_its_own(backend):
    net = network(backend)
    net.fit(X, Y, epochs=3, batch_size=7, ema=0.9)
    mean, before = net.averaged(), parameters(net)
    assert (type(mean), mean.sizes, mean.backend, mean.n_epochs) == (fastmlp.MLP, net.sizes, net.backend, 3)
    assert parameters(mean) == parameters(net.averaged()) != before
    assert mean.evaluate(X, Y).keys() == {"loss", "r2"}
    mean.fit(X, Y, epochs=1)
    assert parameters(net) == before
    with pytest.raises(RuntimeError, match=r"there is no average of the weights: fit\(ema=0.999\) keeps one"):
        mean.averaged()


def test_it_is_used_in_a_callback(backend):
    losses = []

    def measure(net, logs):
        losses.append(net.averaged().evaluate(X, Y)["loss"])

    net, other = network(backend), network(backend)
    net.fit(X, Y, epochs=4, ema=0.9, callbacks=[measure])
    other.fit(X, Y, epochs=4, ema=0.9)
    assert parameters(net) == parameters(other)
    assert losses[-1] == other.averaged().evaluate(X, Y)["loss"]


def test_it_stays_where_nobody_asks_for_it_and_begins_anew_after_a_reset(backend):
    net = network(backend)
    net.fit(X, Y, epochs=2, ema=0.9)
    kept = parameters(net.averaged())
    net.fit(X, Y, epochs=2)
    net.step(X, Y)
    net.reset_optimizer()
    net.weights = [2 * W for W in net.weights]
    net.fit(X, Y, optimizer="sgd", epochs=1)
    assert parameters(net.averaged()) == kept
    net.reset_average()
    with pytest.raises(RuntimeError, match="there is no average"):
        net.averaged()
    twin = fastmlp.MLP([3, 7, 2], activation="tanh", dtype="float64", seed=1, backend=backend)
    twin.weights, twin.biases, twin.optimizer = net.weights, net.biases, "sgd"
    for each in (net, twin):
        each.fit(X, Y, epochs=1, shuffle=False, ema=0.5)
    assert parameters(net.averaged()) == parameters(twin.averaged())


WAYS = {"a loaded file": None, "a pickle": lambda net: pickle.loads(pickle.dumps(net)), "a copy": copy.deepcopy}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("optimizer", [None, "sgd"])
def test_a_resumed_training_goes_on_to_the_same_average(backend, tmp_path, way, optimizer):
    whole, first = classifier(backend), classifier(backend)
    rows, y = RNG.normal(size=(50, 2)), np.arange(50) % 3
    whole.fit(rows, y, epochs=5, ema=0.95, optimizer=optimizer)
    first.fit(rows, y, epochs=2, ema=0.95, optimizer=optimizer)
    if way == "a loaded file":
        first.save(tmp_path / "m")
        again = fastmlp.load(tmp_path / "m", backend=backend)
    else:
        again = WAYS[way](first)
    assert parameters(again.averaged()) == parameters(first.averaged())
    again.fit(rows, y, epochs=3, ema=0.95)
    assert parameters(again) == parameters(whole)
    assert parameters(again.averaged()) == parameters(whole.averaged())


def test_files_without_an_average_are_as_they_were(backend, tmp_path):
    net = classifier(backend)
    net.save(tmp_path / "plain")
    whole = (tmp_path / "plain").read_bytes()
    assert b"average" not in whole
    assert fastmlp.load(tmp_path / "plain")._learner.engine.kinds == ("parameters",)
    net.fit([[0.0, 1.0]], [1], ema=0.9)
    net.save(tmp_path / "m")
    whole = (tmp_path / "m").read_bytes()
    size = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + size])
    assert {name for name in header if name.startswith("average.")} == {
        f"average.layers.{layer}.{kind}" for layer in (0, 1) for kind in ("weight", "bias")
    }
    for old, new, message in (
        (b'\\"average\\": true', b'\\"average\\": 1   ', "average must be True or False"),
        (b'"average.layers.0.weight"', b'"averaje.layers.0.weight"', "tensor 'average.layers.0.weight' is missing"),
    ):
        assert whole.count(old) == 1
        (tmp_path / "m").write_bytes(whole.replace(old, new))
        with pytest.raises(ValueError, match=re.escape(message)):
            fastmlp.load(tmp_path / "m")
    # A reader that knows of no average leaves it out.
    (tmp_path / "m").write_bytes(whole.replace(b'\\"average\\": true', b'\\"averaje\\": true'))
    without = fastmlp.load(tmp_path / "m", backend=backend)
    assert parameters(without) == parameters(net)
    assert "average" not in without._learner.engine.kinds


def test_a_divergence_takes_the_average_back_as_well(backend):
    net, other = classifier(backend), classifier(backend)
    rows, y = RNG.normal(size=(128, 2)), np.arange(128) % 3
    for each in (net, other):
        each.fit(rows, y, batch_size=1, epochs=1, optimizer=SGD(0.01), ema=0.9)
    with pytest.raises(fastmlp.TrainingDiverged):
        net.fit(1e30 * rows, y, epochs=3, optimizer=SGD(1e38), ema=0.9)
    assert parameters(net) == parameters(other)
    assert parameters(net.averaged()) == parameters(other.averaged())


@pytest.mark.parametrize(
    ("ema", "error", "message"),
    [
        (0.0, ValueError, "ema must be > 0 and < 1, got 0.0"),
        (1.0, ValueError, "ema must be >= 0 and < 1, got 1.0"),
        (-0.5, ValueError, "ema must be"),
        (True, TypeError, "ema must be a real number"),
        ("0.9", TypeError, "ema must be a real number"),
        (np.nan, ValueError, "ema must be finite"),
    ],
    ids=str,
)
def test_a_wrong_decay_is_refused_before_training(backend, ema, error, message):
    net = network(backend)
    before = parameters(net)
    with pytest.raises(error, match=message):
        net.fit(X, Y, ema=ema)
    assert (parameters(net), net.optimizer, net._learner.engine.kinds) == (before, None, ("parameters",))


def test_what_is_refused_begins_no_average(backend):
    net = network(backend)
    with pytest.raises(ValueError, match="monitor must be one of"):
        net.fit(X, Y, ema=0.9, callbacks=[fastmlp.EarlyStopping()])
    with pytest.raises(ValueError, match="ema is an average over steps, of which LBFGS makes none"):
        net.fit(X, Y, ema=0.9, optimizer="lbfgs")
    assert net._learner.engine.kinds == ("parameters",)
    spec = net._learner.spec
    table = SGD(0.1).scalars(0, 1)
    net._learner.engine.use_optimizer("sgd")
    run = Run(X, Y, None, np.arange(30), 30, table, np.empty(1), average=0.5)
    with pytest.raises(ValueError, match="a run with an average needs keep_average first"):
        net._learner.engine.train(run, 1)
    assert spec.sizes == net.sizes


CASES = {  # widths, batch size, how gradient and weights are bounded: what is updated in which way
    "rows": ((37, 45, 33), 32, None, None),
    "narrow": ((5, 3, 1), 7, None, None),
    "microbatches": ((37, 45, 33), 500, None, None),
    "parts": ((290, 300, 9), 700, None, None),
    "stored gradients": ((37, 45, 33), 32, 0.5, None),
    "bounded": ((37, 45, 33), 32, None, 0.8),
    "narrow and bounded": ((20, 32, 3), 32, None, 0.8),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_on_every_instruction_set_and_number_of_threads(case, dtype):
    module, _ = load_passes()
    if module is None:
        pytest.skip("the compiled extension cannot be used")
    widths, batch_size, clip, bound = CASES[case]
    spec = NetworkSpec.make(widths, "tanh", dtype=dtype, max_norm=bound)
    n = 2 * batch_size + 3
    rows, y = np.random.default_rng(0).normal(size=(n, widths[0])).astype("float32"), targets(spec, n)
    optimizer = fastmlp.Adam(0.01)
    found = set()
    for isa in [each["name"] for each in module.isas() if each["available"]]:
        for threads in (1, 2, 3):
            engine = fill(module.Engine(spec, isa), spec)
            engine.use_optimizer("adam")
            engine.keep_average()
            table, losses = optimizer.scalars(0, 3), np.empty(3)
            run = Run(rows, y, None, np.arange(n), batch_size, table, losses, clip_norm=clip, average=0.25)
            assert engine.train(run, threads).status == "done"
            average = engine.read("average")
            assert all((average[name] != tensor).any() for name, tensor in engine.read().items())
            found.add(b"".join(tensor.tobytes() for tensor in average.values()))
    assert len(found) == 1


# ---- measured ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keeping", [{"ema": 0.9}, {"swa": 2}], ids=lambda keeping: next(iter(keeping)))
def test_what_is_measured_may_be_the_average(backend, keeping):
    rng = np.random.default_rng(0)
    X, y, held = rng.normal(size=(40, 3)), rng.normal(size=(40, 1)), rng.normal(size=(20, 3))
    held_y, told = held[:, :1], []
    validation = {"batch_size": 8, "validation_data": (held, held_y), "metrics": ["mae"]}
    plain, net = (fastmlp.MLP([3, 8, 1], activation="tanh", l2=0.1, seed=0, backend=backend) for _ in range(2))
    plain.fit(X, y, epochs=4, **keeping, **validation)
    history = None
    for _ in range(4):  # the average as it is between two calls
        history = net.fit(X, y, epochs=1, validate_average=True, **keeping, **validation)
        told.append(history.val_loss[0])
        begun = "ema" in keeping or net.n_epochs >= 2
        measured = (net.averaged() if begun else net).evaluate(held, held_y, metrics=["mae"])
        assert measured == {"loss": history.val_loss[0], "mae": history.val_mae[0]}
        assert history.loss[0] == plain.history.loss[net.n_epochs - 1]
    assert net.get_flat().tobytes() == plain.get_flat().tobytes()
    assert told != plain.history.val_loss
    whole = fastmlp.MLP([3, 8, 1], activation="tanh", l2=0.1, seed=0, backend=backend)
    assert whole.fit(X, y, epochs=4, validate_average=True, **keeping, **validation).val_loss == told


def test_early_stopping_by_the_average_restores_it(backend):
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(30, 3)), rng.normal(size=(30, 1))
    net = fastmlp.MLP([3, 8, 1], seed=0, backend=backend)
    stop = fastmlp.EarlyStopping("val_loss", patience=3, restore_best=True)
    history = net.fit(
        X, y, epochs=60, batch_size=4, ema=0.9, validate_average=True, optimizer=fastmlp.Adam(0.03),
        validation_data=(X[::-1], y), callbacks=[stop],
    )  # fmt: skip
    assert len(history.val_loss) < 60
    assert net.averaged().evaluate(X[::-1], y)["loss"] == min(history.val_loss)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"validate_average": 1, "ema": 0.9}, TypeError, "validate_average must be True or False, got 1"),
        ({"validate_average": True, "metrics": []}, ValueError, "give ema or swa, which keep one"),
        ({"validate_average": True, "ema": 0.9}, ValueError, "give validation_data or metrics"),
    ],
)
def test_an_average_that_cannot_be_measured_is_refused(given, error, message):
    net = fastmlp.MLP([1, 1])
    with pytest.raises(error, match=message):
        net.fit(np.ones((3, 1)), np.ones(3), **given)
    assert net.n_steps == 0
