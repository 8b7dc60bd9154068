"""The loss of targets whose mean and spread are both estimated: two outputs for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np

from fastmlp.spec.checks import check_fields, positive
from fastmlp.spec.losses.base import ElementwiseLoss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.spec.losses.base import LossRows
    from fastmlp.spec.names import Array

__all__ = ["GaussianNLL"]

#: How users call it.
Name: TypeAlias = Literal["gaussian_nll"]


def _softplus(z: Array) -> Array:
    softplus: Array = np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z)))
    return softplus


@dataclass(frozen=True)
class GaussianNLL(ElementwiseLoss):
    """Negative log likelihood of normal targets, whose mean and variance are outputs of the network.

    Every target has two outputs, side by side: its mean m, and a signal z of which its variance is made,
    v = log(1 + exp(z)) + eps, as in Lakshminarayanan, Pritzel and Blundell ("Simple and scalable predictive uncertainty
    estimation using deep ensembles", 2017). The loss is the sum over the targets of (log v + (y - m)^2 / v) / 2, as in
    PyTorch's GaussianNLLLoss, which leaves out the constant log(2 pi) / 2, too.

    A network of T targets has 2 T outputs, and targets (n, T). ``predict(X)`` gives the means (n, T), and
    ``predict(X, return_std=True)`` the standard deviations sqrt(v) as well.

    Parameters
    ----------
    eps : float, default 1e-6
        > 0. The least variance.
    reduction : {"sum", "mean"}, default "sum", by keyword only
        Over the targets of a row.

    Examples
    --------
    >>> import fastmlp
    >>> net = fastmlp.MLP([1, 16, 2], loss=fastmlp.GaussianNLL(), seed=0)
    >>> mean, std = net.predict([[0.5], [1.0], [1.5]], return_std=True)
    >>> mean.shape, bool((std > 0).all())
    ((3, 1), True)
    """

    name: ClassVar[str] = "gaussian_nll"
    metric: ClassVar[str] = "r2"
    deviations: ClassVar[bool] = True
    mixes: ClassVar[bool] = True

    eps: float = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, eps=positive)

    @property
    def heads(self) -> int:
        """Two: a mean, and what tells the variance."""
        return 2

    def factor(self, n_outputs: int) -> float:
        """1, or that of a mean over the targets."""
        return super().factor(self.target_width(n_outputs))

    def estimates(self, outputs: Array) -> Array:
        """Return the means."""
        return outputs[:, ::2]

    def deviance(self, y: Array, mean: Array) -> Array:
        """Return the squared distance of targets and means."""
        error: Array = np.square(y - mean)
        return error

    def finish(self, outputs: Array) -> None:
        """Put standard deviations in the place of their signals."""
        z = outputs[:, 1::2]
        outputs[:, 1::2] = np.sqrt(_softplus(z) + self.eps)

    def first_outputs(self, mean: Array, variance: Array) -> NDArray[np.float64]:
        """Return the outputs (2 T,) that tell these means and variances (T,); the least variance is twice eps."""
        more = np.maximum(variance - self.eps, self.eps)
        return np.stack([mean, more + np.log(-np.expm1(-more))], axis=1).ravel()

    def rows(self, block: LossRows) -> None:
        """sum_k (log v + e^2 / v) / 2 with e = m - y, v = softplus(z) + eps; deltas e / v, (1 - e^2 / v) f'(z) / 2v."""
        mean, z = block.a[:, ::2], block.a[:, 1::2]
        variance = _softplus(z) + self.eps
        error = mean - block.y
        by_mean = error / variance
        squares = error * by_mean
        np.sum(np.log(variance) + squares, axis=1, dtype=np.float64, out=block.row_loss)
        np.multiply(block.row_loss, 0.5, out=block.row_loss)
        np.multiply(by_mean, block.scale, out=block.d[:, ::2], casting="same_kind")
        e = np.exp(-np.abs(z))
        slope = np.where(z >= 0.0, 1.0, e) / (1.0 + e)
        by_signal = 0.5 * (1.0 - squares) / variance * slope
        np.multiply(by_signal, block.scale, out=block.d[:, 1::2], casting="same_kind")
