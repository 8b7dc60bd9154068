"""What estimators may be fitted on: every dtype, sparse rows, labels of any kind, weights."""

import gc
import tracemalloc
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

import scipy.sparse
from estimators import coefficients
from sklearn.base import clone
from sklearn.datasets import load_digits, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning

import fastmlp
from fastmlp.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:scipy.optimize:DeprecationWarning",  # an old scikit-learn with a new SciPy
)


@pytest.mark.parametrize("dtype", ["float16", "uint8", "int16", "int64", "float32"])
def test_data_are_read_in_their_own_dtype(digits, dtype):
    X, y = load_digits(return_X_y=True)
    X, y = X[:300], y[:300]
    wanted = np.float32 if dtype == "float32" else np.float64
    as_float = MLPClassifier(12, random_state=0, max_iter=3).fit(X.astype(wanted), y)
    clf = MLPClassifier(12, random_state=0, max_iter=3).fit(X.astype(dtype), y)
    assert clf.coefs_[0].dtype == wanted
    assert coefficients(clf).tobytes() == coefficients(as_float).tobytes()
    assert clf.predict_proba(X.astype(dtype)).tobytes() == as_float.predict_proba(X.astype(wanted)).tobytes()


def test_X_is_not_copied():
    X = np.random.default_rng(0).random((20000, 50))
    y = (X[:, 0] > 0.5).astype(int)
    clf = MLPClassifier(4, max_iter=1, random_state=0).fit(X[:100], y[:100])
    gc.collect()
    tracemalloc.start()
    try:
        clf.fit(X, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < X.nbytes / 2


def test_sparse_rows_are_never_dense_all_at_once():
    X = scipy.sparse.random(20000, 300, density=0.01, random_state=0, format="csr")
    y = (np.asarray(X.sum(axis=1)).ravel() > 1.5).astype(int)
    clf = MLPClassifier(4, max_iter=1, random_state=0).fit(X[:100], y[:100])
    gc.collect()
    tracemalloc.start()
    try:
        clf.fit(X, y).predict(X)
        MLPClassifier(4, max_iter=1, solver="lbfgs", max_fun=2).fit(X, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20000 * 300 * 8 / 2


@pytest.mark.parametrize("kind", ["csr_matrix", "csc_matrix", "csr_array", "csc_array"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_sparse_is_dense(digits, kind, solver):
    X, y = digits
    rows = getattr(scipy.sparse, kind)(X)
    dense = MLPClassifier(12, solver=solver, random_state=0, max_iter=4, batch_size=30).fit(X, y)
    clf = MLPClassifier(12, solver=solver, random_state=0, max_iter=4, batch_size=30).fit(rows, y)
    np.testing.assert_allclose(coefficients(clf), coefficients(dense), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(clf.predict_proba(rows), dense.predict_proba(X), rtol=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        weighted = clone(clf).fit(rows, y, sample_weight=np.full(len(y), 3.0))
    np.testing.assert_allclose(weighted.predict_proba(X).sum(axis=1), 1.0)


@pytest.mark.parametrize("hidden", [(), 12, (12, 7)])
def test_sparse_rows_give_the_bits_of_dense_ones(hidden):
    X = scipy.sparse.random(300, 400, density=0.005, random_state=0, format="csr")
    y = np.arange(300) % 3
    clf, dense = (MLPClassifier(hidden, activation="tanh", random_state=0, max_iter=5) for _ in range(2))
    clf.fit(X, y)
    dense.fit(X.toarray(), y)
    assert clf.loss_curve_ == dense.loss_curve_
    for rows in (X, X.tocsc(), X[:1]):
        assert clf.predict_proba(rows).tobytes() == dense.predict_proba(rows.toarray()).tobytes()
    clf.intercepts_[-1][0] += 50.0
    assert (clf.predict(X) == 0).all()


@pytest.mark.parametrize("labels", [["b", "a", "c"], [3.0, 1.0, 2.0], [7, -1, 5], [True, False]])
@pytest.mark.parametrize("as_object", [False, True])
def test_labels_of_any_kind(labels, as_object):
    X = np.repeat(np.eye(len(labels)), 20, axis=0)
    y = np.repeat(np.array(labels, dtype=object if as_object else None), 20)
    if as_object and not isinstance(labels[0], str):
        y = np.array([str(label) for label in y], dtype=object)
    clf = MLPClassifier(8, random_state=0, learning_rate_init=0.05, max_iter=60).fit(X, y)
    assert clf.predict(X).tolist() == y.tolist()
    assert clf.predict(X).dtype == clf.classes_.dtype
    assert clf.classes_.tolist() == sorted(set(y.tolist()))
    for start in (0, 20):
        clf.partial_fit(X[start : start + 20], y[start : start + 20])
    with pytest.raises(ValueError, match="classes not in"):
        clf.partial_fit(X[:1], np.array(["new"] if isinstance(y[0], str) else [99]))


def test_one_class_and_sparse_multilabel():
    X, y = np.random.default_rng(0).random((20, 3)), ["only"] * 20
    assert MLPClassifier(4, max_iter=2).fit(X, y).predict(X).tolist() == y
    X, Y = make_multilabel_classification(100, 10, random_state=0)
    clf = MLPClassifier(8, max_iter=20, random_state=0).fit(X, scipy.sparse.csr_matrix(Y))
    answer = clf.predict(X)
    assert scipy.sparse.issparse(answer)
    np.testing.assert_array_equal(answer.toarray(), MLPClassifier(8, max_iter=20, random_state=0).fit(X, Y).predict(X))


def test_no_hidden_layer_is_linear(regression):
    X, y = regression
    reg = MLPRegressor(hidden_layer_sizes=(), solver="lbfgs", alpha=0.0, max_iter=500, tol=1e-8).fit(X, y)
    design = np.column_stack([X, np.ones(len(X))])
    np.testing.assert_allclose(reg.coefs_[0].ravel(), np.linalg.lstsq(design, y, rcond=None)[0][:-1], rtol=1e-3)


def test_a_batch_whose_weights_are_zero_changes_nothing(regression):
    X, y = regression
    weight = np.repeat([0.0, 1.0], 100)
    reg = MLPRegressor(
        hidden_layer_sizes=5, solver="sgd", momentum=0.0, shuffle=False, batch_size=100, max_iter=1, random_state=0
    )
    half = clone(reg).fit(X[100:], y[100:])
    np.testing.assert_allclose(coefficients(reg.fit(X, y, sample_weight=weight)), coefficients(half), rtol=1e-12)


def test_poisson_needs_counts(regression):
    X, y = regression
    with pytest.raises(ValueError, match="valid range of the loss 'poisson'"):
        MLPRegressor(loss="poisson").fit(X, y)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_weights_of_sparse_rows_go_with_their_rows(digits, solver, monkeypatch):
    """Rows are made dense in blocks, some of which weigh more than others."""
    X, y = (array[:500] for array in digits)
    monkeypatch.setattr(fastmlp.data.sparse, "DENSE_NUMBERS", 100 * X.shape[1])
    weight = np.linspace(0, 2, len(y)) ** 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        dense = MLPClassifier(12, solver=solver, random_state=0, max_iter=4, batch_size=30)
        dense.fit(X, y, sample_weight=weight)
        by_rows = clone(dense).fit(scipy.sparse.csr_matrix(X), y, sample_weight=weight)
    assert by_rows.loss_ == pytest.approx(dense.loss_, rel=1e-6)
    for found, wanted in zip(by_rows.coefs_, dense.coefs_, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)
