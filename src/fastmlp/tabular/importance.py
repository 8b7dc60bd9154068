"""What each column is worth: how much worse an ensemble is where a column's rows are shuffled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastmlp.many import Ensemble
    from fastmlp.spec import Array
    from fastmlp.tabular.columns import Column
    from fastmlp.tabular.encoding import Encoder

__all__ = ["permutation_importances"]


def permutation_importances(
    ensemble: Ensemble, encoder: Encoder, columns: Sequence[Column], targets: Array
) -> NDArray[np.float64]:
    """Return for each column the rise of the loss by shuffling it, as shares of all of them; none is less than 0."""
    order = np.random.default_rng(0).permutation(len(targets))

    def loss(given: Sequence[Column]) -> float:
        out = ensemble.predict(encoder(given)).astype(np.float64)  # type: ignore[arg-type]
        if targets.ndim == 1:
            return float(-np.log(np.maximum(out[np.arange(len(targets)), targets], 1e-12)).mean())
        return float(np.square(out - targets).mean())

    before = loss(columns)
    rises = np.zeros(len(columns))
    for place, column in enumerate(columns):
        rises[place] = loss([*columns[:place], column[order], *columns[place + 1 :]]) - before
    rises = np.maximum(rises, 0.0)
    return rises / rises.sum() if rises.any() else rises
