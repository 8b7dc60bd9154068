"""The tabular estimators: what comes in as columns, what goes out, and what is kept between the two."""

import datetime as dt
import pickle
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import fastmlp
from fastmlp.tabular import TabularClassifier, TabularRegressor, load
from fastmlp.tabular.bins import Bins
from fastmlp.tabular.budget import Pace, budget
from fastmlp.tabular.columns import columns_of
from fastmlp.tabular.encoding import Encoder
from fastmlp.tabular.scaling import Scaling
from fastmlp.tabular.targets import Scale


def mixed(n=240, seed=0):
    """Rows of text, numbers with gaps and dates, whose class hangs on the text and a number."""
    rng = np.random.default_rng(seed)
    color = rng.choice(["red", "green", "blue"], n)
    size = rng.normal(50, 20, n)
    when = np.datetime64("2024-01-01") + rng.integers(0, 700, n)
    X = np.empty((n, 3), object)
    X[:, 0], X[:, 1], X[:, 2] = color, size, when.astype(object)
    y = np.where((color == "red") ^ (size > 50), "yes", "no")
    X[::17, 1], X[::23, 0] = np.nan, None
    return X, y


@pytest.fixture(scope="module")
def classifier():
    X, y = mixed(600)
    return TabularClassifier("fast", random_state=0).fit(X, y)


@pytest.fixture(scope="module")
def regressor():
    X = np.random.default_rng(0).uniform(-2, 2, (600, 3))
    return TabularRegressor("fast", random_state=0).fit(X, wave(X))


def wave(X):
    return 100.0 + 10.0 * np.sin(2.0 * X[:, 0]) + 5.0 * X[:, 1]


def test_text_numbers_dates_and_gaps_are_learnt_from(classifier):
    X, y = mixed(400, seed=1)
    whole = np.array([value == value and color is not None for color, value, _ in X])
    assert classifier.score(X[whole], y[whole]) > 0.9
    p = classifier.predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    assert (classifier.classes_[p.argmax(axis=1)] == classifier.predict(X)).all()


def test_new_categories_and_new_gaps_are_predicted(classifier):
    day = np.datetime64("2024-05-05")
    rows = [[color, 70.0, day] for color in ("violet", "red", "green", "blue")]
    new, *known = classifier.predict_proba(np.array([*rows], object))[:, 0]
    assert new not in known
    assert np.isfinite(classifier.predict_proba(np.array([["red", None, None]], object))).all()


def test_the_regressor_learns_a_curve_on_any_scale(regressor):
    X = np.random.default_rng(1).uniform(-2, 2, (500, 3))
    assert regressor.score(X, wave(X)) > 0.97


def test_several_targets_are_learnt_at_once():
    X = np.random.default_rng(0).uniform(-2, 2, (400, 2))
    y = np.stack([X[:, 0] * 1e6, X[:, 1] - 5.0], axis=1)
    reg = TabularRegressor("fast", random_state=0, epochs=30).fit(X, y)
    assert reg.predict(X).shape == (400, 2)
    assert reg.score(X, y) > 0.95
    assert reg.predict(X[:7], quantiles=[0.2, 0.5, 0.8]).shape == (7, 2, 3)


def test_quantiles_cover_as_many_rows_as_they_say():
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 3, (3000, 1))
    y = X[:, 0] ** 2 + rng.normal(size=3000) * (0.1 + X[:, 0])  # noise that grows with the number
    reg = TabularRegressor("fast", random_state=0, epochs=8).fit(X[:1500], y[:1500])
    low, middle, high = reg.predict(X[1500:], quantiles=[0.1, 0.5, 0.9]).T
    assert (low < middle).all()
    assert (middle < high).all()
    assert 0.76 < np.mean((low < y[1500:]) & (y[1500:] < high)) < 0.84
    assert (high - low)[X[1500:, 0] > 2.5].mean() > 2.0 * (high - low)[X[1500:, 0] < 0.5].mean()


def test_a_seed_gives_the_same_bits_on_any_number_of_threads():
    X, y = mixed()
    a, b = (TabularClassifier("fast", epochs=3, random_state=7, n_threads=n).fit(X, y) for n in (1, 3))
    assert (a.predict_proba(X) == b.predict_proba(X)).all()
    other = TabularClassifier("fast", epochs=3, random_state=8).fit(X, y)
    assert (a.predict_proba(X) != other.predict_proba(X)).any()


