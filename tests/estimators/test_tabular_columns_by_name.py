"""Tabular estimators over arrays by name, and with users' callbacks."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

from fastmlp import tabular
from fastmlp.tabular.columns import NamedColumns

QUICK = {"effort": "fast", "epochs": 3, "hidden_layer_sizes": 8, "random_state": 0}


@pytest.fixture
def columns():
    random = np.random.default_rng(0)
    day = np.datetime64("2026-01-01") + random.integers(0, 300, 60)
    return {
        "n": random.normal(size=60),
        "text": random.choice(["a", "b", None], 60),
        "day": day.astype("datetime64[us]"),
    }


def test_arrays_by_name_are_as_the_same_columns_in_one_array(columns):
    y = np.arange(60) % 2
    named = tabular.TabularClassifier(**QUICK).fit(NamedColumns(columns), y)
    assert named.feature_names_in_.tolist() == ["n", "text", "day"]
    X = np.array([each.astype(object) for each in columns.values()], object).T
    plain = tabular.TabularClassifier(**QUICK).fit(X, y)
    np.testing.assert_array_equal(named.predict_proba(NamedColumns(columns)), plain.predict_proba(X))
    np.testing.assert_array_equal(plain.predict_proba(NamedColumns(columns)), plain.predict_proba(X))


def test_arrays_by_other_names_are_refused(columns):
    named = tabular.TabularClassifier(**QUICK).fit(NamedColumns(columns), np.arange(60) % 2)
    for names in (["n", "day", "text"], ["n", "text"]):
        with pytest.raises(ValueError, match="in the place of"):
            named.predict(NamedColumns({name: columns[name] for name in names}))


@pytest.mark.parametrize("kind", [tabular.TabularClassifier, tabular.TabularRegressor])
def test_callbacks_hear_of_epochs_and_may_stop(columns, kind):
    heard = []

    def stop(net, logs):
        heard.append(logs["epoch"])
        return logs["epoch"] == 2

    estimator = kind(**QUICK, callbacks=[stop]).fit(NamedColumns(columns), np.arange(60) % 2)
    assert heard == estimator.evals_result_["network_0"]["epoch"] == [1, 2]
    with pytest.raises(TypeError, match="callbacks"):
        kind(**QUICK, callbacks=3).fit(NamedColumns(columns), np.arange(60) % 2)
