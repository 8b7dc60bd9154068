"""A rival's process: `python -m _peers.worker train|predict <rival>`, which answers requests (_worker.serve)."""

import gc
import importlib
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from _worker import serve

from _peers.job import Job
from _peers.prediction import PREDICTORS
from _peers.training import TRAINERS

MODULES = {
    "fastmlp": ["fastmlp"],
    "numpy": ["fastmlp"],
    "sklearn": ["sklearn.neural_network"],
    "torch": ["torch"],
    "torch.compile": ["torch", "torch._dynamo", "torch._inductor"],
    "jax": ["jax", "optax"],
    "jax-scan": ["jax", "optax"],
    "onnxruntime": ["onnxruntime", "onnx"],
}
PACKAGES = {"sklearn": "scikit-learn", "torch.compile": "torch", "jax-scan": "jax"}
#: Least length of what is timed at once when calls are short.
CHUNK_SECONDS = 2e-4

Round = Callable[[float], dict[str, Any]]


def load(rival: str) -> dict[str, str]:
    """Import what the rival needs; returns versions."""
    for module in MODULES[rival]:
        importlib.import_module(module)
    versions = {"numpy": np.__version__}
    for package in {PACKAGES.get(rival, rival), *({"jaxlib", "optax"} if "jax" in MODULES[rival] else ())}:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = getattr(sys.modules.get(package), "__version__", "unknown")
    return versions


def training(rival: str, job: Job) -> tuple[dict[str, Any], Round]:
    trainer = TRAINERS[rival](job)
    loss = trainer.first_epoch()
    trainer.tune()
    trainer.epochs(1)
    start = time.perf_counter()
    trainer.epochs(1)
    epoch_seconds = time.perf_counter() - start

    def one_round(seconds: float) -> dict[str, Any]:
        nonlocal epoch_seconds
        n = max(1, round(seconds / epoch_seconds))
        gc.collect()
        gc.disable()
        start = time.perf_counter()
        trainer.epochs(n)
        taken = time.perf_counter() - start
        gc.enable()
        epoch_seconds = min(epoch_seconds, taken / n)
        return {"seconds": taken / (n * job.steps), "steps": n * job.steps}

    return {"loss": loss, "way": trainer.way}, one_round


def prediction(rival: str, job: Job) -> tuple[dict[str, Any], Round]:
    X = np.random.default_rng([job.seed, 3]).standard_normal((job.batch, job.sizes[0])).astype(job.dtype)
    call, way = PREDICTORS[rival](job, X)
    error = float(np.abs(call(X).reshape(job.batch, -1) - oracle(job, X)).max())

    def one_round(seconds: float) -> dict[str, Any]:
        gc.collect()
        gc.disable()
        for _ in range(max(1, 200 // job.batch)):
            call(X)
        start = time.perf_counter()
        call(X)
        calls = max(1, round(CHUNK_SECONDS / (time.perf_counter() - start)))
        times: list[tuple[float, float]] = []
        deadline = start + seconds
        while len(times) < 3 or times[-1][1] < deadline:
            start = time.perf_counter()
            for _ in range(calls):
                call(X)
            times.append((start, time.perf_counter()))
        gc.enable()
        spans = np.array([(end - start) / calls for start, end in times])
        return {"seconds": float(np.median(spans)), "min": float(spans.min()), "calls": calls * len(times)}

    return {"error": error, "way": way}, one_round


def oracle(job: Job, X: Any) -> Any:
    """Outputs in float64, as the lectures have them."""
    activations: dict[str, Callable[[Any], Any]] = {
        "relu": lambda z: np.maximum(z, 0),
        "tanh": np.tanh,
        "logistic": lambda z: 1 / (1 + np.exp(-z)),
    }
    a, parameters = X.astype(np.float64), job.parameters()
    for weight, bias in parameters[:-1]:
        a = activations[job.activation](a @ weight + bias)
    z = a @ parameters[-1][0] + parameters[-1][1]
    if not job.classifies:
        return z
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


class Rival:
    """The questions to the process: `load`, then `setup`, then `round` as often as one likes."""

    def __init__(self, purpose: str, name: str) -> None:
        self.name, self.prepare = name, {"train": training, "predict": prediction}[purpose]
        self.one_round: Round | None = None

    def load(self) -> dict[str, str]:
        return load(self.name)

    def setup(self, job: dict[str, Any]) -> dict[str, Any]:
        self.one_round = None
        facts, self.one_round = self.prepare(self.name, Job.from_dict(job))
        return facts

    def round(self, seconds: float) -> dict[str, Any]:
        if self.one_round is None:
            raise RuntimeError("a round before the setup")
        return self.one_round(seconds)


if __name__ == "__main__":
    rival = Rival(*sys.argv[1:])
    serve({"load": rival.load, "setup": rival.setup, "round": rival.round})
