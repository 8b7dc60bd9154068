"""What the benchmarks share: workloads, workers in processes of their own, the machine's description, JSON."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import platform
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fastmlp import runtime
from fastmlp.runtime.measure import limit_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent


# ---- workloads ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Workload:
    """One table of workloads.toml."""

    name: str
    sizes: tuple[int, ...]
    batch: int
    rows: int
    activation: str
    loss: str

    def __post_init__(self) -> None:
        if self.rows % self.batch:
            raise ValueError(f"workload {self.name}: rows ({self.rows}) must be a multiple of batch ({self.batch})")

    @property
    def steps(self) -> int:
        """Updates of one epoch."""
        return self.rows // self.batch

    def data(self, dtype: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """Rows to learn from. What is learnt is noisy, so that gradients stay of an ordinary size for ever."""
        rng = np.random.default_rng(0)
        X = rng.standard_normal((self.rows, self.sizes[0])).astype(dtype)
        signal = X @ rng.standard_normal((self.sizes[0], self.sizes[-1])).astype(dtype) / self.sizes[0] ** 0.5
        signal += rng.standard_normal(signal.shape).astype(dtype)
        return X, signal.argmax(axis=1) if self.loss == "cross_entropy" else signal


def load_workloads(path: Path = HERE / "workloads.toml") -> dict[str, Workload]:
    """All of a file's workloads by name."""
    with path.open("rb") as file:
        tables = tomllib.load(file)
    return {name: Workload(name, tuple(table.pop("sizes")), **table) for name, table in tables.items()}


# ---- arguments ------------------------------------------------------------------------------------------------------


def one_of(names: Sequence[str]) -> Callable[[str], list[str]]:
    """What argparse shall make of a,b,c where each is one of some names."""

    def parse(text: str) -> list[str]:
        chosen = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in chosen if name not in names]
        if unknown or not chosen:
            raise argparse.ArgumentTypeError(f"got {text!r}; there are: {', '.join(names)}")
        return chosen

    return parse


def limits(names: Sequence[str]) -> Callable[[str], dict[str, float]]:
    """What argparse shall make of a=8,b=2.5."""

    def parse(text: str) -> dict[str, float]:
        try:
            found = {name.strip(): float(value) for name, value in (part.split("=") for part in text.split(","))}
        except ValueError:
            raise argparse.ArgumentTypeError(f"must look like {names[0]}=2.5, got {text!r}") from None
        if unknown := [name for name in found if name not in names]:
            raise argparse.ArgumentTypeError(f"got {', '.join(unknown)}; there are: {', '.join(names)}")
        return found

    return parse


def threads_argument(text: str) -> int | None:
    """What argparse shall make of a number of threads, or "auto" (None)."""
    if text == "auto":
        return None
    if not (text.isdecimal() and 1 <= int(text) <= 1024):
        raise argparse.ArgumentTypeError(f"must be auto, or an integer from 1 to 1024, got {text!r}")
    return int(text)


def positive(kind: type[int | float]) -> Callable[[str], int | float]:
    """What argparse shall make of a positive number."""

    def parse(text: str) -> int | float:
        try:
            value = kind(text)
        except ValueError:
            value = kind(0)
        if not 0 < value < 1e9:
            raise argparse.ArgumentTypeError(f"must be a positive number, got {text!r}")
        return value

    return parse


# ---- workers --------------------------------------------------------------------------------------------------------

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
    """Those of this environment."""
    return {name: os.environ[name] for name in HANDICAPS if name in os.environ}


def without_handicaps(environment: dict[str, str]) -> dict[str, str]:
    """An environment for a worker."""
    if os.environ.get(KEEP_HANDICAPS) == "1":
        return environment
    return {name: value for name, value in environment.items() if name not in HANDICAPS}


class WorkerFailed(RuntimeError):  # noqa: N818 - reads like TimeoutExpired
    """A worker answered with an error, or not at all."""


