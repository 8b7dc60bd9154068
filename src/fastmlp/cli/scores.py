"""Metrics of predictions with intervals of confidence, and how much worse they are without a column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fastmlp.metrics import as_metric

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastmlp.cli.exits import Report
    from fastmlp.metrics import Metric
    from fastmlp.spec import Array

__all__ = ["CONFIDENCE", "importances", "metrics_of", "scores"]

CONFIDENCE: Final = 0.95
RESAMPLES: Final = 300
AT_MOST: Final = 2000
"""Rows that columns are permuted in: more would only tell more digits."""
CELLS: Final = 200_000
"""Of wide tables there are fewer: a column is another prediction of all of them."""


def metrics_of(classes: int | None) -> tuple[Metric, ...]:
    """Return the metrics to report, of a task with so many classes or of numbers (None), the main one first."""
    if classes is None:
        names = ["rmse", "mae", "r2"]
    else:
        names = ["accuracy", "balanced_accuracy", "log_loss"]
        names += ["auc"] if classes == 2 else ["top_3_accuracy"] if classes > 5 else []
    return tuple(map(as_metric, names))


def scores(metrics: Sequence[Metric], y: Array, outputs: Array, seed: int = 0) -> dict[str, Report]:
    """Measure predictions; the intervals are percentiles over rows drawn with replacement (Efron's bootstrap).

    Parameters
    ----------
    metrics : sequence of Metric
    y : ndarray of shape (n,)
        Numbers of classes, or targets.
    outputs : ndarray of shape (n, k)
        Probabilities, or estimates.
    seed : int
        Of the rows that are drawn.

    Returns
    -------
    dict
        By the metrics' names: "value", "low" and "high", None where a metric is not defined.
    """
    random = np.random.default_rng(seed)
    n = len(y)
    draws = [np.bincount(random.integers(n, size=n), minlength=n).astype(np.float64) for _ in range(RESAMPLES)]
    found: dict[str, Report] = {}
    for metric in metrics:
        with np.errstate(all="ignore"):
            value = metric(y, outputs)
            values = np.array([metric(y, outputs, draw) for draw in draws])
        values = values[np.isfinite(values)]
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(values, [tail, 1 - tail]) if len(values) else (np.nan, np.nan)
        found[metric.name] = {"value": _number(value), "low": _number(low), "high": _number(high)}
    return found


def importances(
    predict: Callable[[dict[str, Array]], Array], columns: dict[str, Array], y: Array, metric: Metric, seed: int = 0
) -> dict[str, float]:
    """Return how much worse a metric gets where a column's values are those of other rows (Breiman 2001).

    Parameters
    ----------
    predict : callable
        Takes columns by name, and gives outputs (n, k).
    columns : dict of str to ndarray
    y : ndarray of shape (n,)
    metric : Metric
    seed : int
        Of the rows that are taken, of more than 2000, and of their order.

    Returns
    -------
    dict
        By column, the most telling first.
    """
    random = np.random.default_rng(seed)
    rows = random.permutation(len(y))[: max(200, min(AT_MOST, CELLS // len(columns)))]
    some, targets = {name: column[rows] for name, column in columns.items()}, y[rows]
    sign = -1.0 if metric.mode == "min" else 1.0
    best = sign * metric(targets, predict(some))
    found = {}
    for name, column in some.items():
        moved = predict({**some, name: column[random.permutation(len(rows))]})
        found[name] = float(best - sign * metric(targets, moved))
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _number(value: Any) -> float | None:
    """Return a number as JSON has it."""
    return float(value) if np.isfinite(value) else None
