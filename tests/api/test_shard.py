"""Parts of a data set for several processes: all rows once, evenly, and none of them read."""

from __future__ import annotations

import numpy as np
import pytest

from fastmlp.data import parquet, shard
from fastmlp.data.shard import _dealt


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_rows_of_an_array_are_mapped_and_all_there_once(tmp_path, size):
    array = np.arange(7 * 3, dtype=np.float32).reshape(7, 3)
    np.save(tmp_path / "X.npy", array)
    parts = [shard(tmp_path / "X.npy", rank, size) for rank in range(size)]
    np.testing.assert_array_equal(np.concatenate(parts), array)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert all(isinstance(part, np.memmap) and not part.flags.writeable for part in parts)


def test_what_is_dealt_out_is_even_and_whole():
    random = np.random.default_rng(0)
    for size in (1, 2, 5):
        rows = random.integers(1, 100, 20).tolist()
        parts = _dealt(rows, size)
        assert sorted(place for part in parts for place in part) == list(range(20))
        sums = [sum(rows[place] for place in part) for part in parts]
        assert max(sums) - min(sums) <= max(rows)
    assert _dealt([5, 1, 1, 1, 1, 1], 2) == [[0], [1, 2, 3, 4, 5]]


@pytest.fixture
def files(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as written

    number = np.arange(100)
    for part, rows in enumerate((number[:41], number[41:])):
        table = pyarrow.table({"a": rows / 8, "y": rows % 3})
        written.write_table(table, tmp_path / f"{part}.parquet", row_group_size=16)
    return tmp_path


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_row_groups_of_parquet_are_all_there_once(files, size):
    parts = [parquet(shard(files, rank, size), target="y", batch_size=10, seed=rank) for rank in range(size)]
    assert sum(part.n_rows for part in parts) == 100
    assert max(part.n_rows for part in parts) - min(part.n_rows for part in parts) <= 16
    rows = [np.concatenate([X[:, 0] for X, _ in part]) for part in parts]
    assert [len(each) for each in rows] == [part.n_rows for part in parts]
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(100) / 8)
    again = parquet(shard([files / "0.parquet", files / "1.parquet"], 0, size), target="y", seed=0, batch_size=10)
    np.testing.assert_array_equal(np.concatenate([X[:, 0] for X, _ in again]), rows[0])


def test_fewer_row_groups_than_processes(files):
    with pytest.raises(ValueError, match="path has 7 row groups, and size is 8"):
        shard(files, 0, 8)


@pytest.mark.parametrize(
    ("rank", "size", "message"),
    [(0, 0, "size must be"), (2, 2, "rank must be"), (-1, 2, "rank must be"), (0, 4, "has 3 rows, and size is 4")],
)
def test_parts_that_there_are_not(tmp_path, rank, size, message):
    np.save(tmp_path / "X.npy", np.arange(3))
    with pytest.raises(ValueError, match=message):
        shard(str(tmp_path / "X.npy"), rank, size)