def test_several_networks_answer_together_and_each_row_is_held_out_once_by_the_best_effort():
    X, y = mixed()
    clf = TabularClassifier("best", n_estimators=3, epochs=2, hidden_layer_sizes=16, random_state=0).fit(X, y)
    assert len(clf.ensemble_) == 3
    assert set(clf.evals_result_) == {"network_0", "network_1", "network_2"}
    assert len(clf.evals_result_["network_1"]["val_accuracy"]) == 2
    given = TabularClassifier(n_estimators=2, epochs=2, hidden_layer_sizes=16).fit(X, y, eval_set=[(X[:50], y[:50])])
    assert len(given.ensemble_) == 2


def test_the_weights_are_those_of_the_best_epoch():
    X, y = mixed()
    clf = TabularClassifier(
        "fast", hidden_layer_sizes=16, epochs=12, metric="log_loss", calibrate=False, random_state=0
    )
    clf.fit(X, y, eval_set=(X[:90], y[:90]))
    p = clf.predict_proba(X[:90])[np.arange(90), (y[:90] == "yes").astype(int)]
    np.testing.assert_allclose(-np.log(p).mean(), min(clf.evals_result_["network_0"]["val_log_loss"]), rtol=1e-5)


def test_rows_of_a_group_are_held_out_together(monkeypatch):
    from fastmlp.tabular import base

    X, y = mixed()
    groups, seen = np.arange(len(y)) // 4, []
    train = base.train
    monkeypatch.setattr(
        base, "train", lambda *args, folds, **more: seen.extend(folds) or train(*args, folds=folds, **more)
    )
    TabularClassifier("fast", epochs=1, random_state=0).fit(X, y, groups=groups)
    TabularClassifier("best", epochs=1, hidden_layer_sizes=4, random_state=0).fit(X, y, groups=groups)
    assert len(seen) > 2
    assert all(not set(groups[part]) & set(groups[held]) for part, held in seen)
    assert sorted(np.concatenate([held for _, held in seen[1:]])) == list(range(len(y)))


def test_rows_without_weight_are_as_if_they_were_not_there():
    X, y = mixed()
    weight = np.ones(len(y))
    weight[100:] = 0.0
    a = TabularClassifier("fast", epochs=2, random_state=0).fit(X, y, sample_weight=weight)
    b = TabularClassifier("fast", epochs=2, random_state=0).fit(X[:100], y[:100])
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), rtol=1e-5)


def test_balanced_classes_find_more_of_a_rare_one():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 2))
    y = (X[:, 0] + rng.normal(size=1500) > 2.4).astype(int)
    plain, balanced = (
        TabularClassifier("fast", epochs=5, class_weight=w, random_state=0).fit(X, y) for w in (None, "balanced")
    )
    assert plain.metric_ == "auc"
    assert plain.recipe_.label_smoothing == 0.0
    assert balanced.predict(X).sum() > 2 * plain.predict(X).sum()


def test_a_temperature_makes_the_log_loss_of_rows_held_out_less():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(900, 4))
    y = rng.integers(0, 2, 900) | (X[:, 0] > 1)  # half of it is chance: networks are too sure
    raw = TabularClassifier("fast", epochs=40, calibrate=False, metric="accuracy", random_state=0)
    raw.fit(X[:300], y[:300], eval_set=(X[300:600], y[300:600]))
    tempered = clone(raw).set_params(calibrate=True).fit(X[:300], y[:300], eval_set=(X[300:600], y[300:600]))
    loss = [-np.log(e.predict_proba(X[600:])[np.arange(300), y[600:]]).mean() for e in (raw, tempered)]
    assert loss[1] < loss[0]
    assert (raw.predict(X) == tempered.predict(X)).all()


def test_probabilities_are_freed_of_smoothed_labels(classifier):
    p = classifier.predict_proba(mixed(200, seed=5)[0])
    assert classifier.recipe_.label_smoothing == 0.1
    assert p.max() > 0.97  # a network that has learnt 0.05 and 0.95 says no more than that
    raw = classifier.ensemble_.predict(classifier._encoder(columns_of(mixed(200, seed=5)[0])))[:, 0]
    assert np.diff(p[np.argsort(raw), 0]).min() > -1e-9


