"""The daily commands: `nox -s tests`, `nox -s lint`, ... `.ci/run` does the same and more from nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.default_venv_backend = "venv"


def sources(*suffixes: str) -> list[str]:
    found = [path for folder in ("csrc", "src", "tests") for path in Path(folder).rglob("*") if path.suffix in suffixes]
    return sorted(str(path) for path in found)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, types, stubs; `nox -s lint -- fix` puts right what can be put right by a tool."""
    session.install(".[lint]")
    fix = "fix" in session.posargs
    session.run("ruff", "check", *(["--fix"] if fix else []), ".")
    session.run("ruff", "format", *([] if fix else ["--check"]), ".")
    session.run("clang-format", *(["-i"] if fix else ["--dry-run", "-Werror"]), *sources(".c", ".h", ".inl"))
    session.run("cython-lint", "src/fastmlp/passes")
    session.run("mypy", "--strict", "src", "tests/typing")
    modules = [f"fastmlp.passes.{path.stem}" for path in sorted(Path("src/fastmlp/passes").glob("*.pyx"))]
    allowlist = Path(".ci/stubtest-allowlist").resolve()
    session.chdir(session.create_tmp())  # away from src/: the stubs are compared with what is installed
    options = ["--ignore-disjoint-bases", "--allowlist", str(allowlist)]
    session.run("python", "-m", "mypy.stubtest", *options, *modules)


@nox.session
def tests(session: nox.Session) -> None:
    """The test suite against an installed wheel; arguments go to pytest."""
    session.install(".[test]")
    session.run("python", "-m", "pytest", *(session.posargs or ["tests"]))


@nox.session
def sanitize(session: nox.Session) -> None:
    """The test suite under AddressSanitizer and UndefinedBehaviorSanitizer."""
    build = {"FASTMLP_SANITIZE": "address,undefined"}
    session.install(".[test]", env=build)
    asan = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    preload = {"LD_PRELOAD": asan, "ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc"}
    arguments = session.posargs or ["tests", "-m", "not slow"]
    session.run("python", "-m", "pytest", *arguments, env=build | preload)


@nox.session
def mutants(session: nox.Session) -> None:
    """Small wrong changes, each against the tests that are to notice it; see tests/mutants/run.py for the arguments."""
    session.install(".[test]", "Cython>=3.1", "setuptools>=64")  # each is compiled in place, in a copy of the checkout
    session.run("python", "tests/mutants/run.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The site into build/docs/html, the gallery's scripts run; warnings are errors. Arguments go to sphinx-build."""
    session.install(".[docs]")
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", *session.posargs, "docs", "build/docs/html")


@nox.session(name="docs-browser")
def docs_browser(session: nox.Session) -> None:
    """The built site and a report in Debian's Chromium (`apt-get install chromium`): links, console, search, widths."""
    session.install(".[plot,sklearn]", "pytest>=8", "websockets>=13")
    # Not the suite's settings: none of its libraries is here.
    options = ["-q", "-c", os.devnull, "--rootdir=docs/browser"]
    session.run("python", "-m", "pytest", *options, "docs/browser", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks; run them on an idle machine."""
    session.install(".[bench]")
    session.run("python", "bench/kernels.py", *session.posargs)
    session.run("python", "bench/vs_numpy.py", *session.posargs)
