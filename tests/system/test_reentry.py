"""A network that is used while it is being used: from signal handlers, callbacks, other threads, forked children.

Oracle: an undisturbed network. Reading is right where it is allowed, changing is refused where it would pull the
network from under a call, and nothing waits for itself: every row of the matrix is a process with a time limit.
"""

import functools
import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import BACKENDS
from engine_calls import layers_of, states_of

import fastmlp

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs interval timers and fork")

TRAININGS = ["fit", "fit in microbatches", "fit of long steps", "step"]
READINGS = ["predict", "evaluate", "loss_and_grad", "forward", "backward"]
READS = ["save", "pickle", "weights", "predict", "predict many", "evaluate", "trace", "loss_and_grad", "backward"]
CHANGES = {
    "weights =": 0,
    "biases =": 0,
    "optimizer =": None,
    "reset_optimizer": None,
    "step": 1,
    "apply_gradients": 1,
    "set_flat": 0,
    "fit": 5,
}  # steps made
SOURCES = ["handler", "callback", "thread", "child", "child of a handler"]

# A sanitizer looks at C, and takes its time.
MATRIX_BACKENDS = [name for name in BACKENDS if name != "numpy" or "FASTMLP_SANITIZE" not in os.environ]
ROWS = [
    (running, source, backend)
    for running in TRAININGS + READINGS
    for source in SOURCES
    for backend in MATRIX_BACKENDS
    if source != "callback" or running.startswith("fit")
    if backend != "numpy" or running not in ("fit in microbatches", "fit of long steps")  # there it is all one
]


@functools.cache
def row(running, source, backend):
    """Tell what became of every call that came in the middle of another, by name, and what the process had to say."""
    script = Path(__file__).parents[1] / "helpers" / "reentry.py"
    threads = "1" if backend == "numpy" else "2"
    # A fork while another thread is in a product of OpenBLAS's threads hangs that product, fastmlp or not.
    helpers = os.pathsep.join(filter(None, [str(script.parents[1] / "helpers"), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": helpers}
    result = subprocess.run(
        [sys.executable, str(script), running, source, backend, threads],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return json.loads(result.stdout) if result.returncode == 0 else {}, result.stderr


@pytest.mark.parametrize("call", READS + list(CHANGES))
@pytest.mark.parametrize(("running", "source", "backend"), ROWS)
def test_a_call_in_the_middle_of_another_is_right_or_refused(running, source, backend, call):
    calls, errors = row(running, source, backend)
    assert call in calls, errors
    found = calls[call]
    reads = call in READS
    allowed = {"right"} if reads else {"done"}
    if source == "thread":
        allowed = {"done"}  # it has waited
    if source == "child" and running in TRAININGS:
        allowed |= {"refused: this process was forked"}
    if source in ("handler", "child of a handler") and not reads:
        allowed = {f"refused: {call} would change this network in the middle of its"}
    if source == "callback" and call in ("fit", "step", "apply_gradients"):
        allowed = {"refused: this network is being trained: a callback may use it, but not call"}
    assert any(found["call"].startswith(words) for words in allowed), (found, errors)
    refused_or_elsewhere = found["call"].startswith("refused") or source.startswith("child")
    steps = 0 if reads or refused_or_elsewhere else CHANGES[call]
    assert steps is None or found["steps"] == steps  # None: they are counted anew
    if reads or refused_or_elsewhere or (source == "thread" and running in READINGS):
        assert found["undisturbed"]


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("batch_size", [16, 512], ids=["one batch", "microbatches"])
def test_files_saved_from_a_handler_are_states_of_an_undisturbed_training(tmp_path, batch_size, threads):
    """100 moments of one training: each file, counters included, is what so many steps make of the network.

    It is loaded and compared with an undisturbed network that is taken there by epochs and the steps that remain.
    """
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(4096, 12)).astype("float32"), rng.integers(0, 4, 4096)
    optimizer, steps_of_epoch = fastmlp.Adam(1e-3), len(X) // batch_size

    def network():
        return fastmlp.MLP([12, 48, 48, 4], output="softmax", seed=3, backend="cython")

    net, files, late = network(), [], []

    def handler(number, frame):
        if len(files) < 100:
            path = tmp_path / f"{len(files)}.safetensors"
            net.save(path)
            files.append((path, net._access.running()))
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.001, 0.03))

    def enough(given, logs):
        late.append(logs["epoch"])
        return len(files) >= 100

    kept = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        net.fit(X, y, epochs=10**6, batch_size=batch_size, optimizer=optimizer, threads=threads, callbacks=[enough])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, kept)
    assert sum(running is not None for _, running in files) > 10  # most come in the middle of the engine's work

    undisturbed, now = network(), 0
    for path, _ in files:
        saved = fastmlp.load(path)
        epochs, rest = divmod(saved.n_steps, steps_of_epoch)
        assert saved.n_epochs == epochs
        if epochs > now:
            undisturbed.fit(X, y, epochs=epochs - now, batch_size=batch_size, optimizer=optimizer, threads=1)
            now = epochs
        expected = pickle.loads(pickle.dumps(undisturbed))
        order = expected._backend.permutation(3, epochs, len(X))
        for step in range(rest):
            rows = order[step * batch_size : (step + 1) * batch_size]
            expected.step(X[rows], y[rows], optimizer=optimizer, threads=1)
        assert (expected.n_steps, expected.n_epochs) == (saved.n_steps, saved.n_epochs)
        wanted = [state(expected)]
        if not saved.n_steps:  # on a busy machine: `fit` had the optimizer by then, or not yet
            expected._learner.use(optimizer)
            wanted.append(state(expected))
        assert state(saved) in wanted, (path, saved.n_steps)


