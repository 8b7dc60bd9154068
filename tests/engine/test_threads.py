"""Threads of every kind: our teams and workers, Python's. No timing decides, but hangs do."""

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
import random_networks as nets
from compiled import Engine
from conftest import parameters
from engine_calls import layers_of, run_steps
from processes import COMMON, LINUX, POSIX, in_threads, run, trained
from random_networks import fill, flat, targets, train

import fastmlp
from fastmlp.passes import threads
from fastmlp.spec import SGD, NetworkSpec

each_kind = pytest.mark.parametrize("kind", threads.kinds_of_workers())


@pytest.fixture(autouse=True)
def default_workers():
    yield
    fastmlp.set_workers(None)


# --- teams -----------------------------------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("n", [1, 2, 4, 7, 16, 64])
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_more_threads_than_cores_or_work(n, batch_size, kind):
    fastmlp.set_workers(kind)
    spec = NetworkSpec.make([9, 40, 3], "tanh")
    X, y = np.random.default_rng(0).normal(size=(64, 9)), targets(spec, 64)
    found = []
    for threads_ in (1, n):
        engine = fill(Engine(spec), spec)
        run_, losses = train(engine, X, y, np.arange(64), batch_size, nets.OPTIMIZERS["adam"], threads=threads_)
        assert run_.status == "done"
        out = np.empty((64, 3), "float32")
        engine.predict(X, out, threads_)
        found.append((flat(layers_of(engine)).tobytes(), losses.tobytes(), out.tobytes()))
    assert found[0] == found[1]


@each_kind
def test_the_engine_may_choose(kind):
    """It tries numbers of threads on steps that count: many steps, so that it comes to a choice within the run."""
    fastmlp.set_workers(kind)
    rng = np.random.default_rng(0)
    for sizes, batch_size, rows in (([200, 300, 200, 3], 128, 1280), ([9, 40, 3], 8, 40_000)):
        spec = NetworkSpec.make(sizes, "tanh")
        X, y, order = rng.normal(size=(256, sizes[0])), targets(spec, 256), rng.integers(0, 256, rows)
        found = set()
        for number in (1, 0, -1, -2, -64):
            engine = fill(Engine(spec), spec)
            outcome, losses = train(engine, X, y, order, batch_size, nets.OPTIMIZERS["adam"], threads=number)
            assert (outcome.steps, outcome.status) == (len(losses), "done")
            found.add((flat(layers_of(engine)).tobytes(), losses.tobytes()))
        assert len(found) == 1


def test_what_a_phase_costs():
    # A difference of two timings, cut off at zero: on a busy machine the items alone may have taken longer.
    for n in (1, 2):
        assert 0 <= threads.barrier_seconds(n) < 1
    for n in (0, -1, 257):
        with pytest.raises(ValueError, match="threads"):
            threads.barrier_seconds(n)


# --- workers ---------------------------------------------------------------------------------------------------------


COUNT = (
    COMMON
    + """
import threading
found = [len(workers())]
for threads in (1, 4, 4, 2, 3):
    trained(threads)
    found.append(len(workers(3 if threads > 1 else 0)))
for _ in range(3):
    callers = [threading.Thread(target=trained, args=(4,)) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    found.append(len(workers(3)))
print(json.dumps(found))
"""
)


@pytest.mark.skipif(not LINUX, reason="needs /proc")
def test_workers_are_made_once_and_shared():
    """Callers that come and go leave no threads behind, and all together have no more than processors allow."""
    most = max(3, (os.cpu_count() or 1) - 1)
    none, alone, *later = run(COUNT)
    assert none == alone == 0
    assert later[:4] == [3, 3, 3, 3]
    assert all(3 <= n <= most for n in later[4:])


EXIT = (
    COMMON
    + """
import threading, time
def keep_training():
    while True:
        trained(3)
for _ in range(2):
    threading.Thread(target=keep_training, daemon=True).start()
time.sleep(0.3)
print("0", flush=True)
if sys.argv[1] == "return":
    pass
elif sys.argv[1] == "raise":
    os.close(2)  # nobody wants to see it
    raise SystemExit(0)
else:
    os._exit(0)
"""
)


@each_kind
@pytest.mark.parametrize("way", ["return", "raise", "_exit"])
def test_the_process_ends_while_workers_work(way, kind):
    assert run(EXIT, way, FASTMLP_WORKERS=kind) == 0


