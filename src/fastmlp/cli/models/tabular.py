"""A tabular estimator, as `fastmlp train` writes it: with the target's name, and what its columns hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, get_args

import numpy as np

from fastmlp.cli.files import FileTable, Kind
from fastmlp.cli.models.base import Model
from fastmlp.cli.models.network import network_text
from fastmlp.cli.text import line_of
from fastmlp.files.header import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastmlp.cli.exits import Report
    from fastmlp.spec import Array

__all__ = ["TabularModel", "estimators"]

#: In a file's metadata: the target's name, those of the columns, and what they hold.
TABLE: Final = "fastmlp.table"


def estimators() -> Any:
    """Return `fastmlp.tabular`, which needs scikit-learn."""
    from fastmlp import tabular

    return tabular


class TabularModel(Model):
    """A fitted estimator of `fastmlp.tabular` as a model of the command line."""

    kinds: Mapping[str, Kind]

    def __init__(self, estimator: Any, target: str | None, kinds: Mapping[str, Kind]) -> None:
        self.estimator, self.target, self.kinds = estimator, target, kinds
        classes = getattr(estimator, "classes_", None)
        self.classes = None if classes is None else tuple(classes.tolist())

    @classmethod
    def read(cls, path: str, metadata: Mapping[str, str]) -> TabularModel:
        """Read a file with this metadata."""
        estimator = estimators().load(path)
        names = list(getattr(estimator, "feature_names_in_", ()))
        text = metadata.get(TABLE)
        if text is None:  # saved by its own method
            if not names:
                names = [f"column {number + 1}" for number in range(estimator.n_features_in_)]
            return cls(estimator, None, dict(zip(names, estimator._encoder.kinds, strict=True)))
        try:
            target, kinds = _said(text, estimator.n_features_in_)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        return cls(estimator, target, kinds)

    def save(self, path: str) -> None:
        """Write it, aside and renamed."""
        from fastmlp.tabular.files import save

        said = {"target": self.target, "columns": list(self.kinds), "kinds": list(self.kinds.values())}
        save(self.estimator, path, {TABLE: json.dumps(said)})

    def select(self, table: FileTable) -> FileTable:
        chosen = table.like(self.kinds)
        chosen.refuse_infinities()
        return chosen

    def outputs(self, columns: Mapping[str, Array]) -> Array:
        from fastmlp.tabular.columns import NamedColumns

        X = NamedColumns(columns)
        if self.classes is None:
            return np.asarray(self.estimator.predict(X), np.float64).reshape(len(X), -1)
        return np.asarray(self.estimator.predict_proba(X))

    def describe(self) -> Report:
        net = self.estimator.ensemble_[0]
        return {
            "kind": type(self.estimator).__name__,
            "target": self.target,
            "classes": None if self.classes is None else list(self.classes),
            "columns": dict(self.kinds),
            "networks": len(self.estimator.ensemble_),
            "sizes": list(net.sizes),
            "activations": [layer.activation.name for layer in net.layers],
            "n_parameters": sum(each.n_parameters for each in self.estimator.ensemble_),
            "parameters": {
                name: value
                for name, value in self.estimator.get_params().items()
                if isinstance(value, str | int | float | None)
            },
        }

    def text(self) -> str:
        lines = [f"{type(self.estimator).__name__} of {self.target!r}"]
        if self.classes is not None:
            shown = ", ".join(line_of(str(each)) for each in self.classes[:20])
            lines.append(f"classes   {shown}" + ("..." if len(self.classes) > 20 else ""))
        for kind, plural in (("number", "numbers"), ("category", "categories"), ("date", "dates")):
            names = [line_of(name) for name, each in self.kinds.items() if each == kind]
            if names:
                more = f" and {len(names) - 20:,} others" if len(names) > 20 else ""
                lines.append(f"{plural:<11}{', '.join(names[:20])}{more}")
        several = len(self.estimator.ensemble_)
        lines += [
            "",
            f"{several} networks such as" if several > 1 else "network",
            network_text(self.estimator.ensemble_[0]),
        ]
        return "\n".join(lines)

    def to_onnx(self, path: str) -> None:  # noqa: ARG002
        raise ValueError(_NO_EXPORT)

    def to_c(self, path: str, name: str) -> None:  # noqa: ARG002
        raise ValueError(_NO_EXPORT)


def _said(text: str, n_features: int) -> tuple[str, dict[str, Kind]]:
    """Read the target's name and the columns out of metadata, which anybody may have written."""
    said = parse_json(text, f'metadata "{TABLE}"', len(text), len(text))
    target, names, kinds = (said.get(each) for each in ("target", "columns", "kinds"))
    if isinstance(target, str) and isinstance(names, list) and isinstance(kinds, list):
        texts = all(isinstance(name, str) for name in names) and all(kind in get_args(Kind) for kind in kinds)
        if texts and len(names) == len(kinds) == len(set(names)) == n_features:
            return target, dict(zip(names, kinds, strict=True))
    raise ValueError("damaged: what it says of its columns does not go together")


_NO_EXPORT: Final = (
    "the file is a model of a table's columns, whose encodings neither ONNX nor C would have; exported are networks "
    "that MLP.save wrote"
)
