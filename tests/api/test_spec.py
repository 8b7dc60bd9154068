"""What a user may say, what is refused and how, and the scalars of the optimizers."""

import copy
import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmlp import spec
from fastmlp.spec import (
    ELU,
    SGD,
    Activation,
    Adam,
    CrossEntropy,
    Interval,
    Layer,
    LeakyReLU,
    Loss,
    NetworkSpec,
    Optimizer,
    Poisson,
    Softplus,
    SquaredError,
    as_activation,
    as_loss,
    as_optimizer,
)

OPTIMIZER_OBJECTS = [
    *(kind() for kind in spec.OPTIMIZERS.values()),
    SGD(0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
    Adam(0.01, beta1=0.0, beta2=0.99, epsilon=1e-6, weight_decay=0.1),
    SGD(0.1, momentum=0.9, dampening=0.5),
    spec.Adagrad(0.1, learning_rate_decay=0.1),
    spec.RAdam(beta2=0.5),
    spec.NAdam(momentum_decay=0.0),
]


# --- names -------------------------------------------------------------------------------------------------


def test_a_name_stands_for_the_class_with_its_default_parameters():
    for kinds, mean, base in [
        (spec.ACTIVATIONS, as_activation, Activation),
        (spec.LOSSES, as_loss, Loss),
        (spec.OPTIMIZERS, as_optimizer, Optimizer),
    ]:
        for name, kind in kinds.items():
            assert mean(name) == mean(kind()) == kind()
            assert (kind.name, issubclass(kind, base)) == (name, True)


def test_activations_with_a_parameter():
    assert as_activation("leaky_relu") == LeakyReLU() == LeakyReLU(0.01) != LeakyReLU(0.02)
    assert as_activation("elu") == ELU() == ELU(alpha=1.0) != LeakyReLU(1.0)
    assert LeakyReLU(np.float32(0.5)).params == (0.5,)
    assert type(ELU(2).alpha) is float
    assert math.copysign(1.0, LeakyReLU(-0.0).slope) == 1.0
    assert as_activation("tanh").params == ()
    assert as_activation("softplus") == Softplus() == Softplus(beta=1)
    with pytest.raises(ValueError, match="beta must be > 0"):
        Softplus(0.0)
    assert as_activation("swish") == as_activation("silu")


class Cube(Activation):
    name = "cube"


class Gap(Loss):
    name = "gap"


@pytest.mark.parametrize(
    "use",
    [
        lambda: NetworkSpec.make([1, 1, 1], Cube()),
        lambda: NetworkSpec.make([1, 1], output=Cube()),
        lambda: NetworkSpec.make([1, 1], loss=Gap()),
        lambda: NetworkSpec.make([1, 1], loss=Loss()),
        lambda: as_activation(Activation()),
        lambda: as_optimizer(Optimizer()),
    ],
)
def test_an_operation_that_no_kernel_knows_is_refused(use):
    with pytest.raises((TypeError, ValueError), match="must be (one of|a str)"):
        use()


@pytest.mark.parametrize("name", spec.LOSS_NAMES)
def test_what_a_loss_says_of_itself(name):
    loss = as_loss(name)
    assert loss.output in ("", *spec.ACTIVATION_NAMES)
    assert loss.metric in ("accuracy", "r2", "d2", "cosine_similarity")
    assert loss.target_width(6) == 6 // loss.heads
    assert loss.targets.holds(np.array([0.25, 0.75]))
    if loss.output:
        first = next(kind for kind in spec.LOSSES.values() if kind.output == loss.output)
        assert spec.loss_of_output(loss.output) == first()


@pytest.mark.parametrize("name", spec.LOSS_NAMES)
def test_a_deviance_is_zero_where_nothing_is_left_to_explain(name):
    loss, y = as_loss(name), np.array([0.5, 2.0])
    if loss.metric in ("accuracy", "cosine_similarity"):
        with pytest.raises(NotImplementedError, match=name):
            loss.deviance(y, y)
    else:
        assert np.abs(loss.deviance(y, y)).max() <= (1e-15 if name == "tweedie" else 0.0)  # whose terms do not cancel
        assert (loss.deviance(y, y + 1) > 0).all()


@pytest.mark.parametrize(
    ("interval", "inside", "outside", "rule"),
    [
        (Interval(), [-1e300, 0.0, 1e300], [], "be finite"),
        (Interval(0), [0.0, 7.0], [-1e-9], "be at least 0"),
        (Interval(0, 1), [0.0, 0.5, 1.0], [-0.5, 1.5], "lie in [0, 1]"),
        (Interval(0, above=True), [1e-300, 7.0], [0.0, -1e-9], "be greater than 0"),
        (Interval(-1, 1), [-1.0, 1.0], [-1.5, 1.5], "lie in [-1, 1]"),
    ],
)
def test_intervals(interval, inside, outside, rule):
    assert interval.rule == rule
    assert interval.holds(np.array(inside))
    assert interval.holds(np.empty(0))
    assert not interval.outside(np.array(inside)).any()
    for value in outside:
        values = np.array([*inside, value])
        assert not interval.holds(values)
        assert interval.outside(values).tolist() == [False] * len(inside) + [True]


def test_aliases():
    assert as_activation("linear") == as_activation("identity")
    assert as_activation("sigmoid").name == "logistic"
    assert NetworkSpec.make([2, 2, 1], "sigmoid", "linear").to_dict()["output"]["name"] == "identity"


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (
            lambda: as_activation("magic"),
            ValueError,
            ["activation", "magic", "'identity'", "'softplus'", "'softmax'"],
        ),
        (lambda: as_activation(None), TypeError, ["activation", "None"]),
        (lambda: LeakyReLU(-0.1), ValueError, ["slope", "-0.1", ">= 0"]),
        (lambda: LeakyReLU(math.nan), ValueError, ["slope", "nan", "finite"]),
        (lambda: LeakyReLU("0.1"), TypeError, ["slope", "str"]),
        (lambda: LeakyReLU(None), TypeError, ["slope", "None"]),
        (lambda: ELU(math.inf), ValueError, ["alpha", "inf"]),
        (lambda: ELU(10**400), ValueError, ["alpha", "finite"]),
        (lambda: as_activation(3), TypeError, ["activation", "3", "int"]),
        (lambda: as_activation("x" * 10_000, "output"), ValueError, ["output", "..."]),
        (
            lambda: as_loss("mean_square_error"),
            ValueError,
            ["loss", "mean 'mean_squared_error'", "'log_cosh'"],
        ),
        (lambda: as_loss(SquaredError), TypeError, ["loss"]),
        (lambda: as_optimizer("adan"), ValueError, ["optimizer", "adan", "'sgd'", "'adam'"]),
        (lambda: as_optimizer(Adam), TypeError, ["optimizer", "Adam"]),
    ],
)
def test_errors_name_the_argument_the_value_and_the_choice(make, error, words):
    with pytest.raises(error) as caught:
        make()
    assert len(str(caught.value)) < 600
    for word in words:
        assert word in str(caught.value)


