"""Class labels as the engine's targets, outputs as class labels, weights of classes as weights of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import unique_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sklearn.preprocessing import LabelBinarizer

    from fastmlp.spec import Array

__all__ = ["class_weights", "decode", "encode"]


def encode(y: Array, classes: Array, binarizer: LabelBinarizer, as_numbers: bool) -> Array:
    """Return y as the engine reads it: 0 and 1 for each output, or numbers of several classes if `as_numbers`."""
    kind = binarizer.y_type_
    if kind.startswith("multilabel"):
        _refuse_unknown(y, classes)
        indicator: Array = np.ascontiguousarray(binarizer.transform(y), dtype=np.uint8)
        return indicator
    labels = np.searchsorted(classes, y).astype(np.int32) if y.dtype.kind != "O" else _look_up(y, classes)
    labels[labels == len(classes)] = 0
    if not np.array_equal(classes[labels], y):
        _refuse_unknown(y, classes)
    if kind == "multiclass":
        return labels if as_numbers else np.eye(len(classes), dtype=np.uint8)[labels]
    return labels.astype(np.uint8)[:, np.newaxis]


def decode(outputs: Array, classes: Array, binarizer: LabelBinarizer) -> Any:
    """Return the labels that a network's outputs stand for."""
    kind = binarizer.y_type_
    if kind == "multiclass":
        return classes.take(outputs.argmax(axis=1))
    if outputs.shape[1] == 1:
        outputs = outputs.ravel()
        if len(classes) == 2 and not kind.startswith("multilabel"):
            return classes.take(outputs > 0.5)
    return binarizer.inverse_transform(outputs)


def class_weights(class_weight: Any, y: Array, incremental: bool) -> NDArray[np.float64]:
    """Return the weight that each row gets by its class."""
    if incremental and class_weight == "balanced":
        raise ValueError(
            "class_weight='balanced' needs all rows at once: for partial_fit, pass the weights that "
            "sklearn.utils.class_weight.compute_class_weight gives for all of them, as a dict"
        )
    weights: NDArray[np.float64] = compute_sample_weight(class_weight, y)
    return weights


def _look_up(y: Array, classes: Array) -> NDArray[np.int32]:
    numbers = {label: number for number, label in enumerate(classes)}
    return np.array([numbers.get(label, 0) for label in y], dtype=np.int32)


def _refuse_unknown(y: Any, classes: Array) -> None:
    found = unique_labels(y)
    if len(np.setdiff1d(found, classes, assume_unique=True)):
        raise ValueError(f"`y` has classes not in `self.classes_`. `self.classes_` has {classes}. 'y' has {found}.")
