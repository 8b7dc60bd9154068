"""Muon, which takes each layer's weights as a whole matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.spec.aliases import aliased
from fastmlp.spec.checks import check_fields, flag, fraction, integer, not_negative, positive, real, shown
from fastmlp.spec.hints import explained_class
from fastmlp.spec.optimizers.adam import correction_of
from fastmlp.spec.optimizers.base import Optimizer, decay, rate, share
from fastmlp.spec.scheduled import Schedule, value_of
from fastmlp.spec.tables import SHARED_COLUMNS, make_table, powers_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.spec.scheduled import Rate

    #: Of a table: a number for all steps, or one for each.
    Column: TypeAlias = float | NDArray[np.float64]

__all__ = ["Muon"]

#: How users call them.
Name: TypeAlias = Literal["muon"]


def _three_numbers(value: object, name: str) -> tuple[float, float, float]:
    """Return three finite numbers."""
    if not isinstance(value, (tuple, list)) or len(value) != 3:
        raise TypeError(f"{name} must be three numbers, got {shown(value)}")
    first, third, fifth = (real(each, f"{name}[{place}]") for place, each in enumerate(value))
    return first, third, fifth


@explained_class
@aliased(lr="learning_rate", eps="epsilon")
@dataclass(frozen=True)
class Muon(Optimizer):
    """Momentum made orthogonal by Newton's and Schulz's iteration for weights (Jordan et al. 2024), AdamW for others.

    A layer's weights W (n_in, n_out) are taken as one matrix: m = momentum m + (1 - momentum) g, then
    u = momentum m + (1 - momentum) g if nesterov, else m, y = u / (|u| + epsilon), and `ns_steps` times
    y = a y + b y y^T y + c y (y^T y)^2, which brings all singular values near 1. The step is W -= learning_rate
    (sqrt(max(1, n_out / n_in)) y + weight_decay W). Biases, and with `hidden_only` also the weights of the first and
    the last layer, take a step of `AdamW` at a learning rate of their own.

    A step costs some 5 products of a layer's weights with themselves more, whatever the batch: it is made for large
    batches.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.02
        > 0. Of the orthogonal steps.
    momentum : float or Schedule, default 0.95
        >= 0 and < 1.
    weight_decay : float or Schedule, default 0.0
        >= 0. Decoupled; biases do not decay.
    nesterov : bool, default True
        Look ahead by one gradient more.
    ns_steps : int, default 5
        From 1 to 100.
    epsilon : float, default 1e-7
        > 0. What is added to a matrix's norm.
    ns_coefficients : tuple of three floats, default (3.4445, -4.775, 2.0315)
        a, b and c.
    consistent_rms : float, default 0.0
        > 0: the entries of a step have this root mean square whatever its shape, by a factor of
        consistent_rms sqrt(max(n_in, n_out)) in the place of sqrt(max(1, n_out / n_in)); with 0.2, learning rates and
        decays are those that are good for AdamW (Liu et al. 2025).
    bias_correction : bool, default False
        Divide the momentum by 1 - momentum^(t + 1) and the gradient by 1 - momentum^t, as optax does.
    hidden_only : bool, default False
        Leave the first and the last layer to AdamW, as the author advises for embeddings and heads.
    adam_lr_ratio : float, default 0.05
        > 0. AdamW's learning rate is that of the orthogonal steps times this: 1e-3 by default.
    adam_beta1, adam_beta2 : float, default 0.9 and 0.999
        >= 0 and < 1.
    adam_epsilon : float, default 1e-8
        > 0.
    lr, eps : optional
        PyTorch's names of the learning rate and of epsilon, as keywords.

    Raises
    ------
    TypeError, ValueError
        If a hyperparameter is not a number of its range.

    Notes
    -----
    The same steps elsewhere: `torch.optim.Muon` iterates in bfloat16 and divides by the larger of |u| and eps, and
    takes matrices alone (``adjust_lr_fn="match_rms_adamw"`` is ``consistent_rms=0.2`` here). `optax.contrib.muon`
    corrects the momentum's bias, and where it is Nesterov's, its Adam is NAdam. `keras.optimizers.Muon` calls
    the two factors ``rms_rate`` and ``adam_lr_ratio``.

    Examples
    --------
    >>> import fastmlp
    >>> net = fastmlp.MLP([4, 16, 16, 1], seed=0)
    >>> history = net.fit([[0, 1, 2, 3], [3, 2, 1, 0]], [0, 1], epochs=100, optimizer=fastmlp.Muon(0.02))
    >>> history["loss"][-1] < 1e-3
    True
    """

    name: ClassVar[str] = "muon"
    columns: ClassVar[tuple[str, ...]] = (
        "step_size", "beta1", "beta2", "one_minus_beta1", "one_minus_beta2", "inv_sqrt_correction2", "epsilon",
        "adam_decay", "learning_rate", "decay", "momentum", "one_minus_momentum", "of_momentum", "of_gradient",
        "smallest_norm", "consistent_rms", "hidden_only", "ns_steps", "ns_first", "ns_third", "ns_fifth",
        *SHARED_COLUMNS,
    )  # fmt: skip
    lazy: ClassVar[bool] = False  # weights are taken as whole matrices

    learning_rate: float | Schedule = 0.02
    momentum: float | Schedule = 0.95
    weight_decay: float | Schedule = 0.0
    nesterov: bool = True
    ns_steps: int = 5
    epsilon: float = 1e-7
    ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315)
    consistent_rms: float = 0.0
    bias_correction: bool = False
    hidden_only: bool = False
    adam_lr_ratio: float = 0.05
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8

    if TYPE_CHECKING:

        def __init__(
            self, learning_rate: Rate = ..., momentum: Rate = ..., weight_decay: Rate = ..., nesterov: bool = ...,
            ns_steps: int = ..., epsilon: float = ..., ns_coefficients: tuple[float, float, float] = ...,
            consistent_rms: float = ..., bias_correction: bool = ..., hidden_only: bool = ...,
            adam_lr_ratio: float = ..., adam_beta1: float = ..., adam_beta2: float = ..., adam_epsilon: float = ...,
            *, lr: Rate = ..., eps: float = ...,
        ) -> None: ...  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(
            self,
            learning_rate=rate,
            momentum=share,
            weight_decay=decay,
            nesterov=flag,
            ns_steps=lambda value, name: integer(value, name, 1, 100),
            epsilon=positive,
            ns_coefficients=_three_numbers,
            consistent_rms=not_negative,
            bias_correction=flag,
            hidden_only=flag,
            adam_lr_ratio=positive,
            adam_beta1=fraction,
            adam_beta2=fraction,
            adam_epsilon=positive,
        )

    def _parts(self, start: int, steps: int) -> tuple[Column, Column]:
        """What the momentum and the gradient are multiplied by in the direction of each step."""
        momentum = value_of(self.momentum, start, steps)
        of_momentum, of_gradient = (momentum, 1.0 - momentum) if self.nesterov else (1.0, 0.0)
        if not self.bias_correction:
            return of_momentum, of_gradient
        of_momentum = of_momentum / self._correction(start, steps, start + self.nesterov)
        return of_momentum, of_gradient / self._correction(start, steps, start)

    def _correction(self, start: int, steps: int, made: int) -> Column:
        """Return 1 - momentum^(made + 1) of the first of these steps, and so on."""
        if isinstance(self.momentum, float):
            return correction_of(self.momentum, made, steps)
        return 1.0 - powers_of(self.momentum.values(start, steps), made)

    def _rows(self, start: int, steps: int) -> NDArray[np.float64]:
        rates, momentum = value_of(self.learning_rate, start, steps), value_of(self.momentum, start, steps)
        decay = value_of(self.weight_decay, start, steps)
        of_momentum, of_gradient = self._parts(start, steps)
        first, third, fifth = self.ns_coefficients
        return make_table(
            self.columns,
            steps,
            step_size=rates * self.adam_lr_ratio / correction_of(self.adam_beta1, start, steps),
            beta1=self.adam_beta1,
            beta2=self.adam_beta2,
            one_minus_beta1=1.0 - self.adam_beta1,
            one_minus_beta2=1.0 - self.adam_beta2,
            inv_sqrt_correction2=1.0 / np.sqrt(correction_of(self.adam_beta2, start, steps)),
            epsilon=self.adam_epsilon,
            adam_decay=rates * self.adam_lr_ratio * decay,
            learning_rate=rates,
            decay=rates * decay,
            momentum=momentum,
            one_minus_momentum=1.0 - momentum,
            of_momentum=of_momentum,
            of_gradient=of_gradient,
            smallest_norm=self.epsilon,
            consistent_rms=self.consistent_rms,
            hidden_only=self.hidden_only,
            ns_steps=self.ns_steps,
            ns_first=first,
            ns_third=third,
            ns_fifth=fifth,
        )
