"""Starts the rivals' processes, hands them a job, and lets them work in turn, never two at the same time."""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _common import WorkerFailed, without_handicaps

import fastmlp
from _peers.job import Job

__all__ = ["Crew", "RivalError", "Worker", "assemble", "same_job"]

BENCH = Path(__file__).resolve().parent.parent
SETUP_SECONDS = 600.0
#: Idle threads of the process that has just answered (OpenMP, Eigen, ONNX Runtime) spin for some milliseconds.
PAUSE_SECONDS = 0.03
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class RivalError(WorkerFailed):
    """A rival could not do its job; the message says why."""


class Worker:
    """One rival in a process of its own; `label` tells apart two workers of the same rival."""

    def __init__(self, purpose: str, rival: str, *, threads: int = 0, label: str = "") -> None:
        self.rival, self.label = rival, label or rival
        self.versions: dict[str, str] = {}
        self.facts: dict[str, Any] = {}
        environment = without_handicaps({**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "JAX_PLATFORMS": "cpu"})
        package = str(Path(fastmlp.__file__).parents[1])  # the fastmlp that this process has
        environment["PYTHONPATH"] = os.pathsep.join(
            [str(BENCH), package, *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        if threads and rival != "fastmlp":  # fastmlp is told at every call
            environment.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the worker
        self._process = subprocess.Popen(
            [sys.executable, "-m", "_peers.worker", purpose, rival],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            text=True,
            bufsize=1,
        )
        # XLA sizes its pool by the affinity mask and by nothing else; it has not been imported yet.
        if threads and rival in ("jax", "jax-scan"):
            os.sched_setaffinity(self._process.pid, sorted(os.sched_getaffinity(0))[:threads])

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, request: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
        except BrokenPipeError:
            raise RivalError(self._last_words()) from None

    def receive(self, seconds: float = SETUP_SECONDS) -> dict[str, Any]:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                self._process.kill()
                raise RivalError(f"no answer within {seconds:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise RivalError(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "error_text" in answer:
            raise RivalError(answer["error_text"])
        return answer

    def setup(self, job: Job) -> None:
        self.send({"do": "setup", "job": job.to_dict()})
        self.facts = self.receive()

    def round(self, seconds: float) -> dict[str, Any]:
        time.sleep(PAUSE_SECONDS)
        self.send({"do": "round", "seconds": seconds})
        return self.receive(SETUP_SECONDS + 10 * seconds)

    def _last_words(self) -> str:
        status = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().strip().splitlines()
        return f"ended with status {status}" + (f": {lines[-1]}" if lines else "")

    def close(self) -> None:
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()


class Crew:
    """Workers that have the same job; `left_out` holds the reasons of those that could not join."""

    def __init__(self, workers: dict[str, Worker], left_out: dict[str, str]) -> None:
        self.workers, self.left_out, self._done = workers, left_out, 0

    def rounds(self, n: int, seconds: float) -> dict[str, list[dict[str, Any]]]:
        """Answers of every worker, one per round; each round begins with another worker."""
        answers: dict[str, list[dict[str, Any]]] = {name: [] for name in self.workers}
        for _ in range(n if self.workers else 0):
            names = list(self.workers)
            first = self._done % max(1, len(names))
            self._done += 1
            for name in names[first:] + names[:first]:
                try:
                    answers[name].append(self.workers[name].round(seconds))
                except RivalError as error:
                    self.left_out[name] = str(error)
                    self.workers.pop(name).close()
                    del answers[name]
        return answers


@contextmanager
def assemble(purpose: str, jobs: dict[str, tuple[str, Job]]) -> Iterator[Crew]:
    """Yield a crew for {label: (rival, job)}: processes import together, and are set up one by one."""
    workers: dict[str, Worker] = {}
    left_out: dict[str, str] = {}
    try:
        for label, (rival, job) in jobs.items():
            workers[label] = Worker(purpose, rival, threads=job.threads, label=label)
            workers[label].send({"do": "import"})
        for label in jobs:
            worker = workers[label]
            try:
                answer = worker.receive()
                if "missing" in answer:
                    raise RivalError(f"not installed ({answer['missing']})")
                worker.versions = answer["versions"]
            except RivalError as error:
                left_out[label] = str(error)
                workers.pop(label).close()
        for label in list(workers):
            try:
                workers[label].setup(jobs[label][1])
            except RivalError as error:
                left_out[label] = str(error)
                workers.pop(label).close()
        yield Crew(workers, left_out)
    finally:
        for worker in workers.values():
            worker.close()


def same_job(job: Job, rivals: Sequence[str]) -> dict[str, tuple[str, Job]]:
    """What `assemble` takes, where all rivals do one job."""
    return {rival: (rival, job) for rival in rivals}
