"""Weights and biases to start from, drawn as scikit-learn draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastmlp.spec import Activation, Array, as_activation

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["initial_parameters"]


def initial_parameters(
    random: np.random.RandomState,
    activation: str | Activation | Sequence[str | Activation],
    sizes: Sequence[int],
    dtype: str,
) -> tuple[list[Array], list[Array]]:
    """Draw from Glorot's uniform distribution in scikit-learn's form: biases, too, layer by layer.

    `activation` is that of all hidden layers, or a sequence with one for each; the output layer's bound is that of the
    last hidden layer, as there.
    """
    if isinstance(activation, str | Activation):
        kinds = [activation] * (len(sizes) - 1)
    else:
        kinds = [*activation, *activation[-1:]] or ["identity"]
    weights, biases = [], []
    for kind, fan_in, fan_out in zip(kinds, sizes[:-1], sizes[1:], strict=True):
        bound = np.sqrt((2.0 if as_activation(kind).name == "logistic" else 6.0) / (fan_in + fan_out))
        weights.append(random.uniform(-bound, bound, (fan_in, fan_out)).astype(dtype, copy=False))
        biases.append(random.uniform(-bound, bound, fan_out).astype(dtype, copy=False))
    return weights, biases
