"""What a training notes of each row: its own loss, and the norm of its gradient."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["PerSample"]


@dataclass(frozen=True, eq=False)
class PerSample:
    """What `MLP.fit` with ``per_sample=True`` leaves in ``net.per_sample_``: numbers of each row, in the order of X.

    They are those of the last epoch that took the row, which notes them in passing: each under the weights as they were
    before the row's batch was applied, with the dropout and noise of that step.

    Attributes
    ----------
    losses : ndarray of float64, shape (n,)
        The row's own loss, without weights of rows and penalties; NaN where no epoch took it.
    grad_norms : ndarray of float64, shape (n,)
        The norm of that loss's gradient by all weights and biases: the root of the sum over the layers of
        |delta|^2 (|inputs|^2 + 1) (Goodfellow 2015); by the gammas of layers that normalise, too. NaN also
        where the row's weight is 0.

    Examples
    --------
    >>> import fastmlp
    >>> net = fastmlp.MLP([1, 4, 1], seed=0)
    >>> history = net.fit([[0.0], [1.0], [2.0]], [0.0, 0.0, 9.0], epochs=1, per_sample=True)
    >>> int(net.per_sample_.losses.argmax()), int(net.per_sample_.grad_norms.argmax())
    (2, 2)
    """

    n_rows: int = field(repr=False)
    losses: NDArray[np.float64] = field(init=False)
    grad_norms: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        for name in ("losses", "grad_norms"):
            object.__setattr__(self, name, np.full(self.n_rows, np.nan))

    def take(self, rows: "PerSample", order: NDArray[np.int64], numbers: NDArray[np.int64]) -> None:
        """Take over the numbers of some rows, which had other places: `numbers` are theirs here, in that order."""
        self.losses[numbers], self.grad_norms[numbers] = rows.losses[order], rows.grad_norms[order]
