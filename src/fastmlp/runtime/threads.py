"""The number of threads that a call may use: the user's cap, OpenMP's, affinity mask, control group's quota."""

import functools
import math
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from fastmlp.runtime.backend import load_passes
from fastmlp.spec.checks import integer

__all__ = [
    "Workers",
    "cgroup_quota",
    "check_threads",
    "engine_threads",
    "get_num_threads",
    "set_num_threads",
    "set_workers",
    "thread_limits",
    "workers_reason",
]

MAX_THREADS = 1024

Workers: TypeAlias = Literal["pool", "openmp"]


@dataclass
class _Process:
    """The settings that hold for this process from when they are made."""

    threads: int | None = None  # by set_num_threads
    workers: tuple[str, str] = ("", "the default")  # those that were chosen, and by what


_process = _Process()


def set_num_threads(n: int | None) -> None:
    """Set how many threads calls with ``threads=None`` may use.

    Parameters
    ----------
    n : int or None
        At most this many threads, whatever the machine has; the number in use for a call is chosen by its size. None
        goes back to what `get_num_threads` finds out by itself.

    Raises
    ------
    TypeError, ValueError
        If `n` is not an integer, or less than 1.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.set_num_threads(1)
    >>> fastmlp.get_num_threads()
    1
    >>> fastmlp.set_num_threads(None)
    """
    _process.threads = None if n is None else check_threads(n, "n")


def set_workers(workers: Workers | None) -> None:
    """Choose whose threads help the one that calls, in the whole process and from the next call on.

    Results are the same to the last bit. The default is the pool, whose threads sleep when there is nothing to do;
    OpenMP's may be wanted where other libraries of the process have the same OpenMP, and its settings
    (``OMP_PROC_BIND``, ``OMP_WAIT_POLICY``) are to hold for all. The environment variable ``FASTMLP_WORKERS`` says the
    same before the program starts.

    Parameters
    ----------
    workers : {"pool", "openmp"} or None
        "pool" are fastmlp's own threads (not on Windows), "openmp" those of the OpenMP that it was built with. None
        goes back to what ``FASTMLP_WORKERS`` says, or the default. A forked child has the pool's whatever is chosen:
        an OpenMP that was used before the fork does not work in it.

    Raises
    ------
    TypeError, ValueError
        If `workers` is something else, or this build has no such threads.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.set_workers(None)
    """
    if workers is None:
        _begin()
        return
    if not isinstance(workers, str):
        raise TypeError(f"workers must be 'pool', 'openmp' or None, got {workers!r}")
    _use(workers, "set_workers", "workers")


def workers_reason() -> str:
    """Return who chose the workers that there are."""
    module, _ = load_passes()
    if module is not None and _process.workers[0] not in ("", module.workers()):
        return "a forked child has no others"
    return _process.workers[1]


def _use(workers: str, source: str, name: str) -> None:
    """Have these workers from now on, or raise a ValueError that calls them `name`."""
    if workers not in ("pool", "openmp"):
        raise ValueError(f"{name} must be 'pool' or 'openmp', got {workers!r}")
    module, reason = load_passes()
    if module is None:
        raise ValueError(f"{name}={workers!r} needs the compiled extension, which cannot be used ({reason})")
    if workers not in module.kinds_of_workers():
        raise ValueError(f"{name} cannot be {workers!r}: this build has none of these threads (see show_config)")
    module.use_workers(workers)
    _process.workers = workers, source


def _begin() -> None:
    """Have the workers that the environment asks for, or the default."""
    module, _ = load_passes()
    if module is None:
        return
    wanted = os.environ.get("FASTMLP_WORKERS", "")
    module.use_workers(module.kinds_of_workers()[0])
    _process.workers = "", "the default"
    if wanted:
        try:
            _use(wanted, f"FASTMLP_WORKERS={wanted}", "FASTMLP_WORKERS")
        except ValueError as error:  # an import does not fail for it
            warnings.warn(str(error), RuntimeWarning, stacklevel=2)


