"""Starts the rivals' processes, hands them a job, and lets them work in turn, never two at the same time."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from _worker import SETUP_SECONDS, Worker, WorkerFailed

from _peers.job import Job
from fastmlp.runtime.measure import limit_threads

__all__ = ["Crew", "Rival", "assemble", "same_job"]

#: Idle threads of the process that has just answered (OpenMP, Eigen, ONNX Runtime) spin for some milliseconds.
PAUSE_SECONDS = 0.03
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2", "JAX_PLATFORMS": "cpu"}


class Rival:
    """A rival in a process of its own, and what it says of itself; `label` tells two of the same kind apart."""

    def __init__(self, purpose: str, kind: str, threads: int, label: str) -> None:
        self.versions: dict[str, str] = {}
        self.facts: dict[str, Any] = {}
        # fastmlp is told at every call. XLA sizes its pool by the affinity mask and by nothing else.
        limits = limit_threads(threads) if threads and kind != "fastmlp" else {}
        xla = threads and kind in ("jax", "jax-scan")
        self.worker = Worker(
            ["-m", "_peers.worker", purpose, kind],
            label,
            environment=limits | QUIET,
            processors=sorted(os.sched_getaffinity(0))[:threads] if xla else None,
            quiet=True,
        )

    def setup(self, job: Job) -> None:
        self.facts = self.worker.ask("setup", job=job.to_dict())

    def round(self, seconds: float) -> dict[str, Any]:
        time.sleep(PAUSE_SECONDS)
        self.worker.send("round", seconds=seconds)
        answer: dict[str, Any] = self.worker.receive(SETUP_SECONDS + 10 * seconds)
        return answer


class Crew:
    """Rivals that have the same job; `left_out` holds the reasons of those that could not join."""

    def __init__(self, rivals: dict[str, Rival], left_out: dict[str, str]) -> None:
        self.rivals, self.left_out, self._done = rivals, left_out, 0

    def rounds(self, n: int, seconds: float) -> dict[str, list[dict[str, Any]]]:
        """Answers of every rival, one per round; each round begins with another one."""
        answers: dict[str, list[dict[str, Any]]] = {name: [] for name in self.rivals}
        for _ in range(n if self.rivals else 0):
            names = list(self.rivals)
            first = self._done % max(1, len(names))
            self._done += 1
            for name in names[first:] + names[:first]:
                try:
                    answers[name].append(self.rivals[name].round(seconds))
                except WorkerFailed as error:
                    self.left_out[name] = str(error)
                    self.rivals.pop(name).worker.close()
                    del answers[name]
        return answers


@contextmanager
def assemble(purpose: str, jobs: dict[str, tuple[str, Job]]) -> Iterator[Crew]:
    """Yield a crew for {label: (rival, job)}: processes import together, and are set up one by one."""
    rivals: dict[str, Rival] = {}
    left_out: dict[str, str] = {}
    try:
        for label, (kind, job) in jobs.items():
            rivals[label] = Rival(purpose, kind, job.threads, label)
            rivals[label].worker.send("load")
        for label in jobs:
            try:
                rivals[label].versions = rivals[label].worker.receive()
            except WorkerFailed as error:
                left_out[label] = str(error)
                rivals.pop(label).worker.close()
        for label in list(rivals):
            try:
                rivals[label].setup(jobs[label][1])
            except WorkerFailed as error:
                left_out[label] = str(error)
                rivals.pop(label).worker.close()
        yield Crew(rivals, left_out)
    finally:
        for rival in rivals.values():
            rival.worker.close()


def same_job(job: Job, rivals: Sequence[str]) -> dict[str, tuple[str, Job]]:
    """Make the argument of `assemble` where all rivals do one job."""
    return {rival: (rival, job) for rival in rivals}
