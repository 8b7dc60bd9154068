"""Common parts of the scripts: arguments, the machine's description, JSON, how they end."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _worker import HERE, KEEP_HANDICAPS, Worker, WorkerFailed, handicaps

from fastmlp import runtime
from fastmlp.runtime.measure import limit_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


# ---- arguments ------------------------------------------------------------------------------------------------------


def one_of(names: Sequence[str]) -> Callable[[str], list[str]]:
    """Make argparse's type for a,b,c where each is one of some names."""

    def parse(text: str) -> list[str]:
        chosen = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in chosen if name not in names]
        if unknown or not chosen:
            raise argparse.ArgumentTypeError(f"got {text!r}; there are: {', '.join(names)}")
        return chosen

    return parse


def limits(names: Sequence[str]) -> Callable[[str], dict[str, float]]:
    """Make argparse's type for a=8,b=2.5."""

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
    """Read a number of threads, or "auto" (None), for argparse."""
    if text == "auto":
        return None
    if not (text.isdecimal() and 1 <= int(text) <= 1024):
        raise argparse.ArgumentTypeError(f"must be auto, or an integer from 1 to 1024, got {text!r}")
    return int(text)


def positive(kind: type[int | float]) -> Callable[[str], int | float]:
    """Make argparse's type for a positive number."""

    def parse(text: str) -> int | float:
        try:
            value = kind(text)
        except ValueError:
            value = kind(0)
        if not 0 < value < 1e9:
            raise argparse.ArgumentTypeError(f"must be a positive number, got {text!r}")
        return value

    return parse


# ---- processes ------------------------------------------------------------------------------------------------------


def script_worker(script: str, name: str, threads: int | None = None, package: Path | None = None) -> Worker:
    """Start `script --worker name`, which is to call `serve`, with thread pools limited to `threads`."""
    return Worker([script, "--worker", name], name, package=package, environment=limit_threads(threads))


# ---- results --------------------------------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """Describe the machine, the libraries and the state that something was measured with."""
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
    """Write a line for each figure that is less than it should be, or was not measured."""
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
