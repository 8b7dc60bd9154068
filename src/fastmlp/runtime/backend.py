"""The choice of the backend that runs the arithmetic: the compiled passes, or their NumPy reference.

The compiled passes are imported here and nowhere else: with the package, and with one answer if they are missing.
"""

import functools
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from fastmlp.runtime.engine import Engine
from fastmlp.spec.names import did_you_mean

__all__ = ["BACKENDS", "Backend", "choose_backend", "get_backend", "is_pure", "load_passes", "warn_of_emulation"]

BACKENDS = ("cython", "numpy")
PURE = "pure wheel: built without the compiled extension, with FASTMLP_PURE=1"  # why there is no extension


@dataclass(frozen=True)
class Backend:
    """One of the two implementations: `fastmlp.passes` (name "cython") or `fastmlp.reference` (name "numpy")."""

    name: str
    engine: type[Engine]
    permutation: Callable[[int, int, int, NDArray[np.int64]], NDArray[np.int64]]
    finite: Callable[..., bool] | None  # of an array, with threads=1


@dataclass
class _Process:
    """The warnings that this process has been given already."""

    warned: bool = False  # that the extension is missing
    told: bool = False  # that there is no instruction for bfloat16


_process = _Process()


@functools.cache
def load_passes() -> tuple[ModuleType | None, str]:
    """Return `fastmlp.passes` and "", or None and the reason why it cannot be used; it is tried once per process."""
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
    """Return the backend called "cython" or "numpy"; ImportError if the former is not there."""
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
    """Return the backend for MLP's argument; warn once if the extension is missing and nobody asked for that.

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


def warn_of_emulation(backend: Backend, stacklevel: int = 2) -> None:
    """Warn, once, where products of bfloat16 are made of float32's, of which a network would be faster alone."""
    module, _ = load_passes()
    if _process.told or (backend.name == "cython" and module is not None and module.bfloat16_of()[1]):
        return
    _process.told = True
    where = "this processor, as far as it may be used, has" if backend.name == "cython" else "NumPy has"
    warnings.warn(
        f"dtype='bfloat16': {where} no instruction for products of bfloat16; they are made of float32's, to the same "
        "model. dtype='float32' is faster here.",
        RuntimeWarning,
        stacklevel=stacklevel,
    )


# Not when it is first needed: `with threadpool_limits(1)` around the first use limits what is loaded by then.
load_passes()
