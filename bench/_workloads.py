"""workloads.toml: the networks that the scripts train and predict with, and their data. Imports NumPy alone."""

from __future__ import annotations

import dataclasses
import itertools
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WORKLOADS = Path(__file__).resolve().parent / "workloads.toml"


@dataclass(frozen=True)
class Workload:
    """A network and how it is trained: one table of workloads.toml."""

    name: str
    sizes: tuple[int, ...]
    batch: int
    rows: int
    activation: str
    loss: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(self.sizes))  # a list, where it comes from a file
        if self.rows % self.batch:
            raise ValueError(f"workload {self.name}: rows ({self.rows}) must be a multiple of batch ({self.batch})")

    @property
    def steps(self) -> int:
        """Updates of one epoch."""
        return self.rows // self.batch

    @property
    def output(self) -> str:
        """Activation of the last layer, which follows from the loss."""
        return "softmax" if self.loss == "cross_entropy" else "identity"

    def shortened(self, steps: int) -> Workload:
        """Return the workload with at most so many steps in an epoch."""
        return dataclasses.replace(self, rows=min(self.rows, steps * self.batch))

    def to_dict(self) -> dict[str, Any]:
        """Return the dict of which a worker's process makes the workload again."""
        return dataclasses.asdict(self) | {"sizes": list(self.sizes)}

    def data(self, dtype: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """Rows to learn from. What is learnt is noisy, so that gradients stay of an ordinary size for ever."""
        rng = np.random.default_rng(0)
        X = rng.standard_normal((self.rows, self.sizes[0])).astype(dtype)
        signal = X @ rng.standard_normal((self.sizes[0], self.sizes[-1])).astype(dtype) / self.sizes[0] ** 0.5
        signal += rng.standard_normal(signal.shape).astype(dtype)
        return X, signal.argmax(axis=1) if self.loss == "cross_entropy" else signal


@dataclass(frozen=True)
class Shape:
    """A network and a batch size of the list `sweep`; `batch` 0: all rows at once."""

    sizes: tuple[int, ...]
    batch: int
    loss: str

    @property
    def network(self) -> str:
        """Name of the network as the list has it: 784-256-10."""
        return "-".join(map(str, self.sizes))


def architecture(sizes: Sequence[int]) -> str:
    """Sizes of layers; five alike and more are counted: 16-64x6-16."""
    runs = [(size, len(list(alike))) for size, alike in itertools.groupby(sizes)]
    return "-".join(f"{size}x{count}" if count >= 5 else "-".join([str(size)] * count) for size, count in runs)


def _tables(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return tomllib.load(file)


def load_workloads(path: Path = WORKLOADS) -> dict[str, Workload]:
    """Read the workloads of training, by name."""
    return {name: Workload(name, **table) for name, table in _tables(path)["train"].items()}


def load_predictions(path: Path = WORKLOADS) -> tuple[dict[str, Shape], list[int]]:
    """Read the networks of prediction, by their sizes, and the numbers of rows."""
    table = _tables(path)["predict"]
    shapes = [Shape(tuple(net["sizes"]), 0, net["loss"]) for net in table["networks"]]
    return {shape.network: shape for shape in shapes}, table["batches"]


def load_alternate(path: Path = WORKLOADS) -> Workload:
    """Read the network that predicts in turns with another library."""
    return Workload("alternate", **_tables(path)["alternate"])


def load_sweep(path: Path = WORKLOADS) -> list[Shape]:
    """The shapes that no table was tuned for."""
    found = []
    for group in _tables(path)["sweep"].values():
        for network, *batches in group:
            sizes = tuple(map(int, network.removesuffix(" softmax").split("-")))
            loss = "cross_entropy" if network.endswith(" softmax") else "squared_error"
            found += [Shape(sizes, batch, loss) for batch in batches]
    return found
