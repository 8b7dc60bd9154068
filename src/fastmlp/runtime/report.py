"""The report of what fastmlp uses on this machine, and why: `show_config` for people, `config` for programs."""

import os
import platform
from typing import Any

import numpy as np

from fastmlp.runtime.backend import is_pure, load_passes
from fastmlp.runtime.machine import cache_sizes, cpu_model
from fastmlp.runtime.threads import get_num_threads, thread_limits, workers_reason

__all__ = ["VERSION", "config", "show_config"]

VERSION = "0.1.0"  # pyproject.toml has it too, and a test compares them


def config() -> dict[str, Any]:
    """Return what `show_config` prints, as a dict.

    Returns
    -------
    dict
        "version", "numpy", "python", "backend", "backend_reason", "isa", "isa_reason", "isas" (list of dicts with
        "name", "needs", "available"), "compiler", "openmp" (whether it limits the threads), "workers" (whose threads
        there are: "pool", "openmp" or "none") and "workers_reason", "threads", "thread_limits" (by source), "cpu" and
        "caches" (bytes).
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
            "workers_reason": "no extension",
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
            "workers": module.workers(),
            "workers_reason": workers_reason(),
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

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.show_config()  # doctest: +ELLIPSIS
    fastmlp ...
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
        ("threads", f"up to {c['threads']} (limits: {limits}), {_WORKERS[c['workers']]} ({c['workers_reason']})"),
        ("CPU", c["cpu"]),
        ("caches", caches or "unknown"),
        ("Python", c["python"]),
        ("NumPy", c["numpy"]),
    ]
    print("\n".join(f"{name:<11} {value}" for name, value in rows))


def _bytes(size: int) -> str:
    return f"{size / 1048576:g} MiB" if size >= 1 << 20 else f"{size / 1024:g} KiB"
