"""Normalisation between a layer's product and its activation. Mirror of passes/norm.pyx."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastmlp.spec import NORM_EPSILON

if TYPE_CHECKING:
    from fastmlp.reference.plan import Plan
    from fastmlp.reference.workspace import Batch
    from fastmlp.spec import Array


#: Share of a batch in the statistics that are kept, as in PyTorch's BatchNorm1d.
MOMENTUM = 0.1


def normalise(plan: Plan, batch: Batch, i: int, z: Array, training: bool) -> None:
    """Put gamma x in the place of the products z of layer i, x having mean 0 and variance 1.

    In training, a batch norm takes mean and variance of the batch, elsewhere those that are kept.
    """
    x, _, scale = batch.normed[i]
    rows = plan.spec.norm == "layer"
    batch.statistics.pop(i, None)
    if rows or training:
        mean = z.mean(axis=1 if rows else 0, keepdims=True)
        np.subtract(z, mean, out=x)
        variance = np.einsum("ij,ij->i" if rows else "ij,ij->j", x, x) / z.shape[1 if rows else 0]
        if not rows:
            batch.statistics[i] = mean[0], variance
    else:
        mean, variance = plan.layers[i].running
        np.subtract(z, mean, out=x)
    np.divide(1.0, np.sqrt(variance + plan.dtype.type(NORM_EPSILON)), out=scale.ravel())
    np.multiply(x, scale, out=x)
    np.multiply(x, plan.layers[i].gamma, out=z)


def pull_back_norm(plan: Plan, batch: Batch, i: int, d: Array) -> None:
    """From derivatives by gamma x + beta of layer i to those by its products, in place.

    The terms of the gradients of beta and gamma are kept.
    """
    x, shifted, scale = batch.normed[i]
    rows = plan.spec.norm == "layer"
    np.copyto(shifted, d)
    np.multiply(d, plan.layers[i].gamma, out=d)
    if rows or i in batch.statistics:
        axis = 1 if rows else 0
        along = np.einsum("ij,ij->i" if rows else "ij,ij->j", d, x) / d.shape[axis]
        np.subtract(d, d.mean(axis=axis, keepdims=True), out=d)
        np.subtract(d, x * np.expand_dims(along, axis), out=d)
    np.multiply(d, scale, out=d)
    np.multiply(x, shifted, out=x)


def follow_statistics(plan: Plan, batch: Batch) -> None:
    """Let the statistics that are kept follow those of a batch, with its unbiased variance. One row has no variance."""
    if batch.rows < 2:
        return
    for i, (mean, variance) in batch.statistics.items():
        kept = plan.layers[i].running
        for old, new in zip(kept, (mean, variance * (batch.rows / (batch.rows - 1))), strict=True):
            np.add(old, MOMENTUM * (new - old), out=old)
