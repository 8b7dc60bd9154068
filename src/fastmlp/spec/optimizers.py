"""The optimizers: a frozen class for each, with its hyperparameters, which makes the table of a training.

To add one: a class, its place in OPTIMIZERS and its name in OptimizerName.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.spec.checks import flag, fraction, integer, not_negative, positive
from fastmlp.spec.hints import explained_class
from fastmlp.spec.operations import Operation, as_operation, read_operation
from fastmlp.spec.tables import counts, make_table, powers

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["OPTIMIZERS", "OPTIMIZER_NAMES", "SGD", "Adam", "Optimizer", "OptimizerName", "as_optimizer"]

OptimizerName: TypeAlias = Literal["sgd", "adam"]


@dataclass(frozen=True)
class Optimizer(Operation):
    """Base of the optimizers: hyperparameters, and a table of scalars with one row for each step of a run.

    Attributes
    ----------
    columns : tuple of str
        Names of the columns of its table: those of its row in `csrc/ops/optimizer.def`, then those that every step has,
        "weight_decay".
    """

    columns: ClassVar[tuple[str, ...]]

    def scalars(self, start: int, steps: int) -> NDArray[np.float64]:
        """The scalars of `steps` steps after the first `start` ones, float64 (steps, len(columns)).

        Row s belongs to step number t = start + s + 1 (t counts from 1) and is the same, bit for bit, however a run
        is cut.
        """
        start = integer(start, "start", 0, 2**62)
        steps = integer(steps, "steps", 0, 2**62)
        return self._rows(start, steps)

    def _rows(self, start: int, steps: int) -> NDArray[np.float64]:
        raise NotImplementedError

    @staticmethod
    def from_dict(data: object) -> Optimizer:
        """The optimizer that `to_dict` described; anything else is a TypeError or ValueError."""
        return read_operation(data, "optimizer", OPTIMIZERS)


@explained_class
@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent with momentum (Polyak 1964; Nesterov as in Sutskever et al. 2013, PyTorch's form).

    For weights (not biases) g += weight_decay * w; then buf = momentum * buf + g, and w -= learning_rate * d with
    d = g + momentum * buf if nesterov, else buf. (Engines multiply g by a scale before it enters buf; here that is 1.)

    Parameters
    ----------
    learning_rate : float, default 0.01
        > 0.
    momentum : float, default 0.0
        >= 0 and < 1. Where it is 0, buf rests as it is.
    nesterov : bool, default False
        Needs momentum > 0.
    weight_decay : float, default 0.0
        >= 0.

    Raises
    ------
    TypeError, ValueError
        If a hyperparameter is not a number of its range.

    Examples
    --------
    >>> SGD(0.1, momentum=0.9).scalars(start=0, steps=1)
    array([[0.1, 0.9, 0. , 1. , 0. ]])
    """

    name: ClassVar[str] = "sgd"
    columns: ClassVar[tuple[str, ...]] = ("learning_rate", "momentum", "nesterov", "gradient_scale", "weight_decay")

    learning_rate: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "learning_rate", positive(self.learning_rate, "learning_rate"))
        object.__setattr__(self, "momentum", fraction(self.momentum, "momentum"))
        object.__setattr__(self, "nesterov", flag(self.nesterov, "nesterov"))
        object.__setattr__(self, "weight_decay", not_negative(self.weight_decay, "weight_decay"))
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov=True needs momentum > 0, got momentum=0.0")

    def _rows(self, start: int, steps: int) -> NDArray[np.float64]:  # noqa: ARG002 - all steps are alike
        return make_table(
            self.columns,
            steps,
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            nesterov=self.nesterov,
            gradient_scale=1.0,
            weight_decay=self.weight_decay,
        )


@explained_class
@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, PyTorch's form).

    Weight decay is a term of the gradient, as in PyTorch's Adam, not AdamW's: for weights (not biases)
    g += weight_decay * w; then m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, and
    w -= learning_rate / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + epsilon).

    Parameters
    ----------
    learning_rate : float, default 1e-3
        > 0.
    beta1, beta2 : float, default 0.9 and 0.999
        >= 0 and < 1.
    epsilon : float, default 1e-8
        > 0.
    weight_decay : float, default 0.0
        >= 0.

    Raises
    ------
    TypeError, ValueError
        If a hyperparameter is not a number of its range.

    Examples
    --------
    >>> rows = Adam(0.5, beta1=0.5).scalars(start=0, steps=2)
    >>> rows[:, 0]  # learning_rate / (1 - beta1^t)
    array([1.        , 0.66666667])
    """

    name: ClassVar[str] = "adam"
    columns: ClassVar[tuple[str, ...]] = (
        "step_size",
        "beta1",
        "beta2",
        "one_minus_beta1",
        "one_minus_beta2",
        "inv_sqrt_correction2",
        "epsilon",
        "weight_decay",
    )

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "learning_rate", positive(self.learning_rate, "learning_rate"))
        object.__setattr__(self, "beta1", fraction(self.beta1, "beta1"))
        object.__setattr__(self, "beta2", fraction(self.beta2, "beta2"))
        object.__setattr__(self, "epsilon", positive(self.epsilon, "epsilon"))
        object.__setattr__(self, "weight_decay", not_negative(self.weight_decay, "weight_decay"))

    def _rows(self, start: int, steps: int) -> NDArray[np.float64]:
        step_size: float | NDArray[np.float64] = self.learning_rate
        correction: float | NDArray[np.float64] = 1.0
        if counts(self.beta1, start):
            step_size = self.learning_rate / (1.0 - powers(self.beta1, start, steps))
        if counts(self.beta2, start):
            correction = 1.0 / np.sqrt(1.0 - powers(self.beta2, start, steps))
        return make_table(
            self.columns,
            steps,
            step_size=step_size,
            beta1=self.beta1,
            beta2=self.beta2,
            one_minus_beta1=1.0 - self.beta1,
            one_minus_beta2=1.0 - self.beta2,
            inv_sqrt_correction2=correction,
            epsilon=self.epsilon,
            weight_decay=self.weight_decay,
        )


#: By name, in the order of csrc/ops.
OPTIMIZERS: dict[str, type[Optimizer]] = {kind.name: kind for kind in (SGD, Adam)}
OPTIMIZER_NAMES: tuple[str, ...] = tuple(OPTIMIZERS)


def as_optimizer(optimizer: str | Optimizer | None, name: str = "optimizer") -> Optimizer:
    """The optimizer meant by a name or an object; None means `Adam()`.

    Examples
    --------
    >>> as_optimizer("sgd")
    SGD(learning_rate=0.01, momentum=0.0, nesterov=False, weight_decay=0.0)
    """
    if optimizer is None:
        return Adam()
    return as_operation(optimizer, name, Optimizer, OPTIMIZERS)
