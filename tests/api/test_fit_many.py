"""Many networks at once: the bits of each alone, whoever does the work; folds by row numbers; what fails alone."""

import copy
import multiprocessing
import os
import pickle
import signal
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

import fastmlp
from fastmlp.many import jobs
from fastmlp.many.folds import as_folds

N = 120


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 4)).astype(np.float32)
    return X, np.sin(X[:, 0]) + 0.1 * X[:, 1]


def make():
    """Networks that differ in whatever they may."""
    return [
        fastmlp.MLP([4, 8, 1], seed=0),
        fastmlp.MLP([4, 5, 7, 1], activation="tanh", seed=1, dropout=0.2, dtype="float64"),
        fastmlp.MLP([4, 1], loss="huber", seed=2),
        fastmlp.MLP([4, 16, 1], seed=3, backend="numpy"),
    ]


OWN = {
    "epochs": [3, 5, 2, 4],
    "batch_size": [10, 32, 7, 500],
    "optimizer": [fastmlp.Adam(0.01), "sgd", fastmlp.RMSprop(0.01), "lbfgs"],
    "clip_norm": [None, 1.0, None, None],
}


def alone(nets, X, y, **shared):
    """Train each by itself."""
    for index, net in enumerate(nets):
        net.fit(X, y, **{name: value[index] for name, value in OWN.items()}, **shared)
    return nets


def state(net):
    """Everything by which two networks could differ."""
    arrays = [*net.weights, *net.biases]
    return b"".join(array.tobytes() for array in arrays), net.n_epochs, net.n_steps, net.history.loss, net.optimizer


@pytest.mark.parametrize("threads", [1, 3, 9])
def test_each_has_the_bits_of_itself_alone(rows, threads):
    X, y = rows
    nets = make()
    weight = np.linspace(0.5, 2, N)
    results = fastmlp.fit_many(nets, X, y, threads=threads, sample_weight=weight, validation_data=(X, y), **OWN)
    for net, other, result in zip(
        nets, alone(make(), X, y, sample_weight=weight, validation_data=(X, y)), results, strict=True
    ):
        assert state(net) == state(other)
        assert result.network is net
        assert result.history["val_loss"] == net.history["val_loss"] == other.history["val_loss"]


def one_process():
    """A pool of a process that begins anew: to fork this one, which has threads, is no good way."""
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


@pytest.mark.parametrize("kind", [lambda: ThreadPoolExecutor(2), one_process], ids=["threads", "process"])
def test_executors_do_the_same(rows, kind, monkeypatch):
    X, y = rows
    monkeypatch.setattr("fastmlp.many.crews.LARGE", 256)  # so that the data go by files
    nets, others = make(), alone(make(), X, y)
    with kind() as pool:
        results = fastmlp.fit_many(nets, X, y, executor=pool, **OWN)
        fastmlp.fit_many(nets, X, y, executor=pool, **OWN)
        broken = fastmlp.MLP([4, 3, 1], seed=0)
        with pytest.warns(RuntimeWarning, match="TrainingDiverged"):
            lost = fastmlp.fit_many([broken], X, y, executor=pool, epochs=50, optimizer=fastmlp.SGD(1e30))
    for net, other, result in zip(nets, alone(others, X, y), results, strict=True):
        assert state(net) == state(other)
        assert result.network is net
    assert isinstance(lost[0].error, fastmlp.TrainingDiverged)
    assert np.isfinite(broken.weights[0]).all()


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("as_chunks", [False, True])
def test_folds_are_trained_as_copies_of_their_rows(rows, optimizer, as_chunks):
    X, y = rows
    labels = (y > 0).astype(int)
    nets = [fastmlp.MLP([4, 6, 1], loss="binary_cross_entropy", seed=seed) for seed in range(2)]
    before = [state(net) for net in nets]
    options = {"epochs": 3, "batch_size": 10, "optimizer": optimizer, "class_weight": "balanced", "metrics": ["auc"]}
    weight = np.linspace(0.5, 2, N)
    pairs = as_folds(3, N)
    data = [X[:50], X[50:]] if as_chunks else X
    results = fastmlp.fit_many(nets, data, labels, folds=3, sample_weight=weight, train_metrics=True, **options)
    assert [(result.index, result.fold) for result in results] == [(i, k) for i in range(2) for k in range(3)]
    assert [state(net) for net in nets] == before
    for result in results:
        train, test = pairs[result.fold]
        other = copy.deepcopy(nets[result.index])
        history = other.fit(
            X[train],
            labels[train],
            sample_weight=weight[train],
            validation_data=(X[test], labels[test], weight[test]),
            train_metrics=True,
            **options,
        )
        assert state(result.network) == state(other)
        for name in ("loss", "val_loss", "val_auc", "auc"):
            assert result.history[name] == history[name]
    assert results.values("val_auc").shape == (2, 3)
    assert results.values("val_auc")[1, 2] == results[5].history["val_auc"][-1]


