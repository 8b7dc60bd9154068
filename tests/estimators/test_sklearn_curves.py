"""Against scikit-learn itself: the same random state gives the same loss curves, and scores that are as good."""

import contextlib
import inspect
import re
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

import scipy.sparse
from sklearn import neural_network
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, make_multilabel_classification
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale
from threadpoolctl import threadpool_limits

from fastmlp import sklearn as ours

EPOCHS = 8  # over which the curves have to agree
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}
HAS_WEIGHTS = "sample_weight" in inspect.signature(neural_network.MLPClassifier.fit).parameters
HAS_POISSON = "loss" in inspect.signature(neural_network.MLPRegressor).parameters


def problem(name):
    if name in ("digits", "raw_digits", "csr", "csc", "raw_csr"):
        X, y = load_digits(return_X_y=True)
        X, y = X[:600] / (1.0 if "raw" in name else 16.0), y[:600]
        if "digits" not in name:
            X = scipy.sparse.csr_matrix(X).asformat(name[-3:])
    elif name == "raw_even":
        X, y = load_digits(return_X_y=True)
        X, y = X[:600], np.where(y[:600] % 2, "odd", "even")
    elif name in ("breast_cancer", "raw_breast_cancer"):
        X, y = load_breast_cancer(return_X_y=True)
        X = X if "raw" in name else scale(X)
    elif name == "diabetes":
        X, y = load_diabetes(return_X_y=True)
        X, y = scale(X), scale(y)
    elif name == "two_targets":
        X, y = load_diabetes(return_X_y=True)
        X, y = scale(X), np.column_stack([scale(y), np.square(scale(y))])
    elif name == "counts":
        X, y = load_diabetes(return_X_y=True)
        X, y = scale(X), np.round(y / 50)
    else:
        X, y = make_multilabel_classification(300, 20, random_state=0)
        X = 20.0 * X if "raw" in name else scale(X)
    return X, y


# data, dtype, parameters: solver, activation, alpha, batch size, learning rate, early stopping, warm start, weights.
CASES = [
    ("digits", "float64", {}),
    ("digits", "float32", {}),
    ("digits", "float64", {"activation": "tanh", "batch_size": 32}),
    ("digits", "float32", {"activation": "logistic", "alpha": 0.01}),
    ("digits", "float64", {"activation": "identity", "hidden_layer_sizes": (20, 15, 10)}),
    ("digits", "float64", {"early_stopping": True, "batch_size": 50}),
    ("digits", "float32", {"solver": "sgd", "learning_rate_init": 0.1}),
    ("digits", "float64", {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.25, "learning_rate_init": 0.5}),
    ("digits", "float64", {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.2, "tol": 0.2}),
    ("digits", "float64", {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.2}),
    ("digits", "float64", {"solver": "lbfgs"}),
    ("csr", "float64", {"batch_size": 64}),
    ("csr", "float32", {"solver": "sgd", "learning_rate_init": 0.1, "early_stopping": True}),
    ("csr", "float64", {"solver": "lbfgs", "activation": "tanh"}),
    ("csc", "float64", {"alpha": 0.1}),
    ("breast_cancer", "float64", {}),
    ("breast_cancer", "float32", {"activation": "tanh"}),
    ("breast_cancer", "float64", {"early_stopping": True, "validation_fraction": 0.2, "activation": "logistic"}),
    ("breast_cancer", "float64", {"solver": "sgd", "nesterovs_momentum": False, "momentum": 0.8, "alpha": 1.0}),
    ("breast_cancer", "float64", {"shuffle": False, "batch_size": 100}),
    ("breast_cancer", "float64", {"warm_start": True, "beta_1": 0.8, "beta_2": 0.99}),
    ("breast_cancer", "float64", {"warm_start": True, "solver": "sgd", "learning_rate": "adaptive"}),
    ("breast_cancer", "float64", {"weights": True, "batch_size": 30}),
    ("diabetes", "float64", {"learning_rate_init": 0.01}),
    ("diabetes", "float32", {"activation": "tanh", "learning_rate_init": 0.01}),
    ("diabetes", "float64", {"solver": "sgd", "alpha": 0.1, "learning_rate_init": 0.02, "early_stopping": True}),
    ("diabetes", "float64", {"solver": "lbfgs", "activation": "logistic", "alpha": 1.0}),
    ("diabetes", "float64", {"weights": True, "solver": "sgd", "learning_rate_init": 0.02}),
    ("two_targets", "float64", {"learning_rate_init": 0.01, "epsilon": 1e-4}),
    ("counts", "float64", {"loss": "poisson", "learning_rate_init": 0.005}),
    ("counts", "float32", {"loss": "poisson", "solver": "sgd", "activation": "tanh", "learning_rate_init": 0.005}),
    ("multilabel", "float64", {"batch_size": 20}),
    ("multilabel", "float32", {"solver": "sgd", "learning_rate_init": 0.1, "early_stopping": True}),
    # As they come: networks are sure and wrong in the first epochs, and reports are of clipped probabilities.
    ("raw_digits", "float64", {}),
    ("raw_digits", "float32", {}),
    ("raw_digits", "float64", {"learning_rate_init": 0.05, "batch_size": 50}),
    ("raw_digits", "float32", {"solver": "sgd", "alpha": 0.1}),
    ("raw_digits", "float64", {"early_stopping": True, "hidden_layer_sizes": (50, 20)}),
    ("raw_digits", "float64", {"weights": True, "activation": "identity"}),
    ("raw_digits", "float64", {"solver": "lbfgs"}),
    ("raw_csr", "float64", {"solver": "sgd", "batch_size": 32}),
    ("raw_even", "float64", {}),
    ("raw_even", "float32", {"solver": "sgd", "momentum": 0.5}),
    ("raw_breast_cancer", "float64", {}),
    ("raw_breast_cancer", "float64", {"weights": True, "solver": "sgd", "learning_rate": "adaptive"}),
    ("raw_multilabel", "float64", {}),
    ("raw_multilabel", "float32", {"batch_size": 30}),
    ("raw_multilabel", "float64", {"solver": "sgd", "learning_rate_init": 0.0001, "early_stopping": True}),
]


