"""A model out of a file, whatever kind it is of: columns in, outputs and their labels out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from fastmlp.cli.files import FileTable, gaps, kind_of, label_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastmlp.cli.exits import Report
    from fastmlp.cli.files import Kind
    from fastmlp.spec import Array

__all__ = ["Model", "as_targets"]


class Model(ABC):
    """What a file holds that `predict` and `evaluate` take.

    Attributes
    ----------
    target : str or None
        The column that it was trained to tell, where it knows.
    classes : tuple of str or int, or None
        What outputs are probabilities of; None: they are numbers.
    kinds : mapping, or None
        What the columns hold that it takes, in its order; None: numbers, by their order alone.
    """

    target: str | None
    classes: tuple[str | int | float, ...] | None
    kinds: Mapping[str, Kind] | None

    def kinds_with(self, target: str | None) -> dict[str, Kind]:
        """Return what columns of a file are to be read as, with a target's: classes of text as they are written."""
        of_text = self.classes is not None and any(isinstance(each, str) for each in self.classes)
        return {**(self.kinds or {}), **({target: "category"} if target and of_text else {})}

    @abstractmethod
    def select(self, table: FileTable) -> FileTable:
        """Return the columns that it takes; a ValueError says what is wrong with a table."""

    @abstractmethod
    def outputs(self, columns: Mapping[str, Array]) -> Array:
        """Return probabilities, or numbers, (n, k), for columns as `select` gives them."""

    @abstractmethod
    def describe(self) -> Report:
        """Tell what it is, for JSON."""

    @abstractmethod
    def text(self) -> str:
        """Tell what it is, for people."""

    @abstractmethod
    def to_onnx(self, path: str) -> None:
        """Write it as ONNX."""

    @abstractmethod
    def to_c(self, path: str, name: str) -> None:
        """Write it as C."""

    def predictions(self, outputs: Array) -> dict[str, Array]:
        """Return the columns to write: what it predicts, and of classes their probabilities, of which 1 is a whole."""
        name = self.target or "prediction"
        if self.classes is None:
            width = outputs.shape[1]
            names = [name] if width == 1 else [f"{name} {number + 1}" for number in range(width)]
            return dict(zip(names, outputs.T, strict=True))
        labels = np.array([label_of(each) for each in self.classes], object)
        columns = {name: labels[outputs.argmax(axis=1)]}
        for label, probability in zip(labels, outputs.T, strict=True):
            columns[f"p({label})"] = probability
        return columns


def as_targets(table: FileTable, name: str, classes: tuple[str | int | float, ...] | None) -> Array:
    """Return a column as numbers of classes, or as numbers to be predicted.

    Raises
    ------
    ValueError
        A value is missing, no number, or none of the classes; the message says where it stands.
    """
    column = table.columns[name]
    missing = np.flatnonzero(gaps(column))
    if missing.size:
        raise ValueError(
            f"{table.place(int(missing[0]), name)}: is empty, and is what is to be predicted"
            + (f", as in {missing.size - 1:,} other rows" if missing.size > 1 else "")
        )
    if classes is None:
        return table.like({name: "number"}).columns[name]
    if kind_of(column) == "date":
        raise ValueError(f"{table.path}, column {name!r}: has dates, which cannot be classes")
    numbers = {label_of(each): number for number, each in enumerate(classes)}
    found = np.array([numbers.get(label_of(each), -1) for each in column.tolist()])
    unknown = np.flatnonzero(found < 0)
    if unknown.size:
        row = int(unknown[0])
        raise ValueError(
            f"{table.place(row, name)}: {label_of(column[row])!r:.60} is none of the model's classes, "
            + ", ".join(list(numbers)[:12])
        )
    return found
