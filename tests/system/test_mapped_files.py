"""Arrays in files that became shorter after they had been mapped: reading behind the end kills a process (SIGBUS)."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys

import numpy as np
import pytest

from fastmlp.data import as_real

pytestmark = pytest.mark.skipif(os.name != "posix", reason="other systems do not let a mapped file be cut")

PAGE = mmap.ALLOCATIONGRANULARITY
ROWS, COLUMNS, OFFSET = 4 * PAGE // 32, 4, PAGE + 64  # 4 pages of rows of 32 bytes, from the middle of a page on
BYTES = OFFSET + 32 * ROWS


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "X"
    file.write_bytes(bytes(BYTES))
    return file


def mapped(path):
    return np.memmap(path, np.float64, "r", OFFSET, (ROWS, COLUMNS))


VIEWS = {
    "memmap": lambda X: X,
    "plain": np.asarray,
    "reversed": lambda X: np.asarray(X)[::-1],
    "transposed": lambda X: X.T,
    "reshaped": lambda X: np.asarray(X).ravel()[::3],
    "read again": lambda X: np.frombuffer(memoryview(X), np.float64),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("size", [0, PAGE, BYTES - 3 * 8])
def test_a_file_that_is_too_short_now_is_refused(path, view, size):
    X = view(mapped(path))
    assert as_real(X, "X").shape == X.shape
    os.truncate(path, size)
    with pytest.raises(ValueError, match=rf"X lies in the first \d+ bytes of the file '.*X', which has {size} now"):
        as_real(X, "X")


def test_what_lies_in_the_part_that_is_left_is_welcome(path):
    X = mapped(path)
    os.truncate(path, OFFSET + 32 * 10)
    for good in (X[:10], X[9::-1], np.asarray(X)[3:10:2], X[5:5], X[:9, ::-1]):
        assert as_real(good, "X").shape == good.shape
    for bad in (X[:11], X[10::-1], X[10:, 1:2], X.T):
        with pytest.raises(ValueError, match=rf"has {OFFSET + 320} now"):
            as_real(bad, "X")
    os.truncate(path, BYTES + 1)
    assert as_real(X, "X").shape == X.shape


def test_the_message_says_how_much_is_needed(path):
    X = mapped(path)
    os.truncate(path, 100)
    with pytest.raises(ValueError, match=rf"first {OFFSET + 64} bytes"):
        as_real(X[:2], "X")


def test_mappings_of_pythons_own(path):
    with path.open("rb") as file:
        X = np.frombuffer(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ), np.float64)
    assert as_real(X, "y").shape == X.shape
    os.truncate(path, 8)
    with pytest.raises(ValueError, match=rf"y lies in the first {BYTES} bytes of the file, which has 8 now"):
        as_real(X, "y")
    no_file = np.frombuffer(mmap.mmap(-1, PAGE), np.float64)
    assert as_real(no_file, "X") is no_file


USE = """
import os, sys, numpy as np, fastmlp
path, backend, what = sys.argv[1:]
good, z = np.ones((16384, 4)), np.ones(16384)
cut = np.memmap(path, np.float64, "w+", shape=(16384, 4))
cut[:] = 1
column, X = cut[:, 0], np.asarray(cut)
net = fastmlp.MLP([4, 32, 1], seed=0, backend=backend)
net.fit(cut, column, epochs=1, batch_size=4096)
before = net.weights[0].tobytes(), net.n_steps
os.truncate(path, 16384)
try:
    {"fit X": lambda: net.fit(X, z), "fit y": lambda: net.fit(good, column),
     "fit sample_weight": lambda: net.fit(good, z, sample_weight=column),
     "fit validation_data": lambda: net.fit(good, z, validation_data=(cut, z)),
     "step": lambda: net.step(X, z), "predict": lambda: net.predict(cut), "predict view": lambda: net.predict(X),
     "evaluate": lambda: net.evaluate(X, z), "loss_and_grad": lambda: net.loss_and_grad(good, column),
     "trace": lambda: net.trace(X)}[what]()
except ValueError as error:
    assert before == (net.weights[0].tobytes(), net.n_steps)
    print(error)
"""


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("fit X", "X"),
        ("fit y", "y"),
        ("fit sample_weight", "sample_weight"),
        ("fit validation_data", "validation_data[0]"),
        ("step", "X"),
        ("predict", "X"),
        ("predict view", "X"),
        ("evaluate", "X"),
        ("loss_and_grad", "y"),
        ("trace", "X"),
    ],
)
def test_a_network_refuses_what_would_kill_the_process(backend, tmp_path, what, name):
    command = [sys.executable, "-c", USE, str(tmp_path / "data"), backend, what]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{name} lies in the first 524")
    assert "which has 16384 now" in done.stdout