def name_of(case):
    data, dtype, parameters = case
    return "-".join([data, dtype, *(f"{key}={value}" for key, value in parameters.items())]).replace(" ", "")


@pytest.mark.parametrize("case", CASES, ids=name_of)
@pytest.mark.filterwarnings("ignore")
def test_loss_curve_and_score(case):
    data, dtype, parameters = case
    parameters = {"hidden_layer_sizes": 30, "random_state": 3, "max_iter": 40, **parameters}
    weighted = parameters.pop("weights", False)
    if (weighted and not HAS_WEIGHTS) or ("loss" in parameters and not HAS_POISSON):
        pytest.skip("this scikit-learn has no such thing")
    X, y = problem(data)
    X = X.astype(dtype)
    weight = np.random.default_rng(0).random(X.shape[0]) if weighted else np.ones(X.shape[0])
    X, X_test, y, y_test, weight, _ = train_test_split(X, y, weight, random_state=1, test_size=0.3)
    kind = "MLPRegressor" if data in ("diabetes", "two_targets", "counts") else "MLPClassifier"
    fitted = []
    with threadpool_limits(1, "blas"):
        for library in (neural_network, ours):
            estimator = getattr(library, kind)(**parameters)
            for _ in range(1 + parameters.get("warm_start", False)):
                estimator.fit(X, y, **({"sample_weight": weight} if weighted else {}))
            fitted.append(estimator)
    theirs, mine = fitted
    if parameters.get("solver") == "lbfgs":
        assert mine.n_iter_ == theirs.n_iter_
        assert mine.loss_ == pytest.approx(theirs.loss_, rel=1e-3)
    else:
        assert len(mine.loss_curve_) >= EPOCHS
        np.testing.assert_allclose(mine.loss_curve_[:EPOCHS], theirs.loss_curve_[:EPOCHS], rtol=TOLERANCE[dtype])
        if parameters.get("early_stopping"):
            np.testing.assert_allclose(
                mine.validation_scores_[:EPOCHS], theirs.validation_scores_[:EPOCHS], rtol=1e-6, atol=1e-9
            )
        if dtype == "float64":
            assert (mine.n_iter_, mine.t_) == (theirs.n_iter_, theirs.t_)
            assert mine._no_improvement_count == theirs._no_improvement_count
            assert mine._optimizer.learning_rate == pytest.approx(theirs._optimizer.learning_rate, rel=1e-9)
    assert mine.score(X_test, y_test) == pytest.approx(theirs.score(X_test, y_test), abs=0.01)
    assert [W.dtype for W in mine.coefs_] == [W.dtype for W in theirs.coefs_]


def test_enough_combinations():
    raw = [data for data, _, _ in CASES if data.startswith("raw")]
    assert len({name_of(case) for case in CASES}) == len(CASES) >= 30
    assert {"raw_digits", "raw_even", "raw_multilabel"} <= set(raw)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("data", ["raw_digits", "raw_even", "raw_multilabel"])
