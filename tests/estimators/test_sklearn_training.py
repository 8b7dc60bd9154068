"""How the estimators train where fastmlp's own parameters say so: as `fastmlp.MLP` does on the same orders of rows."""

import dataclasses
import itertools
import math
import pickle
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("sklearn")

import scipy.sparse
from estimators import coefficients
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV

import fastmlp
from fastmlp.sklearn import MLPClassifier, MLPRegressor, to_sklearn
from fastmlp.sklearn.initial import initial_parameters
from fastmlp.spec import LOSSES, OPTIMIZER_NAMES, SGD, as_loss

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

EPOCHS, ROWS, BATCH, SIZES = 2, 90, 20, [64, 12, 9, 10]

#: What an estimator is given, and what of it the network is.
OF_THE_NETWORK = {
    "dropout": {"dropout": [0.3, 0.1], "input_dropout": 0.2},
    "noise": {"input_noise": 0.5},
    "l1": {"l1": 0.01, "max_norm": [0.5, None, 1.0]},
    "smooth": {"loss": fastmlp.CrossEntropy(label_smoothing=0.1)},
    "focal": {"loss": "focal"},
}
OF_THE_TRAINING = {
    "clip_norm": {"clip_norm": 0.1},
    "clip_value": {"clip_value": 0.01},
    "lr_factors": {"lr_factors": {"bias": 2.0, "layers.0": 0.5}},
    "mixup": {"mixup": 0.4},
}


def the_same_by_mlp(X, y, rng, seed, network, training, optimizer):
    """Train an MLP as the classifier is, on its orders of rows; `seed` is asked for when the weights are drawn."""
    start = initial_parameters(rng, "relu", SIZES, "float64")
    net = fastmlp.MLP(SIZES, output="softmax", dtype="float64", seed=seed(rng), **network)
    net.weights, net.biases = start
    order = np.arange(len(X))
    for _ in range(EPOCHS):
        chosen = np.arange(len(X))
        rng.shuffle(chosen)
        order = order[chosen]
        net.fit(X[order], y[order], epochs=1, batch_size=BATCH, optimizer=optimizer, shuffle=False, **training)
    return net


@pytest.mark.parametrize(
    ("network", "training", "optimizer"),
    [
        *(pytest.param(given, {}, fastmlp.Adam(0.01), id=name) for name, given in OF_THE_NETWORK.items()),
        *(pytest.param({}, given, fastmlp.SGD(0.1), id=name) for name, given in OF_THE_TRAINING.items()),
        *(pytest.param({}, {}, name, id=name) for name in OPTIMIZER_NAMES),
        pytest.param({}, {"ema": 0.9}, fastmlp.Adam(0.01), id="ema"),
    ],
)
def test_an_estimator_trains_as_the_network_does(digits, network, training, optimizer):
    X, y = (part[:ROWS] for part in digits)
    clf = MLPClassifier(
        (12, 9),
        optimizer=optimizer,
        alpha=0.0,
        batch_size=BATCH,
        max_iter=EPOCHS,
        random_state=3,
        **network,
        **training,
    ).fit(X, y)
    noisy = "input_noise" in network or "dropout" in network or "mixup" in training
    net = the_same_by_mlp(
        X,
        y,
        np.random.RandomState(3),
        lambda rng: int(rng.randint(2**31 - 1)) if noisy else 0,
        network,
        training,
        optimizer,
    )
    net = net.averaged() if "ema" in training else net
    for ours, theirs in zip([*clf.coefs_, *clf.intercepts_], [*net.weights, *net.biases], strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_a_factor_of_the_rate_is_as_another_rate(digits, solver):
    X, y = (part[:ROWS] for part in digits)
    half = MLPClassifier(8, solver=solver, learning_rate_init=0.02, lr_factors={"weight": 0.5, "bias": 0.5})
    plain = MLPClassifier(8, solver=solver, learning_rate_init=0.01)
    kept = MLPClassifier(8, solver=solver, lr_factors={"layers.0": 0.0})
    for est in (half, plain, kept):
        est.set_params(random_state=0, max_iter=4).fit(X, y)
    np.testing.assert_allclose(coefficients(half), coefficients(plain), rtol=1e-12)
    start = initial_parameters(np.random.RandomState(0), "relu", [64, 8, 10], "float64")
    assert kept.coefs_[0].tobytes() == start[0][0].tobytes()
    assert kept.coefs_[1].tobytes() != start[0][1].tobytes()


@pytest.mark.parametrize("optimizer", [None, "nadam"])
def test_a_pickle_goes_on_to_the_same_bits(digits, optimizer):
    X, y = (part[:ROWS] for part in digits)
    given = {"dropout": 0.5, "input_noise": 0.1, "mixup": 0.3, "lr_factors": {"bias": 2.0}, "clip_norm": 1.0}
    given["random_state"] = 0
    clf = MLPClassifier(8, optimizer=optimizer, **given).partial_fit(X, y, classes=range(10))
    same = pickle.loads(pickle.dumps(clf)).partial_fit(X, y)
    clf.partial_fit(X, y)
    assert coefficients(same).tobytes() == coefficients(clf).tobytes()
    other = clone(clf).set_params(random_state=1).fit(X, y)
    assert other._noise_seed != clf._noise_seed


def test_changing_what_only_training_depends_on_takes_hold(digits):
    X, y = (part[:ROWS] for part in digits)
    plain, changed = (MLPClassifier(8, random_state=0).partial_fit(X, y, classes=range(10)) for _ in range(2))
    changed.set_params(dropout=0.5).partial_fit(X, y)
    plain.partial_fit(X, y)
    assert coefficients(plain).tobytes() != coefficients(changed).tobytes()
    assert changed.predict(X).shape == y.shape


def test_a_search_over_them(digits):
    X, y = (part[:ROWS] for part in digits)
    grid = {
        "dropout": [0.0, [0.2]],
        "loss": ["log_loss", fastmlp.Focal(2.0)],
        "optimizer": [None, fastmlp.AdamW(0.01)],
        "metrics": [["accuracy"]],
    }
    found = GridSearchCV(MLPClassifier(8, random_state=0, max_iter=2), grid, cv=2, error_score="raise").fit(X, y)
    assert len(found.cv_results_["params"]) == 8
    assert set(found.best_params_) == set(grid)
    assert "dropout=" in repr(clone(MLPClassifier(dropout=[0.2])))


# ---- losses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [name for name, kind in LOSSES.items() if kind.metric in ("r2", "d2") and kind().heads == 1]
)
def test_losses_of_the_regressor(name):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    y = np.exp(0.3 * X[:, 0]) + 0.1
    est = MLPRegressor(name, 16, random_state=0, max_iter=60, learning_rate_init=0.02, batch_size=20).fit(X, y)
    assert est.loss_curve_[-1] < est.loss_curve_[0]
    spec = est._shared.spec
    assert spec.loss == as_loss(name)
    assert est.out_activation_ == (as_loss(name).output or "identity")
    if as_loss(name).targets.low == 0:
        with pytest.raises(ValueError, match=f"out of the valid range of the loss '{name}'"):
            est.fit(X, -y)


