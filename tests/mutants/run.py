"""Small wrong changes, one at a time: does the part of the suite that is to notice them notice them?

    python tests/mutants/run.py                    all of c.toml, cython.toml and python.toml beside this file
    python tests/mutants/run.py "momentum*" sweep  those whose names match
    python tests/mutants/run.py --of python --jobs 2
    python tests/mutants/run.py --check            only whether every text has its place

Each is applied to a scratch copy of the checkout, compiled where it has to be, and held against its tests. Exit codes:
0, all as expected; 1, a mutant survived that is not said to, or was killed though it is said to survive; 2, one does
not apply (its text is not found exactly once), does not compile, or its tests fail without it.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import queue
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

LISTS = ("c", "cython", "python")
HERE = Path(__file__).resolve().parent
FOLDERS = ("csrc", "src", "tests", "bench", "examples", "docs")
FILES = ("pyproject.toml", "setup.py", "README.md", "CONTRIBUTING.md")
BUILD = ["setup.py", "-q", "build_ext", "--inplace"]


@dataclass(frozen=True)
class Mutant:
    """A wrong change: `old` stands once in the files of the pattern `file`, and `new` in its place is wrong.

    `tests` are arguments of pytest; `why` says what goes wrong. `survives` gives the reason where no test can tell.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str
    why: str
    language: str
    survives: str = ""

    @property
    def compiled(self) -> bool:
        return self.language != "python"

    def place(self, root: Path) -> Path:
        """The file that holds the text.

        Raises
        ------
        LookupError
            If the text is not found exactly once.
        """
        found = [
            (path, count)
            for path in sorted(root.glob(self.file))
            if (count := path.read_text(encoding="utf-8").count(self.old))
        ]
        if len(found) != 1 or found[0][1] != 1:
            where = ", ".join(f"{path.relative_to(root)} ({count})" for path, count in found) or "nowhere"
            raise LookupError(f"{self.name}: its text is to be found once in {self.file}; it is found {where}")
        return found[0][0]


def mutants() -> list[Mutant]:
    """All mutants of the lists, in their order."""
    return [
        Mutant(language=language, **entry)
        for language in LISTS
        for entry in tomllib.loads((HERE / f"{language}.toml").read_text(encoding="utf-8"))["mutant"]
    ]


