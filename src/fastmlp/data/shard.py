"""The part of a data set that one of several processes reads: rows of an array's file, row groups of Parquet files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.data.parquet import as_dataset, row_groups
from fastmlp.spec.checks import integer

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["shard"]


def shard(path: Any, rank: int, size: int) -> Any:
    """Return the part of a data set that one of several processes is to read, of which nothing is read here.

    The parts of all ranks are the data set, each row once.

    Parameters
    ----------
    path : str, path-like, list of them, or pyarrow.dataset.Dataset
        A ``.npy`` file of an array, or what `fastmlp.data.parquet` takes: Parquet files, a folder of them, a dataset.
    rank : int
        Number of the process, 0 <= rank < size, such as ``MPI.COMM_WORLD.rank``.
    size : int
        Number of processes.

    Returns
    -------
    numpy.memmap or pyarrow.dataset.Dataset
        Of an array, rows that follow each other, as many in each part but for one; its file is mapped, for `MLP.fit`.
        Of Parquet, whole row groups, so that parts have about the same number of rows, for `fastmlp.data.parquet`.

    Raises
    ------
    ImportError
        If pyarrow is not installed, for anything but ``.npy``.
    TypeError, ValueError, OSError
        If an argument is not as described, there are fewer rows or row groups than processes, or a file cannot be read.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> import fastmlp
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(pathlib.Path(folder) / "X.npy", np.arange(10))
    ...     [fastmlp.data.shard(pathlib.Path(folder) / "X.npy", rank, 3).tolist() for rank in range(3)]
    [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]
    """
    size = integer(size, "size", 1)
    rank = integer(rank, "rank", 0, size - 1)
    if isinstance(path, str | os.PathLike) and os.fspath(path).lower().endswith(".npy"):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        n = len(array) if array.ndim else 0
        if n < size:
            raise ValueError(
                f"{os.fspath(path)}: has {n} rows, and size is {size}: each process is to have one at least"
            )
        return array[n * rank // size : n * (rank + 1) // size]
    return _row_groups(as_dataset(path), rank, size)


def _row_groups(data: Any, rank: int, size: int) -> Any:
    """Return a dataset of some of a dataset's row groups."""
    from pyarrow import dataset

    groups = [group for group in row_groups(data) if group.row_groups[0].num_rows]
    if len(groups) < size:
        raise ValueError(
            f"path has {len(groups)} row groups, and size is {size}: each process is to have one at least; write them "
            "smaller (row_group_size)"
        )
    own = _dealt([group.row_groups[0].num_rows for group in groups], size)[rank]
    fragments = [groups[place] for place in own]
    return dataset.FileSystemDataset(fragments, data.schema, fragments[0].format, fragments[0].filesystem)


def _dealt(rows: Sequence[int], size: int) -> list[list[int]]:
    """Deal things of so many rows out, the largest first, each to who has least; return their places, in order."""
    parts: list[list[int]] = [[] for _ in range(size)]
    have = [0] * size
    for place in sorted(range(len(rows)), key=lambda place: -rows[place]):
        least = have.index(min(have))
        parts[least].append(place)
        have[least] += rows[place]
    return [sorted(part) for part in parts]
