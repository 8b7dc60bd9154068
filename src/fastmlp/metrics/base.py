"""A metric: a number for the outputs of a network on rows with targets, which it is shown some rows at a time."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.data import as_real, as_weights, chunks
from fastmlp.spec import Array, Loss, NetworkSpec, SquaredError
from fastmlp.spec.checks import flag, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Function", "Mean", "Metric", "Mode", "Score", "Task", "Whole"]

#: Whether more of a metric is better, or less.
#:
#: >>> fastmlp.metrics.METRICS["accuracy"].mode
#: 'max'
Mode: TypeAlias = Literal["max", "min"]


@dataclass(frozen=True)
class Task:
    """What outputs and targets are, to a metric.

    Attributes
    ----------
    kind : {"classes", "answers", "numbers"}
        Classes: of a row's outputs the largest tells its class; targets are numbers of classes (n,), or a matrix whose
        largest entry in a row does. Answers: every output is a yes from `threshold` on, and so is every target.
        Numbers: outputs are estimates of targets.
    n_outputs : int
        Columns of the outputs; of several for each target, of those that a metric is taken of (`Metric.columns`).
    loss : Loss
        What is minimised.
    probabilities : bool
        Whether outputs lie between 0 and 1.

    Examples
    --------
    >>> import fastmlp, numpy
    >>> task = fastmlp.metrics.Task("classes", 3, fastmlp.CrossEntropy())
    >>> task.n_classes, task.classes(numpy.array([[0.2, 0.7, 0.1]])).tolist()
    (3, [1])
    """

    kind: Literal["classes", "answers", "numbers"]
    n_outputs: int
    loss: Loss
    probabilities: bool = True

    @classmethod
    def of(cls, spec: NetworkSpec) -> Task:
        """Find out what a network's outputs are, from its loss."""
        loss = spec.loss
        kind: Literal["classes", "answers", "numbers"] = "numbers"
        if loss.metric == "accuracy":
            kind = "classes" if loss.labels else "answers"
        return cls(kind, loss.target_width(spec.sizes[-1]), loss, spec.output.name in ("softmax", "logistic"))

    @property
    def gaps(self) -> bool:
        """Whether a row may lack some of its targets, which are NaN then. (Rows that lack all are not shown.)"""
        return self.loss.ignores_nan and self.n_outputs > 1

    @property
    def threshold(self) -> float:
        """The number from which on an output, or a target, is a yes: the middle of what targets may be."""
        interval = self.loss.targets
        middle = (interval.low + interval.high) / 2
        return float(middle) if np.isfinite(middle) else 0.5

    @property
    def n_classes(self) -> int:
        """How many classes a row may have; a single yes or no are two. 0 for several answers."""
        if self.kind == "answers":
            return 2 if self.n_outputs == 1 else 0
        return self.n_outputs

    def classes(self, values: Array) -> NDArray[np.intp]:
        """Tell the classes of rows from their outputs or targets."""
        if self.kind == "answers":
            return self.answers(values)[:, 0].astype(np.intp)
        return values.astype(np.intp) if values.ndim == 1 else values.argmax(axis=1)

    def answers(self, values: Array) -> NDArray[np.bool_]:
        """Tell the answers, yes or no, from outputs or targets."""
        yes: NDArray[np.bool_] = values >= self.threshold
        return yes

    def numbers(self, y: Array) -> NDArray[np.float64]:
        """Return targets as numbers to compare outputs with: a class is 1 in its column, and 0 in the others."""
        rows = y if y.ndim > 1 else y[:, np.newaxis] == np.arange(self.n_outputs)
        numbers: NDArray[np.float64] = rows.astype(np.float64)
        return numbers


class Score(ABC):
    """Base of the metrics in the making: they are shown rows, and then tell their value."""

    @abstractmethod
    def add(self, y: Array, outputs: Array, weight: NDArray[np.float64]) -> None:
        """Take in some rows: targets, outputs (rows, n_outputs), weights (rows,)."""

    @abstractmethod
    def value(self) -> float:
        """Return the metric of all rows that were added."""


