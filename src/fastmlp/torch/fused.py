"""A run of PyTorch's modules, Linear and activation again and again, as one operation of the engine.

The tensors are PyTorch's; the engine reads their memory (weights are copied into its panels at every call, so that no
way to change them is missed: not every one shows in a tensor's version) and fills memory that PyTorch has allocated.
"""

from __future__ import annotations

import json
import threading
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from fastmlp.runtime import choose_backend
from fastmlp.spec import NetworkSpec
from fastmlp.spec.operations import Operation
from fastmlp.torch.activations import activation_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastmlp.spec import Array

__all__ = ["Fused", "describe", "fused_for"]

_DTYPES = {torch.float32: "float32", torch.float64: "float64"}


def describe(modules: Sequence[nn.Module]) -> str | None:
    """Say what a run of modules computes, in text that `fused_for` understands; None where the engine has no such run.

    It begins with a Linear; behind each there is at most one activation and one Dropout, which is not behind the last.
    """
    layers: list[dict[str, Any]] = []
    room: tuple[str, ...] = ()  # for what may come next in the layer
    for module in modules:
        if type(module) is nn.Linear:
            if module.bias is None:
                return None
            layers.append({"activation": "identity", "dropout": 0.0})
            room = ("activation", "dropout")
        elif type(module) is nn.Dropout and "dropout" in room and module.p < 1:
            layers[-1]["dropout"], room = float(module.p), ()
        else:
            found = activation_of(module)
            if found is None or "activation" not in room:
                return None
            if isinstance(found, Operation):
                layers[-1]["activation"] = [found.name, *found.params]
            else:
                layers[-1]["activation"] = found
            room = ("dropout",)
    if not layers or layers[-1]["dropout"] or any(layer["activation"] == "softmax" for layer in layers[:-1]):
        return None
    return json.dumps(layers)


@lru_cache(maxsize=64)
def fused_for(layers: str, sizes: tuple[int, ...], dtype: torch.dtype) -> Fused:
    """Return the operation of these layers that all graphs share."""
    return Fused(layers, sizes, dtype)


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
            sizes, activations[:-1], activations[-1], "squared_error", _DTYPES[dtype], dropout=self.dropout
        )
        self.engine = choose_backend(None).engine(spec)
        self.lock = threading.RLock()
        self.n_parameters = spec.n_parameters
        self.pieces = [piece for n_in, n_out in pairwise(sizes) for piece in (n_in * n_out, n_out)]
        self.written: object = None  # stands for the parameters that the engine has
        self._known: list[tuple[int, Array]] = [(0, np.empty(0))] * len(self.pieces)

    def write(self, parameters: Sequence[Tensor]) -> object:
        """Give the engine the parameters as they are; return what stands for them from now on."""
        arrays = []
        for place, parameter in enumerate(parameters):
            address, array = self._known[place]
            plain = parameter.is_contiguous()  # a square matrix and its transpose have the same address and shape
            if parameter.data_ptr() != address or array.shape != parameter.shape or not plain:
                array = parameter.detach().contiguous().numpy()
                if plain:
                    self._known[place] = parameter.data_ptr(), array  # which keeps the memory, and so its address
            arrays.append(array)
        self.engine.write_transposed(arrays, torch.get_num_threads())
        self.written = object()
        return self.written

    def predict(self, x: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        """Compute the outputs of rows, and keep nothing."""
        with self.lock:
            self.write(parameters)
            rows = x.detach().numpy()
            small = self.engine.predict_small(rows)
            if small is not None:
                return torch.from_numpy(small)
            out = torch.empty((len(rows), self.sizes[-1]), dtype=self.dtype)
            self.engine.predict(rows, out.numpy(), -torch.get_num_threads())
            return out

    def forward(self, x: Tensor, parameters: Sequence[Tensor], seed: int | None) -> tuple[Tensor, Any, object]:
        """Compute the outputs of rows, with dropout if there is a seed; and a tape, and what its parameters are."""
        out = torch.empty((len(x), self.sizes[-1]), dtype=self.dtype)
        with self.lock:
            written = self.write(parameters)
            tape = self.engine.forward(x.detach().numpy(), out.numpy(), -torch.get_num_threads(), seed)
        return out, tape, written

    def backward(
        self, tape: Any, by_outputs: Tensor, parameters: Sequence[Tensor], written: object, wanted: tuple[bool, bool]
    ) -> tuple[list[Tensor] | None, Tensor | None]:
        """Compute the derivatives by the parameters and by the inputs, as far as they are wanted."""
        flat = torch.empty(self.n_parameters, dtype=self.dtype) if wanted[0] else None
        by_inputs = torch.empty((len(by_outputs), self.sizes[0]), dtype=self.dtype) if wanted[1] else None
        with self.lock:
            if written is not self.written:
                self.write(parameters)
            self.engine.backward(
                tape,
                by_outputs.detach().contiguous().numpy(),
                None if flat is None else flat.numpy(),
                None if by_inputs is None else by_inputs.numpy(),
                -torch.get_num_threads(),
                True,
            )
        return None if flat is None else self.cut(flat), by_inputs

    def cut(self, flat: Tensor) -> list[Tensor]:
        """Cut a vector of all parameters into them, weights as (O, I)."""
        parts = list(flat.split(self.pieces))
        for layer, n_in in enumerate(self.sizes[:-1]):
            parts[2 * layer] = parts[2 * layer].view(self.sizes[layer + 1], n_in)
        return parts


def _activation(described: Any) -> Any:
    """Return the activation that `describe` has written."""
    if isinstance(described, str):
        return described
    from fastmlp import spec

    name, *params = described
    return {"leaky_relu": spec.LeakyReLU, "elu": spec.ELU, "softplus": spec.Softplus}[name](*params)
