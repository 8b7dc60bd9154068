"""The records between estimators and solvers, of which neither knows the other's attributes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from fastmlp.spec import Array

__all__ = ["Problem", "Progress", "Rules"]


@dataclass
class Problem:
    """Rows to learn from as the engine reads them, and others (X, y, weight) to look at after every epoch."""

    X: Any  # ndarray or CSR
    y: Array
    weight: NDArray[np.float64] | None
    validation_set: tuple[Any, Array, NDArray[np.float64] | None] | None = None

    @property
    def n(self) -> int:
        """Number of rows."""
        rows: int = self.y.shape[0]
        return rows


@dataclass(frozen=True)
class Rules:
    """Parameters of an estimator, by their names, that say how a training by mini-batches goes and when it ends."""

    max_iter: int
    tol: float
    n_iter_no_change: float
    verbose: Any
    early_stopping: bool
    incremental: bool  # one epoch, and no warning that it was not enough


@dataclass
class Progress:
    """State of a training by mini-batches: scikit-learn's attributes, with which a later training goes on.

    Improvement is of the loss, or, with early stopping, of the score on a validation set.
    """

    n_iter: int = 0
    t: int = 0  # rows seen
    loss: float = math.nan
    loss_curve: list[float] = field(default_factory=list)
    best_loss: float | None = math.inf
    validation_scores: list[float] | None = None
    best_validation_score: float | None = None
    no_improvement_count: int = 0
    best_parameters: dict[str, Array] | None = None  # as the engine names them

    @classmethod
    def of(cls, attributes: Mapping[str, Any], early_stopping: bool) -> Progress:
        """Take the progress from an estimator's attributes, as a training of this kind has to find it."""
        known = {name: attributes[key] for name, key in ATTRIBUTES.items() if key in attributes}
        progress = cls(**known)
        if early_stopping:
            progress.best_loss = None
            if progress.validation_scores is None:
                progress.validation_scores, progress.best_validation_score = [], -math.inf
        elif progress.best_loss is None:
            progress.best_loss = math.inf
        return progress

    def attributes(self) -> dict[str, Any]:
        """Return the progress as attributes of an estimator."""
        values = {key: getattr(self, name) for name, key in ATTRIBUTES.items()}
        if not self.n_iter:
            del values[ATTRIBUTES["loss"]]
        if self.best_parameters is None:
            del values[ATTRIBUTES["best_parameters"]]
        return values

    def end_epoch(self, loss: float, rows: int) -> None:
        """Count an epoch with its loss and its number of rows."""
        self.n_iter += 1
        self.t += rows
        self.loss = loss
        self.loss_curve.append(loss)

    def compare_loss(self, tol: float) -> None:
        """Compare the epoch's loss, which may be NaN, with the best before it."""
        assert self.best_loss is not None
        worse = self.loss > self.best_loss - tol
        self.no_improvement_count = self.no_improvement_count + 1 if worse else 0
        self.best_loss = min(self.best_loss, self.loss) if self.loss == self.loss else self.best_loss

    def compare_score(self, score: float, tol: float) -> bool:
        """Compare the epoch's score with the best before it; return whether it is better, by however little."""
        assert self.validation_scores is not None
        assert self.best_validation_score is not None
        self.validation_scores.append(score)
        worse = score < self.best_validation_score + tol
        self.no_improvement_count = self.no_improvement_count + 1 if worse else 0
        if score > self.best_validation_score:
            self.best_validation_score = score
            return True
        return False


#: By field of `Progress`, the estimator's attribute.
ATTRIBUTES = {
    "n_iter": "n_iter_",
    "t": "t_",
    "loss": "loss_",
    "loss_curve": "loss_curve_",
    "best_loss": "best_loss_",
    "validation_scores": "validation_scores_",
    "best_validation_score": "best_validation_score_",
    "no_improvement_count": "_no_improvement_count",
    "best_parameters": "_best_parameters",
}
