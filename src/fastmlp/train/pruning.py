"""Optuna's pruning: trials that are not promising end early."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastmlp.train.callbacks import Callback, check_monitor

if TYPE_CHECKING:
    from fastmlp.network import MLP
    from fastmlp.train.callbacks import Logs

__all__ = ["OptunaPruning"]


class OptunaPruning(Callback):
    """Report each epoch to a trial of Optuna, and raise `optuna.TrialPruned` where its pruner has seen enough.

    Parameters
    ----------
    trial : optuna.trial.Trial
        Of a study with one objective, whose direction says whether what is watched is to rise or to fall.
    monitor : str, default "val_loss"
        What is reported: a name in the history, by the number of the epoch.

    Raises
    ------
    ImportError
        If Optuna is not installed.
    TypeError
        If an argument is not as described.
    ValueError
        By `fit`, before anything changes, where nothing of this name is measured.
    optuna.TrialPruned
        By `fit`, after the epoch that has told the pruner; the network stays as that left it.

    Examples
    --------
    A study whose trials end at an epoch where half of those before were better:

    >>> import fastmlp, optuna
    >>> X, y = fastmlp.datasets.load_digits()
    >>> def objective(trial):
    ...     net = fastmlp.MLP([64, trial.suggest_int("units", 8, 32), 10], output="softmax", seed=0)
    ...     optimizer = fastmlp.Adam(trial.suggest_float("rate", 1e-4, 1e-1, log=True))
    ...     pruning = fastmlp.OptunaPruning(trial, "val_loss")
    ...     history = net.fit(X, y, epochs=3, optimizer=optimizer, validation_split=0.2, callbacks=[pruning])
    ...     return history.val_loss[-1]
    >>> optuna.logging.set_verbosity(optuna.logging.ERROR)
    >>> study = optuna.create_study(pruner=optuna.pruners.MedianPruner())
    >>> study.optimize(objective, n_trials=3)
    >>> sorted(study.best_params)
    ['rate', 'units']
    """

    def __init__(self, trial: Any, monitor: str = "val_loss") -> None:
        try:
            import optuna
        except ImportError as error:
            raise ImportError(
                "OptunaPruning needs Optuna, which is not installed: pip install 'fastmlp[optuna]'"
            ) from error
        for method in ("report", "should_prune"):
            if not callable(getattr(trial, method, None)):
                raise TypeError(f"trial must be a trial of Optuna, with a method {method}, got {trial!r:.80}")
        if not isinstance(monitor, str):
            raise TypeError(f"monitor must be a name such as 'val_loss', got {monitor!r}")
        self.trial, self.monitor = trial, monitor
        self._pruned: type[Exception] = optuna.TrialPruned

    def on_train_begin(self, net: MLP, logs: Logs) -> None:  # noqa: ARG002
        check_monitor(self, self.monitor, logs["names"])

    def on_epoch_end(self, net: MLP, logs: Logs) -> None:  # noqa: ARG002
        value, epoch = float(logs[self.monitor]), int(logs["epoch"])
        self.trial.report(value, step=epoch)
        if self.trial.should_prune():
            raise self._pruned(f"pruned after epoch {epoch}, whose {self.monitor} is {value:.6g}")
