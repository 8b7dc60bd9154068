"""Programs in processes of their own, and work in several threads: what tests of threads and forks share."""

import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import parameters

import fastmlp

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


class DiesOnce(fastmlp.Callback):
    """Kills its process after an epoch, unless one has done so, which a file tells."""

    def __init__(self, path, always=False):
        self.path, self.always = path, always

    def on_epoch_end(self, net, logs):
        if self.always or not self.path.exists():
            self.path.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def trains_though_a_worker_dies(executor, path):
    """Train six networks by an executor, one of whose workers dies, which the path tells, to the bits of each alone."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 4)).astype(np.float32)
    y = np.sin(X[:, 0])
    nets, others = ([fastmlp.MLP([4, 6, 1], seed=seed) for seed in range(6)] for _ in range(2))
    called = [[DiesOnce(path)] if seed == 2 else [] for seed in range(6)]
    results = fastmlp.fit_many(nets, X, y, epochs=3, callbacks=called, executor=executor)
    assert path.exists()
    for result, alone in zip(results, others, strict=True):
        alone.fit(X, y, epochs=3)
        assert result.error is None
        assert result.history.loss == alone.history.loss
        assert parameters(result.network) == parameters(alone)
