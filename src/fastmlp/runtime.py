"""What runs the arithmetic: choice of the backend, cap on the number of threads, and `show_config`.

The compiled passes are imported here and nowhere else: with the package, and with one answer if they are missing.
"""

import functools
import math
import os
import platform
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastmlp.spec import NetworkSpec, Run
from fastmlp.spec.names import did_you_mean

__all__ = ["Backend", "Engine", "config", "get_backend", "get_num_threads", "set_num_threads", "show_config"]

VERSION = "0.1.0"  # pyproject.toml has it too, and a test compares them
BACKENDS = ("cython", "numpy")
PURE = "pure wheel: built without the compiled extension, with FASTMLP_PURE=1"  # why there is no extension


class Engine(Protocol):
    """What a backend's `Engine` does: arithmetic on arrays that have been validated already.

    `threads` is the exact number of threads if positive; 0 lets the engine choose, -n lets it choose up to n. `n_steps`
    counts the updates that the optimizer's present state has made. Handlers of signals run where the engine is at rest:
    they may read, and what would change it raises a RuntimeError; `running` says what they interrupt. In a forked
    child, `forked` comes first: it is False where another thread of the parent was just changing parameters.
    """

    def __init__(self, spec: NetworkSpec, isa: str | None = None) -> None: ...
    @property
    def isa(self) -> str: ...
    @property
    def n_steps(self) -> int: ...
    def running(self) -> str | None: ...
    def forked(self) -> bool: ...
    def get_parameters(self) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]: ...
    def set_parameters(self, weights: list[NDArray[Any]], biases: list[NDArray[Any]]) -> None: ...
    def clip_losses(self, clip: bool) -> None: ...
    def use_optimizer(self, name: str | None) -> None: ...
    def get_state(self) -> list[tuple[list[NDArray[Any]], list[NDArray[Any]]]]: ...
    def set_state(self, state: list[tuple[list[NDArray[Any]], list[NDArray[Any]]]], n_steps: int = 0) -> None: ...
    def copy(self, into: Any = None, threads: int = 1) -> object: ...
    def restore(self, copy: Any) -> None: ...
    def is_finite(self, threads: int = 1) -> bool: ...
    def start_profile(self) -> None: ...
    def stop_profile(self) -> tuple[dict[str, float], float, float]: ...
    def train(
        self,
        X: NDArray[Any],
        y: NDArray[Any],
        order: NDArray[np.int64],
        batch_size: int,
        scalars: NDArray[np.float64],
        sample_weight: NDArray[np.float64] | None,
        losses: NDArray[np.float64],
        threads: int,
        penalties: NDArray[np.float64] | None = None,
    ) -> Run: ...
    def explain_threads(self) -> list[str]: ...
    def predict(self, X: NDArray[Any], out: NDArray[Any], threads: int, check: bool = False) -> bool: ...
    def predict_small(self, X: object) -> NDArray[Any] | None: ...
    def evaluate(
        self, X: NDArray[Any], y: NDArray[Any], out: NDArray[Any], row_loss: NDArray[np.float64], threads: int
    ) -> None: ...
    def loss_and_grad(
        self, X: NDArray[Any], y: NDArray[Any], sample_weight: NDArray[np.float64] | None, threads: int
    ) -> tuple[float, list[NDArray[Any]], list[NDArray[Any]]]: ...
    def trace(
        self, X: NDArray[Any], y: NDArray[Any] | None, threads: int
    ) -> tuple[list[NDArray[Any]], list[NDArray[Any]], list[NDArray[Any]] | None]: ...


@dataclass(frozen=True)
class Backend:
    """One of the two implementations: `fastmlp.passes` (name "cython") or `fastmlp.reference` (name "numpy")."""

    name: str
    engine: type[Engine]
    permutation: Callable[[int, int, int, NDArray[np.int64]], NDArray[np.int64]]
    finite: Callable[..., bool] | None  # of an array, with threads=1


# ---- the compiled extension -----------------------------------------------------------------------------------------


@dataclass
class _Process:
    """What holds for this process from when it is set."""

    threads: int | None = None  # by set_num_threads
    warned: bool = False  # that the extension is missing


_process = _Process()


@functools.cache
def load_passes() -> tuple[ModuleType | None, str]:
    """`fastmlp.passes` and "", or None and the reason why it cannot be used. Tried once per process."""
    try:
        with _affinity_kept():
            module = import_module("fastmlp.passes")
        if not hasattr(module, "Engine"):  # the directory of sources, without what is built from them
            raise ImportError("fastmlp.passes has not been compiled")
    except ImportError as error:
        return None, PURE if is_pure() else f"{type(error).__name__}: {error}"
    return module, ""