@pytest.mark.parametrize(
    ("loss", "kind"),
    [
        ("binary_cross_entropy", "multiclass"),
        ("cross_entropy", "binary"),
        ("focal", "multilabel"),
        ("hinge", "binary"),
        ("multi_hinge", "binary"),
        ("poisson", "multiclass"),
    ],
)
def test_losses_that_do_not_go_with_the_targets_are_refused(digits, loss, kind):
    X, y = (part[:ROWS] for part in digits)
    y = {"multiclass": y, "binary": y > 4, "multilabel": np.eye(10, dtype=int)[y]}[kind]
    with pytest.raises(ValueError, match=f"loss='{loss}' cannot be that of a network whose output is"):
        MLPClassifier(4, loss=loss).fit(X, y)


@pytest.mark.parametrize(
    "wrong", [{"metrics": ["zork"]}, {"dropout": [0.1, 0.2]}, {"l1": [0.1]}, {"loss": "binary_cross_entropy"}], ids=str
)
def test_a_fit_that_is_refused_loses_no_network(digits, wrong):
    X, y = (part[:ROWS] for part in digits)
    clf = MLPClassifier(4, metrics=["accuracy"], random_state=0, max_iter=3).fit(X, y)
    attributes = ("n_iter_", "t_", "loss_curve_", "metric_curves_", "out_activation_")
    before = pickle.dumps([coefficients(clf), *(getattr(clf, name) for name in attributes)])
    with pytest.raises(ValueError, match=next(iter(wrong))):
        clf.set_params(**wrong).fit(X, y)
    assert pickle.dumps([coefficients(clf), *(getattr(clf, name) for name in attributes)]) == before


@pytest.mark.parametrize("n_targets", [1, 3])
def test_a_loss_of_several_outputs_for_each_target_is_refused(n_targets):
    X = np.random.default_rng(0).normal(size=(30, 4))
    est = MLPRegressor(fastmlp.Quantile([0.1, 0.5, 0.9]), 4)
    with pytest.raises(ValueError, match=r"loss=Quantile\(.* has 3 outputs for each target"):
        est.fit(X, X[:, :n_targets].squeeze())
    assert not hasattr(est, "coefs_")
    with pytest.raises(ValueError, match="has 3 outputs for each target"):
        MLPClassifier(4, loss=est.loss).fit(X, np.arange(30) % 3)


