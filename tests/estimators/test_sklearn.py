"""fastmlp.sklearn: what its estimators do beyond agreeing with scikit-learn's, and how they keep their state."""

import copy
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import tracemalloc
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

import joblib
import scipy.sparse
import sklearn
from sklearn import neural_network
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, make_multilabel_classification, make_regression
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale
from sklearn.utils._param_validation import InvalidParameterError

import fastmlp
from fastmlp.sklearn import (
    AdalineClassifier,
    AdalineRegressor,
    MLPClassifier,
    MLPRegressor,
    PerceptronClassifier,
    from_sklearn,
    parameters,
    solvers,
    sparse,
    to_sklearn,
)
from fastmlp.sklearn.initial import initial_parameters
from fastmlp.sklearn.sparse import FilledColumns
from fastmlp.sklearn.task import Progress

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:scipy.optimize:DeprecationWarning",  # an old scikit-learn with a new SciPy
)

HAS_CALLBACKS = hasattr(MLPClassifier, "set_callbacks")


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:500] / 16.0, y[:500]


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X), y


@pytest.fixture(scope="module")
def regression():
    X, y = make_regression(200, 8, noise=5.0, random_state=0)
    return X, y / y.std()


def flat(estimator):
    return np.concatenate([np.ravel(array) for array in (*estimator.coefs_, *estimator.intercepts_)])


# ---- the parameters in the user's hands -----------------------------------------------------------------------------


def test_coefs_are_plain_arrays_that_predict_listens_to(digits):
    X, y = digits
    clf = MLPClassifier(15, random_state=0, max_iter=5).fit(X, y)
    before = clf.predict_proba(X[:3])
    assert clf.coefs_ is clf.coefs_
    assert all(array.flags.writeable for array in (*clf.coefs_, *clf.intercepts_))
    np.testing.assert_array_equal(clf.predict_proba(X[:3]), before)

    clf.intercepts_[-1][0] += 100.0
    assert (clf.predict(X[:3]) == 0).all()
    clf.intercepts_[-1] = clf.intercepts_[-1] - np.eye(10)[0] * 100.0
    np.testing.assert_allclose(clf.predict_proba(X[:3]), before, rtol=1e-9)
    clf.coefs_ = [np.zeros_like(W) for W in clf.coefs_]
    clf.intercepts_ = [np.zeros_like(b) for b in clf.intercepts_]
    np.testing.assert_allclose(clf.predict_proba(X[:3]), 0.1)


def test_partial_fit_writes_into_the_arrays_that_were_handed_out(digits):
    X, y = digits
    clf = MLPClassifier(15, random_state=0).partial_fit(X, y, classes=np.arange(10))
    held, first = clf.coefs_[0], clf.coefs_[0].copy()
    clf.partial_fit(X, y)
    assert held is clf.coefs_[0]
    assert not np.array_equal(held, first)
    unseen = MLPClassifier(15, random_state=0).partial_fit(X, y, classes=np.arange(10)).partial_fit(X, y)
    np.testing.assert_array_equal(flat(clf), flat(unseen))
    clf.fit(X, y)
    assert held is not clf.coefs_[0]  # a new network has new arrays


def test_an_edited_network_goes_on_learning_from_the_edit(cancer):
    X, y = cancer
    theirs = neural_network.MLPClassifier(10, solver="sgd", random_state=0, max_iter=3).fit(X, y)
    ours = MLPClassifier(10, solver="sgd", random_state=0, max_iter=3).fit(X, y)
    for clf in (theirs, ours):
        clf.coefs_[0][:] *= 0.5
        clf.partial_fit(X, y)
    np.testing.assert_allclose(flat(ours), flat(theirs), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", [tuple, lambda arrays: np.array([*arrays, None], object)[:-1], iter])
def test_any_sequence_of_arrays_may_be_given(digits, kind):
    X, y = digits
    clf = MLPClassifier(15, random_state=0, max_iter=2).fit(X, y)
    other = MLPClassifier(15, random_state=1, max_iter=2).fit(X, y)
    clf.coefs_, clf.intercepts_ = kind(other.coefs_), kind(other.intercepts_)
    np.testing.assert_array_equal(clf.predict_proba(X), other.predict_proba(X))
    clf.coefs_ = kind([W.tolist() for W in other.coefs_])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(clf)).predict_proba(X), other.predict_proba(X))
    assert not np.array_equal(flat(clf.partial_fit(X, y)), flat(other))
    assert isinstance(clf.coefs_, list)
    with pytest.raises(TypeError, match=r"coefs_ must be a list of arrays, got 5 \(int\)"):
        clf.coefs_ = 5


