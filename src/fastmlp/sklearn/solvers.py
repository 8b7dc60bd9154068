"""The solvers as scikit-learn runs them, written as rows of scalars for the engine: `_optimizer` of an estimator.

A solver is an optimizer's rule with scikit-learn's learning rates, and the count of its steps; moments and velocities
live in the engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.spec import SGD, Adam, Schedule, make_table, powers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.spec import Optimizer

__all__ = ["AdamSolver", "OptimizerSolver", "SGDSolver", "Solver"]


class Solver(ABC):
    """Base of the solvers: a learning rate, how many steps were made, and when training is told to stop.

    Attributes
    ----------
    name : str
        Name by which engines know the update.
    learning_rate_init, learning_rate : float
        The rate at the beginning, and that of the last step (of the next one where it changes by the epoch).
    t : int
        Steps made.
    """

    name: str

    def __init__(self, learning_rate_init: float) -> None:
        self.learning_rate_init = learning_rate_init
        self.learning_rate = float(learning_rate_init)
        self.t = 0

    def scalars(self, weight_decay: NDArray[np.float64], factors: tuple[float, ...] = (1.0,)) -> NDArray[np.float64]:
        """Make the rows of scalars of the next steps, (len(weight_decay), columns), given the decay of each step.

        For each of the factors, which multiply the rate, there are all columns, one behind the other.
        """
        tables = [self._scalars(weight_decay, factor) for factor in factors]
        return tables[0] if len(tables) == 1 else np.concatenate(tables, axis=1)

    @abstractmethod
    def _scalars(self, weight_decay: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
        """Make the columns for a rate that is multiplied by `factor`."""

    def use(self, optimizer: Optimizer) -> None:
        """Go on with an optimizer that a callback sets."""
        raise ValueError(
            f"solver {self.name!r} has scikit-learn's rates: for callbacks that set {optimizer}, give "
            "optimizer=fastmlp.Adam() or another"
        )

    def advance(self, steps: int) -> None:
        """Count steps that have been made."""
        self.t += steps

    def end_epoch(self, rows_seen: int) -> None:  # noqa: B027 - most rates stay
        """Change the rate at the end of an epoch, given the rows of all epochs so far."""

    def stops(self, message: str, verbose: Any) -> bool:
        """Return whether training ends, where it no longer improves; print so if `verbose`."""
        if verbose:
            print(message + " Stopping.")
        return True


class SGDSolver(Solver):
    """Solver "sgd": velocity = momentum velocity - rate gradient, with (Nesterov's) momentum.

    The velocity remembers the rates of its past steps, so a rate scales the gradient and not the step.
    """

    name = SGD.name

    def __init__(
        self, learning_rate_init: float, lr_schedule: str, momentum: float, nesterov: bool, power_t: float
    ) -> None:
        super().__init__(learning_rate_init)
        self.lr_schedule = lr_schedule
        self.momentum = momentum
        self.nesterov = nesterov
        self.power_t = power_t

    def _scalars(self, weight_decay: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
        return make_table(
            SGD.columns,
            len(weight_decay),
            learning_rate=1.0,
            momentum=self.momentum,
            nesterov=self.nesterov,
            gradient_scale=factor * self.learning_rate,
            weight_decay=weight_decay,
        )

    def end_epoch(self, rows_seen: int) -> None:
        if self.lr_schedule == "invscaling":
            self.learning_rate = float(self.learning_rate_init) / (rows_seen + 1) ** self.power_t

    def stops(self, message: str, verbose: Any) -> bool:
        if self.lr_schedule != "adaptive":
            return super().stops(message, verbose)
        if self.learning_rate <= 1e-6:
            return super().stops(message + " Learning rate too small.", verbose)
        self.learning_rate /= 5.0
        if verbose:
            print(f"{message} Setting learning rate to {self.learning_rate:f}")
        return False


class AdamSolver(Solver):
    """Solver "adam": both bias corrections in the rate, epsilon outside (Kingma & Ba 2015, end of section 2)."""

    name = Adam.name

    def __init__(self, learning_rate_init: float, beta_1: float, beta_2: float, epsilon: float) -> None:
        super().__init__(learning_rate_init)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self._rates = np.empty(0)  # for the steps that `scalars` was last asked for

    def _scalars(self, weight_decay: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
        steps = len(weight_decay)
        correction1 = 1.0 - powers(float(self.beta_1), self.t, steps)
        correction2 = 1.0 - powers(float(self.beta_2), self.t, steps)
        self._rates = self.learning_rate_init * np.sqrt(correction2) / correction1
        return make_table(
            Adam.columns,
            steps,
            step_size=factor * self._rates,
            beta1=self.beta_1,
            beta2=self.beta_2,
            one_minus_beta1=1.0 - self.beta_1,
            one_minus_beta2=1.0 - self.beta_2,
            inv_sqrt_correction2=1.0,
            epsilon=self.epsilon,
            weight_decay=weight_decay,
        )

    def advance(self, steps: int) -> None:
        if steps:
            self.learning_rate = float(self._rates[steps - 1])
        super().advance(steps)


class OptimizerSolver(Solver):
    """An optimizer of `fastmlp` with its own rules and rates; its weight decay comes on top of alpha's."""

    def __init__(self, optimizer: Optimizer) -> None:
        rate = getattr(optimizer, "learning_rate", 0.0)
        super().__init__(rate(0) if isinstance(rate, Schedule) else rate)
        self.optimizer = optimizer
        self.name = optimizer.name
        self.epochs = 0

    def _scalars(self, weight_decay: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
        rows = self.optimizer.scalars(self.t, len(weight_decay), self.epochs, (factor,))
        rows[:, self.optimizer.columns.index("weight_decay")] += weight_decay
        return rows

    def use(self, optimizer: Optimizer) -> None:
        if optimizer.name != self.name:
            raise ValueError(f"this training goes on with {self.name}, and a callback sets {optimizer}")
        self.optimizer = optimizer

    def end_epoch(self, rows_seen: int) -> None:  # noqa: ARG002 - epochs count
        self.epochs += 1