def test_losses_of_two_classes_and_of_labels(cancer):
    X, y = cancer
    heavy = fastmlp.BinaryCrossEntropy(pos_weight=20.0)
    plain, tilted = (MLPClassifier(8, loss=loss, random_state=0, max_iter=20).fit(X, y) for loss in ("log_loss", heavy))
    assert tilted.predict(X).sum() > plain.predict(X).sum()
    labels = np.column_stack([y, 1 - y])
    many = MLPClassifier(8, loss="binary_focal", learning_rate_init=0.01, random_state=0, max_iter=60).fit(X, labels)
    assert many.score(X, labels) > 0.9


def test_a_loss_of_ones_own():
    def squared(outputs, targets):
        return 0.5 * np.square(outputs - targets).sum(axis=1), outputs - targets

    X = np.random.default_rng(0).normal(size=(60, 3))
    mine, usual = (
        MLPRegressor(loss, 5, random_state=0, max_iter=3).fit(X, X[:, 0])
        for loss in (fastmlp.CustomLoss(squared), "squared_error")
    )
    np.testing.assert_allclose(coefficients(mine), coefficients(usual), rtol=1e-12)


def test_the_time_may_be_over_in_the_middle_of_an_epoch(digits, monkeypatch):
    X, y = digits
    clock = itertools.count(0.0, 1.0)  # a second goes by from each look at it to the next
    monkeypatch.setattr("fastmlp.sklearn.observers.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    clf = MLPClassifier(8, batch_size=1, max_seconds=1.5, max_iter=50, random_state=0)
    with pytest.warns(ConvergenceWarning, match="max_seconds"):
        clf.fit(X, y)
    assert clf.n_iter_ == 0
    assert math.isnan(clf.loss_)
    assert clf.score(X, y) >= 0.0
    start = initial_parameters(np.random.RandomState(0), "relu", [64, 8, 10], "float64")
    assert clf.coefs_[0].tobytes() != start[0][0].tobytes()


# ---- looking on -----------------------------------------------------------------------------------------------------


def test_metrics_are_measured_on_rows_held_out_or_else_on_those_of_training(cancer):
    X, y = cancer
    metrics = ["auc", "accuracy"]
    clf = MLPClassifier(8, metrics=metrics, random_state=0, max_iter=5).fit(
        X[:400], y[:400], validation_data=(X[400:], y[400:])
    )
    plain = MLPClassifier(8, random_state=0, max_iter=5).fit(X[:400], y[:400])
    assert coefficients(plain).tobytes() == coefficients(clf).tobytes()
    assert clf.metric_curves_["val_loss"] == clf.validation_loss_curve_
    assert len(clf.metric_curves_["val_auc"]) == 5
    assert clf.metric_curves_["val_auc"][-1] == pytest.approx(roc_auc_score(y[400:], clf.predict_proba(X[400:])[:, 1]))
    assert clf.metric_curves_["val_accuracy"][-1] == clf.score(X[400:], y[400:])
    inside = clone(clf).fit(X[:400], y[:400])
    assert inside.metric_curves_["accuracy"][-1] == inside.score(X[:400], y[:400])
    stopped = clone(clf).set_params(early_stopping=True).fit(X, y)
    assert stopped.metric_curves_["val_accuracy"] == stopped.validation_scores_
    by_lbfgs = MLPClassifier(8, solver="lbfgs", metrics=["accuracy"], random_state=0, max_iter=5).fit(X, y)
    assert by_lbfgs.metric_curves_["accuracy"][-1] == by_lbfgs.score(X, y)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks_see_a_network_and_can_stop(cancer, solver):
    X, y = cancer
    seen = []

    def look(net, logs):
        seen.append((logs["epoch"], net.evaluate(X, y)["accuracy"], net.weights[0].tobytes()))
        return logs["epoch"] == 3

    clf = MLPClassifier(8, solver=solver, callbacks=[look], random_state=0, max_iter=50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a training that a callback has ended does not lack convergence
        clf.fit(X, y)
    assert [epoch for epoch, _, _ in seen] == [1, 2, 3] == list(range(1, clf.n_iter_ + 1))
    assert seen[-1][1:] == (clf.score(X, y), clf.coefs_[0].tobytes())


def test_early_stopping_of_fastmlp_restores_the_best(cancer):
    X, y = cancer
    stop = fastmlp.EarlyStopping("val_loss", patience=2)
    clf = MLPClassifier(30, callbacks=[stop], learning_rate_init=0.05, random_state=0, max_iter=100)
    clf.fit(X[:300], y[:300], validation_data=(X[300:], y[300:]))
    assert clf.n_iter_ == stop.stopped_epoch < 100
    p = clf.predict_proba(X[300:])[np.arange(len(y) - 300), y[300:]]
    assert -np.log(p).mean() == pytest.approx(min(clf.validation_loss_curve_), rel=1e-6)


def test_a_callback_sets_the_rate_of_an_optimizer_and_not_of_a_solver(digits):
    X, y = (part[:ROWS] for part in digits)

    def slower(net, logs):
        net.optimizer = dataclasses.replace(net.optimizer or SGD(), learning_rate=1e-9)

    clf = MLPClassifier(8, optimizer=SGD(0.5), callbacks=[slower], random_state=0, max_iter=3).fit(X, y)
    one = MLPClassifier(8, optimizer=SGD(0.5), random_state=0, max_iter=1).fit(X, y)
    np.testing.assert_allclose(coefficients(clf), coefficients(one), atol=1e-6)
    with pytest.raises(ValueError, match=r"optimizer=fastmlp\.Adam"):
        clf.set_params(optimizer=None).fit(X, y)


def test_the_average_is_what_early_stopping_keeps(digits):
    X, y = digits
    clf = MLPClassifier(10, ema=0.9, early_stopping=True, random_state=0, max_iter=8, metrics=["accuracy"])
    clf.fit(X, y, validation_data=(X, y))
    assert clf.score(X, y) == clf.best_validation_score_ == max(clf.metric_curves_["val_accuracy"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dropout": 1.0}, "'dropout' parameter"),
        ({"dropout": [0.1, 0.1]}, "dropout must be one for all or one per hidden layer"),
        ({"dropout": [2.0]}, "dropout must be"),
        ({"l1": -1.0}, "'l1' parameter"),
        ({"clip_norm": 1.0, "clip_value": 1.0}, "clip_norm and clip_value"),
        ({"lr_factors": {"layer": 1.0}}, "lr_factors"),
        ({"lr_factors": {"bias": 2.0}, "optimizer": "rprop"}, "lr_factors"),
        ({"solver": "lbfgs", "dropout": [0.5]}, "dropout is for steps"),
        ({"solver": "lbfgs", "ema": 0.5}, "ema is for steps"),
        ({"solver": "lbfgs", "mixup": 0.5}, "mixup is for steps"),
        ({"loss": "multi_hinge", "mixup": 0.5}, "mixup must be 0 with loss='multi_hinge'"),
        ({"ema": 0.9, "optimizer": "schedule_free_adamw"}, "ema is not for ScheduleFreeAdamW"),
        ({"max_norm": 1.0, "optimizer": "schedule_free_adamw"}, "max_norm is not for ScheduleFreeAdamW"),
        ({"optimizer": "adan"}, "'optimizer' parameter"),
        ({"loss": "cross"}, "'loss' parameter"),
        ({"metrics": ["acuracy"]}, "metrics"),
        ({"callbacks": [3]}, "callbacks"),
    ],
)
def test_errors_name_the_parameter(digits, given, message):
    X, y = (part[:ROWS] for part in digits)
    clf = MLPClassifier(8, **given)
    with pytest.raises((TypeError, ValueError), match=message):
        clf.fit(X, y)


def test_partial_fit_has_no_average(digits):
    X, y = (part[:ROWS] for part in digits)
    with pytest.raises(ValueError, match="partial_fit does not support ema"):
        MLPClassifier(8, ema=0.9).partial_fit(X, y, classes=range(10))
    assert not math.isnan(MLPClassifier(8, ema=0.9, max_iter=1).fit(X, y).loss_)


def test_residual_layers_predict_alike_from_dense_and_sparse_rows(digits):
    X, y = (part[:ROWS] for part in digits)
    clf = MLPClassifier((9, 9), residual=True, random_state=0, max_iter=3).fit(X, y)
    net = fastmlp.MLP([64, 9, 9, 10], residual=True, output="softmax", dtype="float64")
    net.weights, net.biases = clf.coefs_, clf.intercepts_
    assert clf.predict_proba(X).tobytes() == net.predict(X).tobytes()
    few = np.where(np.random.default_rng(0).random(X.shape) < 0.02, X, 0.0)
    assert clf.predict_proba(scipy.sparse.csr_matrix(few)).tobytes() == net.predict(few).tobytes()
    changed = clf.set_params(residual=False).predict_proba(X)
    assert changed.tobytes() != net.predict(X).tobytes()
    with pytest.raises(ValueError, match="no residual"):
        to_sklearn(clf.set_params(residual=True))


def test_scikit_learn_has_no_such_loss(digits):
    X, y = (part[:ROWS] for part in digits)
    clf = MLPClassifier(8, loss=fastmlp.Focal(), max_iter=1).fit(X, y)
    with pytest.raises(ValueError, match="has no loss"):
        to_sklearn(clf)
