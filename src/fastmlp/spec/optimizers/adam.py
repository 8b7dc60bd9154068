"""Adam and its kin: a mean of the gradients, over the root of a mean of their squares."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.spec.aliases import aliased
from fastmlp.spec.checks import check_fields, fraction, not_negative, positive
from fastmlp.spec.hints import explained_class
from fastmlp.spec.optimizers.base import Optimizer, decay, rate, share
from fastmlp.spec.scheduled import Schedule, value_of
from fastmlp.spec.tables import SHARED_COLUMNS, counts, make_table, powers, powers_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.spec.scheduled import Rate

__all__ = ["AMSGrad", "AdaMax", "Adam", "AdamW", "NAdam", "RAdam"]

#: How users call them.
Name: TypeAlias = Literal["adam", "adamw", "amsgrad", "nadam", "radam", "adamax"]

_MOMENTS = ("beta1", "beta2", "one_minus_beta1", "one_minus_beta2")
#: What PyTorch and Keras call the arguments of Adam and its kin.
other_names = aliased(lr="learning_rate", betas=("beta1", "beta2"), beta_1="beta1", beta_2="beta2", eps="epsilon")
_ADAM_COLUMNS = ("step_size", *_MOMENTS, "inv_sqrt_correction2", "epsilon", *SHARED_COLUMNS)


def correction_of(beta: float | Schedule, start: int, steps: int) -> float | NDArray[np.float64]:
    """1 - beta^t of every step, with each step's own beta; one number where no power counts any more."""
    if isinstance(beta, float):
        return 1.0 - powers(beta, start, steps) if counts(beta, start) else 1.0
    return 1.0 - powers_of(beta.values(start, steps), start)


