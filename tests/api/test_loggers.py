"""Callbacks that write epochs to files, or call functions."""

import csv
import json

import pytest

import fastmlp

X, Y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0.0, 1.0, 1.0, 0.0]


def rows(path):
    text = path.read_text()
    if path.suffix == ".csv":
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(text.splitlines())]
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("name", ["CSVLogger", "JSONLogger"])
def test_a_file_has_the_history(backend, name, tmp_path):
    path = tmp_path / ("log.csv" if name == "CSVLogger" else "log.jsonl")
    kind, net = getattr(fastmlp, name), fastmlp.MLP([2, 4, 1], seed=0, backend=backend)
    for append, epochs in ((False, 2), (False, 3), (True, 2)):
        net.fit(X, Y, epochs=epochs, validation_data=(X, Y), callbacks=[kind(path, append)])
    history = net.history
    expected = [dict(zip(history, values, strict=True)) for values in zip(*history.values(), strict=True)]
    assert [sorted(row.items()) for row in rows(path)] == [sorted(row.items()) for row in expected[2:]]


@pytest.mark.parametrize("name", ["CSVLogger", "JSONLogger"])
def test_a_resumed_training_has_each_epoch_once(backend, name, tmp_path):
    path = tmp_path / ("log.csv" if name == "CSVLogger" else "log.jsonl")
    saved = tmp_path / "{epoch}.safetensors"

    def callbacks():
        return [getattr(fastmlp, name)(path), fastmlp.Checkpoint(saved)]

    fastmlp.MLP([2, 4, 1], seed=0, backend=backend).fit(X, Y, epochs=5, callbacks=callbacks())
    net = fastmlp.MLP([2, 4, 1], seed=0, backend=backend)
    net.fit(X, Y, epochs=6, callbacks=callbacks(), resume=tmp_path / "3.safetensors")  # as if 4 and 5 were lost
    assert [row["epoch"] for row in rows(path)] == [1, 2, 3, 4, 5, 6]
    assert [row["loss"] for row in rows(path)] == net.history.loss


@pytest.mark.parametrize("name", ["CSVLogger", "JSONLogger"])
def test_entries_by_steps_and_by_epochs(backend, name, tmp_path):
    path, kind = tmp_path / ("log.csv" if name == "CSVLogger" else "log.jsonl"), getattr(fastmlp, name)
    net = fastmlp.MLP([2, 4, 1], seed=0, backend=backend)
    net.fit(X, Y, epochs=5, batch_size=1, callbacks=[kind(path, every="2 epochs")])
    assert [row["epoch"] for row in rows(path)] == [2, 4]
    net.fit(X, Y, epochs=4, batch_size=1, callbacks=[kind(path, every=3)])
    assert [row["steps"] for row in rows(path)] == [3, 6, 9, 12, 15]
    assert all(set(row) == {"steps", "loss"} for row in rows(path))
    if name == "CSVLogger":
        with pytest.raises(ValueError, match="cannot go on with .* whose columns are steps, loss"):
            net.fit(X, Y, epochs=1, callbacks=[kind(path, append=True)])
    with pytest.raises(ValueError, match="every must be such as"):
        kind(path, every="now and then")


def test_columns_stay_what_the_first_row_says(backend, tmp_path):
    path, net = tmp_path / "log.csv", fastmlp.MLP([2, 4, 1], seed=0, backend=backend)
    sets = {name: (X, Y[:k] + [9.0] * (4 - k)) for k, name in enumerate("ab")}
    net.fit(X, Y, epochs=1, validation_data=sets, callbacks=[fastmlp.CSVLogger(path)])
    other = dict(reversed(sets.items()))  # the same measures in another order
    net.fit(X, Y, epochs=1, validation_data=other, callbacks=[fastmlp.CSVLogger(path, append=True)])
    assert [row["b_loss"] for row in rows(path)] == net.history["b_loss"]
    written, weights = path.read_text(), net.get_flat()
    with pytest.raises(
        ValueError, match=r"CSVLogger cannot go on with .*log\.csv, whose columns are epoch, loss, .*a_loss"
    ):
        net.fit(X, Y, epochs=1, callbacks=[fastmlp.CSVLogger(path, append=True)])
    assert path.read_text() == written
    assert (net.get_flat() == weights).all()


def test_functions_are_called(backend):
    seen = []
    note = fastmlp.LambdaCallback(
        on_train_begin=lambda net, logs: seen.append(logs["epochs"]),
        on_epoch_end=lambda net, logs: logs["epoch"] == 2,
        on_train_end=lambda net, logs: seen.append(logs["epoch"]),
    )
    history = fastmlp.MLP([2, 1], seed=0, backend=backend).fit(X, Y, epochs=5, callbacks=[note])
    assert (seen, history.stopped) == ([5, 2], "LambdaCallback")
    with pytest.raises(TypeError, match="on_train_end must be a function"):
        fastmlp.LambdaCallback(on_train_end=3)
