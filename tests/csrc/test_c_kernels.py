"""Compiles and runs tests/csrc/kernels_check.c: every kernel of every ISA against the scalar one, bit for bit.

csrc/ is beside tests/ in a checkout; a copied tests/ finds it by FASTMLP_CSRC. FASTMLP_SANITIZE (gcc's list) builds the
program with sanitizers, under which its buffers have no margins at all.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from places import CSRC

PROGRAM = Path(__file__).with_name("kernels_check.c")
FLAGS = ["-std=c11", "-ffp-contract=off", "-fno-math-errno", "-Wall", "-Wextra", "-Wshadow", "-Wpedantic", "-Werror"]

pytestmark = pytest.mark.skipif(
    not (CSRC / "kernels.h").exists(), reason=f"no C sources in {CSRC}: FASTMLP_CSRC says where they are"
)


def environment() -> dict[str, str]:
    """Ours without LD_PRELOAD: a sanitizer's library that is preloaded for Python is not for compilers."""
    return {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=600, check=False)


def build(compiler: list[str], flags: list[str], folder: Path) -> Path:
    def compile_one(source: Path) -> str:
        target = folder / f"{source.stem}.o"
        result = run([*compiler, *FLAGS, *flags, f"-I{CSRC}", "-c", str(source), "-o", str(target)])
        assert result.returncode == 0, result.stderr
        return str(target)

    sources = [PROGRAM, CSRC / "cpu.c", *sorted((CSRC / "isa").glob("*.c"))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, sources))
    program = folder / "kernels_check"
    result = run([*compiler, *flags, *objects, "-lm", "-o", str(program)])
    assert result.returncode == 0, result.stderr
    return program


def check_output(result: subprocess.CompletedProcess[str], *tables: str) -> None:
    assert result.returncode == 0, result.stdout + result.stderr
    closing = re.fullmatch(r"(\d+) passed, 0 failed", result.stdout.splitlines()[-1])
    assert closing, result.stdout
    assert int(closing[1]) > 10_000
    for table in tables:
        assert f"{table} float32: checked" in result.stdout
        assert f"{table} float64: checked" in result.stdout


def native_compiler() -> list[str] | None:
    """The compiler that Python was built with, unless CC says otherwise; without its flags."""
    wanted = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[:1]
    found = [name for name in (*wanted, "cc", "gcc", "clang") if shutil.which(name)]
    return found[:1] or None


def test_every_isa_of_this_processor(tmp_path: Path) -> None:
    compiler = native_compiler()
    if compiler is None:
        pytest.skip("no C compiler")
    sanitize = os.environ.get("FASTMLP_SANITIZE")
    flags = ["-O1", "-g", f"-fsanitize={sanitize}", "-fno-sanitize-recover=all"] if sanitize else ["-O2"]
    result = run([str(build(compiler, flags, tmp_path))])
    check_output(result, "scalar", *(["neon"] if platform.machine() in {"aarch64", "arm64"} else []))


def test_neon_under_emulation(tmp_path: Path) -> None:
    compiler, emulator = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64")
    if not compiler or not emulator:
        # CI sets the variable, so that the check cannot drop out of it unnoticed.
        missing = pytest.fail if os.environ.get("FASTMLP_REQUIRE_EMULATION") == "1" else pytest.skip
        missing("Debian: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user")
    program = build([compiler], ["-O2", "-static"], tmp_path)
    check_output(run([emulator, str(program)]), "scalar", "neon")
