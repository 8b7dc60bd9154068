"""A learning rate that falls where a training no longer gets better."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

from fastmlp.spec import Rprop, Schedule
from fastmlp.spec.checks import inner_fraction, integer, not_negative
from fastmlp.train.callbacks import Watching

if TYPE_CHECKING:
    from fastmlp.network import MLP
    from fastmlp.train.callbacks import Logs

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(Watching):
    """Multiply the learning rate by a factor when a quantity has not improved for some epochs.

    It sets `MLP.optimizer`, so the rate is saved with the network. Used again on the network that it has seen last, at
    the epoch where that was, or on a copy of it (both can be pickled), it goes on counting where it was, and two calls
    of `fit` are one; elsewhere it begins anew.

    Parameters
    ----------
    monitor : str, default "val_loss"
        What to watch: a name in the history.
    factor : float, default 0.1
        > 0 and < 1.
    patience : int, default 10
        Reduce after this many epochs in a row without improvement, as Keras does, and `EarlyStopping`. (PyTorch's
        scheduler takes one more than its `patience`.)
    min_delta : float, default 1e-4
        >= 0. A change must be larger than this to be an improvement.
    cooldown : int, default 0
        >= 0. So many epochs after a reduction do not count as ones without improvement, as in PyTorch. (Keras counts
        the last of them.)
    min_lr : float, default 0.0
        >= 0. The rate does not go below.
    mode : {"auto", "max", "min"}
        Whether what is watched is to rise or to fall, as for `EarlyStopping`.

    Attributes
    ----------
    best : float or None
        Best value of the monitored quantity.
    reduced_epochs : list of int
        Numbers of the epochs after which the rate was reduced.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described; by `fit`, before anything changes, where nothing of this name is measured or
        the optimizer has no learning rate that is a number.

    Examples
    --------
    >>> import fastmlp
    >>> plateau = fastmlp.ReduceLROnPlateau("loss", factor=0.5, patience=2, min_delta=10.0)
    >>> net = fastmlp.MLP([2, 4, 1], seed=0)
    >>> history = net.fit([[0, 1], [1, 0]], [0, 1], epochs=6, optimizer=fastmlp.SGD(0.1), callbacks=[plateau])
    >>> net.optimizer.learning_rate, plateau.reduced_epochs
    (0.025, [3, 5])
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        mode: Literal["auto", "max", "min"] = "auto",
    ) -> None:
        super().__init__(monitor, min_delta, mode)
        self.factor = inner_fraction(factor, "factor")
        self.patience = integer(patience, "patience", 1)
        self.cooldown = integer(cooldown, "cooldown", 0)
        self.min_lr = not_negative(min_lr, "min_lr")
        self._forget()

    def _forget(self) -> None:
        self.best = None
        self.reduced_epochs: list[int] = []
        self._waited = self._cooling = 0
        self._seen: tuple[int, int] | None = None  # seed and epochs of the network

    def on_train_begin(self, net: MLP, logs: Logs) -> None:
        super().on_train_begin(net, logs)
        optimizer = logs["optimizer"]
        rate = getattr(optimizer, "learning_rate", None)
        if isinstance(rate, Schedule):
            raise ValueError(f"ReduceLROnPlateau needs a learning rate that is a number; {rate} changes it by itself")
        if rate is None or isinstance(optimizer, Rprop):
            kind = type(optimizer).__name__
            raise ValueError(
                f"ReduceLROnPlateau reduces a learning rate, and {kind} has none that counts in every step"
            )
        if self._seen != (net.seed, net.n_epochs):
            self._forget()

    def on_epoch_end(self, net: MLP, logs: Logs) -> None:
        self._seen = net.seed, net.n_epochs
        self._waited = 0 if self._improves(logs[self.monitor]) else self._waited + 1
        if self._cooling:
            self._cooling, self._waited = self._cooling - 1, 0
        if self._waited >= self.patience:
            self._reduce(net, logs["epoch"])

    def _reduce(self, net: MLP, epoch: int) -> None:
        """Reduce the rate, if there is something left of it."""
        self._waited, self._cooling = 0, self.cooldown
        optimizer = net.optimizer
        assert optimizer is not None
        before: float = getattr(optimizer, "learning_rate")  # noqa: B009 - no attribute of the base
        after = max(before * self.factor, self.min_lr)
        if 0.0 < after < before:
            net.optimizer = dataclasses.replace(optimizer, learning_rate=after)  # type: ignore[call-arg]
            self.reduced_epochs.append(epoch)

    def state_dict(self) -> dict[str, Any]:
        return {
            "best": self.best,
            "reduced_epochs": self.reduced_epochs,
            "waited": self._waited,
            "cooling": self._cooling,
            "seen": [] if self._seen is None else [str(self._seen[0]), self._seen[1]],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.reduced_epochs = state["best"], list(state["reduced_epochs"])
        self._waited, self._cooling, seen = state["waited"], state["cooling"], state["seen"]
        self._seen = (int(seen[0]), seen[1]) if seen else None

    def __repr__(self) -> str:
        return (
            f"ReduceLROnPlateau({self.monitor!r}, factor={self.factor}, patience={self.patience}, "
            f"min_delta={self.min_delta}, cooldown={self.cooldown}, min_lr={self.min_lr}"
            f"{'' if self.mode == 'auto' else f', mode={self.mode!r}'})"
        )
