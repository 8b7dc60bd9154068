"""L-BFGS, which is no rule for steps: a search that asks for the loss and the gradient of all rows as it likes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fastmlp.spec.aliases import aliased
from fastmlp.spec.checks import check_fields, integer, not_negative
from fastmlp.spec.hints import explained_class

__all__ = ["LBFGS"]


@explained_class
@aliased(gtol="tol", tolerance_grad="tol", ftol="tol_loss", maxcor="history_size")
@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS (Liu and Nocedal 1989; SciPy's L-BFGS-B, without bounds), for `MLP.fit` on few rows.

    It minimises the loss of all rows, with ``weight_decay / 2`` times the sum of all squared weights (not biases), by
    steps along directions that take the curvature into account, each as long as a line search finds good. In `fit`

    - an iteration counts and is reported as an epoch, whose `loss` is that of its end, without this weight decay (that
      of other optimizers is of the steps' beginnings); callbacks, validation and progress are as after any epoch, and
      a callback that changes parameters lets the search begin anew with them;
    - every evaluation takes all rows: `batch_size` and `shuffle` mean nothing;
    - the network always has the parameters of the last finished iteration: an interrupt leaves them, and handlers of
      signals and other threads see them, not the points that the line search tries;
    - the memory of the search is not kept: fitting twice is not one longer search. `MLP.optimizer`, the optimizer of
      the steps, stays as it was, with its state.

    It needs SciPy (``pip install 'fastmlp[lbfgs]'``) and computes in float64; a network of float32 gets the rounded
    parameters of each iteration. The result does not depend on the number of threads; it may differ between machines,
    whose BLAS do.

    Parameters
    ----------
    max_iter : int, optional
        At most so many iterations. Default: as many as `fit` is told to make epochs.
    tol : float, default 1e-5
        >= 0: it ends where no part of the gradient is larger.
    history_size : int, default 10
        > 0: how many of the last steps the curvature is estimated from.
    weight_decay : float, default 0.0
        >= 0.
    tol_loss : float, default 2.2e-9
        >= 0: it ends where an iteration has lowered the loss by less than this, relative to its size or to 1.
    gtol, tolerance_grad, ftol, maxcor : optional
        SciPy's and PyTorch's names of tol, tol_loss and history_size, as keywords.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number of its range.

    Examples
    --------
    >>> import numpy as np, fastmlp
    >>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
    >>> net = fastmlp.MLP([1, 10, 1], activation="tanh", dtype="float64", seed=0)
    >>> history = net.fit(X, X[:, 0] ** 2, optimizer=fastmlp.LBFGS(max_iter=100))
    >>> history.loss[-1] < 1e-4
    True
    """

    name: ClassVar[str] = "lbfgs"

    max_iter: int | None = None
    tol: float = 1e-5
    history_size: int = 10
    weight_decay: float = 0.0
    tol_loss: float = 2.2e-9

    if TYPE_CHECKING:

        def __init__(
            self, max_iter: int | None = ..., tol: float = ..., history_size: int = ..., weight_decay: float = ...,
            tol_loss: float = ..., *, gtol: float = ..., tolerance_grad: float = ..., ftol: float = ...,
            maxcor: int = ...,
        ) -> None: ...  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(self, tol=not_negative, weight_decay=not_negative, tol_loss=not_negative)
        check_fields(self, history_size=_count, **({} if self.max_iter is None else {"max_iter": _count}))


def _count(value: object, name: str) -> int:
    return integer(value, name, 1, 2**31 - 1)