@pytest.mark.filterwarnings("ignore")
def test_the_loss_is_that_of_clipped_probabilities(data, solver):
    X, y = problem(data)
    clf = ours.MLPClassifier(30, solver=solver, alpha=0, random_state=0, max_iter=1)
    rate = {"learning_rate_init": 1e-300} if solver == "adam" else {}  # which changes nothing
    clf.set_params(**rate).fit(X, y, validation_data=(X, y))
    p, target = clf.predict_proba(X), np.asarray(clf._label_binarizer.transform(y), bool)
    eps = np.finfo(float).eps
    p = np.clip(p[:, 1:] if data == "raw_even" else p, eps, 1 - eps)
    terms = np.where(target, -np.log(p), 0 if data == "raw_digits" else -np.log(1 - p))
    expected = terms.sum(axis=1).mean()
    assert clf.loss_ == pytest.approx(expected, rel=1e-12)
    assert clf.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-12)
    if solver == "adam":
        assert clf.best_loss_ == clf.loss_curve_[0] == clf.loss_
        assert terms.max() == pytest.approx(-np.log(eps), rel=1e-12)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_partial_fit_in_pieces(solver):
    X, y = problem("digits")
    fitted = []
    for library in (neural_network, ours):
        estimator = library.MLPClassifier(20, solver=solver, random_state=0, batch_size=16)
        for start in range(0, 600, 60):
            estimator.partial_fit(X[start : start + 60], y[start : start + 60], classes=np.arange(10))
        fitted.append(estimator)
    np.testing.assert_allclose(fitted[1].loss_curve_, fitted[0].loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(fitted[1].predict_proba(X), fitted[0].predict_proba(X), rtol=1e-7, atol=1e-12)


def history(library, parameters, calls, X, y, weight):
    """Fit a classifier by these calls; return what it has counted, and its parameters."""
    clf = library.MLPClassifier(**parameters)
    for call in calls:
        first = {"classes": np.unique(y)} if call == "partial_fit" and not hasattr(clf, "classes_") else {}
        getattr(clf, call)(X, y, **first, **({} if weight is None else {"sample_weight": weight}))
    scores = [] if clf.validation_scores_ is None else [*clf.validation_scores_, clf.best_validation_score_]
    return [
        [clf.n_iter_, clf._no_improvement_count],
        scores,
        clf.loss_curve_,
        np.concatenate([np.ravel(array) for array in (*clf.coefs_, *clf.intercepts_)]),
        clf.predict(X),
    ]


def assert_same_history(parameters, calls, X, y, weight=None):
    with np.errstate(all="ignore"):  # some diverge, and scikit-learn's then warns
        found, expected = (history(library, parameters, calls, X, y, weight) for library in (ours, neural_network))
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-9, err_msg=f"{calls} {parameters}")


unfinished = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@unfinished
@pytest.mark.parametrize("calls", [["fit"], ["fit", "fit"]], ids=["fit", "fit twice"])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_one_class_and_early_stopping(activation, solver, calls):
    X, y = np.random.default_rng(0).normal(size=(64, 7)), np.zeros(64, int)
    common = {"hidden_layer_sizes": 6, "solver": solver, "activation": activation, "early_stopping": True}
    for seed in range(3):
        assert_same_history(common | {"random_state": seed, "max_iter": 30, "n_iter_no_change": 3}, calls, X, y)


@unfinished
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_one_class_in_pieces_and_going_on(solver):
    X, y = np.random.default_rng(0).normal(size=(64, 7)), np.full(64, 3)
    common = {"hidden_layer_sizes": 6, "solver": solver, "activation": "logistic", "random_state": 0, "max_iter": 5}
    assert_same_history(common, ["partial_fit", "partial_fit"], X, y)
    assert_same_history(common | {"warm_start": True}, ["fit", "fit", "partial_fit"], X, y)


