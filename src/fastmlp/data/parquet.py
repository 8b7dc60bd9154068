"""Parquet files and pyarrow datasets as batches for `MLP.fit`: read a row group at a time, shuffled in a buffer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.data.frames import numbers_of
from fastmlp.data.inputs import as_inputs
from fastmlp.spec.checks import flag, integer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from fastmlp.spec import Array

__all__ = ["ParquetBatches", "as_dataset", "parquet", "row_groups"]

Batch = tuple["Array", ...]
"""X, y and, where they are asked for, weights."""


class ParquetBatches:
    """Batches of the rows of Parquet files: made by `parquet`, and read anew whenever they are iterated.

    Attributes
    ----------
    feature_names : tuple of str
        Names of X's columns.
    n_rows : int
        Rows of all files.
    """

    def __init__(
        self,
        dataset: Any,
        target: str | tuple[str, ...],
        features: tuple[str, ...],
        weight: str | None,
        batch_size: int,
        shuffle_buffer: int,
        seed: int,
        drop_last: bool,
    ) -> None:
        self.dataset, self.target, self.feature_names, self.weight = dataset, target, features, weight
        self.batch_size, self.shuffle_buffer, self.seed, self.drop_last = batch_size, shuffle_buffer, seed, drop_last
        self.n_rows: int = sum(group.row_groups[0].num_rows for group in row_groups(dataset))
        self.epoch = 0  # of the next iteration

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        whole, rest = divmod(self.n_rows, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Batch]:
        """Give an epoch's batches: their order depends on the seed, and on how many epochs came before."""
        random = np.random.Generator(np.random.Philox(key=np.array([self.seed, self.epoch], np.uint64)))
        self.epoch += 1
        pieces = self._pieces(random)
        mixed = _mixed(pieces, self.shuffle_buffer, random) if self.shuffle_buffer else pieces
        return _batches(mixed, self.batch_size, self.drop_last)

    def _pieces(self, random: np.random.Generator) -> Iterator[Batch]:
        """Read the row groups, one after the other, in a random order where rows are shuffled."""
        groups = row_groups(self.dataset)
        for place in random.permutation(len(groups)) if self.shuffle_buffer else range(len(groups)):
            targets = (self.target,) if isinstance(self.target, str) else self.target
            weights = () if self.weight is None else (self.weight,)
            columns = [*self.feature_names, *targets, *weights]
            # Their own limit of rows keeps a large row group from being in memory as a whole.
            for batch in groups[place].to_batches(columns=columns, batch_readahead=1, fragment_readahead=1):
                if batch.num_rows:
                    yield self._arrays(batch, targets, weights)

    def _arrays(self, batch: Any, targets: Sequence[str], weights: Sequence[str]) -> Batch:
        """Take a record batch apart: rows of X, which are put together here, targets, and weights."""
        X = as_inputs(batch.select(list(self.feature_names)), len(self.feature_names), "X", check=False)[:]
        columns = {name: numbers_of(batch.column(name), "pyarrow", f"column {name!r}") for name in (*targets, *weights)}
        y = np.column_stack([columns[name] for name in targets])
        return X, y[:, 0] if isinstance(self.target, str) else y, *(columns[name] for name in weights)


