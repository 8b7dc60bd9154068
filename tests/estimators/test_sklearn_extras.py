"""What fastmlp adds to scikit-learn's estimators: activations, optimizers, limits, callbacks, what solvers report."""

import gc
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

pytest.importorskip("sklearn")

import scipy.sparse
import sklearn
from estimators import coefficients
from sklearn import neural_network
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

import fastmlp
from fastmlp.sklearn import MLPClassifier, MLPRegressor, solvers
from fastmlp.sklearn.initial import initial_parameters
from fastmlp.sklearn.task import Progress

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:scipy.optimize:DeprecationWarning",  # an old scikit-learn with a new SciPy
)


HAS_CALLBACKS = hasattr(MLPClassifier, "set_callbacks")


# ---- what fastmlp adds ----------------------------------------------------------------------------------------------


def test_activations_of_fastmlp_and_one_per_layer(digits):
    X, y = digits
    for activation in ("leaky_relu", "elu", "softplus", "gelu", "swish", fastmlp.LeakyReLU(0.2), "sigmoid"):
        clf = MLPClassifier(20, activation=activation, learning_rate_init=0.01, random_state=0, max_iter=60)
        assert clf.fit(X, y).score(X, y) > 0.95
    clf = MLPClassifier(
        (20, 10), activation=["tanh", fastmlp.ELU()], random_state=0, learning_rate_init=0.01, max_iter=60
    )
    assert clf.fit(X, y).score(X, y) > 0.95
    same = clone(clf).fit(X, y)
    assert coefficients(same).tobytes() == coefficients(clf).tobytes()
    with pytest.raises(ValueError, match="one per hidden layer"):
        MLPClassifier((20, 10), activation=["tanh"]).fit(X, y)
    uniform = MLPClassifier((20, 10), activation=("relu", "relu"), random_state=0, max_iter=3).fit(X, y)
    plain = MLPClassifier((20, 10), random_state=0, max_iter=3).fit(X, y)
    assert coefficients(uniform).tobytes() == coefficients(plain).tobytes()


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
    assert coefficients(clf).tobytes() == coefficients(by_row).tobytes()
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
    assert coefficients(plain).tobytes() == coefficients(clf).tobytes()  # looking on changes nothing
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
    assert coefficients(one).tobytes() == coefficients(three).tobytes()


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
    assert np.isfinite(coefficients(saved)).all()
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
        assert coefficients(plain).tobytes() == coefficients(clf).tobytes()
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
