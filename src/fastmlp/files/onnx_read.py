"""A multi-layer perceptron out of an ONNX model, as PyTorch, scikit-learn (skl2onnx) and Keras (tf2onnx) write them.

The graph is walked from its input along what is computed of it: products with constants, biases, scalings of columns
and activations, until the outputs, or the operators that make labels of them. Everything else is an error that names
the node.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastmlp.files.onnx_functions import ELEMENTWISE, PROBES, activation_with
from fastmlp.files.onnx_write import load_onnx
from fastmlp.spec import NORM_EPSILON, PReLU, as_activation

if TYPE_CHECKING:
    from fastmlp.files.tensors import FilePath
    from fastmlp.spec import Array
    from fastmlp.spec.activations.base import Activation

__all__ = ["Perceptron", "perceptron_of"]

#: What makes labels of signals: whatever is computed of those is none of the network's business.
_LABELS = frozenset(["ArgMax", "Binarizer", "Greater"])
_PRODUCTS = frozenset(["Gemm", "MatMul"])
#: What changes the shape of a row alone, or its type.
_TRANSPARENT = frozenset(["Flatten", "Reshape", "Squeeze", "Unsqueeze", "Cast", "Identity", "Dropout"])
_LINEAR = frozenset(["Add", "Sub", "Mul", "Div"])
#: What may stand behind the signals and leaves them as they are; ZipMap makes dictionaries of them.
_SAME = _TRANSPARENT | {"ZipMap"}


@dataclass
class _Layer:
    W: Array
    b: Array
    activation: Activation | None = None
    slope: Array | None = None  # that the activation has learned
    gamma: Array | None = None  # of layer normalisation, b being its beta

    def scale(self, scale: Array, shift: Array) -> None:
        """Make scale * z + shift of the signals z, by column."""
        if self.gamma is None:
            self.W = self.W * scale
        else:
            self.gamma = self.gamma * scale
        self.b = self.b * scale + shift


@dataclass
class Perceptron:
    """What a model says of a multi-layer perceptron."""

    dtype: Literal["float32", "float64"]
    layers: list[_Layer] = field(default_factory=list)

    @property
    def sizes(self) -> list[int]:
        """Inputs, widths of the layers."""
        return [self.layers[0].W.shape[0], *(layer.W.shape[1] for layer in self.layers)]

    @property
    def slopes(self) -> list[Array]:
        """What activations have learned, of the layers where one does."""
        return [layer.slope for layer in self.layers if layer.slope is not None]

    @property
    def gammas(self) -> list[Array]:
        """Gammas of the layers that normalise their products."""
        return [layer.gamma for layer in self.layers if layer.gamma is not None]

    @property
    def activations(self) -> list[Activation]:
        """One for each layer, the output's last."""
        return [layer.activation or as_activation("identity") for layer in self.layers]


class _Graph:
    """Nodes by what they take, and constants by name."""

    def __init__(self, onnx: Any, graph: Any, name: str) -> None:
        self.name = name
        self.onnx = onnx
        self.constants: dict[str, Array] = {}
        for tensor in graph.initializer:
            self.constants[tensor.name] = onnx.numpy_helper.to_array(tensor)
        self.nodes: list[Any] = []
        for number, node in enumerate(graph.node):
            if not self._folded(node):
                node.name = node.name or f"number {number}"
                self.nodes.append(node)
        self.users: dict[str, list[Any]] = {}
        for node in self.nodes:
            for tensor in dict.fromkeys(node.input):
                self.users.setdefault(tensor, []).append(node)
        self.outputs = {value.name for value in graph.output}
        inputs = [value for value in graph.input if value.name not in self.constants]
        if len(inputs) != 1:
            raise ValueError(f"{name}: has {len(inputs)} inputs; a multi-layer perceptron has one")
        self.input = inputs[0]

    def _folded(self, node: Any) -> bool:
        """Whether a node is of constants alone; then what it makes is one."""
        known: Any = [self.constants.get(tensor) for tensor in node.input]
        attributes = self.attributes(node)
        if node.op_type == "Constant":
            (made,) = (value for key, value in attributes.items() if key.startswith("value"))
        elif not known or any(value is None for value in known):
            return False
        elif node.op_type == "Transpose":
            made = np.transpose(known[0], attributes.get("perm"))
        elif node.op_type == "Reshape":
            made = np.reshape(known[0], known[1])
        elif node.op_type in ("Squeeze", "Unsqueeze", "Flatten"):
            made = np.squeeze(known[0])
        elif node.op_type in ELEMENTWISE:
            made = ELEMENTWISE[node.op_type](*known, **{k: v for k, v in attributes.items() if k != "to"})
        else:
            raise self.error(node)
        self.constants[node.output[0]] = np.asarray(made)
        return True

    def attributes(self, node: Any) -> dict[str, Any]:
        """A node's attributes, tensors as arrays."""
        found = {item.name: self.onnx.helper.get_attribute_value(item) for item in node.attribute}
        return {
            name: self.onnx.numpy_helper.to_array(value) if isinstance(value, self.onnx.TensorProto) else value
            for name, value in found.items()
        }

    def keeps(self, node: Any) -> bool:
        """Whether an operator leaves numbers as they are: a cast to integers does not."""
        types = self.onnx.TensorProto
        floats = (types.FLOAT, types.DOUBLE, types.FLOAT16, types.BFLOAT16)
        return node.op_type in _SAME and (node.op_type != "Cast" or self.attributes(node).get("to") in floats)

    def error(self, node: Any, why: str = "is not of a multi-layer perceptron that fastmlp has") -> ValueError:
        """Name a node that cannot be read."""
        return ValueError(f"{self.name}: node {node.name!r} ({node.op_type}) {why}")

    def constant(self, node: Any, number: int) -> Array:
        """The constant that a node takes in this place."""
        if number >= len(node.input) or node.input[number] not in self.constants:
            raise self.error(node, f"takes as input {number} what is no constant")
        return np.asarray(self.constants[node.input[number]], np.float64)