@lru_cache(maxsize=16)
def _left_out(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return which of the columns of moments a rule does not have."""
    return tuple(name for name in (*_MOMENTS, "epsilon") if name not in columns)


@dataclass(frozen=True)
class _Moments(Optimizer):
    """Base of all of them, with the hyperparameters that they share."""

    learning_rate: float | Schedule = 1e-3
    beta1: float | Schedule = 0.9
    beta2: float | Schedule = 0.999
    epsilon: float = 1e-8
    weight_decay: float | Schedule = 0.0

    def __post_init__(self) -> None:
        check_fields(self, learning_rate=rate, beta1=share, beta2=share, epsilon=positive, weight_decay=decay)

    def _table(self, start: int, steps: int, **columns: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """The table of these columns and those that say how the moments move."""
        beta1, beta2 = value_of(self.beta1, start, steps), value_of(self.beta2, start, steps)
        columns |= {"beta1": beta1, "beta2": beta2, "one_minus_beta1": 1.0 - beta1, "one_minus_beta2": 1.0 - beta2}
        columns["epsilon"] = self.epsilon
        for name in _left_out(self.columns):
            del columns[name]
        return make_table(self.columns, steps, **columns)

    def _adam_table(self, start: int, steps: int, **columns: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """Adam's table, with these columns besides."""
        return self._table(
            start,
            steps,
            step_size=value_of(self.learning_rate, start, steps) / correction_of(self.beta1, start, steps),
            inv_sqrt_correction2=1.0 / np.sqrt(correction_of(self.beta2, start, steps)),
            **columns,
        )


@explained_class
@other_names
@dataclass(frozen=True)
class Adam(_Moments):
    """Adam (Kingma & Ba 2015, PyTorch's form).

    Weight decay is a term of the gradient, as in PyTorch's Adam, not AdamW's: for weights (not biases)
    g += weight_decay * w; then m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, and
    w -= learning_rate / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + epsilon).

    Parameters
    ----------
    learning_rate : float or Schedule, default 1e-3
        > 0.
    beta1, beta2 : float or Schedule, default 0.9 and 0.999
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

    Examples
    --------
    >>> rows = Adam(0.5, beta1=0.5).scalars(start=0, steps=2)
    >>> rows[:, 0]  # learning_rate / (1 - beta1^t)
    array([1.        , 0.66666667])
    """

    name: ClassVar[str] = "adam"
    columns: ClassVar[tuple[str, ...]] = _ADAM_COLUMNS

    if TYPE_CHECKING:

        def __init__(
            self, learning_rate: Rate = ..., beta1: Rate = ..., beta2: Rate = ..., epsilon: float = ...,
            weight_decay: Rate = ..., *, lr: Rate = ..., betas: tuple[Rate, Rate] = ..., beta_1: Rate = ...,
            beta_2: Rate = ..., eps: float = ...,
        ) -> None: ...  # fmt: skip

    def _rows(self, start: int, steps: int) -> NDArray[np.float64]:
        return self._adam_table(start, steps, weight_decay=value_of(self.weight_decay, start, steps))


@explained_class
@other_names
@dataclass(frozen=True)
class AdamW(_Moments):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    As `Adam`, but weights (not biases) lose learning_rate * weight_decay of themselves before the step, and their decay
    is not seen by the moments.

    Parameters
    ----------
    learning_rate : float or Schedule, default 1e-3
        > 0.
    beta1, beta2 : float or Schedule, default 0.9 and 0.999
        >= 0 and < 1.
    epsilon : float, default 1e-8
        > 0.
    weight_decay : float or Schedule, default 1e-2
        >= 0.
    lr, betas, eps, beta_1, beta_2 : optional
        PyTorch's and Keras's names of these, as keywords; betas is (beta1, beta2).

    Raises
    ------
    TypeError, ValueError
        If a hyperparameter is not a number of its range.

    Examples
    --------
    >>> AdamW(0.5, weight_decay=0.1).scalars(start=0, steps=1)[0, -1]  # learning_rate * weight_decay
    np.float64(0.05)
    """

    name: ClassVar[str] = "adamw"
    columns: ClassVar[tuple[str, ...]] = _ADAM_COLUMNS

    weight_decay: float | Schedule = 1e-2

    if TYPE_CHECKING:

        def __init__(
            self, learning_rate: Rate = ..., beta1: Rate = ..., beta2: Rate = ..., epsilon: float = ...,
            weight_decay: Rate = ..., *, lr: Rate = ..., betas: tuple[Rate, Rate] = ..., beta_1: Rate = ...,
            beta_2: Rate = ..., eps: float = ...,
        ) -> None: ...  # fmt: skip

    def _rows(self, start: int, steps: int) -> NDArray[np.float64]:
        shrinkage = value_of(self.learning_rate, start, steps) * value_of(self.weight_decay, start, steps)
        return self._adam_table(start, steps, shrinkage=shrinkage)


@explained_class
@other_names
@dataclass(frozen=True)
class AMSGrad(_Moments):
    """Adam whose steps never grow again where gradients were large once (Reddi et al. 2018).

    As `Adam` with the largest v so far in the place of v, PyTorch's `Adam(amsgrad=True)`.

    Parameters
    ----------
    learning_rate : float or Schedule, default 1e-3
        > 0.
    beta1, beta2 : float or Schedule, default 0.9 and 0.999
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

    Examples
    --------
    >>> AMSGrad().name
    'amsgrad'
    """

    name: ClassVar[str] = "amsgrad"
    columns: ClassVar[tuple[str, ...]] = _ADAM_COLUMNS

    if TYPE_CHECKING:

        def __init__(
            self, learning_rate: Rate = ..., beta1: Rate = ..., beta2: Rate = ..., epsilon: float = ...,
            weight_decay: Rate = ..., *, lr: Rate = ..., betas: tuple[Rate, Rate] = ..., beta_1: Rate = ...,
            beta_2: Rate = ..., eps: float = ...,
        ) -> None: ...  # fmt: skip

    def _rows(self, start: int, steps: int) -> NDArray[np.float64]:
        return self._adam_table(start, steps, weight_decay=value_of(self.weight_decay, start, steps))


@explained_class
@other_names
@dataclass(frozen=True)
class NAdam(_Moments):
    """Adam with Nesterov's momentum (Dozat 2016, PyTorch's form).

    With momenta mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2) and their product p_t, the step of `Adam` goes along
    (1 - mu_t) / (1 - p_t) g + mu_(t+1) / (1 - p_(t+1)) m in the place of m / (1 - beta1^t).

    Parameters
    ----------
    learning_rate : float or Schedule, default 2e-3
        > 0.
    beta1, beta2 : float, default 0.9 and 0.999
        >= 0 and < 1.
    epsilon : float, default 1e-8
        > 0.
    weight_decay : float or Schedule, default 0.0
        >= 0.
    momentum_decay : float, default 4e-3
        >= 0.
    lr, betas, eps, beta_1, beta_2 : optional
        PyTorch's and Keras's names of these, as keywords; betas is (beta1, beta2).

    Raises
    ------
    TypeError, ValueError
        If a hyperparameter is not a number of its range.

    Examples
    --------
    >>> NAdam().name
    'nadam'
    """

    name: ClassVar[str] = "nadam"
    columns: ClassVar[tuple[str, ...]] = (
        "gradient_size", "step_size", *_MOMENTS, "inv_sqrt_correction2", "epsilon", *SHARED_COLUMNS,
    )  # fmt: skip

    learning_rate: float | Schedule = 2e-3
    beta1: float = 0.9
    beta2: float = 0.999
    momentum_decay: float = 4e-3

    if TYPE_CHECKING:

        def __init__(
            self, learning_rate: Rate = ..., beta1: float = ..., beta2: float = ..., epsilon: float = ...,
            weight_decay: Rate = ..., momentum_decay: float = ..., *, lr: Rate = ...,
            betas: tuple[float, float] = ..., beta_1: float = ..., beta_2: float = ..., eps: float = ...,
        ) -> None: ...  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, beta1=fraction, beta2=fraction, momentum_decay=not_negative)

    def _rows(self, start: int, steps: int) -> NDArray[np.float64]:
        momenta, products = self._momenta(start, steps + 1)
        sizes = value_of(self.learning_rate, start, steps)
        return self._table(
            start,
            steps,
            gradient_size=sizes * (1.0 - momenta[:-1]) / (1.0 - products[:-1]),
            step_size=sizes * momenta[1:] / (1.0 - products[1:]),
            inv_sqrt_correction2=1.0 / np.sqrt(correction_of(self.beta2, start, steps)),
            weight_decay=value_of(self.weight_decay, start, steps),
        )

    def _momenta(self, start: int, steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Momenta of steps start + 1 ... start + steps, and the products of all up to each."""
        # Decimal's power is rounded correctly, so the same everywhere, which the C library's is not.
        import decimal

        shrinking = float(decimal.Context(prec=40).power(decimal.Decimal("0.96"), decimal.Decimal(self.momentum_decay)))
        momenta = self.beta1 * (1.0 - 0.5 * powers(shrinking, start, steps))
        if not counts(self.beta1, start):  # the product is smaller than beta1^t
            return momenta, np.zeros(steps)
        before = self.beta1 * (1.0 - 0.5 * powers(shrinking, 0, start)) if start else np.empty(0)
        with np.errstate(under="ignore"):
            return momenta, np.multiply.accumulate(np.concatenate([before, momenta]))[start:]


