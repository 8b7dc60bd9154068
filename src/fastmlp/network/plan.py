"""The plan of a call of `MLP.fit`: everything is checked, and who hears of what in which order is decided here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from fastmlp.network.arguments import Rows
from fastmlp.network.resuming import Unfinished
from fastmlp.spec import LBFGS, Adam
from fastmlp.train import lbfgs, loop
from fastmlp.train.callbacks import Lent
from fastmlp.train.checkpoint import Checkpoint, Keeper
from fastmlp.train.course import Course
from fastmlp.train.due import Due, Timed
from fastmlp.train.history import count_epochs
from fastmlp.train.record import Recorder
from fastmlp.train.safety import Safety

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastmlp.network.arguments import Limits
    from fastmlp.network.batches import InBatches
    from fastmlp.network.resuming import Resumed
    from fastmlp.network.state import State
    from fastmlp.spec import Optimizer
    from fastmlp.train.callbacks import Callback, Logs, LoopCallback
    from fastmlp.train.epoch import Epoch
    from fastmlp.train.history import History
    from fastmlp.train.metrics import Measured

__all__ = ["Plan"]


@dataclass
class Plan:
    """What a call of `fit` is to do.

    Attributes
    ----------
    epoch : Epoch
    rows : Rows or InBatches
    limits : Limits
    method : Optimizer, LBFGS or None
        None: the optimizer in use.
    called : list of Callback
        The user's.
    shuffle : bool
    resumed : Resumed or None
        What it goes on with.
    """

    epoch: Epoch
    rows: Rows | InBatches
    limits: Limits
    method: Optimizer | LBFGS | None
    called: list[Callback]
    shuffle: bool
    resumed: Resumed | None

    def run(self, net: State, report: Measured, bars: list[LoopCallback]) -> History:
        """Train, with the network locked.

        Bars hear of an epoch's end first, then what may undo it or end it, then users, and last who keeps it.
        """
        learner, history = self.epoch.learner, net._history
        resumed, record = self.resumed, None if self.resumed is None else self.resumed.record
        start = count_epochs(history) if record is None else record["start"]
        course = self._course()
        losses = [f"{name}_loss" for name in report.validation]
        ends = self.limits.callbacks(course, losses[0] if losses else "loss")
        users: list[LoopCallback] = [Lent(self.called, net._access.lent)] if self.called else []
        if isinstance(self.method, LBFGS):
            assert isinstance(self.rows, Rows)  # as_stream refuses batches
            history.stopped, net._unfinished = "exception", None
            callbacks = [*bars, *ends, *users]
            stopped = lbfgs.fit(self.epoch, self.rows.trained, self.method, self.limits.epochs, report, callbacks, net)
        else:
            recorder = Recorder(
                self.epoch, course, history, start, repr(self.method), self.shuffle, [*ends, *self.called]
            )
            course.adopt = partial(self._begin, net, recorder)
            used = self.method or learner.optimizer or Adam()
            if resumed is not None:
                recorder.check(resumed.record)
                used = resumed.optimizer(learner, self.method) or used
            keepers = self._keepers(net, course, recorder)
            callbacks = [*bars, Safety(self.epoch, history, start, losses), *ends, *users, *keepers]
            history.stopped = "exception"
            stopped = loop.fit(self.epoch, self.limits.epochs, report, callbacks, net, used, course, self._last())
        history.stopped = stopped or "epochs"
        return history.since(start)

    def _course(self) -> Course:
        learner = self.epoch.learner
        if self.resumed is None:
            return Course(learner, learner.epoch)
        record = self.resumed.record
        return Course(learner, record["first"], record["steps"], record["part"], record["over"])

    def _last(self) -> Logs | None:
        """Return the logs of the last epoch of what is gone on with."""
        if self.resumed is None:
            return None
        history, start = self.resumed.record["history"], self.resumed.record["start"]
        return {name: column[-1] for name, column in history.items()} if len(history.epoch) > start else None

    def _begin(self, net: State, recorder: Recorder) -> None:
        """Forget what was stopped before, or stand where it was."""
        net._unfinished = None
        if self.resumed is None:
            return
        self.resumed.take_over(recorder.epoch.learner)
        net._history.become(self.resumed.record["history"])
        net._history.stopped = "exception"
        recorder.load_states(self.resumed.record)

    def _keepers(self, net: State, course: Course, recorder: Recorder) -> list[LoopCallback]:
        """Make what looks on between steps, then what writes checkpoints, and keeps a training that stops."""
        timed = [callback for callback in self.called if isinstance(callback, Timed) and not callback.in_epochs]
        checkpoints = [callback for callback in self.called if isinstance(callback, Checkpoint)]
        dues = [Due(each.every, course, each.look) for each in timed]
        dues += [Due(each.every, course, partial(_save, each, recorder)) for each in checkpoints]

        def keep(record: Mapping[str, Any]) -> None:
            if course.over:
                return
            epoch = self.epoch  # whose steps may all be made: then its weights are in their mean when `fit` is left
            changes = self.called or (epoch.options.swa and epoch.is_open and epoch.complete)
            net._unfinished = Unfinished(record, net._learner.checkpoint() if changes else None)

        return [*dues, Keeper(checkpoints, recorder.record, keep)]


def _save(checkpoint: Checkpoint, recorder: Recorder, net: Any, logs: Logs) -> None:
    checkpoint.save(net, logs, recorder.record)
