"""Fashion-MNIST (Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747) from the files of Debian's package or a directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fastmlp.datasets.idx import load_idx
from fastmlp.datasets.split import Split

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

_DEBIAN: Final = Path("/usr/share/datasets/fashion-mnist")


def load_fashion_mnist(directory: str | os.PathLike[str] | None = None) -> Split:
    """Load 70000 grey images of 28 x 28 pixels that show ten kinds of clothing.

    Parameters
    ----------
    directory : str or path-like, optional
        Where ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and
        ``t10k-labels-idx1-ubyte`` are, each with or without ``.gz``. MNIST's own files have the same names and load
        as well. Default: where Debian's package ``dataset-fashion-mnist`` puts them.

    Returns
    -------
    Split
        X_train: uint8 of shape (60000, 784), 0 to 255; y_train: int64 of shape (60000,), 0 to 9; X_test and y_test:
        the same with 10000 rows.

    Raises
    ------
    FileNotFoundError
        A file is missing; the message says where it was looked for and how to get it.
    ValueError
        A file is malformed, or images and labels do not fit together.

    Examples
    --------
    Where Debian's package is installed (``apt-get install dataset-fashion-mnist``):

    >>> import fastmlp
    >>> X, y, X_test, y_test = fastmlp.datasets.load_fashion_mnist()
    >>> X.shape, X.dtype, y_test[:5].tolist()
    ((60000, 784), dtype('uint8'), [9, 2, 1, 1, 6])
    """
    place = _DEBIAN if directory is None else Path(directory)
    return Split(*_load_part(place, "train"), *_load_part(place, "t10k"))


def _load_part(directory: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images_path = _find(directory, f"{part}-images-idx3-ubyte")
    labels_path = _find(directory, f"{part}-labels-idx1-ubyte")
    images, labels = load_idx(images_path), load_idx(labels_path)
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28):
        raise ValueError(f"{images_path}: {_described(images)}; images must be uint8 of shape (n, 28, 28)")
    if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
        raise ValueError(f"{labels_path}: {_described(labels)}; labels must be uint8 of shape ({len(images)},)")
    if labels.size and labels.max() > 9:
        raise ValueError(f"{labels_path}: label {labels.max()} at {labels.argmax()}; labels must lie in [0, 9]")
    return images.reshape(len(images), 28 * 28), labels.astype(np.int64)


def _find(directory: Path, name: str) -> Path:
    for path in (directory / f"{name}.gz", directory / name):
        if path.exists():
            return path
    raise FileNotFoundError(
        f"neither {name}.gz nor {name} is in {directory}; install Debian's package dataset-fashion-mnist "
        "(apt install dataset-fashion-mnist), or pass the directory of the four files of "
        "https://github.com/zalandoresearch/fashion-mnist"
    )


def _described(array: NDArray[Any]) -> str:
    return f"{array.dtype} of shape {array.shape}"
