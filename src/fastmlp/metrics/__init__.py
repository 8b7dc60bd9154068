"""Metrics: of a training, by name or as objects, and as functions.

Names go into ``fit(metrics=[...])`` and ``evaluate(metrics=[...])``, and so do these objects and functions of your own
``f(y_true, y_pred)``. Each object is a function of targets, outputs and, if wanted, sample weights:

>>> import fastmlp
>>> fastmlp.metrics.accuracy([1, 0, 1], [0.8, 0.4, 0.3])
0.6666666666666666
>>> fastmlp.metrics.F1("macro")([0, 1, 2, 2], [0, 2, 2, 2])
0.6
>>> net = fastmlp.MLP([2, 1], loss="binary_cross_entropy", init="zeros")
>>> net.evaluate([[0, 1], [1, 0], [2, 2], [3, 1]], [0, 1, 1, 1], metrics=["accuracy", "auc", "f1"])
{'loss': 0.6931471824645996, 'accuracy': 0.75, 'auc': 0.5, 'f1': 0.8571428571428571}
"""

from fastmlp.metrics.base import Metric, Mode, Task
from fastmlp.metrics.classes import F1, Accuracy, BalancedAccuracy, LogLoss, Precision, Recall, TopKAccuracy, ZeroOne
from fastmlp.metrics.names import METRIC_ALIASES, METRICS, as_metric, as_metrics
from fastmlp.metrics.quantities import (
    D2,
    MAE,
    MAPE,
    MSE,
    R2,
    RMSE,
    CosineSimilarity,
    D2AbsoluteError,
    D2Pinball,
    Pinball,
)
from fastmlp.metrics.ranks import AUC, AveragePrecision

__all__ = [
    "AUC",
    "D2",
    "F1",
    "MAE",
    "MAPE",
    "METRICS",
    "METRIC_ALIASES",
    "MSE",
    "R2",
    "RMSE",
    "Accuracy",
    "AveragePrecision",
    "BalancedAccuracy",
    "CosineSimilarity",
    "D2AbsoluteError",
    "D2Pinball",
    "LogLoss",
    "Metric",
    "Mode",
    "Pinball",
    "Precision",
    "Recall",
    "Task",
    "TopKAccuracy",
    "ZeroOne",
    "accuracy",
    "as_metric",
    "as_metrics",
    "auc",
    "average_precision",
    "balanced_accuracy",
    "cosine_similarity",
    "d2",
    "d2_absolute_error",
    "d2_pinball",
    "f1",
    "log_loss",
    "mae",
    "mape",
    "mse",
    "pinball",
    "precision",
    "r2",
    "recall",
    "rmse",
    "zero_one",
]

accuracy, balanced_accuracy, zero_one, log_loss = Accuracy(), BalancedAccuracy(), ZeroOne(), LogLoss()
precision, recall, f1 = Precision(), Recall(), F1()
auc, average_precision = AUC(), AveragePrecision()
mae, mse, rmse, mape, pinball = MAE(), MSE(), RMSE(), MAPE(), Pinball()
r2, d2, d2_absolute_error, d2_pinball = R2(), D2(), D2AbsoluteError(), D2Pinball()
cosine_similarity = CosineSimilarity()
