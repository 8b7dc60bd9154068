"""What has become of many trainings: a list, and a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastmlp.spec.checks import choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastmlp.network import MLP
    from fastmlp.train.callbacks import Callback
    from fastmlp.train.history import History

__all__ = ["Mode", "Result", "Results", "rises"]

Mode = Literal["auto", "max", "min"]


@dataclass(eq=False)
class Result:
    """One training of one network.

    Attributes
    ----------
    index : int
        The network's place in the list.
    fold : int or None
        Which fold it was, where there are any.
    network : MLP
        The one that was given, or, with folds, the copy that was trained.
    history : History
        Of this training.
    seconds : float
        How long it took.
    error : Exception or None
        What ended it, where something went wrong; the network is then as `MLP.fit` leaves it.
    callbacks : list of Callback
        Those of this training, where a list for all was given: copies.

    Examples
    --------
    >>> import fastmlp
    >>> net = fastmlp.MLP([1, 1], seed=0)
    >>> (result,) = fastmlp.fit_many([net], [[0.0], [1.0]], [0.0, 1.0], epochs=2)
    >>> result.error, len(result.history["loss"])
    (None, 2)
    """

    index: int
    fold: int | None
    network: MLP
    history: History
    seconds: float
    error: Exception | None
    callbacks: Sequence[Callback]

    def value(self, name: str) -> float:
        """Return what the last epoch measured under a name such as "val_loss"; NaN where nothing was."""
        if self.error is not None or name not in self.history or not self.history[name]:
            return float("nan")
        return float(self.history[name][-1])

    def row(self) -> dict[str, Any]:
        """Return the training as a row of a table: where it stood, what ended it, the last of each measure."""
        row: dict[str, Any] = {"network": self.index}
        if self.fold is not None:
            row["fold"] = self.fold
        row |= {"sizes": "-".join(map(str, self.network.sizes)), "epochs": len(self.history.epoch)}
        row |= {"stopped": self.history.stopped, "seconds": self.seconds}
        others = ("epoch", "seconds", "samples_per_second")
        row |= {name: column[-1] for name in self.history if name not in others and (column := self.history[name])}
        return row | {"error": "" if self.error is None else f"{type(self.error).__name__}: {self.error}"}


class Results(list[Result]):
    """All trainings, in the order of the networks, and of the folds of each.

    Examples
    --------
    >>> import fastmlp
    >>> nets = [fastmlp.MLP([1, width, 1], seed=0) for width in (2, 8)]
    >>> results = fastmlp.fit_many(nets, [[0.0], [1.0]], [0.0, 1.0], epochs=3)
    >>> [result.network.sizes for result in results], results.failed
    ([(1, 2, 1), (1, 8, 1)], [])
    """

    @property
    def networks(self) -> list[MLP]:
        """The networks of all trainings that came to their end."""
        return [result.network for result in self if result.error is None]

    @property
    def failed(self) -> list[Result]:
        """The trainings that ended with an error."""
        return [result for result in self if result.error is not None]

    def values(self, name: str = "val_loss") -> NDArray[np.float64]:
        """Return what each training measured last under a name, as `Result.value`; with folds, (networks, folds)."""
        values = np.array([result.value(name) for result in self])
        folds = {result.fold for result in self}
        return values if folds <= {None} else values.reshape(-1, len(folds))

    def best(self, name: str = "val_loss", mode: Mode = "auto") -> Result:
        """Return the training that measured the best under a name in its last epoch.

        Parameters
        ----------
        name : str
            In the histories.
        mode : {"auto", "max", "min"}
            Whether the best is the largest; "auto": as losses and metrics say of themselves.

        Raises
        ------
        ValueError
            If no training has such a measure.
        """
        sign = -1.0 if rises(name, mode) else 1.0
        values = sign * np.array([result.value(name) for result in self])
        if np.isnan(values).all():
            raise ValueError(f"no training has measured {name!r}")
        return self[int(np.nanargmin(values))]

    def rows(self) -> list[dict[str, Any]]:
        """Return the table as a list of rows, a dict each."""
        return [result.row() for result in self]

    def table(self) -> Any:
        """Return the table as a pandas DataFrame: a row for each training, a column for each measure.

        Raises
        ------
        ImportError
            If pandas is not installed; `rows` needs nothing.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("table() needs pandas: pip install pandas (rows() needs nothing)") from error
        return pd.DataFrame(self.rows())

    def __str__(self) -> str:
        rows = self.rows()
        names = list(dict.fromkeys(name for row in rows for name in row))
        cells = [names, *([_shown(row.get(name, "")) for name in names] for row in rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
        return "\n".join(line.rstrip() for line in lines)

    def __repr__(self) -> str:
        failed = f", {len(self.failed)} failed" if self.failed else ""
        return f"<Results of {len(self)} trainings{failed}>"


def rises(name: str, mode: Mode = "auto") -> bool:
    """Return whether a measure of this name is to rise."""
    if choice(mode, "mode", ("auto", "max", "min")) != "auto":
        return mode == "max"
    plain = name.removeprefix("val_")
    if plain == "loss" or plain.endswith("_loss"):  # of another validation set
        return False
    from fastmlp.metrics import as_metric

    try:
        found = as_metric(plain).mode
    except ValueError:
        found = None
    if found is None:
        raise ValueError(
            f"mode must be 'max' or 'min' for {name!r}, which does not tell whether it is to rise or to fall"
        )
    return found == "max"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