@given(st.text())
def test_unknown_names_are_refused(name):
    if name in spec.ACTIVATION_NAMES or name in spec.ACTIVATION_ALIASES:
        return
    for use in (as_activation, lambda n: NetworkSpec.make([1, 1], output=n), lambda n: NetworkSpec.make([1, 1, 1], n)):
        with pytest.raises(ValueError, match="must be one of"):
            use(name)


# --- networks ----------------------------------------------------------------------------------------------


def test_26_parameters_of_3_4_2():
    net = NetworkSpec.make([3, 4, 2])
    assert net.n_parameters == 26
    assert net.layers == (Layer(3, 4, as_activation("relu")), Layer(4, 2, as_activation("identity")))


@pytest.mark.parametrize(
    ("output", "loss", "expected"),
    [
        (None, None, ("identity", "squared_error")),
        (None, "squared_error", ("identity", "squared_error")),
        (None, CrossEntropy(), ("softmax", "cross_entropy")),
        (None, "binary_cross_entropy", ("logistic", "binary_cross_entropy")),
        ("softmax", None, ("softmax", "cross_entropy")),
        ("sigmoid", None, ("logistic", "binary_cross_entropy")),
        (None, Poisson(), ("exp", "poisson")),
        ("exp", None, ("exp", "poisson")),
        ("exp", "squared_error", ("exp", "squared_error")),
        ("tanh", None, ("tanh", "squared_error")),
        ("softmax", SquaredError(), ("softmax", "squared_error")),
        (LeakyReLU(0.2), None, ("leaky_relu", "squared_error")),
    ],
)
def test_output_and_loss_follow_each_other(output, loss, expected):
    net = NetworkSpec.make((4, 3), output=output, loss=loss)
    assert (net.output.name, net.loss.name) == expected


