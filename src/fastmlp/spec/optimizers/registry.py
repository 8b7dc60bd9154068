"""The optimizers by name: what users may type, and the class that is meant."""

from __future__ import annotations

from typing import TypeAlias

from fastmlp.spec.operations import as_operation, kinds_of
from fastmlp.spec.optimizers import adam, adaptive, sgd
from fastmlp.spec.optimizers.adam import Adam
from fastmlp.spec.optimizers.base import Optimizer

__all__ = ["OPTIMIZERS", "OPTIMIZER_NAMES", "OptimizerName", "as_optimizer"]

OptimizerName: TypeAlias = sgd.Name | adam.Name | adaptive.Name

#: By name.
OPTIMIZERS: dict[str, type[Optimizer]] = kinds_of(Optimizer, sgd, adam, adaptive)
OPTIMIZER_NAMES: tuple[str, ...] = tuple(OPTIMIZERS)


def as_optimizer(optimizer: str | Optimizer | None, name: str = "optimizer") -> Optimizer:
    """The optimizer meant by a name or an object; None means `Adam()`.

    Examples
    --------
    >>> as_optimizer("adam")
    Adam(learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-08, weight_decay=0.0)
    """
    if optimizer is None:
        return Adam()
    return as_operation(optimizer, name, Optimizer, OPTIMIZERS)
