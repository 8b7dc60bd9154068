"""A network that `MLP.save` wrote: it takes numbers, and knows no names but those of a frame it was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.cli.files import TARGET, FileTable, gaps, kind_of
from fastmlp.cli.models.base import Model
from fastmlp.cli.text import table as laid_out
from fastmlp.network import load
from fastmlp.spec import as_loss

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastmlp.cli.exits import Report
    from fastmlp.spec import Array

__all__ = ["NetworkModel"]


class NetworkModel(Model):
    """An `MLP` as a model of the command line."""

    target = None

    def __init__(self, path: str) -> None:
        self.path = path
        self.net = load(path)
        names = self.net.feature_names
        self.kinds = None if names is None else dict.fromkeys(names, "number")
        width, loss = self.net.sizes[-1], as_loss(self.net.loss)
        self.binary = loss.metric == "accuracy" and not loss.labels and width == 1
        of_classes = loss.metric == "accuracy" and loss.labels
        self.classes = (0, 1) if self.binary else tuple(range(width)) if of_classes else None

    def select(self, table: FileTable) -> FileTable:
        if self.kinds is None and len(table.columns) == self.net.sizes[0] + 1:
            table = table.without([TARGET])  # which an .npz file has beside its rows
        if self.kinds is not None:
            chosen = table.like(self.kinds)
        elif len(table.columns) == self.net.sizes[0]:
            chosen = table
        else:
            raise ValueError(
                f"{table.path}: has {len(table.columns)} columns to predict from, and the network of {self.path} takes "
                f"{self.net.sizes[0]}"
            )
        for name, column in chosen.columns.items():
            if kind_of(column) != "number":
                raise ValueError(f"{table.path}, column {name!r}: has no numbers, which are all that a network takes")
            missing = np.flatnonzero(gaps(column))
            if missing.size:
                raise ValueError(f"{table.place(int(missing[0]), name)}: is empty, and a network takes numbers alone")
        return chosen

    def outputs(self, columns: Mapping[str, Array]) -> Array:
        outputs: Array = self.net.predict(np.column_stack(list(columns.values())))
        return np.hstack([1 - outputs, outputs]) if self.binary else outputs

    def describe(self) -> Report:
        net = self.net
        return {
            "kind": "network",
            "sizes": list(net.sizes),
            "activations": [layer.activation.name for layer in net.layers],
            "n_parameters": net.n_parameters,
            "loss": net.loss,
            "dtype": net.number_format,
            "optimizer": None if net.optimizer is None else repr(net.optimizer),
            "epochs": net.n_epochs,
            "steps": net.n_steps,
            "columns": None if self.kinds is None else list(self.kinds),
        }

    def to_onnx(self, path: str) -> None:
        self.net.to_onnx(path)

    def to_c(self, path: str, name: str) -> None:
        self.net.to_c(path, name=name)

    def text(self) -> str:
        return network_text(self.net)


def network_text(net: Any) -> str:
    """Lay out a network's layers, and how far it was trained."""
    rows = [
        [
            str(number),
            f"{layer.n_in} -> {layer.n_out}",
            layer.activation.name,
            f"{(layer.n_in + 1) * layer.n_signals:,}",
        ]
        for number, layer in enumerate(net.layers, 1)
    ]
    rows.append(["", "", "", f"{net.n_parameters:,}"])
    trained = f"{net.n_epochs:,} epochs, {net.n_steps:,} steps" + (f" of {net.optimizer!r}" if net.optimizer else "")
    return (
        f"{laid_out(['layer', 'shape', 'activation', 'parameters'], rows, 3)}\n\n"
        f"loss     {net.loss}\ntrained  {trained}\ndtype    {net.dtype}"
    )