def state(net):
    """All that training changes, as bytes."""
    slots = [layers_of(net._learner.engine), *states_of(net._learner.engine)]
    return b"".join(array.tobytes() for weights, biases in slots for array in (*weights, *biases))


@pytest.mark.parametrize("batch_size", [10, 1024, 50_000], ids=["short steps", "microbatches", "long steps"])
def test_a_child_forked_by_a_handler_goes_on_with_the_training(batch_size):
    """The child has no workers until it needs them, and comes to the same bits as its parent."""
    rng = np.random.default_rng(0)
    rows = max(20_000, 4 * batch_size)
    X = np.broadcast_to(rng.normal(size=(1, 20)).astype("float32"), (rows, 20))
    y = np.broadcast_to(rng.normal(size=(1, 3)).astype("float32"), (rows, 3))
    net = fastmlp.MLP([20, 64, 64, 3], activation="tanh", seed=0, backend="cython")
    read, write = os.pipe()
    children = []

    def handler(number, frame):
        if net._access.running() is None or children:
            return
        signal.setitimer(signal.ITIMER_REAL, 0)  # or the next one would come, and fork, before this one is noted
        if not children:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads
                children.append(os.fork())
            if children == [0]:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(60)  # ends it, should it hang

    kept = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        while not children:
            net.fit(X, y, epochs=1, batch_size=batch_size, threads=2)
        if children == [0]:
            os.write(write, hashlib.sha256(state(net)).digest())
            os._exit(0)
    finally:
        if children == [0]:
            os._exit(1)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, kept)
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
    assert os.read(read, 32) == hashlib.sha256(state(net)).digest()
    os.close(read)
    os.close(write)


DEADLOCK = """
import signal, sys, threading, numpy as np, fastmlp

X = np.broadcast_to(np.ones((1, 20), "f4"), (int(sys.argv[1]), 20))
net = fastmlp.MLP([20, 64, 64, 1], seed=0, backend="cython")
found, trained = [], threading.Event()

def fit():
    net.fit(X[:64], np.ones(64), epochs=1)
    trained.set()

trainer = threading.Thread(target=fit)

def handler(number, frame):
    if net._access.running() is None:
        signal.setitimer(signal.ITIMER_REAL, 0.001)
    elif not trainer.is_alive():  # it shall wait for the prediction, and the next handler come in between
        trainer.start()
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        net.save(sys.argv[2])
        found.append(trained.is_set())

signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.001)
net.predict(X, threads=1)
signal.setitimer(signal.ITIMER_REAL, 0)
if trainer.ident:
    trainer.join()
print(found)
"""


def test_a_handler_saves_in_a_prediction_for_which_another_thread_waits_to_train(tmp_path):
    """The prediction has the network's gate, the training its lock: the file is of what the prediction reads."""
    for rows in (10**6, 10**7, 4 * 10**7):
        result = subprocess.run(
            [sys.executable, "-c", DEADLOCK, str(rows), str(tmp_path / "saved")],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        if result.stdout.strip() != "[]":  # it was over before the second signal came
            break
    assert result.stdout.strip() == "[False]"
    assert fastmlp.load(tmp_path / "saved").n_steps == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_handler_may_not_change_what_a_callback_is_reading(backend):
    """The training has lent the network to its callback, not to who interrupts that."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(50, 4)), rng.normal(size=(50, 2))
    net = fastmlp.MLP([4, 8, 2], seed=0, backend=backend)
    answers = []

    def change(number, frame):
        try:
            net.biases = [b + 1 for b in net.biases]
            answers.append("changed")
        except RuntimeError as error:
            answers.append(str(error))

    class Reader(fastmlp.Callback):
        def on_epoch_end(self, net, logs):
            with net._access.reading("evaluate"):  # as a long evaluation would be, wherever it is interrupted
                signal.raise_signal(signal.SIGALRM)
            signal.raise_signal(signal.SIGALRM)

    kept = signal.signal(signal.SIGALRM, change)
    try:
        net.fit(X, y, epochs=1, callbacks=[Reader()])
    finally:
        signal.signal(signal.SIGALRM, kept)
    assert answers[0].startswith("biases = would change this network in the middle of its evaluate")
    assert answers[1:] == ["changed"]