def test_one_activation_for_all_or_one_per_hidden_layer():
    assert NetworkSpec.make([2, 3, 4, 1], ELU(0.5)).activations == (ELU(0.5), ELU(0.5))
    assert NetworkSpec.make([2, 3, 4, 1], ["tanh", LeakyReLU()]).activations == (as_activation("tanh"), LeakyReLU())
    assert NetworkSpec.make([2, 1], "tanh").activations == NetworkSpec.make([2, 1], []).activations == ()


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("f4"), "f4"])
def test_dtypes(dtype):
    assert NetworkSpec.make([1, 1], dtype=dtype).dtype == "float32"
    assert NetworkSpec.make([1, 1], dtype=float).dtype == "float64"


@pytest.mark.parametrize("sizes", [np.array([3, 4, 2]), (3, np.int32(4), np.uint8(2)), [3, 4, 2]])
def test_sizes_may_be_any_sequence_of_integers(sizes):
    net = NetworkSpec.make(sizes)
    assert net.sizes == (3, 4, 2)
    assert [type(size) for size in net.sizes] == [int] * 3


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"sizes": [3]}, ValueError, ["sizes", "at least 2", "[3]"]),
        ({"sizes": []}, ValueError, ["sizes", "at least 2"]),
        ({"sizes": 3}, TypeError, ["sizes", "sequence", "3"]),
        ({"sizes": "32"}, TypeError, ["sizes", "'32'"]),
        ({"sizes": [3, 0, 2]}, ValueError, ["sizes[1]", "from 1", "got 0"]),
        ({"sizes": [3, -4, 2]}, ValueError, ["sizes[1]", "got -4"]),
        ({"sizes": [3, 2**31]}, ValueError, ["sizes[1]", str(2**31)]),
        ({"sizes": [2**31 - 1, 2**31 - 1]}, ValueError, ["sizes", "parameters"]),
        ({"sizes": [3, True]}, TypeError, ["sizes[1]", "True", "bool"]),
        ({"sizes": [3, 2.0]}, TypeError, ["sizes[1]", "2.0", "float"]),
        ({"sizes": [3, np.float64(2)]}, TypeError, ["sizes[1]", "float64"]),
        ({"sizes": [3, None]}, TypeError, ["sizes[1]", "None"]),
        ({"activation": ["relu", "tanh"]}, ValueError, ["activation", "(1)", "got 2"]),
        ({"activation": ["magic"]}, ValueError, ["activation[0]", "magic"]),
        ({"activation": [None]}, TypeError, ["activation[0]", "None"]),
        ({"activation": None}, TypeError, ["activation", "None"]),
        ({"output": 1}, TypeError, ["output", "1"]),
        ({"output": "relu", "loss": "cross_entropy"}, ValueError, ["output", "'softmax'", "'relu'"]),
        ({"output": "softmax", "loss": "binary_cross_entropy"}, ValueError, ["output", "'logistic'", "'softmax'"]),
        ({"loss": "log"}, ValueError, ["loss", "'log'", "'cross_entropy'"]),
        ({"dtype": "float16"}, ValueError, ["dtype", "float16", "float32", "float64"]),
        ({"dtype": "nonsense"}, ValueError, ["dtype", "nonsense"]),
        ({"dtype": None}, TypeError, ["dtype", "None"]),
    ],
)
def test_bad_networks(arguments, error, words):
    with pytest.raises(error) as caught:
        NetworkSpec.make(**{"sizes": [3, 4, 2], **arguments})
    for word in words:
        assert word in str(caught.value)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.integers(-3, 3) | st.booleans() | st.floats() | st.none() | st.text(max_size=2), max_size=4))