def get_num_threads() -> int:
    """Return how many threads calls with ``threads=None`` may use.

    Returns
    -------
    int
        What `set_num_threads` was given, else the least of: OpenMP's maximum (``OMP_NUM_THREADS``, threadpoolctl), the
        processors in the calling thread's affinity mask, and the CPU quota of the control group (rounded up) as it was
        at the first call. A build without OpenMP reads ``OMP_NUM_THREADS`` and does not know of threadpoolctl.

    Notes
    -----
    Workers run where the thread that calls may run at the time. With ``OMP_PROC_BIND`` or ``OMP_PLACES`` a mask that is
    one of OpenMP's places counts as OpenMP's doing, and all of its places are what may be used. Import fastmlp before
    other libraries that bring an OpenMP: it leaves the thread that imports it unbound, where others may bind it to one
    place first, and nothing tells then which others there were.

    threadpoolctl limits the libraries that are loaded when the limit is entered: ``import fastmlp`` has to come before
    ``with threadpool_limits(1):``, not inside it. Like all of OpenMP's limits, it holds in the thread that entered it.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.get_num_threads() >= 1
    True
    """
    if _process.threads is not None:
        return _process.threads
    most = _affinity()
    for limit in (_openmp_threads(), _quota(os.getpid())):
        if limit is not None and limit < most:
            most = limit
    return max(1, most)


def thread_limits() -> dict[str, int | None]:
    """Return every cap on the number of threads by its source; None where a source does not limit."""
    return {
        "set_num_threads": _process.threads,
        "openmp": _openmp_threads(),
        "affinity": _affinity(),
        "cgroup": _quota(os.getpid()),
    }


def check_threads(threads: Any, name: str = "threads") -> int:
    """Return a number of threads as an int, or raise an error that calls it `name`."""
    return integer(threads, name, 1, MAX_THREADS)


def engine_threads(threads: int | None) -> int:
    """Return the engine's argument for a user's: n for n; for None 1 or -n (choose up to n), as the cap demands."""
    if threads is not None:
        return check_threads(threads)
    cap = get_num_threads()
    return 1 if cap == 1 else -cap


def _openmp_threads() -> int | None:
    module, _ = load_passes()
    if module is not None and (module.openmp or module.workers() == "none"):
        return int(module.max_threads())
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # a list has one entry per level of nesting
    return int(first) if first.isdecimal() and int(first) > 0 else None


def _affinity() -> int:
    """Count the processors that the calling thread and workers beside it may run on, anew: it takes 0.3 us."""
    module, _ = load_passes()
    if module is not None and (n := module.processors()):
        return int(n)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.lru_cache(maxsize=1)
def _quota(_pid: int) -> int | None:
    """Return the control group's quota, read once in a process and again in a forked child."""
    return cgroup_quota() if sys.platform == "linux" else None


def cgroup_quota(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the CPU quota of the process' control group in whole processors, rounded up; None if there is none.

    Both hierarchies are read: version 2 (``cpu.max``) and version 1 (``cpu.cfs_quota_us``). A group is limited by all
    of its ancestors. Inside a container the path may be the host's; then the mounted root is the group.
    """
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return None
    quotas: list[float] = []
    for line in lines:
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if hierarchy == "0" and not controllers:
            mount, read = root, _quota_v2
        elif "cpu" in controllers.split(","):
            mount, read = root / controllers, _quota_v1
            if not mount.is_dir():
                mount = root / "cpu"
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        groups = [mount.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]
        quotas += [quota for group in groups if (quota := read(group)) is not None]
    return max(1, math.ceil(min(quotas))) if quotas else None


def _quota_v2(group: Path) -> float | None:
    try:
        quota, period = (group / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _quota_v1(group: Path) -> float | None:
    try:
        quota = int((group / "cpu.cfs_quota_us").read_text())
        return quota / int((group / "cpu.cfs_period_us").read_text()) if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


_begin()
