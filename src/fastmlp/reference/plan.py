"""The plan: a network as views of its parameters, functions, and memory for a batch.

Mirror of passes/plan.pyx, layers.pyx and tiles.pyx: NumPy cuts and shares out nothing, but for the update.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastmlp import spec as specs
from fastmlp.reference.bfloat16 import rounded, rounds
from fastmlp.reference.optimizer import OPTIMIZERS, OptimizerFunctions
from fastmlp.reference.parameters import Parameters
from fastmlp.reference.workspace import Batch, Workspace
from fastmlp.spec import Activation, Array, Scaling

if TYPE_CHECKING:
    from fastmlp.spec import NetworkSpec

#: Parameters that are updated at a time: large enough that calls cost nothing, small enough to stay in the cache.
UPDATE_BLOCK = 1 << 16


class Layer(NamedTuple):
    """Layer l of the plan: views of the parameters and of their gradient, and its activation."""

    W: Array  # (I, O)
    W_t: Array  # (O, I), the same memory
    b: Array  # (O,)
    gamma: Array  # (O,), of a layer that normalises; else empty
    slope: Array  # (O,) or (1,), of an activation that learns it; else empty
    running: tuple[Array, ...]  # mean and variance that a batch norm keeps, (O,)
    gradient: dict[str, Array]  # of each tensor, "weight" (I, O), "bias" (O,) and so on
    activation: Activation


class UpdateBlock(NamedTuple):
    """A run of parameters that is updated at a time."""

    w: Array
    g: Array
    state: tuple[Array, ...]
    scratch: Array
    n_weights: int  # so many of them, the first, are weights, and not of vectors


class Plan:
    """Everything that is allocated for a network: made once, so that a step allocates nothing that grows with it, but
    for the random numbers of dropout.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        self.sizes = spec.sizes
        self.rates, self.noise = spec.dropout_rates, spec.input_noise
        self.dtype = np.dtype(spec.dtype)
        self.inputs: Scaling | None = None  # of their columns, as they are read
        self.targets: Scaling | None = None
        self.loss = spec.loss
        self.custom = spec.loss.custom or any(layer.activation.custom for layer in spec.layers)
        self.penalties, self.max_norm = spec.penalties, spec.max_norm
        self.loss_factor = spec.loss.factor(spec.sizes[-1])
        self.residuals, self.rounds = spec.residuals, rounds(spec)
        self.spec = spec
        self.parameters, self.gradient = Parameters(spec, statistics=True), Parameters(spec)
        self.layers = [
            Layer(
                own["weight"],
                own["weight"].T,
                own["bias"],
                own.get("gamma", self.parameters.vector[:0]),
                own.get("slope", self.parameters.vector[:0]),
                tuple(own[name] for name in statistics),
                gradient,
                layer.activation,
            )
            for layer, own, statistics, gradient in zip(
                spec.layers, self.parameters.layers, spec.statistics, self.gradient.layers, strict=True
            )
        ]
        self.optimizer: OptimizerFunctions | None = None
        self.columns: tuple[str, ...] = ()
        self.state: list[Parameters] = []
        self.average: Parameters | None = None
        self.average_scratch = np.empty(0, self.dtype)
        self._blocks: tuple[object, list[tuple[UpdateBlock, int]]] = None, []  # the last ones, and of what they are
        dropped = [layer for layer, rate in enumerate(self.rates) if rate]
        from_signals = [i for i, layer in enumerate(self.layers) if layer.activation.keeps == "signal"]
        adding = [i for i, adds in enumerate(self.residuals) if adds]
        keep = {*from_signals, *(i - 1 for i in dropped if i), *adding}
        targets = spec.loss.target_width(spec.sizes[-1])
        norms: dict[int, str] = {i: norm for i, norm in enumerate(spec.norms) if norm}
        learning = [i for i, layer in enumerate(self.layers) if layer.slope.size]
        signals = spec.sizes[:1] + tuple(layer.n_signals for layer in spec.layers)
        self.workspace = Workspace(spec.sizes, signals, self.dtype, keep, dropped, adding, targets, norms, learning)

    def product(self, i: int, a: Array, b: Array, out: Array) -> None:
        """Matrix product of layer i, with operands of bfloat16 where the layer has such."""
        if self.rounds[i]:
            a, b = rounded(a), rounded(b)
        np.matmul(a, b, out=out)

    def use_optimizer(self, name: str | None) -> None:
        """Allocate the zeroed state of an optimizer; None frees it."""
        self.optimizer = None if name is None else OPTIMIZERS[name]
        self.columns = () if name is None else specs.OPTIMIZERS[name].columns
        self.state = [Parameters(self.spec) for _ in range(self.optimizer.states if self.optimizer else 0)]
        self._blocks = None, []

    def blocks_of(self, groups: tuple[int, ...], apart: tuple[int, ...] = ()) -> list[tuple[UpdateBlock, int]]:
        """What is updated at a time, with its group: the weights' and the vectors' of each layer; or all the first.

        Weights of the layers that are updated `apart` are left out.
        """
        known, blocks = self._blocks
        if known == (groups, apart):
            return blocks
        n, n_weights = self.gradient.vector.size, self.parameters.n_weights
        runs = [(0, n, 0)]
        if groups or apart:
            sizes = [layer.W.size for layer in self.layers]
            sizes += [sum(vectors.values()) for vectors in self.spec.vectors]  # which have one group in a layer
            ends = np.cumsum([0, *sizes]).tolist()
            numbers = (*groups[::2], *groups[1::2]) if groups else (0,) * len(sizes)
            runs = [run for i, run in enumerate(zip(ends, ends[1:], numbers, strict=False)) if i not in apart]
        scratch, blocks = np.empty(min(n, UPDATE_BLOCK), self.dtype), []
        for begin, end, group in runs:
            for start in range(begin, end, UPDATE_BLOCK):
                stop = min(end, start + UPDATE_BLOCK)
                block = UpdateBlock(
                    self.parameters.vector[start:stop],
                    self.gradient.vector[start:stop],
                    tuple(slot.vector[start:stop] for slot in self.state),
                    scratch[: stop - start],
                    min(max(n_weights - start, 0), stop - start),
                )
                blocks.append((block, group))
        self._blocks = (groups, apart), blocks
        return blocks

    def keep_average(self, keep: bool) -> None:
        """Begin a moving average at the parameters as they are, or forget the one there is."""
        self.average = Parameters(self.spec, statistics=True) if keep else None
        self.average_scratch = np.empty(min(self.parameters.vector.size, UPDATE_BLOCK) if keep else 0, self.dtype)
        if self.average is not None:
            np.copyto(self.average.vector, self.parameters.vector)

    def batch(self, rows: int) -> Batch:
        """The buffers of a batch of so many rows."""
        return self.workspace.batch(rows)