class _Walk:
    """One way through a graph, from the input to the outputs."""

    def __init__(self, graph: _Graph, found: Perceptron) -> None:
        self.graph = graph
        self.found = found
        self.at: str = graph.input.name
        self.before: tuple[Array, Array] | None = None  # scale and shift of columns for the next product
        self.norm = ""  # the first node that normalises rows

    def run(self) -> None:
        """Follow the signals until there is nothing that is computed of them."""
        while users := self.graph.users.get(self.at):
            if self._ended(users):
                break
            self.step(users)
        if self.before is not None:
            raise ValueError(f"{self.graph.name}: no product takes the columns that are scaled into {self.at!r}")
        if not self.found.layers:
            raise ValueError(f"{self.graph.name}: holds no product with a matrix of constants")
        if not users and self.at not in self.graph.outputs:
            raise ValueError(f"{self.graph.name}: nothing takes {self.at!r}, and it is no output")
        normed = [layer.gamma is not None for layer in self.found.layers]
        if any(normed) and (normed[-1] or not all(normed[:-1])):
            raise ValueError(
                f"{self.graph.name}: fastmlp normalises all layers but the last; node {self.norm!r} "
                f"(LayerNormalization) is in layer {1 + normed.index(True)}, and {sum(normed)} of {len(normed)} are so"
            )

    def _ended(self, users: list[Any]) -> bool:
        """Whether there follow labels alone, and the signals as they are."""
        ahead, seen, complements = list(users), set[str](), self._complements(users)
        while ahead:
            node = ahead.pop()
            if node.op_type in _LABELS or node.output[0] in seen:
                continue
            both = node.op_type == "Concat" and node.input[0] in complements and list(node.input[1:]) == [self.at]
            if not self.graph.keeps(node) and node.output[0] not in complements and not both:
                return False
            seen.add(node.output[0])
            ahead += [user for tensor in node.output for user in self.graph.users.get(tensor, [])]
        return bool(self.found.layers)

    def _complements(self, users: list[Any]) -> set[str]:
        """What is 1 - p of a probability p, and goes nowhere but beside it, as skl2onnx writes two classes."""
        found = set()
        for node in users:
            one, behind = self.graph.constants.get(node.input[0]), self.graph.users.get(node.output[0], [])
            if node.op_type == "Sub" and one is not None and np.all(one == 1) and behind:
                found |= {node.output[0]} if all(user.op_type == "Concat" for user in behind) else set()
        return found

    def step(self, users: list[Any]) -> None:
        """Take one node, or the chain of them that is one activation."""
        node, alone = users[0], len(users) == 1
        kind = node.op_type
        if kind in _PRODUCTS and alone:
            self.product(node)
        elif kind == "Scaler" and alone:
            self.scaler(node)
        elif kind == "BatchNormalization" and alone:
            self.batch_norm(node)
        elif kind == "LayerNormalization" and alone:
            self.layer_norm(node)
        elif kind == "Softmax":
            self.softmax(node)
        elif kind == "PRelu" and alone and node.input[0] == self.at:
            self.prelu(node)
        elif kind in _TRANSPARENT and alone and self.graph.keeps(node):
            self.at = node.output[0]
        elif not (self.activation() or (kind in _LINEAR and alone and self.linear(node))):
            raise self.graph.error(node)

    # --- products and what belongs to them --------------------------------------------------------------------------

    def product(self, node: Any) -> None:
        """Take a product x W, and the bias b that a Gemm may have."""
        attributes = self.graph.attributes(node)
        if node.input[0] != self.at or attributes.get("transA"):
            raise self.graph.error(node, "takes its rows in a place where fastmlp has weights")
        W = self.graph.constant(node, 1) * attributes.get("alpha", 1.0)
        W = W.T if attributes.get("transB") else W
        if W.ndim != 2:
            raise self.graph.error(node, f"has weights of {W.ndim} dimensions; they must have two")
        layers = self.found.layers
        if layers and W.shape[0] != layers[-1].W.shape[1]:
            raise self.graph.error(node, f"takes {W.shape[0]} columns, and there are {layers[-1].W.shape[1]}")
        b = np.zeros(W.shape[1])
        if node.op_type == "Gemm" and len(node.input) > 2 and node.input[2]:
            b = self._vector(node, self.graph.constant(node, 2) * attributes.get("beta", 1.0), W.shape[1])
        if self.before is not None:
            scale, shift = (np.broadcast_to(part, W.shape[0]) for part in self.before)
            W, b, self.before = scale.reshape(-1, 1) * W, b + shift @ W, None
        elif layers and layers[-1].activation is None:  # two products with nothing between them
            layers[-1].activation = as_activation("identity")
        layers.append(_Layer(W, b))
        self.at = node.output[0]

    def _vector(self, node: Any, values: Array, width: int) -> Array:
        """A constant as one number for each column."""
        values = np.squeeze(values)
        if values.ndim > 1 or values.size not in (1, width):
            raise self.graph.error(node, f"has a constant of {values.size} numbers for {width} columns")
        return np.broadcast_to(values, width).astype(np.float64)

    def linear(self, node: Any) -> bool:
        """Take a node that is scale * x + shift by column, where that belongs to a layer; whether it was one."""
        place = list(node.input).index(self.at)
        other = node.input[1 - place] if len(node.input) == 2 else ""
        if other not in self.graph.constants:
            return False
        value = np.asarray(self.graph.constants[other], np.float64)
        layers = self.found.layers
        if not layers or layers[-1].activation is not None:
            self.scale_columns(*_scale_and_shift(node.op_type, np.squeeze(value), place))
            self.at = node.output[0]
            return True
        layer = layers[-1]
        scale, shift = _scale_and_shift(node.op_type, self._vector(node, value, layer.b.size), place)
        if scale is None:
            return False
        layer.scale(scale, shift)
        self.at = node.output[0]
        return True

    def scale_columns(self, scale: Array | None, shift: Array) -> None:
        """Add a scaling of the columns that the next product takes, behind the one that there is."""
        if scale is None:
            raise ValueError(f"{self.graph.name}: a constant is divided by columns")
        before = self.before or (np.ones(()), np.zeros(()))
        self.before = before[0] * scale, before[1] * scale + shift

    def scaler(self, node: Any) -> None:
        """(x - offset) * scale, as skl2onnx writes StandardScaler."""
        attributes = self.graph.attributes(node)
        scale, offset = (np.asarray(attributes[name], np.float64) for name in ("scale", "offset"))
        self.scale_columns(scale, -offset * scale)
        self.at = node.output[0]

    def batch_norm(self, node: Any) -> None:
        """Fold (x - mean) / sqrt(variance + epsilon) * gamma + beta into the product before or behind it."""
        gamma, beta, mean, variance = (self.graph.constant(node, number) for number in range(1, 5))
        scale = gamma / np.sqrt(variance + self.graph.attributes(node).get("epsilon", 1e-5))
        shift, layers = beta - mean * scale, self.found.layers
        if layers and layers[-1].activation is None:
            layers[-1].scale(scale, shift)
        else:
            self.scale_columns(scale, shift)
        self.at = node.output[0]

    def layer_norm(self, node: Any) -> None:
        """(z - mean) / sqrt(variance + epsilon) * gamma + beta along a row of products z, which have no biases."""
        attributes, layers = self.graph.attributes(node), self.found.layers
        layer = layers[-1] if layers and layers[-1].activation is None else None
        if layer is None or layer.gamma is not None or np.any(layer.b):
            raise self.graph.error(node, "normalises what is no product alone: fastmlp does so before a layer's biases")
        if attributes.get("axis", -1) not in (1, -1) or not np.isclose(attributes.get("epsilon", 1e-5), NORM_EPSILON):
            raise self.graph.error(node, f"is not along the columns, or its epsilon is not {NORM_EPSILON}")
        layer.gamma = self._vector(node, self.graph.constant(node, 1), layer.b.size)
        if len(node.input) > 2 and node.input[2]:
            layer.b = self._vector(node, self.graph.constant(node, 2), layer.b.size)
        self.norm = self.norm or node.name
        self.at = node.output[0]

    # --- activations ------------------------------------------------------------------------------------------------

    def softmax(self, node: Any) -> None:
        """A softmax over columns."""
        if self.graph.attributes(node).get("axis", 1) not in (1, -1):
            raise self.graph.error(node)
        self.activate(node, as_activation("softmax"))
        self.at = node.output[0]

    def prelu(self, node: Any) -> None:
        """Take a rectifier with the slopes that it has learned, one for each column or one for all."""
        slope = np.squeeze(self.graph.constant(node, 1))
        self.activate(node, PReLU(per_unit=slope.size > 1))
        layer = self.found.layers[-1]
        layer.slope = self._vector(node, slope, layer.b.size)[: slope.size]
        self.at = node.output[0]

    def activate(self, node: Any, activation: Activation) -> None:
        """Give the last layer its activation."""
        layers = self.found.layers
        if not layers or layers[-1].activation is not None:
            raise self.graph.error(node, "is an activation with no layer before it")
        layers[-1].activation = activation

    def activation(self) -> bool:
        """Take the chain of elementwise operators that begins here, as far as it is an activation; whether it is one.

        It ends where all that is computed of the signals goes through one tensor, and at the last such place: Softplus
        and a division may be one activation where Softplus alone is another.
        """
        layers = self.found.layers
        if not layers or layers[-1].activation is not None:
            return False
        values, waiting = {self.at: PROBES}, {self.at: len(self.graph.users[self.at])}
        last: tuple[str, Activation] | None = None
        for node in self.graph.nodes:
            known = [tensor for tensor in dict.fromkeys(node.input) if tensor in values]
            if known and (made := self._computed(node, values)) is not None:
                name = node.output[0]
                values[name] = made
                waiting[name] = len(self.graph.users.get(name, [])) + (name in self.graph.outputs)
                for tensor in known:
                    waiting[tensor] -= 1
                if [tensor for tensor, count in waiting.items() if count] == [name]:
                    found = activation_with(made)
                    last = last if found is None else (name, found)
        if last is None:
            return False
        self.at, layers[-1].activation = last
        return True

    def _computed(self, node: Any, values: dict[str, Array]) -> Array | None:
        """What an operator makes at the probes; None if it is not elementwise, or of something else as well."""
        taken: list[Array | None] = []
        for tensor in node.input:
            known = values.get(tensor, self.graph.constants.get(tensor))
            if tensor and (known is None or (tensor not in values and known.size != 1)):
                return None
            taken.append(known if known is None or tensor in values else known.astype(np.float64).reshape(()))
        if node.op_type not in ELEMENTWISE or (node.op_type in _SAME and not self.graph.keeps(node)):
            return None
        attributes = {name: value for name, value in self.graph.attributes(node).items() if name not in ("to", "seed")}
        with np.errstate(all="ignore"):
            return np.asarray(ELEMENTWISE[node.op_type](*taken, **attributes), np.float64)


