"""Forked children, process pools, and signals while workers work."""

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
from engine_calls import layers_of
from processes import COMMON, LINUX, PATIENCE, POSIX, run, trained
from random_networks import fill, flat, train

import fastmlp
from fastmlp.passes import threads
from fastmlp.spec import NetworkSpec

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
@pytest.mark.parametrize("kind", threads.kinds_of_workers())
def test_training_goes_on_in_a_forked_child_and_in_its_parent(kind):
    found = run(FORK, FASTMLP_WORKERS=kind)
    child = found["child"]
    assert found["status"] == child["grandchild"] == 0
    assert child["cap"] == found["cap"]
    assert child["same"]
    assert child["after"] == found["after"] != found["before"]
    assert child["fresh"] == child["chosen"] == found["before"]
    if LINUX:
        assert (child["workers"], child["more workers"]) == (1, 4)


FORK_BESIDE_A_READER = (
    COMMON
    + """
import threading
net, many, stop = trained(2), rng.normal(size=(200_000, 37)), threading.Event()

def keep_asking():
    while not stop.is_set():
        net.predict(many, threads=1)

reader = threading.Thread(target=keep_asking)
reader.start()
statuses = []
for _ in range(5):
    time.sleep(0.02)
    child = os.fork()
    if child == 0:
        steps, threads = net.n_steps, [threading.Thread(target=net.step, args=(X, y)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        os._exit(net.n_steps - steps)
    statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
stop.set()
reader.join()
print(json.dumps(statuses))
"""
)


@POSIX
def test_a_thread_of_a_forked_child_is_not_taken_for_one_of_its_parents():
    """It may have the number of one that was predicting there."""
    assert run(FORK_BESIDE_A_READER) == [4] * 5


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


INTERRUPTED_WHILE_WAITING = (
    COMMON
    + """
import signal, threading
net, many, stop = fastmlp.MLP([37, 500, 500, 5], seed=1), rng.normal(size=(50_000, 37)), threading.Event()
targets = rng.normal(size=(400, 5))

def keep_asking():
    while not stop.is_set():
        net.predict(many, threads=1)

class Alarm(Exception):
    pass

def ring(number, frame):
    raise Alarm

signal.signal(signal.SIGALRM, ring)
reader = threading.Thread(target=keep_asking)
reader.start()
interrupted = 0
for _ in range(30):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        net.step(X, targets)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Alarm:
        interrupted += 1
stop.set()
reader.join()
net.predict(X)
steps = net.n_steps
net.step(X, targets)
print(json.dumps([interrupted, net.n_steps - steps]))
"""
)


@POSIX
def test_a_step_that_is_interrupted_while_it_waits_for_readers_leaves_the_network_free():
    interrupted, steps = run(INTERRUPTED_WHILE_WAITING)
    assert interrupted > 0
    assert steps == 1
