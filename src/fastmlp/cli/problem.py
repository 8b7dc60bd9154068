"""What is to be learnt from a table: which column from which, classes or numbers, from which rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from fastmlp.cli.files import FileTable, gaps, kind_of, label_of
from fastmlp.cli.models import as_targets
from fastmlp.cli.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastmlp.spec import Array

__all__ = ["Problem", "Task", "as_problem", "split"]

Task: TypeAlias = Literal["classification", "regression"]

MOST_CLASSES: Final = 20
"""Of whole numbers that are taken for classes."""
DIFFERENT: Final = 0.9
"""Texts of which so large a share are different, such as names and keys, tell one row from another and no more."""
MANY_ROWS: Final = 50
"""So that they do."""


@dataclass
class Problem:
    """A table to learn from, and what.

    Attributes
    ----------
    features : FileTable
    target : str
    task : {"classification", "regression"}
    classes : tuple of str or int, or None
        In their order; None for a regression.
    y : ndarray of shape (n,)
        Numbers of classes (int64), or targets (float64).
    left_out : dict of str to str
        Columns that nothing is learnt from, and why.
    warnings : list of str
    """

    features: FileTable
    target: str
    task: Task
    classes: tuple[str | int | float, ...] | None
    y: Array
    left_out: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def labels_of(self, y: Array) -> Array:
        """Return targets as an estimator is to learn them: classes as they are, or numbers."""
        return y if self.classes is None else np.array(self.classes)[y]

    def apply(self, table: FileTable) -> tuple[FileTable, Array]:
        """Return another table's features and targets, as this one has them."""
        kinds = {name: kind_of(column) for name, column in self.features.columns.items()}
        features = table.like(kinds)
        features.refuse_infinities()
        return features, as_targets(table, table.find(self.target, "the target"), self.classes)


def as_problem(
    table: FileTable,
    target: str,
    task: Task | Literal["auto"],
    ignored: Sequence[str] = (),
    categorical: Sequence[str] = (),
    skip_empty: bool = False,
) -> Problem:
    """Find out what is to be learnt.

    Parameters
    ----------
    table : FileTable
    target : str
        The name, or the number, of the column to predict.
    task : {"auto", "classification", "regression"}
        Auto: text is classes, and so are whole numbers, if there are at most 20 different ones.
    ignored, categorical : sequence of str
        Columns to leave out, and columns of numbers that are names of categories.
    skip_empty : bool
        Whether to leave out rows without a target.

    Raises
    ------
    ValueError
        There is nothing to learn; the message names file, line and column.
    """
    name = table.find(target, "--target")
    left_out = {table.find(each, "--ignore"): "ignored" for each in ignored}
    if name in left_out:
        raise ValueError(f"--ignore has {name!r}, which is the target")
    as_text = {table.find(each, "--categorical"): "category" for each in categorical}
    for each in as_text:
        table.columns[each] = table.like({each: "category"}).columns[each]
    found = list(table.warnings)
    missing = gaps(table.columns[name])
    if missing.all():
        raise ValueError(f"{table.path}, column {name!r}: is empty in all rows, and is what is to be predicted")
    if missing.any():
        count, first = int(missing.sum()), int(missing.argmax())
        if not skip_empty:
            where = table.place(first, name) + (f", and in {count - 1:,} other rows" if count > 1 else "")
            raise ValueError(f"{where}: is empty, and is what is to be predicted; --skip-empty leaves such rows out")
        table = table.rows(np.flatnonzero(~missing))
        found.append(f"{table.path}: {counted(count, 'row')} without a {name!r} are left out")
    classes = _classes(table, name, task)
    y = as_targets(table, name, classes)
    if classes is None:
        _check_numbers(table, name, y)
    features = table.without([name])
    left_out |= {each: why for each, why in _useless(features).items() if each not in left_out}
    found += [f"column {each!r} is left out: {why}" for each, why in left_out.items() if why != "ignored"]
    features = features.without(left_out)
    if not features.columns:
        why = "".join(f"; {each!r} is left out: {reason}" for each, reason in [*left_out.items()][:3])
        raise ValueError(f"{table.path}: no column is left to predict {name!r} from{why}")
    features.refuse_infinities()
    if classes is not None:
        counts = np.bincount(y, minlength=len(classes))
        rare = [label_of(each) for each, count in zip(classes, counts, strict=True) if count < 3]
        if rare:
            found.append(f"of the class {', '.join(rare[:8])} there are fewer than three rows, which tell little")
    kind: Task = "regression" if classes is None else "classification"
    return Problem(features, name, kind, classes, y, left_out, found)