def test_only_integers_from_one_make_sizes(sizes):
    good = len(sizes) >= 2 and all(type(size) is int and size >= 1 for size in sizes)
    if good:
        assert NetworkSpec.make(sizes).sizes == tuple(sizes)
    else:
        with pytest.raises((TypeError, ValueError), match="sizes"):
            NetworkSpec.make(sizes)


activations = (
    st.sampled_from(spec.ACTIVATION_NAMES) | st.builds(LeakyReLU, st.floats(0, 10)) | st.builds(ELU, st.floats(0, 9))
)


@st.composite
def networks(draw):
    sizes = draw(st.lists(st.integers(1, 1000), min_size=2, max_size=5))
    hidden = draw(st.lists(activations, min_size=len(sizes) - 2, max_size=len(sizes) - 2))
    loss = as_loss(draw(st.sampled_from(spec.LOSS_NAMES)))
    output = loss.output or draw(activations)
    sizes[-1] *= loss.heads
    return NetworkSpec.make(sizes, hidden, output, loss, draw(st.sampled_from(["float32", "float64"])))


@given(networks())
def test_networks_survive_a_round_trip(net):
    assert NetworkSpec.from_dict(json.loads(json.dumps(net.to_dict()))) == net
    assert pickle.loads(pickle.dumps(net)) == net
    assert copy.deepcopy(net) == net
    assert hash(copy.deepcopy(net)) == hash(net)
    assert sum(math.prod(shape) for shape in net.shapes.values()) == net.n_parameters
    if not any(layer.activation.vectors(layer.n_out) for layer in net.layers):
        assert sum(layer.n_in * layer.n_out + layer.n_out for layer in net.layers) == net.n_parameters


def test_a_network_cannot_be_changed():
    net = NetworkSpec.make([1, 1])
    with pytest.raises(AttributeError):
        net.sizes = (2, 2)


@given(ANYTHING)
def test_hostile_values_in_place_of_a_network(data):
    with pytest.raises((TypeError, ValueError)):
        NetworkSpec.from_dict(data)


@given(networks(), st.sampled_from(["sizes", "activations", "output", "loss", "dtype"]), ANYTHING)
def test_hostile_values_in_place_of_a_part(net, key, value):
    data = {**net.to_dict(), key: value}
    try:
        made = NetworkSpec.from_dict(data)
    except (TypeError, ValueError):
        return
    assert NetworkSpec.from_dict(made.to_dict()) == made


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"sizes": [3, True, 2]},
        {"sizes": [3, 2**40, 2]},
        {"sizes": {"0": 3, "1": 2}},
        {"activations": "relu"},
        {"activations": [{"name": "relu", "param": 0.0}] * 2},
        {"activations": [{"name": "sigmoid", "param": 0.0}]},  # aliases are for people
        {"activations": [{"name": "relu"}]},
        {"activations": [{"name": "elu", "param": None}]},
        {"activations": [{"name": "relu", "param": 0.5}]},
        {"activations": [{"name": "relu", "param": "0"}]},
        {"activations": [{"name": "elu", "param": math.nan}]},
        {"output": {"name": ["relu"], "param": 0.0}},
        {"output": "identity"},
        {"loss": ["squared_error"]},
        {"loss": {"name": "squared_error", "width": 1.0}},
        {"loss": {"name": None}},
        {"dtype": "f4"},
        {"dtype": 4},
    ],
)
def test_hostile_dictionaries(change):
    data = {**NetworkSpec.make([3, 4, 2]).to_dict(), **change}
    with pytest.raises((TypeError, ValueError)):
        NetworkSpec.from_dict(data)
    with pytest.raises(ValueError, match="keys"):
        NetworkSpec.from_dict({"sizes": [1, 1]})


