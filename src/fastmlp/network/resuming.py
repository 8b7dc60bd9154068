"""A training that was stopped, and the argument ``resume`` that goes on with it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastmlp.files import load_model
from fastmlp.train.record import checked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastmlp.files import Checkpoint
    from fastmlp.network.state import State
    from fastmlp.spec import Optimizer
    from fastmlp.train.learner import Learner

__all__ = ["Resumed", "Unfinished", "as_resumed"]


@dataclass(frozen=True)
class Unfinished:
    """A training that stopped, as its network keeps it.

    Attributes
    ----------
    record : mapping
        Where it stood.
    checkpoint : Checkpoint or None
        The network there, where it may have changed since: callbacks do (`EarlyStopping` puts the best weights back),
        and an epoch that was finished and not measured is taken into the mean of ``fit(swa=...)``.
    """

    record: Mapping[str, Any]
    checkpoint: Checkpoint | None = None


@dataclass(frozen=True)
class Resumed:
    """A training that is to be gone on with, checked.

    Attributes
    ----------
    record : dict
        Where it stood.
    checkpoint : Checkpoint or None
        The network there; None: it is as the training left it.
    seed : int
    """

    record: dict[str, Any]
    checkpoint: Checkpoint | None
    seed: int

    @property
    def place(self) -> tuple[int, int]:
        """Epochs before the training, and its steps so far."""
        return self.record["first"], self.record["steps"]

    def optimizer(self, learner: Learner, given: Optimizer | None) -> Optimizer | None:
        """Return the optimizer to go on with: the one in use, unless the call gives another one than its first did."""
        used = learner.optimizer if self.checkpoint is None else self.checkpoint.optimizer
        return given if given is not None and repr(given) != self.record["optimizer"] else used

    def take_over(self, learner: Learner) -> None:
        """Let a learner stand where the training stopped."""
        if self.checkpoint is not None:
            learner.undo = None
            learner.seed = self.seed
            learner.resume(self.checkpoint)
            if not self.checkpoint.average:
                learner.reset_average()
        learner.position = self.record["finished"], None


def as_resumed(net: State, resume: Any) -> Resumed | None:
    """Check the argument ``resume``: True for the network's own training, or a file's path, which may be missing."""
    if resume is None or resume is False:
        return None
    if resume is True:
        return _own(net)
    path = os.fsdecode(resume) if isinstance(resume, str | bytes | os.PathLike) else None
    if path is None:
        raise TypeError(f"resume must be True or a path, got {resume!r:.80} ({type(resume).__name__})")
    if not Path(path).exists():
        return None
    spec = net._learner.spec
    checkpoint = load_model(path, spec.loss if spec.loss.name == "custom" else None)
    if checkpoint.spec != spec:
        raise ValueError(f"{path}: the training is of another network, {checkpoint.spec}; this one is {spec}")
    theirs, ours = checkpoint.normalizing.kinds, net._learner.normalizing.kinds
    if theirs != ours:
        raise ValueError(
            f"{path}: the training is of a network with normalize={theirs[0]!r} and normalize_targets={theirs[1]!r}; "
            f"this one has {ours[0]!r} and {ours[1]!r}"
        )
    if checkpoint.training is None:
        raise ValueError(
            f"{path}: a network without a training to go on with: Checkpoint saves it, or save after a fit that was "
            "stopped"
        )
    trial = type(net).__new__(type(net))
    try:
        trial._resume(checkpoint, net._requested_backend)  # finds what is wrong before anything changes
        return Resumed(checked(checkpoint.training), checkpoint, checkpoint.seed)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def _own(net: State) -> Resumed:
    unfinished, learner = net._unfinished, net._learner
    if unfinished is None:
        raise ValueError(
            "resume=True goes on with a training of this network that was stopped, and there is none (one with "
            "callbacks is in the files of Checkpoint, but not in those of save, nor in copies)"
        )
    record = checked(unfinished.record)
    if learner.step != record["n_steps"]:
        raise ValueError("resume=True goes on with a training that was stopped, and this network was trained since")
    return Resumed(record, unfinished.checkpoint, learner.seed)
