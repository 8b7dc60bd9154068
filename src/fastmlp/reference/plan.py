"""The plan: parameters, gradient and optimizer state, one vector each; a batch's buffers. Mirror of passes/plan.pyx."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastmlp.spec import Array

from .activation import ACTIVATIONS, ActivationFunctions, Params, Scratch
from .loss import LOSSES
from .optimizer import OPTIMIZERS, OptimizerFunctions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from fastmlp.spec import NetworkSpec

#: Parameters that are updated at a time: large enough that calls cost nothing, small enough to stay in the cache.
UPDATE_BLOCK = 1 << 16


class Layer(NamedTuple):
    """Layer l of the plan: views of the parameters and of their gradient, and its activation."""

    W: Array  # (I, O)
    W_t: Array  # (O, I), the same memory
    b: Array  # (O,)
    weight_gradient: Array  # (I, O)
    bias_gradient: Array  # (O,)
    activation: ActivationFunctions
    params: Params


class Parameters:
    """One number per parameter of a network in one vector, all weights, then all biases, and views of them by layer."""

    def __init__(self, sizes: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        shapes = list(pairwise(sizes))
        self.n_weights = sum(n_in * n_out for n_in, n_out in shapes)
        self.vector: Array = np.zeros(self.n_weights + sum(sizes[1:]), dtype)
        self.weights: list[Array] = []
        self.biases: list[Array] = []
        at, bias_at = 0, self.n_weights
        for n_in, n_out in shapes:
            self.weights.append(self.vector[at : at + n_in * n_out].reshape(n_in, n_out))
            self.biases.append(self.vector[bias_at : bias_at + n_out])
            at += n_in * n_out
            bias_at += n_out

    def copies(self) -> dict[str, Array]:
        """Copies of all, by name."""
        return {name: tensor.copy() for name, tensor in self._tensors()}

    def assign(self, tensors: Mapping[str, Array]) -> None:
        """Every tensor from an array of the same name and shape."""
        names = [name for name, _ in self._tensors()]
        if tensors.keys() != set(names):
            raise ValueError(f"tensors are {', '.join(tensors)}; they must be {', '.join(names)}")
        for name, tensor in self._tensors():
            np.copyto(tensor, tensors[name])

    def _tensors(self) -> Iterator[tuple[str, Array]]:
        for layer, (W, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            yield f"layers.{layer}.weight", W
            yield f"layers.{layer}.bias", b


class UpdateBlock(NamedTuple):
    """A run of parameters that is updated at a time."""

    w: Array
    g: Array
    state: tuple[Array, ...]
    scratch: Array
    decayed: int  # so many of them, the first, are weights


class Batch(NamedTuple):
    """The buffers of a batch of B rows. `outputs[l]` holds the signals of layer l until its activation is applied."""

    rows: int
    x: Array  # (B, d0)
    inputs_t: list[Array]  # per layer, (n_in, B): x and the hidden outputs, transposed views
    outputs: list[Array]  # per layer, (B, n_out)
    signals: dict[int, Array]  # of the layers whose slope is computed from them, (B, n_out)
    deltas: list[
        Array
    ]  # per layer, (B, n_out); two memories that take turns, since a delta is used by the next one only
    scratch: list[Scratch]  # per layer; the same memory for all
    ones: Array  # (B,)
    target: Array  # (B, O)
    labels: NDArray[np.intp]  # (B,)
    label_base: NDArray[np.intp]  # (B,): r * O
    scale: Array  # (B, 1)
    weight: NDArray[np.float64]  # (B,)
    row_loss: NDArray[np.float64]  # (B,)


class Plan:
    """Everything that is allocated for a network: made once, so that a step allocates nothing that grows with it."""

    def __init__(self, spec: NetworkSpec) -> None:
        self.sizes = spec.sizes
        self.dtype = np.dtype(spec.dtype)
        self.loss = LOSSES[spec.loss.name]
        self.loss_params = spec.loss.params
        self.parameters = Parameters(spec.sizes, self.dtype)
        self.gradient = Parameters(spec.sizes, self.dtype)
        self.layers = [
            Layer(W, W.T, b, dW, db, ACTIVATIONS[layer.activation.name], layer.activation.params)
            for layer, W, b, dW, db in zip(
                spec.layers,
                self.parameters.weights,
                self.parameters.biases,
                self.gradient.weights,
                self.gradient.biases,
                strict=True,
            )
        ]
        self.optimizer: OptimizerFunctions | None = None
        self.state: list[Parameters] = []
        self.blocks: list[UpdateBlock] = []
        self._capacity = 0
        self._batches: dict[int, Batch] = {}

    def use_optimizer(self, name: str | None) -> None:
        """Allocate the zeroed state of an optimizer; None frees it."""
        self.optimizer = None if name is None else OPTIMIZERS[name]
        self.state = [Parameters(self.sizes, self.dtype) for _ in range(self.optimizer.states if self.optimizer else 0)]
        self.blocks = []
        if self.optimizer is None:
            return
        n = self.parameters.vector.size
        scratch = np.empty(min(n, UPDATE_BLOCK), self.dtype)
        for start in range(0, n, UPDATE_BLOCK):
            stop = min(n, start + UPDATE_BLOCK)
            self.blocks.append(
                UpdateBlock(
                    self.parameters.vector[start:stop],
                    self.gradient.vector[start:stop],
                    tuple(slot.vector[start:stop] for slot in self.state),
                    scratch[: stop - start],
                    min(max(self.parameters.n_weights - start, 0), stop - start),
                )
            )

    def forget_batches(self) -> None:
        """Let buffers be made anew: of these, another thread may have left only a part."""
        self._capacity = 0
        self._batches = {}

    def batch(self, rows: int) -> Batch:
        """The buffers of a batch of `rows` rows; a smaller batch uses the beginning of those of a larger one."""
        found = self._batches.get(rows)
        if found is not None:
            return found
        if rows > self._capacity:
            self._batches.clear()
            self._allocate(rows)
        elif len(self._batches) >= 16:
            self._batches.clear()
        made = self._views(rows)
        self._batches[rows] = made
        return made

    def _allocate(self, rows: int) -> None:
        widest, outputs = max(self.sizes[1:]), self.sizes[-1]
        self._capacity = rows
        self._values = [np.empty(rows * width, self.dtype) for width in self.sizes]
        self._signals = {
            i: np.empty(rows * width, self.dtype)
            for i, (layer, width) in enumerate(zip(self.layers, self.sizes[1:], strict=True))
            if layer.activation.keeps == "signal"
        }
        self._turns = [np.empty(rows * widest, self.dtype) for _ in range(2)]
        self._matrix = np.empty(rows * widest, self.dtype)
        self._mask = np.empty(rows * widest, np.bool_)
        self._column = np.empty((rows, 1), self.dtype)
        self._ones = np.ones(rows, self.dtype)
        self._target = np.empty(rows * outputs, self.dtype)
        self._labels = np.empty(rows, np.intp)
        self._label_base = np.arange(rows, dtype=np.intp) * outputs
        self._scale = np.empty((rows, 1), self.dtype)
        self._weight = np.empty(rows, np.float64)
        self._row_loss = np.empty(rows, np.float64)

    def _views(self, rows: int) -> Batch:
        def first(memory: Array, width: int) -> Array:
            return memory[: rows * width].reshape(rows, width)

        values = [first(memory, width) for memory, width in zip(self._values, self.sizes, strict=True)]
        widths = self.sizes[1:]
        return Batch(
            rows,
            values[0],
            [value.T for value in values[:-1]],
            values[1:],
            {i: first(memory, widths[i]) for i, memory in self._signals.items()},
            [first(self._turns[i % 2], width) for i, width in enumerate(widths)],
            [Scratch(first(self._matrix, width), first(self._mask, width), self._column[:rows]) for width in widths],
            self._ones[:rows],
            first(self._target, self.sizes[-1]),
            self._labels[:rows],
            self._label_base[:rows],
            self._scale[:rows],
            self._weight[:rows],
            self._row_loss[:rows],
        )
