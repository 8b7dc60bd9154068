"""Prediction, as experts of each framework would write it for speed on a CPU: a NumPy array in, a NumPy array out."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from _peers.job import Job
from _peers.tuning import blas_threads, fastest, set_blas_threads

__all__ = ["PREDICTORS", "Predictor"]

Array = NDArray[Any]
Call = Callable[[Array], Array]
Parameters = list[tuple[Array, Array]]
#: One call of a predictor, and which of the framework's ways it is.
Predictor = Callable[[Job, Array], tuple[Call, str]]


def _choose(ways: dict[str, Call], X: Array, seconds: float) -> tuple[Call, str]:
    # Repeated, so that a try lasts long against the clock and a slow try ends soon.
    repeats = max(1, 2000 // len(X))

    def trial(call: Call) -> Callable[[], None]:
        def run() -> None:
            for _ in range(repeats):
                call(X)

        return run

    way = fastest({name: trial(call) for name, call in ways.items()}, seconds)
    return ways[way], way


def _with_blas_threads(call: Call, job: Job, X: Array, name: str = "") -> tuple[Call, str]:
    named, limit = blas_threads(job.threads), 0

    def limited(n: int) -> Call:
        def run(X: Array) -> Array:
            nonlocal limit
            if limit != n:
                set_blas_threads(n)
                limit = n
            return call(X)

        return run

    _, way = _choose({name: limited(n) for name, n in named.items()}, X, job.tune_seconds)
    set_blas_threads(named[way])
    return call, ", ".join(filter(None, [name, way]))


def by_fastmlp(job: Job, _: Array) -> tuple[Call, str]:
    import fastmlp

    net = fastmlp.MLP(list(job.sizes), activation=job.activation, loss=job.loss, dtype=job.dtype, seed=0)
    net.weights, net.biases = zip(*job.parameters(), strict=True)
    if not job.threads:
        return net.predict, ""
    return (lambda X: net.predict(X, threads=job.threads)), ""


def by_numpy(job: Job, X: Array) -> tuple[Call, str]:
    """Predict with NumPy in buffers that are made once, as one would write it for speed."""
    parameters, classifies = job.parameters(), job.classifies
    buffers = [np.empty((len(X), size), job.dtype) for size in job.sizes[1:-1]]

    def activate(z: Array) -> None:
        if job.activation == "relu":
            np.maximum(z, 0, out=z)
        elif job.activation == "tanh":
            np.tanh(z, out=z)
        else:  # logistic
            np.negative(z, out=z)
            np.exp(z, out=z)
            z += 1
            np.reciprocal(z, out=z)

    def call(X: Array) -> Array:
        for (weight, bias), buffer in zip(parameters, buffers, strict=False):
            X = np.matmul(X, weight, out=buffer)
            X += bias
            activate(X)
        Z: Array = X @ parameters[-1][0]
        Z += parameters[-1][1]
        if classifies:
            Z -= Z.max(axis=1, keepdims=True)
            np.exp(Z, out=Z)
            Z /= Z.sum(axis=1, keepdims=True)
        return Z

    return _with_blas_threads(call, job, X)


def by_sklearn(job: Job, X: Array) -> tuple[Call, str]:
    from sklearn import set_config
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    set_config(assume_finite=True)  # leaves out the search for NaN
    rows = max(2 * job.sizes[-1], 2)
    small = X[np.arange(rows) % len(X)]
    kwargs = {"activation": job.activation, "max_iter": 1, "batch_size": rows}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if job.classifies:
            model = MLPClassifier(hidden_layer_sizes=job.sizes[1:-1], **kwargs).fit(
                small, np.arange(rows) % job.sizes[-1]
            )
        else:
            targets = np.zeros((rows, job.sizes[-1]), job.dtype)
            model = MLPRegressor(hidden_layer_sizes=job.sizes[1:-1], **kwargs)
            model.fit(small, targets if job.sizes[-1] > 1 else targets[:, 0])
    for number, (weight, bias) in enumerate(job.parameters()):
        model.coefs_[number], model.intercepts_[number] = weight, bias
    name = "predict_proba" if job.classifies else "predict"
    return _with_blas_threads(getattr(model, name), job, X, name)


def by_torch(job: Job, X: Array) -> tuple[Call, str]:
    """Frozen TorchScript with and without the passes of optimize_for_inference, with all threads and with one."""
    import torch
    from torch import nn

    warnings.simplefilter("ignore", DeprecationWarning)
    if job.threads:
        torch.set_num_threads(job.threads)
    activation = {"relu": nn.ReLU, "tanh": nn.Tanh, "logistic": nn.Sigmoid}[job.activation]
    layers: list[Any] = []
    for weight, bias in job.parameters():
        linear = nn.Linear(*weight.shape, dtype=getattr(torch, job.dtype))
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight.T))
            linear.bias.copy_(torch.from_numpy(bias))
        layers += [linear, activation()]
    layers[-1] = nn.Softmax(dim=1)
    net = nn.Sequential(*layers if job.classifies else layers[:-1]).eval()
    sample = torch.from_numpy(X)
    default, limit = torch.get_num_threads(), 0
    torch.inference_mode().__enter__()  # for good: entering it at every call costs a microsecond
    traced = torch.jit.trace(net, sample)
    modules = {"frozen": torch.jit.freeze(traced), "optimized": torch.jit.optimize_for_inference(traced), "eager": net}

    def plain(module: Any) -> Call:
        return lambda X: module(torch.from_numpy(X)).numpy()

    def limited(module: Any, n: int) -> Call:
        call = plain(module)

        def run(X: Array) -> Array:
            nonlocal limit
            if limit != n:
                torch.set_num_threads(n)
                limit = n
            return call(X)

        return run

    counts = dict.fromkeys([default] if job.threads else [default, 1])
    named = {f"{name}, {n} threads": (module, n) for n in counts for name, module in modules.items()}
    _, way = _choose({name: limited(*how) for name, how in named.items()}, X, job.tune_seconds)
    module, threads = named[way]
    torch.set_num_threads(threads)
    return plain(module), way


def by_jax(job: Job, _: Array) -> tuple[Call, str]:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", job.dtype == "float64")
    activation = {"relu": jax.nn.relu, "tanh": jnp.tanh, "logistic": jax.nn.sigmoid}[job.activation]
    parameters = jax.tree.map(jnp.asarray, job.parameters())

    def forward(X: Any) -> Any:  # jitted: the weights are constants of the program, as in a frozen graph
        for weight, bias in parameters[:-1]:
            X = activation(X @ weight + bias)
        Z = X @ parameters[-1][0] + parameters[-1][1]
        return jax.nn.softmax(Z) if job.classifies else Z

    jitted = jax.jit(forward)
    return (lambda X: np.asarray(jitted(X))), "weights as constants"


def by_onnxruntime(job: Job, X: Array) -> tuple[Call, str]:
    """Gemm nodes, which the runtime fuses with their activations; all threads, one, and all without spinning."""
    import onnxruntime

    model = _onnx_model(job)

    def session(threads: int, spin: bool = True) -> Call:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
        run = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run
        return lambda X: run(["y"], {"x": X})[0]

    if job.threads:
        return session(job.threads), f"{job.threads} threads"
    # The loser's threads end with it.
    ways = {"1 thread": session(1), "all threads": session(0), "all, no spinning": session(0, spin=False)}
    return _choose(ways, X, job.tune_seconds)


def _onnx_model(job: Job) -> bytes:
    from onnx import TensorProto, checker, helper, numpy_helper

    dtype = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}[job.dtype]
    operator = {"relu": "Relu", "tanh": "Tanh", "logistic": "Sigmoid"}[job.activation]
    nodes, constants, flowing = [], [], "x"
    parameters = job.parameters()
    for layer, (weight, bias) in enumerate(parameters):
        last = layer == len(parameters) - 1
        constants += [numpy_helper.from_array(weight, f"W{layer}"), numpy_helper.from_array(bias, f"b{layer}")]
        signal = "y" if last and not job.classifies else f"z{layer}"
        nodes.append(helper.make_node("Gemm", [flowing, f"W{layer}", f"b{layer}"], [signal]))
        if not last:
            nodes.append(helper.make_node(operator, [signal], [f"a{layer}"]))
        elif job.classifies:
            nodes.append(helper.make_node("Softmax", [signal], ["y"], axis=1))
        flowing = f"a{layer}"
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("x", dtype, ["n", job.sizes[0]])],
        [helper.make_tensor_value_info("y", dtype, ["n", job.sizes[-1]])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    return model.SerializeToString()  # type: ignore[no-any-return]


PREDICTORS: dict[str, Predictor] = {
    "fastmlp": by_fastmlp,
    "numpy": by_numpy,
    "sklearn": by_sklearn,
    "torch": by_torch,
    "jax": by_jax,
    "onnxruntime": by_onnxruntime,
}
