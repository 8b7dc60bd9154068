"""One row of the matrix of test_reentry.py, in a process of its own: a call of a network, and in the middle of it every
other call, from a signal's handler, a callback, another thread or a forked child. Prints what became of each as JSON.
"""

import contextlib
import faulthandler
import json
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np
from engine_calls import states_of

import fastmlp

PATIENCE = 40  # seconds until a hang ends the process, with a traceback

RUNNING, SOURCE, BACKEND, THREADS = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])

SIZES = [20, 32, 32, 3]
rng = np.random.default_rng(0)
X, y = rng.normal(size=(4096, 20)).astype("float32"), rng.normal(size=(4096, 3)).astype("float32")
FEW_X, FEW_Y = X[:50], y[:50]
FOLDER = Path(tempfile.mkdtemp())
CALLBACKS = []


def fresh():
    net = fastmlp.MLP(SIZES, activation="tanh", seed=0, backend=BACKEND)
    net.fit(FEW_X, FEW_Y, epochs=1, batch_size=10, threads=1)
    return net


def bits(net):
    return b"".join(a.tobytes() for a in (*net.weights, *net.biases))


# ---- what runs: as large as `scale` says ----


def fitting(batch_size):
    def run(net, scale):
        rows = min(max(batch_size, 500 * scale), len(X))
        net.fit(X[:rows], y[:rows], epochs=2 + scale, batch_size=batch_size, threads=THREADS, callbacks=CALLBACKS)
        return bits(net)

    return run


def many(scale):
    """Rows without their memory: one, again and again."""
    return np.broadcast_to(X[:1], (5000 * scale, 20)), np.broadcast_to(y[:1], (5000 * scale, 3))


def long_steps(net, scale):
    net.fit(*many(scale), epochs=2, batch_size=5000 * scale, threads=THREADS, callbacks=CALLBACKS)
    return bits(net)


CALLS_THAT_RUN = {
    "fit": fitting(10),
    "fit in microbatches": fitting(1024),
    "fit of long steps": long_steps,
    "step": lambda net, scale: repr(net.step(*many(scale), threads=THREADS)).encode() + bits(net),
    "predict": lambda net, scale: net.predict(many(scale)[0], threads=THREADS).tobytes(),
    "evaluate": lambda net, scale: repr(net.evaluate(*many(scale), threads=THREADS)).encode(),
    "loss_and_grad": lambda net, scale: repr(net.loss_and_grad(*many(scale), threads=THREADS)).encode(),
}


def forward(net, scale):
    return net.forward(many(scale)[0], threads=THREADS).tobytes()


def backward(net, scale):
    """A backward pass; what comes in its middle waits until the forward pass before it is over (`when_it_runs`)."""
    outputs = net.forward(many(scale)[0], threads=THREADS)
    return b"".join(each.tobytes() for part in net.backward(outputs, threads=THREADS) for each in part)


CALLS_THAT_RUN |= {"forward": forward, "backward": backward}

# ---- what comes in its middle ----


def save(net):
    path = FOLDER / f"{os.getpid()}-{threading.get_ident()}"
    net.save(path)
    return fastmlp.load(path, backend=BACKEND)


def set_weights(net):
    net.weights = [2 * w for w in net.weights]


def set_optimizer(net):
    net.optimizer = fastmlp.SGD(1e-3)


def few_there_and_back(net):
    outputs = net.forward(FEW_X, threads=THREADS)
    return outputs, net.backward(outputs, input_gradient=True, threads=THREADS)


def set_biases(net):
    net.biases = [b + 1 for b in net.biases]


READS = {
    "save": save,
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
    "weights": lambda net: net.weights,
    "predict": lambda net: net.predict(FEW_X, threads=THREADS),
    "predict many": lambda net: net.predict(X, threads=THREADS),
    "evaluate": lambda net: net.evaluate(FEW_X, FEW_Y, threads=THREADS),
    "trace": lambda net: net.trace(FEW_X, FEW_Y),
    "loss_and_grad": lambda net: net.loss_and_grad(X[:3000], y[:3000], threads=THREADS),
    "backward": few_there_and_back,
}
CHANGES = {
    "weights =": set_weights,
    "biases =": set_biases,
    "optimizer =": set_optimizer,
    "reset_optimizer": lambda net: net.reset_optimizer(),
    "step": lambda net: net.step(FEW_X, FEW_Y, threads=THREADS),
    "apply_gradients": lambda net: net.apply_gradients(net.get_flat(), threads=THREADS),
    "set_flat": lambda net: net.set_flat(net.get_flat()),
    "fit": lambda net: net.fit(FEW_X, FEW_Y, epochs=1, batch_size=10, threads=THREADS),
}


