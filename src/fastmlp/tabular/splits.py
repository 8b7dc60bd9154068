"""Rows held out of what is given: one part to tell the best epoch by, or several, each the part of a network."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.tabular.training import Fold

__all__ = ["as_groups", "split"]

#: Fewer rows are all learnt from, to the last epoch: no part of them would tell one epoch from another.
FEWEST_ROWS: Final = 20
#: More rows held out tell nothing more.
MOST_HELD: Final = 50_000


def split(
    n_rows: int,
    classes: NDArray[np.int64] | None,
    groups: NDArray[np.int64] | None,
    *,
    fraction: float,
    count: int,
    seed: int,
) -> list[Fold] | None:
    """Return so many folds, rows to train on and rows held out, each class and whole groups in both; None for few rows.

    Parameters
    ----------
    n_rows : int
    classes, groups : ndarray of shape (n_rows,) or None
        Numbers of the rows' classes, of which each part has its share, and of groups that are not torn apart.
    fraction : float
        Share of the rows to hold out, of each fold where there is one; several are equal parts of all rows.
    count : int
        Number of folds.
    seed : int
    """
    if n_rows < FEWEST_ROWS:
        return None
    # It takes longer to import than all else here, and predictions do without.
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    parts = count if count > 1 else max(2, round(1.0 / fraction), -(-n_rows // MOST_HELD))
    if groups is not None:
        parts = min(parts, int(groups.max()) + 1)
        if parts < 2:
            raise ValueError("groups has one group only, of which no part can be held out: give an eval_set")
    if classes is not None and np.bincount(classes).max() < parts:
        classes = None  # a part cannot have a share of any
    options: dict[str, Any] = {"n_splits": parts, "shuffle": True, "random_state": seed}
    if groups is None:
        folds = KFold(**options) if classes is None else StratifiedKFold(**options)
    else:
        folds = GroupKFold(parts) if classes is None else StratifiedGroupKFold(**options)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)  # its rows go where they can
        pairs = folds.split(np.zeros(n_rows), classes, groups)
        chosen = [pair for _, pair in zip(range(max(1, count)), pairs, strict=False)]
    return [(np.asarray(train, np.int64), np.asarray(test, np.int64)) for train, test in chosen]


def as_groups(groups: Any, n_rows: int) -> NDArray[np.int64] | None:
    """Return the number of each row's group."""
    if groups is None:
        return None
    array = np.asarray(groups)
    if array.shape != (n_rows,):
        raise ValueError(f"groups must have shape ({n_rows},), one for each row of X, got {array.shape}")
    return np.unique(array, return_inverse=True)[1].reshape(-1).astype(np.int64)