@dataclass(frozen=True)
class Metric(ABC):
    """Base of the metrics, whose objects are functions: ``accuracy(y_true, y_pred)`` gives a number.

    Attributes
    ----------
    name : str
        What history, logs and results call it; on validation data with ``val_`` before it.
    mode : {"max", "min"} or None
        Whether large or small is good; None where nobody knows.

    Examples
    --------
    >>> import fastmlp
    >>> metric = fastmlp.metrics.F1("macro")
    >>> metric.name, metric.mode, metric([0, 1, 1], [0, 1, 1])
    ('f1_macro', 'max', 1.0)
    """

    kind: ClassVar[str]
    mode: ClassVar[Mode | None] = "max"
    takes_gaps: ClassVar[bool] = False  # whether it leaves out targets that are NaN
    of_classes: ClassVar[bool] = False  # or of answers: 1-D predictions of an integer dtype are then numbers of classes

    @property
    def name(self) -> str:
        """What history, logs and results call it."""
        return self.kind

    def check(self, task: Task) -> None:  # noqa: B027 - most are defined for all
        """Raise a ValueError if it is not defined for such outputs and targets."""

    def columns(self, loss: Loss, outputs: Array) -> Array:
        """Return the outputs that it is taken of, where there are several for each target."""
        return loss.estimates(outputs)

    @abstractmethod
    def start(self, task: Task, y: Array, weight: NDArray[np.float64] | None) -> Score:
        """Begin with a score of rows with these targets and weights, which are then added in their order."""

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None, *, multilabel: bool = False) -> float:
        """Compute the metric.

        Parameters
        ----------
        y_true : array_like of shape (n,) or (n, K)
            Targets. Of metrics of classes: numbers of classes (n,), yes and no as 1 and 0 (n,), or a row of indicators
            or probabilities for each, (n, K).
        y_pred : array_like of shape (n,) or (n, K)
            What `MLP.predict` returns. Metrics of classes also take integers (n,), the numbers of predicted classes.
        sample_weight : array_like of shape (n,), optional
            Weights of the rows.
        multilabel : bool
            Whether a matrix y_true has K answers, yes or no, of each row, in place of its class.

        Returns
        -------
        float

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.
        """
        task, y, outputs = _arranged(y_true, y_pred, self.of_classes, flag(multilabel, "multilabel"))
        self.check(task)
        weight = as_weights(sample_weight, len(y))
        score = self.start(task, y, weight)
        with np.errstate(all="ignore"):
            for part in chunks(len(y), outputs.shape[1]):
                score.add(y[part], outputs[part], np.ones(len(y[part])) if weight is None else weight[part])
            return score.value()


def _arranged(y_true: Any, y_pred: Any, of_classes: bool, multilabel: bool) -> tuple[Task, Array, Array]:
    """Arrange a caller's targets and predictions as the engine has them, and say what they are."""
    y, outputs = as_real(y_true, "y_true"), as_real(y_pred, "y_pred")
    if of_classes and outputs.ndim == 1 and outputs.dtype.kind in "iub" and y.ndim == 1 and len(y):
        width = max(2, int(max(outputs.max(initial=0), y.max())) + 1)
        outputs = (_labels(outputs, width, "y_pred")[:, np.newaxis] == np.arange(width)).astype(np.float64)
    outputs = outputs[:, np.newaxis] if outputs.ndim == 1 else outputs
    if outputs.ndim != 2 or not len(outputs):
        raise ValueError(f"y_pred has shape {outputs.shape}; it must be (n,) or (n, K), with at least one row")
    n, width = outputs.shape
    if y.shape == (n,) and (width == 1 or not of_classes):
        y = y[:, np.newaxis]
    if y.shape not in ((n, width), (n,)) or (y.ndim == 1 and not of_classes):
        raise ValueError(f"y_true has shape {y.shape} and y_pred {np.shape(y_pred)}: they do not go together")
    if not of_classes:
        return Task("numbers", width, SquaredError(), probabilities=False), y, outputs
    if width == 1 or (multilabel and y.ndim == 2):
        return Task("answers", width, SquaredError()), y, outputs
    return Task("classes", width, SquaredError()), _labels(y, width, "y_true") if y.ndim == 1 else y, outputs


def _labels(y: Array, n_classes: int, name: str) -> Array:
    """Check numbers of classes."""
    if y.dtype.kind not in "iub" or y.min() < 0 or y.max() >= n_classes:
        raise ValueError(f"{name} must hold the numbers of classes, integers from 0 to {n_classes - 1}")
    return y.astype(np.int64)


