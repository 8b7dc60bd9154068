"""The loss of directions: what matters is where a row's outputs point, not how far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.spec.losses.base import Loss

if TYPE_CHECKING:
    from fastmlp.spec.losses.base import LossRows

__all__ = ["Cosine"]

#: How users call it.
Name: TypeAlias = Literal["cosine", "cosine_similarity", "cosine_embedding"]

#: What is added to squared norms, as by PyTorch: a row of zeros has no direction, and a similarity of 0.
LEAST = 1e-12


@dataclass(frozen=True)
class Cosine(Loss):
    """1 - cos(a, y), the cosine of the angle between a row of outputs and its targets: 0 where they point alike, to 2.

    PyTorch's CosineEmbeddingLoss of pairs that belong together, and Keras's CosineSimilarity plus 1. Goes with any
    output activation.

    Examples
    --------
    >>> Cosine().name
    'cosine'
    """

    name: ClassVar[str] = "cosine"
    aliases: ClassVar[tuple[str, ...]] = ("cosine_similarity", "cosine_embedding")
    metric: ClassVar[str] = "cosine_similarity"
    mixes: ClassVar[bool] = True

    def rows(self, block: LossRows) -> None:
        """1 - s, s = sum_k a_k y_k / sqrt(A Y), A and Y sums of squares + 1e-12; delta s a / A - y / sqrt(A Y)."""
        a, y = block.a, block.y
        length, wanted = (np.square(v).sum(axis=1, keepdims=True) + LEAST for v in (a, y))
        norms = np.sqrt(length) * np.sqrt(wanted)
        similarity = (a * y).sum(axis=1, keepdims=True) / norms
        np.subtract(1.0, similarity[:, 0], out=block.row_loss)
        np.multiply(similarity / length * a - y / norms, block.scale, out=block.d, casting="same_kind")
