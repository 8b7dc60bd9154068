"""Optimizers that divide a gradient by the root of a sum or mean of its squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.spec.aliases import aliased
from fastmlp.spec.checks import check_fields, flag, not_negative, positive
from fastmlp.spec.hints import explained_class
from fastmlp.spec.optimizers.base import Optimizer, decay, rate, share
from fastmlp.spec.scheduled import Schedule, value_of
from fastmlp.spec.tables import SHARED_COLUMNS, make_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.spec.scheduled import Rate

__all__ = ["Adadelta", "Adagrad", "RMSprop"]

#: How users call them.
Name: TypeAlias = Literal["rmsprop", "adagrad", "adadelta"]


@explained_class
@aliased(lr="learning_rate", alpha="rho", eps="epsilon")
@dataclass(frozen=True)
class RMSprop(Optimizer):
    """Gradients over the root of a mean of their squares (Tieleman and Hinton 2012, PyTorch's form).

    For weights (not biases) g += weight_decay * w; then v = rho v + (1 - rho) g^2, less the square of the mean of g if
    centered (Graves 2013), d = g / (sqrt(v) + epsilon), buf = momentum * buf + d, and w -= learning_rate * buf.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.01
        > 0.
    rho : float or Schedule, default 0.99
        >= 0 and < 1.
    epsilon : float, default 1e-8
        > 0.
    weight_decay : float or Schedule, default 0.0
        >= 0.
    momentum : float or Schedule, default 0.0
        >= 0 and < 1.
    centered : bool, default False
    lr, alpha, eps : optional
        PyTorch's names of learning_rate, rho and epsilon, as keywords.

    Raises
    ------
    TypeError, ValueError
        If a hyperparameter is not a number of its range.

    Examples
    --------
    >>> RMSprop(centered=True).name
    'rmsprop'
    """

    name: ClassVar[str] = "rmsprop"
    columns: ClassVar[tuple[str, ...]] = (
        "learning_rate", "rho", "one_minus_rho", "epsilon", "centered", "momentum", *SHARED_COLUMNS,
    )  # fmt: skip

    learning_rate: float | Schedule = 0.01
    rho: float | Schedule = 0.99
    epsilon: float = 1e-8
    weight_decay: float | Schedule = 0.0
    momentum: float | Schedule = 0.0
    centered: bool = False

    if TYPE_CHECKING:

        def __init__(
            self, learning_rate: Rate = ..., rho: Rate = ..., epsilon: float = ..., weight_decay: Rate = ...,
            momentum: Rate = ..., centered: bool = ..., *, lr: Rate = ..., alpha: Rate = ..., eps: float = ...,
        ) -> None: ...  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(
            self,
            learning_rate=rate,
            rho=share,
            epsilon=positive,
            weight_decay=decay,
            momentum=share,
            centered=flag,
        )

    def _rows(self, start: int, steps: int) -> NDArray[np.float64]:
        rho = value_of(self.rho, start, steps)
        return make_table(
            self.columns,
            steps,
            learning_rate=value_of(self.learning_rate, start, steps),
            rho=rho,
            one_minus_rho=1.0 - rho,
            epsilon=self.epsilon,
            centered=self.centered,
            momentum=value_of(self.momentum, start, steps),
            weight_decay=value_of(self.weight_decay, start, steps),
        )


@explained_class
@aliased(lr="learning_rate", lr_decay="learning_rate_decay", eps="epsilon")
@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Gradients over the root of the sum of their squares (Duchi et al. 2011, PyTorch's form).

    For weights (not biases) g += weight_decay * w; then v += g^2 and w -= r g / (sqrt(v) + epsilon) with
    r = learning_rate / (1 + (t - 1) learning_rate_decay) in step t.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.01
        > 0.
    learning_rate_decay : float, default 0.0
        >= 0.
    epsilon : float, default 1e-10
        > 0.
    weight_decay : float or Schedule, default 0.0
        >= 0.
    lr, lr_decay, eps : optional
        PyTorch's names of these, as keywords.

    Raises
    ------
    TypeError, ValueError
        If a hyperparameter is not a number of its range.

    Examples
    --------
    >>> Adagrad(1.0, learning_rate_decay=1.0).scalars(start=0, steps=2)[:, 0]
    array([1. , 0.5])
    """

    name: ClassVar[str] = "adagrad"
    columns: ClassVar[tuple[str, ...]] = ("learning_rate", "epsilon", *SHARED_COLUMNS)

    learning_rate: float | Schedule = 0.01
    learning_rate_decay: float = 0.0
    epsilon: float = 1e-10
    weight_decay: float | Schedule = 0.0

    if TYPE_CHECKING:

        def __init__(
            self, learning_rate: Rate = ..., learning_rate_decay: float = ..., epsilon: float = ...,
            weight_decay: Rate = ..., *, lr: Rate = ..., lr_decay: float = ..., eps: float = ...,
        ) -> None: ...  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(self, learning_rate=rate, learning_rate_decay=not_negative, epsilon=positive, weight_decay=decay)

    def _rows(self, start: int, steps: int) -> NDArray[np.float64]:
        decayed = value_of(self.learning_rate, start, steps)
        if self.learning_rate_decay != 0.0:
            made: NDArray[np.float64] = np.arange(steps, dtype=np.float64) + float(start)
            decayed = decayed / (1.0 + self.learning_rate_decay * made)
        return make_table(
            self.columns,
            steps,
            learning_rate=decayed,
            epsilon=self.epsilon,
            weight_decay=value_of(self.weight_decay, start, steps),
        )


@explained_class
@aliased(lr="learning_rate", eps="epsilon")
@dataclass(frozen=True)
class Adadelta(Optimizer):
    """Steps of the size of past steps (Zeiler 2012, PyTorch's form).

    For weights (not biases) g += weight_decay * w; then v = rho v + (1 - rho) g^2, d = sqrt((u + epsilon) /
    (v + epsilon)) g with u the same mean of the squares of past d, and w -= learning_rate * d.

    Parameters
    ----------
    learning_rate : float or Schedule, default 1.0
        > 0.
    rho : float or Schedule, default 0.9
        >= 0 and < 1.
    epsilon : float, default 1e-6
        > 0.
    weight_decay : float or Schedule, default 0.0
        >= 0.
    lr, eps : optional
        PyTorch's names of these, as keywords.

    Raises
    ------
    TypeError, ValueError
        If a hyperparameter is not a number of its range.

    Examples
    --------
    >>> Adadelta().name
    'adadelta'
    """

    name: ClassVar[str] = "adadelta"
    columns: ClassVar[tuple[str, ...]] = ("learning_rate", "rho", "one_minus_rho", "epsilon", *SHARED_COLUMNS)

    learning_rate: float | Schedule = 1.0
    rho: float | Schedule = 0.9
    epsilon: float = 1e-6
    weight_decay: float | Schedule = 0.0

    if TYPE_CHECKING:

        def __init__(
            self, learning_rate: Rate = ..., rho: Rate = ..., epsilon: float = ..., weight_decay: Rate = ..., *,
            lr: Rate = ..., eps: float = ...,
        ) -> None: ...  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(self, learning_rate=rate, rho=share, epsilon=positive, weight_decay=decay)

    def _rows(self, start: int, steps: int) -> NDArray[np.float64]:
        rho = value_of(self.rho, start, steps)
        return make_table(
            self.columns,
            steps,
            learning_rate=value_of(self.learning_rate, start, steps),
            rho=rho,
            one_minus_rho=1.0 - rho,
            epsilon=self.epsilon,
            weight_decay=value_of(self.weight_decay, start, steps),
        )
