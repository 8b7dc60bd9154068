"""Threads of every kind: ours, Python's, other libraries'; forks, signals, limits. No timing decides, but hangs do."""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import random_networks as nets
from compiled import Engine
from conftest import parameters
from engine_calls import layers_of, run_steps
from random_networks import fill, flat, targets, train

import fastmlp
from fastmlp.passes import threads
from fastmlp.spec import SGD, NetworkSpec

POSIX = pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only")
LINUX = sys.platform == "linux"  # whose /proc tells which threads there are
PATIENCE = 60  # seconds until a hang is called one


def run(script, *arguments, **environment):
    """Run a script in a fresh process; its standard output as JSON."""
    result = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", script, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


COMMON = '''
import contextlib, hashlib, json, os, sys, time, numpy as np, fastmlp
rng = np.random.default_rng(0)
X, y = rng.normal(size=(400, 37)), rng.integers(0, 5, 400)

def digest(net):
    return hashlib.sha256(b"".join(a.tobytes() for a in (*net.weights, *net.biases))).hexdigest()

def trained(threads, seed=1):
    net = fastmlp.MLP([37, 70, 45, 5], output="softmax", seed=seed)
    net.fit(X, y, epochs=2, batch_size=32, threads=threads)
    return net

def workers(expected=0):
    """Status files of our workers, by Linux; patient with those that have not got as far as their name."""
    for _ in range(1000):
        files = []
        for task in os.listdir("/proc/self/task") if sys.platform == "linux" else []:
            with contextlib.suppress(OSError), open(f"/proc/self/task/{task}/status") as file:  # one may have ended
                files.append(dict(line.split(":", 1) for line in file))
        ours = [file for file in files if file["Name"].strip() == "fastmlp"]
        if len(ours) >= expected:
            break
        time.sleep(0.01)
    return ours
'''


def trained(seed, threads, epochs=3):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(300, 37)), rng.integers(0, 5, 300)
    net = fastmlp.MLP([37, 70, 45, 5], output="softmax", seed=seed, backend="cython")
    net.fit(X, y, epochs=epochs, batch_size=32, threads=threads)
    return parameters(net) + net.predict(X, threads=threads).tobytes()


def in_threads(*works):
    """Run all of them at the same time; their results, or the first exception."""
    results, errors, start = [None] * len(works), [], threading.Barrier(len(works))

    def call(place, work):
        try:
            start.wait()
            results[place] = work()
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=call, args=pair, daemon=True) for pair in enumerate(works)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE)
        assert not worker.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]
    return results


# --- teams -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 4, 7, 16, 64])
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_more_threads_than_cores_or_work(n, batch_size):
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


def test_the_engine_may_choose():
    """It tries numbers of threads on steps that count: many steps, so that it comes to a choice within the run."""
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


@pytest.mark.parametrize("way", ["return", "raise", "_exit"])
def test_the_process_ends_while_workers_work(way):
    assert run(EXIT, way) == 0


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


def test_eight_python_threads_train_eight_networks():
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


# --- forks and processes ---------------------------------------------------------------------------------------------

FORK = (
    COMMON
    + """
net = trained(2)
before = digest(net)
read, write = os.pipe()
child = os.fork()
if child == 0:
    os.close(read)
    same = digest(net) == before
    net.fit(X, y, epochs=2, batch_size=32, threads=2)
    answer = {"cap": fastmlp.get_num_threads(), "same": same, "after": digest(net), "workers": len(workers(1))}
    answer |= {"fresh": digest(trained(5)), "more workers": len(workers(4)), "chosen": digest(trained(None))}
    if os.fork() == 0:  # and a child of the child
        net.predict(X, threads=2)
        os._exit(0)
    answer["grandchild"] = os.waitstatus_to_exitcode(os.wait()[1])
    os.write(write, json.dumps(answer).encode())
    os._exit(0)
os.close(write)
net.fit(X, y, epochs=2, batch_size=32, threads=2)
with os.fdopen(read) as pipe:
    found = json.load(pipe)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps({"child": found, "status": status, "before": before, "after": digest(net),
                  "cap": fastmlp.get_num_threads()}))
"""
)


@POSIX
def test_training_goes_on_in_a_forked_child_and_in_its_parent():
    found = run(FORK)
    child = found["child"]
    assert found["status"] == child["grandchild"] == 0
    assert child["cap"] == found["cap"]
    assert child["same"]
    assert child["after"] == found["after"] != found["before"]
    assert child["fresh"] == child["chosen"] == found["before"]
    if LINUX:
        assert (child["workers"], child["more workers"]) == (1, 4)