def test_importances_are_of_the_columns_that_matter(regressor):
    shares = regressor.feature_importances_
    assert shares.shape == (3,)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[0] > shares[1] > 10 * shares[2]


def test_a_time_limit_ends_the_training_and_leaves_a_model():
    X = np.random.default_rng(0).normal(size=(20_000, 10))
    clf = TabularClassifier("best", time_limit=0.3, random_state=0).fit(X, (X[:, 0] > 0).astype(int))
    assert len(clf.evals_result_["network_0"]["epoch"]) <= 8  # of 64, for which it takes half a minute
    p = clf.predict_proba(X)
    assert np.isfinite(p).all()
    assert (p[:, 0] != p[0, 0]).any()


def test_time_is_saved_on_epochs_then_on_networks_then_on_rows():
    pace = Pace(1e-5, 0.0)
    found = [budget(s, pace, 1000, 0, epochs=32, count=4, threads=2) for s in (1.0, 0.5, 0.2, 0.01)]
    assert [each.count for each in found] == [4, 4, 2, 1]
    assert [each.epochs for each in found] == [32, 22, 17, 4]
    assert [each.share for each in found] == [1.0, 1.0, 1.0, pytest.approx(0.22)]


# ---- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["classifier", "regressor"])
def test_a_file_predicts_the_same_bits(name, request, tmp_path):
    est = request.getfixturevalue(name)
    X = mixed(50)[0] if name == "classifier" else np.random.default_rng(3).normal(size=(50, 3)) * 9
    shares = est.feature_importances_ if name == "regressor" else None
    est.save(tmp_path / "est.safetensors")
    same = load(tmp_path / "est.safetensors")
    assert same.get_params() == est.get_params()
    assert same.evals_result_ == est.evals_result_
    assert same.recipe_ == est.recipe_
    ask = ("predict_proba",) if name == "classifier" else ("predict",)
    for other in (same, pickle.loads(pickle.dumps(est))):
        for method in ask:
            assert (getattr(other, method)(X) == getattr(est, method)(X)).all()
        assert (other.predict(X) == est.predict(X)).all()
    if name == "regressor":
        assert (same.predict(X, quantiles=[0.3]) == est.predict(X, quantiles=[0.3])).all()
        assert (same.feature_importances_ == shares).all()
    else:
        with pytest.raises(AttributeError, match="was not asked for before"):
            _ = same.feature_importances_
    assert len(fastmlp.Ensemble.load(tmp_path / "est.safetensors")) == 1


def test_a_file_that_does_not_go_together_is_refused(regressor, tmp_path):
    from fastmlp.files import load_file, save_file

    path = tmp_path / "est.safetensors"
    regressor.save(path)
    tensors, metadata = load_file(path)
    for name, changed in (
        ("tabular.bins.column", lambda a: a + 100),
        ("tabular.scaling.shift", lambda a: a[1:]),
        ("tabular.description", lambda a: a[:-9]),
        ("tabular.scaling.places", None),
    ):
        wrong = {k: v for k, v in tensors.items() if k != name} | ({name: changed(tensors[name])} if changed else {})
        save_file(path, wrong, metadata)
        with pytest.raises(ValueError, match=r"est\.safetensors"):
            load(path)
    fastmlp.Ensemble(list(regressor.ensemble_)).save(path)
    with pytest.raises(ValueError, match="not a tabular estimator"):
        load(path)


# ---- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones((30, 2)), ["a"] * 30, "one class only"),
        (np.ones((1, 2)), [0], "1 sample"),
        (np.full((30, 2), np.inf), [0, 1] * 15, "contains infinity, in row 0"),
        (np.ones((30, 2)), [0.0, np.nan] * 15, "gap in row 1"),
        (np.ones((30, 2)), ["a", None] * 15, "gap in row 1"),
        (np.ones((30, 2)), [0, 1], "inconsistent numbers"),
        (np.ones(30), [0, 1] * 15, "2 dimensions"),
    ],
)
def test_bad_data_are_refused_in_words(X, y, message):
    with pytest.raises(ValueError, match=message):
        TabularClassifier("fast").fit(X, np.array(y, None))


