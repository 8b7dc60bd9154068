"""The same bits with every field of a network and of a run: each has a case here, or is in a list with its test."""

import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from compiled import ISAS, Engine
from random_networks import targets

from fastmlp.spec import Adam, NetworkSpec, Run

SIZES = (37, 45, 45, 33)
#: Rows of a batch, and of all: threads share out rows of the first, and panels of layers of the second.
SHARED = {"rows": (40, 100), "panels": (2, 7)}


def halved_outputs(step, rows, outputs, row_loss, deltas):
    deltas *= 0.5
    row_loss += rows.start


def halved_gradient(step, gradient):
    gradient.write({name: array * 0.5 for name, array in gradient.read().items()})


def two_groups(run):
    """The second has another rate; weights and vectors of neighbouring layers follow one or the other."""
    run.table = np.hstack([run.table, Adam(0.05).scalars(0, len(run.table))])
    run.groups = tuple(number // 2 % 2 for number in range(2 * len(SIZES) - 2))


def two_epochs(run):
    half = len(run.order) // 2
    steps = 2 * -(-half // run.batch_size)
    run.order, run.epoch_rows = run.order[: 2 * half], half
    run.table, run.losses = Adam(0.01).scalars(0, steps), np.full(steps, np.nan)


#: Of each field: what is asked for beside a plain network or run. Fields of a network are arguments of `make`.
OF_NETWORK = {
    "dropout": {"dropout": 0.3},
    "input_dropout": {"input_dropout": 0.3},
    "input_noise": {"input_noise": 0.3},
    "l1": {"l1": 0.01},
    "l2": {"l2": 0.1},
    "max_norm": {"max_norm": 0.5},
    "residual": {"residual": True},
    "norm": {"norm": "layer"},
    "norm, of batches": {"norm": "batch"},
    "bfloat16": {"dtype": "bfloat16"},
}
#: Of a run, what is done to it; or which arrays it fills.
OF_RUN = {
    "weight": lambda run: setattr(run, "weight", np.random.default_rng(1).random(len(run.X))),
    "squared_weights": lambda run: setattr(run, "squared_weights", np.zeros(len(run.losses))),
    "row_losses, row_norms": lambda run: (
        setattr(run, "row_losses", np.zeros(len(run.X))),
        setattr(run, "row_norms", np.zeros(len(run.X))),
    ),
    "at_loss": lambda run: setattr(run, "at_loss", halved_outputs),
    "at_gradient": lambda run: setattr(run, "at_gradient", halved_gradient),
    "clip_norm": lambda run: setattr(run, "clip_norm", 0.01),
    "clip_value": lambda run: setattr(run, "clip_value", 1e-4),
    "groups": two_groups,
    "epoch_rows": two_epochs,
    "average": lambda run: setattr(run, "average", 0.25),
    "seed": lambda run: setattr(run, "seed", 9),
    "mixing": lambda run: setattr(run, "mixing", np.random.default_rng(2).random(len(run.losses))),
}
#: Where a field is of something that another has to ask for.
BESIDE = {"seed": {"dropout": 0.3, "input_noise": 0.1}}


def nothing(run):
    pass


#: A network and what is done to its run; and both without the field.
CASES = {name: ((network, nothing), ({}, nothing)) for name, network in OF_NETWORK.items()} | {
    name: ((BESIDE.get(name, {}), change), (BESIDE.get(name, {}), nothing)) for name, change in OF_RUN.items()
}
#: Of what every case has something, and which test has the rest.
ELSEWHERE = {
    "sizes": "test_same_bits_on_every_isa_and_number_of_threads",
    "activations": "test_same_bits_for_every_activation",
    "output": "test_same_bits_for_every_loss_and_number_of_outputs",
    "loss": "test_same_bits_for_every_loss_and_number_of_outputs",
    "dtype": "test_same_bits_for_every_activation",
    "batch_size": "test_same_bits_on_every_isa_and_number_of_threads",
    "table": "test_same_bits_on_every_isa_and_number_of_threads",
    "cut": "test_no_bit_depends_on_the_threads",
    "lazy": "test_threads_and_isa_change_no_bit",
}
#: What every run has.
ALWAYS = {"X", "y", "order", "losses"}


def test_no_field_is_forgotten():
    """A new one needs a case, or a test that is named in ELSEWHERE."""
    there = {field.name for kind in (NetworkSpec, Run) for field in fields(kind)}
    mine = {name for case in CASES for name in case.split(", ")} - {"of batches"}
    assert mine | set(ELSEWHERE) | ALWAYS == there
    assert not mine & (set(ELSEWHERE) | ALWAYS)
    files = Path(__file__).parents[1].rglob("test_*.py")
    tests = {name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)}
    assert set(ELSEWHERE.values()) <= tests


def outcome(network, change, isa, threads, shared):
    """All that a run leaves in an engine and in arrays, by name."""
    spec = NetworkSpec.make(SIZES, "tanh", **network)
    (batch_size, n), optimizer = SHARED[shared], Adam(0.01)
    engine, rng = Engine(spec, isa), np.random.default_rng(n)
    start = {name: rng.normal(size=array.shape) / 6 for name, array in engine.read().items()}
    engine.write({name: (abs(a) + 0.5 if a.ndim == 1 else a).astype("float32") for name, a in start.items()})
    X, y, order = rng.normal(size=(n, SIZES[0])).astype("float32"), targets(spec, n), rng.permutation(n)
    steps = -(-n // batch_size)
    engine.use_optimizer(optimizer.name)
    run = Run(X, y, None, order, batch_size, optimizer.scalars(0, steps), np.full(steps, np.nan))
    change(run)
    engine.keep_average(run.average > 0)
    assert engine.train(run, threads).status == "done"
    found = {f"{kind}: {name}": array for kind in engine.kinds for name, array in engine.read(kind).items()}
    for name in ("losses", "squared_weights", "row_losses", "row_norms"):
        if getattr(run, name) is not None:
            assert np.isfinite(getattr(run, name)).all()
            found[name] = getattr(run, name)
    return {name: array.tobytes() for name, array in found.items()}


@pytest.mark.parametrize("shared", SHARED)
@pytest.mark.parametrize("case", CASES)
def test_same_bits_with_each_field(case, shared):
    used, without = CASES[case]
    wanted = outcome(*used, "scalar", 1, shared)
    assert wanted != outcome(*without, "scalar", 1, shared)
    for isa in ISAS:
        for threads in (1, 3):
            got = outcome(*used, isa, threads, shared)
            assert [name for name in wanted if got[name] != wanted[name]] == [], (isa, threads)
