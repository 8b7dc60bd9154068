"""The range test of learning rates: which one to train with, from a few hundred steps."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.spec import Rprop, as_optimizer
from fastmlp.spec.checks import inner_fraction, integer, positive, real
from fastmlp.spec.schedules import Exponential
from fastmlp.train.due import Timed
from fastmlp.train.safety import TrainingDiverged

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from numpy.typing import ArrayLike, NDArray

    from fastmlp.network import MLP
    from fastmlp.spec import ClassWeight, Optimizer, OptimizerName
    from fastmlp.train.callbacks import Logs
    from fastmlp.train.stream import Batches

__all__ = ["LearningRateFinder"]

# The suggestion leaves out this share of the steps at the beginning, as fastai does: there the mean is of few losses.
# Slopes are those over as many steps. Between neighbours, as fastai takes them, a single batch decides: on the digits,
# 1e-5 for one seed and 6e-3 for the next.
SHARE = 0.1


class LearningRateFinder:
    """Find a learning rate by steps in which it rises from very small to too large (Smith 2017; Howard's `lr_find`).

    The steps are made by a copy of the network: weights, optimizer, counters and history of the network stay as they
    are, and the next `fit` gives the bits that it would have given.

    Parameters
    ----------
    low, high : float, default 1e-6 and 1.0
        > 0: the rates of the first and of the last step; in between each is the same multiple of the one before.
    steps : int, default 200
        2 or more.
    divergence : float, default 4.0
        > 1. It stops where the smoothed loss is more than so many times its lowest, or the loss is not finite. (Where
        the lowest is not above zero: where it has risen by more than ``divergence - 1`` times its fall, or the lowest.)
    smoothing : float, default 0.95
        > 0 and < 1: the share of the mean before each step in the moving average of the losses, whose start is
        corrected as Adam's is.

    Attributes
    ----------
    rates, losses, smoothed : ndarray of float64, (steps made,)
        Rates, the loss of each batch before its update, and the moving average of the losses.
    diverged : bool
        Whether it stopped before the last step.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Examples
    --------
    >>> import fastmlp
    >>> images, digits = fastmlp.datasets.load_digits()
    >>> net = fastmlp.MLP([64, 32, 10], output="softmax", seed=0)
    >>> finder = fastmlp.LearningRateFinder(1e-5, 10.0, steps=100).run(net, images, digits, optimizer="adam")
    >>> 1e-4 < finder.suggestion < 1e-1, net.n_steps
    (True, 0)
    >>> history = net.fit(images, digits, optimizer=fastmlp.Adam(finder.suggestion))
    """

    def __init__(
        self,
        low: float = 1e-6,
        high: float = 1.0,
        steps: int = 200,
        *,
        divergence: float = 4.0,
        smoothing: float = 0.95,
    ) -> None:
        self.low, self.high, self.steps = positive(low, "low"), positive(high, "high"), integer(steps, "steps", 2)
        if self.low >= self.high:
            raise ValueError(f"high must be larger than low={low}, got {high}")
        self.divergence, self.smoothing = real(divergence, "divergence"), inner_fraction(smoothing, "smoothing")
        if self.divergence <= 1.0:
            raise ValueError(f"divergence must be > 1, got {divergence}")
        self._keep(np.empty(0), np.empty(0), np.empty(0), diverged=False)

    def run(
        self,
        net: MLP,
        X: ArrayLike | Batches,
        y: ArrayLike | None = None,
        *,
        batch_size: int = 32,
        optimizer: OptimizerName | Optimizer | None = None,
        sample_weight: ArrayLike | None = None,
        class_weight: ClassWeight | None = None,
        shuffle: bool = True,
        threads: int | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        lr_factors: Mapping[str, float] | None = None,
    ) -> Self:
        """Make the steps, on a copy of a network; all that is not said here is as for `MLP.fit`.

        Parameters
        ----------
        net : MLP
            Its weights are where the steps begin.
        optimizer : str or Optimizer, optional
            The rule and all of its hyperparameters but the learning rate; its state begins anew. Default: the network's
            own, or else `Adam`.

        Returns
        -------
        LearningRateFinder
            Itself.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described, or the optimizer has no learning rate that counts in every step.
        """
        chosen = as_optimizer(net.optimizer if optimizer is None else optimizer)
        if getattr(chosen, "learning_rate", None) is None or isinstance(chosen, Rprop):
            kind = type(chosen).__name__
            raise ValueError(f"LearningRateFinder tries learning rates, and {kind} has none that counts in every step")
        rising = Exponential(self.low, self.steps - 1, self.high / self.low)
        trial, probe = copy.deepcopy(net), _Probe(self.smoothing, self.divergence)
        trial.reset_optimizer()  # or the schedule would begin where the network's optimizer stands
        try:
            trial.fit(
                X,
                y,
                epochs=1 if isinstance(X, Iterator) else None,  # which can be read once
                max_steps=self.steps,
                callbacks=[probe],
                optimizer=dataclasses.replace(chosen, learning_rate=rising),  # type: ignore[call-arg]
                batch_size=batch_size,
                sample_weight=sample_weight,
                class_weight=class_weight,
                shuffle=shuffle,
                threads=threads,
                clip_norm=clip_norm,
                clip_value=clip_value,
                lr_factors=lr_factors,
            )
        except TrainingDiverged:
            probe.diverged = True
        losses, smoothed = np.array(probe.losses), np.array(probe.smoothed)
        self._keep(rising.values(0, len(losses)), losses, smoothed, probe.diverged)
        return self

    def _keep(
        self, rates: NDArray[np.float64], losses: NDArray[np.float64], smoothed: NDArray[np.float64], diverged: bool
    ) -> None:
        self.rates, self.losses, self.smoothed, self.diverged = rates, losses, smoothed, diverged

    @property
    def suggestion(self) -> float:
        """The rate at which the smoothed loss falls most steeply over the logarithm of the rate, before it is lowest.

        It is that of fastai, but for slopes, which are those over a tenth of the steps.

        Raises
        ------
        RuntimeError
            If nothing has been run, no loss was finite, or the loss falls nowhere.
        """
        made = len(self.rates)
        self._refuse_nothing("suggest from")
        first = int(SHARE * made)
        across = max(1, first)
        lowest = first + int(self.smoothed[first:].argmin())
        exponents, smoothed = np.log(self.rates[first : lowest + 1]), self.smoothed[first : lowest + 1]
        slopes = (smoothed[across:] - smoothed[:-across]) / (exponents[across:] - exponents[:-across])
        if not len(slopes) or slopes.min() >= 0.0:
            raise RuntimeError(
                f"the loss falls nowhere in {made} steps with rates from {self.rates[0]:g} to {self.rates[-1]:g}: try "
                "another range, more steps or a larger batch_size"
            )
        return float(self.rates[first + int(slopes.argmin()) + across // 2])

    def plot(self, ax: Any = None) -> Any:
        """Draw the losses over the rates, and the suggestion.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Default: those of a new figure.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ImportError
            If Matplotlib is not installed.
        RuntimeError
            If nothing has been run, or no loss was finite.
        """
        from fastmlp.plot import learning_rate_finder

        self._refuse_nothing("draw")
        return learning_rate_finder(self, ax=ax)

    def _refuse_nothing(self, use: str) -> None:
        """Raise a RuntimeError where no step has been made, and say why."""
        if not len(self.rates):
            why = "the loss of the first batch is not finite" if self.diverged else "call run(net, X, y) before"
            raise RuntimeError(f"there is nothing to {use}: {why}")

    def __repr__(self) -> str:
        made = f", {len(self.rates)} steps made" if len(self.rates) else ""
        return f"<LearningRateFinder from {self.low:g} to {self.high:g} in {self.steps} steps{made}>"


class _Probe(Timed):
    """Notes the loss of every step, and stops where it has risen too far."""

    def __init__(self, smoothing: float, divergence: float) -> None:
        super().__init__(1)
        self.smoothing, self.divergence = smoothing, divergence
        self.losses: list[float] = []
        self.smoothed: list[float] = []
        self.diverged = False
        self._mean, self._best = 0.0, np.inf

    def look(self, net: MLP, logs: Logs) -> bool:  # noqa: ARG002
        self.losses.append(logs["loss"])
        self._mean = self.smoothing * self._mean + (1.0 - self.smoothing) * logs["loss"]
        smoothed = self._mean / (1.0 - self.smoothing ** len(self.losses))
        self.smoothed.append(smoothed)
        self._best = best = min(self._best, smoothed)
        # A loss of one's own may be below zero: then its fall, or how far below it is, is the measure.
        scale = best if best > 0.0 else max(self.smoothed[0] - best, -best)
        self.diverged = smoothed - best > (self.divergence - 1.0) * scale
        return self.diverged
