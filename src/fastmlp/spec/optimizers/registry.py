"""The optimizers by name: what users may type, and the class that is meant."""

from __future__ import annotations

from typing import Literal, TypeAlias

from fastmlp.spec.operations import as_operation, kinds_of
from fastmlp.spec.optimizers import adam, adaptive, muon, schedule_free, sgd
from fastmlp.spec.optimizers.adam import Adam
from fastmlp.spec.optimizers.base import Optimizer
from fastmlp.spec.optimizers.lbfgs import LBFGS

__all__ = ["OPTIMIZERS", "OPTIMIZER_NAMES", "Method", "OptimizerName", "as_method", "as_optimizer"]

OptimizerName: TypeAlias = sgd.Name | adam.Name | adaptive.Name | schedule_free.Name | muon.Name
#: What `MLP.fit` takes: those of steps, and what wants all rows at once.
Method: TypeAlias = OptimizerName | Optimizer | LBFGS | Literal["lbfgs"]

#: By name.
OPTIMIZERS: dict[str, type[Optimizer]] = kinds_of(Optimizer, sgd, adam, adaptive, schedule_free, muon)
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
    if isinstance(optimizer, LBFGS) or (isinstance(optimizer, str) and optimizer == LBFGS.name):
        raise TypeError(f"{name} is for single steps, and LBFGS takes all rows as often as it likes: it is for MLP.fit")
    return as_operation(optimizer, name, Optimizer, OPTIMIZERS)


def as_method(optimizer: str | Method | None) -> Optimizer | LBFGS:
    """The optimizer of `MLP.fit`, which may be one that wants all rows at once.

    Examples
    --------
    >>> as_method("lbfgs")
    LBFGS(max_iter=None, tol=1e-05, history_size=10, weight_decay=0.0, tol_loss=2.2e-09)
    """
    if isinstance(optimizer, LBFGS):
        return optimizer
    return LBFGS() if isinstance(optimizer, str) and optimizer == LBFGS.name else as_optimizer(optimizer)
