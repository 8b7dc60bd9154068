"""What the engine's calls refuse, and what they hand out: tensors by name and kind, weights of batches, counts."""

import numpy as np
import pytest
import random_networks as nets
from compiled import Engine
from engine_calls import layers_of, set_layers
from random_networks import fill, flat, targets, train

from fastmlp import reference
from fastmlp import spec as specs
from fastmlp.passes import kernels
from fastmlp.spec import NetworkSpec


def call(engine, method, **changes):
    """One valid call with some arguments replaced."""
    X, n = np.ones((6, 3)), 6
    arguments = {
        "predict": {"X": X, "out": np.empty((n, 2), "float32"), "threads": 1},
        "evaluate": {
            "X": X, "y": np.ones((n, 2)), "out": np.empty((n, 2), "float32"), "row_loss": np.empty(n), "threads": 1,
        },
        "gradient": {"X": X, "y": np.ones((n, 2)), "weight": None, "threads": 1},
        "trace": {"X": X, "y": np.ones((n, 2)), "threads": 1},
        "train": {
            "X": X, "y": np.ones((n, 2)), "order": np.arange(n), "batch_size": 2,
            "table": specs.SGD(0.1).scalars(0, 3), "weight": None, "losses": np.empty(3), "threads": 1,
        },
    }[method]  # fmt: skip
    chosen = arguments | changes
    if method == "train":
        threads = chosen.pop("threads")
        return engine.train(specs.Run(**chosen), threads)
    return getattr(engine, method)(**chosen)


WRONG = [
    *[
        (method, {"X": X}, error)
        for method in ("predict", "evaluate", "gradient", "trace", "train")
        for X, error in [
            (np.ones((6, 4)), ValueError),
            (np.ones((6, 2)), ValueError),
            (np.ones(6), ValueError),
            (np.ones((6, 3, 1)), TypeError),
            (np.ones((6, 3), ">f8"), TypeError),
            (np.ones((6, 3), complex), TypeError),
            (np.ones((6, 3), "uint16"), TypeError),
            (np.ones((6, 3), bool), TypeError),
        ]
    ],
    *[
        (method, {"y": y}, error)
        for method in ("evaluate", "gradient", "trace", "train")
        for y, error in [
            (np.ones((6, 1)), ValueError),
            (np.ones((6, 3)), ValueError),
            (np.ones((5, 2)), ValueError),
            (np.ones((7, 2)), ValueError),
            (np.ones((6, 2), ">f4"), TypeError),
            (np.ones(6), TypeError),
            (np.ones(6, np.int64), TypeError),
            (np.ones(5, np.int32), ValueError),
            (np.full(6, 2, np.int32), ValueError),
            (np.full(6, -1, np.int32), ValueError),
        ]
    ],
    *[
        ("trace", {"by_outputs": by_outputs}, ValueError)
        for by_outputs in (
            np.ones((6, 3), "float32"),
            np.ones((5, 2), "float32"),
            np.ones((6, 2)),
            np.ones(12, "float32"),
        )
    ],
    ("predict", {"out": np.empty((6, 3), "float32")}, ValueError),
    ("predict", {"out": np.empty((5, 2), "float32")}, ValueError),
    ("predict", {"out": np.empty((6, 2), "float64")}, ValueError),
    ("predict", {"out": np.empty((6, 4), "float32")[:, ::2]}, ValueError),
    ("predict", {"out": np.empty((2, 6), "float32").T}, ValueError),
    ("evaluate", {"row_loss": np.empty(5)}, ValueError),
    ("evaluate", {"row_loss": np.empty(7)}, ValueError),
    ("evaluate", {"row_loss": np.empty(6, "float32")}, ValueError),
    ("evaluate", {"row_loss": np.empty(12)[::2]}, ValueError),
    ("evaluate", {"row_loss": None}, TypeError),
    *[
        (method, {"weight": weight}, ValueError)
        for method in ("gradient", "train")
        for weight in (np.ones(5), np.ones(7), np.ones(6, "float32"), np.ones((6, 1)), np.ones(12)[::2])
    ],
    ("train", {"order": np.array([0, 1, 2, 3, 4, 6])}, ValueError),
    ("train", {"order": np.array([0, 1, 2, 3, 4, -1])}, ValueError),
    ("train", {"order": np.arange(6, dtype=np.int32)}, ValueError),
    ("train", {"order": np.arange(12)[::2]}, ValueError),
    ("train", {"order": np.arange(5), "batch_size": 1}, ValueError),
    ("train", {"order": None}, TypeError),
    ("train", {"batch_size": 0}, ValueError),
    ("train", {"batch_size": -2}, ValueError),
    ("train", {"batch_size": 3}, ValueError),
    ("train", {"losses": np.empty(2)}, ValueError),
    ("train", {"losses": np.empty(4)}, ValueError),
    ("train", {"losses": np.empty(3, "float32")}, ValueError),
    ("train", {"squared_weights": np.empty(2)}, ValueError),
    ("train", {"squared_weights": np.empty(4)}, ValueError),
    ("train", {"table": specs.SGD(0.1).scalars(0, 2)}, ValueError),
    ("train", {"table": specs.SGD(0.1).scalars(0, 3).astype("float32")}, ValueError),
    ("train", {"table": np.ones(3)}, ValueError),
    ("train", {"table": specs.SGD(0.1).scalars(0, 3, 0, (1.0, 2.0))}, ValueError),
    ("train", {"groups": (0, 0, 0)}, ValueError),
    ("train", {"groups": (0, 0, 0, 1)}, ValueError),
    ("train", {"groups": (0, 0, -1, 0)}, ValueError),
    ("train", {"groups": (0, 0, 0, 0), "table": np.ones((3, 9))}, ValueError),
    ("train", {"groups": [0, 0, 0, 0]}, TypeError),
]


