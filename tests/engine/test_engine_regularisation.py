"""Clipped gradients and penalised weights: the same bits on every ISA and number of threads; numbers as in NumPy."""

import dataclasses

import numpy as np
import pytest
from both_engines import CLOSE, pair
from compiled import ISAS, Engine
from engine_calls import gradient_of, layers_of, states_of
from random_networks import central_differences, fill, flat, targets, with_state

from fastmlp import reference
from fastmlp.spec import SGD, AdamW, Clip, NetworkSpec, Run

#: Name: arguments of the network, arguments of a run. Norms that bind in every step, and values that bind in some.
SETTINGS = {
    "clip_norm": ({}, {"clip_norm": 0.02}),
    "clip_value": ({}, {"clip_value": 1e-3}),
    "l1": ({"l1": 0.01}, {}),
    "l2": ({"l2": 0.02}, {}),
    "max_norm": ({"max_norm": 0.9}, {}),
    "all": ({"l1": 0.01, "l2": 0.02, "max_norm": 0.8}, {"clip_norm": 0.03}),
    "both_by_norm": ({"l1": 0.01, "l2": 0.02}, {"clip_norm": 0.3}),
    "both_by_value": ({"l1": 0.01, "l2": 0.02}, {"clip_value": 0.011}),
}
#: Sizes, batch and rows: batches cut and shared in every way; layers of which some or all ISAs update W^T.
WAYS = {
    "rows": ((13, 21, 5), 40, 100),
    "panels": ((37, 45, 33), 2, 9),
    "two microbatches": ((5, 3, 1), 300, 700),
    "microbatches": ((37, 45, 33), 1100, 1500),
    "parts": ((290, 300, 9), 1000, 1300),
    "narrow": ((133, 33, 14, 5, 2), 30, 70),
    "tall": ((700, 12), 16, 32),
}
RULES = {"sgd": SGD(0.05, momentum=0.9, weight_decay=0.01), "adamw": AdamW(0.01, weight_decay=0.1)}
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
each_setting = pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
each_kind = pytest.mark.parametrize("kind", [reference.Engine, Engine], ids=["numpy", "compiled"])


def problem(way, dtype="float32", **penalties):
    sizes, batch_size, n = way
    spec = NetworkSpec.make(sizes, "tanh", dtype=dtype, **penalties)
    rng = np.random.default_rng(0)
    return spec, rng.normal(size=(n, sizes[0])), targets(spec, n), rng.permutation(n), batch_size, rng.random(n)


