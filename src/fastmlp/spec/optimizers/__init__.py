"""The optimizers: a frozen class for each, with its hyperparameters, which makes the table of a training.

To add one: a class in one of the files here, its place in OPTIMIZERS and its name in OptimizerName.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from fastmlp.spec.operations import as_operation
from fastmlp.spec.optimizers.adam import Adam, AdaMax, AdamW, AMSGrad, NAdam, RAdam
from fastmlp.spec.optimizers.adaptive import Adadelta, Adagrad, RMSprop
from fastmlp.spec.optimizers.base import Optimizer
from fastmlp.spec.optimizers.sgd import SGD, Lion, Rprop

__all__ = [
    "OPTIMIZERS",
    "OPTIMIZER_NAMES",
    "SGD",
    "AMSGrad",
    "AdaMax",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Lion",
    "NAdam",
    "Optimizer",
    "OptimizerName",
    "RAdam",
    "RMSprop",
    "Rprop",
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
    return as_operation(optimizer, name, Optimizer, OPTIMIZERS)
