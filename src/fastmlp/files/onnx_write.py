"""A network as an ONNX model: a Gemm and an activation for each layer, with what it normalises between them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.spec import NORM_EPSILON, NOT_NORMALIZED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastmlp.spec import Array, NetworkSpec, Normalizing

__all__ = ["OPERATORS", "load_onnx", "onnx_of"]

#: The operator set, of 2022: the first with Mish.
OPSET = 18
#: The layout of the file that goes with it: older readers take it, too.
IR_VERSION = 8


def load_onnx(call: str) -> Any:
    """Import the package onnx, or an ImportError that says what to install."""
    try:
        import onnx
    except ImportError as error:
        message = f"{call} needs onnx, which is not installed: pip install 'fastmlp[onnx]'"
        raise ImportError(message) from error
    return onnx


class _Graph:
    """Nodes and constants of a graph that grows; every tensor is known by its name."""

    def __init__(self, onnx: Any, dtype: str) -> None:
        self.onnx = onnx
        self.dtype = np.dtype(dtype)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: Array | Sequence[int] | float, name: str | None = None, dtype: str | None = None) -> str:
        """Store numbers, in the network's dtype if none is given."""
        name = name or f"constant_{len(self.constants)}"
        kind = self.dtype if dtype is None else np.dtype(dtype)
        array = np.ascontiguousarray(values, kind) if np.ndim(values) else np.array(values, kind)
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def in_doubles(self, flowing: str, *steps: tuple[str, str, Array]) -> str:
        """Compute operators with numbers of float64 each, and round to the network's dtype once behind them."""
        types, double = self.onnx.TensorProto, self.dtype == np.float64
        flowing = flowing if double else self.node("Cast", flowing, to=types.DOUBLE)
        for operator, name, values in steps:
            flowing = self.node(operator, flowing, self.constant(values, name, "float64"))
        return flowing if double else self.node("Cast", flowing, to=types.FLOAT)

    def node(self, operator: str, *inputs: str, out: str | None = None, **attributes: float) -> str:
        """Add an operator; the name of what it makes."""
        out = out or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operator, list(inputs), [out], name=out, **attributes))
        return out


def _plain(operator: str, **attributes: float) -> Callable[..., str]:
    return lambda graph, z: graph.node(operator, z, **attributes)


def _clip(least: float, most: float) -> Callable[..., str]:
    return lambda graph, z: graph.node("Clip", z, graph.constant(least), graph.constant(most))


def _softplus(graph: _Graph, z: str, beta: float) -> str:
    if beta == 1.0:
        return graph.node("Softplus", z)
    scale = graph.constant(beta)
    return graph.node("Div", graph.node("Softplus", graph.node("Mul", z, scale)), scale)


def _gelu(graph: _Graph, z: str) -> str:
    """Gelu is an operator of its own since opset 20 only: z (1 + erf(z / sqrt(2))) / 2."""
    erf = graph.node("Erf", graph.node("Mul", z, graph.constant(math.sqrt(0.5))))
    return graph.node("Mul", graph.node("Mul", z, graph.constant(0.5)), graph.node("Add", erf, graph.constant(1.0)))


def _gelu_tanh(graph: _Graph, z: str) -> str:
    """Hendrycks and Gimpel's approximation: z logistic(2 sqrt(2 / pi) (z + 0.044715 z^3))."""
    cube = graph.node("Mul", graph.node("Mul", z, z), z)
    inner = graph.node("Add", z, graph.node("Mul", cube, graph.constant(0.044715)))
    twice = graph.node("Mul", inner, graph.constant(2 * math.sqrt(2 / math.pi)))
    return graph.node("Mul", z, graph.node("Sigmoid", twice))


def _silu(graph: _Graph, z: str) -> str:
    return graph.node("Mul", z, graph.node("Sigmoid", z))


def _maxout(graph: _Graph, z: str, pieces: float) -> str:
    shape = graph.constant(np.array([0, int(pieces), -1]), dtype="int64")  # 0 is as many rows as there are
    return graph.node("ReduceMax", graph.node("Reshape", z, shape), graph.constant([1], dtype="int64"), keepdims=0)


