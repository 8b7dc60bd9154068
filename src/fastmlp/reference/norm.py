"""Normalisation between a layer's product and its activation. Mirror of passes/norm.pyx."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastmlp.spec import NORM_EPSILON

if TYPE_CHECKING:
    from fastmlp.reference.plan import Plan
    from fastmlp.reference.workspace import Batch
    from fastmlp.spec import Array


def normalise(plan: Plan, batch: Batch, i: int, z: Array) -> None:
    """Put gamma x in the place of the products z of layer i, x having mean 0 and variance 1."""
    x, _, scale = batch.normed[i]
    np.subtract(z, z.mean(axis=1, keepdims=True), out=x)
    np.einsum("ij,ij->i", x, x, out=scale[:, 0])
    np.divide(1.0, np.sqrt(scale / z.shape[1] + NORM_EPSILON), out=scale)
    np.multiply(x, scale, out=x)
    np.multiply(x, plan.layers[i].gamma, out=z)


def pull_back_norm(plan: Plan, batch: Batch, i: int, d: Array) -> None:
    """From derivatives by gamma x + beta of layer i to those by its products, in place.

    The terms of the gradients of beta and gamma are kept.
    """
    x, shifted, scale = batch.normed[i]
    np.copyto(shifted, d)
    np.multiply(d, plan.layers[i].gamma, out=d)
    along = np.einsum("ij,ij->i", d, x)[:, np.newaxis] / d.shape[1]
    np.subtract(d, d.mean(axis=1, keepdims=True), out=d)
    np.subtract(d, x * along, out=d)
    np.multiply(d, scale, out=d)
    np.multiply(x, shifted, out=x)