# --- optimizers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: SGD(0.0), ValueError, ["learning_rate", "> 0", "0.0"]),
        (lambda: SGD(-1), ValueError, ["learning_rate", "-1"]),
        (lambda: SGD(math.inf), ValueError, ["learning_rate", "finite"]),
        (lambda: SGD("0.1"), TypeError, ["learning_rate", "'0.1'"]),
        (lambda: SGD(True), TypeError, ["learning_rate", "bool"]),
        (lambda: SGD(momentum=1.0), ValueError, ["momentum", "< 1"]),
        (lambda: SGD(momentum=-0.1), ValueError, ["momentum"]),
        (lambda: SGD(nesterov=True), ValueError, ["nesterov", "momentum"]),
        (lambda: SGD(momentum=0.5, nesterov=1), TypeError, ["nesterov", "True or False"]),
        (lambda: SGD(weight_decay=-1e-9), ValueError, ["weight_decay", ">= 0"]),
        (lambda: Adam(math.nan), ValueError, ["learning_rate", "nan"]),
        (lambda: Adam(beta1=1.0), ValueError, ["beta1", "< 1"]),
        (lambda: Adam(beta2=-0.5), ValueError, ["beta2"]),
        (lambda: Adam(epsilon=0.0), ValueError, ["epsilon", "> 0"]),
        (lambda: Adam(weight_decay=None), TypeError, ["weight_decay", "None"]),
        (lambda: spec.Huber(0.0), ValueError, ["delta", "> 0"]),
        (lambda: spec.Quantile(1.0), ValueError, ["q", "< 1"]),
        (lambda: spec.Quantile(0.0), ValueError, ["q", "> 0"]),
        (lambda: spec.Tweedie(2.0), ValueError, ["power", "< 2"]),
        (lambda: spec.Tweedie(True), TypeError, ["power", "bool"]),
        (lambda: SGD(momentum=0.9, nesterov=True, dampening=0.1), ValueError, ["nesterov", "dampening", "0.1"]),
        (lambda: spec.RMSprop(rho=1.0), ValueError, ["rho", "< 1"]),
        (lambda: spec.RMSprop(centered=1), TypeError, ["centered", "True or False"]),
        (lambda: spec.NAdam(momentum_decay=-1), ValueError, ["momentum_decay", ">= 0"]),
        (lambda: spec.Adagrad(learning_rate_decay=-1), ValueError, ["learning_rate_decay", ">= 0"]),
        (lambda: spec.Rprop(eta_minus=1.0), ValueError, ["eta_minus", "< 1"]),
        (lambda: spec.Rprop(eta_plus=1.0), ValueError, ["eta_plus", "> 1"]),
        (lambda: spec.Rprop(smallest_step=2.0, largest_step=1.0), ValueError, ["smallest_step", "largest_step=1.0"]),
        (lambda: Adam().scalars(-1, 3), ValueError, ["start", "-1"]),
        (lambda: Adam().scalars(0, 3.0), TypeError, ["steps", "3.0"]),
    ],
)
def test_bad_hyperparameters(make, error, words):
    with pytest.raises(error) as caught:
        make()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("optimizer", OPTIMIZER_OBJECTS, ids=repr)