class Worker:
    """A process that answers requests, one line of JSON each way; variants in different workers cannot disturb each
    other's allocator, thread pools or instruction caches, and a worker that waits for a request costs nothing.

    The other end is `serve`, called by the script that is started.
    """

    def __init__(self, script: str, name: str, threads: int | None, package: Path | None = None) -> None:
        """Start `script --worker name`, with thread pools limited to `threads` if that is not None.

        It uses the fastmlp of this process, or the one in the folder `package`.
        """
        self.name = name
        environment = without_handicaps(limit_threads(threads))
        folder = str(package or Path(runtime.__file__).parents[1])
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [folder, environment.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, script, "--worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()  # a worker ends with its input
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def ask(self, what: str, **arguments: Any) -> Any:
        """Have the worker's function called `what` run; returns its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps([what, arguments]) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerFailed(f"the worker {self.name!r} died, exit code {self._process.wait()}")
        status, answer = json.loads(line)
        if status != "ok":
            raise WorkerFailed(f"the worker {self.name!r}: {answer}")
        return answer


def serve(functions: dict[str, Callable[..., Any]]) -> None:
    """Answer a `Worker`'s requests until it closes the pipe. What is printed meanwhile goes to stderr."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
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


# ---- results --------------------------------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """Where and with what something was measured."""
    report = runtime.config()
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})  # type: ignore[call-overload]
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cpu": report["cpu"],
        "cpus": os.cpu_count(),
        "caches": report["caches"],
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "isa": report["isa"],
        "threads": report["threads"],
        "handicaps": {"kept": os.environ.get(KEEP_HANDICAPS) == "1", "found": handicaps()},
        "compiler": report["compiler"],
        "versions": {
            "fastmlp": report["version"],
            "python": report["python"],
            "numpy": report["numpy"],
            "blas": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
        },
    }


def _commit() -> str | None:
    """The commit that these scripts are at, with "+" if anything was changed since; None outside of a repository."""
    answers = []
    for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"]):
        try:
            answers.append(
                subprocess.run(["git", *command], cwd=HERE, capture_output=True, check=True, text=True).stdout.strip()
            )
        except (OSError, subprocess.CalledProcessError):
            return None
    return answers[0] + ("+" if answers[1] else "")


def describe(where: dict[str, Any]) -> str:
    """The first lines of a benchmark's output."""
    versions = where["versions"]
    load = f", load {where['load_average'][0]:.1f}" if where["load_average"] else ""
    lines = [
        f"{where['cpu']}, {where['cpus']} processors{load}; {where['isa']}; {where['date']}",
        (
            f"fastmlp {versions['fastmlp']} ({(where['commit'] or 'no commit')[:10]}), NumPy {versions['numpy']} "
            f"({versions['blas']}), {versions['python']}"
        ),
    ]
    if found := where["handicaps"]["found"]:
        settings = " ".join(f"{name}={value}" for name, value in found.items())
        lines.append(f"rivals {'with' if where['handicaps']['kept'] else 'without'} the environment's {settings}")
    return "\n".join(lines)


def write_json(path: Path | None, name: str, report: dict[str, Any]) -> Path:
    """Write a report; by default where git does not look, with the time in its name."""
    if path is None:
        path = HERE.parent / "build" / "bench" / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return path


def failed_checks(found: dict[str, float], least: dict[str, float], unit: str) -> list[str]:
    """One line for each figure that is less than it should be, or was not measured."""
    return [
        f"{name}: {found[name]:.2f}{unit} is less than {limit:g}{unit}" if name in found else f"{name}: not measured"
        for name, limit in least.items()
        if not found.get(name, 0.0) >= limit
    ]


def run_script(main: Callable[[], int]) -> None:
    """Exit as `main` says; errors and Ctrl-C end without a traceback."""
    try:
        code = main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 2
    except (ImportError, OSError, ValueError, WorkerFailed) as error:
        print(f"{Path(sys.argv[0]).name}: error: {error}", file=sys.stderr)
        code = 2
    sys.exit(code)
