"""Schedule-free optimizers: a running mean of the weights in the place of a schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.spec.checks import check_fields, fraction, positive
from fastmlp.spec.hints import explained_class
from fastmlp.spec.optimizers.adam import correction_of, other_names
from fastmlp.spec.optimizers.base import Optimizer, decay, rate, share
from fastmlp.spec.scheduled import Schedule, value_of
from fastmlp.spec.tables import SHARED_COLUMNS, make_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.spec.scheduled import Rate

__all__ = ["ScheduleFreeAdamW"]

#: How users call them.
Name: TypeAlias = Literal["schedule_free_adamw"]


@explained_class
@other_names
@dataclass(frozen=True)
class ScheduleFreeAdamW(Optimizer):
    """AdamW with a mean of the weights in the place of momentum and of a schedule (Defazio et al. 2024).

    There are three points: z, which steps are made of, x, a mean of all z so far, and y = (1 - beta1) z + beta1 x,
    where gradients g are taken. With v = beta2 v + (1 - beta2) g^2, z -= learning_rate (g / (sqrt(v / (1 - beta2^t)) +
    epsilon) + weight_decay y) for weights (biases do not decay), and x += c (z - x): c = r^2 / (sum of r^2 of all steps
    so far), with r the largest learning rate so far; 1 / t for one that is constant.

    The network's weights are x: what `predict`, `evaluate`, `weights` and files have, after `fit` and in callbacks at
    the ends of epochs. The training loss is that of y, which is in the network while the engine makes steps, so that a
    prediction by another thread in the middle of an epoch is by y. A training begins at z, x and the y of both, so
    that it goes on to the same bits, saved and loaded or not; weights that were set meanwhile are a new x.

    Take no schedule that falls: constant rates, a few times Adam's, or one with a warm-up, are what it is made for.
    Not with `fit(ema=...)` or a network's max_norm.

    Parameters
    ----------
    learning_rate : float or Schedule, default 2.5e-3
        > 0. (The authors' implementations have a `warmup_steps`: here, a schedule's ``warmup``.) A schedule by epochs
        counts as constant for c.
    beta1 : float, default 0.9
        >= 0 and < 1.
    beta2 : float or Schedule, default 0.999
        >= 0 and < 1.
    epsilon : float, default 1e-8
        > 0.
    weight_decay : float or Schedule, default 0.0
        >= 0.
    lr, betas, eps, beta_1, beta_2 : optional
        PyTorch's and Keras's names of these, as keywords; betas is (beta1, beta2).

    Raises
    ------
    TypeError, ValueError
        If a hyperparameter is not a number of its range.

    Notes
    -----
    optax's `schedule_free_adamw` computes x from y and z in every step, where here it is kept, lets biases decay, and
    takes for c the learning rate of the step that follows.

    Examples
    --------
    >>> ScheduleFreeAdamW().scalars(start=0, steps=3)[:, 6]  # c
    array([1.        , 0.5       , 0.33333333])
    """

    name: ClassVar[str] = "schedule_free_adamw"
    columns: ClassVar[tuple[str, ...]] = (
        "learning_rate", "beta2", "one_minus_beta2", "inv_sqrt_correction2", "epsilon", "interpolation", "share",
        *SHARED_COLUMNS,
    )  # fmt: skip
    lazy: ClassVar[bool] = False  # x is the mean of z at all steps

    learning_rate: float | Schedule = 2.5e-3
    beta1: float = 0.9
    beta2: float | Schedule = 0.999
    epsilon: float = 1e-8
    weight_decay: float | Schedule = 0.0

    if TYPE_CHECKING:

        def __init__(
            self, learning_rate: Rate = ..., beta1: float = ..., beta2: Rate = ..., epsilon: float = ...,
            weight_decay: Rate = ..., *, lr: Rate = ..., betas: tuple[float, Rate] = ..., beta_1: float = ...,
            beta_2: Rate = ..., eps: float = ...,
        ) -> None: ...  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(self, learning_rate=rate, beta1=fraction, beta2=share, epsilon=positive, weight_decay=decay)

    def scalars(
        self, start: int, steps: int, epoch: int = 0, factors: tuple[float, ...] = (1.0,)
    ) -> NDArray[np.float64]:
        """As `Optimizer.scalars`; x is one mean of the whole network, whatever the factors of learning rates."""
        table = super().scalars(start, steps, epoch, factors)
        given = self.learning_rate
        if not isinstance(given, Schedule) or given.by == "epoch":
            shares = 1.0 / (np.arange(steps) + (start + 1.0))
        else:
            shares = _shares(given, start, steps)
        table[:, self.columns.index("share") :: len(self.columns)] = shares[:, None]
        return table

    def _rows(self, start: int, steps: int) -> NDArray[np.float64]:
        rates, beta2 = value_of(self.learning_rate, start, steps), value_of(self.beta2, start, steps)
        return make_table(
            self.columns,
            steps,
            learning_rate=rates,
            beta2=beta2,
            one_minus_beta2=1.0 - beta2,
            inv_sqrt_correction2=1.0 / np.sqrt(correction_of(self.beta2, start, steps)),
            epsilon=self.epsilon,
            interpolation=self.beta1,
            share=0.0,  # which `scalars` knows
            shrinkage=rates * value_of(self.weight_decay, start, steps),
        )


#: By schedule: a number of steps, the largest rate in them, and the sum of the squares. An epoch begins where the last
#: one ended; without, each would go through all steps before it.
_SO_FAR: dict[Schedule, tuple[int, float, float]] = {}


def _shares(learning_rate: Schedule, start: int, steps: int) -> NDArray[np.float64]:
    """Return each step's part of the sum of squares of the largest rate so far; 0 where that is 0."""
    made, largest, total = _SO_FAR.get(learning_rate, (0, 0.0, 0.0))
    if made > start:
        made, largest, total = 0, 0.0, 0.0
    rates = learning_rate.values(made, start - made + steps)
    most = np.maximum.accumulate(np.concatenate([[largest], rates]))
    weights = (most * most)[1:]
    totals = np.add.accumulate(np.concatenate([[total], weights]))
    if len(_SO_FAR) > 8:
        _SO_FAR.clear()
    _SO_FAR[learning_rate] = start + steps, float(most[-1]), float(totals[-1])
    shares: NDArray[np.float64] = np.divide(weights, totals[1:], out=np.zeros_like(weights), where=totals[1:] > 0.0)
    return shares[start - made :]