def test_optimizers_survive_a_round_trip(optimizer):
    assert Optimizer.from_dict(json.loads(json.dumps(optimizer.to_dict()))) == optimizer


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"name": "sgd"},
        {"name": "sgd", "beta1": 0.9},
        {"name": ["sgd"]},
        {**Adam().to_dict(), "beta1": "0.9"},
    ],
)
def test_hostile_optimizers(data):
    with pytest.raises((TypeError, ValueError)):
        Optimizer.from_dict(data)


def test_what_was_written_before_a_parameter_came():
    written = SGD(0.5, momentum=0.9).to_dict()
    del written["dampening"]
    assert Optimizer.from_dict(written) == SGD(0.5, momentum=0.9)
    assert Activation.from_dict({"name": "softplus", "param": 0.0}) == Softplus()


def test_default_optimizer():
    assert as_optimizer(None) == as_optimizer("adam") == Adam(1e-3, 0.9, 0.999, 1e-8, 0.0)
    assert as_optimizer("sgd") == SGD(0.01, 0.0, False, 0.0)


@pytest.mark.parametrize("optimizer", OPTIMIZER_OBJECTS, ids=repr)
@pytest.mark.parametrize("start", [0, 1, 700, 1023, 1024, 2500])
def test_scalars_resumed_are_those_of_one_run(optimizer, start):
    whole = optimizer.scalars(0, 4000)
    assert whole.dtype == np.float64
    assert whole.shape == (4000, len(optimizer.columns))
    for steps in (0, 1, 50, 1500):
        part = optimizer.scalars(start, steps)
        assert part.shape == (steps, len(optimizer.columns))
        assert part.tobytes() == whole[start : start + steps].tobytes()


def test_sgd_scalars():
    rows = SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.5).scalars(7, 2)
    assert SGD.columns == ("learning_rate", "momentum", "nesterov", "gradient_scale", "weight_decay", "shrinkage")
    assert rows.tolist() == [[0.1, 0.9, 1.0, 1.0, 0.5, 0.0]] * 2


def test_adam_scalars():
    adam, power1, power2 = Adam(0.01, 0.8, 0.95, 1e-7, 0.3), 1.0, 1.0
    for row in adam.scalars(0, 3000).tolist():
        power1 *= 0.8
        power2 *= 0.95
        h = dict(zip(Adam.columns, row, strict=True))
        assert h == {
            "step_size": 0.01 / (1 - power1),
            "beta1": 0.8,
            "beta2": 0.95,
            "one_minus_beta1": 1 - 0.8,
            "one_minus_beta2": 1 - 0.95,
            "inv_sqrt_correction2": 1 / math.sqrt(1 - power2),
            "epsilon": 1e-7,
            "weight_decay": 0.3,
            "shrinkage": 0.0,
        }


@pytest.mark.parametrize("start", [360, 420, 422, 36_000, 44_342, 44_400])  # where 0.9^t and 0.999^t cease to count
def test_powers_that_are_left_out_would_change_nothing(start):
    adam = Adam(0.01)
    rows = adam.scalars(start, 30)
    assert rows[:, 0].tolist() == (0.01 / (1.0 - spec.powers(0.9, start, 30))).tolist()
    assert rows[:, 5].tolist() == (1.0 / np.sqrt(1.0 - spec.powers(0.999, start, 30))).tolist()


@pytest.mark.parametrize("optimizer", OPTIMIZER_OBJECTS, ids=repr)
def test_scalars_of_steps_that_a_file_may_claim(optimizer):
    rows = optimizer.scalars(2**61, 3)
    assert rows.shape == (3, len(optimizer.columns))
    assert np.isfinite(rows).all()


def test_scalars_far_into_a_training():
    late = Adam(0.5).scalars(10**9, 2)  # both powers are zero by then, and it does not take a billion products
    assert late[:, 0].tolist() == [0.5, 0.5]
    assert late[:, 5].tolist() == [1.0, 1.0]
