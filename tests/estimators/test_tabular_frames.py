"""The tabular estimators take frames of each library alike, without any of it where they are loaded."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pandas")

import pandas as pd

from fastmlp.tabular import TabularClassifier, TabularRegressor


def frame(n=200, seed=0):
    rng = np.random.default_rng(seed)
    d = pd.DataFrame({
        "city": pd.Categorical(rng.choice(["Oslo", "Rome", "Lima"], n), categories=["Lima", "Bern", "Rome", "Oslo"]),
        "street": rng.choice(["a", "b", None], n),
        "rooms": pd.array(rng.integers(1, 6, n), "Int64"),
        "size": rng.normal(80, 20, n).astype(np.float32),
        "new": rng.random(n) > 0.5,
        "built": pd.Timestamp("2000-01-01") + pd.to_timedelta(rng.integers(0, 9000, n), "D"),
    })  # fmt: skip
    d.loc[3, ["city", "rooms", "size", "built"]] = None
    y = np.where((d["city"] == "Oslo") & (d["size"] > 70), "dear", "cheap")
    return d, y


def fitted(X, y):
    return TabularClassifier("fast", epochs=4, random_state=0).fit(X, y).predict_proba(X)


def test_a_frame_is_taken_with_its_types():
    X, y = frame()
    clf = TabularClassifier("fast", epochs=4, random_state=0).fit(X, pd.Series(y))
    assert list(clf.feature_names_in_) == list(X.columns)
    assert clf._encoder.kinds == ("category", "category", "number", "number", "number", "date")
    assert clf._encoder.categories[0].values == ("Lima", "Rome", "Oslo")  # Bern has no rows
    assert (fitted(X, pd.Series(y, dtype="category")) == clf.predict_proba(X)).all()


def test_polars_and_arrow_give_what_pandas_gives():
    pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    X, y = frame()
    X = X.astype({"city": object})  # in another order, polars' categories would be other columns
    expected = fitted(X, y)
    assert (fitted(pl.from_pandas(X), y) == expected).all()
    assert (fitted(pa.Table.from_pandas(X), pa.array(y)) == expected).all()
    assert (fitted(pl.from_pandas(X), pl.Series(y)) == expected).all()


def test_a_category_is_the_same_whatever_codes_a_frame_has():
    X, y = frame()
    clf = TabularClassifier("fast", epochs=2, random_state=0).fit(X, y)
    other = X.assign(city=X["city"].cat.reorder_categories(["Oslo", "Rome", "Lima", "Bern"]))
    assert (clf.predict_proba(other) == clf.predict_proba(X)).all()
    assert (clf.predict_proba(X.astype({"city": object})) == clf.predict_proba(X)).all()


def test_columns_of_other_names_are_refused():
    X, y = frame()
    clf = TabularClassifier("fast", epochs=1, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(X.rename(columns={"city": "town"}))
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(X[X.columns[::-1]])
    with pytest.raises(ValueError, match=r"column 'size' had numbers .* has 'large' now"):
        clf.predict(X.assign(size="large"))


def test_named_columns_of_numbers_are_categories_where_users_say_so():
    X, y = frame()
    clf = TabularClassifier("fast", epochs=1, categorical_features=["rooms"], random_state=0).fit(X, y)
    assert clf._encoder.kinds[2] == "category"
    assert clf._encoder.categories[2].values == (1, 2, 3, 4, 5)
    assert np.isfinite(clf.predict_proba(X)).all()


def test_a_file_is_read_where_pandas_is_missing(tmp_path):
    X, y = frame()
    reg = TabularRegressor("fast", epochs=2, random_state=0).fit(X, (y == "dear") * 1.0)
    reg.save(tmp_path / "reg.safetensors")
    rows = [["Oslo", "a", 3, 90.0, True, "2010-02-03"], ["Bern", None, None, None, False, None]]
    program = f"""
import sys
sys.modules["pandas"] = None
from fastmlp.tabular import load
reg = load({str(tmp_path / "reg.safetensors")!r})
import warnings; warnings.simplefilter("ignore")
print(reg.predict({rows}).tobytes().hex())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    with pytest.warns(UserWarning, match="feature names"):
        assert done.stdout.strip() == reg.predict(rows).tobytes().hex()


def test_the_epochs_are_drawn():
    pytest.importorskip("matplotlib").use("agg")
    X, y = frame()
    clf = TabularClassifier("fast", epochs=3, n_estimators=2, random_state=0).fit(X, y)
    ax = clf.plot()
    assert [len(line.get_xdata()) for line in ax.get_lines()] == [3, 3]
    assert ax.get_ylabel() == "accuracy"
