"""Profiles of a training: what they count, and when they advise."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import EXTENSION

import fastmlp
from fastmlp.runtime import measure
from fastmlp.spec import STAGES
from fastmlp.train.profile import Profile

SECONDS = {"gather": 0.1, "forward": 1.0, "loss": 0.1, "backward": 1.0, "update": 1.0, "wait": 0.0}


@pytest.mark.parametrize("threads", [1, 2])
def test_a_profile_counts_steps_rows_and_stages(backend, threads):
    X = np.random.default_rng(0).normal(size=(70, 5))
    net = fastmlp.MLP([5, 6, 4, 2], seed=0, backend=backend)
    net.fit(X, X[:, :2], epochs=1, batch_size=20)
    assert net.profile_ is None
    net.fit(X, X[:, :2], epochs=3, batch_size=20, optimizer=fastmlp.SGD(0.01), threads=threads, profile=True)
    profile = net.profile_
    assert (profile.steps, profile.rows, profile.sizes) == (12, 210, (5, 6, 4, 2))
    assert tuple(profile.seconds) == STAGES
    assert all(seconds >= 0 for seconds in profile.seconds.values())
    assert profile.seconds["forward"] > 0
    assert profile.seconds["update"] > 0
    assert profile.threads == pytest.approx(threads if backend == "cython" else 1)
    # What is booked is a part of what passed on all threads.
    assert sum(profile.seconds.values()) <= profile.wall * profile.threads * 1.0001
    assert all(stage in str(profile) for stage in STAGES)


def test_a_profile_changes_no_bit(backend):
    X = np.random.default_rng(0).normal(size=(64, 5))
    nets = [fastmlp.MLP([5, 9, 1], seed=0, backend=backend) for _ in range(2)]
    for net, profile in zip(nets, (False, True), strict=True):
        net.fit(X, X[:, 0], epochs=2, batch_size=10, profile=profile)
    for plain, profiled in zip(nets[0].weights, nets[1].weights, strict=True):
        assert plain.tobytes() == profiled.tobytes()


def test_a_profile_survives_an_exception(backend):
    def stop(*_):
        raise KeyError("enough")

    X = np.zeros((40, 3))
    net = fastmlp.MLP([3, 1], seed=0, backend=backend)
    with pytest.raises(KeyError, match="enough"):
        net.fit(X, X[:, 0], epochs=5, batch_size=10, callbacks=[stop], profile=True)
    assert net.profile_.steps == 4


@pytest.fixture
def measured(monkeypatch):
    """The instruction set and dtype of each call of the measuring kernel, in a process that has measured nothing."""
    calls, kernel = [], EXTENSION.probes.fma_rate

    def count(isa, dtype, iterations):
        calls.append((isa, dtype))
        return kernel(isa, dtype, iterations)

    monkeypatch.setattr(EXTENSION.probes, "fma_rate", count)
    monkeypatch.setattr(measure, "_peaks", measure._Peaks())
    return calls


def profiled(dtype="float32"):
    net = fastmlp.MLP([3, 1], seed=0, backend="cython", dtype=dtype)
    net.fit(np.zeros((40, 3)), np.zeros(40), epochs=1, profile=True)
    return net.profile_.peak


@pytest.mark.skipif(EXTENSION is None, reason="the extension is missing")
def test_the_peak_is_measured_once_per_dtype(measured):
    peaks = {dtype: profiled(dtype) for dtype in ("float32", "float64")}
    assert {dtype for _, dtype in measured} == set(peaks)
    before = len(measured)
    assert {dtype: profiled(dtype) for dtype in peaks} == peaks
    assert len(measured) == before


@pytest.mark.skipif(EXTENSION is None, reason="the extension is missing")
def test_threads_that_profile_measure_the_peak_once(measured):
    found = []
    threads = [threading.Thread(target=lambda: found.append(profiled())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1  # two measurements would hardly agree to the last bit
    before = len(measured)
    assert profiled() == found[0]
    assert len(measured) == before


@pytest.mark.skipif(EXTENSION is None, reason="the extension is missing")
def test_a_network_is_free_while_the_peak_is_measured(measured, monkeypatch):
    net = fastmlp.MLP([3, 1], seed=0, backend="cython")
    asked = []

    def fma_peak(*_):
        asked.append(threading.Thread(target=lambda: asked.append(len(net.weights)), daemon=True))
        asked[0].start()
        asked[0].join(30)
        return 1e9

    monkeypatch.setattr(measure, "fma_peak", fma_peak)
    net.fit(np.zeros((40, 3)), np.zeros(40), epochs=1, profile=True)
    assert asked[1:] == [1]
    assert net.profile_.peak == 1e9
    assert measured == []


FORK_WHILE_ANOTHER_THREAD_MEASURES = """
import os, signal, threading, warnings
from fastmlp.runtime import measure

begun, end = threading.Event(), threading.Event()
measure.fma_peak = lambda *_: begun.set() or end.wait() and 1e9
thread = threading.Thread(target=measure.thread_peak, args=("avx2", "float32"))
thread.start()
begun.wait()
warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside other threads: that is the point
child = os.fork()
if child == 0:
    signal.alarm(30)  # a hang ends here
    measure.fma_peak = lambda *_: 2e9
    os._exit(0 if measure.thread_peak("avx2", "float32") == 2e9 else 1)
end.set()
thread.join()
assert os.waitpid(child, 0)[1] == 0
assert measure.thread_peak("avx2", "float32") == 1e9
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only")
def test_a_child_can_profile_that_was_forked_during_the_measurement():
    done = subprocess.run(
        [sys.executable, "-c", FORK_WHILE_ANOTHER_THREAD_MEASURES],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_operations_and_shares():
    profile = Profile(SECONDS, 3.2, 10, 1000, 1.0, (20, 30, 40), peak=1e8)
    assert profile.flops("forward") == 1000 * 2 * (20 * 30 + 30 * 40)
    assert profile.flops("backward") == 1000 * 2 * 30 * 40
    assert profile.flops("gather") == 0
    assert profile.peak_share("forward") == pytest.approx(0.036)
    assert profile.peak_share("gather") is None
    assert Profile(SECONDS, 3.2, 10, 1000, 1.0, (20, 30, 40)).peak_share("forward") is None


@pytest.mark.parametrize(
    ("change", "threads", "word"),
    [({}, 1.0, "batch 100 -> 400"), ({"wait": 3.0}, 2.0, "wait"), ({"gather": 3.0}, 1.0, "gathering")],
)
def test_advice_where_it_is_clear(change, threads, word):
    profile = Profile(SECONDS | change, 3.2, 10, 1000, threads, (20, 30, 40), peak=1e8)
    assert any(word in line for line in profile.advice)


def test_no_advice_without_need():
    # All of the update is products at 85 % of the peak.
    flops = 1000 * 2 * (20 * 30 + 30 * 40)
    profile = Profile(SECONDS, 3.2, 10, 1000, 1.0, (20, 30, 40), peak=flops / 0.85)
    assert profile.advice == ()
    assert Profile(dict.fromkeys(STAGES, 0.0), 0.0, 0, 0, 0.0, (2, 1)).advice == ()


@pytest.mark.parametrize("bad", [1, "yes", None])
def test_profile_is_a_bool(bad):
    with pytest.raises(TypeError, match="profile"):
        fastmlp.MLP([2, 1]).fit([[1, 2]], [1], profile=bad)
