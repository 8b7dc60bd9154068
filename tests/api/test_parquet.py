"""Parquet files as batches: every row once in an epoch, in an order of the seed, in bounded memory."""

import numpy as np
import pytest
from conftest import parameters

import fastmlp
from fastmlp.data import parquet

N = 100


@pytest.fixture
def files(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as written

    number = np.arange(N)
    columns = {
        "a": number / N,
        "b": (number % 7).astype(np.int16),
        "c": number % 2 == 0,
        "y": number % 3,
        "w": number + 1.0,
    }
    for part, rows in enumerate((slice(0, 41), slice(41, N))):
        table = pyarrow.table({name: column[rows] for name, column in columns.items()})
        written.write_table(table, tmp_path / f"{part}.parquet", row_group_size=16)
    return tmp_path, columns


def rows_of(batches):
    return np.concatenate([np.column_stack(batch) for batch in batches])


def test_all_rows_come_once_and_in_their_order_where_that_is_wanted(files):
    path, columns = files
    wanted = np.column_stack(list(columns.values()))
    batches = parquet(path, target="y", sample_weight="w", batch_size=17, shuffle_buffer=0)
    assert len(batches) == len(list(batches)) == 6
    assert batches.feature_names == ("a", "b", "c")
    assert (rows_of(batches) == wanted).all()
    assert [len(y) for _, y, _ in batches] == [17] * 5 + [15]
    whole = parquet(sorted(path.iterdir()), target="y", batch_size=17, drop_last=True)
    assert len(whole) == len(list(whole)) == 5


@pytest.mark.parametrize("buffer", [1, 20, 1000])
def test_the_order_is_of_the_seed_and_the_epoch(files, buffer):
    path, columns = files
    wanted = np.column_stack(list(columns.values()))
    epochs = [
        [rows_of(batches) for _ in range(2)]
        for batches in (
            parquet(path, target="y", sample_weight="w", shuffle_buffer=buffer, seed=seed) for seed in (1, 1, 2)
        )
    ]
    for rows in (*epochs[0], *epochs[2]):
        assert (rows[np.argsort(rows[:, -1])] == wanted).all()
        assert (rows != wanted).any()
    assert all((a == b).all() for a, b in zip(epochs[0], epochs[1], strict=True))
    assert (epochs[0][0] != epochs[0][1]).any()
    assert (epochs[0][0] != epochs[2][0]).any()


def test_fit_goes_through_them_as_through_arrays(files):
    path, columns = files
    X = np.column_stack([columns[name] for name in "abc"])
    nets = [fastmlp.MLP([3, 4, 3], output="softmax", seed=1) for _ in range(2)]
    nets[0].fit(X, columns["y"], sample_weight=columns["w"], batch_size=17, shuffle=False, epochs=2)
    batches = parquet(path, target="y", sample_weight="w", batch_size=17, shuffle_buffer=0)
    history = nets[1].fit(batches, epochs=2)
    assert parameters(nets[1]) == parameters(nets[0])
    assert len(history.loss) == 2
    assert nets[1].feature_names == ("a", "b", "c")


def test_several_targets_are_rows_and_a_dataset_will_do(files):
    from pyarrow import dataset

    path, columns = files
    batches = parquet(dataset.dataset(path), target=["c", "y"], features=["b", "a"], shuffle_buffer=0)
    ((X, y),) = batches
    assert (np.column_stack([columns["b"], columns["a"]]) == X).all()
    assert (y == np.column_stack([columns["c"], columns["y"]])).all()


def test_what_is_wrong_is_named(files):
    path, _ = files
    for arguments, message in (
        ({"target": "z"}, "target has 'z', which is no column; there are 'a', 'b', 'c', 'y', 'w'"),
        ({"target": "y", "features": ["a", "z"]}, "features has 'z'"),
        ({"target": "y", "sample_weight": "z"}, "sample_weight has 'z'"),
        ({"target": "y", "features": []}, "features has no columns"),
        ({"target": []}, "target has no columns"),
        ({"target": "y", "batch_size": 0}, "batch_size must be"),
    ):
        with pytest.raises(ValueError, match=message):
            parquet(path, **arguments)


def test_without_pyarrow_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'fastmlp\[arrow\]'"):
        parquet("rows.parquet", target="y")
