"""Penalties and clipping as users ask for them: what is refused, reported, saved, and goes on after a break."""

import copy
import json
import math
import pickle

import numpy as np
import pytest
from conftest import parameters

import fastmlp
from fastmlp.files import load_file
from fastmlp.spec import NetworkSpec

CLIPS = {"none": {}, "norm": {"clip_norm": 0.1}, "value": {"clip_value": 0.01}}
each_clip = pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS)


def network(backend, dtype="float32", **arguments):
    penalties = {"l1": 1e-3, "l2": [0.1, 0.0], "max_norm": [None, 1.5]} | arguments
    return fastmlp.MLP(
        [2, 9, 3], output="softmax", activation="tanh", seed=3, backend=backend, dtype=dtype, **penalties
    )


# ---- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["fit", "step"])
@pytest.mark.parametrize(
    ("clip", "error", "message"),
    [
        ({"clip_norm": 0}, ValueError, r"clip_norm must be > 0, got 0\.0"),
        ({"clip_norm": -1.0}, ValueError, r"clip_norm must be > 0, got -1\.0"),
        ({"clip_norm": math.inf}, ValueError, "clip_norm must be finite, got inf"),
        ({"clip_norm": True}, TypeError, "clip_norm must be a real number, got True"),
        ({"clip_value": math.nan}, ValueError, "clip_value must be finite, got nan"),
        ({"clip_value": 0.0}, ValueError, r"clip_value must be > 0, got 0\.0"),
        ({"clip_value": "1"}, TypeError, "clip_value must be a real number, got '1'"),
        (
            {"clip_norm": 1.0, "clip_value": 2},
            ValueError,
            r"cannot both be given: .*clip_norm=1\.0 and clip_value=2\.0",
        ),
        ({"clipnorm": 1.0}, TypeError, "clip_norm=... by its norm over all layers, clip_value=... by its entries"),
        ({"global_clipnorm": 1.0}, TypeError, r"did you mean clip_norm\?"),
        ({"clipvalue": 1.0}, TypeError, r"did you mean clip_value\?"),
    ],
)
def test_wrong_clips_are_refused_before_anything_changes(backend, toy, call, clip, error, message):
    net = network(backend)
    before = parameters(net)
    with pytest.raises(error, match=message):
        getattr(net, call)(*toy, **clip)
    assert (parameters(net), net.n_steps, net.n_epochs, net.optimizer) == (before, 0, 0, None)


@pytest.mark.parametrize("name", ["l1", "l2"])
@pytest.mark.parametrize(
    ("penalty", "error", "message"),
    [
        (-1.0, ValueError, r" must be >= 0, got -1\.0"),
        ([0.1, -1], ValueError, r"\[1\] must be >= 0, got -1\.0"),
        (math.nan, ValueError, " must be finite, got nan"),
        (True, TypeError, " must be a real number, got True"),
        ("0.1", TypeError, " must be a real number, got '0.1'"),
        (None, TypeError, " must be a real number, got None"),
        ([0.1, None], TypeError, r"\[1\] must be a real number, got None"),
        ([0.1], ValueError, r" must be one for all or one per layer \(2\), got 1 of them"),
        ([0.1, 0.2, 0.3], ValueError, r" must be one for all or one per layer \(2\), got 3 of them"),
    ],
)
def test_wrong_penalties_are_refused(name, penalty, error, message):
    with pytest.raises(error, match=f"^{name}{message}"):
        fastmlp.MLP([2, 9, 3], **{name: penalty})


@pytest.mark.parametrize(
    ("bound", "error", "message"),
    [
        (0, ValueError, r"max_norm must be > 0, got 0\.0"),
        ([1.0, -1], ValueError, r"max_norm\[1\] must be > 0, got -1\.0"),
        ([1.0, "2"], TypeError, r"max_norm\[1\] must be a real number, got '2'"),
        (math.inf, ValueError, "max_norm must be finite, got inf"),
        ([None], ValueError, r"max_norm must be one for all or one per layer \(2\), got 1 of them"),
    ],
)
def test_wrong_bounds_are_refused(bound, error, message):
    with pytest.raises(error, match=f"^{message}"):
        fastmlp.MLP([2, 9, 3], max_norm=bound)


@pytest.mark.parametrize("value", ["0.1", 0.1, None])
def test_penalties_of_a_description_are_lists(value):
    described = NetworkSpec.make([2, 9, 3]).to_dict() | {"l2": value}
    with pytest.raises(TypeError, match="l2 must be a list, got"):
        NetworkSpec.from_dict(described)


def test_keras_regularisers_are_answered():
    with pytest.raises(TypeError, match=r"MLP\(\.\.\., l1=\.\.\., l2=\.\.\.\)"):
        fastmlp.MLP([2, 3], kernel_regularizer=0.1)


