"""Factors of the learning rate: layers and biases that learn faster or more slowly than the others, or not at all."""

from __future__ import annotations

from typing import NamedTuple

from fastmlp.spec.checks import choice, mapping, not_negative

__all__ = ["NO_RATES", "Rates", "as_rates"]


class Rates(NamedTuple):
    """What the learning rate is multiplied by.

    Attributes
    ----------
    factors : tuple of float
        Those that there are.
    groups : tuple of int
        Which of them "layers.0.weight" has, "layers.0.bias", "layers.1.weight" and so on; empty for all the first.
    """

    factors: tuple[float, ...] = (1.0,)
    groups: tuple[int, ...] = ()


NO_RATES = Rates()


def as_rates(lr_factors: object, n_layers: int) -> Rates:
    """Check the argument `lr_factors` of a network of so many layers; a tensor's factor is the product of those it has.

    Examples
    --------
    >>> as_rates({"bias": 0.5, "layers.0": 0}, 2)
    Rates(factors=(0.0, 1.0, 0.5), groups=(0, 0, 1, 2))
    """
    if lr_factors is None:
        return NO_RATES
    given = mapping(lr_factors, "lr_factors")
    kinds = "weight", "bias"
    layers = [f"layers.{layer}" for layer in range(n_layers)]
    names = (*kinds, *layers, *(f"{layer}.{kind}" for layer in layers for kind in kinds))
    checked = {choice(key, "lr_factors' key", names): not_negative(given[key], f"lr_factors[{key!r}]") for key in given}
    products = [
        checked.get(kind, 1.0) * checked.get(layer, 1.0) * checked.get(f"{layer}.{kind}", 1.0)
        for layer in layers
        for kind in kinds
    ]
    factors = tuple(dict.fromkeys(products))
    return NO_RATES if factors == (1.0,) else Rates(factors, tuple(map(factors.index, products)))
