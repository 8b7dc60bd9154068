"""The memory of a batch's rows on their way through the network. Mirror of passes/workspace.pyx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastmlp.spec import Scratch

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from fastmlp.spec import Array


class Batch(NamedTuple):
    """The buffers of a batch of B rows. `outputs[l]` holds the signals of layer l until its activation is applied."""

    rows: int
    x: Array  # (B, d0)
    inputs_t: list[Array]  # per layer, (n_in, B): x and the hidden outputs, transposed views
    outputs: list[Array]  # per layer, (B, n_signals), of which the first n_out columns are outputs
    signals: dict[int, Array]  # of the layers whose slope is computed from them, (B, n_out); or outputs before dropout
    masks: dict[int, Array]  # of the layers whose inputs are dropped, what these are multiplied by, (B, n_in)
    deltas: list[
        Array
    ]  # per layer, (B, n_out); two memories that take turns, since a delta is used by the next one only
    through: dict[int, Array]  # of the layers that add their inputs, derivatives by their outputs, (B, n_out)
    normed: dict[
        int, tuple[Array, Array, Array]
    ]  # of those that normalise: x, by gamma x + beta, scale (B, 1) or (1, O)
    terms: dict[int, Array]  # of those that learn a slope, each row's derivatives by those of the units, (B, n_out)
    statistics: dict[int, tuple[Array, Array]]  # of a step's batch, where a batch norm has taken them: mean, variance
    scratch: list[Scratch]  # per layer; the same memory for all
    ones: Array  # (B,)
    target: Array  # (B, O), or fewer columns where there are several outputs of each
    labels: NDArray[np.intp]  # (B,)
    label_base: NDArray[np.intp]  # (B,): r * O
    scale: Array  # (B, 1)
    weight: NDArray[np.float64]  # (B,)
    row_loss: NDArray[np.float64]  # (B,)


class Workspace:
    """The buffers of one batch at a time, of any number of rows."""

    def __init__(
        self,
        sizes: tuple[int, ...],
        signals: tuple[int, ...],
        dtype: np.dtype[Any],
        keep: Collection[int],
        drop: list[int],
        adding: list[int],
        targets: int,
        norms: dict[int, str],
        learning: list[int],
    ) -> None:
        self.sizes, self.widths, self.dtype = sizes, signals, dtype  # of outputs, and of the signals that they are of
        self.keep, self.drop, self.adding = sorted(keep), drop, adding
        self.targets, self.norms, self.learning = targets, norms, learning
        self._capacity = 0
        self._batches: dict[int, Batch] = {}

    def another(self) -> Workspace:
        """Buffers for the same network, of their own."""
        return Workspace(
            self.sizes,
            self.widths,
            self.dtype,
            self.keep,
            self.drop,
            self.adding,
            self.targets,
            self.norms,
            self.learning,
        )

    def forget(self) -> None:
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
        widest, outputs = max(self.widths[1:]), self.sizes[-1]
        self._capacity = rows
        self._values = [np.empty(rows * width, self.dtype) for width in self.widths]
        self._signals = {i: np.empty(rows * self.widths[i + 1], self.dtype) for i in self.keep}
        self._masks = {i: np.empty(rows * self.sizes[i], self.dtype) for i in self.drop}
        self._through = {i: np.empty(rows * self.sizes[i + 1], self.dtype) for i in self.adding}
        self._normed = {
            i: [np.empty(n * self.widths[i + 1], self.dtype) for n in (rows, rows, 1)]
            if norm == "batch"
            else [np.empty(rows * n, self.dtype) for n in (self.widths[i + 1], self.widths[i + 1], 1)]
            for i, norm in self.norms.items()
        }
        self._terms = {i: np.empty(rows * self.widths[i + 1], self.dtype) for i in self.learning}
        self._turns = [np.empty(rows * widest, self.dtype) for _ in range(2)]
        self._matrix = np.empty(rows * widest, self.dtype)
        self._mask = np.empty(rows * widest, np.bool_)
        self._column = np.empty((rows, 1), self.dtype)
        self._ones = np.ones(rows, self.dtype)
        self._target = np.empty(rows * self.targets, self.dtype)
        self._labels = np.empty(rows, np.intp)
        self._label_base = np.arange(rows, dtype=np.intp) * outputs
        self._scale = np.empty((rows, 1), self.dtype)
        self._weight = np.empty(rows, np.float64)
        self._row_loss = np.empty(rows, np.float64)

    def _views(self, rows: int) -> Batch:
        def first(memory: Array, width: int) -> Array:
            return memory[: rows * width].reshape(rows, width)

        values = [first(memory, width) for memory, width in zip(self._values, self.widths, strict=True)]
        widths = self.widths[1:]
        row_norms = [i for i, norm in self.norms.items() if norm == "layer"]
        return Batch(
            rows,
            values[0],
            [value[:, :width].T for value, width in zip(values[:-1], self.sizes[:-1], strict=True)],
            values[1:],
            {i: first(memory, widths[i]) for i, memory in self._signals.items()},
            {i: first(memory, self.sizes[i]) for i, memory in self._masks.items()},
            [first(self._turns[i % 2], width) for i, width in enumerate(widths)],
            {i: first(memory, self.sizes[i + 1]) for i, memory in self._through.items()},
            {
                i: (
                    first(x, widths[i]),
                    first(d, widths[i]),
                    scale[:rows, np.newaxis] if i in row_norms else scale[np.newaxis],
                )
                for i, (x, d, scale) in self._normed.items()
            },
            {i: first(memory, widths[i]) for i, memory in self._terms.items()},
            {},
            [Scratch(first(self._matrix, width), first(self._mask, width), self._column[:rows]) for width in widths],
            self._ones[:rows],
            first(self._target, self.targets),
            self._labels[:rows],
            self._label_base[:rows],
            self._scale[:rows],
            self._weight[:rows],
            self._row_loss[:rows],
        )
