"""The benchmark scripts: that they run, add up and fail as they say; not what they find. And what they measure with."""

from __future__ import annotations

import importlib
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import numpy as np
import pytest
from places import ROOT

import fastmlp
from fastmlp import runtime
from fastmlp.runtime.measure import BusyThreads, fma_peak, phase_seconds, training_flops

BENCH = ROOT / "bench"

needs_extension = pytest.mark.skipif(runtime.load_passes()[0] is None, reason="needs the compiled extension")
needs_bench = pytest.mark.skipif(not (BENCH / "_common.py").exists(), reason=f"no benchmarks in {BENCH}")


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCH / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture
def bench(monkeypatch):
    """Imports a module of bench/."""
    monkeypatch.syspath_prepend(BENCH)
    return importlib.import_module


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
    workloads = tomllib.loads((BENCH / "workloads.toml").read_text(encoding="utf-8"))["train"]
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
    result = run("kernels.py", "--repeats", "1", "--megabytes", "1", "--json", str(path))
    assert (result.returncode, result.stderr) == (0, "")
    report = json.loads(path.read_text())
    isas = {isa["name"] for isa in runtime.config()["isas"] if isa["available"]}
    assert {case["isa"] for case in report["gemm"]} == isas
    assert {case["group"] for case in report["gemm"]} == {"tile", "rows", "ragged", "few", "columns"}
    assert {case["dtype"] for case in report["gemm"]} == {"float32", "float64", "bfloat16"}
    assert all(case["gflops"] > 0 for case in report["gemm"])
    assert report["rounding"].keys() == isas
    assert all(rate > 0 for rates in report["rounding"].values() for rate in rates.values())
    for functions in report["math_ns_per_element"].values():
        assert {"exp", "log", "tanh", "logistic"} <= set(functions)
        assert all(isas <= set(times) for times in functions.values())
    names = runtime.load_passes()[0].kernels.names
    for what, kind in {"gather": "source", "forward": "activation", "loss": "loss", "update": "optimizer"}.items():
        found = [of for of in report["bytes"] if of["what"] == what]
        expected = set(itertools.product(isas, ("float32", "float64"), names(kind)))
        assert {(of["isa"], of["dtype"], of["name"]) for of in found} == expected
        assert all(of[place]["gb_per_second"] > 0 for of in found for place in ("cache", "memory"))


@needs_bench
@needs_extension
def test_bytes_of_an_operation_are_what_it_reads_and_writes(bench):
    operations = list(bench("_bytes").operations(["scalar"], ["float32"]))
    touched = {(of.what, of.name): of.touched for of in operations if of.what != "gather"}
    assert touched["forward", "relu"] == 2  # a
    assert touched["backward", "tanh"] == 3  # a; d twice
    assert touched["loss", "squared_error"] == 4  # a twice, the target; d
    assert touched["loss", "cross_entropy"] == 3  # with labels
    assert touched["update", "sgd"] == 5  # w and the momentum twice, g
    assert touched["update", "adam"] == 7


