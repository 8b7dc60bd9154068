"""The arguments of `MLP.fit` and `MLP.step`, checked before anything changes: the rows, and how a step goes about them.

An argument about data belongs to `Rows`, one about the steps to `Steps`, one about how long a training goes on to
`Limits`; who hears of it stays with `fit`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.data import (
    Data,
    as_data,
    as_validation,
    chosen,
    count_classes,
    names_of,
    split_rows,
    with_class_weight,
)
from fastmlp.data.sparse import Sparse
from fastmlp.spec import (
    LBFGS,
    NO_CLIP,
    NO_RATES,
    Optimizer,
    Rates,
    Rprop,
    ScheduleFreeAdamW,
    as_clip,
    as_method,
    as_rates,
)
from fastmlp.spec.checks import flag, fraction, integer, not_negative, positive, real
from fastmlp.train.learner import NO_OPTIONS, StepOptions
from fastmlp.train.limits import SecondsLimit, StepLimit, Tolerance
from fastmlp.train.source import in_order, of_rows, shuffled, source_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastmlp.data import Finite, Table
    from fastmlp.network.measures import Measures
    from fastmlp.spec import Array, Method, NetworkSpec
    from fastmlp.train.callbacks import Callback, LoopCallback
    from fastmlp.train.course import Course
    from fastmlp.train.learner import Learner
    from fastmlp.train.source import Source

__all__ = [
    "Limits",
    "Rows",
    "Steps",
    "as_limits",
    "as_rows",
    "as_steps",
    "check_lazy",
    "check_together",
    "refuse_beside",
    "refuse_dense",
]


# ---- rows -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rows:
    """The rows of a training.

    Attributes
    ----------
    data : Data
        What is trained on, with the weights of the classes; all of it, or `part`.
    plain : Data
        What is trained on, with the weights of the rows alone, by which it is measured.
    validation : dict of str to Data
        What is measured beside it, by name.
    names : tuple of str, or None
        Names of X's columns.
    part : ndarray of int64, or None
        The numbers of the rows that are trained on; None: all are.
    """

    data: Data
    plain: Data
    validation: dict[str, Data]
    names: tuple[str, ...] | None
    part: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.plain)

    @property
    def n_rows(self) -> int:
        """Number of rows in an epoch."""
        return len(self)

    @property
    def trained(self) -> Data:
        """The rows that are trained on, with the weights of the classes."""
        return self.data if self.part is None else chosen(self.data, self.part)

    def source(self, net: Measures, shuffle: bool, seed: int | None = None, sparse: bool = False) -> Source:
        """Return what an epoch reads: all rows, in an order that a seed, the network's, and the epoch's number give.

        Sparse rows stay so with `sparse`.
        """
        seed = net.seed if seed is None else seed
        order = shuffled(net._backend.permutation, seed, len(self)) if shuffle else in_order(len(self))
        return source_of(self.data, order if self.part is None else of_rows(self.part, order), sparse)


def as_rows(
    net: Measures,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    class_weight: Any = None,
    validation_data: Any = None,
    validation_split: Any = None,
    seed: int = 0,
    finite: Finite | None = None,
    stacklevel: int = 4,  # of a warning: this, fit, what explains its arguments, the caller
) -> Rows:
    """Check the arguments that have rows; X may be the `Rows` that have come of that already."""
    if isinstance(X, Rows):
        return X
    spec = net._learner.spec
    data = as_data(spec, X, y, sample_weight, finite=finite, columns=net.feature_names)
    if net._loss_by_default:
        _doubt_regression(spec, data.y, stacklevel + 1)
    names = net.feature_names or names_of(X)
    validation = as_validation(spec, validation_data, finite, names)
    if validation_split is None:
        return Rows(with_class_weight(spec, data, class_weight), data, validation, names)
    if "val" in validation:
        raise ValueError("validation_split holds out the set 'val', which validation_data has, too: call it otherwise")
    part, held = split_rows(spec, data, validation_split, net._backend.permutation, seed)
    plain, held_out = chosen(data, part), chosen(data, held)
    weighted = with_class_weight(spec, plain, class_weight)
    if weighted.weight is not plain.weight:
        weight = np.zeros(len(data))
        weight[part] = weighted.weight
        data = Data(data.X, data.y, weight)
    return Rows(data, plain, {"val": held_out, **validation}, names, part)


def _doubt_regression(spec: NetworkSpec, y: Array, stacklevel: int) -> None:
    """Warn the caller of `fit` where the targets look like the numbers of classes, and nobody chose the loss."""
    classes = count_classes(y)
    if classes:
        sizes = [*spec.sizes[:-1], classes]
        warnings.warn(
            f"y has the whole numbers 0 to {classes - 1}, which look like classes, and this network fits them as "
            f"quantities, by the squared error. If they are classes, make it MLP({sizes}, output='softmax'); "
            "if not, MLP(..., loss='squared_error') says so.",
            UserWarning,
            stacklevel=stacklevel,
        )


# ---- steps ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Steps:
    """How a step goes about its rows.

    Attributes
    ----------
    method : Optimizer, LBFGS or None
        What makes the steps; None: the optimizer that is in use when they begin.
    rates : Rates
        What the learning rate is multiplied by.
    options : StepOptions
        What a step does besides.
    """

    method: Optimizer | LBFGS | None
    rates: Rates = NO_RATES
    options: StepOptions = NO_OPTIONS


def as_steps(
    net: Measures,
    optimizer: Method | None,
    *,
    clip_norm: object = None,
    clip_value: object = None,
    ema: object = None,
    swa: object = None,
    mixup: object = 0.0,
    lr_factors: object = None,
    lazy: object = False,
) -> Steps:
    """Check the arguments that say how a step is made."""
    learner = net._learner
    method = None if optimizer is None else as_method(optimizer)
    options = StepOptions(
        as_clip(clip_norm, clip_value),
        0.0 if ema is None else 1.0 - _decay(ema),
        _first_epoch(swa, learner),
        _mixed(mixup, learner.spec),
        lazy=flag(lazy, "lazy"),
    )
    if options.average and options.swa:
        raise ValueError("ema and swa are two averages, of which a network keeps one: give one of them")
    rates = as_rates(lr_factors, len(learner.spec.layers))
    check_together(method or learner.optimizer, rates, options, learner.spec.max_norm)
    if options.lazy:
        check_lazy(learner, options)
    if isinstance(method, LBFGS):
        _refuse_steps(learner.spec, options)
    return Steps(method, rates, options)


def check_together(used: Optimizer | LBFGS | None, rates: Rates, options: StepOptions, max_norm: object) -> None:
    """Refuse what does not go together with an optimizer."""
    if rates != NO_RATES and isinstance(used, LBFGS | Rprop):
        kind = type(used).__name__
        raise ValueError(f"lr_factors multiply the learning rate of every step, and {kind} has none: give None")
    if options.lazy and isinstance(used, Optimizer) and not used.lazy:
        raise ValueError(
            f"lazy=True leaves weights out of steps, and {type(used).__name__} needs them in each: give False"
        )
    if options.lazy and options.clip.norm is not None:
        raise ValueError("lazy=True makes no gradient of all weights, of which clip_norm is the norm: give clip_value")
    if isinstance(used, ScheduleFreeAdamW):
        for name, given in (("ema", options.average), ("swa", options.swa), ("max_norm", max_norm)):
            if given:
                raise ValueError(f"{name} is not for ScheduleFreeAdamW, whose weights are a mean already")


def refuse_beside(options: StepOptions, *, per_sample: bool, comm: bool) -> None:
    """Refuse what a training is to do besides, where steps like these cannot."""
    if per_sample and options.mixup:
        raise ValueError(f"per_sample notes rows of X, and mixup={options.mixup!r} mixes them: give one of the two")
    if options.lazy and per_sample:
        raise ValueError("per_sample looks at every column of X, which lazy=True does not: give one of the two")
    if options.lazy and comm:
        raise ValueError(
            "lazy=True updates by the columns of a rank's own rows, and comm has others': give one of the two"
        )


def refuse_dense(X: Array | Table, options: StepOptions) -> None:
    """Refuse rows that are not sparse, where the update is to be lazy."""
    if options.lazy and not isinstance(X, Sparse):
        raise ValueError("lazy=True is for rows of one sparse matrix, and X is none: pass scipy.sparse.csr_array(X)")


def check_lazy(learner: Learner, options: StepOptions) -> None:
    """Refuse what would have every column in a batch, where a step is to touch only those that there are."""
    faults = {
        "input_dropout": learner.spec.dropout_rates[0],
        "input_noise": learner.spec.input_noise,
        "normalize": learner.normalizing.inputs is not None,
        "mixup": options.mixup,
        "dtype='bfloat16'": learner.spec.bfloat16,
    }
    for name, given in faults.items():
        if given:
            raise ValueError(f"lazy=True is for sparse rows that are read as they are, and {name} changes them")


def _refuse_steps(spec: NetworkSpec, options: StepOptions) -> None:
    """Refuse what is for steps, of which L-BFGS makes none."""
    faults = {
        "max_norm bounds the weights after each step": spec.max_norm,
        "clip_norm and clip_value are for steps": options.clip != NO_CLIP,
        "dropout and noise are for steps": any((*spec.dropout_rates, spec.input_noise)),
        "ema is an average over steps": options.average,
        "swa is an average over epochs of steps": options.swa,
        "mixup mixes the rows of steps": options.mixup,
        "lazy=True leaves weights out of steps": options.lazy,
    }
    for fault, given in faults.items():
        if given:
            raise ValueError(f"{fault}, of which LBFGS makes none")


def _decay(ema: object) -> float:
    """Check the argument ``ema``."""
    decay = fraction(ema, "ema")
    if decay == 0.0:
        raise ValueError("ema must be > 0 and < 1, got 0.0")
    return decay


def _mixed(mixup: object, spec: NetworkSpec) -> float:
    """Check the argument ``mixup``."""
    alpha = not_negative(mixup, "mixup")
    if alpha and spec.loss.leaves_out:
        raise ValueError(f"mixup must be 0 with {spec.loss!r}: rows without target have none to mix, got {alpha}")
    if alpha and not spec.loss.mixes:
        raise ValueError(
            f"mixup must be 0 with the loss {spec.loss.name!r}, for which nothing is between two targets, got {alpha}"
        )
    return alpha


def _first_epoch(swa: object, learner: Learner) -> int:
    """Check the argument ``swa``; 0 where it is None."""
    if swa is None:
        return 0
    first = integer(swa, "swa", 1)
    if first <= learner.epoch and "average" not in learner.engine.kinds:
        raise ValueError(
            f"swa must be an epoch that is still to come, {learner.epoch + 1} or a later one, where no average has "
            f"been begun, got {first}"
        )
    return first


# ---- limits ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limits:
    """How long a training goes on.

    Attributes
    ----------
    epochs, max_steps, max_seconds, tol, target_loss : number or None
        None: without this limit.
    patience : int
        Of `tol`.
    """

    epochs: int | None
    max_steps: int | None
    max_seconds: float | None
    tol: float | None
    patience: int
    target_loss: float | None

    def of_search(self, method: LBFGS) -> Limits:
        """Return the limits of a search by L-BFGS, whose iterations are the epochs, and which makes no steps."""
        if self.max_steps is not None:
            raise ValueError("max_steps counts steps, of which LBFGS makes none")
        return replace(self, epochs=method.max_iter or self.epochs)

    def callbacks(self, course: Course, monitor: str) -> list[LoopCallback]:
        """Make the loop's callbacks that stop there, whose number and kinds depend on the arguments alone."""
        found: list[LoopCallback] = []
        if self.max_steps is not None:
            found.append(StepLimit(course, self.max_steps))
        if self.max_seconds is not None:
            found.append(SecondsLimit(self.max_seconds))
        if self.tol is not None or self.target_loss is not None:
            found.append(Tolerance(monitor, self.tol, self.patience, self.target_loss))
        return found


def as_limits(
    epochs: object,
    max_steps: object,
    max_seconds: object,
    tol: object,
    patience: object,
    target_loss: object,
    called: Sequence[Callback],
) -> Limits:
    """Check the arguments that end a training."""
    limits = Limits(
        None if epochs is None else integer(epochs, "epochs", 1),
        None if max_steps is None else integer(max_steps, "max_steps", 1),
        None if max_seconds is None else positive(max_seconds, "max_seconds"),
        None if tol is None else not_negative(tol, "tol"),
        integer(patience, "patience", 1),
        None if target_loss is None else real(target_loss, "target_loss"),
    )
    ends = limits.max_steps, limits.max_seconds, limits.tol, limits.target_loss
    if limits.epochs is None and all(end is None for end in ends) and not called:
        raise TypeError(
            "epochs must be an integer, got None, which goes on until something else ends the training: give "
            "max_steps, max_seconds, tol, ..."
        )
    return limits
