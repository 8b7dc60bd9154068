"""Compiles and runs tests/csrc/pool_check.c: the pool of threads without Python, also under ThreadSanitizer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from c_programs import native_compiler, run
from places import PASSES

PROGRAM = Path(__file__).with_name("pool_check.c")
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-pthread", "-g", "-Wall", "-Wextra", "-Wshadow", "-Wpedantic", "-Werror"]

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="the pool is for POSIX"),
    pytest.mark.skipif(not (PASSES / "pool.h").exists(), reason=f"no pool.h in {PASSES}"),
]


def compiler() -> list[str]:
    found = native_compiler()
    if found is None:
        pytest.skip("no C compiler")
    return found


def check(flags: list[str], folder: Path, rounds: int, forks: int) -> None:
    program = folder / "pool_check"
    built = run([*compiler(), *FLAGS, *flags, f"-I{PASSES}", str(PROGRAM), "-o", str(program)])
    assert built.returncode == 0, built.stderr
    result = run([str(program), str(rounds), str(forks)])
    assert (result.returncode, result.stdout) == (0, "passed\n"), result.stdout + result.stderr


@pytest.mark.parametrize("sleeping", [[], ["-DFM_NO_FUTEX"]], ids=["futex", "condition"])
def test_regions(sleeping: list[str], tmp_path: Path) -> None:
    sanitize = os.environ.get("FASTMLP_SANITIZE")
    flags = ["-O1", f"-fsanitize={sanitize}", "-fno-sanitize-recover=all"] if sanitize else ["-O2"]
    check([*flags, *sleeping], tmp_path, 100_000, 50)


@pytest.mark.parametrize("sleeping", [[], ["-DFM_NO_FUTEX"]], ids=["futex", "condition"])
def test_no_races(sleeping: list[str], tmp_path: Path) -> None:
    """Without forks: a child that starts threads is more than ThreadSanitizer can follow."""
    flags = ["-O1", "-fsanitize=thread"]
    (tmp_path / "plain.c").write_text("int main(void) { return 0; }\n")
    plain = [*compiler(), *flags, str(tmp_path / "plain.c"), "-o", str(tmp_path / "plain")]
    if run(plain).returncode or run([str(tmp_path / "plain")]).returncode:
        pytest.skip("no ThreadSanitizer here")
    check([*flags, *sleeping], tmp_path, 50_000, 0)