class Mean(Score):
    """The mean over rows of what a function makes of each, (rows,) or (rows, columns); `end` makes one of columns'."""

    def __init__(self, of_rows: Callable[[Array, Array], Array], end: Callable[[Any], Any] = np.mean) -> None:
        self.of_rows, self.end = of_rows, end
        self.sums: Any = 0.0
        self.total = 0.0

    def add(self, y: Array, outputs: Array, weight: NDArray[np.float64]) -> None:
        values = self.of_rows(y, outputs)
        self.sums = self.sums + ((weight if values.ndim == 1 else weight[:, np.newaxis]) * values).sum(axis=0)
        self.total += float(weight.sum())

    def value(self) -> float:
        return float(self.end(self.sums / self.total))


class MeanOfThere(Score):
    """The mean over rows of what a function makes of each output, of those that have a target.

    `end` makes one number of the columns' means; without, it is the mean over all of them.
    """

    def __init__(self, of_rows: Callable[[Array, Array], Array], end: Callable[[Any], Any] | None = np.mean) -> None:
        self.of_rows, self.end = of_rows, end
        self.sums: Any = 0.0
        self.totals: Any = 0.0

    def add(self, y: Array, outputs: Array, weight: NDArray[np.float64]) -> None:
        there = ~np.isnan(y)
        values = np.where(there, self.of_rows(y, outputs), 0.0)
        self.sums = self.sums + (weight[:, np.newaxis] * values).sum(axis=0)
        self.totals = self.totals + (weight[:, np.newaxis] * there).sum(axis=0)

    def value(self) -> float:
        if self.end is None:
            return float(self.sums.sum() / self.totals.sum())
        any_there = self.totals > 0
        return float(self.end(self.sums[any_there] / self.totals[any_there]))


class Whole(Score):
    """A score that needs all rows at once, and memory for their outputs: `of_all` is told targets, outputs, weights."""

    def __init__(
        self,
        of_all: Callable[[Array, Array, NDArray[np.float64] | None], float],
        y: Array,
        weight: NDArray[np.float64] | None,
    ) -> None:
        self.of_all, self.y, self.weight = of_all, y, weight
        self.outputs: Array | None = None
        self.at = 0

    def add(self, y: Array, outputs: Array, weight: NDArray[np.float64]) -> None:  # noqa: ARG002
        if self.outputs is None:
            self.outputs = np.empty((len(self.y), outputs.shape[1]), outputs.dtype)
        self.outputs[self.at : self.at + len(outputs)] = outputs
        self.at += len(outputs)

    def value(self) -> float:
        assert self.outputs is not None
        return self.of_all(self.y, self.outputs, self.weight)


# What scikit-learn's names of functions promise.
_ENDINGS: dict[str, Mode] = {"_score": "max", "_error": "min", "_loss": "min", "_deviance": "min"}


@dataclass(frozen=True)
class Function(Metric):
    """A user's function ``f(y_true, y_pred)`` in the place of a metric, known by its ``__name__``.

    It is given arrays (n,) where there is one output. Sample weights go to its parameter ``sample_weight`` if it has
    one; without, all rows count alike. Rows without target are left out; where a row may lack some of several, these
    are NaN. Its `mode` is its attribute of this name, or what scikit-learn promises of functions whose names end in
    ``_score``, ``_error``, ``_loss`` or ``_deviance``.
    """

    takes_gaps: ClassVar[bool] = True  # it is shown them

    function: Callable[..., Any]

    @property
    def name(self) -> str:
        """The function's own."""
        return str(self.function.__name__)

    @property
    def mode(self) -> Mode | None:  # type: ignore[override]
        """What the function says of itself, or its name."""
        own = getattr(self.function, "mode", None)
        if own in ("max", "min"):
            return "max" if own == "max" else "min"
        return next((mode for ending, mode in _ENDINGS.items() if self.name.endswith(ending)), None)

    def columns(self, loss: Loss, outputs: Array) -> Array:  # noqa: ARG002
        """Return all outputs."""
        return outputs

    def start(self, task: Task, y: Array, weight: NDArray[np.float64] | None) -> Score:  # noqa: ARG002
        return Whole(self._of_all, y, weight)

    def _of_all(self, y: Array, outputs: Array, weight: NDArray[np.float64] | None) -> float:
        arrays = [array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array for array in (y, outputs)]
        keywords = {"sample_weight": weight} if "sample_weight" in _parameters(self.function) else {}
        result = self.function(*arrays, **keywords)
        try:
            return float(result)
        except (TypeError, ValueError):
            raise TypeError(f"the metric {self.name} must return a number, got {shown(result)}") from None


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(function).parameters)
    except ValueError:  # of a function in C that does not tell
        return ()