@unfinished
@pytest.mark.parametrize("seed", range(8))
def test_early_stopping_at_random(seed):
    """Few rows of one, two or three classes, or of several labels, through all that decides when training stops."""
    rng = np.random.default_rng(seed)
    for _ in range(30):
        n, classes = int(rng.integers(12, 70)), int(rng.integers(1, 4))
        X, y = rng.normal(size=(n, rng.integers(1, 6))), rng.integers(0, classes, n)
        y[: 3 * classes] = [*range(classes)] * 3
        if rng.random() < 0.15:
            y = rng.integers(0, 2, (n, rng.integers(2, 4)))
        parameters = {
            "hidden_layer_sizes": tuple(rng.integers(1, 8, rng.integers(0, 3))),
            "activation": str(rng.choice(["identity", "logistic", "tanh", "relu"])),
            "solver": str(rng.choice(["sgd", "adam"])),
            "learning_rate": str(rng.choice(["constant", "adaptive", "invscaling"])),
            "learning_rate_init": float(rng.choice([1e-3, 0.1])),
            "early_stopping": True,
            "validation_fraction": float(rng.choice([0.2, 0.5])),
            "max_iter": int(rng.integers(1, 25)),
            "n_iter_no_change": int(rng.integers(1, 6)),
            "tol": float(rng.choice([0, 1e-4, 1e-2])),
            "batch_size": int(rng.choice([2, 5])),
            "random_state": int(rng.integers(1000)),
        }
        assert_same_history(parameters, ["fit"], X, y, rng.random(n) if HAS_WEIGHTS and rng.random() < 0.3 else None)


@unfinished
@pytest.mark.parametrize("classes", [1, 2, 3])
def test_scores_after_a_loss_that_is_not_finite(classes):
    X, y = np.random.default_rng(0).normal(size=(60, 4)), np.arange(60) % classes
    X[:, 0] += y
    parameters = {"solver": "sgd", "activation": "identity", "learning_rate_init": 1e90, "early_stopping": True}
    parameters |= {"max_iter": 15, "hidden_layer_sizes": 7, "validation_fraction": 0.3, "n_iter_no_change": 20}
    compared = 0
    for seed in range(10):
        last = []
        for library in (ours, neural_network):
            with np.errstate(all="ignore"), contextlib.suppress(ValueError):  # where the lost parameters are the best
                clf = library.MLPClassifier(**parameters, random_state=seed).fit(X, y)
                if not np.isfinite(clf.loss_curve_[-1]):
                    last.append(clf.validation_scores_[-1])
        if len(last) == 2:
            assert last[0] == pytest.approx(last[1])
            compared += 1
    assert compared


def test_default_parameters_are_the_same():
    for name in ("MLPClassifier", "MLPRegressor"):
        theirs = inspect.signature(getattr(neural_network, name)).parameters
        mine = inspect.signature(getattr(ours, name)).parameters
        assert {key: mine[key].default for key in theirs} == {key: value.default for key, value in theirs.items()}
        if HAS_POISSON:
            assert [key for key in mine if mine[key].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD] == [
                key for key in theirs if theirs[key].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
            ]


@pytest.mark.parametrize(
    ("parameters", "y"),
    [
        ({"alpha": -1}, [0, 1] * 10),
        ({"solver": "rmsprop"}, [0, 1] * 10),
        ({"hidden_layer_sizes": (5, -1)}, [0, 1] * 10),
        ({"batch_size": 0}, [0, 1] * 10),
        ({"max_iter": 1.5}, [0, 1] * 10),
        ({"early_stopping": True, "validation_fraction": 0.05}, [0, 1] * 10),
        ({}, [0.5, 1.5] * 10),
        ({}, np.zeros((20, 2, 2))),
    ],
)
def test_same_errors(parameters, y):
    X, messages = np.random.default_rng(0).random((20, 3)), []
    for library in (neural_network, ours):
        with pytest.raises(ValueError) as error, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            library.MLPClassifier(**parameters).fit(X, y)
        messages.append(
            (type(error.value), sorted(re.findall(r"[^\s,{}]+", str(error.value))))
        )  # options are in a set's order
    assert messages[0] == messages[1]


def test_same_warnings():
    X, y = np.random.default_rng(0).random((20, 3)), [0, 1] * 10
    told = []
    for library in (neural_network, ours):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            library.MLPClassifier(batch_size=50, max_iter=2).fit(X, y)
        told.append([(warning.category, str(warning.message)) for warning in caught])
        if library is ours:
            assert {warning.filename for warning in caught} == {__file__}
    assert told[0] == told[1]
    assert len(told[0]) == 2


def test_same_words_when_verbose(capsys):
    X, y = problem("breast_cancer")
    printed = []
    for library in (neural_network, ours):
        parameters = {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.1, "n_iter_no_change": 1, "verbose": True}
        library.MLPClassifier(10, random_state=0, early_stopping=True, max_iter=60, **parameters).fit(X, y)
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert "Setting learning rate" in printed[0]
