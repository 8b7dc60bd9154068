"""The command line as a user meets it: in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import fastmlp
from fastmlp import cli, runtime

COMPILED = runtime.load_passes()[0] is not None


# A BLAS with several threads crawls on a machine that is busy, and tests make machines busy.
ONE_BLAS_THREAD = {"OPENBLAS_NUM_THREADS": "1"}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fastmlp", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | ONE_BLAS_THREAD | environment,
        check=False,
    )


def report(*arguments: str, **environment: str) -> dict:
    result = run(*arguments, "--json", **environment)
    assert (result.returncode, result.stderr) == (0, "")
    return json.loads(result.stdout)


@pytest.fixture
def no_extension(tmp_path):
    """Environment of a process in which the extension cannot be imported."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['fastmlp.passes'] = None\n")
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))}


# ---- demo -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_demo_reaches_its_accuracy_in_time():
    before = os.times()
    result = run("demo", OPENBLAS_NUM_THREADS="")  # with everything as a user has it
    after = os.times()  # of its processes: the time by the clock is everybody's
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < 30  # 15 s on two processors
    assert (result.returncode, result.stderr) == (0, "")
    accuracy, right = re.search(r"^test accuracy (0\.\d{4}): (\d+) of 360 ", result.stdout, re.MULTILINE).groups()
    assert float(accuracy) >= 0.97
    assert int(right) / 360 == pytest.approx(float(accuracy), abs=1e-4)
    assert "NumPy" in result.stdout
    assert "rows/s" in result.stdout
    assert "GFLOP/s" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100


@pytest.mark.skipif(not COMPILED, reason="needs the compiled extension")
def test_demo_without_numpy_reaches_its_accuracy():
    found = report("demo", "--no-numpy", "--threads", "1")
    (only,) = found["runs"]
    assert (only["backend"], only["threads"]) == ("cython", 1)
    assert found["test_accuracy"] >= 0.97
    assert 0 < found["percent_of_peak"] < 110
    assert "times_numpy" not in found


@pytest.mark.skipif(not COMPILED, reason="needs the compiled extension")
def test_demo_report():
    found = report("demo", "--epochs", "2", "--seed", "5")
    assert found["seed"] == 5
    assert found["times_numpy"] > 0
    ours, *others = found["runs"]
    theirs = others[0]
    assert [theirs["backend"] for theirs in others] == ["numpy"] * len(others)
    assert found["times_numpy"] <= min(ours["samples_per_second"] / theirs["samples_per_second"] for theirs in others)
    for run_ in found["runs"]:
        assert run_["history"]["epoch"][0] == 1
        assert run_["samples_per_second"] > 0
        assert run_["gflops"] > 0
    assert (ours["isa"], theirs["isa"]) == (runtime.config()["isa"], "numpy")
    assert ours["epochs"] == 2
    # The same network, data, shuffle and arithmetic but for the order of sums.
    assert ours["history"]["loss"][0] == pytest.approx(theirs["history"]["loss"][0], rel=1e-3)


@pytest.mark.skipif(not COMPILED, reason="needs the compiled extension")
def test_demo_is_repeatable():
    first, second = (report("demo", "--epochs", "2", "--no-numpy", "--threads", n) for n in "12")
    assert first["runs"][0]["history"]["loss"] == second["runs"][0]["history"]["loss"]


def test_demo_without_the_extension(no_extension):
    result = run("demo", "--epochs", "2", **no_extension)
    assert (result.returncode, result.stderr) == (0, "")
    assert "cannot be used" in result.stdout
    assert "FMA peak" not in result.stdout
    assert "\ntest accuracy " in result.stdout
    (only,) = report("demo", "--epochs", "1", "--no-numpy", **no_extension)["runs"]
    assert only["backend"] == "numpy"


def test_demo_ends_with_what_to_do_next_and_that_works():
    result = run("demo", "--epochs", "1", "--no-numpy")
    _, _, words = result.stdout.partition("\ntest accuracy ")
    code = "".join(line.removeprefix("    ") for line in words.splitlines(keepends=True) if line.startswith("    "))
    X, y = fastmlp.datasets.load_digits()
    names = {"X": X, "y": y}
    exec(code.replace("net.predict", "answer = net.predict"), names)
    assert (names["answer"] == y).mean() > 0.9


def test_demo_in_a_terminal_draws_a_bar():
    pty = pytest.importorskip("pty", reason="Windows has no such terminals", exc_type=ImportError)
    termios = pytest.importorskip("termios")
    pytest.importorskip("tqdm")
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    arguments = [sys.executable, "-m", "fastmlp", "demo", "--epochs", "3", "--no-numpy"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=terminal) as process:
        os.close(terminal)
        out = process.stdout.read()
        drawn = b""
        try:
            while block := os.read(controller, 65536):
                drawn += block
        except OSError:  # Linux's way to say that the other side has been closed
            pass
    os.close(controller)
    assert process.returncode == 0
    assert b"epoch 3" in drawn
    assert b"100%" in drawn
    assert b"100%" not in out


# ---- info, version, help --------------------------------------------------------------------------------------------


