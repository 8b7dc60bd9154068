"""What there is time for: a few batches tell how long a row takes, and so how many epochs of how many networks."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from fastmlp.data import Inputs
    from fastmlp.network import MLP
    from fastmlp.spec import Array

__all__ = ["Budget", "Pace", "budget", "pace_of"]

#: Share of the time that is left for what comes behind the training.
RESERVE: Final = 0.12
#: Fewest epochs that a schedule with cycles is worth: where the time is for less, they are of fewer rows.
FEWEST_EPOCHS: Final = 4
#: Fewest rows to learn from, whatever the time.
FEWEST_ROWS: Final = 64


@dataclass(frozen=True)
class Pace:
    """Seconds that one thread takes for a row to learn from, and for one to validate on."""

    row: float
    held_row: float


@dataclass(frozen=True)
class Budget:
    """How many networks, epochs of each, and the share of the rows that they see."""

    count: int
    epochs: int
    share: float


def pace_of(net: MLP, X: Inputs, y: Array, batch_size: int) -> Pace:
    """Train a copy of a network on a few batches, and let it predict them, to see how long that takes."""
    few = min(len(y), 4 * batch_size)
    probe, row, held_row = copy.deepcopy(net), np.inf, np.inf
    for _ in range(2):  # the first time is also that of buffers being made
        begun = time.perf_counter()
        part = X[:few]
        probe.fit(part, y[:few], epochs=1, batch_size=batch_size, threads=1)
        middle = time.perf_counter()
        probe.predict(part, threads=1)
        row, held_row = min(row, middle - begun), min(held_row, time.perf_counter() - middle)
    return Pace(row / few, held_row / few)


def budget(seconds: float, pace: Pace, n_train: int, n_held: int, *, epochs: int, count: int, threads: int) -> Budget:
    """Return what there is time for: all, else fewer epochs, then fewer networks, then fewer rows."""
    seconds *= 1.0 - RESERVE
    one = pace.row * n_train + pace.held_row * n_held
    affordable = 0
    while True:
        affordable = int(seconds / -(-count // threads) / one)
        if affordable >= epochs // 2 or count == 1:
            break
        count = threads * (-(-count // threads) - 1) or 1
    if affordable >= min(epochs, FEWEST_EPOCHS):
        return Budget(count, min(epochs, affordable), 1.0)
    epochs = min(epochs, FEWEST_EPOCHS)
    return Budget(count, epochs, max(min(1.0, FEWEST_ROWS / n_train), seconds / epochs / one))
