"""How often a kernel is repeated for its time to be measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

REPEAT_SECONDS = 1e-3


def long_enough(run: Callable[[int], tuple[float, float]]) -> int:
    """How often to repeat something for it to take REPEAT_SECONDS; it is given the number and returns (_, seconds)."""
    count = 1
    while (taken := run(count)[1]) < 0.2 * REPEAT_SECONDS:
        count *= 4
    return max(1, round(count * REPEAT_SECONDS / taken))
