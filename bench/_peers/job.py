"""The job of every rival: a network, its weights, its data. All of it follows from a seed, so that processes agree.

Imported by every rival's process: it must not import fastmlp, whose OpenMP would then be the rival's as well.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["ACTIVATIONS", "DTYPES", "Job"]

ACTIVATIONS = ("relu", "tanh", "logistic")
DTYPES = ("float32", "float64")
#: Small, so that long runs do not learn the random targets by heart and then compute with denormal numbers.
LEARNING_RATE = 1e-4


@dataclass(frozen=True)
class Job:
    """A network and the data it meets; `threads` 0 leaves their number to each framework."""

    sizes: tuple[int, ...]
    batch: int
    rows: int
    activation: str = "relu"
    loss: str = "squared_error"
    dtype: str = "float32"
    threads: int = 0
    tune_seconds: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rows % self.batch:
            raise ValueError(f"rows must be a multiple of batch, got {self.rows} and {self.batch}")
        if self.loss not in ("squared_error", "cross_entropy"):
            raise ValueError(f"loss must be 'squared_error' or 'cross_entropy', got {self.loss!r}")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {ACTIVATIONS}, got {self.activation!r}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        return cls(**{**values, "sizes": tuple(values["sizes"])})

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @property
    def classifies(self) -> bool:
        return self.loss == "cross_entropy"

    @property
    def steps(self) -> int:
        """Updates in an epoch."""
        return self.rows // self.batch

    @property
    def name(self) -> str:
        return "-".join(map(str, self.sizes))

    def data(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """X (rows, I); y int64 (rows,) in which every class occurs, or (rows, O)."""
        rng = np.random.default_rng([self.seed, 1])
        X = rng.standard_normal((self.rows, self.sizes[0])).astype(self.dtype)
        if self.classifies:
            return X, rng.permutation(np.arange(self.rows) % self.sizes[-1])
        return X, rng.standard_normal((self.rows, self.sizes[-1])).astype(self.dtype)

    def parameters(self) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """W (I, O) and b (O,) of every layer, scaled so that signals keep their size."""
        rng = np.random.default_rng([self.seed, 2])
        gain = 2.0 if self.activation == "relu" else 1.0
        return [
            (
                (rng.standard_normal((n_in, n_out)) * np.sqrt(gain / n_in)).astype(self.dtype),
                (0.1 * rng.standard_normal(n_out)).astype(self.dtype),
            )
            for n_in, n_out in zip(self.sizes, self.sizes[1:], strict=False)
        ]
