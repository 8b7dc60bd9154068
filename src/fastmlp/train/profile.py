"""The time of a training by its stages: seconds and share of the multiply-add peak by stage, and what could be done."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from fastmlp.runtime.measure import thread_peak
from fastmlp.spec import STAGES

if TYPE_CHECKING:
    from fastmlp.train.learner import Learner

__all__ = ["Profile", "profiled"]


@dataclass(frozen=True)
class Profile:
    """The profile that `MLP.fit` with ``profile=True`` leaves in ``net.profile_``.

    Attributes
    ----------
    seconds : mapping of str to float
        Of all threads together, by stage: "gather" (rows of X and y, converted), "forward", "loss", "backward",
        "update" (gradient and optimizer), "wait" (for other threads).
    wall : float
        Seconds that the engine took, by the clock.
    steps : int
    rows : int
        Trained on in these steps.
    threads : float
        In use, on average over the time.
    sizes : tuple of int
        The network's.
    peak : float
        Operations per second that multiply-adds without memory reach on one thread, measured before the first
        training of a process that wants it (0.05 s); 0 where it cannot be measured.

    Examples
    --------
    >>> import numpy as np, fastmlp
    >>> net = fastmlp.MLP([20, 64, 1], seed=0)
    >>> history = net.fit(np.zeros((256, 20)), np.zeros(256), epochs=2, profile=True)
    >>> net.profile_.steps, sorted(net.profile_.seconds)
    (16, ['backward', 'forward', 'gather', 'loss', 'update', 'wait'])
    """

    seconds: Mapping[str, float]
    wall: float
    steps: int
    rows: int
    threads: float
    sizes: tuple[int, ...]
    peak: float = 0.0

    def flops(self, stage: str) -> float:
        """Floating-point operations of a stage's matrix products, two for each multiply-add."""
        products = [2.0 * n_in * n_out for n_in, n_out in pairwise(self.sizes)]
        by_stage = {"forward": sum(products), "backward": sum(products[1:]), "update": sum(products)}
        return self.rows * by_stage.get(stage, 0.0)

    def peak_share(self, stage: str) -> float | None:
        """Return the share of the peak that a stage's products reach; None where it has none, or no peak is known."""
        seconds, flops = self.seconds[stage], self.flops(stage)
        return flops / seconds / self.peak if flops and seconds and self.peak else None

    @property
    def advice(self) -> Sequence[str]:
        """Say in words what would clearly help; nothing where nothing clearly would."""
        busy = sum(self.seconds.values())
        if not busy or not self.steps:
            return ()
        found = []
        batch, step = self.rows / self.steps, busy / self.steps
        # What an update costs beyond its products does not depend on the batch: a row of four times as large a batch
        # pays a quarter of it.
        if self.peak:
            fixed = max(0.0, (self.seconds["update"] - self.flops("update") / (0.85 * self.peak)) / self.steps)
            faster = step / (step - 0.75 * fixed)
            if faster >= 1.2:
                found.append(
                    f"batch {batch:.0f} -> {4 * batch:.0f} would be about {faster:.1f}x faster per row: the part of an "
                    f"update that is no product ({fixed / step:.0%} of the time) costs the same for any batch"
                )
        waiting = self.seconds["wait"] / busy
        if self.threads > 1.5 and waiting > 0.25:
            found.append(f"the threads wait for each other {waiting:.0%} of the time: fewer may do as well")
        gathering = self.seconds["gather"] / busy
        if gathering > 0.25:
            found.append(
                f"gathering rows takes {gathering:.0%} of the time: C-contiguous rows of the network's dtype are the "
                "fastest, and rows that fit into memory"
            )
        return tuple(found)

    def __str__(self) -> str:
        busy = sum(self.seconds.values()) or 1.0
        steps = max(self.steps, 1)
        what = f"{self.steps} steps of {self.rows / steps:.0f} rows, {1e6 * self.wall / steps:.2f} us each"
        lines = [f"{what}, on {self.threads:.1f} threads", "stage      seconds  share  of FMA peak"]
        for stage in STAGES:
            part = self.peak_share(stage)
            lines.append(
                f"{stage:8s} {self.seconds[stage]:9.4f}  {self.seconds[stage] / busy:5.1%}"
                + ("" if part is None else f"  {part:10.0%}")
            )
        return "\n".join([*lines, *self.advice])

    def _repr_html_(self) -> str:
        """Show what `str` tells as a table in a notebook."""
        from fastmlp.markup import table

        head, _, *_ = str(self).split("\n")
        busy = sum(self.seconds.values()) or 1.0
        rows = []
        for stage, seconds in self.seconds.items():
            part = self.peak_share(stage)
            rows.append([stage, f"{seconds:.4f}", f"{seconds / busy:.1%}", "" if part is None else f"{part:.0%}"])
        from html import escape

        advice = "".join(f"<p>{escape(line)}</p>" for line in self.advice)
        return table(head, ["stage", "seconds", "share", "of FMA peak"], rows, advice)


@contextmanager
def profiled(learner: "Learner", found: Callable[[Profile], None]) -> Iterator[None]:
    """Hand on a profile of what is trained meanwhile, also when that ends with an exception."""
    engine, spec = learner.engine, learner.spec
    steps, rows = learner.steps_trained, learner.rows_trained
    engine.start_profile()
    try:
        yield
    finally:
        seconds, wall, all_threads = engine.stop_profile()
        steps, rows = learner.steps_trained - steps, learner.rows_trained - rows
        peak = thread_peak(engine.isa, spec.number_format)
        found(Profile(seconds, wall, steps, rows, all_threads / wall if wall else 0.0, spec.sizes, peak))
