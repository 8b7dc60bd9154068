"""What people type who come from Keras, PyTorch or scikit-learn, and what they are told; names as types."""

import copy
import dataclasses
import inspect
import pickle
import re
import typing
import weakref

import numpy as np
import pytest
from conftest import parameters

import fastmlp
from fastmlp import spec
from fastmlp.runtime import BACKENDS
from fastmlp.spec.hints import _ARGUMENTS, _ATTRIBUTES
from fastmlp.spec.initializers import INITIALIZER_ALIASES, INITIALIZERS, InitName

X, Y = np.zeros((4, 2)), np.zeros(4)


@pytest.fixture
def net(backend):
    return fastmlp.MLP([2, 3, 1], seed=0, backend=backend)


# ---- arguments ------------------------------------------------------------------------------------------------------

FOREIGN = {  # (function, keyword): what the error says
    ("fit", "lr"): "optimizer=Adam(learning_rate=...)",
    ("fit", "learning_rate"): "optimizer=Adam(learning_rate=...)",
    ("fit", "max_iter"): "did you mean epochs?",
    ("fit", "n_epochs"): "did you mean epochs?",
    ("fit", "epoch"): "did you mean epochs?",
    ("fit", "validation_fraction"): "did you mean validation_split?",
    ("fit", "early_stopping"): "EarlyStopping",
    ("fit", "n_iter_no_change"): "did you mean patience?",
    ("fit", "seed"): "it is an argument of MLP",
    ("fit", "nonsense"): "it takes X, y, epochs, batch_size",
    ("step", "epochs"): "it is an argument of MLP.fit",
    ("step", "class_weight"): "it is an argument of MLP.fit",
    ("step", "metrics"): "it is an argument of MLP.evaluate and MLP.fit",
    ("step", "lr"): "optimizer=Adam(learning_rate=...)",
    ("evaluate", "verbose"): "progress=True",
    ("evaluate", "weights"): "sample_weight",
    ("loss_and_grad", "batch_size"): "it is an argument of MLP.fit",
    ("MLP", "random_state"): "did you mean seed?",
    ("MLP", "hidden_layer_sizes"): "MLP(sizes) has inputs, hidden widths and outputs",
    ("MLP", "solver"): "fit and step take the optimizer",
    ("MLP", "alpha"): "weight_decay",
    ("MLP", "batch_norm"): "nothing of the kind here yet",
    ("MLP", "dropout_rate"): "did you mean dropout?",
    ("fit", "dropout"): "it is an argument of MLP",
    ("MLP", "epochs"): "it is an argument of MLP.fit",
    ("MLP", "activations"): "did you mean activation?",
    ("Adam", "learning_rate_init"): "did you mean learning_rate?",
    ("Adam", "alpha"): "did you mean weight_decay?",
    ("SGD", "betas"): "optimizer=Adam(beta1=..., beta2=...)",
    ("Adam", "momentum"): "it is an argument of RMSprop and Muon and SGD",
    ("SGD", "nesterovs_momentum"): "did you mean nesterov?",
}


@pytest.mark.parametrize(("function", "keyword"), FOREIGN)
def test_an_unknown_argument_is_answered_with_what_to_type_here(net, function, keyword):
    before = parameters(net)
    message = (
        rf"{function}\(\) got an unexpected keyword argument '{keyword}': .*{re.escape(FOREIGN[function, keyword])}"
    )
    with pytest.raises(TypeError, match=message):
        if function == "MLP":
            fastmlp.MLP([2, 1], **{keyword: 1})
        elif function in ("Adam", "SGD"):
            getattr(fastmlp, function)(**{keyword: 1})
        else:
            getattr(net, function)(X, Y, **{keyword: 1})
    assert (parameters(net), net.optimizer, net.n_epochs) == (before, None, 0)


def test_replacing_what_an_optimizer_does_not_have_is_answered_too():
    with pytest.raises(TypeError, match="did you mean weight_decay"):
        dataclasses.replace(fastmlp.Adam(), decay=0.1)


def test_other_type_errors_are_left_alone(net):
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'y'"):
        net.step(X)
    with pytest.raises(TypeError, match="epochs must be an integer"):
        net.fit(X, Y, epochs="3")

    def fail(net, logs):
        raise TypeError("mine")

    with pytest.raises(TypeError, match="^mine$"):
        net.fit(X, Y, callbacks=[fail])


def test_the_table_promises_only_what_there_is():
    functions = [fastmlp.MLP, fastmlp.MLP.fit, fastmlp.MLP.step, fastmlp.SGD, fastmlp.Adam]
    known = {name for function in functions for name in inspect.signature(function).parameters}
    for keyword, (here, otherwise) in _ARGUMENTS.items():
        assert set(here.split(" and ")) <= known | {""}, keyword
        assert here or otherwise, keyword
        for owner, argument in re.findall(r"\b(MLP|fit|Adam|SGD)\((?:[^)]*, )?(\w+)=", otherwise):
            function = fastmlp.MLP.fit if owner == "fit" else getattr(fastmlp, owner)
            assert argument in inspect.signature(function).parameters, keyword
    for name, advice in _ATTRIBUTES.items():
        assert not hasattr(fastmlp.MLP, name)
        used = re.match(r"(?:use|set) (\w+)", advice)
        assert used is None or used[1] == "print" or hasattr(fastmlp.MLP, used[1]), name


