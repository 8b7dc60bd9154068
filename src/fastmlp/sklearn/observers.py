"""Observers of an estimator's training: the clock, a validation set, scikit-learn's callbacks."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any

from sklearn.exceptions import ConvergenceWarning

from fastmlp.train.callbacks import LoopCallback

if TYPE_CHECKING:
    from collections.abc import Callable

    from sklearn.base import BaseEstimator

    from fastmlp.train.callbacks import Logs

__all__ = ["Observers"]


class Observers(LoopCallback):
    """The clock, a validation set and scikit-learn's callbacks, in one callback of the loop.

    Parameters
    ----------
    max_seconds : float or None
        The time after which training is to stop.
    record : callable or None
        Notes the loss on the validation set.
    callbacks : Callbacks or None
        scikit-learn's, if there are any.
    """

    def __init__(
        self,
        max_seconds: float | None,
        record: Callable[[], None] | None,
        callbacks: Callbacks | None,
    ) -> None:
        self.max_seconds, self.record, self.callbacks = max_seconds, record, callbacks
        # With a limit of time, the loop is to ask between steps, too.
        self.every = None if max_seconds is None else 0.02
        self.show: Callable[[], None] | None = None  # lets the attributes say how far training has come
        self.until = float("inf") if max_seconds is None else time.perf_counter() + max_seconds

    @property
    def look_at_parameters(self) -> bool:
        """True if an observer looks at the parameters, so that the engine has to have those of the epoch."""
        return self.record is not None or self.callbacks is not None

    def on_epoch_begin(self, net: Any, logs: Logs) -> None:  # noqa: ARG002
        """Tell the callbacks that an epoch begins."""
        if self.callbacks is not None:
            self._show()
            self.callbacks.begin()

    def on_epoch_end(self, net: Any, logs: Logs) -> bool:  # noqa: ARG002
        """Let all observers look at the epoch; return whether training is to stop."""
        if self.record is not None:
            self.record()
        stop = False
        if self.callbacks is not None:
            self._show()
            stop = self.callbacks.end()
        return stop or self._is_late()

    def on_steps(self, net: Any, logs: Logs) -> bool:  # noqa: ARG002
        """Return whether the time is over."""
        return self._is_late()

    def _is_late(self) -> bool:
        late = time.perf_counter() > self.until
        if late:
            warnings.warn(
                f"Training was stopped after max_seconds={self.max_seconds:g} and hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=9,
            )
        return late

    def _show(self) -> None:
        if self.show is not None:
            self.show()


class Callbacks:
    """scikit-learn's callbacks (1.9 and later) of one fit: its tasks are the fit and, in it, the epochs.

    Parameters
    ----------
    estimator : BaseEstimator
        The one that is being fitted.
    context : object
        scikit-learn's view of the fit.
    data : dict
        What callbacks are told of the data.
    show_parameters : callable
        Lets the estimator's user see the parameters as they are now.
    parameters : callable
        Gives the attributes of which a fitted copy of the estimator can be made.
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        context: Any,
        data: dict[str, Any],
        show_parameters: Callable[[], None],
        parameters: Callable[[], dict[str, Any]],
    ) -> None:
        self.estimator, self.context, self.data = estimator, context, data
        self.show_parameters, self.parameters = show_parameters, parameters

    def begin_fit(self) -> None:
        """Tell the callbacks that fit begins."""
        self.context.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def end_fit(self) -> None:
        """Tell the callbacks that fit is over."""
        self.context.call_on_fit_task_end(estimator=self.estimator, reconstruction_attributes=dict, **self.data)

    def begin(self) -> None:
        """Tell the callbacks that an epoch begins, or an iteration."""
        self.task = self.context.subcontext(task_name="epoch")
        self.task.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def end(self) -> bool:
        """Tell the callbacks that the epoch is over; return whether one of them asks to stop."""
        self.show_parameters()
        return bool(
            self.task.call_on_fit_task_end(
                estimator=self.estimator, reconstruction_attributes=self.parameters, **self.data
            )
        )