def same_network(net, other):
    """Whether a copy that was taken is the network as it is at this moment."""
    return (
        bits(other) == bits(net)
        and (other.n_steps, other.n_epochs) == (net.n_steps, net.n_epochs)
        and other.predict(FEW_X).tobytes() == net.predict(FEW_X).tobytes()
        and all(
            a.tobytes() == b.tobytes()
            for mine, theirs in zip(states_of(net._learner.engine), states_of(other._learner.engine), strict=True)
            for a, b in zip([*mine[0], *mine[1]], [*theirs[0], *theirs[1]], strict=True)
        )
    )


def outcome(net, name):
    """What becomes of a call: "right", "refused" with its reason, or what else it raised."""
    call = (READS | CHANGES)[name]
    try:
        found = call(net)
    except RuntimeError as error:
        return f"refused: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if name in ("save", "pickle"):
        return "right" if same_network(net, found) else "another network"
    if name in READS:
        again = call(net)
        return "right" if repr(again) == repr(found) else "something else a moment later"
    return "done"


# ---- from where ----


def when_it_runs(net, act):
    """Arms a timer whose handler acts when the call is really running, and not before or behind it."""

    def handler(number, frame):
        if net._access.running() in (None, "forward" if RUNNING == "backward" else None):
            signal.setitimer(signal.ITIMER_REAL, 0.001)
        else:
            act()

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001)


def from_handler(net, name, done):
    when_it_runs(net, lambda: done.append(outcome(net, name)))


def from_child_of_handler(net, name, done):
    when_it_runs(net, lambda: done.append(in_child(net, name)))


def from_callback(net, name, done):
    CALLBACKS[:] = [lambda given, logs: None if done else done.append(outcome(net, name))]


def from_thread(net, name, done):
    """A thread that calls it while the main thread is in its own call; it may wait."""

    def work():
        try:
            (READS | CHANGES)[name](net)
            done.append("done")
        except Exception as error:
            done.append(f"{type(error).__name__}: {error}")

    return beside(net, work)


def from_child(net, name, done):
    """A thread that forks while the main thread is in its own call; the child calls it."""
    return beside(net, lambda: done.append(in_child(net, name)))


def beside(net, work):
    """A thread that begins to work when the main thread is in the middle of its call."""
    runs = threading.Event()

    def wait():
        runs.wait()
        work()

    when_it_runs(net, runs.set)
    thread = threading.Thread(target=wait, daemon=True)
    thread.runs = runs
    thread.start()
    return thread


def in_child(net, name):
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads
        child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            signal.signal(signal.SIGALRM, signal.SIG_DFL)  # which ends it, should it hang
            signal.alarm(PATIENCE // 2)
            os.write(write, outcome(net, name).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        found = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return found or ("hung" if code == -signal.SIGALRM else f"died with {code}")


SOURCES = {
    "handler": from_handler,
    "callback": from_callback,
    "thread": from_thread,
    "child": from_child,
    "child of a handler": from_child_of_handler,
}


def large_enough():
    """A scale at which the compiled engine looks for signals in the middle of the call, and not only behind it."""
    for power in range(16):
        net, hit, began = fresh(), [], time.perf_counter()
        when_it_runs(net, lambda hit=hit: hit.append(True))
        CALLS_THAT_RUN[RUNNING](net, 2**power)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if hit and time.perf_counter() - began > (0.02 if BACKEND == "numpy" else 0.07):
            return 2**power
    raise SystemExit(f"{RUNNING} is always over before a signal comes in its middle")


def attempt(call, scale, name):
    """What became of the call `name` in the middle of the one that runs; None where that was over too soon for it."""
    CALLBACKS.clear()
    net, done = fresh(), []
    thread = SOURCES[SOURCE](net, name, done)
    got, steps = call(net, scale), net.n_steps
    signal.setitimer(signal.ITIMER_REAL, 0)
    if thread is not None and thread.runs.is_set():
        thread.join(PATIENCE)
        steps = net.n_steps
    return (done[0], got, steps) if done else None


def main():
    found, call = {}, CALLS_THAT_RUN[RUNNING]
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    scale, wanted = large_enough(), {}
    for name in READS | CHANGES:
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        while (answer := attempt(call, scale, name)) is None:
            scale *= 2
        if scale not in wanted:
            net = fresh()
            wanted[scale] = call(net, scale), net.n_steps
        result, got, steps = answer
        found[name] = {"call": result, "undisturbed": got == wanted[scale][0], "steps": steps - wanted[scale][1]}
    print(json.dumps(found))


main()