def test_workers_may_change_between_any_two_calls_of_any_thread():
    """Every kind has the bits of one thread, also of callers that are in a region while others choose again."""
    wanted = trained(0, 1)
    kinds = threads.kinds_of_workers()

    def train_with(number):
        fastmlp.set_workers(kinds[number % len(kinds)])
        return trained(0, 1 + number)

    assert in_threads(*(lambda number=number: train_with(number) for number in range(4))) == [wanted] * 4


@pytest.mark.skipif(not LINUX, reason="needs /proc")
def test_workers_leave_signals_to_python():
    blocked = run(
        COMMON
        + """
trained(3)
print(json.dumps([int(worker["SigBlk"], 16) for worker in workers(2)]))
"""
    )
    assert len(blocked) == 2
    for mask in blocked:
        assert all(mask >> (number - 1) & 1 for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM))
        assert not any(mask >> (number - 1) & 1 for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE))


# --- Python's threads ------------------------------------------------------------------------------------------------


@each_kind
def test_eight_python_threads_train_eight_networks(kind):
    fastmlp.set_workers(kind)
    wanted = [trained(seed, 2) for seed in range(8)]
    assert len(set(wanted)) == 8
    assert in_threads(*(lambda seed=seed: trained(seed, 2) for seed in range(8))) == wanted


def test_two_python_threads_wait_for_each_other_on_one_network():
    """Steps commute here: with a constant gradient the result does not depend on their order, but losing one shows."""
    net = fastmlp.MLP([1, 1], output="identity", init="zeros", dtype="float64", backend="cython")
    X, y, optimizer = np.zeros((1, 1)), np.zeros((1, 1)), fastmlp.SGD(0.5)
    net.biases = [np.array([1.0])]
    net.step(X, y, optimizer=optimizer)  # b -= b / 2
    times = 200

    def work():
        for _ in range(times):
            net.step(X, y, optimizer=optimizer, threads=2)

    in_threads(work, work)
    assert net.n_steps == 2 * times + 1
    assert net.biases[0][0] == 0.5 ** (2 * times + 1)


def test_a_network_can_be_asked_while_another_thread_trains_it():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(500, 20)), rng.normal(size=(500, 1))
    net = fastmlp.MLP([20, 64, 1], seed=0, backend="cython")
    snapshots = []

    def watch():
        for _ in range(50):
            weights, outputs = net.weights, net.predict(X[:5], threads=2)
            assert np.isfinite(outputs).all()
            snapshots.append(len(weights))

    in_threads(lambda: net.fit(X, y, epochs=30, batch_size=10, threads=2), watch)
    alone = fastmlp.MLP([20, 64, 1], seed=0, backend="cython")
    alone.fit(X, y, epochs=30, batch_size=10, threads=1)
    assert parameters(net) == parameters(alone)
    assert snapshots == [2] * 50


@POSIX
def test_the_gil_is_released():
    """A run of half a minute that only another Python thread ends, by a signal, after some work of its own."""
    spec = NetworkSpec.make([64, 1024, 1024, 8], "tanh")
    engine = fill(Engine(spec), spec)
    engine.use_optimizer("sgd")
    X, y, steps = np.zeros((64, 64), "float32"), np.zeros((64, 8), "float32"), 20_000
    optimizer = SGD(1e-4)
    losses, scalars = np.full(steps, np.nan), optimizer.scalars(0, steps)

    def work():
        while np.isnan(losses[3]):  # until some steps are done
            time.sleep(0.001)
        signal.raise_signal(signal.SIGALRM)

    def stop(number, frame):
        raise InterruptedError("enough")

    old = signal.signal(signal.SIGALRM, stop)
    worker = threading.Thread(target=work)
    interval = sys.getswitchinterval()
    try:
        sys.setswitchinterval(1000)  # nobody is made to give up the GIL: who has it, keeps it
        worker.start()
        outcome = run_steps(engine, X, y, np.zeros(64 * steps, np.int64), 64, scalars, None, losses, 1)
    finally:
        losses[3] = 0
        sys.setswitchinterval(interval)
        worker.join()
        signal.signal(signal.SIGALRM, old)
    assert outcome.status == "interrupted"
    assert isinstance(outcome.exception, InterruptedError)
    assert 3 < outcome.steps < steps
    assert np.isfinite(losses[: outcome.steps]).all()
    assert np.isnan(losses[outcome.steps :]).all()
