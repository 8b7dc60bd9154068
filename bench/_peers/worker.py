"""A rival's process: `python -m _peers.worker train|predict <rival>`; one JSON object per line in, one per line out.

{"do": "import"}, then {"do": "setup", "job": {...}}, then {"do": "round", "seconds": s} as often as one likes. The end
of the input ends the process. What frameworks print goes to standard error.
"""

import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

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


def load(rival: str) -> dict[str, Any]:
    """Import what the rival needs; says so if it is not installed."""
    try:
        for module in MODULES[rival]:
            importlib.import_module(module)
    except ImportError as error:
        return {"missing": str(error)}
    versions = {"numpy": np.__version__}
    for package in {PACKAGES.get(rival, rival), *({"jaxlib", "optax"} if "jax" in MODULES[rival] else ())}:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = getattr(sys.modules.get(package), "__version__", "unknown")
    return {"versions": versions}


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


def main() -> None:
    purpose, rival = sys.argv[1:]
    # Answers have a channel of their own: libraries write to standard output as they please, also from C.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    prepare = {"train": training, "predict": prediction}[purpose]
    one_round: Round | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "import":
                answer = load(rival)
            elif request["do"] == "setup":
                one_round = None
                answer, one_round = prepare(rival, Job.from_dict(request["job"]))
            elif one_round is None:
                answer = {"error_text": "a round before the setup"}
            else:
                answer = one_round(request["seconds"])
        except Exception as error:  # noqa: BLE001 - whatever a framework may raise is the answer
            answer = {"error_text": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
