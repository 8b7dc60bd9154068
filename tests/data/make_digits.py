"""Make src/fastmlp/datasets/digits-*.idx.gz from scikit-learn's copy of the UCI optical digits.

Run with scikit-learn installed: python tests/data/make_digits.py [directory]. The same input makes the same bytes.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sklearn.datasets import load_digits

if TYPE_CHECKING:
    from numpy.typing import NDArray


def idx(array: NDArray[np.uint8]) -> bytes:
    return bytes([0, 0, 0x08, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def exact(array: NDArray[np.generic]) -> NDArray[np.uint8]:
    result = array.astype(np.uint8)
    assert np.array_equal(result, array)
    return result


def main() -> None:
    default = Path(__file__).parents[2] / "src" / "fastmlp" / "datasets"
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    X, y = load_digits(return_X_y=True)
    for name, array in (("images", exact(X)), ("labels", exact(y))):
        path = directory / f"digits-{name}.idx.gz"
        path.write_bytes(gzip.compress(idx(array), compresslevel=9, mtime=0))
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