def train(engine, X, y, order, batch_size, weight, threads=1, optimizer=RULES["sgd"], **run):
    """Losses, squared weights, parameters, state, the loss and its gradient afterwards, and the penalty, by name."""
    losses, squared = np.full((2, -(-len(order) // batch_size)), np.nan)
    engine.use_optimizer(optimizer.name)
    table = optimizer.scalars(0, len(losses))
    outcome = engine.train(Run(X, y, weight, order, batch_size, table, losses, squared, **run), threads)
    assert outcome.status == "done"
    value, *gradient = gradient_of(engine, X, y, weight, max(threads, 1))
    return {
        "losses": losses,
        "squared weights": squared,
        "parameters": flat(layers_of(engine)),
        "state": np.concatenate([flat(slot) for slot in states_of(engine)]),
        "loss": np.array(value),
        "gradient": flat(gradient),
        "penalty": np.array(engine.penalty()),
    }


def bits(found):
    return {name: array.tobytes() for name, array in found.items()}


def test_everything_there_is_has_a_setting():
    assert {key for _, run in SETTINGS.values() for key in run} == {f"clip_{field}" for field in Clip._fields}
    assert {key for network, _ in SETTINGS.values() for key in network} == {"l1", "l2", "max_norm"}
    fields = {field.name for field in dataclasses.fields(Run)}
    assert {f"clip_{field}" for field in Clip._fields} == {field for field in fields if field.startswith("clip")}


# ---- bits -----------------------------------------------------------------------------------------------------------


@each_way
@each_setting
@each_dtype
def test_same_bits_on_every_isa_and_number_of_threads(dtype, setting, way):
    network, run = setting
    spec, *data = problem(way, dtype, **network)
    plain = bits(train(fill(Engine(NetworkSpec.make(way[0], "tanh", dtype=dtype)), spec), *data))
    wanted = bits(train(fill(Engine(spec, "scalar"), spec), *data, **run))
    assert wanted["parameters"] != plain["parameters"]
    for isa in ISAS:
        for threads in (2, 3, -2) if isa == ISAS[0] else (2,):
            found = bits(train(fill(Engine(spec, isa), spec), *data, threads, **run))
            assert [name for name in wanted if found[name] != wanted[name]] == [], (isa, threads)


@each_way
@each_setting
def test_a_hook_that_only_looks_at_the_gradient_changes_no_bit(setting, way):
    network, run = setting
    spec, *data = problem(way, **network)
    norms = []
    wanted = bits(train(fill(Engine(spec), spec), *data, 2, **run))
    look = {"at_gradient": lambda step, gradient: norms.append(gradient.squared_norm())}
    assert bits(train(fill(Engine(spec), spec), *data, 2, **run, **look)) == wanted
    if "clip_norm" in run:  # what a hook is shown is not yet clipped
        assert all(norm > run["clip_norm"] ** 2 for norm in norms)


@each_way
@pytest.mark.parametrize("clip", [{"clip_norm": 1e9}, {"clip_value": 1e9}], ids=["norm", "value"])
@each_kind
def test_a_clip_that_never_binds_changes_no_bit(kind, clip, way):
    spec, *data = problem(way)
    plain, clipped = (train(fill(kind(spec), spec), *data, **run) for run in ({}, clip))
    assert bits(plain) == bits(clipped)


@each_setting
@pytest.mark.parametrize("batch_size", [32, 600])
def test_a_run_cut_in_two_gives_the_same_bits_as_a_whole_one(setting, batch_size):
    network, run = setting
    spec, X, y, order, _, weight = problem(((37, 20, 3), batch_size, 1300), **network)
    whole, halves = (fill(Engine(spec), spec) for _ in range(2))
    rule, steps = with_state("adam"), -(-len(order) // batch_size)
    losses = np.empty((2, steps))
    for engine in (whole, halves):
        engine.use_optimizer(rule.name)
    whole.train(Run(X, y, weight, order, batch_size, rule.scalars(0, steps), losses[0], **run), -2)
    for start, stop in ((0, 1), (1, steps)):
        rows = order[start * batch_size : stop * batch_size]
        table = rule.scalars(start, stop - start)
        halves.train(Run(X, y, weight, rows, batch_size, table, losses[1, start:stop], **run), 2)
    assert losses[0].tobytes() == losses[1].tobytes()
    assert flat(layers_of(whole)).tobytes() == flat(layers_of(halves)).tobytes()


# ---- numbers --------------------------------------------------------------------------------------------------------


@each_way
@each_setting
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_train(rule, setting, way):
    network, run = setting
    spec, *data = problem(way, "float64", **network)
    ours, theirs = (train(engine, *data, optimizer=rule, **run) for engine in pair(spec))
    for name, array in ours.items():
        np.testing.assert_allclose(array, theirs[name], rtol=1e-9, atol=1e-11, err_msg=name)


@each_dtype
@each_kind
@pytest.mark.parametrize(
    "penalties", [{"l1": 0.1}, {"l2": 0.3}, {"l1": [0.1, 0.0, 0.3], "l2": [0.0, 0.0, 0.2]}], ids=str
)
def test_penalties_are_what_the_formula_says(penalties, kind, dtype):
    spec, X, y, _, _, weight = problem(((37, 20, 13, 3), 8, 9), dtype, **penalties)
    plain = NetworkSpec.make(spec.sizes, "tanh", dtype=dtype)
    engine, without = fill(kind(spec), spec), fill(kind(plain), plain)
    weights = [W.astype("f8") for W in layers_of(engine)[0]]
    weights[0][3], weights[2][1] = 0.0, -0.0  # where the slope of |w| is 0
    engine.write({f"layers.{i}.{kind}": array.astype(dtype) for i in range(3) for kind, array in (
        ("weight", weights[i]), ("bias", np.ones(spec.sizes[i + 1]))
    )})  # fmt: skip
    without.write(engine.read())
    penalty = sum(
        l1 * np.abs(W).sum() + l2 / 2 * (W**2).sum() for W, (l1, l2) in zip(weights, spec.penalties, strict=True)
    )
    assert engine.penalty() == pytest.approx(penalty, rel=1e-6 if dtype == "float32" else 1e-13)
    assert without.penalty() == 0
    (loss, dW, db), (bare, dW0, db0) = (gradient_of(each, X, y, weight, 1) for each in (engine, without))
    assert loss == bare + engine.penalty()
    for W, (l1, l2), found, unpenalised in zip(weights, spec.penalties, dW, dW0, strict=True):
        np.testing.assert_allclose(found, unpenalised + l1 * np.sign(W) + l2 * W, **CLOSE[dtype])
        assert found.dtype == dtype
    assert [b.tobytes() for b in db] == [b.tobytes() for b in db0]


@each_kind
@pytest.mark.parametrize(
    "penalties", [{"l1": 0.1}, {"l2": 0.3}, {"l1": [0.1, 0.2, 0.0], "l2": [0.0, 0.3, 0.1]}], ids=str
)
def test_the_gradient_of_a_penalised_loss_by_central_differences(penalties, kind):
    spec, X, y, _, _, weight = problem(((9, 20, 13, 3), 8, 31), "float64", **penalties)
    engine = fill(kind(spec), spec)
    assert min(np.abs(W).min() for W in layers_of(engine)[0]) > 1e-5  # no step crosses a kink
    loss, *gradient = gradient_of(engine, X, y, weight, 1)
    out, row_loss = np.empty((31, 3)), np.empty(31)

    def losses():
        engine.evaluate(X, y, out, row_loss, 1)
        return np.append(weight * row_loss / weight.sum(), engine.penalty())

    assert losses().sum() == pytest.approx(loss, rel=1e-14)
    places = np.arange(0, flat(gradient).size, 3)
    slopes = central_differences(engine, losses, 2e-6, places)
    found = flat(gradient)[places]
    assert np.linalg.norm(found - slopes) <= 1e-6 * np.linalg.norm(slopes)


@each_kind
@each_dtype
@pytest.mark.parametrize("share", [0.999, 0.5, 1e-3])
def test_a_clipped_step_is_along_the_gradient_and_of_the_norm_that_is_asked_for(share, dtype, kind):
    spec, X, y, _, _, weight = problem(((37, 20, 13, 3), 9, 9), dtype, l1=0.1)
    engine = fill(kind(spec), spec)
    gradient, before = flat(gradient_of(engine, X, y, weight, 1)[1:]).astype("f8"), flat(layers_of(engine)).astype("f8")
    norm = np.linalg.norm(gradient)
    for clip, wanted in (
        ({"clip_norm": share * norm}, gradient * (share * norm / (norm + 1e-6))),
        ({"clip_value": share / 10}, np.clip(gradient, -share / 10, share / 10)),
    ):
        train(fill(engine, spec), X, y, np.arange(9), 9, weight, optimizer=SGD(0.5), **clip)
        moved = (before - flat(layers_of(engine))) / 0.5
        np.testing.assert_allclose(moved, wanted, rtol=1e-5, atol=1e-6 if dtype == "float32" else 1e-13)
    assert np.linalg.norm(wanted) < norm


@each_kind
def test_what_a_hook_leaves_is_clipped(kind):
    spec, *data = problem(WAYS["rows"])
    plain, hooked = fill(kind(spec), spec), fill(kind(spec), spec)

    def enlarge(step, gradient):
        gradient.write({name: 64 * tensor for name, tensor in gradient.read().items()})

    wanted = train(plain, *data, clip_norm=1e-3)
    found = train(hooked, *data, clip_norm=1e-3, at_gradient=enlarge)
    np.testing.assert_allclose(found["parameters"], wanted["parameters"], rtol=1e-4, atol=1e-6)
    assert bits(found) != bits(wanted)  # 1e-6 is less of a larger norm


@each_way
@each_dtype
@each_kind
def test_units_are_bounded_after_every_update(kind, dtype, way):
    """Those that are too long, and those that are not are left alone."""
    spec, *data = problem(way, dtype)
    bound = np.median(np.concatenate([np.linalg.norm(W, axis=0) for W in layers_of(fill(kind(spec), spec))[0]])).item()
    bounds = [bound, None, 0.9 * bound, 1.1 * bound][: len(spec.sizes) - 1]
    bounded = NetworkSpec.make(spec.sizes, "tanh", dtype=dtype, max_norm=bounds)
    X, y, order, batch_size, weight = data
    plain, net = fill(kind(spec), spec), fill(kind(bounded), bounded)
    for start in range(0, len(order), batch_size):
        plain.write(net.read())
        rows = order[start : start + batch_size]
        for engine in (plain, net):
            train(engine, X, y, rows, batch_size, weight, optimizer=SGD(0.1))
        for W, free, most in zip(layers_of(net)[0], layers_of(plain)[0], bounds, strict=True):
            norms = np.linalg.norm(free.astype("f8"), axis=0)
            long = norms > (np.inf if most is None else most * (1 + 1e-6))
            short = norms < (np.inf if most is None else most * (1 - 1e-6))
            assert W[:, short].tobytes() == free[:, short].tobytes()
            if long.any():
                wanted = free[:, long].astype("f8") * (most / (norms[long] + 1e-7))
                np.testing.assert_allclose(W[:, long], wanted, rtol=1e-5 if dtype == "float32" else 1e-13)
        assert flat(([], layers_of(net)[1])).tobytes() == flat(([], layers_of(plain)[1])).tobytes()
    found = [engine.trace(X[:8], y[:8], 1) for engine in (net, fill_from(kind(spec), net))]  # by both copies of weights
    for one, other in zip(*found, strict=True):
        assert [array.tobytes() for array in one] == [array.tobytes() for array in other]


def fill_from(engine, other):
    """An engine with the parameters of another, whose second copies of the weights are made anew."""
    engine.write(other.read())
    return engine


@each_kind
def test_an_l2_penalty_is_the_weight_decay_of_sgd(kind):
    spec, *data = problem(WAYS["narrow"])
    penalised = NetworkSpec.make(spec.sizes, "tanh", l2=0.125)
    decayed = train(fill(kind(spec), spec), *data, optimizer=SGD(0.5, weight_decay=0.125))
    found = train(fill(kind(penalised), spec), *data, optimizer=SGD(0.5))
    for name in ("parameters", "state"):
        assert found[name].tobytes() == decayed[name].tobytes()
    np.testing.assert_allclose(found["losses"], decayed["losses"] + 0.0625 * decayed["squared weights"], rtol=1e-5)
