"""Optimizers without a second moment: gradient descent, and those that look at signs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.spec.aliases import aliased
from fastmlp.spec.checks import check_fields, flag, fraction, positive
from fastmlp.spec.hints import explained_class
from fastmlp.spec.optimizers.base import Optimizer, decay, rate, share
from fastmlp.spec.scheduled import Schedule, value_of
from fastmlp.spec.tables import SHARED_COLUMNS, make_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.spec.scheduled import Rate

__all__ = ["SGD", "Lion", "Rprop"]

#: How users call them.
Name: TypeAlias = Literal["sgd", "lion", "rprop"]


@explained_class
@aliased(lr="learning_rate")
@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent with momentum (Polyak 1964; Nesterov as in Sutskever et al. 2013, PyTorch's form).

    For weights (not biases) g += weight_decay * w; then buf = momentum * buf + (1 - dampening) * g, in the first step
    buf = g, and w -= learning_rate * d with d = g + momentum * buf if nesterov, else buf.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.01
        > 0.
    momentum : float or Schedule, default 0.0
        >= 0 and < 1. Where it is 0, buf rests as it is.
    nesterov : bool, default False
        Needs momentum > 0 and no dampening.
    weight_decay : float or Schedule, default 0.0
        >= 0.
    dampening : float, default 0.0
        >= 0 and < 1; of the gradient, where there is a momentum.
    lr : optional
        PyTorch's name of the learning rate, as a keyword.

    Raises
    ------
    TypeError, ValueError
        If a hyperparameter is not a number of its range.

    Examples
    --------
    >>> SGD(0.1, momentum=0.9).scalars(start=0, steps=1)
    array([[0.1, 0.9, 0. , 1. , 0. , 0. ]])
    """

    name: ClassVar[str] = "sgd"
    later: ClassVar[tuple[str, ...]] = ("dampening",)
    columns: ClassVar[tuple[str, ...]] = ("learning_rate", "momentum", "nesterov", "gradient_scale", *SHARED_COLUMNS)

    learning_rate: float | Schedule = 0.01
    momentum: float | Schedule = 0.0
    nesterov: bool = False
    weight_decay: float | Schedule = 0.0
    dampening: float = 0.0

    if TYPE_CHECKING:

        def __init__(
            self, learning_rate: Rate = ..., momentum: Rate = ..., nesterov: bool = ..., weight_decay: Rate = ...,
            dampening: float = ..., *, lr: Rate = ...,
        ) -> None: ...  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(self, learning_rate=rate, momentum=share, nesterov=flag, weight_decay=decay, dampening=fraction)
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov=True needs momentum > 0, got momentum=0.0")
        if self.nesterov and self.dampening != 0.0:
            raise ValueError(f"nesterov=True needs dampening=0.0, got dampening={self.dampening!r}")

    def _rows(self, start: int, steps: int) -> NDArray[np.float64]:
        momentum = value_of(self.momentum, start, steps)
        scale: float | NDArray[np.float64] = 1.0
        if self.dampening != 0.0:
            scale = np.full(steps, 1.0 - self.dampening)
            scale[np.broadcast_to(np.equal(momentum, 0.0), steps)] = 1.0
            if start == 0:
                scale[:1] = 1.0  # the buffer begins as the gradient
        return make_table(
            self.columns,
            steps,
            learning_rate=value_of(self.learning_rate, start, steps),
            momentum=momentum,
            nesterov=self.nesterov,
            gradient_scale=scale,
            weight_decay=value_of(self.weight_decay, start, steps),
        )