FORK_FROM_A_REGION = (
    COMMON
    + """
import signal, threading
stop = threading.Event()
def keep_training():
    while not stop.is_set():
        trained(2)
busy = [threading.Thread(target=keep_training) for _ in range(3)]
for thread in busy:
    thread.start()
wanted, statuses = digest(trained(2)), []
for _ in range(20):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        os._exit(0 if digest(trained(2)) == wanted else 1)
    statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
stop.set()
for thread in busy:
    thread.join()
print(json.dumps(statuses))
"""
)


@POSIX
def test_a_fork_while_other_threads_train():
    assert run(FORK_FROM_A_REGION) == [0] * 20


POOL = (
    COMMON
    + """
import multiprocessing, warnings
warnings.simplefilter("ignore")  # newer Pythons warn of forks beside threads

def work(seed):
    return digest(trained(2, seed))

if __name__ == "__main__":
    here = [work(seed) for seed in range(4)]
    with multiprocessing.get_context(sys.argv[2]).Pool(2) as pool:
        there = pool.map(work, range(4))
    print(json.dumps([here, there]))
"""
)


@pytest.mark.parametrize(
    "method", [pytest.param("fork", marks=POSIX), "spawn", pytest.param("forkserver", marks=POSIX)]
)
def test_multiprocessing(method, tmp_path):
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    here, there = run("import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')", str(script), method)
    assert here == there
    assert len(set(here)) == 4


def test_joblib():
    joblib = pytest.importorskip("joblib")
    wanted = [trained(seed, None) for seed in range(3)]
    for backend in ("threading", "loky"):
        found = joblib.Parallel(2, backend=backend)(joblib.delayed(_trained_elsewhere)(seed) for seed in range(3))
        assert found == wanted, backend
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True)


def _trained_elsewhere(seed):
    return trained(seed, None)


# --- signals ---------------------------------------------------------------------------------------------------------

INTERRUPT = """
import json, signal, sys, threading, time, numpy as np, fastmlp
kind, threads = sys.argv[1], int(sys.argv[2])
rng = np.random.default_rng(0)
if kind == "epochs":
    n, sizes, batch, epochs = 100, [10, 8, 1], 10, 10**7
elif kind == "steps":    # one epoch of a great many steps
    n, sizes, batch, epochs = 1_500_000, [4, 128, 128, 1], 1, 1
else:                    # steps of some 20 ms
    n, sizes, batch, epochs = 8_000, [256, 512, 512, 1], 4000, 10**5
X, y = rng.normal(size=(n, sizes[0])).astype("float32"), rng.normal(size=(n, 1)).astype("float32")
net = fastmlp.MLP(sizes, activation="tanh", seed=0)
before = net.weights
signal.signal(signal.SIGINT, signal.default_int_handler)
class Ready(fastmlp.Callback):
    # Says so after an epoch; where the first one is the last, once training has used some processor time.
    def on_train_begin(self, net, logs):
        if kind == "steps":
            threading.Thread(target=self.later, args=(time.process_time() + 0.5,), daemon=True).start()
    def later(self, due):
        while time.process_time() < due:
            time.sleep(0.005)
        print("ready", flush=True)
    def on_epoch_end(self, net, logs):
        if kind != "steps" and logs["epoch"] == 1:
            print("ready", flush=True)
try:
    net.fit(X, y, epochs=epochs, batch_size=batch, threads=threads, optimizer=fastmlp.SGD(1e-4), callbacks=[Ready()])
    outcome = "finished"
except KeyboardInterrupt:
    outcome = "interrupted"
after = net.weights
changed = any((a != b).any() for a, b in zip(after, before, strict=True))
finite = all(np.isfinite(a).all() for a in after)
history = net.fit(X[:100], y[:100], epochs=1, batch_size=10, threads=threads)
outputs = net.predict(X[:5])
print(json.dumps({"outcome": outcome, "changed": changed, "finite": finite,
                  "usable": bool(np.isfinite(outputs).all()), "loss": history.loss[-1]}))
"""


@POSIX
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("kind", ["epochs", "steps", "large"])
def test_keyboard_interrupt(kind, number):
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPT, kind, str(number)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "ready\n", process.stderr.read()
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 0, errors
    found = json.loads(output)
    assert 0 < found.pop("loss") < 10
    assert found == {"outcome": "interrupted", "changed": True, "finite": True, "usable": True}