class Scratch:
    """A copy of the checkout, compiled, in which files are changed and put back."""

    def __init__(self, root: Path, folder: Path, jobs: int) -> None:
        self.folder, self.jobs, self.stale = folder, jobs, False
        folder.mkdir()
        unwanted = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__", ".hypothesis")
        for name in FOLDERS:
            shutil.copytree(root / name, folder / name, ignore=unwanted)
        for name in FILES:
            shutil.copy2(root / name, folder / name)

    def run(self, arguments: list[str], seconds: float) -> tuple[int, str]:
        """Exit code and output of Python with these arguments; a process that hangs has 124, as timeout's."""
        environment = os.environ | {"PYTHONPATH": str(self.folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            output = process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            return 124, process.communicate()[0]
        return process.returncode, output

    def build(self) -> str:
        """Build; return what the compiler had to say, if it failed."""
        code, output = self.run([*BUILD, f"-j{self.jobs}"], 1200)
        return output[-2000:] if code else ""

    def test(self, tests: str, seconds: float) -> str:
        """The first thing that failed; "" when everything passed."""
        options = ["-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider"]
        code, output = self.run([*options, *shlex.split(tests)], seconds)
        if code == 124:
            return f"no end after {seconds:.0f} s"
        if code in (4, 5):  # of pytest's: a wrong argument, no test
            raise RuntimeError(f"pytest {tests} has nothing to run: {output[-500:]}")
        told = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
        crashed = f"exit {code}: {' '.join(output.split()[-12:])}"
        return (told[0].split(" - ")[0] if told else crashed) if code else ""

    def judge(self, mutant: Mutant, seconds: float) -> tuple[str, str]:
        """One of "killed", "survived", "invalid", and by what or why."""
        path = mutant.place(self.folder)
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        try:
            if (mutant.compiled or self.stale) and (failed := self.build()):
                return "invalid", f"does not compile: {failed}"
            killer = self.test(mutant.tests, seconds)
            return ("killed", killer) if killer else ("survived", mutant.survives or mutant.why)
        finally:
            path.write_text(text, encoding="utf-8")
            self.stale = mutant.compiled  # whoever comes next compiles this along with his own


def chosen(patterns: list[str], language: str | None) -> list[Mutant]:
    """Mutants of the language whose names match one of the patterns."""
    return [
        mutant
        for mutant in mutants()
        if language in (None, mutant.language)
        and (not patterns or any(fnmatch.fnmatch(mutant.name, f"*{pattern}*") for pattern in patterns))
    ]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="patterns of names; all mutants without")
    parser.add_argument("--of", choices=LISTS, help="one of the lists alone")
    parser.add_argument("--jobs", type=int, default=1, help="how many are tried at the same time")
    parser.add_argument("--seconds", type=float, default=300, help="tests that take longer have failed")
    parser.add_argument("--trust", action="store_true", help="believe that all tests pass without a mutant")
    parser.add_argument("--check", action="store_true", help="look for the texts and run nothing")
    return parser.parse_args()


def refused(wanted: list[Mutant], root: Path) -> int:
    """Count the mutants that do not apply, and say of each why."""
    count = 0
    for mutant in wanted:
        try:
            mutant.place(root)
        except LookupError as error:
            count += 1
            print(error)
    return count


def run(
    wanted: list[Mutant], root: Path, folder: Path, jobs: int, seconds: float, trust: bool
) -> dict[str, list[Mutant]]:
    """The mutants by what became of them. Those whose tests fail without them, unless trusted, are invalid."""
    spaces: queue.SimpleQueue[Scratch] = queue.SimpleQueue()
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for number in range(jobs):
        scratch = Scratch(root, folder / str(number), max(1, processors // jobs))
        if failed := scratch.build():
            raise RuntimeError(f"the original does not compile: {failed}")
        spaces.put(scratch)
    outcome: dict[str, list[Mutant]] = {"killed": [], "survived": [], "invalid": []}

    def untouched(tests: str) -> str:
        if trust:
            return ""
        scratch = spaces.get()
        try:
            return scratch.test(tests, seconds)
        finally:
            spaces.put(scratch)

    def one(mutant: Mutant) -> None:
        scratch, start = spaces.get(), time.monotonic()
        try:
            failed = baseline[mutant.tests]
            what, told = ("invalid", f"without it: {failed}") if failed else scratch.judge(mutant, seconds)
        finally:
            spaces.put(scratch)
        outcome[what].append(mutant)
        print(f"{what:8} {mutant.language:6} {mutant.name}  ({time.monotonic() - start:.0f} s)  {told}", flush=True)

    with ThreadPoolExecutor(jobs) as pool:
        parts = sorted({mutant.tests for mutant in wanted})
        baseline = dict(zip(parts, pool.map(untouched, parts), strict=True))
        list(pool.map(one, wanted))
    return outcome


def main() -> int:
    arguments, root = options(), HERE.parents[1]
    wanted = chosen(arguments.names, arguments.of)
    if refused(wanted, root):
        return 2
    if arguments.check:
        print(f"{len(wanted)} mutants, each has its place")
        return 0
    with tempfile.TemporaryDirectory(prefix="fastmlp-mutants.") as folder:
        outcome = run(wanted, root, Path(folder), arguments.jobs, arguments.seconds, arguments.trust)
    print(", ".join(f"{len(found)} {what}" for what, found in outcome.items()), f"of {len(wanted)}")
    if outcome["invalid"]:
        return 2
    surprising = [mutant for mutant in outcome["survived"] if not mutant.survives]
    surprising += [mutant for mutant in outcome["killed"] if mutant.survives]
    for mutant in surprising:
        print(f"not as expected: {mutant.name} ({mutant.file}): {mutant.why}")
    return 1 if surprising else 0


if __name__ == "__main__":
    sys.exit(main())