@pytest.mark.parametrize(
    "parameters",
    [
        {"effort": "much"}, {"time_limit": 0}, {"n_estimators": 0}, {"hidden_layer_sizes": (8, 0)}, {"n_bins": -1},
        {"metric": "acuracy"}, {"validation_fraction": 1.0}, {"categorical_features": ["a"]}, {"dropout": 1},
    ],
)  # fmt: skip
def test_bad_parameters_are_refused_by_name(parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        TabularClassifier(**parameters).fit(np.eye(30), [0, 1] * 15)


def test_columns_that_say_nothing_leave_a_model_of_the_mean():
    X = np.stack([np.ones(40), np.full(40, np.nan)], axis=1)
    y = np.arange(40.0)
    reg = TabularRegressor("fast", random_state=0).fit(X, y)
    assert abs(reg.predict(X)[0] - 19.5) < 8.0
    assert np.isfinite(TabularClassifier("fast", epochs=2).fit(X, [0, 1] * 20).predict_proba([[5.0, 1.0]])).all()


def test_three_rows_and_many_categories_are_sensible():
    clf = TabularClassifier("fast", random_state=0).fit([[0.0], [1.0], [1.1]], ["a", "b", "b"])
    assert (clf.predict([[0.0], [1.0]]) == ["a", "b"]).all()
    with pytest.raises(NotFittedError):
        TabularClassifier().predict([[0.0]])
    names = np.array([f"n{k}" for k in range(3000)], object).reshape(-1, 1)
    reg = TabularRegressor("fast", epochs=1, random_state=0).fit(names, np.arange(3000.0))
    assert reg.ensemble_[0].sizes[0] < 200
    with pytest.raises(ValueError, match="held out, of which there were none"):
        TabularRegressor("fast").fit([[0.0], [1.0], [2.0]], [0, 1, 2]).predict([[0.0]], quantiles=[0.5])


def test_a_fit_that_is_refused_loses_none_that_there_was():
    X, y = mixed()
    clf = TabularClassifier("fast", epochs=1, random_state=0).fit(X, y)
    before = clf.predict_proba(X)
    other = {"X": np.eye(30), "y": [0, 1] * 15, "eval_set": (np.eye(30)[:3], [0, 1, 2])}
    for wrong in (other, {"X": X, "y": np.where(y == "no", "one", None)}):
        with pytest.raises(ValueError, match="eval_set|gap"):
            clf.fit(**wrong)
        assert (clf.predict_proba(X) == before).all()


def test_a_class_of_two_rows_is_learnt_beside_many():
    y = np.zeros(100, bool)
    y[:2] = True
    clf = TabularClassifier("fast", epochs=20, random_state=0).fit(np.arange(100.0).reshape(-1, 1) < 2, y)
    assert (clf.predict(np.arange(100.0).reshape(-1, 1) < 2) == y).all()


def test_bins_are_cut_where_values_are_when_most_rows_share_one():
    rows = np.sort(np.concatenate([np.zeros(900), np.arange(1.0, 101.0)]))
    scaling = Scaling.of([rows], [rows])
    bins = Bins.of([rows], scaling, 40)
    edges = bins.start / scaling.factor[0] + scaling.shift[0]
    assert edges == pytest.approx(np.arange(100.0), abs=1e-4)  # quantiles of the rows alone have four beyond 0


def test_hundreds_of_columns_have_no_bins():
    X = np.random.default_rng(0).normal(size=(60, 300))
    clf = TabularClassifier("fast", epochs=1, random_state=0)
    assert clf.fit(X, X[:, 0] > 0).ensemble_[0].sizes[0] == 300
    assert clf.fit(X[:, :20], X[:, 0] > 0).ensemble_[0].sizes[0] == 20 + 20 * 20


def test_a_far_value_is_taken_as_the_farthest_known(regressor):
    far = regressor.predict([[1e30, 0.0, 0.0], [-1e30, 0.0, 0.0]])
    assert np.isfinite(far).all()
    assert (far == regressor.predict([[1e20, 0.0, 0.0], [-1e20, 0.0, 0.0]])).all()


def test_one_value_far_away_leaves_the_others_apart():
    X = np.random.default_rng(0).uniform(-2, 2, (400, 1))
    y = np.sin(2.0 * X[:, 0])
    X[7], y[7] = 1e12, 0.0
    assert TabularRegressor("fast", random_state=0).fit(X, y).score(np.delete(X, 7, 0), np.delete(y, 7)) > 0.8


def test_rows_that_are_not_kept_are_encoded_to_the_same_bits(monkeypatch):
    from fastmlp.tabular import encoding

    X, y = mixed()
    kept = TabularClassifier("fast", epochs=2, random_state=0).fit(X, y)
    monkeypatch.setattr(encoding, "KEPT_BYTES", 0)
    lazy = TabularClassifier("fast", epochs=2, random_state=0).fit(X, y)
    assert (kept.predict_proba(X) == lazy.predict_proba(X)).all()


HOUR = dt.timedelta(hours=1)


@pytest.mark.parametrize(
    "column",
    [
        np.array([HOUR * (k % 24) for k in range(48)] + [None], "timedelta64[s]"),
        [HOUR * (k % 24) for k in range(48)] + [None],
        [dt.time(k % 24) for k in range(48)] + [None],
    ],
    ids=["timedelta64", "timedelta", "time"],
)
def test_durations_and_times_of_the_day_are_numbers(column):
    X = np.array(column).reshape(-1, 1)
    encoder = Encoder.of(columns_of(X), ["0"], frozenset(), 0)
    assert encoder.kinds == ("number",)
    rows = encoder(columns_of(X))
    assert rows.shape == (49, 2)
    assert np.diff(rows[:24, 0]) == pytest.approx(rows[1, 0] - rows[0, 0], rel=1e-5)
    assert (rows[:, 1] == [0.0] * 48 + [1.0]).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("unit", [5e-323, 1e-200, 1e200, 1e303])
def test_columns_and_targets_of_any_size_are_learnt_from(unit):
    x = np.random.default_rng(0).integers(-9, 10, 400).astype(float)
    rows = Encoder.of([x * unit], ["0"], frozenset(), 0)([x * unit])
    assert np.isfinite(rows).all()
    if unit > 1e-300:  # where all digits are there
        np.testing.assert_allclose(rows, Encoder.of([x], ["0"], frozenset(), 0)([x]), rtol=1e-5)
        scale, plain = (Scale.of(y.reshape(-1, 1), None) for y in (x * unit, x))
        np.testing.assert_allclose(scale.spread / unit, plain.spread)


def test_an_integer_that_no_float_can_be_is_refused_by_its_column():
    X = np.array([[10**400], [1], [2]], object)
    with pytest.raises(ValueError, match="column 0 has an integer beyond 1e308"):
        TabularRegressor("fast").fit(X, [1.0, 2.0, 3.0])


def test_dates_are_no_targets_of_a_regression():
    with pytest.raises(ValueError, match=r"y must be numbers for a regressor, got datetime64\[D\]"):
        TabularRegressor("fast").fit([[1], [2]], np.array(["2024-01-01", "2024-01-02"], "datetime64[D]"))


def test_a_class_is_named_as_users_write_it():
    with pytest.raises(ValueError, match="y has one class only, 'a', and"):
        TabularClassifier("fast").fit([[1], [2]], ["a", "a"])


def test_rows_to_validate_on_without_weight_are_as_if_they_were_not_there():
    X = np.random.default_rng(0).normal(size=(200, 2))
    y = X[:, 0] + 0.1 * X[:, 1]
    weight = np.repeat([1.0, 0.0], 50)
    far = np.where(weight > 0, y[:100], 1e3)
    fits = [
        TabularRegressor("fast", epochs=2, random_state=0).fit(X, y, eval_set=eval_set)
        for eval_set in ((X[:100], far, weight), (X[:50], y[:50], np.ones(50)))
    ]
    first, second = (fit.predict(X, quantiles=[0.1, 0.9]) for fit in fits)
    assert (first == second).all()


def test_the_import_is_of_what_predictions_need():
    program = (
        "import sys, fastmlp.tabular; print(*sorted({'sklearn.model_selection', 'sklearn.metrics', "
        "'sklearn.neural_network', 'sklearn.preprocessing', 'fastmlp.sklearn.base'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
