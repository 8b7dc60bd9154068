"""Statistics of paired measurements: how much longer one of two takes than the other, and how sure that is.

Rounds in the same pair of processes have the same addresses, and with them an error in common; only rounds of different
pairs are independent. So the pairs of processes are what counts: each is worth the median of its rounds, the figure is
the median of the pairs, and the interval that of a median by order statistics, which assumes nothing about how they are
distributed.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95


def paired_ratio(base: Sequence[float], this: Sequence[float]) -> float:
    """Compute a round's ratio by the geometric means of its visits: in the order A B B A a steady drift drops out."""
    return math.exp(statistics.fmean(map(math.log, this)) - statistics.fmean(map(math.log, base)))


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """An interval that holds the median with so much confidence; infinite where the values are too few (six for 95 %).

    Between the d-th and the d-th last of n values, it lies with a probability that the binomial distribution tells.
    Hettmansperger and Sheather (1986) interpolate between the two d whose probabilities enclose the one asked for.
    """
    ordered, n = sorted(values), len(values)

    def coverage(d: int) -> float:
        return 1.0 - 2.0 * sum(math.comb(n, k) for k in range(d)) / 2.0**n

    if n == 0 or coverage(1) < confidence:
        return -math.inf, math.inf
    d = max(d for d in range(1, n // 2 + 1) if coverage(d) >= confidence)
    share = (coverage(d) - confidence) / (coverage(d) - coverage(d + 1)) if 2 * d < n else 0.0
    inner = (n - d) * share / (d + (n - 2 * d) * share)
    low, high = ordered[d - 1], ordered[n - d]
    return low + inner * (ordered[d] - low), high - inner * (high - ordered[n - d - 1])


@dataclass(frozen=True)
class Paired:
    """A ratio as far as it is known: median over pairs of processes, an interval for it, quartiles of single rounds."""

    median: float
    low: float
    high: float
    quartiles: tuple[float, float]
    pairs: int
    rounds: int

    @classmethod
    def of(cls, pairs: Sequence[Sequence[float]]) -> Paired:
        """Summarise the ratios of the rounds of each pair of processes."""
        medians = [statistics.median(rounds) for rounds in pairs]
        single = [ratio for rounds in pairs for ratio in rounds]
        lower, _, upper = statistics.quantiles(single, n=4, method="inclusive") if len(single) > 1 else 3 * single
        return cls(
            statistics.median(medians), *median_interval(medians), (lower, upper), len(pairs), len(single)
        )  # fmt: skip

    def settled(self, precision: float) -> bool:
        """Return whether the interval reaches no further than `precision` from its middle."""
        return self.high - self.low <= 2 * precision