#: Every activation that ONNX can say: how, from the name of its signal and its parameters, or of what it has learned.
OPERATORS: dict[str, Callable[..., str]] = {
    "identity": lambda graph, z: z,  # noqa: ARG005
    "sign": _plain("Sign"),
    "logistic": _plain("Sigmoid"),
    "tanh": _plain("Tanh"),
    "relu": _plain("Relu"),
    "leaky_relu": lambda graph, z, slope: graph.node("LeakyRelu", z, alpha=slope),
    "elu": lambda graph, z, alpha: graph.node("Elu", z, alpha=alpha),
    "softplus": _softplus,
    "exp": _plain("Exp"),
    "selu": _plain("Selu"),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": _silu,
    "mish": _plain("Mish"),
    "softsign": _plain("Softsign"),
    "relu6": _clip(0.0, 6.0),
    "hardtanh": _clip(-1.0, 1.0),
    "hard_sigmoid": _plain("HardSigmoid", alpha=1 / 6, beta=0.5),
    "hard_swish": _plain("HardSwish"),
    "softmax": _plain("Softmax", axis=1),
    "maxout": _maxout,
    "prelu": lambda graph, z, slope: graph.node("PRelu", z, slope),
}


def _folded(W: Array, b: Array, gamma: Array, mean: Array, variance: Array) -> tuple[Array, Array]:
    """Weights and biases that do what a layer does by the statistics of its batch norm."""
    factor = gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + NORM_EPSILON)
    return (W * factor).astype(W.dtype), (b - mean * factor).astype(b.dtype)


def onnx_of(
    spec: NetworkSpec,
    weights: Sequence[Array],
    biases: Sequence[Array],
    gammas: Sequence[Array] = (),
    slopes: Sequence[Array] = (),
    normalizing: Normalizing = NOT_NORMALIZED,
    statistics: Sequence[tuple[Array, Array]] = (),
) -> bytes:
    """A model of one input, ``x`` (n, n_inputs), and one output, ``y`` (n, n_outputs), as ONNX's bytes.

    Raises
    ------
    ImportError
        If onnx is missing.
    ValueError
        If ONNX has no operators for an activation, or the model is larger than a file of it may be, 2 GB.
    """
    onnx = load_onnx("to_onnx")
    graph, flowing, learned = _Graph(onnx, spec.dtype), "x", iter(slopes)
    inputs_by, outputs_by = normalizing.input_scaling, normalizing.target_scaling
    if inputs_by is not None:
        flowing = graph.in_doubles(
            flowing, ("Sub", "inputs.shift", inputs_by.shift), ("Mul", "inputs.scale", inputs_by.scale)
        )
    for number, (layer, W, b) in enumerate(zip(spec.layers, weights, biases, strict=True)):
        if spec.norms[number] == "batch":
            W, b = _folded(W, b, gammas[number], *statistics[number])
        kind = layer.activation
        if kind.name not in OPERATORS:
            raise ValueError(f"ONNX has no operators for the activation of layer {number}, {kind!r}")
        parts = graph.constant(W, f"layers.{number}.weight"), graph.constant(b, f"layers.{number}.bias")
        if spec.norms[number] == "layer":
            gamma = graph.constant(gammas[number], f"layers.{number}.gamma")
            product = graph.node("MatMul", flowing, parts[0])
            signal = graph.node("LayerNormalization", product, gamma, parts[1], axis=-1, epsilon=NORM_EPSILON)
        else:
            signal = graph.node("Gemm", flowing, *parts)
        params: Sequence[float | str] = kind.params
        if kind.vectors(layer.n_out):
            params = [graph.constant(next(learned), f"layers.{number}.slope")]
        inputs, flowing = flowing, OPERATORS[kind.name](graph, signal, *params)
        if spec.residuals[number]:
            flowing = graph.node("Add", flowing, inputs)
    if outputs_by is not None:
        flowing = graph.in_doubles(
            flowing, ("Div", "targets.scale", outputs_by.scale), ("Add", "targets.shift", outputs_by.shift)
        )
    graph.node("Identity", flowing, out="y")
    if sum(W.nbytes for W in weights) + sum(b.nbytes for b in biases) >= 2**31 - 2**16:
        raise ValueError("the network has 2 GB of weights or more, and an ONNX file ends there")
    element = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
    ends = [
        onnx.helper.make_tensor_value_info(name, element, ["n", width])
        for name, width in (("x", spec.sizes[0]), ("y", spec.sizes[-1]))
    ]
    made = onnx.helper.make_graph(graph.nodes, "mlp", [ends[0]], [ends[1]], graph.constants)
    model = onnx.helper.make_model(
        made, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="fastmlp"
    )
    onnx.checker.check_model(model)
    text: bytes = model.SerializeToString()
    return text