@explained_class
@other_names
@dataclass(frozen=True)
class RAdam(_Moments):
    """Adam that begins without the second moment, until enough is known of it (Liu et al. 2020).

    With r = 2 / (1 - beta2) - 1 and r_t = r - 2 t beta2^t / (1 - beta2^t): while r_t <= 5, w -= learning_rate * m /
    (1 - beta1^t); then `Adam`'s step, times sqrt((r_t - 4) (r_t - 2) r / ((r - 4) (r - 2) r_t)). epsilon is added to
    the root of v before its bias is corrected, as in PyTorch.

    Parameters
    ----------
    learning_rate : float or Schedule, default 1e-3
        > 0.
    beta1, beta2 : float, default 0.9 and 0.999
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

    Examples
    --------
    >>> RAdam().scalars(start=0, steps=7)[:, 5]  # whether it is rectified
    array([0., 0., 0., 0., 0., 1., 1.])
    """

    name: ClassVar[str] = "radam"
    columns: ClassVar[tuple[str, ...]] = ("step_size", *_MOMENTS, "rectified", "epsilon", *SHARED_COLUMNS)

    beta1: float = 0.9
    beta2: float = 0.999

    if TYPE_CHECKING:

        def __init__(
            self, learning_rate: Rate = ..., beta1: float = ..., beta2: float = ..., epsilon: float = ...,
            weight_decay: Rate = ..., *, lr: Rate = ..., betas: tuple[float, float] = ..., beta_1: float = ...,
            beta_2: float = ..., eps: float = ...,
        ) -> None: ...  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, beta1=fraction, beta2=fraction)

    def _rows(self, start: int, steps: int) -> NDArray[np.float64]:
        power = powers(self.beta2, start, steps)
        correction = 1.0 - power
        limit = 2.0 / (1.0 - self.beta2) - 1.0
        known = limit - 2.0 * (np.arange(steps) + (start + 1.0)) * power / correction
        rectified = known > 5.0
        size = np.where(rectified, np.sqrt(correction), 1.0)
        known = known[rectified]
        size[rectified] *= np.sqrt((known - 4.0) * (known - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * known))
        return self._table(
            start,
            steps,
            step_size=value_of(self.learning_rate, start, steps) / correction_of(self.beta1, start, steps) * size,
            rectified=rectified.astype(np.float64),
            weight_decay=value_of(self.weight_decay, start, steps),
        )


@explained_class
@other_names
@dataclass(frozen=True)
class AdaMax(_Moments):
    """Adam with the largest gradient in the place of the second moment (Kingma & Ba 2015, section 7).

    m = beta1 m + (1 - beta1) g, u = max(beta2 u, |g| + epsilon), and w -= learning_rate / (1 - beta1^t) * m / u.

    Parameters
    ----------
    learning_rate : float or Schedule, default 2e-3
        > 0.
    beta1, beta2 : float or Schedule, default 0.9 and 0.999
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

    Examples
    --------
    >>> AdaMax().name
    'adamax'
    """

    name: ClassVar[str] = "adamax"
    columns: ClassVar[tuple[str, ...]] = ("step_size", "beta1", "beta2", "one_minus_beta1", "epsilon", *SHARED_COLUMNS)

    learning_rate: float | Schedule = 2e-3

    if TYPE_CHECKING:

        def __init__(
            self, learning_rate: Rate = ..., beta1: Rate = ..., beta2: Rate = ..., epsilon: float = ...,
            weight_decay: Rate = ..., *, lr: Rate = ..., betas: tuple[Rate, Rate] = ..., beta_1: Rate = ...,
            beta_2: Rate = ..., eps: float = ...,
        ) -> None: ...  # fmt: skip

    def _rows(self, start: int, steps: int) -> NDArray[np.float64]:
        return self._table(
            start,
            steps,
            step_size=value_of(self.learning_rate, start, steps) / correction_of(self.beta1, start, steps),
            weight_decay=value_of(self.weight_decay, start, steps),
        )
