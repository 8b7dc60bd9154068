"""The C parts as a compiler for Windows sees them, also one that has no C11 atomics, as Microsoft's."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from c_programs import native_compiler, run
from places import CSRC, PASSES

PROGRAM = Path(__file__).with_name("sync_check.c")
FLAGS = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wshadow", "-Wpedantic", "-Werror"]
C_FILES = sorted(CSRC.rglob("*.c"))

pytestmark = pytest.mark.skipif(not (PASSES / "sync.h").exists(), reason=f"no sync.h in {PASSES}")

both_atomics = pytest.mark.parametrize("interlocked", [0, 1], ids=["c11", "interlocked"])
both_openmp = pytest.mark.parametrize("openmp", [[], ["-fopenmp"]], ids=["serial", "openmp"])


@pytest.fixture(scope="module")
def cross_compiler() -> str:
    found = shutil.which("x86_64-w64-mingw32-gcc")
    if not found:
        # CI sets the variable, so that the check cannot drop out of it unnoticed.
        missing = pytest.fail if os.environ.get("FASTMLP_REQUIRE_EMULATION") == "1" else pytest.skip
        missing("Debian: apt-get install gcc-mingw-w64-x86-64")
    return str(found)


def without_c11_atomics(folder: Path) -> list[str]:
    """Arguments that make their header an error, as Microsoft's is."""
    (folder / "stdatomic.h").write_text("#error C11 atomics\n")
    return [f"-I{folder}", "-DFM_INTERLOCKED=1"]


@both_openmp
@both_atomics
def test_what_passes_share_compiles_and_links_for_windows(
    cross_compiler: str, interlocked: int, openmp: list[str], tmp_path: Path
) -> None:
    atomics = without_c11_atomics(tmp_path) if interlocked else []
    flags = [*FLAGS, *openmp, *atomics, f"-I{PASSES}"]
    result = run([cross_compiler, *flags, str(PROGRAM), "-o", str(tmp_path / "check.exe")])
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("path", C_FILES, ids=[path.name for path in C_FILES])
def test_kernels_compile_for_windows(cross_compiler: str, path: Path, tmp_path: Path) -> None:
    command = [cross_compiler, *FLAGS, "-O1", "-ffp-contract=off", f"-I{CSRC}", "-c", str(path)]
    result = run([*command, "-o", str(tmp_path / "object.o")])
    assert result.returncode == 0, result.stderr


def test_windows_headers_leave_the_passes_names_alone(cross_compiler: str, tmp_path: Path) -> None:
    program = tmp_path / "names.c"
    program.write_text('#include "sync.h"\nstruct names { int far, near, min, max; };\nint main(void) { return 0; }\n')
    result = run([cross_compiler, *FLAGS, f"-I{PASSES}", "-fsyntax-only", str(program)])
    assert result.returncode == 0, result.stderr


def test_atomic_words_here_give_back_what_they_held(tmp_path: Path) -> None:
    compiler = native_compiler()
    if compiler is None or os.name != "posix":
        pytest.skip("no C compiler for POSIX")
    program = tmp_path / "sync_check"
    built = run([*compiler, *FLAGS, "-D_GNU_SOURCE", "-pthread", f"-I{PASSES}", str(PROGRAM), "-o", str(program)])
    assert built.returncode == 0, built.stderr
    result = run([str(program)])
    assert (result.returncode, result.stdout) == (0, "passed\n"), result.stdout + result.stderr