def test_folds_of_a_number_deal_out_every_row_once():
    pairs = as_folds(4, 11)
    assert sorted(np.concatenate([test for _, test in pairs])) == list(range(11))
    for train, test in pairs:
        assert sorted([*train, *test]) == list(range(11))
        assert len(test) in (2, 3)
    mask = np.arange(6) < 4
    ((train, test),) = as_folds([(mask, ~mask)], 6)
    assert train.tolist() == [0, 1, 2, 3]
    assert test.tolist() == [4, 5]


def test_rows_of_X_are_never_copied_as_a_whole(rows):
    X, y = rows
    nets = [fastmlp.MLP([4, 3, 1], seed=seed) for seed in range(2)]
    made = jobs.as_jobs(nets, X, y, folds=2, sample_weight=None, validation_data=None, options={})
    assert len(made) == 4
    assert all(job.rows.data.X is X and job.rows.validation["val"].X.X is X for job in made)


def test_one_that_fails_does_not_lose_the_others(rows):
    X, y = rows
    nets = [fastmlp.MLP([4, 8, 1], seed=seed) for seed in range(3)]

    def fail(net, logs):
        if net.seed == 2 and logs["epoch"] == 2:
            raise OSError("no disk")

    rates = [fastmlp.SGD(0.01), fastmlp.SGD(1e30), fastmlp.SGD(0.01)]
    with pytest.warns(RuntimeWarning, match=r"2 of 3 .* of networks\[1\]: TrainingDiverged"):
        results = fastmlp.fit_many(nets, X, y, epochs=4, optimizer=rates, callbacks=[fail], threads=2)
    assert [type(result.error) for result in results] == [type(None), fastmlp.TrainingDiverged, OSError]
    assert results.networks == [nets[0]]
    assert [result.index for result in results.failed] == [1, 2]
    assert nets[0].n_epochs == 4
    assert len(results[2].history.loss) == 2
    assert np.isnan(results.values("loss")).tolist() == [False, True, True]


def test_each_stops_by_itself(rows):
    X, y = rows
    nets = [fastmlp.MLP([4, 8, 1], seed=seed) for seed in range(3)]
    stop = fastmlp.EarlyStopping("loss", patience=1, min_delta=1e9)
    results = fastmlp.fit_many(nets, X, y, epochs=9, callbacks=[[stop], [], ()])
    assert [len(result.history.loss) for result in results] == [2, 9, 9]
    results = fastmlp.fit_many(nets, X, y, epochs=9, callbacks=[stop], threads=3)
    assert [result.callbacks[0].stopped_epoch for result in results] == [4, 11, 11]
    assert stop.stopped_epoch == 2  # copies, or they would disturb each other


