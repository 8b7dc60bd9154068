"""Trainings in processes that are killed, or stopped by Ctrl-C, at random moments: the last checkpoint goes on."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

# Slowed down by a callback: a moment may be anywhere, in steps, in the writing of a file, between epochs.
CHILD = """
import hashlib, sys, time
import numpy as np, fastmlp

rng = np.random.default_rng(0)
X = rng.normal(size=(512, 10)).astype(np.float32)
y = (X[:, 0] * X[:, 1] > 0).astype(np.int64)
net = fastmlp.MLP([10, 16, 2], output="softmax", dropout=0.1, seed=5)
path, threads, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
callbacks = [fastmlp.Checkpoint(path, every=3)] if path else []
callbacks += [fastmlp.EarlyStopping("val_loss", patience=4), lambda net, logs: time.sleep(seconds)]
rate = fastmlp.schedules.Cosine(0.01, steps=100)
try:
    print("ready", flush=True)
    history = net.fit(X, y, epochs=8, batch_size=32, optimizer=fastmlp.Adam(rate), ema=0.99, validation_split=0.2,
                      threads=threads, callbacks=callbacks, resume=path or None)
except KeyboardInterrupt:
    raise SystemExit(3)
digest = hashlib.sha256()
for array in [*net.weights, *net.biases, *net.averaged().weights, net.predict(X)]:
    digest.update(array.tobytes())
for name, column in history.items():
    if "second" not in name:
        digest.update(repr((name, list(column))).encode())
print(digest.hexdigest())
"""


def start(path, threads=1, seconds=0.0, isa=None):
    environment = dict(os.environ) if isa is None else os.environ | {"FASTMLP_ISA": isa}
    command = [sys.executable, "-c", CHILD, str(path), str(threads), str(seconds)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def finish(child):
    text = child.communicate(timeout=60)[0]
    assert child.returncode == 0
    return text


@pytest.fixture(scope="module")
def whole():
    return finish(start(""))


MOMENTS = [("SIGKILL", 1), ("SIGINT", 2)]
MANY = [(name, seed) for seed in range(10, 40) for name in ("SIGKILL", "SIGINT")]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes are not killed so here")
@pytest.mark.parametrize(
    ("name", "seed"), [*MOMENTS, *(pytest.param(*moment, marks=pytest.mark.slow) for moment in MANY)]
)
def test_a_training_goes_on_from_the_last_checkpoint(tmp_path, whole, name, seed):
    moment, path = random.Random(seed), tmp_path / "run.safetensors"
    child = start(path, threads=1 + seed % 2, seconds=0.02)
    time.sleep(moment.uniform(0, 0.2))
    child.send_signal(getattr(signal, name))
    child.communicate(timeout=60)
    assert child.returncode in (-signal.SIGKILL, 3, 0)  # it may have come to its end
    assert finish(start(path, threads=2 - seed % 2, isa="scalar" if seed % 3 else None)) == whole