@explained_class
@aliased(lr="learning_rate", betas=("beta1", "beta2"), beta_1="beta1", beta_2="beta2")
@dataclass(frozen=True)
class Lion(Optimizer):
    """Evolved sign momentum (Chen et al. 2023): every parameter moves by the learning rate, up or down.

    w -= learning_rate * sign(beta1 m + (1 - beta1) g), after weights (not biases) have lost
    learning_rate * weight_decay of themselves; then m = beta2 m + (1 - beta2) g. Rates are 3 to 10 times smaller than
    Adam's, and weight decays as much larger.

    Parameters
    ----------
    learning_rate : float or Schedule, default 1e-4
        > 0.
    beta1, beta2 : float or Schedule, default 0.9 and 0.99
        >= 0 and < 1.
    weight_decay : float or Schedule, default 0.0
        >= 0.
    lr, betas, beta_1, beta_2 : optional
        PyTorch's and Keras's names of these, as keywords; betas is (beta1, beta2).

    Raises
    ------
    TypeError, ValueError
        If a hyperparameter is not a number of its range.

    Examples
    --------
    >>> Lion().name
    'lion'
    """

    name: ClassVar[str] = "lion"
    columns: ClassVar[tuple[str, ...]] = (
        "learning_rate", "beta1", "beta2", "one_minus_beta1", "one_minus_beta2", *SHARED_COLUMNS,
    )  # fmt: skip

    learning_rate: float | Schedule = 1e-4
    beta1: float | Schedule = 0.9
    beta2: float | Schedule = 0.99
    weight_decay: float | Schedule = 0.0

    if TYPE_CHECKING:

        def __init__(
            self, learning_rate: Rate = ..., beta1: Rate = ..., beta2: Rate = ..., weight_decay: Rate = ..., *,
            lr: Rate = ..., betas: tuple[Rate, Rate] = ..., beta_1: Rate = ..., beta_2: Rate = ...,
        ) -> None: ...  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(self, learning_rate=rate, beta1=share, beta2=share, weight_decay=decay)

    def _rows(self, start: int, steps: int) -> NDArray[np.float64]:
        beta1, beta2 = (value_of(beta, start, steps) for beta in (self.beta1, self.beta2))
        return make_table(
            self.columns,
            steps,
            learning_rate=value_of(self.learning_rate, start, steps),
            beta1=beta1,
            beta2=beta2,
            one_minus_beta1=1.0 - beta1,
            one_minus_beta2=1.0 - beta2,
            shrinkage=value_of(self.learning_rate, start, steps) * value_of(self.weight_decay, start, steps),
        )


@explained_class
@aliased(lr="learning_rate", etas=("eta_minus", "eta_plus"), step_sizes=("smallest_step", "largest_step"))
@dataclass(frozen=True)
class Rprop(Optimizer):
    """Resilient backpropagation (Riedmiller and Braun 1993, PyTorch's form), for steps over all rows.

    Every parameter has a step of its own, at first the learning rate: it is multiplied by eta_plus where the gradient
    has the sign of the last step's, and by eta_minus where it has turned; there the parameter rests once. Signs of
    small batches turn by chance, so take a batch of all rows.

    Parameters
    ----------
    learning_rate : float, default 0.01
        > 0.
    eta_minus, eta_plus : float, default 0.5 and 1.2
        Between 0 and 1, and greater than 1.
    smallest_step, largest_step : float, default 1e-6 and 50.0
        > 0, the first not above the other.
    lr, etas, step_sizes : optional
        PyTorch's names of these, as keywords; the last two are pairs.

    Raises
    ------
    TypeError, ValueError
        If a hyperparameter is not a number of its range.

    Examples
    --------
    >>> Rprop(0.1).scalars(start=0, steps=2)[:, 5]  # the first step
    array([1., 0.])
    """

    name: ClassVar[str] = "rprop"
    columns: ClassVar[tuple[str, ...]] = (
        "initial_step", "eta_minus", "eta_plus", "smallest_step", "largest_step", "first", *SHARED_COLUMNS,
    )  # fmt: skip
    lazy: ClassVar[bool] = False  # every weight has its step size, and the sign of its gradient, from the step before

    learning_rate: float = 0.01
    eta_minus: float = 0.5
    eta_plus: float = 1.2
    smallest_step: float = 1e-6
    largest_step: float = 50.0

    if TYPE_CHECKING:

        def __init__(
            self, learning_rate: float = ..., eta_minus: float = ..., eta_plus: float = ...,
            smallest_step: float = ..., largest_step: float = ..., *, lr: float = ...,
            etas: tuple[float, float] = ..., step_sizes: tuple[float, float] = ...,
        ) -> None: ...  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(
            self,
            learning_rate=positive,
            eta_minus=positive,
            eta_plus=positive,
            smallest_step=positive,
            largest_step=positive,
        )
        if self.eta_minus >= 1.0:
            raise ValueError(f"eta_minus must be < 1, got {self.eta_minus!r}")
        if self.eta_plus <= 1.0:
            raise ValueError(f"eta_plus must be > 1, got {self.eta_plus!r}")
        if self.smallest_step > self.largest_step:
            raise ValueError(
                f"smallest_step must not be above largest_step={self.largest_step!r}, got {self.smallest_step!r}"
            )

    def _rows(self, start: int, steps: int) -> NDArray[np.float64]:
        first: float | NDArray[np.float64] = 0.0
        if start == 0:
            first = np.zeros(steps)
            first[:1] = 1.0
        return make_table(
            self.columns,
            steps,
            initial_step=self.learning_rate,
            eta_minus=self.eta_minus,
            eta_plus=self.eta_plus,
            smallest_step=self.smallest_step,
            largest_step=self.largest_step,
            first=first,
        )