def parquet(
    path: Any,
    *,
    target: str | Sequence[str],
    features: Sequence[str] | None = None,
    sample_weight: str | None = None,
    batch_size: int = 256,
    shuffle_buffer: int = 65536,
    seed: int = 0,
    drop_last: bool = False,
) -> ParquetBatches:
    """Take Parquet files as batches for `MLP.fit`: ``net.fit(fastmlp.data.parquet("rows/", target="y"))``.

    They are read a row group at a time, and never held as a whole: memory is that of the buffer, twice, and of what is
    just being read.

    Parameters
    ----------
    path : str, path-like, list of them, or pyarrow.dataset.Dataset
        A file, a folder of files, several of these, or what ``pyarrow.dataset.dataset`` makes of them.
    target : str or sequence of str
        The column of targets; several make them rows.
    features : sequence of str, optional
        The columns of X, of numbers or booleans. Default: all others.
    sample_weight : str, optional
        The column of the rows' weights.
    batch_size : int
        Rows of a batch; the last one of an epoch has what is left.
    shuffle_buffer : int
        The next rows are drawn at random among this number of them, or up to twice as many; row groups come in a
        random order. 0: all rows in their order.
    seed : int
        Of that order, 0 <= seed < 2**64, which is another one in every epoch.
    drop_last : bool
        Whether to leave out a last batch that is not whole.

    Returns
    -------
    ParquetBatches
        An iterable of (X, y) or (X, y, sample_weight), which has a ``len``. `MLP.feature_names` will be its columns.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    TypeError, ValueError, OSError
        If an argument is not as described, a column is not there, or the files cannot be read.

    Examples
    --------
    Rows of a file that memory need not hold, shuffled in a buffer:

    >>> import fastmlp, pathlib, tempfile
    >>> import pyarrow as pa, pyarrow.parquet
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "sales.parquet"
    ...     pa.parquet.write_table(pa.table({"area": [0.5, 0.8, 1.2], "price": [1.0, 2.0, 3.0]}), path)
    ...     batches = fastmlp.data.parquet(path, target="price", shuffle_buffer=100_000)
    ...     net = fastmlp.MLP([1, 8, 1], seed=0)
    ...     len(net.fit(batches, epochs=5).loss)
    5
    """
    dataset = as_dataset(path)
    known = list(dataset.schema.names)
    targets = (target,) if isinstance(target, str) else tuple(target)
    others = [*targets, *(() if sample_weight is None else (sample_weight,))]
    chosen = tuple(name for name in known if name not in others) if features is None else tuple(features)
    for argument, names in (("target", targets), ("sample_weight", others[len(targets) :]), ("features", chosen)):
        for name in names:
            if name not in known:
                raise ValueError(
                    f"{argument} has {name!r}, which is no column; there are {', '.join(map(repr, known))}"
                )
    if not chosen or not targets:
        raise ValueError(f"{'features' if targets else 'target'} has no columns")
    return ParquetBatches(
        dataset,
        target if isinstance(target, str) else targets,
        chosen,
        sample_weight,
        integer(batch_size, "batch_size", 1),
        integer(shuffle_buffer, "shuffle_buffer", 0),
        integer(seed, "seed", 0, 2**64 - 1),
        flag(drop_last, "drop_last"),
    )


def as_dataset(path: Any) -> Any:
    """Return Parquet files as a dataset of pyarrow."""
    try:
        from pyarrow import dataset
    except ImportError as error:
        raise ImportError(
            "Parquet files are read by pyarrow, which is not installed: pip install 'fastmlp[arrow]'"
        ) from error
    if isinstance(path, dataset.Dataset):
        return path
    if isinstance(path, list | tuple):
        return dataset.dataset([str(each) for each in path], format="parquet")
    return dataset.dataset(path, format="parquet")


def row_groups(dataset: Any) -> list[Any]:
    """Return a dataset's row groups, each as a fragment of its own, of which `count_rows` would be that of its file."""
    return [group for fragment in dataset.get_fragments() for group in fragment.split_by_row_group()]


def _mixed(pieces: Iterator[Batch], size: int, random: np.random.Generator) -> Iterator[Batch]:
    """Hold rows, at least `size` of them, and give others drawn at random whenever there are twice as many."""
    held: list[Batch] = []
    count = 0
    for piece in pieces:
        held.append(piece)
        count += len(piece[0])
        if count < 2 * size:
            continue
        rows, order = _joined(held), random.permutation(count)
        yield _taken(rows, order[size:])
        held, count = [_taken(rows, order[:size])], size
    if held:
        yield _taken(_joined(held), random.permutation(count))


def _batches(pieces: Iterator[Batch], size: int, drop_last: bool) -> Iterator[Batch]:
    """Cut pieces into batches of one size, across their ends."""
    left: list[Batch] = []
    count = 0
    for piece in pieces:
        left.append(piece)
        count += len(piece[0])
        if count < size:
            continue
        rows = _joined(left)
        for start in range(0, count - size + 1, size):
            yield tuple(array[start : start + size] for array in rows)
        count %= size
        left = [tuple(array[len(array) - count :] for array in rows)] if count else []
    if count and not drop_last:
        yield _joined(left)


def _joined(pieces: Sequence[Batch]) -> Batch:
    return pieces[0] if len(pieces) == 1 else tuple(np.concatenate(each) for each in zip(*pieces, strict=True))


def _taken(rows: Batch, order: NDArray[np.int64]) -> Batch:
    return tuple(array[order] for array in rows)