def test_networks_are_trained_side_by_side(rows):
    X, y = rows
    both = threading.Barrier(2, timeout=60)
    nets = [fastmlp.MLP([4, 8, 1], seed=seed) for seed in range(2)]
    meet = [[lambda net, logs: both.wait() < 0]] * 2
    assert not fastmlp.fit_many(nets, X, y, epochs=3, callbacks=meet, threads=2).failed


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals to a thread")
def test_ctrl_c_stops_all_after_whole_steps(rows):
    X, y = rows
    nets = [fastmlp.MLP([4, 8, 1], seed=seed) for seed in range(4)]

    def interrupt(net, logs):
        if net is nets[0] and logs["epoch"] == 3:
            os.kill(os.getpid(), signal.SIGINT)

    old = signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background jobs with SIGINT ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            fastmlp.fit_many(nets, X, y, epochs=10**9, callbacks=[interrupt], threads=2)
    finally:
        signal.signal(signal.SIGINT, old)
    assert nets[0].n_epochs >= 3
    assert nets[3].n_epochs == 0
    assert len(nets[0].fit(X, y, epochs=1).loss) == 1


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"networks": []}, ValueError, "networks must have one or more"),
        ({"networks": fastmlp.MLP([4, 1])}, TypeError, "networks must be a list"),
        ({"networks": [None]}, TypeError, r"networks\[0\] must be an MLP"),
        ({"epochs": [1, 2, 3]}, ValueError, "epochs must be one for all networks or a list of 2, got 3"),
        ({"optimizer": ["adam", "adan"]}, ValueError, r"networks\[1\]: optimizer"),
        ({"epochs": [3, 0]}, ValueError, r"networks\[1\]: epochs must be >= 1, got 0"),
        ({"epochs": "3"}, TypeError, r"networks\[0\]: epochs must be an integer"),
        ({"epochs": 3, "batch_size": 0}, ValueError, r"networks\[0\]: batch_size must be >= 1"),
        ({"metrics": ["zork"]}, ValueError, r"networks\[0\]: metrics\[0\] must be one of"),
        ({"shuffle": "no"}, TypeError, r"networks\[0\]: shuffle"),
        ({"swa": [None, -1]}, ValueError, r"networks\[1\]: swa"),
        ({"max_seconds": 0}, ValueError, r"networks\[0\]: max_seconds"),
        ({"optimizer": "lbfgs", "max_steps": 3}, ValueError, r"networks\[0\]: max_steps"),
        ({"clip_nrm": 1.0}, TypeError, "did you mean clip_norm"),
        ({"callbacks": [[], [1]]}, TypeError, r"networks\[1\]: callbacks\[0\]"),
        ({"executor": 2}, TypeError, "executor must be a concurrent.futures.Executor, got 2"),
        ({"folds": 1}, ValueError, "folds must be"),
        ({"folds": [3]}, TypeError, "folds must be"),
        ({"folds": [([0, 1], [N])]}, ValueError, r"folds\[0\]\[1\] must be row numbers from 0 to 119"),
        ({"folds": [([], [0])]}, TypeError, r"folds\[0\]\[0\]"),
        ({"folds": 2, "validation_data": (np.zeros((1, 4)), [0.0])}, ValueError, "folds"),
        ({"folds": 2, "class_weight": "balanced"}, ValueError, r"networks\[0\]: class_weight"),
        ({"y": np.zeros(3)}, ValueError, r"networks\[0\]: y"),
    ],
)
def test_arguments_are_checked_before_anything_changes(rows, given, error, message):
    nets = [fastmlp.MLP([4, 8, 1], loss="squared_error", seed=seed) for seed in range(2)]
    arguments = {"networks": nets, "X": rows[0], "y": rows[1], **given}
    with pytest.raises(error, match=message):
        fastmlp.fit_many(**arguments)
    assert [net.n_epochs for net in nets] == [0, 0]


def test_one_network_twice_is_refused(rows):
    net = fastmlp.MLP([4, 1], seed=0)
    with pytest.raises(ValueError, match="twice"):
        fastmlp.fit_many([net, net], *rows)


def test_results_are_a_table(rows):
    X, y = rows
    nets = [fastmlp.MLP([4, width, 1], seed=0) for width in (3, 5)]
    results = fastmlp.fit_many(nets, X, y, epochs=[2, 3], folds=2, metrics=["r2"])
    table = results.rows()
    assert [(row["network"], row["fold"], row["sizes"], row["epochs"]) for row in table] == [
        (0, 0, "4-3-1", 2),
        (0, 1, "4-3-1", 2),
        (1, 0, "4-5-1", 3),
        (1, 1, "4-5-1", 3),
    ]
    assert table[3]["val_r2"] == results[3].value("val_r2")
    assert str(results).split("\n")[0].split()[:4] == ["network", "fold", "sizes", "epochs"]
    best = results.best("val_r2")
    assert best.value("val_r2") == max(row["val_r2"] for row in table)
    assert results.best("val_loss").value("val_loss") == min(row["val_loss"] for row in table)
    with pytest.raises(ValueError, match="no training has measured"):
        results.best("auc")


def test_the_table_of_pandas(rows):
    pandas = pytest.importorskip("pandas")
    results = fastmlp.fit_many([fastmlp.MLP([4, 1], seed=seed) for seed in range(2)], *rows, epochs=2, folds=2)
    frame = results.table()
    assert frame["fold"].tolist() == [0, 1, 0, 1]
    losses = pandas.Series(results.values("val_loss").ravel(), name="val_loss")
    pandas.testing.assert_series_equal(frame["val_loss"], losses)


# ---- halving --------------------------------------------------------------------------------------------------------