@pytest.mark.parametrize("activation", [(-3, 4), ["relu", None], ["softmax"], ("relu", "relu"), [], 3, "softmax"])
def test_wrong_activations_are_parameters_that_scikit_learn_would_refuse(digits, activation):
    with pytest.raises(InvalidParameterError, match="activation.* must be .*one"):
        MLPClassifier(15, activation=activation).fit(*digits)


def test_wrong_shapes_are_refused(digits):
    X, y = digits
    clf = MLPClassifier(15, random_state=0, max_iter=2).fit(X, y)
    clf.coefs_[0] = clf.coefs_[0][:, :5]
    with pytest.raises(ValueError, match=r"coefs_\[0\] has shape"):
        clf.predict(X)


def test_an_activation_changed_after_fit_counts(digits):
    X, y = digits
    ours = MLPClassifier(15, random_state=0, max_iter=5).fit(X, y)
    theirs = neural_network.MLPClassifier(15, random_state=0, max_iter=5).fit(X, y)
    for clf in (ours, theirs):
        clf.set_params(activation="tanh")
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-8)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_fit_again_is_fit_anew(cancer, early_stopping):
    parameters = {"early_stopping": early_stopping, "random_state": 0, "tol": 0.01, "max_iter": 100}
    clf = MLPClassifier(5, **parameters).fit(*cancer)
    first = (
        clf.n_iter_,
        clf.t_,
        list(clf.loss_curve_),
        clf.validation_scores_,
        clf._no_improvement_count,
        flat(clf).tobytes(),
    )
    clf.fit(*cancer)
    second = (
        clf.n_iter_,
        clf.t_,
        list(clf.loss_curve_),
        clf.validation_scores_,
        clf._no_improvement_count,
        flat(clf).tobytes(),
    )
    assert first == second
    clf.set_params(solver="lbfgs", early_stopping=False).fit(*cancer)  # which counts nothing
    assert not hasattr(clf, "loss_curve_")


def test_warm_start_with_other_sizes_is_refused(digits):
    X, y = digits
    clf = MLPClassifier(15, warm_start=True, max_iter=2).fit(X, y)
    with pytest.raises(ValueError, match="cannot go on with"):
        clf.set_params(hidden_layer_sizes=16).fit(X, y)


def test_unfitted():
    clf = MLPClassifier()
    assert not hasattr(clf, "coefs_")
    assert not hasattr(clf, "intercepts_")
    with pytest.raises(NotFittedError):
        clf.predict([[1.0]])


# ---- pickles and copies ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("way", ["pickle", "joblib", "deepcopy", "handed_out"])
def test_a_copy_is_exact_and_goes_on_exactly(digits, solver, way, tmp_path):
    X, y = digits
    clf = MLPClassifier(12, solver=solver, random_state=0, max_iter=4).fit(X.astype(np.float32), y)
    if way == "handed_out":
        clf.coefs_  # noqa: B018
    if way == "joblib":
        joblib.dump(clf, tmp_path / "m")
        same = joblib.load(tmp_path / "m")
    else:
        same = copy.deepcopy(clf) if way == "deepcopy" else pickle.loads(pickle.dumps(clf))
    assert same.predict_proba(X.astype(np.float32)).tobytes() == clf.predict_proba(X.astype(np.float32)).tobytes()
    for each in (clf, same):
        each.partial_fit(X.astype(np.float32), y)
    assert flat(same).tobytes() == flat(clf).tobytes()
    assert same.loss_curve_ == clf.loss_curve_


