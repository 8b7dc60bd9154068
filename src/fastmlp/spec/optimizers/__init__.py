"""The optimizers: a frozen class for each, with its hyperparameters, which makes the table of a training.

To add one: a class in one of the files here, its place in OPTIMIZERS and its name in OptimizerName.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from fastmlp.spec.operations import as_operation
from fastmlp.spec.optimizers.adam import Adam, AdaMax, AdamW, AMSGrad, NAdam, RAdam
from fastmlp.spec.optimizers.adaptive import Adadelta, Adagrad, RMSprop
from fastmlp.spec.optimizers.base import Optimizer
from fastmlp.spec.optimizers.lbfgs import LBFGS, FullBatch
from fastmlp.spec.optimizers.sgd import SGD, Lion, Rprop

__all__ = [
    "LBFGS",
    "OPTIMIZERS",
    "OPTIMIZER_NAMES",
    "SGD",
    "AMSGrad",
    "AdaMax",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "FullBatch",
    "Lion",
    "NAdam",
    "Optimizer",
    "OptimizerName",
    "RAdam",
    "RMSprop",
    "Rprop",
    "as_method",
    "as_optimizer",
]

OptimizerName: TypeAlias = Literal[
    "sgd", "adam", "adamw", "amsgrad", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "lion", "rprop"
]

#: By name, in the order of csrc/ops.
OPTIMIZERS: dict[str, type[Optimizer]] = {
    kind.name: kind
    for kind in (SGD, Adam, AdamW, AMSGrad, NAdam, RAdam, AdaMax, RMSprop, Adagrad, Adadelta, Lion, Rprop)
}
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


def as_method(optimizer: str | Optimizer | FullBatch | None) -> Optimizer | LBFGS:
    """The optimizer of `MLP.fit`, which may be one that wants all rows at once.

    Examples
    --------
    >>> as_method("lbfgs")
    LBFGS(max_iter=None, tol=1e-05, history_size=10, weight_decay=0.0, tol_loss=2.2e-09)
    """
    if isinstance(optimizer, LBFGS):
        return optimizer
    return LBFGS() if isinstance(optimizer, str) and optimizer == LBFGS.name else as_optimizer(optimizer)