@needs_extension
def test_kernels_go_through_aligned_memory_only():
    rates = importlib.import_module("fastmlp.passes.rates")
    memory = np.zeros(4096, np.float32)
    memory = memory[-memory.ctypes.data % 64 // 4 :]
    setting = {"rows": 4, "columns": 64}
    assert rates.kernel_seconds("forward", "relu", memory[:256], **setting) >= 0
    with pytest.raises(ValueError, match="no block of 1024, aligned"):
        rates.kernel_seconds("forward", "relu", memory[:255], **setting)
    with pytest.raises(ValueError, match="aligned"):
        rates.kernel_seconds("forward", "relu", memory[1:2000], **setting)
    with pytest.raises(ValueError, match="row 9 of 9"):
        rates.gather_seconds(np.zeros((9, 64)), np.array([0, 9]), memory[:256], rows=2)


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
        "    with _common.script_worker(sys.argv[1] + '/vs_numpy.py', 'numpy', 1) as worker:\n"
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
def test_costs_of_features_are_measured_and_written(tmp_path):
    where = tmp_path / "costs.json"
    options = ["--workload", "online", "--rounds", "6", "--seconds", "0.001", "--json", str(where)]
    result = run("costs.py", "--features", "gelu,schedule", *options)
    assert result.returncode == 0, result.stderr
    results = json.loads(where.read_text())["results"]
    assert {name: found["limit"] for name, found in results.items()} == {"gelu": 1.15, "schedule": 1.01}
    for found in results.values():
        assert len(found["rounds"]) == 6
        assert found["ratio"] == statistics.median(each["ratio"] for each in found["rounds"])
        assert found["interval"][0] <= found["ratio"] <= found["interval"][1]
    assert run("costs.py", "--features", "none").returncode == 2


@needs_bench
def test_many_networks_are_measured_and_written(tmp_path):
    where = tmp_path / "many.json"
    result = run("many.py", "--networks", "2", "--tiny", "2", "--rows", "40", "--rounds", "2", "--json", str(where))
    assert result.returncode == 0, result.stderr
    results = json.loads(where.read_text())["results"]
    assert set(results) == {"20-64-64-1", "10-16-1"}
    for ways in results.values():
        assert [len(ways[way]) for way in ("one by one", "fit_many")] == [2, 2]
        assert min(map(min, ways.values())) > 0


@needs_extension
@needs_bench
def test_short_trainings_are_measured_and_written(tmp_path):
    where = tmp_path / "short.json"
    package = str(Path(fastmlp.__file__).parents[1])
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


@needs_bench
@needs_extension
@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("peers.py", "--workloads online --peers numpy --rounds 1 --seconds 0.02 --tune-seconds 0.02"),
        ("predict.py", "--nets 20-64-64-1 --batches 1 --peers numpy --rounds 1 --seconds 0.02 --tune-seconds 0.02"),
        ("sweep.py", "--shapes 1-1 --peers fastmlp --rounds 1 --seconds 0.02 --tune-seconds 0.02"),
        ("threads.py", "--workloads online --rounds 1 --busy-rounds 1 --seconds 0.02"),
        ("memory.py", "--workload tiny --gigabytes 0.01"),
        ("alternate.py", "--orders alone --rounds 1 --calls 2 --microseconds 20"),
        ("sklearn_suite.py", "--tasks iris --rounds 1 --threads 1"),
        ("command_line.py", "--data digits --rivals plain --effort fast --seeds 2 --threads 1"),
    ],
)
def test_the_other_scripts_run(script, options, tmp_path):
    wanted = {
        "memory.py": [],
        "alternate.py": [],
        "sklearn_suite.py": ["sklearn"],
        "command_line.py": ["pandas", "sklearn"],
    }
    for needed in wanted.get(script, ["threadpoolctl"]):
        pytest.importorskip(needed)
    if script in ("threads.py", "memory.py") and sys.platform != "linux":
        pytest.skip("needs Linux")
    path = tmp_path / "report.json"
    result = run(script, *options.split(), "--json", str(path))
    assert result.returncode == 0, result.stderr
    assert {"cpu", "isa", "versions"} <= set(json.loads(path.read_text())["machine"])


# ---- compare.py -----------------------------------------------------------------------------------------------------


@pytest.fixture
def paired(bench):
    return bench("_paired")


@needs_bench
def test_a_steady_drift_drops_out_of_a_round(paired):
    # A B B A while the machine becomes slower by a tenth at every visit: B takes 1.02 times as long.
    a1, b1, b2, a2 = (1.1**n for n in range(4))
    assert paired.paired_ratio([a1, a2], [1.02 * b1, 1.02 * b2]) == pytest.approx(1.02)
    assert paired.paired_ratio([1.02 * b1, 1.02 * b2], [a1, a2]) == pytest.approx(1 / 1.02)