@pytest.mark.parametrize(("method", "changes", "error"), WRONG)
def test_wrong_arrays_are_refused_and_change_nothing(method, changes, error):
    spec = NetworkSpec.make([3, 5, 2], output="softmax", loss="cross_entropy")
    engine = fill(Engine(spec), spec)
    engine.use_optimizer("sgd")
    before = flat(layers_of(engine)).tobytes()
    with pytest.raises(error):
        call(engine, method, **changes)
    assert flat(layers_of(engine)).tobytes() == before
    call(engine, method)


def test_read_only_results_are_refused():
    spec = NetworkSpec.make([3, 5, 2])
    engine = fill(Engine(spec), spec)
    engine.use_optimizer("sgd")
    for method, name, array in (
        ("predict", "out", np.zeros((6, 2), "float32")),
        ("evaluate", "row_loss", np.zeros(6)),
        ("train", "losses", np.zeros(3)),
    ):
        array.flags.writeable = False
        with pytest.raises(ValueError, match="read-only"):
            call(engine, method, **{name: array})
        assert not array.any()


def test_training_needs_an_optimizer():
    engine = Engine(NetworkSpec.make([3, 5, 2]))
    with pytest.raises(ValueError, match="optimizer"):
        call(engine, "train")
    with pytest.raises(ValueError, match="lbfgs"):
        engine.use_optimizer("lbfgs")
    engine.use_optimizer("adam")
    with pytest.raises(ValueError, match="tensors are"):
        engine.write({}, "state.0")


@pytest.fixture(params=["numpy", "compiled"])
def either(request):
    """An engine of each backend for a small network, and its specification."""
    spec = NetworkSpec.make([3, 5, 2])
    return fill(reference.Engine(spec) if request.param == "numpy" else Engine(spec), spec), spec


