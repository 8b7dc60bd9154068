"""The rows of a run, gathered into a batch, with their targets and weights. Mirror of passes/rows.pyx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.spec import Scaling, Target

if TYPE_CHECKING:
    from fastmlp.reference.plan import Plan
    from fastmlp.reference.workspace import Batch
    from fastmlp.spec import Array

Rows = NDArray[np.int64] | slice


def gather(source: Array, rows: Rows, out: Array, scaling: Scaling | None = None) -> None:
    """Rows of a matrix in their order, converted to the dtype of `out`; the source is never copied whole.

    Columns may be shifted and scaled.
    """
    if scaling is not None:
        np.copyto(out, (source[rows].astype(np.float64) - scaling.shift) * scaling.scale, casting="unsafe")
    elif isinstance(rows, slice) or not isinstance(source, np.ndarray):  # sparse rows
        np.copyto(out, source[rows], casting="unsafe")
    elif source.dtype == out.dtype and source.flags.carray:
        np.take(source, rows, axis=0, out=out, mode="clip")  # mode="raise" would go through a copy of out
    else:
        np.copyto(out, source[rows], casting="unsafe")


def mix(rows: Array, share: float) -> None:
    """Mix each row with the next, the last with the first: m = m + share (m' - m)."""
    rows += rows.dtype.type(share) * (np.roll(rows, -1, axis=0) - rows)


def target(batch: Batch, y: Array, rows: Rows, scaling: Scaling | None, share: float | None = None) -> Target:
    """Gather the targets of these rows, as the loss wants them; with a share, mixed with those of the next rows."""
    if share is not None:
        if y.ndim == 1:
            batch.target.fill(0.0)
            batch.target[np.arange(batch.rows), y[rows]] = 1.0
        else:
            gather(y, rows, batch.target, scaling)
        mix(batch.target, share)
        return Target(batch.target, None)
    if y.ndim == 1:
        np.add(y[rows], batch.label_base, out=batch.labels)
        return Target(None, batch.labels)
    gather(y, rows, batch.target, scaling)
    return Target(batch.target, None)


def to_units(plan: Plan, outputs: Array) -> None:
    """Undo for outputs (B, O) what is done to targets as they are read."""
    scaling, heads = plan.targets, plan.loss.heads
    if scaling is not None:
        np.copyto(
            outputs, outputs / np.repeat(scaling.scale, heads) + np.repeat(scaling.shift, heads), casting="unsafe"
        )


def inputs(X: Array, rows: slice, buffer: Array, scaling: Scaling | None) -> Array:
    """Return these rows of X in the dtype of `buffer`: X's own where they are that already."""
    x = X[rows]
    if x.dtype == buffer.dtype and x.flags.carray and scaling is None:
        return x
    gather(X, rows, buffer, scaling)
    return buffer


def batch_of(step: int, n_rows: int, batch_size: int, epoch_rows: int = 0) -> slice:
    """Which of the order's rows a step takes; it has one epoch, or several of so many rows."""
    epoch_rows = epoch_rows or n_rows
    epoch, step = divmod(step, max(-(-epoch_rows // batch_size), 1))
    start = step * batch_size
    return slice(epoch * epoch_rows + start, epoch * epoch_rows + min(start + batch_size, epoch_rows))


def sums_of_weights(
    weight: NDArray[np.float64] | None, order: NDArray[np.int64], batch_size: int, epoch_rows: int = 0
) -> NDArray[np.float64]:
    """Per batch, the sum of its rows' weights, or the number of its rows when there are no weights."""
    if epoch_rows < 0 or (epoch_rows and len(order) % epoch_rows):
        raise ValueError(f"{len(order)} rows are not whole epochs of {epoch_rows}")
    epoch_rows = epoch_rows or len(order)
    steps = -(-epoch_rows // batch_size) * (len(order) // max(epoch_rows, 1))
    batches = [order[batch_of(step, len(order), batch_size, epoch_rows)] for step in range(steps)]
    if weight is None:
        return np.array([len(rows) for rows in batches], np.float64)
    return np.array([np.sum(np.take(weight, rows, mode="clip")) for rows in batches], np.float64)


def scales(weight: NDArray[np.float64], total: float, out: Array) -> Any:
    """Compute each row's factor of its delta, its share of the sum of the weights, in `out` (B, 1)."""
    if total != 0.0:
        np.divide(weight, total, out=out[:, 0], casting="same_kind")
    else:
        out.fill(0.0)
    return out


def mean(row_loss: NDArray[np.float64], weight: NDArray[np.float64] | None, total: float) -> float:
    """The weighted mean of row losses; 0 where all weights are."""
    if weight is None:
        return float(np.sum(row_loss)) / total
    return float(np.dot(row_loss, weight)) / total if total != 0.0 else 0.0
