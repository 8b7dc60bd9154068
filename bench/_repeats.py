"""The number of repeats by which a kernel's time is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

REPEAT_SECONDS = 1e-3


def long_enough(run: Callable[[int], tuple[float, float]]) -> int:
    """Find the repeats for which `run` takes REPEAT_SECONDS; it is given their number and returns (_, seconds)."""
    count = 1
    while (taken := run(count)[1]) < 0.2 * REPEAT_SECONDS:
        count *= 4
    return max(1, round(count * REPEAT_SECONDS / taken))
