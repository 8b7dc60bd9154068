"""Who does the jobs: threads of this process, or an executor, to whose processes the data go once, by files."""

from __future__ import annotations

import io
import pickle
import tempfile
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.many.folds import Stop
from fastmlp.many.jobs import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastmlp.many.jobs import Job
    from fastmlp.many.results import Result

__all__ = ["do"]

# Arrays from this size on go to other processes by a file, which their workers map.
LARGE = 1 << 16


def do(jobs: Sequence[Job], threads: int, executor: Executor | None) -> list[Result]:
    """Do all jobs, those first that take longest; return their results in order."""
    places = sorted(range(len(jobs)), key=lambda place: -jobs[place].work)
    if executor is not None and not shares_memory(executor):
        return _by_processes(jobs, places, executor)
    for job in jobs:
        job.threads = max(1, threads // len(jobs))
    if executor is None and min(threads, len(jobs)) == 1:
        return [run(job) for job in jobs]
    if executor is not None:
        return _by_threads(jobs, places, executor)
    with ThreadPoolExecutor(min(threads, len(jobs)), "fastmlp") as own:
        return _by_threads(jobs, places, own)


def shares_memory(executor: Executor) -> bool:
    """Return whether an executor's workers are threads of this interpreter."""
    kinds = {kind.__name__ for kind in type(executor).__mro__}
    return "ThreadPoolExecutor" in kinds and "InterpreterPoolExecutor" not in kinds


def _by_threads(jobs: Sequence[Job], places: Sequence[int], executor: Executor) -> list[Result]:
    futures: dict[int, Future[Result]] = {}
    try:
        with Stop() as stop:
            for place in places:
                futures[place] = executor.submit(run, jobs[place], stop)
            wait(futures.values())
    except BaseException:  # of a signal's handler: no thread but this one sees it
        wait([future for future in futures.values() if not future.cancel()])
        raise
    return [futures[place].result() for place in range(len(jobs))]


# ---- other processes ------------------------------------------------------------------------------------------------


def _by_processes(jobs: Sequence[Job], places: Sequence[int], executor: Executor) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="fastmlp-", ignore_cleanup_errors=True) as folder:
        arrays = _Arrays(folder)
        packed = [arrays.pack(job) for job in jobs]
        futures: dict[int, Future[bytes]] = {}
        try:
            for place in places:
                futures[place] = executor.submit(_run_packed, packed[place])
            answers = [futures[place].result() for place in range(len(jobs))]
        except BaseException:
            for future in futures.values():
                future.cancel()
            raise
    results = []
    for job, answer in zip(jobs, answers, strict=True):
        result: Result = pickle.loads(answer)
        if job.fold is None:
            with job.network._access.setting("fit_many"):
                job.network._adopt(result.network)
            result.network = job.network
        results.append(result)
    return results


class _Arrays:
    """The large arrays of all jobs, each in a file once."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.files: dict[Any, str] = {}
        self.kept: list[np.ndarray[Any, Any]] = []  # whose addresses the keys are of

    def pack(self, job: Job) -> bytes:
        """Pickle a job, with names of files in the place of large arrays."""
        file = io.BytesIO()
        pickler = pickle.Pickler(file, pickle.HIGHEST_PROTOCOL)
        pickler.persistent_id = self._file_of  # type: ignore[method-assign]
        pickler.dump(job)
        return file.getvalue()

    def _file_of(self, value: Any) -> str | None:
        if not isinstance(value, np.ndarray) or value.nbytes < LARGE or value.dtype.hasobject:
            return None
        key = value.__array_interface__["data"][0], value.shape, value.strides, value.dtype.str
        if key not in self.files:
            path = self.folder / f"{len(self.files)}.npy"
            np.save(path, value, allow_pickle=False)
            self.files[key] = str(path)
            self.kept.append(value)
        return self.files[key]


_mapped: dict[str, Any] = {}  # in a worker: the arrays of the last call of fit_many, by their files


def _load(path: str) -> Any:
    if path not in _mapped:
        for other in [name for name in _mapped if Path(name).parent != Path(path).parent]:
            del _mapped[other]
        _mapped[path] = np.asarray(np.load(path, mmap_mode="r"))
    return _mapped[path]


def _run_packed(packed: bytes) -> bytes:
    """Do a job in another process; an error that cannot be pickled is told in words."""
    unpickler = pickle.Unpickler(io.BytesIO(packed))
    unpickler.persistent_load = _load  # type: ignore[method-assign]
    result = run(unpickler.load())
    try:
        pickle.loads(pickle.dumps(result.error))
    except Exception:  # noqa: BLE001 - whatever its class does
        result.error = RuntimeError(f"{type(result.error).__name__}: {result.error}")
    return pickle.dumps(result)
