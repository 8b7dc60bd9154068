"""The metrics by name, and the argument ``metrics`` of `MLP.fit` and `MLP.evaluate`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from fastmlp.metrics import quantities
from fastmlp.metrics.base import Function, Metric, Task
from fastmlp.metrics.classes import F1, Accuracy, BalancedAccuracy, LogLoss, Precision, Recall, TopKAccuracy, ZeroOne
from fastmlp.metrics.ranks import AUC, AveragePrecision
from fastmlp.spec import NetworkSpec
from fastmlp.spec.checks import choice, shown

__all__ = ["METRICS", "METRIC_ALIASES", "as_metric", "as_metrics"]

_AVERAGES = ("macro", "micro", "weighted")

#: Metrics by name; those with a k or q in it, such as "top_3_accuracy" and "pinball_0.9", are made when asked for.
#:
#: >>> fastmlp.metrics.METRICS["mae"]([1.0, 2.0], [1.5, 4.0])
#: 1.25
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Accuracy(), BalancedAccuracy(), ZeroOne(), TopKAccuracy(), LogLoss(),
        *(kind(average) for kind in (Precision, Recall, F1) for average in ("auto", *_AVERAGES)),
        AUC(), AveragePrecision(),
        *(getattr(quantities, kind)() for kind in quantities.__all__),
    )
}  # fmt: skip

#: Names of Keras, PyTorch and scikit-learn, and ours.
#:
#: >>> fastmlp.metrics.METRIC_ALIASES["roc_auc"]
#: 'auc'
METRIC_ALIASES = {
    "acc": "accuracy",
    "zero_one_loss": "zero_one",
    "roc_auc": "auc",
    "mean_absolute_error": "mae",
    "mean_squared_error": "mse",
    "root_mean_squared_error": "rmse",
    "mean_absolute_percentage_error": "mape",
    "mean_pinball_loss": "pinball",
}

_WITH_NUMBER: dict[str, Callable[[str], Metric]] = {
    r"top_([0-9]+)_accuracy": lambda k: TopKAccuracy(int(k)),
    r"pinball_([0-9.]+)": lambda q: quantities.Pinball(float(q)),
    r"d2_pinball_([0-9.]+)": lambda q: quantities.D2Pinball(float(q)),
}

_RESERVED = ("epoch", "loss", "seconds", "samples_per_second")


def as_metric(metric: object, name: str = "metric") -> Metric:
    """Return the metric meant by a name, an object or a function; `name` is the argument that an error speaks of.

    Examples
    --------
    >>> as_metric("top_3_accuracy"), as_metric("roc_auc")
    (TopKAccuracy(k=3), AUC())
    """
    if isinstance(metric, Metric):
        return metric
    if callable(metric) and not isinstance(metric, type):
        own = getattr(metric, "__name__", None)
        if not isinstance(own, str) or own == "<lambda>":
            raise ValueError(f"{name} must have a __name__ for the history, got {shown(metric)}: use a def")
        return Function(metric)
    if not isinstance(metric, str):
        advice = f"; did you mean {metric.__name__}()?" if isinstance(metric, type) else ""
        raise TypeError(f"{name} must be a name, a metric or a function (y_true, y_pred), got {shown(metric)}{advice}")
    try:
        for pattern, make in _WITH_NUMBER.items():
            if found := re.fullmatch(pattern, metric):
                return make(found[1])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return METRICS[choice(METRIC_ALIASES.get(metric, metric), name, tuple(METRICS))]


def as_metrics(metrics: object, spec: NetworkSpec) -> tuple[Metric, ...]:
    """Return the argument ``metrics`` as objects that are defined for a network, or the one that goes with its loss.

    Examples
    --------
    >>> from fastmlp.metrics import RMSE
    >>> from fastmlp.spec import NetworkSpec
    >>> [metric.name for metric in as_metrics(["mae", RMSE()], NetworkSpec.make([2, 1]))]
    ['mae', 'rmse']
    """
    if metrics is None:
        return tuple(map(as_metric, spec.loss.metrics))
    if not isinstance(metrics, Sequence) or isinstance(metrics, str):
        raise TypeError(f"metrics must be a list of names, metrics and functions, got {shown(metrics)}")
    task, found = Task.of(spec), list[Metric]()
    for place, each in enumerate(metrics):
        metric = as_metric(each, f"metrics[{place}]")
        try:
            metric.check(task)
            if task.gaps and not metric.takes_gaps:
                raise ValueError(f"{metric.name} is not defined for rows of which some targets are NaN")
        except ValueError as error:
            raise ValueError(f"metrics[{place}]: {error}") from None
        if metric.name in _RESERVED or metric.name.startswith("val_"):
            raise ValueError(f"metrics[{place}] is called {metric.name!r}, which is the name of something else")
        if metric.name in (other.name for other in found):
            raise ValueError(f"metrics[{place}] is the second one called {metric.name!r}")
        found.append(metric)
    return tuple(found)