@contextmanager
def _affinity_kept() -> Iterator[None]:
    """Leave this thread the processors that it has, whatever the block does.

    OpenMP binds the thread that loads it to one processor if OMP_PROC_BIND says so, and what that thread starts later
    inherits it: threads, other programs. Where the workers are ours, OpenMP has no thread to bind.
    """
    if not hasattr(os, "sched_getaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    try:
        yield
    finally:
        if os.sched_getaffinity(0) != before:
            with suppress(OSError):  # a processor may have been taken away meanwhile
                os.sched_setaffinity(0, before)


@functools.cache
def is_pure() -> bool:
    """Whether this copy was built without the extension because somebody wanted it so (FASTMLP_PURE=1)."""
    try:
        from fastmlp import _build_config
    except ImportError:  # sources of which nothing has been built
        return False
    return bool(getattr(_build_config, "PURE", False))


@functools.cache
def get_backend(name: str) -> Backend:
    """The backend called "cython" or "numpy"; ImportError if the former is not there."""
    if name == "numpy":
        from fastmlp import reference

        return Backend("numpy", reference.Engine, reference.permutation, None)
    module, reason = load_passes()
    if module is None:
        raise ImportError(
            f"backend='cython' needs the compiled extension, which cannot be used ({reason}); "
            "reinstall fastmlp with a C compiler, or use backend='numpy'"
        )
    return Backend("cython", module.Engine, module.permutation, module.finite)


def choose_backend(requested: str | None, stacklevel: int = 2) -> Backend:
    """The backend for MLP's argument; warns once if the extension is missing and nobody asked for that.

    FASTMLP_PURE=1 at installation and ``backend="numpy"`` ask for it.
    """
    if requested is not None and not isinstance(requested, str):
        raise TypeError(f"backend must be 'cython', 'numpy' or None, got {requested!r}")
    if requested in BACKENDS:
        return get_backend(requested)
    if requested not in (None, "auto"):
        near = did_you_mean(requested, BACKENDS)
        raise ValueError(
            f"backend must be 'cython', 'numpy' or None (the compiled one when there), got {requested!r}{near}"
        )
    module, reason = load_passes()
    if module is not None:
        return get_backend("cython")
    if not _process.warned and not is_pure():
        _process.warned = True
        warnings.warn(
            f"fastmlp runs on its NumPy reference, several times slower, because the compiled extension cannot be used "
            f"({reason}). Reinstall fastmlp with a C compiler; backend='numpy' says that this is intended.",
            RuntimeWarning,
            stacklevel=stacklevel,
        )
    return get_backend("numpy")


# ---- threads --------------------------------------------------------------------------------------------------------


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
    """
    if _process.threads is not None:
        return _process.threads
    most = _affinity()
    for limit in (_openmp_threads(), _quota(os.getpid())):
        if limit is not None and limit < most:
            most = limit
    return max(1, most)


def thread_limits() -> dict[str, int | None]:
    """Every cap on the number of threads by its source; None where a source does not limit."""
    return {
        "set_num_threads": _process.threads,
        "openmp": _openmp_threads(),
        "affinity": _affinity(),
        "cgroup": _quota(os.getpid()),
    }


def check_threads(threads: Any, name: str = "threads") -> int:
    """A number of threads as an int >= 1."""
    if isinstance(threads, bool | np.bool_) or not isinstance(threads, int | np.integer):
        raise TypeError(f"{name} must be an integer >= 1 or None, got {threads!r} ({type(threads).__name__})")
    if not 1 <= threads <= 1024:
        raise ValueError(f"{name} must be between 1 and 1024, or None, got {threads}")
    return int(threads)


def engine_threads(threads: int | None) -> int:
    """The engine's argument for a user's: n for n; for None 1 or -n (choose up to n), as the cap demands."""
    if threads is not None:
        return check_threads(threads)
    cap = get_num_threads()
    return 1 if cap == 1 else -cap


def _openmp_threads() -> int | None:
    module, _ = load_passes()
    if module is not None and (module.openmp or module.workers == "none"):
        return int(module.max_threads())
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # a list has one entry per level of nesting
    return int(first) if first.isdecimal() and int(first) > 0 else None


def _affinity() -> int:
    """Processors that the calling thread and workers beside it may run on, asked for anew: it takes 0.3 us."""
    module, _ = load_passes()
    if module is not None and (n := module.processors()):
        return int(n)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.lru_cache(maxsize=1)
def _quota(_pid: int) -> int | None:
    """The control group's quota; read again in a forked child."""
    return cgroup_quota() if sys.platform == "linux" else None


def cgroup_quota(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """CPU quota of the process' control group in whole processors, rounded up; None if there is none.

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


# ---- what there is --------------------------------------------------------------------------------------------------


def cpu_model() -> str:
    """The processor's name as its maker writes it."""
    try:
        found = re.search(
            r"^(?:model name|Model|cpu model)\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE
        )
        if found:
            return found[1].strip()
    except OSError:
        pass
    return _sysctl("machdep.cpu.brand_string") or platform.processor() or platform.machine() or "unknown"


def cache_sizes() -> dict[str, int]:
    """Bytes of each level of data cache that the first processor sees, {"L1d": ..., "L2": ..., "L3": ...}."""
    sizes: dict[str, int] = {}
    units = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        found = re.fullmatch(r"(\d+)([KMG]?)", size)
        if found and kind in ("Data", "Unified"):
            sizes[f"L{level}" + ("d" if kind == "Data" else "")] = int(found[1]) * units[found[2]]
    if not sizes:
        for name, key in (("L1d", "hw.l1dcachesize"), ("L2", "hw.l2cachesize"), ("L3", "hw.l3cachesize")):
            if (text := _sysctl(key)).isdecimal() and int(text) > 0:
                sizes[name] = int(text)
    return sizes


def _sysctl(key: str) -> str:
    if platform.system() != "Darwin":
        return ""
    import subprocess

    try:
        command = ["/usr/sbin/sysctl", "-n", key]
        return subprocess.run(command, capture_output=True, check=False, text=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def config() -> dict[str, Any]:
    """What `show_config` prints, as a dict.

    Returns
    -------
    dict
        "version", "numpy", "python", "backend", "backend_reason", "isa", "isa_reason", "isas" (list of dicts with
        "name", "needs", "available"), "compiler", "openmp" (whether it limits the threads), "workers" (whose threads
        there are: "pool", "openmp" or "none"), "threads", "thread_limits" (by source), "cpu" and "caches" (bytes).
    """
    module, reason = load_passes()
    wanted = os.environ.get("FASTMLP_ISA", "")
    report: dict[str, Any] = {
        "version": VERSION,
        "numpy": np.__version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    if module is None:
        report |= {
            "backend": "numpy",
            "backend_reason": reason if is_pure() else f"the compiled extension cannot be used ({reason})",
            "isa": "numpy",
            "isa_reason": "NumPy and its BLAS choose by themselves",
            "isas": [],
            "compiler": None,
            "openmp": False,
            "workers": "none",
        }
    else:
        try:
            isa, isa_reason = module.default_isa(), "best that this processor and this build have"
            if wanted:
                isa_reason = f"FASTMLP_ISA={wanted}"
        except ValueError as error:
            isa, isa_reason = "none", str(error)
        report |= {
            "backend": "cython",
            "backend_reason": "the compiled extension is there",
            "isa": isa,
            "isa_reason": isa_reason,
            "isas": module.isas(),
            "compiler": getattr(module, "compiler", "unknown"),
            "openmp": bool(module.openmp),
            "workers": module.workers,
        }
    report |= {
        "threads": get_num_threads(),
        "thread_limits": thread_limits(),
        "cpu": cpu_model(),
        "caches": cache_sizes(),
    }
    return report


_WORKERS = {"pool": "from a pool of its own", "openmp": "OpenMP's", "none": "the caller's only"}


def show_config() -> None:
    """Print what fastmlp uses on this machine, and why: backend, instruction set, threads, processor, versions.

    `fastmlp.runtime.config` returns the same as a dict.
    """
    c = config()
    isas = ", ".join(
        f"{isa['name']} ({isa['needs']}{'' if isa['available'] else '; not here'})"
        if isa["needs"]
        else str(isa["name"])
        for isa in c["isas"]
    )
    limits = ", ".join(f"{source} {n}" for source, n in c["thread_limits"].items() if n is not None)
    openmp = "not used" if c["backend"] != "cython" else "no: threadpoolctl sets no limit"
    if c["openmp"]:
        openmp = "yes" if c["workers"] == "openmp" else "yes, for its limit on threads"
    caches = ", ".join(f"{level} {_bytes(size)}" for level, size in c["caches"].items())
    rows = [
        ("fastmlp", c["version"]),
        ("backend", f"{c['backend']}: {c['backend_reason']}"),
        ("ISA", f"{c['isa']}: {c['isa_reason']}"),
        ("ISAs built", isas or "none"),
        ("compiler", c["compiler"] or "none"),
        ("OpenMP", openmp),
        ("threads", f"up to {c['threads']} (limits: {limits}), {_WORKERS[c['workers']]}"),
        ("CPU", c["cpu"]),
        ("caches", caches or "unknown"),
        ("Python", c["python"]),
        ("NumPy", c["numpy"]),
    ]
    print("\n".join(f"{name:<11} {value}" for name, value in rows))


def _bytes(size: int) -> str:
    return f"{size / 1048576:g} MiB" if size >= 1 << 20 else f"{size / 1024:g} KiB"


# Not when it is first needed: `with threadpool_limits(1)` around the first use limits what is loaded by then.
load_passes()