def _classes(table: FileTable, name: str, task: Task | Literal["auto"]) -> tuple[str | int | float, ...] | None:
    """Return the classes of a column; None if it is numbers to be predicted."""
    column = table.columns[name]
    kind = kind_of(column)
    if kind == "date":
        raise ValueError(f"{table.path}, column {name!r}: has dates, which cannot be predicted")
    if task == "regression":
        return None
    known = column[~gaps(column)]
    if kind == "category":
        texts = sorted(set(known.tolist()))
        if len(texts) > MANY_ROWS and len(texts) > DIFFERENT * len(known):
            raise ValueError(f"{table.path}, column {name!r}: {len(texts):,} different texts cannot be classes, such "
                             f"as {texts[0]!r:.40}")  # fmt: skip
        return _several(table, name, tuple(texts))
    values = np.unique(known)
    whole = bool((values == np.round(values)).all())
    if task == "auto" and not (whole and len(values) <= MOST_CLASSES):
        return None
    if not np.isfinite(values).all():
        raise ValueError(f"{table.path}, column {name!r}: infinity is no class")
    return _several(table, name, tuple(int(each) if whole else float(each) for each in values))


def _several(table: FileTable, name: str, classes: tuple[str | int | float, ...]) -> tuple[str | int | float, ...]:
    if len(classes) < 2:
        only = f"is {label_of(classes[0])!r:.60} in all rows"
        raise ValueError(f"{table.path}, column {name!r}: {only}, so that there is nothing to learn")
    return classes


def _check_numbers(table: FileTable, name: str, y: Array) -> None:
    wrong = np.flatnonzero(~np.isfinite(y))
    if wrong.size:
        raise ValueError(f"{table.place(int(wrong[0]), name)}: is infinite, and is what is to be predicted")
    if (y == y[0]).all():
        raise ValueError(f"{table.path}, column {name!r}: is {y[0]:g} in all rows, so that there is nothing to learn")


def _useless(table: FileTable) -> dict[str, str]:
    """Return columns that nothing can be learnt from, and why."""
    found = {}
    for place, (name, column) in enumerate(table.columns.items()):
        missing = gaps(column)
        if missing.all():
            found[name] = "it is empty in all rows"
        elif kind_of(column) == "category":
            known = column[~missing]
            different = len(set(known.tolist()))
            if len(known) > MANY_ROWS and different > DIFFERENT * len(known):
                found[name] = f"nearly every row has a text of its own, such as {known[0]!r:.40}"
        elif table.lines is not None and name == f"column {place + 1}" and _counts(column):
            found[name] = "it has no name and counts the rows"
    return found


def _counts(column: Array) -> bool:
    """Tell whether a column's numbers are one after the other."""
    return kind_of(column) == "number" and len(column) > 2 and bool((np.diff(column) == 1).all())


def split(problem: Problem, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw the rows to hold out, of each class the same share but for less than one; return the others, and them."""
    n = len(problem.y)
    count = round(share * n)
    if not 0 < count < n:
        raise ValueError(f"--validation is {share:g}, which of {n} rows leaves none on one side")
    rows = np.random.default_rng(seed).permutation(n)
    if problem.classes is not None:
        rows = rows[np.argsort(problem.y[rows], kind="stable")]
    # Every so many rows one: place j is held out where the count of those until it goes up.
    held = np.diff(np.arange(n + 1, dtype=np.int64) * count // n).astype(bool)
    if problem.classes is not None:  # of each one, a row is learnt from
        of_class = problem.y[rows]
        lost = np.setdiff1d(of_class, of_class[~held])
        held[np.searchsorted(of_class, lost)] = False
        if not held.any():
            raise ValueError(f"--validation is {share:g}, which of {n} rows leaves none to hold out")
    return np.sort(rows[~held]), np.sort(rows[held])