def test_signatures_are_short_and_those_of_the_functions_themselves():
    for name in ("__init__", "fit", "step", "loss_and_grad", "predict", "evaluate", "trace", "save"):
        signature = inspect.signature(getattr(fastmlp.MLP, name))
        assert len(str(signature)) < max(800, 45 * len(signature.parameters)), name
        assert not {"args", "kwargs"} & set(signature.parameters)
        assert typing.get_type_hints(getattr(fastmlp.MLP, name)), name


# ---- attributes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lr", r"net.optimizer = dataclasses.replace\(net.optimizer, learning_rate=...\)"),
        ("coefs_", "use weights"),
        ("bias", "did you mean biases"),
        ("wieghts", "did you mean weights"),
        ("nonsense", "no attribute 'nonsense'$"),
    ],
)
def test_an_attribute_that_is_not_there_cannot_be_set(net, name, words):
    with pytest.raises(AttributeError, match=f"'MLP' object has no attribute '{name}'.*{words}|{words}"):
        setattr(net, name, 1e-5)
    assert not hasattr(net, name)


class Named(fastmlp.MLP):
    """A subclass with attributes of its own, one of them a slot's and one a property's."""

    def __init__(self, sizes, name, **arguments):
        super().__init__(sizes, **arguments)
        self.name = name

    @property
    def shout(self):
        return self.name.upper()


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_subclass_has_attributes_of_its_own_and_keeps_them_in_copies(backend, clone):
    net = Named([2, 3, 1], "iris", seed=0, backend=backend)
    net.step(X, Y)
    net.notes = ["first"]
    other = clone(net)
    assert type(other) is Named
    assert (other.name, other.notes, other.shout) == ("iris", ["first"], "IRIS")
    assert (parameters(other), other.n_steps) == (parameters(net), 1)
    other.name = "digits"
    assert net.name == "iris"


def test_networks_can_be_referred_to_weakly(net):
    assert weakref.ref(net)() is net


# ---- history and trace ----------------------------------------------------------------------------------------------


def test_every_column_of_a_history_is_an_attribute(backend, toy):
    net = fastmlp.MLP([2, 8, 3], output="softmax", seed=0, backend=backend)
    history = net.fit(*toy, epochs=2, validation_data=toy, train_metrics=True)
    assert history.val_accuracy is history["val_accuracy"]
    assert history.accuracy is history["accuracy"]
    assert set(history) <= set(dir(history))
    for clone in (copy.copy(history), copy.deepcopy(history), pickle.loads(pickle.dumps(history))):
        assert clone.val_accuracy == history.val_accuracy
    with pytest.raises(AttributeError, match="no attribute 'val_r2'"):
        _ = history.val_r2
    assert len(history) == len(list(history)) == 7


def test_repr_of_a_trace_is_a_line(backend):
    net = fastmlp.MLP([64, 64, 32, 10], output="softmax", seed=0, backend=backend)
    rows = np.zeros((5, 64))
    assert repr(net.trace(rows)) == "<Trace of 5 rows through layers of 64, 32 and 10: signals, outputs>"
    one = fastmlp.MLP([2, 1], backend=backend).trace([[1, 2]], [1])
    assert repr(one) == "<Trace of 1 row through one layer of 1: signals, outputs, sensitivities>"


def test_sensitivities_give_the_derivatives_by_the_inputs(backend):
    """The derivatives that Trace's docstring promises, checked with differences."""
    net = fastmlp.MLP([3, 5, 1], activation="tanh", dtype="float64", seed=0, backend=backend)
    x, y, h = np.array([[0.3, -0.2, 0.9]]), [0.4], 1e-6
    found = net.trace(x, y).sensitivities[0] @ net.weights[0].T
    for column, shift in enumerate(np.eye(3) * h):
        difference = net.evaluate(x + shift, y)["loss"] - net.evaluate(x - shift, y)["loss"]
        assert found[0, column] == pytest.approx(difference / (2 * h), rel=1e-6)


# ---- names as types -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "registry"),
    [
        (spec.ActivationName, [*spec.ACTIVATION_NAMES, *spec.ACTIVATION_ALIASES, fastmlp.Maxout.name]),
        (spec.LossName, [*spec.LOSS_NAMES, *spec.LOSS_ALIASES, *spec.MEANS]),
        (spec.OptimizerName, spec.OPTIMIZER_NAMES),
        (InitName, [*INITIALIZERS, *INITIALIZER_ALIASES]),
        (spec.DTypeName, spec.DTYPE_NAMES),
        (spec.BackendName, BACKENDS),
    ],
)
def test_types_of_names_are_those_of_the_registries(kind, registry):
    members = [typing.get_args(part) or [part] for part in typing.get_args(kind)]
    assert sorted(name for part in members for name in part) == sorted(registry)