def _scale_and_shift(operator: str, value: Array, place: int) -> tuple[Array | None, Array]:
    """What an operator of x, in this place, and a constant does to x; no scale where x is a divisor."""
    one, zero = np.ones(()), np.zeros(())
    if operator == "Add":
        return one, value
    if operator == "Sub":
        return (one, -value) if place == 0 else (-one, value)
    if operator == "Mul":
        return value, zero
    return (np.reciprocal(value), zero) if place == 0 else (None, zero)


def perceptron_of(path: FilePath) -> Perceptron:
    """Read a model file.

    Raises
    ------
    ImportError
        If onnx is missing.
    OSError
        If the file cannot be read.
    ValueError
        If it is no ONNX model, or one of something else than a multi-layer perceptron; the message names the node.
    """
    onnx, name = load_onnx("from_onnx"), os.fsdecode(path)
    content = Path(name).read_bytes()
    try:
        graph = _Graph(onnx, onnx.load_model_from_string(content).graph, name)
        element = graph.input.type.tensor_type.elem_type
        found = Perceptron("float64" if element == onnx.TensorProto.DOUBLE else "float32")
        _Walk(graph, found).run()
    except Exception as error:  # of protobuf, of onnx, and what a damaged attribute leads to
        if isinstance(error, ValueError) and str(error).startswith(f"{name}: "):
            raise
        raise ValueError(f"{name}: is no ONNX model that can be read: {error!r:.200}") from error
    return found
