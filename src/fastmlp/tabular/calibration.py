"""What outputs are worth, learnt on rows that no network was trained on: temperature, and quantiles of the errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.spec import Array

__all__ = ["Errors", "sharpened", "temperature_of", "tempered"]

#: What is left of a smoothed label's share where a network gives no more than that.
FLOOR: Final = 0.05
_TINY: Final = 1e-12
#: Rows with predictions near each other whose errors are taken as alike, at least.
_ALIKE: Final = 50
_MOST_GROUPS: Final = 20


def tempered(probabilities: Array, temperature: float) -> NDArray[np.float64]:
    """Return p^(1/T), scaled to a sum of 1: nearer to each other for T > 1, farther apart for T < 1."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), _TINY)) / temperature
    logits -= logits.max(axis=1, keepdims=True)
    powers = np.exp(logits)
    result: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return result


def sharpened(probabilities: Array, smoothing: float) -> NDArray[np.float64]:
    """Return what smoothed labels were made of: about q, where p = (1 - s) q + s / k, and more than 0.

    A network that has learnt labels smoothed by s gives such p, and no temperature makes them q. The order of a row's
    classes stays, and of two classes that of the rows.

    Examples
    --------
    >>> sharpened(np.array([[0.05, 0.95], [0.5, 0.5]]), 0.1).round(3)
    array([[0.003, 0.997],
           [0.5  , 0.5  ]])
    """
    p = probabilities.astype(np.float64)
    share = smoothing / p.shape[1]
    above, floor = p - share, 2.0 * FLOOR * share
    q = above + np.sqrt(above * above + floor * floor)
    result: NDArray[np.float64] = q / q.sum(axis=1, keepdims=True)
    return result


def temperature_of(probabilities: Array, classes: NDArray[np.int64], weight: NDArray[np.float64] | None) -> float:
    """Return the temperature with the least log loss (Guo, Pleiss, Sun and Weinberger 2017), from 1/8 to 8.

    The logarithm is searched by its golden section: the log loss has one minimum in 1 / T.
    """
    rows = np.arange(len(classes))

    def loss(log_temperature: float) -> float:
        p = tempered(probabilities, float(np.exp(log_temperature)))[rows, classes]
        return float(np.average(-np.log(np.maximum(p, _TINY)), weights=weight))

    low, high = -np.log(8.0), np.log(8.0)
    golden = (np.sqrt(5.0) - 1.0) / 2.0
    for _ in range(24):
        first, second = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, second) if loss(first) <= loss(second) else (first, high)
    return float(np.exp((low + high) / 2.0))


@dataclass(frozen=True)
class Errors:
    """The errors of predictions: how large they are by the prediction, and how they are spread around it.

    Quantiles are those of split conformal prediction (Lei and others 2018) with errors divided by what is usual where
    the prediction is: on rows drawn like those held out, as many targets lie below as the quantile says.
    """

    at: NDArray[np.float64]  # predictions, rising
    size: NDArray[np.float64]  # mean size of errors there
    ratios: NDArray[np.float64]  # errors divided by their usual size, rising

    @classmethod
    def of(cls, predicted: NDArray[np.float64], y: NDArray[np.float64]) -> Self:
        """Learn from predictions (n,) and targets of rows held out."""
        order = np.argsort(predicted, kind="stable")
        predicted, error = predicted[order], (y - predicted)[order]
        groups = np.array_split(np.arange(len(y)), max(1, min(_MOST_GROUPS, len(y) // _ALIKE)))
        at = np.array([predicted[group].mean() for group in groups])
        size = np.array([np.abs(error[group]).mean() for group in groups])
        size = np.maximum(size, max(1e-3 * size.mean(), _TINY))
        ratios = np.sort(error / np.interp(predicted, at, size))
        return cls(at, size, ratios)

    def quantiles(self, predicted: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the quantiles of the targets of rows with these predictions: (n, levels)."""
        n = len(self.ratios)
        ranks = np.where(levels < 0.5, np.floor(levels * (n + 1)), np.ceil(levels * (n + 1))).astype(np.int64) - 1
        ratios = self.ratios[np.clip(ranks, 0, n - 1)]
        return predicted[:, np.newaxis] + np.interp(predicted, self.at, self.size)[:, np.newaxis] * ratios
