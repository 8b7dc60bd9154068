"""Measurements of the machine, and the demands of a training on it: FMA peak, a phase's cost, busy threads.

Figures are measured when they are asked for: by profiles, `fastmlp demo`, `fastmlp info` and the scripts in bench/.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Self

from fastmlp.runtime.backend import load_passes

__all__ = ["BusyThreads", "fma_peak", "limit_threads", "phase_seconds", "thread_peak", "training_flops"]

# One call of the multiply-add loop: long against the call, short against the scheduler's time slices.
SLICE_SECONDS = 5e-4
WINDOWS = 10


def training_flops(sizes: Sequence[int], rows: int) -> float:
    """Floating-point operations of training on some rows, once each.

    Parameters
    ----------
    sizes : sequence of int
        The architecture vector: inputs, hidden widths, outputs.
    rows : int
        How many rows; for one step the batch size.

    Returns
    -------
    float
        Two for each multiply-add of the matrix products: forward, gradient and, except in the first layer, the input's
        delta. Activations, loss and optimizer are not counted, so what is reached in GFLOP/s is understated.

    Examples
    --------
    >>> training_flops([784, 256, 128, 10], 128)
    128909312.0
    """
    products = sum(i * o * (2 if layer == 0 else 3) for layer, (i, o) in enumerate(pairwise(sizes)))
    return 2.0 * rows * products


def fma_peak(threads: int = 1, isa: str | None = None, dtype: str = "float32", seconds: float = 0.05) -> float:
    """Measure how many floating-point operations per second multiply-adds reach that touch no memory.

    Parameters
    ----------
    threads : int
        Python threads that run the loop at the same time (it releases the GIL).
    isa : str, optional
        Instruction set; default: the one in use.
    dtype : {"float32", "float64"}
    seconds : float
        How long to measure. The best of ten parts counts, so that a short disturbance does no harm.

    Returns
    -------
    float
        Of all threads together, counted only while all of them run.

    Raises
    ------
    ImportError
        If the compiled extension is missing.
    ValueError
        If this machine cannot run `isa`.
    """
    probes = _passes().probes
    iterations = 1000
    while (taken := probes.fma_rate(isa, dtype, iterations)[1]) < 0.2 * SLICE_SECONDS:
        iterations *= 4
    iterations = max(1, int(iterations * SLICE_SECONDS / taken))
    spans: list[list[tuple[float, float, float]]] = [[] for _ in range(threads)]
    deadline = time.perf_counter() + seconds

    def run(mine: list[tuple[float, float, float]]) -> None:
        end = 0.0
        while end < deadline or len(mine) < WINDOWS:
            start = time.perf_counter()
            flops, _ = probes.fma_rate(isa, dtype, iterations)
            end = time.perf_counter()
            mine.append((start, end, flops))

    helpers = [threading.Thread(target=run, args=(mine,)) for mine in spans[1:]]
    for helper in helpers:
        helper.start()
    try:
        run(spans[0])
    finally:
        for helper in helpers:
            helper.join()
    # A crowded machine may have run the threads one after another: then there is no time that they have in common.
    first, last = max(mine[0][0] for mine in spans), min(mine[-1][1] for mine in spans)
    if last <= first:
        first, last = min(mine[0][0] for mine in spans), max(mine[-1][1] for mine in spans)
    length = (last - first) / WINDOWS
    windows = [(first + part * length, first + (part + 1) * length) for part in range(WINDOWS)]
    return max(sum(_within(mine, low, high) for mine in spans) / length for low, high in windows)


class _Peaks:
    """The peaks that `thread_peak` has found in this process, and a lock: who measures wants the processor alone."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], float] = {}
        self.renew_lock()
        if hasattr(os, "register_at_fork"):  # another thread may hold it at that moment
            os.register_at_fork(after_in_child=self.renew_lock)

    def renew_lock(self) -> None:
        self.lock = threading.RLock()  # a signal's handler may ask as well, in the middle of a measurement


_peaks = _Peaks()


