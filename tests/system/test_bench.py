"""The benchmark scripts: that they run, add up and fail as they say; not what they find. And what they measure with."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest

from fastmlp import runtime
from fastmlp.runtime.measure import BusyThreads, fma_peak, phase_seconds, training_flops

CSRC = Path(os.environ.get("FASTMLP_CSRC", Path(__file__).parents[2] / "csrc")).resolve()
BENCH = CSRC.parent / "bench"

needs_extension = pytest.mark.skipif(runtime.load_passes()[0] is None, reason="needs the compiled extension")
needs_bench = pytest.mark.skipif(not (BENCH / "_common.py").exists(), reason=f"no benchmarks in {BENCH}")


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCH / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


# ---- measure.py -----------------------------------------------------------------------------------------------------


def test_training_flops():
    # Forward, gradient: 2 operations for each of B x I x O; the delta of the inputs is not needed.
    assert training_flops([5, 3], 7) == 2 * 7 * (5 * 3 * 2)
    assert training_flops([5, 3, 2], 7) == 2 * 7 * (5 * 3 * 2 + 3 * 2 * 3)


@needs_extension
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_fma_peak(threads):
    alone = max(fma_peak(1, seconds=0.03) for _ in range(5))  # one may have met a busy moment
    together = fma_peak(threads, seconds=0.03)
    assert together > 1e8
    # More threads do not make one processor faster; the factor leaves room for a busy machine.
    assert together < 5 * min(threads, os.cpu_count()) * alone


@needs_extension
def test_fma_peak_of_what_is_not_there():
    with pytest.raises(ValueError, match="z80"):
        fma_peak(2, "z80")


@needs_extension
def test_phase_seconds():
    # A difference, cut at 0: on a busy machine phases may take no longer than the same work alone.
    assert 0 <= phase_seconds(2, 0.01) < 0.1


def test_busy_threads():
    def work() -> None:
        total = 0
        for n in range(1_000_000):
            total += n
        done.set()
        leave.wait()

    done, leave = threading.Event(), threading.Event()
    with BusyThreads() as busy:
        helper = threading.Thread(target=work)
        helper.start()
        done.wait()
    leave.set()
    helper.join()
    assert busy.count == 1  # the main thread only waited


# ---- bench/ ---------------------------------------------------------------------------------------------------------


@needs_bench
def test_workloads():
    workloads = tomllib.loads((BENCH / "workloads.toml").read_text(encoding="utf-8"))
    assert {"tiny", "batch8", "online", "tab", "digits", "wide", "huge", "deep"} <= set(workloads)
    for name, workload in workloads.items():
        assert set(workload) == {"sizes", "batch", "rows", "activation", "loss"}, name
        assert workload["rows"] % workload["batch"] == 0, name


@needs_bench
@needs_extension
def test_vs_numpy(tmp_path):
    path = tmp_path / "report.json"
    arguments = ["--workloads", "online,batch8", "--rounds", "2", "--seconds", "0.02", "--threads", "1"]
    result = run("vs_numpy.py", *arguments, "--json", str(path), "--check", "batch8=0.001")
    assert (result.returncode, result.stderr) == (0, "")
    assert all(len(line) <= 100 or str(tmp_path) in line for line in result.stdout.splitlines())
    report = json.loads(path.read_text())
    assert set(report) == {"machine", "settings", "results"}
    assert {"cpu", "isa", "threads", "versions", "commit", "date"} <= set(report["machine"])
    assert set(report["results"]) == {"online", "batch8"}
    for found in report["results"].values():
        assert set(found["variants"]) == {"fastmlp", "numpy"}
        ours, theirs = (found["variants"][name] for name in ("fastmlp", "numpy"))
        assert len(ours["rounds"]) == len(theirs["rounds"]) == 2
        assert ours["isa"] != theirs["isa"] == "numpy"
        assert 0 < ours["us_per_step_min"] <= ours["us_per_step_median"]
        assert found["ratio"]["min"] <= found["ratio"]["median"] <= found["ratio"]["max"]


@needs_bench
@needs_extension
def test_vs_numpy_check_fails(tmp_path):
    path = tmp_path / "report.json"
    arguments = ["--workloads", "batch8", "--rounds", "1", "--seconds", "0.01", "--json", str(path)]
    result = run("vs_numpy.py", *arguments, "--dtype", "float64", "--check", "batch8=1e6,tiny=1")
    assert result.returncode == 1
    assert "CHECK FAILED  batch8: " in result.stdout
    assert "CHECK FAILED  tiny: not measured" in result.stdout
    variants = json.loads(path.read_text())["results"]["batch8"]["variants"]
    assert set(variants) == {"fastmlp", "numpy", *(["numpy1"] if os.cpu_count() > 1 else [])}


@needs_bench
@needs_extension
def test_kernels(tmp_path):
    path = tmp_path / "report.json"
    result = run("kernels.py", "--repeats", "1", "--json", str(path))
    assert (result.returncode, result.stderr) == (0, "")
    report = json.loads(path.read_text())
    isas = {isa["name"] for isa in runtime.config()["isas"] if isa["available"]}
    assert {case["isa"] for case in report["gemm"]} == isas
    assert {case["group"] for case in report["gemm"]} == {"tile", "rows", "ragged", "few", "columns"}
    assert all(case["gflops"] > 0 for case in report["gemm"])
    for functions in report["math_ns_per_element"].values():
        assert {"exp", "log", "tanh", "logistic"} <= set(functions)
        assert all(isas <= set(times) for times in functions.values())


@needs_bench
@needs_extension
@pytest.mark.parametrize(
    ("script", "arguments", "expected"),
    [
        ("vs_numpy.py", ["--workloads", "enormous"], "there are: tiny"),
        ("vs_numpy.py", ["--check", "tiny"], "must look like"),
        ("vs_numpy.py", ["--threads", "0"], "must be auto"),
        ("vs_numpy.py", ["--rounds", "-1"], "must be a positive number"),
        ("kernels.py", ["--isa", "z80"], "there are:"),
        ("kernels.py", ["--check", "--shapes", "few"], "leaves out"),
    ],
)
def test_wrong_arguments(script, arguments, expected):
    result = run(script, *arguments)
    assert result.returncode == 2
    assert expected in result.stderr
    assert "Traceback" not in result.stderr


@needs_bench
@needs_extension
def test_a_failing_worker_is_reported():
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import _common\n"
        "def main():\n"
        "    with _common.Worker(sys.argv[1] + '/vs_numpy.py', 'numpy', 1) as worker:\n"
        "        worker.ask('prepare', workload={}, dtype='float32', threads=1)\n"
        "_common.run_script(main)"
    )
    command = [sys.executable, "-c", program, str(BENCH)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert "the worker 'numpy': TypeError" in result.stderr
    assert "Traceback" not in result.stderr


@needs_extension
@needs_bench
def test_short_trainings_are_measured_and_written(tmp_path):
    where = tmp_path / "short.json"
    package = str(Path(runtime.__file__).parents[1])
    options = ["--workloads", "online", "--processes", "1", "--seconds", "0.01", "--against", package]
    result = run("short.py", *options, "--json", str(where))
    assert result.returncode == 0, result.stderr
    results = json.loads(where.read_text())["results"]
    assert set(results) == {"online this", "online against"}
    for found in results.values():
        (only,) = found["rounds"]
        assert only["first"] > 0
        assert only["settled"] == statistics.median(only["later"][len(only["later"]) // 2 :])
        assert found["first"] == found["worst"] == only["first"] / only["settled"]
        assert found["second"] == only["second"] / only["settled"]
    assert "online" in result.stdout
    assert run("short.py", "--workloads", "none").returncode == 2
