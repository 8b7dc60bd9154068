"""Who does the jobs: threads of this process, or the workers of an executor."""

from __future__ import annotations

import pickle
import tempfile
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from fastmlp.many.crews import Packer, crew_for, shares_memory
from fastmlp.many.folds import Stop
from fastmlp.many.jobs import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastmlp.many.crews import Answer, Crew
    from fastmlp.many.jobs import Job
    from fastmlp.many.results import Result

__all__ = ["do"]


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


def _by_processes(jobs: Sequence[Job], places: Sequence[int], executor: Executor) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="fastmlp-", ignore_cleanup_errors=True) as folder:
        crew = crew_for(executor, folder)
        packer = Packer(crew)
        packed = [packer.pack(job) for job in jobs]
        answers = _answers(crew, packer.shared, packed, places)
    results = []
    for place, job in enumerate(jobs):
        result: Result = pickle.loads(answers[place])
        if job.fold is None:
            with job.network._access.setting("fit_many"):
                job.network._adopt(result.network)
            result.network = job.network
        results.append(result)
    return results


def _answers(
    crew: Crew, shared: Sequence[object], packed: Sequence[bytes], places: Sequence[int], first: bool = True
) -> dict[int, bytes]:
    """Have jobs done; those of a worker that is lost, which is no fault of theirs as far as one can tell, once more."""
    answers: dict[int, bytes] = {}
    waiting: dict[int, Answer] = {}
    lost: list[int] = []
    error: Exception | None = None
    try:
        for place in places:
            try:
                waiting[place] = crew.submit(packed[place], shared)
            except Exception as raised:  # noqa: BLE001 - of a pool that has broken meanwhile
                lost, error = [*lost, place], raised
        for place, answer in waiting.items():
            try:
                answers[place] = answer.result()
            except Exception as raised:  # noqa: BLE001 - a job's own error is in its answer
                lost, error = [*lost, place], raised
    except BaseException:
        for answer in waiting.values():
            answer.cancel()
        raise
    if error is not None:
        if not first:
            raise error
        others = crew.again(error)
        try:
            answers |= _answers(others, shared, packed, lost, first=False)
        finally:
            others.close()
    return answers
