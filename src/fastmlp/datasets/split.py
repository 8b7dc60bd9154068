"""The result of loaders of data with a test set."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Split(NamedTuple):
    """Images and classes to train on and, apart from them, to test with.

    Examples
    --------
    >>> import fastmlp
    >>> split = fastmlp.datasets.load_digits(split=True)
    >>> split.X_train.shape, split.y_test.shape
    ((1437, 64), (360,))
    """

    X_train: NDArray[np.uint8]
    y_train: NDArray[np.int64]
    X_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]