def test_tensors_are_read_and_written_by_name_and_kind(either):
    engine, _ = either
    names = ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"]
    assert engine.kinds == ("parameters",)
    assert list(engine.read()) == names
    assert [tensor.shape for tensor in engine.read("parameters").values()] == [(3, 5), (5,), (5, 2), (2,)]
    engine.use_optimizer("adam")
    assert engine.kinds == ("parameters", "state.0", "state.1")
    for number, kind in enumerate(engine.kinds):
        engine.write({name: tensor + number for name, tensor in engine.read().items()}, kind)
    for name, tensor in engine.read().items():
        np.testing.assert_array_equal(engine.read("state.1")[name], tensor + np.float32(2))
    engine.use_optimizer("adam")
    assert not any(tensor.any() for kind in engine.kinds[1:] for tensor in engine.read(kind).values())
    for kind in ("gradient", "state.2", "weights", None):
        with pytest.raises(ValueError, match=r"kind must be one of 'parameters', 'state.0', 'state.1', got "):
            engine.read(kind)
        with pytest.raises(ValueError, match=r"kind must be one of 'parameters', 'state.0', 'state.1', got "):
            engine.write(engine.read(), kind)
    tensors = engine.read()
    for wrong in ({}, tensors | {"layers.2.bias": tensors["layers.1.bias"]}, dict(list(tensors.items())[1:])):
        with pytest.raises(ValueError, match=r"tensors are .*; they must be layers.0.weight, layers.0.bias"):
            engine.write(wrong)


def test_the_gradient_stays_until_the_next(either):
    engine, spec = either
    X, y, filled = np.random.default_rng(0).normal(size=(6, 3)), targets(spec, 6), {}
    loss = engine.gradient(X, y, None, 1, filled)
    assert engine.kinds == ("parameters", "gradient")
    train(engine, X, y, np.arange(6), 2, nets.OPTIMIZERS["sgd"])
    kept = engine.read("gradient")
    assert list(kept) == list(engine.read())
    assert all(kept[name].tobytes() == tensor.tobytes() for name, tensor in filled.items())
    assert engine.gradient(X, y, None, 1) < loss
    assert not any((kept[name] == tensor).all() for name, tensor in engine.read("gradient").items())


def test_the_count_of_updates_can_be_set(either):
    engine, _ = either
    engine.use_optimizer("adam")
    assert engine.n_steps == 0
    engine.n_steps = 7
    copy = engine.copy()
    engine.use_optimizer("adam")
    assert engine.n_steps == 0
    engine.restore(copy)
    assert engine.n_steps == 7


@pytest.mark.parametrize("weighted", [False, True])
def test_a_run_says_what_its_batches_weigh(either, weighted):
    engine, spec = either
    rng = np.random.default_rng(0)
    X, y, order = rng.normal(size=(20, 3)), targets(spec, 20), rng.permutation(20)
    weight = rng.random(20) if weighted else None
    outcome, _ = train(engine, X, y, order, 6, nets.OPTIMIZERS["sgd"], weight=weight)
    wanted = [len(rows) if weight is None else weight[rows].sum() for rows in np.split(order, [6, 12, 18])]
    np.testing.assert_allclose(outcome.weight_sums, wanted, rtol=1e-15)
    assert outcome.weight_sums.tobytes() == engine.weight_sums(weight, order, 6).tobytes()


@pytest.mark.parametrize("name", specs.OPTIMIZER_NAMES)
def test_rows_of_scalars_have_the_optimizers_length(name):
    engine = Engine(NetworkSpec.make([3, 5, 2]))
    engine.use_optimizer(name)
    length = len(kernels.optimizers()[name]["columns"])
    for columns in {0, 1, length - 1, length + 1}:
        with pytest.raises(ValueError, match="table"):
            call(engine, "train", table=np.ones((3, columns)))
    call(engine, "train", table=np.ones((3, length)))


def test_wrong_parameters_are_refused_and_change_nothing():
    spec = NetworkSpec.make([3, 5, 2])
    engine = fill(Engine(spec), spec)
    before = flat(layers_of(engine)).tobytes()
    weights, biases = layers_of(engine)
    wrong = [
        ([weights[0], weights[1].T], biases),
        ([weights[0] + 1, weights[1].astype("float64")], biases),
        ([weights[0] + 1, weights[1]], [biases[0], biases[1][:1]]),
        ([weights[0] + 1], biases),
        ([weights[0] + 1, weights[1]], biases[:1]),
    ]
    for attempt in wrong:
        with pytest.raises((ValueError, IndexError)):
            set_layers(engine, *attempt)
        assert flat(layers_of(engine)).tobytes() == before


def test_an_engine_of_an_unknown_isa():
    with pytest.raises(ValueError, match=r"isa is 'sse9'; this machine can run: .*scalar"):
        Engine(NetworkSpec.make([1, 1]), "sse9")
