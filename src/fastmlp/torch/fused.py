"""A run of PyTorch's modules, Linear and activation again and again, as one operation of the engine.

The tensors are PyTorch's; the engine reads their memory (weights are copied into its panels at every call, so that no
way to change them is missed: not every one shows in a tensor's version) and fills memory that PyTorch has allocated.
"""

from __future__ import annotations

import json
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fastmlp.runtime import choose_backend
from fastmlp.spec import NORM_EPSILON, Activation, NetworkSpec
from fastmlp.spec.operations import Operation
from fastmlp.torch.activations import activation_of
from fastmlp.torch.arrays import ArrayPasses

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Fused", "UnfitError", "describe", "fused_for"]

_DTYPES = {torch.float32: "float32", torch.float64: "float64"}


def describe(modules: Sequence[nn.Module]) -> str | None:
    """Say what a run of modules computes, in text that `fused_for` understands; None where the engine has no such run.

    It begins with a Linear; behind each there is at most one LayerNorm, in all layers but the last or in none, one
    activation and one Dropout, which is not behind the last. A Linear has biases where no LayerNorm has.
    """
    layers: list[dict[str, Any]] = []
    room: tuple[str, ...] = ()  # for what may come next in the layer
    width = 0
    for module in modules:
        if type(module) is nn.Linear:
            if "norm" in room:  # of a Linear without biases
                return None
            layers.append({"activation": "identity", "dropout": 0.0, "norm": None})
            room, width = ("activation", "dropout") if module.bias is not None else ("norm",), module.out_features
        elif type(module) is nn.LayerNorm and "norm" in room and _fits(module, width):
            layers[-1]["norm"], room = "layer", ("activation", "dropout")
        elif type(module) is nn.Dropout and "dropout" in room and module.p < 1:
            layers[-1]["dropout"], room = float(module.p), ()
        else:
            found = activation_of(module)
            if found is None or "activation" not in room:
                return None
            if type(module) is nn.PReLU and module.num_parameters not in {1, width}:
                return None
            if isinstance(found, Operation):
                layers[-1]["activation"] = found.to_dict()
            else:
                layers[-1]["activation"] = found
            room = ("dropout",)
    if not layers or "norm" in room or layers[-1]["dropout"]:
        return None
    if any(layer["activation"] == "softmax" for layer in layers[:-1]):
        return None
    if layers[-1]["norm"] or len({layer["norm"] for layer in layers[:-1]}) > 1:
        return None
    return json.dumps(layers)


def _fits(norm: nn.LayerNorm, width: int) -> bool:
    """Whether it is of rows so wide, as the engine computes it."""
    return norm.normalized_shape == (width,) and norm.bias is not None and norm.eps == NORM_EPSILON


@lru_cache(maxsize=64)
def fused_for(layers: str, sizes: tuple[int, ...], dtype: torch.dtype) -> Fused:
    """Return the operation of these layers that all graphs share."""
    return Fused(layers, sizes, dtype)


class UnfitError(ValueError):
    """Tensors are not such as an operation can take as they are; nothing has been done."""


class Fused:
    """An engine that computes with the parameters of a run of modules: one thread at a time."""

    def __init__(self, layers: str, sizes: tuple[int, ...], dtype: torch.dtype) -> None:
        if dtype not in _DTYPES:
            raise TypeError(f"parameters must be float32 or float64, got {dtype}")
        described = json.loads(layers)
        activations = [_activation(layer["activation"]) for layer in described]
        self.sizes, self.dtype = sizes, dtype
        self.dropout = [layer["dropout"] for layer in described[:-1]]
        spec = NetworkSpec.make(
            sizes,
            activations[:-1],
            activations[-1],
            "squared_error",
            _DTYPES[dtype],
            dropout=self.dropout,
            norm=described[0]["norm"],
        )
        engine = choose_backend(None).engine(spec)
        table = getattr(Tensor, "__dlpack_c_exchange_api__", None)  # of PyTorch 2.10 and newer
        self.passes = (table and engine.over_tensors(table)) or ArrayPasses(engine, spec)
        self.lock = threading.RLock()
        self.written: object = None  # stands for the parameters that the engine has

    def write(self, parameters: list[Tensor]) -> object:
        """Give the engine the parameters as they are; return what stands for them from now on."""
        if not self.passes.write(parameters, torch.get_num_threads()):
            raise UnfitError("parameters are of other shapes, or do not lie row by row")
        self.written = object()
        return self.written

    def predict(self, x: Tensor, parameters: list[Tensor]) -> Tensor:
        """Compute the outputs of rows, and keep nothing."""
        out = torch.empty((len(x), self.sizes[-1]), dtype=self.dtype)
        with self.lock:
            self.write(parameters)
            if not self.passes.predict(x, out, torch.get_num_threads()):
                raise UnfitError("inputs are of another shape or dtype")
        return out

    def forward(self, x: Tensor, parameters: list[Tensor], seed: int | None) -> tuple[Tensor, Any, object]:
        """Compute the outputs of rows, with dropout if there is a seed; and a tape, and what its parameters are."""
        out = torch.empty((len(x), self.sizes[-1]), dtype=self.dtype)
        with self.lock:
            written = self.write(parameters)
            tape = self.passes.forward(x, out, torch.get_num_threads(), seed)
        if tape is None:
            raise UnfitError("inputs are of another shape or dtype")
        return out, tape, written

    def backward(
        self,
        tape: Any,
        by_outputs: Tensor,
        parameters: list[Tensor],
        written: object,
        gradients: list[Tensor | None] | None,
        by_inputs: Tensor | None,
    ) -> None:
        """Fill the derivatives by the parameters and by the inputs, as far as they are wanted, row by row."""
        by_outputs = by_outputs.resolve_neg()  # what a complex loss gives may be memory of the other sign
        with self.lock:
            if written is not self.written:
                self.write([parameter.contiguous() for parameter in parameters])
            if not self.passes.backward(tape, by_outputs, gradients, by_inputs, torch.get_num_threads()):
                plain = by_outputs.contiguous()
                if not self.passes.backward(tape, plain, gradients, by_inputs, torch.get_num_threads()):
                    raise ValueError(
                        f"gradients by outputs must be {self.dtype} ({tape.rows}, {self.sizes[-1]}), got "
                        f"{plain.dtype} {tuple(plain.shape)}"
                    )


def _activation(described: Any) -> Any:
    """Return the activation that `describe` has written."""
    return described if isinstance(described, str) else Activation.from_dict(described)