def test_halving_goes_on_with_the_best(rows):
    X, y = rows
    data = {"validation_data": (X[:40], y[:40]), "metrics": ["mae"]}

    def nets():
        return [fastmlp.MLP([4, 4 + seed, 1], seed=seed) for seed in range(8)]

    rates = [fastmlp.Adam(0.001 * (1 + seed)) for seed in range(8)]
    given = nets()
    found = fastmlp.search.halving(given, X, y, epochs=7, factor=2, monitor="val_mae", optimizer=rates, **data)
    assert [len(results) for results in found.rounds] == [8, 4, 2, 1]
    assert found.best is given[found.best_index]
    assert [net.n_epochs for net in given].count(7) == 1
    assert sorted(net.n_epochs for net in given) == [1] * 4 + [2] * 2 + [4, 7]
    for results in found.rounds:
        values = [result.value("val_mae") for result in results]
        assert values == sorted(values)
    other = nets()[found.best_index]
    other.fit(X, y, epochs=7, optimizer=rates[found.best_index], **data)
    assert state(other) == state(found.best)
    assert other.history["val_mae"][-1] == found.value


def test_halving_leaves_those_behind_that_fail(rows):
    X, y = rows
    nets = [fastmlp.MLP([4, 8, 1], seed=0) for _ in range(3)]
    rates = [fastmlp.SGD(1e30), fastmlp.SGD(1e-3), fastmlp.SGD(1e-2)]
    with pytest.warns(RuntimeWarning, match="1 of 3"):
        found = fastmlp.search.halving(nets, X, y, epochs=6, first_epochs=3, factor=2, optimizer=rates, monitor="loss")
    assert found.best_index == 2
    assert [len(results) for results in found.rounds] == [3, 2]
    with (
        pytest.warns(RuntimeWarning, match="1 of 1"),
        pytest.raises(RuntimeError, match="no network has measured 'loss'"),
    ):
        fastmlp.search.halving(nets[:1], X, y, epochs=6, first_epochs=3, optimizer=rates[0], monitor="loss")
    with pytest.raises(ValueError, match="validation_data"):
        fastmlp.search.halving(nets, X, y)
    with pytest.raises(ValueError, match="folds"):
        fastmlp.search.halving(nets, X, y, folds=2, monitor="loss")
    with pytest.raises(TypeError, match="networks must be a list of MLP"):
        fastmlp.search.halving(nets[0], X, y, monitor="loss")


@pytest.mark.parametrize("several", [{"n": 2}, {"n": 1, "folds": 2}])
@pytest.mark.parametrize("kind", [fastmlp.Checkpoint, fastmlp.CSVLogger, fastmlp.JSONLogger, fastmlp.TensorBoard])
def test_one_file_is_not_written_by_several_trainings(rows, tmp_path, kind, several):
    X, y = rows
    nets = [fastmlp.MLP([4, 8, 1], seed=seed) for seed in range(several["n"])]
    with pytest.raises(ValueError, match=f"one {kind.__name__} for several trainings"):
        fastmlp.fit_many(nets, X, y, epochs=1, callbacks=[kind(tmp_path / "run")], folds=several.get("folds"))
    assert nets[0].n_epochs == 0
    assert not list(tmp_path.iterdir())


def test_a_log_for_each_network(rows, tmp_path):
    X, y = rows
    nets = [fastmlp.MLP([4, 8, 1], seed=seed) for seed in range(2)]
    logs = [[fastmlp.CSVLogger(tmp_path / f"{number}.csv")] for number in range(2)]
    assert not fastmlp.fit_many(nets, X, y, epochs=2, callbacks=logs).failed
    assert [len((tmp_path / f"{number}.csv").read_text().splitlines()) for number in range(2)] == [3, 3]


def test_callbacks_that_cannot_be_copied_are_named(rows):
    class Holding(fastmlp.Callback):
        def __deepcopy__(self, memo):
            raise OSError("a socket is one alone")

    nets = [fastmlp.MLP([4, 1], seed=seed) for seed in range(2)]
    with pytest.raises(TypeError, match=r"callbacks are copied for each training, .* \(a socket is one alone\)"):
        fastmlp.fit_many(nets, *rows, epochs=1, callbacks=[Holding()])
    assert nets[0].n_steps == 0


def test_pickles_have_what_was_noted_of_rows(rows):
    net = fastmlp.MLP([4, 1], seed=0)
    net.fit(*rows, epochs=1, per_sample=True)
    other = pickle.loads(pickle.dumps(net))
    assert other.per_sample_.losses.tobytes() == net.per_sample_.losses.tobytes()
    assert other.per_sample_.grad_norms.tobytes() == net.per_sample_.grad_norms.tobytes()
    assert pickle.loads(pickle.dumps(fastmlp.MLP([1, 1]))).per_sample_ is None
