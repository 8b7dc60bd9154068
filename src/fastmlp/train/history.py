"""The measurements of every epoch. Imports nothing of ours."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["History", "count_epochs"]


@dataclass(repr=False)
class History(Mapping[str, list[float]]):
    """The measurements of every epoch: one list per quantity, all of the same length.

    It is also a mapping from names to these lists, so ``history["val_loss"]`` and ``pandas.DataFrame(dict(history))``
    work; as with any mapping, `len` counts the names, and ``len(history.epoch)`` the epochs. Each quantity is an
    attribute, too: ``history.val_accuracy`` is ``history["val_accuracy"]``. Quantities that no epoch measured are
    missing from the mapping; where some epochs did, the others hold NaN.

    Attributes
    ----------
    epoch : list of int
        Number of the epoch, counted from 1 since the network was made.
    loss : list of float
        Mean training loss over the epoch's rows, each under the weights as they were before its batch's update.
    val_loss : list of float
        Loss on the validation data under the weights at the end of the epoch.
    metrics : dict of str to list of float
        What ``fit(metrics=...)`` names, or the metric of the loss ("accuracy", "r2" or "d2"): prefixed with ``val_`` on
        validation data, plain on the training data.
    seconds : list of float
        Duration of the epoch's training, without evaluation and callbacks.
    samples_per_second : list of float
        Rows per second of training.
    stopped : str or None
        Why the last call of `fit` came to its end: "epochs" (all were made), "max_steps", "max_seconds", "tol",
        "target_loss", the name of the callback that stopped it, or "exception"; None before the first.

    Examples
    --------
    >>> import fastmlp
    >>> net = fastmlp.MLP([2, 8, 1], seed=0)
    >>> history = net.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0], epochs=3)
    >>> len(history["loss"]), list(history)
    (3, ['epoch', 'loss', 'seconds', 'samples_per_second'])
    """

    epoch: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    samples_per_second: list[float] = field(default_factory=list)
    stopped: str | None = None

    def append(self, logs: Mapping[str, Any]) -> None:
        """Add one epoch; what `logs` does not hold becomes NaN."""
        done = self._even()
        for name in logs:
            if name == "val_loss" and not self.val_loss:
                self.val_loss += [math.nan] * done
            elif name not in self.__dataclass_fields__ and name not in self.metrics:
                self.metrics[name] = [math.nan] * done
        get = logs.get
        self.epoch.append(int(logs["epoch"]))
        self.loss.append(float(get("loss", math.nan)))
        if self.val_loss or "val_loss" in logs:
            self.val_loss.append(float(get("val_loss", math.nan)))
        for name, column in self.metrics.items():
            column.append(float(get(name, math.nan)))
        self.seconds.append(float(get("seconds", math.nan)))
        self.samples_per_second.append(float(get("samples_per_second", math.nan)))

    def columns(self, without: int | None = None) -> dict[str, Any]:
        """Return arrays by name, of which `of_columns` makes an equal history, but for a last epoch of this number."""
        done = self._even()
        done -= without is not None and self.epoch[-1:] == [without]
        arrays = {name: np.array(column[:done], np.float64) for name, column in self._columns()}
        return {"metrics": list(self.metrics), **arrays}

    @classmethod
    def of_columns(cls, columns: Mapping[str, Any]) -> "History":
        """Make a history of `columns`, which may come from a file."""
        lists = {name: [float(value) for value in column] for name, column in columns.items() if name != "metrics"}
        metrics = {str(name): lists.pop(str(name)) for name in columns["metrics"]}
        history = cls(metrics=metrics, **lists)  # type: ignore[arg-type]
        history.epoch = [int(number) for number in history.epoch]
        history._even()
        return history

    def become(self, other: "History") -> None:
        """Take over another's measurements."""
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(other, name))

    def since(self, start: int) -> "History":
        """The epochs from place `start` on, as a History of its own."""
        self._even()

        def measured(column: list[float]) -> list[float]:
            return [] if all(map(math.isnan, column[start:])) else column[start:]

        metrics = {name: measured(column) for name, column in self.metrics.items()}
        return History(
            self.epoch[start:],
            self.loss[start:],
            measured(self.val_loss),
            {name: column for name, column in metrics.items() if column},
            self.seconds[start:],
            self.samples_per_second[start:],
            self.stopped,
        )

    def _even(self) -> int:
        """Drop an epoch of which only a part was noted (a Ctrl-C at the wrong moment); return the number that stay."""
        columns: list[list[Any]] = [self.epoch, self.loss, self.seconds, self.samples_per_second]
        columns.extend(self.metrics.values())
        if self.val_loss:
            columns.append(self.val_loss)
        done = min(map(len, columns))
        for column in columns:
            del column[done:]
        return done

    def _columns(self) -> Iterator[tuple[str, list[Any]]]:
        yield from (("epoch", self.epoch), ("loss", self.loss), ("val_loss", self.val_loss))
        yield from self.metrics.items()
        yield from (("seconds", self.seconds), ("samples_per_second", self.samples_per_second))

    def __getitem__(self, name: str) -> list[float]:
        for known, column in self._columns():
            if known == name and (column or name != "val_loss"):
                return column
        raise KeyError(name)

    def __getattr__(self, name: str) -> list[float]:
        metrics: dict[str, list[float]] = self.__dict__.get("metrics", {})  # not there while a copy is being made
        if name not in metrics:
            raise AttributeError(f"'History' object has no attribute {name!r}", name=name, obj=self)
        return metrics[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.metrics]

    def __iter__(self) -> Iterator[str]:
        return (name for name, column in self._columns() if column or name != "val_loss")

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        if not self.epoch:
            return "<History: no epochs yet>"
        count = len(self.epoch)
        parts = [f"loss {self.loss[0]:.4g} -> {self.loss[-1]:.4g}" if count > 1 else f"loss {self.loss[0]:.4g}"]
        if self.val_loss and not math.isnan(self.val_loss[-1]):
            parts.append(f"val_loss {self.val_loss[-1]:.4g}")
        parts += [f"{name} {column[-1]:.4g}" for name, column in self.metrics.items() if not math.isnan(column[-1])]
        seconds = sum(self.seconds)
        samples = sum(s * rate for s, rate in zip(self.seconds, self.samples_per_second, strict=True))
        parts.append(f"{seconds:.3g} s")
        if seconds > 0:
            parts.append(f"{samples / seconds:.3g} samples/s")
        return f"<History of {count} epoch{'s' if count > 1 else ''}: {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        """Show first, lowest, highest and last of each quantity, and the curves of the losses, in a notebook."""
        from fastmlp.markup import curves, table

        rows = []
        for name, column in self._columns():
            finite = [value for value in column if math.isfinite(value)]
            if name != "epoch" and finite:
                rows.append([name, *(f"{value:.4g}" for value in (column[0], min(finite), max(finite), column[-1]))])
        losses = {name: self[name] for name in ("loss", "val_loss") if name in self}
        return table(repr(self).strip("<>"), ["", "first", "lowest", "highest", "last"], rows, curves(losses))


def count_epochs(history: History) -> int:
    """Count the epochs of a history; the part of one that was broken off while it was noted goes."""
    return history._even()