def test_a_pickle_holds_arrays_and_no_engine(digits):
    state = MLPClassifier(12, max_iter=2).fit(*digits).__getstate__()
    assert [type(W) for W in state["coefs_"]] == [np.ndarray, np.ndarray]
    assert "_shared" not in state
    assert pickle.loads(pickle.dumps(MLPClassifier())).get_params() == MLPClassifier().get_params()


def test_clone_is_not_fitted(digits):
    twin = clone(MLPClassifier(12, max_iter=2, class_weight="balanced").fit(*digits))
    assert not hasattr(twin, "coefs_")
    assert twin.class_weight == "balanced"


# ---- data -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "uint8", "int16", "int64", "float32"])
def test_data_are_read_in_their_own_dtype(digits, dtype):
    X, y = load_digits(return_X_y=True)
    X, y = X[:300], y[:300]
    wanted = np.float32 if dtype == "float32" else np.float64
    as_float = MLPClassifier(12, random_state=0, max_iter=3).fit(X.astype(wanted), y)
    clf = MLPClassifier(12, random_state=0, max_iter=3).fit(X.astype(dtype), y)
    assert clf.coefs_[0].dtype == wanted
    assert flat(clf).tobytes() == flat(as_float).tobytes()
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
    np.testing.assert_allclose(flat(clf), flat(dense), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(clf.predict_proba(rows), dense.predict_proba(X), rtol=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        weighted = clone(clf).fit(rows, y, sample_weight=np.full(len(y), 3.0))
    np.testing.assert_allclose(weighted.predict_proba(X).sum(axis=1), 1.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("hidden", [(), 2, 4, 5, 8, (9, 3), 40])
def test_prediction_from_very_sparse_rows_has_the_bits_of_dense_ones(hidden, dtype, monkeypatch):
    X = scipy.sparse.random(60, 9000, density=0.002, random_state=0, format="csr").astype(dtype)
    X.data[::5] *= -1.0
    y = np.arange(60) % 6
    clf = MLPClassifier(hidden, activation="tanh", random_state=0, max_iter=2).fit(X, y)
    made = []
    monkeypatch.setattr(parameters, "FilledColumns", lambda *parts: made.append(FilledColumns(*parts)) or made[-1])
    same = np.testing.assert_array_equal if not fastmlp.runtime.load_passes()[1] else np.testing.assert_allclose
    for rows in (X, X[:1], X[3:40]):
        same(clf.predict_proba(rows), clf.predict_proba(rows.toarray()))
    assert len(made) == (hidden not in (2, 4))  # kept; narrow layers see all columns
    clf.intercepts_[-1][0] += 50.0
    assert (clf.predict(X) == 0).all()
    clf.partial_fit(X, y)
    same(clf.predict_proba(X.tocsc()), clf.predict_proba(X.toarray()))
    assert len(made) == 3 * (hidden not in (2, 4))


def test_very_sparse_rows_are_cut_where_their_numbers_fill_the_columns(monkeypatch):
    monkeypatch.setattr(sparse, "DENSE_NUMBERS", 7 * 256)  # seven rows, if numbers allow
    X = scipy.sparse.lil_matrix((50, 20000))
    X[20, np.arange(200) * 37] = 1.0
    X[21, np.arange(200) * 41] = 2.0
    X[49, 5] = 3.0
    X = X.tocsr()
    clf = MLPClassifier(10, random_state=0, max_iter=1).fit(X, np.arange(50) % 2)
    assert sparse.pays(X, 10)
    np.testing.assert_allclose(clf.predict_proba(X), clf.predict_proba(X.toarray()), rtol=1e-12)


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
    np.testing.assert_allclose(flat(reg.fit(X, y, sample_weight=weight)), flat(half), rtol=1e-12)


def test_poisson_needs_counts(regression):
    X, y = regression
    with pytest.raises(ValueError, match="valid range of the loss 'poisson'"):
        MLPRegressor(loss="poisson").fit(X, y)


# ---- what fastmlp adds ----------------------------------------------------------------------------------------------


def test_activations_of_fastmlp_and_one_per_layer(digits):
    X, y = digits
    for activation in ("leaky_relu", "elu", "softplus", fastmlp.LeakyReLU(0.2), "sigmoid"):
        clf = MLPClassifier(20, activation=activation, learning_rate_init=0.01, random_state=0, max_iter=60)
        assert clf.fit(X, y).score(X, y) > 0.95
    clf = MLPClassifier(
        (20, 10), activation=["tanh", fastmlp.ELU()], random_state=0, learning_rate_init=0.01, max_iter=60
    )
    assert clf.fit(X, y).score(X, y) > 0.95
    same = clone(clf).fit(X, y)
    assert flat(same).tobytes() == flat(clf).tobytes()
    with pytest.raises(ValueError, match="one per hidden layer"):
        MLPClassifier((20, 10), activation=["tanh"]).fit(X, y)
    uniform = MLPClassifier((20, 10), activation=("relu", "relu"), random_state=0, max_iter=3).fit(X, y)
    plain = MLPClassifier((20, 10), random_state=0, max_iter=3).fit(X, y)
    assert flat(uniform).tobytes() == flat(plain).tobytes()


@pytest.mark.parametrize("optimizer", ["sgd", fastmlp.Adam(3e-3), fastmlp.SGD(0.1, momentum=0.9, weight_decay=1e-4)])
def test_optimizers_of_fastmlp(digits, optimizer):
    X, y = digits
    clf = MLPClassifier(20, optimizer=optimizer, random_state=0, max_iter=5, alpha=0.0, batch_size=20).fit(X, y)
    net = fastmlp.MLP([64, 20, 10], output="softmax", dtype="float64")
    rng = np.random.RandomState(0)
    net.weights, net.biases = initial_parameters(rng, "relu", [64, 20, 10], "float64")
    order = np.arange(len(X))
    for _ in range(5):
        chosen = np.arange(len(X))
        rng.shuffle(chosen)
        order = order[chosen]
        net.fit(X[order], y[order], epochs=1, batch_size=20, optimizer=optimizer, shuffle=False)
    np.testing.assert_array_equal(clf.coefs_[0], net.weights[0])


def test_squared_error_of_a_classifier(digits, cancer):
    for X, y in (digits, cancer):
        clf = MLPClassifier(20, loss="squared_error", random_state=0, max_iter=60, learning_rate_init=0.01).fit(X, y)
        assert clf.score(X, y) > 0.95
        np.testing.assert_allclose(clf.predict_proba(X).sum(axis=1), 1.0)


def test_class_weight_is_a_weight_of_rows(cancer):
    X, y = cancer
    clf = MLPClassifier(8, class_weight={0: 5.0, 1: 0.5}, random_state=0, max_iter=5).fit(X, y)
    by_row = MLPClassifier(8, random_state=0, max_iter=5).fit(X, y, sample_weight=np.where(y == 0, 5.0, 0.5))
    assert flat(clf).tobytes() == flat(by_row).tobytes()
    rare = np.flatnonzero(y == 0)[:10]
    rows = np.concatenate([rare, np.flatnonzero(y == 1)])
    plain, balanced = (
        MLPClassifier(8, class_weight=weight, random_state=0, max_iter=10).fit(X[rows], y[rows])
        for weight in (None, "balanced")
    )
    assert (balanced.predict(X) == 0).sum() > (plain.predict(X) == 0).sum()
    with pytest.raises(ValueError, match="partial_fit"):
        MLPClassifier(class_weight="balanced").partial_fit(X, y, classes=[0, 1])


def test_validation_data(digits):
    X, X_val, y, y_val = train_test_split(*digits, random_state=0)
    clf = MLPClassifier(15, random_state=0, max_iter=12).fit(X, y, validation_data=(X_val, y_val))
    assert len(clf.validation_loss_curve_) == 12
    expected = -np.log(clf.predict_proba(X_val)[np.arange(len(y_val)), y_val]).mean()
    assert clf.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-9)
    plain = MLPClassifier(15, random_state=0, max_iter=12).fit(X, y)
    assert flat(plain).tobytes() == flat(clf).tobytes()  # looking on changes nothing
    assert not hasattr(plain, "validation_loss_curve_")

    stopped = MLPClassifier(15, random_state=0, early_stopping=True, tol=1.0, n_iter_no_change=3)
    stopped.fit(X, y, validation_data=(scipy.sparse.csr_matrix(X_val), y_val, np.ones(len(y_val))))
    assert stopped.n_iter_ == 5
    assert stopped.best_validation_score_ == pytest.approx(stopped.score(X_val, y_val))
    with pytest.raises(ValueError, match="validation_data"):
        plain.fit(X, y, validation_data=X_val)
    reg = MLPRegressor(hidden_layer_sizes=15, solver="lbfgs", max_iter=5).fit(
        X, X[:, :2], validation_data=(X_val, X_val[:, :2])
    )
    assert reg.validation_loss_curve_[-1] == pytest.approx(0.5 * np.square(reg.predict(X_val) - X_val[:, :2]).mean())


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_max_seconds(digits, solver):
    X, y = digits
    clf = MLPClassifier(50, solver=solver, max_seconds=0.05, max_iter=100000, tol=0.0, n_iter_no_change=np.inf)
    with pytest.warns(ConvergenceWarning, match="max_seconds"):
        clf.fit(X, y)
    assert 0 < clf.n_iter_ < 100000


def test_threads_change_nothing(digits):
    X, y = digits
    one, three = (MLPClassifier(40, random_state=0, max_iter=4, n_threads=n).fit(X, y) for n in (1, 3))
    assert flat(one).tobytes() == flat(three).tobytes()


def test_several_python_threads_share_one_estimator(digits):
    X, y = digits
    clf = MLPClassifier(20, random_state=0, max_iter=10).fit(X, y)
    expected, answers = clf.predict_proba(X), []
    threads = [threading.Thread(target=lambda: answers.append(clf.predict_proba(X))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert all(answer.tobytes() == expected.tobytes() for answer in answers)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs an interval timer")
@pytest.mark.parametrize("as_sparse", [False, True])
def test_ctrl_c_keeps_what_was_learnt(digits, as_sparse, monkeypatch):
    X, y = digits
    X = scipy.sparse.csr_matrix(X) if as_sparse else X
    clf = MLPClassifier(30, max_iter=10**6, tol=0.0, n_iter_no_change=np.inf, random_state=0)
    compare_loss = Progress.compare_loss

    def compare(progress, tol):
        if progress.n_iter == 20:  # a timer that is set before could go off outside of the training
            signal.setitimer(signal.ITIMER_REAL, 0.01)
        compare_loss(progress, tol)

    monkeypatch.setattr(Progress, "compare_loss", compare)
    old = signal.signal(signal.SIGALRM, signal.default_int_handler)
    gc.disable()  # what is raised in a callback of the collector (hypothesis has one) is lost
    try:
        with pytest.warns(UserWarning, match="Training interrupted by user"):
            clf.fit(X, y)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        gc.enable()
        signal.signal(signal.SIGALRM, old)
    assert clf.n_iter_ >= 20
    assert clf.score(X, y) > 0.5
    clf.partial_fit(X, y)


def test_divergence_is_an_error_but_not_with_early_stopping(regression):
    X, y = regression
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        MLPRegressor(solver="sgd", learning_rate_init=1e6, activation="identity", momentum=0.0).fit(X, y)
    saved = MLPRegressor(solver="sgd", learning_rate_init=1e6, activation="identity", early_stopping=True, max_iter=15)
    saved.fit(X, y)
    assert np.isfinite(flat(saved)).all()
    assert (saved.n_iter_, len(saved.validation_scores_)) == (15, 15)


@pytest.mark.skipif(not HAS_CALLBACKS, reason="callbacks came with scikit-learn 1.9")
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks_of_scikit_learn(digits, solver):
    class Stop:
        def __init__(self):
            self.tasks, self.losses, self.told = [], [], []

        def setup(self, estimator, context):
            self.told.append("setup")

        def teardown(self, estimator, context):
            self.told.append("teardown")

        def on_fit_task_begin(self, estimator, context):
            self.tasks.append(context.task_name)

        def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
            if context.parent is not None:
                self.losses.append(fitted_estimator.score(X, y))
                np.testing.assert_array_equal(estimator.coefs_[0], fitted_estimator.coefs_[0])
            return len(self.losses) == 4

    X, y = digits
    stop = Stop()
    clf = MLPClassifier(20, solver=solver, random_state=0, max_iter=50).set_callbacks(stop).fit(X, y)
    assert clf.n_iter_ == 4
    assert stop.told == ["setup", "teardown"]
    assert stop.tasks[:2] == ["fit", "epoch"]
    assert stop.losses[-1] > stop.losses[0]
    if solver == "adam":
        assert stop.losses[-1] == clf.score(X, y)
        plain = MLPClassifier(20, random_state=0, max_iter=4).fit(X, y)
        assert flat(plain).tobytes() == flat(clf).tobytes()
    clf.set_callbacks()
    assert clf.fit(X, y).n_iter_ > 4


def test_tags(digits):
    if not hasattr(sklearn.utils, "get_tags"):
        pytest.skip("before scikit-learn 1.6")
    theirs = sklearn.utils.get_tags(neural_network.MLPClassifier())
    assert sklearn.utils.get_tags(MLPClassifier()) == theirs
    assert sklearn.utils.get_tags(MLPRegressor()) == sklearn.utils.get_tags(neural_network.MLPRegressor())


def test_import_is_light_and_says_what_is_missing():
    code = (
        "import sys, sklearn.neural_network; before = set(sys.modules); import fastmlp.sklearn;"
        "new = {m.split('.')[0] for m in set(sys.modules) - before} - {'fastmlp'};"
        "print(sorted(m for m in new if not m.startswith('_cython_')))"  # what compiled modules share
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment())
    assert set(eval(run.stdout)) <= {"gzip", "struct", "_struct", "secrets", "urllib", "lzma", "json", "runpy"} | set(
        sys.stdlib_module_names
    )
    code = "import sys; sys.modules['sklearn'] = None; import fastmlp.sklearn"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment())
    assert "pip install 'fastmlp[sklearn]'" in run.stderr


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


# ---- conversion -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_both_ways_with_equal_predictions(cancer, kind, solver):
    X, y = cancer
    theirs = getattr(neural_network, kind)(hidden_layer_sizes=12, solver=solver, random_state=0, max_iter=20).fit(X, y)
    ours = from_sklearn(theirs)
    assert ours.get_params(deep=False).items() >= theirs.get_params(deep=False).items()
    np.testing.assert_array_equal(flat(ours), flat(theirs))
    back = to_sklearn(ours)
    assert type(back) is type(theirs)
    np.testing.assert_array_equal(back.predict(X), theirs.predict(X))
    np.testing.assert_allclose(np.ravel(ours.predict(X)), np.ravel(theirs.predict(X)), rtol=1e-9, atol=1e-9)
    assert (ours.loss_, ours.n_iter_, ours.t_) == (theirs.loss_, theirs.n_iter_, theirs.t_)
    if solver != "lbfgs":
        ours.partial_fit(X, y)  # the optimizer's state came along
        again = to_sklearn(ours)
        for est in (theirs, back):
            est.partial_fit(X, y)
        np.testing.assert_allclose(flat(ours), flat(theirs), rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(flat(back), flat(theirs), rtol=1e-12)
        for est in (theirs, again):
            est.partial_fit(X, y)
        np.testing.assert_allclose(flat(again), flat(theirs), rtol=1e-8, atol=1e-12)


def test_unfitted_ones_and_those_without_a_counterpart(digits):
    assert not hasattr(from_sklearn(neural_network.MLPClassifier(alpha=0.5)), "coefs_")
    assert to_sklearn(MLPRegressor(alpha=0.5)).alpha == 0.5
    with pytest.raises(ValueError, match="activation"):
        to_sklearn(MLPClassifier(activation="elu"))
    with pytest.raises(ValueError, match="loss"):
        to_sklearn(MLPClassifier(loss="squared_error"))
    for convert in (from_sklearn, to_sklearn):
        with pytest.raises(TypeError, match=r"takes .* MLPClassifier or MLPRegressor, got"):
            convert(object())


def test_a_loaded_pickle_of_scikit_learn_converts(digits, tmp_path):
    X, y = digits
    joblib.dump(
        neural_network.MLPClassifier(12, random_state=0, early_stopping=True, max_iter=5).fit(X, y), tmp_path / "m"
    )
    theirs = joblib.load(tmp_path / "m")
    np.testing.assert_array_equal(from_sklearn(theirs).predict(X), theirs.predict(X))
    assert from_sklearn(theirs).validation_scores_ == theirs.validation_scores_


# ---- single neurons -------------------------------------------------------------------------------------------------


def naive_perceptron(X, t, orders, rate):
    """The rule as it is taught, row after row."""
    w, b, errors = np.zeros(X.shape[1]), 0.0, []
    for order in orders:
        wrong = 0
        for i in order:
            if t[i] * (w @ X[i] + b) <= 0:
                w, b, wrong = w + rate * t[i] * X[i], b + rate * t[i], wrong + 1
        errors.append(wrong)
    return w, b, errors


def test_the_perceptron_rule_row_after_row():
    rng = np.random.default_rng(0)
    X = rng.integers(-8, 9, (300, 3)).astype(float)
    y = (X @ [1.0, -2.0, 0.5] + 0.7 > 0).astype(int)
    clf = PerceptronClassifier(0.5, random_state=0).fit(X, y)
    shuffles = np.random.RandomState(0)
    orders = []
    for _ in range(clf.n_iter_):
        orders.append(np.arange(300))
        shuffles.shuffle(orders[-1])
    w, b, errors = naive_perceptron(X, 2 * y - 1, orders, 0.5)
    assert errors == clf.errors_
    np.testing.assert_array_equal(clf.coef_[0], w)
    np.testing.assert_array_equal(clf.intercept_, [b])
    assert clf.converged_
    assert clf.score(X, y) == 1.0


def test_the_perceptron_does_not_settle_on_xor():
    X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    with pytest.warns(ConvergenceWarning, match="did not separate"):
        clf = PerceptronClassifier(max_iter=20).fit(X, y)
    assert not clf.converged_
    assert (clf.n_iter_, min(clf.errors_) > 0) == (20, True)


def test_perceptron_of_several_classes(toy, capsys):
    X, y = toy
    clf = PerceptronClassifier(random_state=0, max_iter=200, verbose=True).fit(X * 4, np.array(["a", "b", "c"])[y])
    assert clf.score(X * 4, np.array(["a", "b", "c"])[y]) > 0.95
    assert clf.coef_.shape == (3, 2)
    assert clf.coef_.dtype == np.float32
    assert "Epoch 1, errors = " in capsys.readouterr().out


def test_the_delta_rule_row_after_row(regression):
    X, y = regression
    reg = AdalineRegressor(0.01, shuffle=False, max_iter=3).fit(X, y)
    w, b = np.zeros(8), 0.0
    for _ in range(3):
        for x, t in zip(X, y, strict=True):
            error = t - (w @ x + b)
            w, b = w + 0.01 * error * x, b + 0.01 * error
    np.testing.assert_allclose(reg.coef_, w, rtol=1e-10)
    np.testing.assert_allclose(reg.intercept_, b, rtol=1e-10)


def test_adaline_settles_near_least_squares(regression):
    X, y = regression
    reg = AdalineRegressor(0.002, max_iter=2000, tol=1e-7, random_state=0).fit(X, y)
    design = np.column_stack([X, np.ones(len(X))])
    np.testing.assert_allclose(reg.coef_, np.linalg.lstsq(design, y, rcond=None)[0][:-1], atol=0.02)
    two = AdalineRegressor(0.002, max_iter=50, random_state=0).fit(X, np.column_stack([y, -y]))
    assert two.predict(X).shape == (200, 2)
    np.testing.assert_allclose(two.coef_[0], -two.coef_[1], rtol=1e-10)


def test_adaline_classifies_and_says_when_it_diverges(toy, cancer):
    X, y = toy
    assert AdalineClassifier(random_state=0, max_iter=300).fit(X, y).score(X, y) > 0.9
    X, y = cancer
    assert AdalineClassifier(random_state=0, max_iter=300).fit(X, y).score(X, y) > 0.93
    with pytest.raises(ValueError, match="The delta rule diverged with learning_rate=10"):
        AdalineClassifier(10.0).fit(X, y)
    with pytest.raises(ValueError, match="at least 2 classes"):
        AdalineClassifier().fit(X, np.zeros(len(X)))


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


def test_the_rate_of_an_adam_that_was_interrupted_is_that_of_its_last_step():
    adam = solvers.AdamSolver(0.1, 0.9, 0.999, 1e-8)
    rates = adam.scalars(np.zeros(5))[:, 0]
    adam.advance(3)
    assert (adam.t, adam.learning_rate) == (3, rates[2])
    assert adam.scalars(np.zeros(2))[:, 0].tolist() == rates[3:].tolist()
    adam.advance(0)
    assert (adam.t, adam.learning_rate) == (3, rates[2])


# ---- what solvers report --------------------------------------------------------------------------------------------


def test_progress_goes_on_from_the_attributes_that_it_left():
    progress = Progress.of({}, early_stopping=False)
    progress.end_epoch(0.5, 10)
    progress.compare_loss(0.0)
    left = progress.attributes()
    assert (left["n_iter_"], left["t_"], left["loss_"], left["loss_curve_"]) == (1, 10, 0.5, [0.5])
    assert "_best_parameters" not in left
    assert Progress.of(left, early_stopping=False).attributes() == left


def test_progress_of_early_stopping_has_scores_to_compare_and_no_loss():
    left = Progress.of({}, early_stopping=False).attributes()
    progress = Progress.of(left, early_stopping=True)
    assert (progress.best_loss, progress.best_validation_score, progress.validation_scores) == (None, -np.inf, [])
    progress.compare_score(0.25, 0.0)
    back = Progress.of(progress.attributes(), early_stopping=False)
    assert (back.best_loss, back.best_validation_score, back.validation_scores) == (np.inf, 0.25, [0.25])


def test_progress_before_an_epoch_claims_no_loss():
    assert "loss_" not in Progress.of({}, early_stopping=False).attributes()


def test_an_improvement_is_by_more_than_tol_and_the_best_by_anything():
    progress = Progress.of({}, early_stopping=False)
    for loss in (1.0, 0.95, float("nan"), 0.5):
        progress.end_epoch(loss, 1)
        progress.compare_loss(0.1)
    assert (progress.best_loss, progress.no_improvement_count) == (0.5, 0)
    progress.end_epoch(0.45, 1)
    progress.compare_loss(0.1)
    assert (progress.best_loss, progress.no_improvement_count) == (0.45, 1)
    progress = Progress.of({}, early_stopping=True)
    assert [progress.compare_score(score, 0.1) for score in (0.5, 0.55, 0.55, 0.7)] == [True, True, False, True]
    assert (progress.best_validation_score, progress.no_improvement_count) == (0.7, 0)