@POSIX
def test_keyboard_interrupt_is_noticed_at_once():
    """The fastest of a few tries, in processor time, since whatever else the machine does delays them."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(2000, 64)), rng.normal(size=(2000, 1))
    net = fastmlp.MLP([64, 128, 128, 1], seed=0, backend="cython")
    sent, delays, senders = [], [], []

    class Interrupt(fastmlp.Callback):
        def on_train_begin(self, net, logs):  # before, it could come outside of `fit`
            senders.append(threading.Thread(target=self.later))
            senders[-1].start()

        def later(self):
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGINT)
            sent.append(time.process_time())

    old = signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background jobs with SIGINT ignored
    gc.disable()  # what is raised in a callback of the collector (hypothesis has one) is lost
    try:
        for _ in range(5):
            with pytest.raises(KeyboardInterrupt):
                net.fit(X, y, epochs=20_000, batch_size=64, threads=2, callbacks=[Interrupt()])
            noticed = time.process_time()
            senders.pop().join()
            delays.append(noticed - sent.pop())
    finally:
        gc.enable()
        signal.signal(signal.SIGINT, old)
    assert min(delays) < 0.1


@POSIX
def test_a_handler_that_returns_does_not_stop_training():
    spec = NetworkSpec.make([16, 64, 64, 1], "tanh")
    X, y, order = np.ones((50, 16), "float32"), np.ones((50, 1), "float32"), np.arange(50).repeat(8000)
    optimizer, calls = nets.OPTIMIZERS["momentum"], []
    engine, undisturbed = fill(Engine(spec), spec), fill(Engine(spec), spec)
    train(undisturbed, X, y, order, 8, optimizer)
    old = signal.signal(signal.SIGALRM, lambda number, frame: calls.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        outcome, _ = train(engine, X, y, order, 8, optimizer, threads=2)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert outcome.status == "done"
    assert calls
    assert flat(layers_of(engine)).tobytes() == flat(layers_of(undisturbed)).tobytes()


# --- limits and other libraries --------------------------------------------------------------------------------------

LIMITED = (
    COMMON
    + """
print(json.dumps([digest(trained(1)), digest(trained(3)), digest(trained(None)), fastmlp.get_num_threads()]))
"""
)


@pytest.mark.parametrize(
    "environment",
    [
        {"OMP_NUM_THREADS": "1"},
        {"OMP_THREAD_LIMIT": "1"},
        {"OMP_NUM_THREADS": "7", "OMP_DYNAMIC": "true"},
        {"OMP_WAIT_POLICY": "active"},
        {"OMP_PROC_BIND": "true", "OMP_NUM_THREADS": "2"},
    ],
    ids=" ".join,
)
def test_limits_of_openmp_do_not_change_the_bits(environment):
    one, three, chosen, most = run(LIMITED, **environment)
    assert one == three == chosen
    if environment.get("OMP_NUM_THREADS") == "1":
        assert most == 1


def test_threadpoolctl():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    wanted = trained(3, 1)
    assert "openmp" in {pool["user_api"] for pool in threadpoolctl.threadpool_info()} or not threads.openmp
    with threadpoolctl.threadpool_limits(1):
        if threads.openmp:
            assert fastmlp.get_num_threads() == 1
        assert trained(3, None) == trained(3, 2) == wanted
    with threadpoolctl.threadpool_limits(2):
        assert trained(3, None) == wanted


def test_beside_numpy_in_another_thread():
    """BLAS has a pool of its own: neither may wait for the other for ever."""
    a = np.random.default_rng(0).normal(size=(300, 300))
    wanted, product = trained(4, 2), a @ a

    def multiply():
        for _ in range(50):
            np.testing.assert_array_equal(a @ a, product)

    assert in_threads(lambda: trained(4, 2), multiply)[0] == wanted


AFFINITY = f"""{COMMON}
net = fastmlp.MLP([37, 70, 45, 5], output="softmax", seed=1)
allowed, masks = os.sched_getaffinity(0), []
for _ in range(5):
    net.fit(X, y, epochs=2, batch_size=32, threads=2)
    time.sleep(0.05)  # the worker sleeps by now
    for _ in range(1000):
        found = [os.sched_getaffinity(int(worker["Pid"])) for worker in workers(1)]
        if found == [allowed]:
            break
        time.sleep(0.001)
    masks.append([sorted(mask) for mask in found])
print(json.dumps([sorted(allowed), masks]))
"""


@pytest.mark.skipif(not LINUX, reason="affinity is read from Linux")
def test_workers_that_start_beside_their_caller_may_then_run_where_it_may():
    allowed, masks = run(AFFINITY)
    assert masks == [[allowed]] * 5
