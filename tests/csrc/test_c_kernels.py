"""Compiles and runs tests/csrc/*_check.c: every kernel of every ISA against the scalar one, bit for bit.

And what has to follow csrc's lists, or else not compile. csrc/ is beside tests/ in a checkout; a copied tests/ finds it
by FASTMLP_CSRC. FASTMLP_SANITIZE (gcc's list) builds the programs with sanitizers, under which their buffers have no
margins at all.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from c_programs import native_compiler, run
from places import CSRC

PROGRAMS = [
    Path(__file__).with_name(f"{family}_check.c") for family in ("gemm", "pairs", "rows", "ops", "pack", "sparse")
]
FLAGS = ["-std=c11", "-ffp-contract=off", "-fno-math-errno", "-Wall", "-Wextra", "-Wshadow", "-Wpedantic", "-Werror"]

pytestmark = pytest.mark.skipif(
    not (CSRC / "kernels.h").exists(), reason=f"no C sources in {CSRC}: FASTMLP_CSRC says where they are"
)


def compile_all(compiler: list[str], flags: list[str], sources: list[Path], folder: Path) -> list[str]:
    def compile_one(source: Path) -> str:
        target = folder / f"{source.stem}.o"
        result = run([*compiler, *FLAGS, *flags, f"-I{CSRC}", "-c", str(source), "-o", str(target)])
        assert result.returncode == 0, result.stderr
        return str(target)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_one, sources))


def build(compiler: list[str], flags: list[str], folder: Path) -> list[Path]:
    kernels = compile_all(compiler, flags, [*sorted(CSRC.glob("*.c")), *sorted((CSRC / "isa").glob("*.c"))], folder)
    programs = []
    for object_file in compile_all(compiler, flags, PROGRAMS, folder):
        program = Path(object_file).with_suffix("")
        result = run([*compiler, *flags, object_file, *kernels, "-lm", "-o", str(program)])
        assert result.returncode == 0, result.stderr
        programs.append(program)
    return programs


def check_output(result: subprocess.CompletedProcess[str], *tables: str) -> None:
    assert result.returncode == 0, result.stdout + result.stderr
    closing = re.fullmatch(r"(\d+) passed, 0 failed", result.stdout.splitlines()[-1])
    assert closing, result.stdout
    assert int(closing[1]) > 1_000
    for table in tables:
        assert f"{table} float32: checked" in result.stdout
        assert f"{table} float64: checked" in result.stdout


def test_every_isa_of_this_processor(tmp_path: Path) -> None:
    compiler = native_compiler()
    if compiler is None:
        pytest.skip("no C compiler")
    sanitize = os.environ.get("FASTMLP_SANITIZE")
    flags = ["-O1", "-g", f"-fsanitize={sanitize}", "-fno-sanitize-recover=all"] if sanitize else ["-O2"]
    tables = ["scalar", *(["neon"] if platform.machine() in {"aarch64", "arm64"} else [])]
    for program in build(compiler, flags, tmp_path):
        check_output(run([str(program)]), *tables)


def test_neon_under_emulation(tmp_path: Path) -> None:
    compiler, emulator = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64")
    if not compiler or not emulator:
        # CI sets the variable, so that the check cannot drop out of it unnoticed.
        missing = pytest.fail if os.environ.get("FASTMLP_REQUIRE_EMULATION") == "1" else pytest.skip
        missing("Debian: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user")
    for program in build([compiler], ["-O2", "-static"], tmp_path):
        check_output(run([emulator, str(program)]), "scalar", "neon")


# --- limits ----------------------------------------------------------------------------------------------------------


def compiles(file: Path) -> subprocess.CompletedProcess[str]:
    compiler = native_compiler()
    if compiler is None:
        pytest.skip("no C compiler")
    return run([*compiler, *FLAGS, "-fsyntax-only", str(file)])


def copy_of_csrc(folder: Path, name: str, old: str, new: str) -> Path:
    """A copy in which one piece of one file is another."""
    copy = folder / "csrc"
    shutil.copytree(CSRC, copy)
    text = (copy / name).read_text(encoding="utf-8")
    assert text.count(old) == 1
    (copy / name).write_text(text.replace(old, new), encoding="utf-8")
    return copy


def test_room_for_an_optimizer_follows_the_list(tmp_path: Path) -> None:
    columns = ", ".join(f"column{i}" for i in range(40))
    row = "OPTIMIZER(sgd, 1,"
    copy = copy_of_csrc(tmp_path, "ops/optimizer.inl", row, f"OPTIMIZER(greedy, 5, {columns})\n{row}")
    program = copy / "limits.c"
    program.write_text(
        '#include "kernels.h"\n'
        '_Static_assert(FM_MAX_STATES == 5, "states");\n'
        '_Static_assert(FM_MAX_COLUMNS == 40, "columns");\n'
    )
    result = compiles(program)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("rows", [3, 9])
def test_a_register_tile_of_a_height_that_nothing_computes_does_not_compile(tmp_path: Path, rows: int) -> None:
    copy = copy_of_csrc(tmp_path, "isa/vec_scalar.h", "FM_TILE_ROWS = 4", f"FM_TILE_ROWS = {rows}")
    result = compiles(copy / "isa" / "scalar_f32.c")
    assert result.returncode != 0
    assert "tile_of has no case" in result.stderr