def test_info():
    result = run("info")
    assert (result.returncode, result.stderr) == (0, "")
    config = runtime.config()
    for shown in (config["version"], config["cpu"], config["numpy"], "caches"):
        assert shown in result.stdout
    assert ("FMA peak" in result.stdout) == COMPILED
    several = COMPILED and config["threads"] > 1
    assert ("wait for each other at least twice" in result.stdout) == several
    assert max(map(len, result.stdout.splitlines()[-10:])) <= 120


@pytest.mark.skipif(not COMPILED, reason="needs the compiled extension")
def test_info_report():
    found = report("info", FASTMLP_ISA="scalar")
    assert found["isa"] == "scalar"
    peaks = found["fma_peak_gflops"]
    assert set(peaks) == {isa["name"] for isa in found["isas"] if isa["available"]}
    for isa in peaks.values():
        assert set(isa) == {"float32", "float64"}
        for rates in isa.values():
            assert set(rates) == {"1", str(found["threads"])}
            assert all(rate > 0 for rate in rates.values())
    assert all(0 <= seconds < 1 for seconds in found["phase_seconds"].values())
    assert set(found["phase_seconds"]) >= {str(found["threads"])} - {"1"}


def test_info_without_the_extension(no_extension):
    found = report("info", **no_extension)
    assert found["backend"] == "numpy"
    assert "fma_peak_gflops" not in found
    assert run("info", **no_extension).returncode == 0


def test_version():
    assert run("--version").stdout == f"fastmlp {fastmlp.__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"], ["info", "--help"]])
def test_help(arguments):
    result = run(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("usage: fastmlp")


# ---- errors and interruptions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "usage: fastmlp"),
        (["dance"], "invalid choice"),
        (["demo", "--epochs", "0"], "must be an integer >= 1, got '0'"),
        (["demo", "--epochs", "many"], "must be an integer >= 1, got 'many'"),
        (["demo", "--seed", "-1"], "--seed"),
        (["demo", "--threads", "2000"], "must be an integer from 1 to 1024, got '2000'"),
        (["info", "--epochs", "1"], "unrecognized arguments"),
    ],
)
def test_wrong_arguments(arguments, expected):
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert expected in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(not COMPILED, reason="needs the compiled extension")
def test_an_error_is_one_line():
    result = run("demo", FASTMLP_ISA="z80")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("fastmlp: error: FASTMLP_ISA is 'z80'")
    assert result.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_is_quiet():
    arguments = [sys.executable, "-m", "fastmlp", "demo", "--epochs", "1000000"]
    # Shells start background jobs with SIGINT ignored, and what is ignored is inherited.
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, old)
    with process:
        try:
            assert process.stdout.readline().startswith("fastmlp ")  # the imports are over, which know no Ctrl-C
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, err) == (130, "")
    assert "test accuracy 0" not in out


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_closed_pipe_is_quiet():
    arguments = [sys.executable, "-m", "fastmlp", "info"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 2


POSIX = pytest.mark.skipif(os.name != "posix", reason="POSIX shells only")
FULL = pytest.param("/dev/full", marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here"))


@POSIX
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("command", ["info", "info --json", "demo --epochs 1 --no-numpy"])
@pytest.mark.parametrize("output", ["&-", FULL])
def test_output_that_cannot_be_written_is_an_error_in_one_line(command, output, unbuffered):
    shell = ["sh", "-c", f'exec "$0" -m fastmlp {command} >{output}', sys.executable]
    environment = os.environ | ONE_BLAS_THREAD | {"PYTHONUNBUFFERED": unbuffered}
    result = subprocess.run(shell, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("fastmlp: error: ")
    assert ("standard output is closed" if output == "&-" else "No space left on device") in result.stderr
    assert result.stderr.count("\n") == 1


@POSIX
@pytest.mark.parametrize("output", [FULL])
@pytest.mark.parametrize("option", ["--version", "--help"])
def test_what_argparse_prints_can_fail_as_well(option, output):
    shell = ["sh", "-c", f'exec "$0" -m fastmlp {option} >{output}', sys.executable]
    environment = os.environ | {"PYTHONUNBUFFERED": ""}
    result = subprocess.run(shell, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "No space left on device" in result.stderr


@POSIX
@pytest.mark.parametrize("output", ["&-", FULL])
def test_without_any_output_the_exit_code_tells(output):
    shell = ["sh", "-c", f'exec "$0" -m fastmlp info >{output} 2>{output}', sys.executable]
    assert subprocess.run(shell, timeout=120, check=False).returncode not in (0, 1)  # 1: a traceback


# ---- layout ---------------------------------------------------------------------------------------------------------


def test_table():
    text = cli.table(["name", "n"], [["a", "1"], ["long name", "100"]], 1)
    assert text.splitlines() == ["name         n", "a            1", "long name  100"]
    assert cli.table(["a\nb"], [["\x1b[31mé"]], 1).splitlines() == [r"a\nb", r"\x1b[31mé"]


def test_bench_and_cli_need_nothing_but_numpy():
    assert importlib.util.find_spec("fastmlp.runtime.measure") is not None
    program = "import sys, fastmlp.cli; print(*sorted({'tqdm', 'sklearn', 'scipy'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
