"""The lists of operations: `spec/`, `reference/` and csrc/ops have the same names in one order, and columns."""

from dataclasses import fields

import pytest
from conftest import EXTENSION, REASON
from engine_calls import states_of

from fastmlp import data, reference, spec
from fastmlp.reference.activation import ACTIVATIONS, OUTPUTS
from fastmlp.reference.loss import LOSSES
from fastmlp.reference.optimizer import OPTIMIZERS

ENGINES = [reference.Engine] if EXTENSION is None else [reference.Engine, EXTENSION.Engine]
needs_extension = pytest.mark.skipif(EXTENSION is None, reason=f"the compiled extension cannot be used: {REASON}")


def parameter(activation):
    """What an activation's one parameter is called, "" for none."""
    return "".join(field.name for field in fields(spec.ACTIVATIONS[activation]))


#: By kind: the names and a column as `spec/` has them, and as the reference has them.
LISTS = {
    "activation": (
        {name: parameter(name) for name in spec.ACTIVATION_NAMES},
        {name: entry.parameter for name, entry in ACTIVATIONS.items()},
    ),
    "output": (
        {name: parameter(name) for name in spec.OUTPUT_NAMES},
        {name: entry.parameter for name, entry in OUTPUTS.items()},
    ),
    "loss": (
        {name: kind.output for name, kind in spec.LOSSES.items()},
        {name: entry.output for name, entry in LOSSES.items()},
    ),
    "optimizer": (
        {name: kind.columns for name, kind in spec.OPTIMIZERS.items()},
        {name: spec.OPTIMIZERS[name].columns for name in OPTIMIZERS},
    ),
}


@pytest.mark.parametrize("kind", LISTS)
def test_the_reference_has_what_a_user_can_say(kind):
    said, done = LISTS[kind]
    assert list(said.items()) == list(done.items())


@needs_extension
@pytest.mark.parametrize("kind", ["activation", "loss", "optimizer"])
def test_the_kernels_have_what_a_user_can_say(kind):
    kernels = EXTENSION.kernels
    columns = {
        "activation": kernels.activation_params,
        "loss": kernels.loss_outputs,
        "optimizer": kernels.optimizer_scalars,
    }
    assert list(LISTS[kind][0].items()) == list(columns[kind]().items())
    assert list(LISTS[kind][0]) == kernels.names(kind)


@needs_extension
def test_the_kernels_have_the_dtypes():
    assert EXTENSION.kernels.names("dtype") == list(spec.DTYPE_NAMES)
    assert EXTENSION.kernels.names("source") == list(map(str, data.SOURCE_DTYPES))


@pytest.mark.parametrize("name", spec.OPTIMIZER_NAMES)
@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.__module__)
def test_engines_keep_the_state_of_an_optimizer(engine, name):
    made = engine(spec.NetworkSpec.make([2, 1]))
    made.use_optimizer(name)
    assert len(states_of(made)) == OPTIMIZERS[name].states


@pytest.mark.parametrize("kind", spec.OPTIMIZERS.values(), ids=spec.OPTIMIZERS)
def test_weight_decay_is_the_last_scalar(kind):
    assert kind.columns[-1] == "weight_decay"  # passes/update sets it to 0 for biases
