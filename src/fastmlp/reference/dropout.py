"""Dropout: what the outputs of a step's hidden layers, and its inputs, are multiplied by. Mirror of passes/dropout.pyx.

"Inverted" dropout (Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov: Dropout, JMLR 15, 2014; scaled in training
and not in prediction): an element is 0 with probability p, else 1 / (1 - p) times what it was. p is met to 2^-17, since
a number of 16 random bits decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from fastmlp.reference.random import DROPOUT, elements
from fastmlp.spec import Array

if TYPE_CHECKING:
    from fastmlp.reference.plan import Plan
    from fastmlp.reference.workspace import Batch

#: By layer whose inputs are dropped, what these are multiplied by, (B, n_in).
Masks: TypeAlias = Mapping[int, Array]
#: Of all passes but those of training.
NO_MASKS: Masks = MappingProxyType({})


def threshold(rate: float) -> int:
    """The smallest number of 16 bits that keeps an element; 2^16 where none does."""
    return round(rate * 65536)


def draw_masks(plan: Plan, batch: Batch, seed: int, step: int, first: int = 0) -> Masks:
    """What a step multiplies by, and its inputs multiplied by it.

    A mask is a function of the seed, the number of updates before the step, the layer, and an element's row in its
    whole batch, where `first` is the first of these, and column.
    """
    for layer, mask in batch.masks.items():
        rate = plan.rates[layer]
        numbers = elements(seed, DROPOUT, layer, step, range(first, first + batch.rows), plan.sizes[layer])
        np.greater_equal(numbers, threshold(rate), out=mask)
        np.multiply(mask, 1.0 / (1.0 - rate), out=mask)
    if 0 in batch.masks:
        np.multiply(batch.x, batch.masks[0], out=batch.x)
    return batch.masks
