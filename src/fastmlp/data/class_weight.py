"""A weight for each row by its class: the argument ``class_weight``, checked and multiplied out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.data.rows import Data, chunks
from fastmlp.data.targets import as_weights
from fastmlp.spec.checks import not_negative, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.spec import Array, Loss, NetworkSpec

__all__ = ["with_class_weight"]


def with_class_weight(spec: NetworkSpec, data: Data, class_weight: Any) -> Data:
    """Multiply the weights of rows by those of their classes.

    Parameters
    ----------
    spec : NetworkSpec
        Tells what targets are: numbers of classes, one-hot rows, or one column of yes and no.
    data : Data
        Validated rows.
    class_weight : "balanced", mapping or None
        "balanced": a class of n_k of n rows weighs n / (number of classes with rows * n_k), as in scikit-learn (after
        King and Zeng, "Logistic regression in rare events data", 2001). A mapping has a weight >= 0 for each class that
        occurs; a yes or no is class 1 or 0. None: the data are returned as they are.

    Raises
    ------
    TypeError
        Neither of these; a weight that is no number.
    ValueError
        Rows that have no class; classes that the mapping does not have or the network does not; weights that are
        negative, not finite or all zero.
    """
    if class_weight is None:
        return data
    balanced = isinstance(class_weight, str) and class_weight == "balanced"
    if not balanced and not isinstance(class_weight, Mapping):
        error = ValueError if isinstance(class_weight, str) else TypeError
        raise error(f"class_weight must be 'balanced' or a mapping from classes to weights, got {shown(class_weight)}")
    classes, which = _classes(data.y, spec.loss, spec.sizes[-1])
    counted = which if data.weight is None or not spec.loss.leaves_out else which[data.weight > 0]
    counts = np.bincount(counted, minlength=len(classes))
    by_class = _balanced(counts) if balanced else _chosen(class_weight, classes, counts)
    weight = by_class[which] if data.weight is None else by_class[which] * data.weight
    return Data(data.X, data.y, as_weights(weight, len(data), "class_weight"))


def _balanced(counts: NDArray[np.intp]) -> NDArray[np.float64]:
    by_class, there = np.zeros(len(counts)), counts > 0
    by_class[there] = counts.sum() / (there.sum() * counts[there])
    return by_class


def _chosen(given: Mapping[Any, Any], classes: list[int], counts: NDArray[np.intp]) -> NDArray[np.float64]:
    unknown = [each for each in given if each not in classes]
    if unknown:
        known = f"{classes[0]} to {classes[-1]}" if len(classes) > 2 else f"{classes[0]} and {classes[1]}"
        raise ValueError(f"class_weight has {shown(unknown[0])}, which is no class: the network's are {known}")
    missing = [each for each, count in zip(classes, counts, strict=True) if count and each not in given]
    if missing:
        raise ValueError(f"class_weight must have a weight for every class of y, and has none for {missing[0]}")
    return np.array([not_negative(given.get(each, 0.0), f"class_weight[{each}]") for each in classes])


def _classes(y: Array, loss: Loss, n_outputs: int) -> tuple[list[int], NDArray[np.intp]]:
    """Find the numbers of a network's classes, and for each row the place of its class among them."""
    if loss.labels:
        classes = list(range(n_outputs))
        return classes, y.astype(np.intp) if y.ndim == 1 else _of_one_hot(y)
    if loss.metric != "accuracy":
        raise ValueError(f"class_weight is for classes, and the loss {loss.name} has none: give sample_weight")
    if y.shape[1] != 1:
        raise ValueError(
            f"class_weight is for rows of one class; with {y.shape[1]} answers for each, give sample_weight or other "
            "weights of the answers"
        )
    no, yes = int(loss.targets.low), int(loss.targets.high)
    column = y[:, 0]
    mixed = (column != no) & (column != yes) & ~(loss.ignores_nan & np.isnan(column))
    _refuse(np.flatnonzero(mixed), f"is neither {no} nor {yes}")
    return [no, yes], (column == yes).astype(np.intp)


def _of_one_hot(y: Array) -> NDArray[np.intp]:
    which = np.empty(len(y), np.intp)
    for part in chunks(len(y), y.shape[1]):
        rows = y[part]
        _refuse(part.start + np.flatnonzero((rows == 0).sum(axis=1) + (rows == 1).any(axis=1) < y.shape[1]), "is mixed")
        which[part] = rows.argmax(axis=1)
    return which


def _refuse(rows: NDArray[np.intp], what: str) -> None:
    if rows.size:
        raise ValueError(f"class_weight needs a class for every row, and row {rows[0]} of y {what}: give sample_weight")
