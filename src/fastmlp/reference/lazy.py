"""The update by sparse rows that leaves weights alone of which a batch has no column. Mirror of passes/lazy.pyx."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fastmlp.reference.plan import Plan


@contextmanager
def left_alone(plan: Plan, X: Any, rows: NDArray[np.int64]) -> Iterator[None]:
    """Have the first layer's weights of columns that these rows have no entry in, and their state, as before."""
    others = np.ones(X.shape[1], bool)
    others[X.columns_of(rows)] = False
    tensors = [part.layers[0]["weight"] for part in (plan.parameters, *plan.state)]
    before = [tensor[others] for tensor in tensors]
    yield
    for tensor, values in zip(tensors, before, strict=True):
        tensor[others] = values