# ---- how they are written -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [0.0, 0, -0.0, [0, 0.0], (0.0, 0.0), np.zeros(2)], ids=str)
def test_penalties_of_zero_are_none(nothing):
    plain, spec = NetworkSpec.make([2, 9, 3]), NetworkSpec.make([2, 9, 3], l1=nothing, l2=nothing)
    assert spec == plain
    assert hash(spec) == hash(plain)
    assert spec.to_dict() == plain.to_dict()
    assert plain.to_dict().keys() == {"sizes", "activations", "output", "loss", "dtype"}
    assert plain.penalties == ((0.0, 0.0), (0.0, 0.0))


@pytest.mark.parametrize("nothing", [None, [None, None]], ids=str)
def test_no_bounds_are_none(nothing):
    plain, spec = NetworkSpec.make([2, 9, 3]), NetworkSpec.make([2, 9, 3], max_norm=nothing)
    assert spec == plain
    assert spec.to_dict() == plain.to_dict()


def test_penalties_are_shown(backend):
    net = fastmlp.MLP([2, 3, 1], seed=0, backend=backend, l1=0.5, l2=[0.0, 0.25], max_norm=[None, 2])
    assert repr(net).endswith("dtype='float32', seed=0, l1=0.5, l2=[0.0, 0.25], max_norm=[None, 2.0])")
    assert repr(fastmlp.MLP([2, 3, 1], seed=0, backend=backend)).endswith("dtype='float32', seed=0)")
    same = eval(repr(net), {"MLP": fastmlp.MLP})
    assert same._learner.spec == net._learner.spec
    assert NetworkSpec.from_dict(json.loads(json.dumps(net._learner.spec.to_dict()))) == net._learner.spec


def test_files_have_penalties_where_a_network_has(tmp_path, backend):
    for name, net in {"with": network(backend), "without": network(backend, l1=0.0, l2=0.0, max_norm=None)}.items():
        net.save(tmp_path / name)
        spec = json.loads(load_file(tmp_path / name)[1]["fastmlp"])["spec"]
        wanted = {"l1": [1e-3, 1e-3], "l2": [0.1, 0.0], "max_norm": [None, 1.5]} if name == "with" else {}
        assert {key: spec[key] for key in spec if key in ("l1", "l2", "max_norm")} == wanted
        assert fastmlp.load(tmp_path / name, backend=backend)._learner.spec == net._learner.spec


# ---- what is reported -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_every_loss_is_the_penalised_one(backend, toy, weighted):
    X, y = toy
    weight = np.random.default_rng(0).random(len(X)) if weighted else None
    net, bare = network(backend, "float64"), network(backend, "float64", l1=0.0, l2=0.0)
    W1, W2 = net.weights
    penalty = 1e-3 * (np.abs(W1).sum() + np.abs(W2).sum()) + 0.05 * (W1**2).sum()
    wanted = bare.evaluate(X, y, weight)["loss"] + penalty
    assert net.evaluate(X, y, weight)["loss"] == pytest.approx(wanted, rel=1e-13)
    assert net.loss_and_grad(X, y, weight)[0] == pytest.approx(wanted, rel=1e-13)
    assert copy.deepcopy(net).step(X, y, weight) == pytest.approx(wanted, rel=1e-13)
    given = {"sample_weight": weight, "batch_size": len(X), "shuffle": False}
    first = copy.deepcopy(net).fit(X, y, epochs=1, **given)
    assert first.loss == [pytest.approx(wanted, rel=1e-13)]
    history = net.fit(X, y, epochs=2, validation_data=(X, y, weight), train_metrics=True, **given)
    assert history.loss[1] == pytest.approx(history["val_loss"][0], rel=1e-13)  # of the same weights
    assert history["val_loss"][1] == pytest.approx(net.evaluate(X, y, weight)["loss"], rel=1e-13)


def test_penalties_make_weights_small(backend, toy):
    penalties = ((0.0, 0.0), (0.02, 0.0), (0.0, 0.1))
    free, l1, l2 = (network(backend, l1=first, l2=second, max_norm=None) for first, second in penalties)
    for net in (free, l1, l2):
        net.fit(*toy, epochs=60, optimizer=fastmlp.Adam(0.02))
    sizes = [[float(np.abs(W).sum()) for W in net.weights] for net in (free, l1, l2)]
    assert all(small < 0.7 * large for net in sizes[1:] for small, large in zip(net, sizes[0], strict=True))
    tiny = [float(np.mean([(np.abs(W) < 0.01).mean() for W in net.weights])) for net in (free, l1, l2)]
    assert tiny[1] > tiny[0] + 0.2  # only l1 does away with weights
    assert l1.evaluate(*toy)["accuracy"] > 0.95


def test_lbfgs_searches_the_penalised_loss_and_has_nothing_to_clip(backend, toy):
    pytest.importorskip("scipy")
    nets = [network(backend, "float64", l1=0.0, l2=l2, max_norm=None) for l2 in (0.01, 0.0)]
    for net, decay in zip(nets, (0.0, 0.01), strict=True):
        net.fit(*toy, epochs=20, optimizer=fastmlp.LBFGS(weight_decay=decay))
    for one, other in zip(nets[0].weights, nets[1].weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)
    for clip in ({"clip_norm": 1.0}, {"clip_value": 1.0}):
        with pytest.raises(ValueError, match="are for steps, of which LBFGS makes none"):
            nets[0].fit(*toy, optimizer=fastmlp.LBFGS(), **clip)
    with pytest.raises(ValueError, match="max_norm bounds the weights after each step, of which LBFGS makes none"):
        network(backend).fit(*toy, optimizer=fastmlp.LBFGS())


