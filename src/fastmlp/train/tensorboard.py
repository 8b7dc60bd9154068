"""Event files for TensorBoard, by the writer of tensorboardX or PyTorch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from fastmlp.spec import LBFGS, Schedule
from fastmlp.spec.checks import flag
from fastmlp.train.due import Timed

if TYPE_CHECKING:
    from fastmlp.network import MLP
    from fastmlp.train.callbacks import Logs

__all__ = ["TensorBoard"]


class TensorBoard(Timed):
    """Write a training's curves, and if wanted histograms of the parameters, for TensorBoard to show.

    Parameters
    ----------
    log_dir : str or path-like
        The folder of this run, which is made where it is not there: ``tensorboard --logdir`` takes the one around it.
    every : str, int or float, default "1 epoch"
        As for `Checkpoint`: "5 epochs", "100 steps", "30 seconds"; an int counts steps, a float seconds. The
        horizontal axis counts epochs; steps, where it is in steps or seconds.
    histograms : bool, default False
        Whether each layer's weights, biases and gammas are written, too.

    Raises
    ------
    ImportError
        By `fit`, before anything changes, if neither tensorboardX nor PyTorch's writer is installed.
    TypeError, ValueError
        If an argument is not as described; by `fit`, if `every` is not in epochs where nothing makes steps: L-BFGS,
        estimators.

    Notes
    -----
    The curves are called as in the history ("loss", "val_accuracy"), with "learning_rate" beside them; those between
    epochs are "step_loss" and "step_learning_rate". All that is there is on the disk after each epoch, however the
    training ends.

    A training that is resumed, or gone on with, in a folder goes on with its curves: TensorBoard hides what was written
    for later epochs before.

    Examples
    --------
    Two runs beside each other, shown by ``tensorboard --logdir`` and the folder:

    >>> import fastmlp, pathlib, tempfile
    >>> X, y = fastmlp.datasets.load_digits()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for rate in (1e-2, 1e-3):
    ...         net = fastmlp.MLP([64, 32, 10], output="softmax", seed=0)
    ...         board = fastmlp.TensorBoard(f"{folder}/adam-{rate}", histograms=True)
    ...         optimizer = fastmlp.Adam(rate)
    ...         history = net.fit(X, y, epochs=2, optimizer=optimizer, validation_split=0.2, callbacks=[board])
    ...     sorted(path.name for path in pathlib.Path(folder).iterdir())
    ['adam-0.001', 'adam-0.01']
    """

    writes_files = True

    def __init__(
        self, log_dir: str | os.PathLike[str], every: str | float = "1 epoch", *, histograms: bool = False
    ) -> None:
        super().__init__(every)
        self.log_dir, self.histograms = os.fsdecode(log_dir), flag(histograms, "histograms")
        self._rated = True  # whether there is a learning rate in use
        self._kind: Any = None
        self._writer: Any = None

    def on_train_begin(self, net: MLP, logs: Logs) -> None:  # noqa: ARG002
        self._rated = not isinstance(logs["optimizer"], LBFGS)
        self._close()  # of a training that ended with an exception
        self._kind = _summary_writer()

    def look(self, net: MLP, logs: Logs) -> None:
        if self.in_epochs:
            at = logs["epoch"]
            self._curves(logs, net, at)
        else:
            at = net.n_steps
            self._scalars({"loss": logs["loss"], **self._rate(net, net._learner.position[0])}, at, "step_")
        if self.histograms:
            for kind, arrays in (("weights", net.weights), ("biases", net.biases), ("gammas", net.gammas)):
                for layer, array in enumerate(arrays):
                    self._opened(at).add_histogram(f"{kind}/{layer}", array, at)

    def on_epoch_end(self, net: MLP, logs: Logs) -> None:
        super().on_epoch_end(net, logs)
        if not self.in_epochs:
            self._curves(logs, net, net.n_steps)
        if self._writer is not None:
            self._writer.flush()

    def on_train_end(self, net: MLP, logs: Logs) -> None:  # noqa: ARG002
        self._close()

    def _curves(self, logs: Logs, net: MLP, at: int) -> None:
        """Write an epoch's row of the history."""
        measured = {name: value for name, value in logs.items() if name != "epoch"}
        self._scalars({**measured, **self._rate(net, net.n_epochs - 1)}, at)

    def _scalars(self, scalars: dict[str, float], at: int, prefix: str = "") -> None:
        for name, value in scalars.items():
            self._opened(at).add_scalar(prefix + name, value, at)

    def _rate(self, net: MLP, epoch: int) -> dict[str, float]:
        """Return the learning rate, if there is one, of the last step, in an epoch that came after so many."""
        rate = getattr(net.optimizer, "learning_rate", None) if self._rated else None
        if isinstance(rate, Schedule):
            rate = rate(net.n_steps - 1 if rate.by == "step" else epoch - net._learner.first_epoch)
        return {} if rate is None else {"learning_rate": rate}

    def _opened(self, at: int) -> Any:
        """Return the writer; what others have written from here on is hidden."""
        if self._writer is None:
            own = f".{os.urandom(4).hex()}"  # tensorboardX would write over a file that was begun in the same second
            self._writer = self._kind(self.log_dir, purge_step=at, filename_suffix=own)
        return self._writer

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_kind": None, "_writer": None}  # a copy writes a file of its own

    def __repr__(self) -> str:
        return f"TensorBoard({self.log_dir!r}, '{self.every[1]} {self.every[0]}', histograms={self.histograms})"


def _summary_writer() -> Any:
    """Find the class of a writer; an ImportError that says how to get one."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError(
                "TensorBoard needs the writer of tensorboardX, or that of PyTorch with tensorboard, and neither is "
                "installed: pip install 'fastmlp[tensorboard]'"
            ) from error
    return SummaryWriter
