"""Two builds of fastmlp for compare.py: this tree's, and that of a commit, which is built here, or of a folder."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _worker import HERE, WorkerFailed, installed_package

TREE = HERE.parent
BUILDS = TREE / "build" / "compare"
#: What has to be the same in both, or figures tell more about compilers than about the two.
ALIKE = ("COMPILER", "CFLAGS", "SANITIZE", "DEBUG", "OPENMP")


@dataclass(frozen=True)
class Build:
    """A folder that can be in PYTHONPATH, and where what is in it comes from."""

    package: Path
    origin: str

    def config(self) -> dict[str, Any]:
        """Read the settings of the build, as setup.py has written them down."""
        module = self.package / "fastmlp" / "_build_config.py"
        if not module.exists() or not list((self.package / "fastmlp").glob("passes/kernels.*")):
            raise ValueError(f"there is no fastmlp built in place in {self.package}")
        values = runpy.run_path(str(module))
        return {name: values[name] for name in ALIKE if name in values}


def commit_of(name: str) -> str | None:
    """A commit's full name; None if this tree has no such commit."""
    command = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
    try:
        done = subprocess.run(command, cwd=TREE, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None


def build_in_place(tree: Path) -> None:
    """Compile what is not up to date, with the compiler and the flags of this environment."""
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace", f"-j{os.cpu_count() or 1}"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WorkerFailed(f"{tree} cannot be built:\n{(done.stdout + done.stderr)[-2000:]}")


def this_build(build: bool) -> Build:
    """The fastmlp that this process would import; built if it is that of this tree."""
    package = installed_package().resolve()
    if build and package == TREE / "src":
        build_in_place(TREE)
    return Build(package, str(package))


def base_build(base: str, build: bool) -> Build:
    """Find the build of a folder, or make that of a commit, in a folder below build/ that is kept."""
    for package in (Path(base, "src"), Path(base)):
        if (package / "fastmlp" / "__init__.py").exists():
            return Build(package.resolve(), str(package.resolve()))
    commit = None if Path(base).is_dir() else commit_of(base)
    if commit is None:
        raise ValueError(f"BASE must be a commit, or a folder that holds fastmlp or src/fastmlp; got {base!r}")
    tree = BUILDS / commit[:12]
    if not (tree / "setup.py").exists():
        tree.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile() as file:
            subprocess.run(["git", "archive", "--format=tar", commit], cwd=TREE, stdout=file, check=True)
            file.seek(0)
            with tarfile.open(fileobj=file) as archive:
                archive.extractall(tree, filter="data")
    if build or not list((tree / "src" / "fastmlp").glob("passes/kernels.*.so")):
        build_in_place(tree)
    return Build(tree / "src", commit)


def differences(base: Build, this: Build) -> list[str]:
    """Name the settings in which two builds differ."""
    theirs, ours = base.config(), this.config()
    return [
        f"{name.lower()}: {theirs.get(name)!r} against {ours.get(name)!r}"
        for name in ALIKE
        if theirs.get(name) != ours.get(name)
    ]
