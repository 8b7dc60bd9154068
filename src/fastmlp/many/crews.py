"""Crews: how jobs and their data reach the workers of an executor that are processes, here or on other machines."""

from __future__ import annotations

import io
import pickle
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastmlp.many.jobs import run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from fastmlp.many.jobs import Job

__all__ = ["Answer", "Crew", "Packer", "crew_for", "is_executor", "shares_memory"]

# Arrays from this size on go to the workers once, not with every job.
LARGE = 1 << 16


class Answer(Protocol):
    """What will come of a job: a future, of whichever library."""

    def result(self) -> bytes:
        """Wait for a pickled `Result`; raise where the worker is lost."""

    def cancel(self) -> object:
        """Do not begin with it."""


class Crew:
    """The workers of any executor: arrays go to them by files in a folder, which they map."""

    def __init__(self, executor: Any, folder: str) -> None:
        self.executor, self.folder, self.n_files = executor, folder, 0

    def share(self, array: np.ndarray[Any, Any]) -> Any:
        """Give an array to all workers, once; return by what they know it."""
        path = Path(self.folder) / f"{self.n_files}.npy"
        self.n_files += 1
        np.save(path, array, allow_pickle=False)
        return str(path)

    def submit(self, packed: bytes, shared: Sequence[Any]) -> Answer:
        """Have a job done, with all arrays that are shared."""
        answer: Answer = self.executor.submit(do_packed, packed, *shared)
        return answer

    def again(self, error: BaseException) -> Crew:
        """Return who does what a lost worker has not done; what was shared is good for them. Raise where nobody does.

        A pool of processes breaks with one of them: another one like it takes its place.
        """
        if not isinstance(error, BrokenExecutor):
            return self
        if type(self.executor) is not ProcessPoolExecutor:
            raise error
        kept = vars(self.executor)
        names = {"max_workers": "_max_workers", "mp_context": "_mp_context", "initializer": "_initializer"}
        given = {name: kept[private] for name, private in names.items() if private in kept}
        return _Own(ProcessPoolExecutor(initargs=kept.get("_initargs", ()), **given), self.folder)

    def close(self) -> None:
        """Let go of what was only for this."""


class _Own(Crew):
    """A pool that was begun in the place of a broken one."""

    def again(self, error: BaseException) -> Crew:
        raise error

    def close(self) -> None:
        self.executor.shutdown(wait=True, cancel_futures=True)


class DaskCrew(Crew):
    """Workers of Dask, to which its client scatters arrays; its scheduler gives a lost worker's tasks to others."""

    def share(self, array: np.ndarray[Any, Any]) -> Any:
        return self.executor._client.scatter(array, broadcast=True, hash=False)

    def submit(self, packed: bytes, shared: Sequence[Any]) -> Answer:
        answer: Answer = self.executor.submit(do_packed, packed, *shared, pure=False)
        return answer


class _RayAnswer:
    """A task of Ray as a future."""

    def __init__(self, reference: Any) -> None:
        self.reference = reference

    def result(self) -> bytes:
        import ray

        answer: bytes = ray.get(self.reference)
        return answer

    def cancel(self) -> None:
        import ray

        ray.cancel(self.reference)


class RayCrew(Crew):
    """The cluster that a pool of Ray is on: arrays lie in its object store; its tasks are retried where workers die."""

    def __init__(self, executor: Any, folder: str) -> None:
        super().__init__(executor, folder)
        import ray

        self.put, self.task = ray.put, ray.remote(max_retries=2)(do_packed)

    def share(self, array: np.ndarray[Any, Any]) -> Any:
        return self.put(array)

    def submit(self, packed: bytes, shared: Sequence[Any]) -> Answer:
        return _RayAnswer(self.task.remote(packed, *shared))


def is_executor(value: object) -> bool:
    """Whether it is an executor of concurrent.futures, or a pool of Ray."""
    return hasattr(value, "submit") or _is_of_ray(value)


def _is_of_ray(value: object) -> bool:
    return type(value).__module__.startswith("ray.") and hasattr(value, "apply_async")


def crew_for(executor: Executor, folder: str) -> Crew:
    """Choose how data go to an executor's workers."""
    if _is_of_ray(executor):
        return RayCrew(executor, folder)
    if type(executor).__module__.startswith("distributed.") and hasattr(executor, "_client"):
        return DaskCrew(executor, folder)
    return Crew(executor, folder)


def shares_memory(executor: object) -> bool:
    """Return whether an executor's workers are threads of this interpreter."""
    kinds = {kind.__name__ for kind in type(executor).__mro__}
    return "ThreadPoolExecutor" in kinds and "InterpreterPoolExecutor" not in kinds


# ---- jobs on their way ----------------------------------------------------------------------------------------------


class Packer:
    """Pickles jobs; the large arrays of all of them are shared with a crew once."""

    def __init__(self, crew: Crew) -> None:
        self.crew = crew
        self.shared: list[Any] = []
        self._places: dict[Any, int] = {}
        self._kept: list[np.ndarray[Any, Any]] = []  # whose addresses the keys are of

    def pack(self, job: Job) -> bytes:
        """Pickle a job, with places among what is shared instead of large arrays."""
        file = io.BytesIO()
        pickler = pickle.Pickler(file, pickle.HIGHEST_PROTOCOL)
        pickler.persistent_id = self._place_of  # type: ignore[method-assign]
        pickler.dump(job)
        return file.getvalue()

    def _place_of(self, value: Any) -> int | None:
        if not isinstance(value, np.ndarray) or value.nbytes < LARGE or value.dtype.hasobject:
            return None
        key = value.__array_interface__["data"][0], value.shape, value.strides, value.dtype.str
        if key not in self._places:
            self._places[key] = len(self.shared)
            self.shared.append(self.crew.share(value))
            self._kept.append(value)
        return self._places[key]


_mapped: dict[str, Any] = {}  # in a worker: the arrays of the last call of fit_many, by their files


def _there(shared: Any) -> Any:
    """What was shared, in a worker: an array, or one in a file, which is mapped once."""
    if not isinstance(shared, str):
        return shared
    if shared not in _mapped:
        for other in [name for name in _mapped if Path(name).parent != Path(shared).parent]:
            del _mapped[other]
        _mapped[shared] = np.asarray(np.load(shared, mmap_mode="r"))
    return _mapped[shared]


def do_packed(packed: bytes, *shared: Any) -> bytes:
    """Do a job in another process; an error that cannot be pickled is told in words."""
    unpickler = pickle.Unpickler(io.BytesIO(packed))
    unpickler.persistent_load = lambda place: _there(shared[place])  # type: ignore[method-assign]
    result = run(unpickler.load())
    try:
        pickle.loads(pickle.dumps(result.error))
    except Exception:  # noqa: BLE001 - whatever its class does
        result.error = RuntimeError(f"{type(result.error).__name__}: {result.error}")
    return pickle.dumps(result)
