"""Folds: some rows to train on and others to measure by, both by their numbers in data that all networks share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fastmlp.data import Data, chosen, with_class_weight
from fastmlp.network.arguments import Rows
from fastmlp.spec.checks import integer, shown
from fastmlp.train.source import Arrays

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from fastmlp.network.measures import Measures
    from fastmlp.spec import NetworkSpec
    from fastmlp.train.source import Chunk, Source

__all__ = ["Fold", "JobRows", "Stop", "as_folds", "rows_of_fold"]

Fold = tuple["NDArray[np.int64]", "NDArray[np.int64]"]  # rows to train on, and to measure by

# Weights times rows of what is trained between two looks at whether to stop: some 20 ms of one core.
WORK = 30_000_000


def as_folds(folds: Any, n_rows: int) -> list[Fold] | None:
    """Check the argument `folds`; return the row numbers of each."""
    if folds is None:
        return None
    if isinstance(folds, int | np.integer) and not isinstance(folds, bool):
        count = integer(folds, "folds", 2, n_rows)
        parts = np.array_split(np.random.default_rng(0).permutation(n_rows), count)
        return [(np.sort(np.concatenate(parts[:k] + parts[k + 1 :])), np.sort(parts[k])) for k in range(count)]
    try:
        pairs = [tuple(pair) for pair in folds]
    except TypeError:
        pairs = [()]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise TypeError(
            "folds must be a number, or pairs of rows to train on and rows to measure by, such as "
            f"sklearn.model_selection.KFold(5).split(X, y) gives, got {shown(folds)}"
        )
    return [
        (_numbers(train, n_rows, f"folds[{k}][0]"), _numbers(test, n_rows, f"folds[{k}][1]"))
        for k, (train, test) in enumerate(pairs)
    ]


def _numbers(rows: Any, n_rows: int, name: str) -> NDArray[np.int64]:
    array = np.asarray(rows)
    if array.dtype == np.bool_ and array.shape == (n_rows,):
        array = np.flatnonzero(array)
    if array.ndim != 1 or not array.size or array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be the numbers of some rows, or {n_rows} yes and no, got {shown(rows)}")
    if array.min() < 0 or array.max() >= n_rows:
        raise ValueError(f"{name} must be row numbers from 0 to {n_rows - 1}, got {array.min()} to {array.max()}")
    return array.astype(np.int64)


@dataclass
class Stop:
    """Whether all that is being trained side by side is to stop: when this context is left."""

    asked: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.asked = True

    def look(self) -> None:
        """Raise an InterruptedError in a training that is to stop."""
        if self.asked:
            raise InterruptedError("the training of all networks was interrupted")


@dataclass(frozen=True)
class Interruptible:
    """A source in pieces, before each of which it may be told to stop: threads see no signals."""

    source: Source
    stop: Stop
    n_parameters: int

    @property
    def n_rows(self) -> int | None:
        """Number of rows in an epoch."""
        return self.source.n_rows

    def chunks(self, epoch: int, batch_size: int) -> Iterable[Chunk]:
        """Give the source's chunks in pieces of whole batches."""
        size = max(1, WORK // (self.n_parameters * batch_size)) * batch_size
        for chunk in self.source.chunks(epoch, batch_size):
            for start in range(0, len(chunk.order), size):
                self.stop.look()
                yield type(chunk)(chunk.data, chunk.order[start : start + size])


@dataclass(frozen=True)
class InterruptibleEpochs(Interruptible):
    """Such a source whose epochs may be made several at once, as many as are done in that time."""

    source: Arrays

    @property
    def epochs_at_once(self) -> int:
        """As many as the source may give and are soon done with."""
        return max(1, min(self.source.epochs_at_once, WORK // (self.n_parameters * max(1, self.source.order.n_rows))))

    def several(self, epoch: int, count: int) -> Chunk:
        """Give the source's rows of so many epochs from this one on."""
        self.stop.look()
        return self.source.several(epoch, count)


@dataclass(frozen=True)
class JobRows(Rows):
    """The rows of one of many trainings, which may be told to stop."""

    stop: Stop | None = None

    def source(self, net: Measures, shuffle: bool, seed: int | None = None, sparse: bool = False) -> Source:
        """Return what an epoch reads, in the order in which a training on these rows alone would."""
        source = super().source(net, shuffle, seed, sparse)
        if self.stop is None:
            return source
        kind = InterruptibleEpochs if isinstance(source, Arrays) else Interruptible
        return kind(source, self.stop, net.n_parameters)  # type: ignore[arg-type]


def rows_of_fold(spec: NetworkSpec, rows: Rows, fold: Fold, class_weight: Any) -> JobRows:
    """Return the rows of a fold of `rows`, which are all there are, without weights of classes.

    Weights of classes are those of the rows to train on.
    """
    part, test = fold
    data = rows.data
    plain = chosen(data, part)
    weighted = with_class_weight(spec, plain, class_weight)
    if weighted is not plain:
        assert weighted.weight is not None
        weight = np.zeros(len(data))
        weight[part] = weighted.weight
        data = Data(data.X, data.y, weight)
    return JobRows(data, plain, {"val": chosen(rows.data, test)}, rows.names, part)
