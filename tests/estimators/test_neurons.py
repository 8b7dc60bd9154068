"""The single neurons: the perceptron rule and the delta rule, row after row."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.exceptions import ConvergenceWarning

from fastmlp.sklearn import AdalineClassifier, AdalineRegressor, PerceptronClassifier

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:scipy.optimize:DeprecationWarning",  # an old scikit-learn with a new SciPy
)


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
    auto = AdalineRegressor(max_iter=5, random_state=0).fit(X, y)
    assert auto.learning_rate_ == pytest.approx(1 / np.square(design).sum(axis=1).max())  # no update overshoots its row
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
