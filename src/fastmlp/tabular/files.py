"""An estimator as tensors of a file: its networks as an ensemble's, and beside them what its columns and targets are.

What is no array is JSON in the tensor ``tabular.description``: a reader bounds the length of metadata.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from fastmlp.files.models import read_models, written_models
from fastmlp.files.tensors import read_tensor, reading, save_file
from fastmlp.many import Ensemble
from fastmlp.tabular.bins import Bins
from fastmlp.tabular.calibration import Errors
from fastmlp.tabular.categories import Categories
from fastmlp.tabular.encoding import Encoder
from fastmlp.tabular.recipe import Recipe
from fastmlp.tabular.scaling import Scaling
from fastmlp.tabular.targets import Classes, Scale

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastmlp.files.tensors import FilePath
    from fastmlp.spec import Array

__all__ = ["read", "save"]

#: In the metadata of an estimator's file, its format.
TABULAR: Final = "fastmlp.tabular"
_DESCRIPTION: Final = "tabular.description"

_Record = TypeVar("_Record", Scaling, Bins, Errors, Scale)


def save(estimator: Any, path: FilePath, more: Mapping[str, str] | None = None) -> None:
    """Write a fitted estimator to a file, which then holds the old content or the new, whatever happens.

    Metadata of somebody else are `more`.
    """
    tensors, metadata = written_models(estimator.ensemble_._checkpoints())
    encoder: Encoder = estimator._encoder
    description = {
        "estimator": type(estimator).__name__,
        "parameters": {
            name: value for name, value in estimator.get_params().items() if name != "callbacks" and _is_plain(value)
        },
        "n_features": estimator.n_features_in_,
        "feature_names": [*getattr(estimator, "feature_names_in_", ())],
        "names": encoder.names,
        "kinds": encoder.kinds,
        "categories": [each.values for each in encoder.categories],
        "recipe": asdict(estimator.recipe_),
        "metric": getattr(estimator.metric_, "name", estimator.metric_),
        "evals_result": estimator.evals_result_,
    }
    own: dict[str, Array] = _arrays("scaling", encoder.scaling) | _arrays("bins", encoder.bins)
    own |= {f"categories.{number}": each.table for number, each in enumerate(encoder.categories)}
    if estimator._classes:
        labels = estimator.classes_
        if labels.dtype.kind in "iufb":
            own["classes"] = labels
        elif all(isinstance(label, str) for label in labels.tolist()):
            description["classes"], description["object"] = labels.tolist(), labels.dtype.kind == "O"
        else:
            raise TypeError(f"classes_ has {labels[0]!r:.80} of type {type(labels[0]).__name__}; a file can have text "
                            "and numbers")  # fmt: skip
        own["temperature"] = np.array(estimator.temperature_)
    else:
        own |= _arrays("target", estimator._scale)
        description["flat"], description["errors"] = estimator._flat, len(estimator._errors)
        for number, errors in enumerate(estimator._errors):
            own |= _arrays(f"errors.{number}", errors)
    if "_importances" in estimator.__dict__:
        own["importances"] = estimator._importances
    tensors |= {f"tabular.{name}": array for name, array in own.items()}
    tensors[_DESCRIPTION] = np.frombuffer(json.dumps(description).encode(), np.uint8)
    save_file(path, tensors, metadata | {TABULAR: "1"} | dict(more or {}))


def read(path: FilePath, estimators: Mapping[str, Any]) -> Any:
    """Read an estimator that `save` wrote; `estimators` are the classes that it may be of, by name.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The file is not one of ours, or is damaged; the message names the file and the fault.
    """
    with reading(path) as (file, entries, metadata):
        if metadata.get(TABULAR) != "1":
            raise ValueError(
                f'not a tabular estimator of format 1: its metadata has "{TABULAR}": {metadata.get(TABULAR)}'
            )
        checkpoints = read_models(file, entries, metadata)
        own = {name: read_tensor(file, name, entry) for name, entry in entries.items() if name.startswith("tabular.")}
        try:
            description = json.loads(own[_DESCRIPTION].tobytes())
            estimator = estimators[description["estimator"]](**description["parameters"])
            _restore(estimator, description, own)
            estimator.ensemble_ = Ensemble._of(checkpoints)
            _check(estimator)
        except (KeyError, TypeError, AttributeError, IndexError, UnicodeDecodeError) as error:
            raise ValueError(f"damaged: {type(error).__name__}: {error}") from error
    return estimator


def _restore(estimator: Any, description: Any, own: Mapping[str, Array]) -> None:
    estimator.n_features_in_ = int(description["n_features"])
    if description["feature_names"]:
        estimator.feature_names_in_ = np.array(description["feature_names"], object)
    values = description["categories"]
    estimator._encoder = Encoder(
        tuple(description["names"]),
        tuple(description["kinds"]),
        _record("scaling", Scaling, own),
        _record("bins", Bins, own),
        tuple(Categories(tuple(each), own[f"tabular.categories.{number}"]) for number, each in enumerate(values)),
    )
    recipe = description["recipe"]
    estimator.recipe_ = Recipe(**recipe | {"hidden_layer_sizes": tuple(recipe["hidden_layer_sizes"])})
    estimator.metric_, estimator.evals_result_ = description["metric"], description["evals_result"]
    if estimator._classes:
        labels = own.get("tabular.classes")
        if labels is None:
            labels = np.array(description["classes"], object if description["object"] else None)
        estimator.classes_, estimator._labels = labels, Classes(labels)
        estimator.temperature_ = float(own["tabular.temperature"])
    else:
        estimator._scale, estimator._flat = _record("target", Scale, own), bool(description["flat"])
        estimator._errors = tuple(_record(f"errors.{k}", Errors, own) for k in range(int(description["errors"])))
    if "tabular.importances" in own:
        estimator._importances = own["tabular.importances"]


def _check(estimator: Any) -> None:
    """Refuse what does not go together, so that no prediction reads beside what is there."""
    encoder, network = estimator._encoder, estimator.ensemble_[0]
    n_numbers = sum(1 if kind == "number" else 7 if kind == "date" else 0 for kind in encoder.kinds)
    scaling, bins = encoder.scaling, encoder.bins
    whole = (
        estimator.n_features_in_ == len(encoder.kinds) == len(encoder.names)
        and len(encoder.categories) == encoder.kinds.count("category")
        and all(len(each.table) == len(each.values) + 2 for each in encoder.categories)
        and all(len(getattr(scaling, field.name)) == len(scaling.places) for field in fields(scaling))
        and all(len(getattr(bins, field.name)) == len(bins.column) for field in fields(bins))
        and (not len(scaling.places) or 0 <= scaling.places.min() <= scaling.places.max() < n_numbers)
        and (not len(bins.column) or 0 <= bins.column.min() <= bins.column.max() < len(scaling.places))
        and encoder.width == network.sizes[0]
        and estimator._count_outputs() == network.sizes[-1]
    )
    if not whole:
        raise ValueError("damaged: what it says of its columns does not go together")


def _arrays(prefix: str, record: Any) -> dict[str, Array]:
    return {f"{prefix}.{field.name}": getattr(record, field.name) for field in fields(record)}


def _record(prefix: str, kind: type[_Record], own: Mapping[str, Array]) -> _Record:
    return kind(*(own[f"tabular.{prefix}.{field.name}"] for field in fields(kind)))


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float | bool)
