"""How a run of steps ended, and the stages that a step is profiled by."""

from typing import NamedTuple

__all__ = ["STAGES", "Run"]


class Run(NamedTuple):
    """How a run of steps ended: what `Engine.train` returns.

    Attributes
    ----------
    steps : int
        Whole steps done; the parameters are those after that many updates.
    status : str
        "done", "interrupted" (a signal handler raised) or "non_finite" (the loss of step number `steps` was).
    exception : BaseException or None
        What the signal handler raised.
    """

    steps: int
    status: str
    exception: BaseException | None


#: Stages of a training step, in its order: what a profile tells apart.
STAGES = ("gather", "forward", "loss", "backward", "update", "wait")