@needs_bench
def test_interval_of_a_median(paired):
    # The binomial distribution: between the 6th and the 16th of 21 in 97.3 %, between the 7th and the 15th in 92.2 %.
    values = list(range(1, 22))
    assert paired.median_interval(values, 1 - 2 * 0.0133018) == pytest.approx((6, 16), abs=1e-4)
    assert paired.median_interval(values, 1 - 2 * 0.0391769) == pytest.approx((7, 15), abs=1e-4)
    low, high = paired.median_interval(values[::-1], 0.95)
    assert 6 < low < 7
    assert low + high == pytest.approx(22)
    assert paired.median_interval([5, 1, 2, 4, 3]) == (-math.inf, math.inf)  # holds it in 93.75 % at the most
    assert paired.median_interval([]) == (-math.inf, math.inf)


@needs_bench
@pytest.mark.parametrize("n", [6, 7, 12, 40])
def test_interval_holds_the_median_as_often_as_it_says(paired, n):
    rng = np.random.default_rng(n)
    inside = [low <= 0 <= high for low, high in map(paired.median_interval, rng.standard_cauchy((2000, n)))]
    assert 0.93 < np.mean(inside) < 0.97


@needs_bench
def test_pairs_of_processes_count_and_not_their_rounds(paired):
    # Twelve pairs of processes that differ by 3 %, each with a hundred rounds that agree.
    errors = np.linspace(-0.03, 0.03, 12)
    found = paired.Paired.of([[1.0 + error] * 100 for error in errors])
    assert (found.pairs, found.rounds) == (12, 1200)
    assert found.median == pytest.approx(1.0)
    assert found.low < 0.99
    assert found.high > 1.01
    assert not found.settled(0.01)
    assert found.settled(0.03)
    lower, upper = found.quartiles
    assert found.low < lower < 1.0 < upper < found.high
    assert not paired.Paired.of([[1.0]] * 5).settled(1.0)  # too few for an interval


@needs_bench
@needs_extension
def test_compare_of_a_build_with_itself(tmp_path):
    path, package = tmp_path / "report.json", str(Path(fastmlp.__file__).parents[1])
    options = ["--workloads", "online,row:20-64-64-1", "--dtypes", "float32", "--minutes", "0.001", "--no-build"]
    result = run("compare.py", package, *options, "--seconds", "0.001", "--json", str(path))
    assert (result.returncode, result.stderr) == (0, "")
    report = json.loads(path.read_text())
    assert set(report["results"]) == {"online float32 1", "online float32 2", "row:20-64-64-1 float32 1"}
    for found in report["results"].values():
        assert found["same_bits"]
        (rounds,) = found["pairs"]
        (only,) = rounds
        visits = [only[side]["seconds"] for side in ("base", "this")]
        assert [len(seconds) for seconds in visits] == [2, 2]
        (a1, a2), (b1, b2) = visits
        assert found["ratio"]["median"] == pytest.approx(((b1 * b2) / (a1 * a2)) ** 0.5)
        assert not found["settled"]


@needs_bench
@needs_extension
def test_compare_says_what_is_too_slow(bench):
    compare = bench("compare")
    (workload, *_) = bench("_workloads").load_workloads().values()

    def cell(threads, ratio):
        base = {"seconds": [1.0, 1.0], "whole": [1.0, 1.0]}
        this = {name: [ratio, ratio] for name in base}
        rounds = [{"base": base, "this": this, "phase": 1e-7}]
        return compare.Cell("train", workload, "float32", threads, [rounds] * 10)

    assert compare.failures([cell(1, 1.009), cell(1, 0.5), cell(2, 1.019)]) == []
    (line,) = compare.failures([cell(1, 1.009), cell(2, 1.021)])
    assert line.startswith(f"{workload.name} float32 2: 1.0210")
    (line,) = compare.failures([cell(1, 1.011)])
    assert line.startswith(f"{workload.name} float32 1: 1.0110")
    assert not cell(1, 1.0).open(None)


@needs_bench
@needs_extension
@pytest.mark.parametrize("base", ["no-such-commit", str(Path(__file__).parent)])
def test_compare_with_what_is_not_there(base):
    result = run("compare.py", base)
    assert result.returncode == 2
    assert f"BASE must be a commit, or a folder that holds fastmlp or src/fastmlp; got {base!r}" in result.stderr
    assert "Traceback" not in result.stderr
