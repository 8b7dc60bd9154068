"""The promise of DESIGN 5: the same bits on any number of threads and on every instruction set, and the stored ones."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from compiled import ISAS, Engine
from engine_calls import gradient_of, layers_of, states_of
from random_networks import fill, flat, outputs_for, targets, train, with_state
from stored import script

import fastmlp
from fastmlp.spec import OPTIMIZER_NAMES, NetworkSpec

THREADS = (1, 2, 3, 5)
#: And rows: whole batches and a smaller one.
BATCH_SIZES = {1: 7, 7: 38, 32: 101, 300: 420, 500: 523, 1000: 1100, 5000: 5600}
OPTIMIZERS = {name: with_state(name) for name in OPTIMIZER_NAMES}
#: More than a panel in every dimension for the widest ISA and dtype (32 columns), and a net of less than one vector.
WIDTHS = {"wide": (37, 45, 33), "narrow": (5, 3, 1)}
#: Batches too large for the caches: cut into microbatches, the last smaller one too; in parts, as its weights are many.
LARGE = {
    "microbatches": ((37, 45, 33), 5000),
    "two microbatches": ((5, 3, 1), 300),
    "parts": ((290, 300, 9), 1000),
}


def outcome(spec, isa, threads, batch_size, optimizer):
    """Losses, squared weights, parameters, state, predictions and gradient as bytes, by name."""
    engine = fill(Engine(spec, isa), spec, seed=batch_size)
    assert engine.isa == isa
    rng, n = np.random.default_rng(batch_size), BATCH_SIZES[batch_size]
    X, y = rng.normal(size=(n, spec.sizes[0])).astype("float32"), targets(spec, n)
    weight = rng.integers(0, 3, n) / 2
    squared_weights = np.empty(-(-n // batch_size))
    order, asked = rng.permutation(n), {"weight": weight, "threads": threads, "squared_weights": squared_weights}
    run, losses = train(engine, X, y, order, batch_size, optimizer, **asked)
    assert run.status == "done"
    out, row_loss = np.empty((n, spec.sizes[-1]), spec.dtype), np.empty(n)
    engine.evaluate(X, y, out, row_loss, threads)
    again = np.empty_like(out)
    engine.predict(X, again, threads)
    value, *gradient = gradient_of(engine, X, y, weight, threads)
    parts = {
        "losses": losses,
        "squared_weights": squared_weights,
        "parameters": flat(layers_of(engine)),
        "state": np.concatenate([flat(slot) for slot in states_of(engine)]),
        "predictions": again,
        "evaluated": out,
        "row losses": row_loss,
        "loss": np.array(value),
        "gradient": flat(gradient),
    }
    assert all(np.isfinite(part).all() for part in parts.values())
    if spec.sizes[-1] > 1 or not spec.loss.labels:  # of one class nothing is to be learned
        assert parts["gradient"].any()
        before = layers_of(fill(Engine(spec), spec, seed=batch_size))
        assert parts["parameters"].tobytes() != flat(before).tobytes()
    return {name: part.tobytes() for name, part in parts.items()}


@pytest.mark.parametrize("widths", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("batch_size", [1, 7, 32, 500])
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_bits_on_every_isa_and_number_of_threads(dtype, activation, optimizer, batch_size, widths):
    outputs = {"relu": "softmax" if widths[-1] > 1 else "softplus", "tanh": "identity", "logistic": "logistic"}
    spec = NetworkSpec.make(widths, activation, outputs[activation], None, dtype)
    wanted = outcome(spec, "scalar", 1, batch_size, optimizer)
    for isa in ISAS:
        for threads in THREADS:
            got = outcome(spec, isa, threads, batch_size, optimizer)
            assert [name for name in wanted if got[name] != wanted[name]] == [], (isa, threads)


@pytest.mark.parametrize(("widths", "batch_size"), LARGE.values(), ids=LARGE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_bits_where_a_batch_is_too_large_for_the_caches(dtype, widths, batch_size):
    spec = NetworkSpec.make(widths, "tanh", dtype=dtype)
    wanted = outcome(spec, "scalar", 1, batch_size, OPTIMIZERS["sgd"])
    for isa in ISAS:
        for threads in (1, 2, 5) if isa != "scalar" else (3,):
            assert outcome(spec, isa, threads, batch_size, OPTIMIZERS["sgd"]) == wanted, (isa, threads)


@pytest.mark.parametrize(("batch_size", "last"), [(1000, 44), (1000, 255), (1000, 700), (2049, 2048)])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_run_cut_in_two_gives_the_same_bits_as_a_whole_one(batch_size, last, threads):
    """How a batch is cut into microbatches may not depend on the batches before it in the same run."""
    spec = NetworkSpec.make((37, 20, 3), "tanh")
    rng, n = np.random.default_rng(last), batch_size + last
    X, y, order = rng.normal(size=(n, 37)).astype("float32"), targets(spec, n), rng.permutation(n)
    whole, halves = fill(Engine(spec), spec), fill(Engine(spec), spec)
    train(whole, X, y, order, batch_size, OPTIMIZERS["adam"], threads=threads)
    train(halves, X, y, order[:batch_size], batch_size, OPTIMIZERS["adam"], threads=threads)
    train(halves, X, y, order[batch_size:], batch_size, OPTIMIZERS["adam"], threads=threads, start=1)
    assert flat(layers_of(halves)).tobytes() == flat(layers_of(whole)).tobytes()


@pytest.mark.parametrize("activation", fastmlp.spec.ACTIVATION_NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_bits_for_every_activation(activation, dtype):
    spec = NetworkSpec.make((9, 21, 37, 3), [activation, "tanh"], dtype=dtype)
    wanted = outcome(spec, "scalar", 1, 32, OPTIMIZERS["sgd"])
    for isa in ISAS:
        assert outcome(spec, isa, 3, 32, OPTIMIZERS["sgd"]) == wanted, isa


def test_same_bits_of_few_rows_where_a_layer_needs_whole_rows():
    """So few that threads would share out a layer by its panels."""
    spec = NetworkSpec.make((9, 300, 40, 3), ["softmax", "tanh"])
    alone, shared = (outcome(spec, ISAS[0], threads, 7, OPTIMIZERS["sgd"]) for threads in (1, 5))
    assert alone == shared
    X, found = np.random.default_rng(0).normal(size=(2, 9)).astype("float32"), []
    for threads in (1, 3):
        found.append(np.empty((2, 3), "float32"))
        fill(Engine(spec), spec).predict(X, found[-1], threads)
    assert found[0].tobytes() == found[1].tobytes()


@pytest.mark.parametrize("loss", fastmlp.spec.LOSS_NAMES)
@pytest.mark.parametrize("n_outputs", [1, 2, 19, 67])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_bits_for_every_loss_and_number_of_outputs(loss, n_outputs, dtype):
    """Sums along a row go through one fixed tree, whatever the length of a vector."""
    spec = NetworkSpec.make((9, 5, outputs_for(loss, n_outputs)), loss=loss, dtype=dtype)
    wanted = outcome(spec, "scalar", 1, 7, OPTIMIZERS["adam"])
    for isa in ISAS:
        assert outcome(spec, isa, 2, 7, OPTIMIZERS["adam"]) == wanted, isa


@pytest.mark.parametrize("loss", [fastmlp.CrossEntropy, fastmlp.BinaryCrossEntropy])
@pytest.mark.parametrize("n_outputs", [1, 2, 67])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clipped_losses_are_a_matter_of_reports(loss, n_outputs, dtype):
    kinds = loss(), loss(float(np.finfo(dtype).eps))
    plain, clipped = (NetworkSpec.make((9, 5, n_outputs), loss=kind, dtype=dtype) for kind in kinds)
    wanted = outcome(clipped, "scalar", 1, 7, OPTIMIZERS["adam"])
    without = outcome(plain, "scalar", 1, 7, OPTIMIZERS["adam"])
    reports = {"losses", "row losses", "loss"}
    assert {name for name in wanted if wanted[name] != without[name]} <= reports
    if n_outputs > 1:
        assert wanted != without
    for isa in ISAS:
        assert outcome(clipped, isa, 2, 7, OPTIMIZERS["adam"]) == wanted, isa


@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy"])
def test_same_bits_for_a_softmax_and_its_jacobian(loss):
    spec = NetworkSpec.make((9, 5, 35), output="softmax", loss=loss)
    wanted = outcome(spec, "scalar", 1, 32, OPTIMIZERS["sgd"])
    for isa in ISAS:
        assert outcome(spec, isa, 2, 32, OPTIMIZERS["sgd"]) == wanted, isa


def test_two_isas_at_the_same_time_in_one_process():
    spec = NetworkSpec.make((37, 45, 33), "tanh")
    wanted, found, errors = outcome(spec, "scalar", 1, 32, OPTIMIZERS["adam"]), {}, []
    start = threading.Barrier(len(ISAS))

    def work(isa):
        try:
            start.wait()
            found[isa] = outcome(spec, isa, 2, 32, OPTIMIZERS["adam"])
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work, args=(isa,)) for isa in ISAS]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not errors
    assert found == dict.fromkeys(ISAS, wanted)


# --- FASTMLP_ISA -----------------------------------------------------------------------------------------------------

SCRIPT = """
import hashlib, numpy as np, fastmlp
X = np.linspace(-1, 1, 37 * 41, dtype="float32").reshape(41, 37)
net = fastmlp.MLP([37, 45, 5], activation="tanh", seed=3)
history = net.fit(X, X[:, :5], epochs=2, batch_size=7)
print(net._learner.engine.isa, fastmlp.runtime.config()["isa"])
print(hashlib.sha256(b"".join(a.tobytes() for a in (*net.weights, *net.biases, net.predict(X)))).hexdigest())
fastmlp.show_config()
"""


def run(isa, script=SCRIPT):
    environment = {name: value for name, value in os.environ.items() if name != "FASTMLP_ISA"}
    if isa is not None:
        environment["FASTMLP_ISA"] = isa
    return subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_environment_forces_the_isa_and_it_takes():
    results = {isa: run(isa) for isa in (None, "", *ISAS)}
    for result in results.values():
        assert result.returncode == 0, result.stderr
    lines = {isa: result.stdout.splitlines() for isa, result in results.items()}
    for isa in ISAS:
        assert lines[isa][0] == f"{isa} {isa}"
        assert any(line.startswith("ISA ") and f"FASTMLP_ISA={isa}" in line for line in lines[isa])
    assert lines[None][0] == lines[""][0] == f"{ISAS[0]} {ISAS[0]}"  # the list has the best first
    assert len({found[1] for found in lines.values()}) == 1  # the model's hash


@pytest.mark.parametrize("isa", ["sse9", "AVX2", "neon" if "neon" not in ISAS else "avx2"])
def test_an_isa_that_cannot_run_here_is_a_clear_error(isa):
    result = run(isa)
    assert result.returncode == 1
    message = result.stderr.splitlines()[-1]
    assert message == f"ValueError: FASTMLP_ISA is {isa!r}; this machine can run: {', '.join(ISAS)}"


def test_show_config_survives_a_wrong_isa():
    result = run("sse9", "import fastmlp; fastmlp.show_config()")
    assert result.returncode == 0, result.stderr
    assert "FASTMLP_ISA is 'sse9'" in result.stdout


# --- stored trajectories ---------------------------------------------------------------------------------------------


STORED = script("make_trajectory")


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", STORED.TRAININGS)
def test_stored_trajectory(name, threads):
    with np.load(STORED.PATH) as stored:
        wanted = {key.partition("/")[2]: stored[key] for key in stored.files if key.startswith(f"{name}/")}
    found = STORED.trajectory(name, threads=threads)
    assert set(found) == set(wanted) == {"loss", "parameters", "predictions"}
    for key, array in wanted.items():
        assert found[key].dtype == array.dtype
        difference = np.abs(found[key] - array).max()
        assert found[key].tobytes() == array.tobytes(), f"{key} is off by {difference:.2g}: see make_trajectory.py"


def test_stored_trajectories_use_every_activation_loss_and_optimizer():
    trainings = [fastmlp.MLP(**training["net"]) for training in STORED.TRAININGS.values()]
    activations = {layer.activation.name for net in trainings for layer in net.layers}
    assert activations == set(fastmlp.spec.ACTIVATION_NAMES)
    assert {net.loss for net in trainings} == set(fastmlp.spec.LOSS_NAMES)
    assert {net.dtype.name for net in trainings} == set(fastmlp.spec.DTYPE_NAMES)
    optimizers = {training["fit"]["optimizer"].name for training in STORED.TRAININGS.values()}
    assert optimizers == set(fastmlp.spec.OPTIMIZER_NAMES)
