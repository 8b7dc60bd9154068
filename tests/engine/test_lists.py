"""The lists of operations: `spec/`, `reference/` and csrc/ops have the same names, and columns."""

import pytest
from conftest import EXTENSION, REASON
from engine_calls import states_of

import fastmlp
from fastmlp import data, reference, spec
from fastmlp.reference.optimizer import OPTIMIZERS

ENGINES = [reference.Engine] if EXTENSION is None else [reference.Engine, EXTENSION.Engine]
needs_extension = pytest.mark.skipif(EXTENSION is None, reason=f"the compiled extension cannot be used: {REASON}")


def parameters(kind):
    """What an operation's parameters are called."""
    return kind.parameters()


def test_the_reference_has_what_a_user_can_say():
    assert set(OPTIMIZERS) == set(spec.OPTIMIZERS)


def test_each_has_one_place_and_one_name():
    for kinds in (spec.ACTIVATIONS, spec.LOSSES, spec.OPTIMIZERS):
        assert all(getattr(fastmlp, kind.__name__) is kind for kind in kinds.values())
        names = [name for kind in kinds.values() for name in (kind.name, *kind.aliases)]
        assert len(names) == len(set(names))
    outputs = [kind.output for kind in spec.LOSSES.values() if kind.usual]
    assert len(outputs) == len(set(outputs)), "two losses are the usual one of an output"
    assert "" not in outputs


@needs_extension
def test_the_kernels_have_what_a_user_can_say():
    kernels = EXTENSION.kernels
    assert kernels.activations() == {
        name: {"params": parameters(kind), "whole_rows": kind.whole_rows, "keeps": kind.keeps}
        for name, kind in spec.ACTIVATIONS.items()
    }
    assert kernels.losses() == {
        name: {"output": kind.output, "params": parameters(kind), "labels": kind.labels}
        for name, kind in spec.LOSSES.items()
    }
    assert kernels.optimizers() == {
        name: {"states": OPTIMIZERS[name].states, "columns": kind.columns} for name, kind in spec.OPTIMIZERS.items()
    }


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
