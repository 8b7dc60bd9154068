"""Ctrl-C in the middle of whatever takes long: noticed soon, and the network is as after a whole number of steps.

How soon is measured in processor time, which other processes of the machine cannot use up.
"""

import gc
import os
import signal
import threading
import time

import numpy as np
import pytest
from conftest import EXTENSION, parameters

import fastmlp

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only"),
    pytest.mark.skipif(EXTENSION is None, reason="the NumPy engine looks for signals between its steps only"),
]

BEFORE = 0.2  # seconds of processor time from the begin of a call to the signal
AFTER = 1.0  # and to its handler, at most: 50 ms on two threads are promised, and what is begun comes to an end


class Ring(Exception):
    pass


class Sender:
    """Sends SIGINT once this process has used some processor time, and notes how much more until its handler ran."""

    def __enter__(self):
        self.over = threading.Event()
        self.sent = self.handled = None
        self.old = signal.signal(signal.SIGINT, self.handle)
        gc.disable()  # what is raised in a callback of the collector (hypothesis has one) is lost
        self.thread = threading.Thread(target=self.send, args=(time.process_time() + BEFORE,))
        self.thread.start()
        return self

    def send(self, due):
        while time.process_time() < due:
            if self.over.wait(0.005):
                return
        os.kill(os.getpid(), signal.SIGINT)
        self.sent = time.process_time()

    def handle(self, number, frame):
        self.handled = time.process_time()
        if not self.over.is_set():
            raise Ring

    def __exit__(self, *exception):
        self.over.set()
        self.thread.join()
        gc.enable()
        signal.signal(signal.SIGINT, self.old)


def interrupted(call, *arguments, **options):
    """Run it until a signal ends it, soon after it came."""
    with Sender() as sender, pytest.raises(Ring):
        call(*arguments, **options)
    late = sender.handled - sender.sent
    assert late < AFTER, f"the handler ran {late:.3f} s of processor time after its signal"


def seconds_of(call, *arguments, **options):
    """Time a call, by the clock of this thread, at its fastest of three."""
    seconds = []
    for _run in range(3):
        start = time.thread_time()
        call(*arguments, **options)
        seconds.append(time.thread_time() - start)
    return min(seconds)


# Networks by what is between two looks for signals when a step is long. All but the first have blocks of rows of less
# than a millisecond of work, between which nobody would look for signals in a hurry.
LARGE = [1, 1024, 1024, 1]
PARTS = [1, *[96] * 6, 1]  # weights of 369 kB in float64: a batch goes through in parts
MICROBATCHES = [1, *[96] * 4, 1]  # 221 kB: cut into microbatches

LONG = {
    "large": (LARGE, "float32", 300_000),
    "parts": (PARTS, "float64", 1_500_000),
    "microbatches": (MICROBATCHES, "float64", 2_500_000),
}


def rows_of(n, dtype):
    """Make so many rows, all the same, without the memory for them."""
    return np.broadcast_to(np.full((1, 1), 0.5, dtype), (n, 1))


def network(sizes, dtype):
    return fastmlp.MLP(sizes, activation="tanh", dtype=dtype, seed=0, backend="cython")


def is_as_after_whole_steps(net, sizes, dtype, X, batch_size):
    """Counted right: the same as steps that nobody disturbed. Takes as long again."""
    undisturbed = network(sizes, dtype)
    for start in range(0, net.n_steps * batch_size, batch_size):
        undisturbed.step(X[start : start + batch_size], X[start : start + batch_size])
    return parameters(net) == parameters(undisturbed)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("sizes", "dtype", "batch_size"),
    [(LARGE, "float32", 64), (PARTS, "float64", 64), (MICROBATCHES, "float64", 4096)],
    ids=["large", "small", "microbatches"],
)
def test_an_epoch_of_many_steps_stops_after_a_whole_one(sizes, dtype, batch_size, threads):
    n = 300_000 if sizes is LARGE else 4_000_000
    net, X = network(sizes, dtype), rows_of(n, dtype)
    interrupted(net.fit, X, X, epochs=1, batch_size=batch_size, shuffle=False, threads=threads)
    assert net.n_steps < n // batch_size  # maybe none: what comes before the first may take long
    assert (net.n_epochs, net.history.loss) == (0, [])
    assert is_as_after_whole_steps(net, sizes, dtype, X, batch_size)
    net.fit(X[:100], X[:100], epochs=1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="keeps its threads to one processor")
def test_steps_that_take_longer_than_expected_are_interrupted():
    """The model shares the work among eight threads that have one processor, so a step's end is looked for too late:
    each step takes longer than it is between two looks, as where a machine is busy."""
    net, batch_size = network(LARGE, "float32"), 64
    X, processors = rows_of(300_000, "float32"), os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    try:
        while seconds_of(net.step, X[:batch_size], X[:batch_size], threads=1) < 0.06:
            batch_size += batch_size // 4
        interrupted(net.fit, X, X, epochs=1, batch_size=batch_size, shuffle=False, threads=8)
    finally:
        os.sched_setaffinity(0, processors)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("call", ["fit", "step", "loss_and_grad"])
@pytest.mark.parametrize("kind", LONG)
def test_one_long_step_is_given_up_as_a_whole(kind, call, threads):
    """A full batch, or a gradient, of seconds."""
    sizes, dtype, n = LONG[kind]
    net, X = network(sizes, dtype), rows_of(n, dtype)
    before = parameters(net)
    options = {"epochs": 1, "batch_size": n} if call == "fit" else {}
    interrupted(getattr(net, call), X, X, threads=threads, **options)
    assert (net.n_steps, net.n_epochs, net.history.loss) == (0, 0, [])
    assert parameters(net) == before
    net.step(X[:1000], X[:1000])
    assert is_as_after_whole_steps(net, sizes, dtype, X, 1000)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("call", ["predict", "evaluate"])
@pytest.mark.parametrize("kind", ["large", "small"])
def test_a_pass_over_many_rows_ends(kind, call, threads):
    sizes, dtype, n = (LARGE, "float32", 900_000) if kind == "large" else (PARTS, "float64", 8_000_000)
    net, X = network(sizes, dtype), rows_of(n, dtype)
    before = parameters(net)
    interrupted(getattr(net, call), *([X] if call == "predict" else [X, X]), threads=threads)
    assert parameters(net) == before
    net.step(X[:1000], X[:1000])
    assert np.isfinite(net.predict(X[:5])).all()
