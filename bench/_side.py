"""A build's process in compare.py and short.py, which has it in PYTHONPATH; answers requests (_worker.serve).

It uses nothing of fastmlp but MLP, Adam, fit and predict, which every commit has.
"""

from __future__ import annotations

import gc
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _worker import serve
from _workloads import Workload

import fastmlp

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Least length of what is timed at once where calls are short.
CHUNK_SECONDS = 2e-4


def network(workload: Workload, dtype: str) -> fastmlp.MLP:
    """Make the network, with the same weights in both builds."""
    w = workload
    return fastmlp.MLP(
        w.sizes, activation=w.activation, output=w.output, loss=w.loss, dtype=dtype, seed=0, backend="cython"
    )


def quick(times: Sequence[float]) -> float:
    """The lower quartile: whatever else runs on the machine makes some of them longer, and none shorter."""
    ordered = sorted(times)
    return ordered[(len(ordered) - 1) // 4]


class Training:
    """Epochs of a network."""

    def __init__(self, workload: Workload, dtype: str, threads: int) -> None:
        self.workload, self.threads = workload, threads
        self.X, self.y = workload.data(dtype)
        self.net, self.optimizer = network(workload, dtype), fastmlp.Adam(1e-4)

    def first(self) -> float:
        """A result that another build is to find as well: the first epoch's loss."""
        return self.fit(1).loss[0]

    def fit(self, epochs: int) -> fastmlp.History:
        return self.net.fit(
            self.X,
            self.y,
            epochs=epochs,
            batch_size=self.workload.batch,
            optimizer=self.optimizer,
            threads=self.threads,
        )

    def work(self, epochs: int) -> dict[str, float]:
        """Seconds of a step: in quick epochs (`seconds`), and with all around the steps (`whole`)."""
        start = time.perf_counter()
        history = self.fit(epochs)
        whole = time.perf_counter() - start
        steps = self.workload.steps
        return {"seconds": quick(history.seconds) / steps, "whole": whole / (epochs * steps)}


class Prediction:
    """Calls of predict with one row, which are timed a few at once."""

    def __init__(self, workload: Workload, dtype: str) -> None:
        self.net = network(workload, dtype)
        self.row = np.random.default_rng(0).standard_normal((1, workload.sizes[0])).astype(dtype)
        self.calls = 1

    def first(self) -> float:
        """A result that another build is to find as well: a sum of the outputs."""
        outputs = self.net.predict(self.row).astype(np.float64)[0]
        self.chunk(), self.chunk()
        self.calls = max(1, round(CHUNK_SECONDS / self.chunk()))
        return float(outputs @ np.arange(1, len(outputs) + 1))

    def chunk(self) -> float:
        """Seconds of a call."""
        predict, row = self.net.predict, self.row
        start = time.perf_counter()
        for _ in range(self.calls):
            predict(row)
        return (time.perf_counter() - start) / self.calls

    def work(self, chunks: int) -> dict[str, float]:
        """Seconds of a call: in quick chunks (`seconds`), and on average (`whole`)."""
        spans = [self.chunk() for _ in range(chunks)]
        return {"seconds": quick(spans), "whole": statistics.fmean(spans)}


class Side:
    """One build's part: a network is prepared, and then visited."""

    def __init__(self) -> None:
        self.job: Training | Prediction | None = None

    def where(self) -> str:
        """The folder of the fastmlp that has been imported."""
        return str(Path(fastmlp.__file__).resolve().parents[1])

    def prepare(
        self, kind: str, workload: dict[str, Any], dtype: str, threads: int, seconds: float
    ) -> dict[str, float]:
        """Make network and data, warm up for so long: buffers, caches, clocks, the choice of ways.

        Returns a result, to be compared, and seconds of a unit of work (an epoch, a chunk of calls).
        """
        self.job = None  # what it held is free for the next one
        made = Workload(**workload)
        self.job = Training(made, dtype, threads) if kind == "train" else Prediction(made, dtype)
        start = now = time.perf_counter()
        result, units, end = self.job.first(), 1, start + seconds
        taken = time.perf_counter() - start
        while now < end and taken < seconds:
            start = time.perf_counter()
            self.job.work(units)
            now = time.perf_counter()
            taken, units = (now - start) / units, 2 * units
        return {"result": result, "seconds": taken}

    def work(self, units: int) -> dict[str, float]:
        """A visit: so many epochs, or chunks of calls."""
        assert self.job is not None
        gc.collect()
        gc.disable()
        try:
            return self.job.work(units)
        finally:
            gc.enable()


def first_fits(
    workload: dict[str, Any], least_steps: int, seconds: float, threads: int | None, wait: float
) -> dict[str, Any]:
    """A young process, for short.py: seconds per step of the first fit, of those after it, and of a second network."""
    case = Workload(**workload)
    X, y = case.data("float32")
    epochs = -(-least_steps // case.steps)
    time.sleep(wait)

    def fit(net: fastmlp.MLP) -> float:
        start = time.perf_counter()
        net.fit(X, y, epochs=epochs, batch_size=case.batch, threads=threads)
        return (time.perf_counter() - start) / (epochs * case.steps)

    net = network(case, "float32")
    first, later = fit(net), []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(later) < 4:
        later.append(fit(net))
    second = fit(network(case, "float32"))
    settled = statistics.median(later[len(later) // 2 :])
    return {"first": first, "settled": settled, "second": second, "later": later}


if __name__ == "__main__":
    side = Side()
    serve({"where": side.where, "prepare": side.prepare, "work": side.work, "first_fits": first_fits})
