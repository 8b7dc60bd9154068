"""The UCI optical digits, in this directory as two IDX files that `tests/data/make_digits.py` made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, overload

import numpy as np

from fastmlp.datasets.idx import load_idx
from fastmlp.datasets.split import Split

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Digits(NamedTuple):
    """Images and their classes.

    Examples
    --------
    >>> import fastmlp
    >>> digits = fastmlp.datasets.load_digits()
    >>> digits.X.shape, digits.y[:5].tolist()
    ((1797, 64), [0, 1, 2, 3, 4])
    """

    X: NDArray[np.uint8]
    y: NDArray[np.int64]


@overload
def load_digits(*, split: Literal[False] = False) -> Digits: ...
@overload
def load_digits(*, split: Literal[True]) -> Split: ...
def load_digits(*, split: bool = False) -> Digits | Split:
    """Load 1797 handwritten digits of 8 x 8 pixels.

    Parameters
    ----------
    split : bool
        Return a training set of 1437 and a test set of 360 images. The split is always the same, and stratified: in
        the order of classes, and within a class in the order of the file, every fifth image is a test image.

    Returns
    -------
    Digits
        X: uint8 of shape (1797, 64), rows of the image one after another, 0 (paper) to 16 (ink). y: int64 of shape
        (1797,), the digits 0 to 9.
    Split
        If `split`: X_train, y_train, X_test, y_test, in the order of the file.

    Notes
    -----
    E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998,
    https://doi.org/10.24432/C50P49, CC BY 4.0; scikit-learn's copy, which is the original's test set. See the file
    DIGITS-LICENSE beside this one.

    Examples
    --------
    >>> import fastmlp
    >>> X, y = fastmlp.datasets.load_digits()
    >>> X_train, y_train, X_test, y_test = fastmlp.datasets.load_digits(split=True)
    >>> len(X), len(X_train), len(X_test)
    (1797, 1437, 360)
    """
    directory = Path(__file__).parent
    X = load_idx(directory / "digits-images.idx.gz")
    y = load_idx(directory / "digits-labels.idx.gz").astype(np.int64)
    if not split:
        return Digits(X, y)
    is_test = np.zeros(len(y), dtype=np.bool_)
    is_test[np.argsort(y, kind="stable")[::5]] = True
    return Split(X[~is_test], y[~is_test], X[is_test], y[is_test])