def test_bounds_keep_units_short(backend, toy):
    net = fastmlp.MLP([2, 9, 3], output="softmax", seed=3, backend=backend, max_norm=1.0)
    assert max(np.linalg.norm(W, axis=0).max() for W in net.weights) > 1.0  # initial weights are as they were drawn
    net.step(*toy, optimizer=fastmlp.SGD(1.0))
    assert max(np.linalg.norm(W, axis=0).max() for W in net.weights) < 1.0 + 1e-6
    before = net.weights
    for call in (net.predict, net.evaluate, net.loss_and_grad):
        call(*(toy if call != net.predict else toy[:1]))
    assert all((one == other).all() for one, other in zip(net.weights, before, strict=True))


# ---- breaks ---------------------------------------------------------------------------------------------------------


@each_clip
def test_fit_twice_is_fit_once_by_way_of_a_file_a_pickle_and_a_copy(backend, toy, tmp_path, clip):
    whole, parts = network(backend), network(backend)
    asked = {"batch_size": 16, "optimizer": fastmlp.Adam(0.01)} | clip
    whole.fit(*toy, epochs=8, **asked)
    ways = [pickle.loads, copy.deepcopy, None]
    for way in ways:
        parts.fit(*toy, epochs=2, **asked)
        if way is None:
            parts.save(tmp_path / "m")
            parts = fastmlp.load(tmp_path / "m", backend=backend)
        else:
            parts = way(pickle.dumps(parts) if way is pickle.loads else parts)
    parts.fit(*toy, epochs=2, **asked)
    assert parameters(parts) == parameters(whole)
    assert parts.n_steps == whole.n_steps == 80
    assert len({parameters(net) for net in (whole, network(backend))}) == 2


@each_clip
def test_steps_and_epochs_are_the_same_updates(backend, toy, clip):
    X, y = toy
    net, steps = network(backend), network(backend)
    net.fit(X, y, epochs=2, batch_size=40, shuffle=False, **clip)
    for _ in range(2):
        for start in range(0, len(X), 40):
            steps.step(X[start : start + 40], y[start : start + 40], **clip)
    assert parameters(steps) == parameters(net)


class Stop(Exception):
    pass


@each_clip
def test_a_training_that_was_interrupted_goes_on_to_the_same_bits(backend, toy, clip):
    def stop(net, logs):
        if net.n_epochs == 3:
            raise Stop

    whole, broken = network(backend), network(backend)
    whole.fit(*toy, epochs=5, **clip)
    with pytest.raises(Stop):
        broken.fit(*toy, epochs=9, callbacks=[stop], **clip)
    assert broken.n_epochs == 3
    broken.fit(*toy, epochs=2, **clip)
    assert parameters(broken) == parameters(whole)


def test_clipping_is_for_the_call_that_asks_for_it(backend, toy):
    """And does something."""
    results = set()
    for clips in ([{}, {}], [{"clip_norm": 0.1}, {}], [{"clip_norm": 0.1}] * 2, [{}, {"clip_value": 0.01}]):
        net = network(backend)
        for clip in clips:
            net.fit(*toy, epochs=1, optimizer=fastmlp.SGD(0.1), **clip)
        results.add(parameters(net))
    assert len(results) == 4


@each_clip
def test_a_clipped_training_diverges_as_any_other(backend, clip):
    net = fastmlp.MLP([1, 1], init="zeros", backend=backend)
    with pytest.raises(fastmlp.TrainingDiverged, match="the loss became inf in epoch 1, step 1 of 1"):
        net.fit([[1.0]], [1e30], epochs=1, **clip)
    assert net.weights[0] == 0


def test_the_number_of_threads_is_found_for_clipped_steps(toy):
    if fastmlp.MLP([2, 1]).backend != "cython":
        pytest.skip("needs the compiled extension")
    X, y = np.tile(toy[0], (40, 1)), np.tile(toy[1], 40)
    nets = []
    for threads in (1, 2, None):
        nets.append(network("cython"))
        nets[-1].fit(X, y, epochs=3, threads=threads, clip_norm=0.1)
    assert len({parameters(net) for net in nets}) == 1
    if fastmlp.get_num_threads() > 1:
        assert "batches of 32: " in "\n".join(nets[2]._learner.engine.explain_threads())


def test_a_profile_has_the_time_of_clipping_and_of_bounds(backend, toy):
    net = network(backend)
    net.fit(*toy, epochs=3, clip_norm=0.1, profile=True)
    assert net.profile_.seconds["update"] > 0
    assert sum(net.profile_.seconds.values()) <= net.profile_.wall * net.profile_.threads * 1.01
