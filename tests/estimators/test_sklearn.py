"""fastmlp.sklearn: the parameters in the user's hands, copies and pickles, conversion from and to scikit-learn's."""

import copy
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

import joblib
from estimators import coefficients
from sklearn import neural_network
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

from fastmlp.sklearn import MLPClassifier, MLPRegressor, from_sklearn, to_sklearn

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:scipy.optimize:DeprecationWarning",  # an old scikit-learn with a new SciPy
)


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
    np.testing.assert_array_equal(coefficients(clf), coefficients(unseen))
    clf.fit(X, y)
    assert held is not clf.coefs_[0]  # a new network has new arrays


def test_an_edited_network_goes_on_learning_from_the_edit(cancer):
    X, y = cancer
    theirs = neural_network.MLPClassifier(10, solver="sgd", random_state=0, max_iter=3).fit(X, y)
    ours = MLPClassifier(10, solver="sgd", random_state=0, max_iter=3).fit(X, y)
    for clf in (theirs, ours):
        clf.coefs_[0][:] *= 0.5
        clf.partial_fit(X, y)
    np.testing.assert_allclose(coefficients(ours), coefficients(theirs), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", [tuple, lambda arrays: np.array([*arrays, None], object)[:-1], iter])
def test_any_sequence_of_arrays_may_be_given(digits, kind):
    X, y = digits
    clf = MLPClassifier(15, random_state=0, max_iter=2).fit(X, y)
    other = MLPClassifier(15, random_state=1, max_iter=2).fit(X, y)
    clf.coefs_, clf.intercepts_ = kind(other.coefs_), kind(other.intercepts_)
    np.testing.assert_array_equal(clf.predict_proba(X), other.predict_proba(X))
    clf.coefs_ = kind([W.tolist() for W in other.coefs_])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(clf)).predict_proba(X), other.predict_proba(X))
    assert not np.array_equal(coefficients(clf.partial_fit(X, y)), coefficients(other))
    assert isinstance(clf.coefs_, list)
    with pytest.raises(TypeError, match=r"coefs_ must be a list of arrays, got 5 \(int\)"):
        clf.coefs_ = 5


@pytest.mark.parametrize("activation", [(-3, 4), ["relu", None], ["softmx"], ("relu", "relu"), [], 3, "softmx"])
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
        coefficients(clf).tobytes(),
    )
    clf.fit(*cancer)
    second = (
        clf.n_iter_,
        clf.t_,
        list(clf.loss_curve_),
        clf.validation_scores_,
        clf._no_improvement_count,
        coefficients(clf).tobytes(),
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
    assert coefficients(same).tobytes() == coefficients(clf).tobytes()
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


# ---- conversion -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_both_ways_with_equal_predictions(cancer, kind, solver):
    X, y = cancer
    theirs = getattr(neural_network, kind)(hidden_layer_sizes=12, solver=solver, random_state=0, max_iter=20).fit(X, y)
    ours = from_sklearn(theirs)
    assert ours.get_params(deep=False).items() >= theirs.get_params(deep=False).items()
    np.testing.assert_array_equal(coefficients(ours), coefficients(theirs))
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
        np.testing.assert_allclose(coefficients(ours), coefficients(theirs), rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(coefficients(back), coefficients(theirs), rtol=1e-12)
        for est in (theirs, again):
            est.partial_fit(X, y)
        np.testing.assert_allclose(coefficients(again), coefficients(theirs), rtol=1e-8, atol=1e-12)


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