def thread_peak(isa: str, dtype: str) -> float:
    """`fma_peak` of one thread, measured once per process, instruction set and dtype.

    Parameters
    ----------
    isa : str
        As an engine names it.
    dtype : {"float32", "float64"}

    Returns
    -------
    float
        0 for ``"numpy"``, whose instruction set is not known.
    """
    if isa == "numpy":
        return 0.0
    with _peaks.lock:
        if (isa, dtype) not in _peaks.found:
            _peaks.found[isa, dtype] = fma_peak(1, isa, dtype)
        return _peaks.found[isa, dtype]


def _within(spans: list[tuple[float, float, float]], low: float, high: float) -> float:
    """Add up the operations in a window of time, where each span's are spread evenly over it."""
    return sum(flops * max(0.0, min(high, end) - max(low, start)) / (end - start) for start, end, flops in spans)


def phase_seconds(threads: int, seconds: float = 0.05) -> float:
    """Measure what it costs that threads wait for each other's work: one phase of the engine without any work in it.

    Parameters
    ----------
    threads : int
    seconds : float
        How long to measure, about.

    Returns
    -------
    float
        Upper quartile of several runs of thousands of phases. The lower ones are no guide: in some of them one thread
        does everything before another has woken.

    Raises
    ------
    ImportError
        If the compiled extension is missing.
    """
    measure: Callable[[int], float] = _passes().threads.barrier_seconds
    measure(threads)  # starts the threads
    deadline, runs = time.perf_counter() + seconds, [measure(threads)]
    while time.perf_counter() < deadline and len(runs) < 25:
        runs.append(measure(threads))
    if len(runs) == 1:
        return runs[0]
    from statistics import quantiles

    return quantiles(runs, n=4)[2]


def limit_threads(n: int | None) -> dict[str, str]:
    """Return an environment in which OpenMP and BLAS, whichever it is, use at most n threads; None changes nothing.

    NumPy offers no way to set it later. A BLAS with several threads is the better rival for large products, one with a
    single thread for small ones and wherever other programs are at work, so comparisons try both.
    """
    names = ("OMP", "OPENBLAS", "MKL", "BLIS", "GOTO")
    limits = {} if n is None else {f"{name}_NUM_THREADS": str(n) for name in names} | {"VECLIB_MAXIMUM_THREADS": str(n)}
    return dict(os.environ) | limits


class BusyThreads:
    """Count the threads that work while a block runs, whoever started them: the engine's own or those of NumPy's BLAS.

    Attributes
    ----------
    count : int
        Once the block has ended: threads with at least a quarter of the processor time of the busiest one.

    Examples
    --------
    >>> with BusyThreads() as busy:
    ...     total = sum(range(100_000))
    >>> busy.count
    1
    """

    def __init__(self) -> None:
        self.count = 1

    def __enter__(self) -> Self:
        self._start = time.perf_counter(), time.process_time()
        self._before = _thread_nanoseconds()
        return self

    def __exit__(self, *exception: object) -> None:
        used = [after - self._before.get(thread, 0) for thread, after in _thread_nanoseconds().items()]
        if used:
            self.count = max(1, sum(4 * nanoseconds >= max(used) > 0 for nanoseconds in used))
        else:  # a system without Linux's /proc
            wall, processor = time.perf_counter() - self._start[0], time.process_time() - self._start[1]
            self.count = max(1, round(processor / max(wall, 1e-9)))


def _thread_nanoseconds() -> dict[str, int]:
    """Return the processor time of every thread of this process so far; empty where the system does not tell."""
    times = {}
    for file in Path(f"/proc/{os.getpid()}/task").glob("*/schedstat"):
        try:
            times[file.parent.name] = int(file.read_text().split()[0])
        except (OSError, ValueError, IndexError):  # the thread has just ended
            continue
    return times


def _passes() -> ModuleType:
    """Return the compiled extension, or raise an ImportError that says what it is needed for."""
    module, reason = load_passes()
    if module is None:
        raise ImportError(f"this is measured with the compiled extension, which cannot be used ({reason})")
    return module
