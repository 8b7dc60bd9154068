"""The arguments of `MLP.fit` that have rows, where these come in batches: the other kind of arguments.py's `Rows`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.data import Data, as_data, as_validation, dense, with_class_weight
from fastmlp.data.sparse import Sparse
from fastmlp.spec import LBFGS
from fastmlp.train.stream import Stream, as_batches

if TYPE_CHECKING:
    from fastmlp.network.measures import Measures
    from fastmlp.spec import NetworkSpec, Optimizer
    from fastmlp.train.source import Source

__all__ = ["InBatches", "as_stream"]


@dataclass(frozen=True)
class InBatches:
    """Batches to train on, and the rows that are measured.

    Attributes
    ----------
    stream : Stream
        What is trained on.
    validation : dict of str to Data
        What is measured, by name.
    names : tuple of str, or None
        Names of the batches' columns.
    """

    stream: Stream
    validation: dict[str, Data]
    names: tuple[str, ...] | None
    plain: None = None
    n_rows: None = None

    def source(self, net: Measures, shuffle: bool, seed: int | None = None, sparse: bool = False) -> Source:  # noqa: ARG002 - as they come
        """Return what an epoch reads; batches of sparse rows stay so with `sparse`."""
        take = self.stream.take
        return replace(self.stream, take=partial(take, sparse=True)) if sparse else self.stream  # type: ignore[call-arg]


def as_stream(
    net: Measures,
    X: Any,
    epochs: int | None,
    method: Optimizer | LBFGS | None,
    *,
    sample_weight: Any,
    class_weight: Any,
    validation_data: Any,
    validation_split: Any,
    measured: bool,
) -> InBatches:
    """Check the arguments that have rows, where y is left out; `measured`: whether the rows themselves are to be."""
    batches = as_batches(X, epochs)
    if sample_weight is not None:
        raise ValueError("sample_weight is for arrays; batches have their own as (X, y, sample_weight)")
    if validation_split is not None:
        raise ValueError("validation_split is of arrays, and X is batches: give validation_data")
    if isinstance(class_weight, str):
        raise ValueError(f"class_weight {class_weight!r} needs the targets of all rows; give batches a mapping")
    if isinstance(method, LBFGS):
        raise ValueError("LBFGS takes all rows at once, and X is batches: give X and y")
    if measured:
        raise ValueError("metrics are of rows that can be read again, and X is batches: give validation_data")
    spec, names = net._learner.spec, net.feature_names or getattr(X, "feature_names", None)
    stream = Stream(batches, partial(_as_batch, spec, names, class_weight), net._access.beside)
    return InBatches(stream, as_validation(spec, validation_data, net._finite(), names), names)


def _as_batch(
    spec: NetworkSpec, names: tuple[str, ...] | None, class_weight: Any, given: Any, called: str, sparse: bool = False
) -> Data:
    """Check a batch, and copy it: who made it may use its memory for the next one while this one is at work."""
    if not isinstance(given, tuple | list) or not 2 <= len(given) <= 3:
        what = f"{len(given)} of them" if isinstance(given, tuple | list) else f"a {type(given).__name__}"
        raise TypeError(f"{called} must be (X, y) or (X, y, sample_weight), got {what}")
    X, y, *weight = given
    each = [f"{name} of {called}" for name in ("X", "y", "sample_weight")]
    plain = as_data(spec, X, y, weight[0] if weight else None, each, columns=names, some=False)
    data = with_class_weight(spec, plain, class_weight)
    copied = None if data.weight is None else data.weight.copy()
    X = data.X.copy() if sparse and isinstance(data.X, Sparse) else np.array(dense(data.X))
    return Data(X, np.array(data.y), copied)
