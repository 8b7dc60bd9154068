"""Processes that answer requests, one line of JSON each way: what all scripts measure in.

Variants in different processes cannot disturb each other's allocator, thread pools or instruction caches, and a process
that waits for a request costs nothing. Nothing here imports fastmlp: a rival's process must not have it (its OpenMP
would be the rival's as well), and a process may have the fastmlp of another build.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import selectors
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

HERE = Path(__file__).resolve().parent
SETUP_SECONDS = 600.0
CLOSING_SECONDS = 10.0

#: Settings that keep a rival's library from instructions that the processor has; a rival is measured without them.
HANDICAPS = (
    "OPENBLAS_CORETYPE",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_DEBUG_CPU_TYPE",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "ATEN_CPU_CAPABILITY",
    "NPY_DISABLE_CPU_FEATURES",
)
#: Set to 1: rivals are measured as the environment has them.
KEEP_HANDICAPS = "FASTMLP_BENCH_KEEP_HANDICAPS"


def handicaps() -> dict[str, str]:
    """Return the handicaps that are set in this environment."""
    return {name: os.environ[name] for name in HANDICAPS if name in os.environ}


def installed_package() -> Path:
    """Folder of the fastmlp that this process would import."""
    spec = importlib.util.find_spec("fastmlp")
    if spec is None or spec.origin is None:
        raise ImportError("fastmlp is not installed, nor in PYTHONPATH")
    return Path(spec.origin).parents[1]


class WorkerFailed(RuntimeError):  # noqa: N818 - reads like TimeoutExpired
    """A worker answered with an error, or not at all."""


class Worker:
    """The asking end of a process; the other end is `serve`, called by what is started.

    Parameters
    ----------
    arguments : sequence of str
        What Python is to run: a script or ``-m`` and a module, and their arguments.
    name : str
        In messages.
    package : Path, optional
        Folder of the fastmlp that the process is to have; default: this process's.
    environment : dict, optional
        What is added to this process's own, of which settings that are handicaps are left out.
    processors : collection of int, optional
        Those that the process may use; default: as this process.
    quiet : bool
        What it writes to standard error is kept, and its last line told if it dies.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        name: str,
        *,
        package: Path | None = None,
        environment: dict[str, str] | None = None,
        processors: Collection[int] | None = None,
        quiet: bool = False,
    ) -> None:
        self.name = name
        keep = os.environ.get(KEEP_HANDICAPS) == "1"
        merged = {**os.environ, **(environment or {})}
        own = {key: value for key, value in merged.items() if keep or key not in HANDICAPS}
        folders = [str(package or installed_package()), str(HERE), own.get("PYTHONPATH", "")]
        own["PYTHONPATH"] = os.pathsep.join(filter(None, folders))
        self._log = tempfile.TemporaryFile("w+") if quiet else None  # noqa: SIM115 - closed with the worker
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=own,
            text=True,
        )
        if processors is not None and hasattr(os, "sched_setaffinity"):  # the interpreter has only begun to start
            os.sched_setaffinity(self._process.pid, processors)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def ask(self, what: str, **arguments: Any) -> Any:
        """Have the worker's function called `what` run; returns its answer."""
        self.send(what, **arguments)
        return self.receive()

    def send(self, what: str, **arguments: Any) -> None:
        """Ask without waiting for the answer."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps([what, arguments]) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None

    def wait(self, seconds: float) -> bool:
        """Wait so many seconds for an answer; return whether there is one."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]
            return bool(selector.select(seconds))

    def receive(self, seconds: float = SETUP_SECONDS) -> Any:
        """Wait for the answer to what was sent."""
        assert self._process.stdout is not None
        if not self.wait(seconds):
            self._process.kill()
            raise WorkerFailed(f"the worker {self.name!r} has not answered within {seconds:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise self._died()
        status, answer = json.loads(line)
        if status != "ok":
            raise WorkerFailed(f"the worker {self.name!r}: {answer}")
        return answer

    def _died(self) -> WorkerFailed:
        status, last = self._process.wait(), ""
        if self._log is not None:
            self._log.seek(0)
            last = "".join(f": {line}" for line in self._log.read().strip().splitlines()[-1:])
        return WorkerFailed(f"the worker {self.name!r} died, exit code {status}{last}")

    def close(self) -> None:
        """End the process, which does so with its input."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=CLOSING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        if self._log is not None:
            self._log.close()


def serve(functions: dict[str, Callable[..., Any]]) -> None:
    """Answer a `Worker`'s requests until it closes the pipe. What is printed meanwhile goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")  # libraries write to standard output as they please, also from C
    os.dup2(2, 1)
    try:
        for line in sys.stdin:
            what, arguments = json.loads(line)
            try:
                answer = ["ok", functions[what](**arguments)]
            except Exception as error:  # noqa: BLE001 - the other end raises it
                answer = ["error", f"{type(error).__name__}: {error}"]
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
    except (BrokenPipeError, KeyboardInterrupt):  # the other end has gone, or is going for the same reason
        os._exit(130)
