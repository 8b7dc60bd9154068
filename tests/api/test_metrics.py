"""Metrics against scikit-learn's, and by name in `fit`, `evaluate` and `EarlyStopping`."""

import copy
import math
import pickle

import numpy as np
import pytest
from conftest import parameters
from small_networks import classifier

import fastmlp
from fastmlp import metrics
from fastmlp.metrics import D2, F1, METRIC_ALIASES, METRICS, Metric, Pinball, TopKAccuracy, as_metric
from fastmlp.spec import LOSS_NAMES, LOSSES

theirs = pytest.importorskip("sklearn.metrics")

N = 211
RNG = np.random.default_rng(3)
WEIGHTS = {"no weight": None, "weight": RNG.integers(0, 4, N) * RNG.random(N)}

each_weight = pytest.mark.parametrize("w", WEIGHTS.values(), ids=WEIGHTS)


def close(ours, expected):
    assert isinstance(ours, float)
    assert ours == pytest.approx(expected, rel=1e-12, abs=1e-13)


# ---- classes --------------------------------------------------------------------------------------------------------


def softmax(rows):
    e = np.exp(rows - rows.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


CLASSES = RNG.integers(0, 4, N)
PROBABILITIES = softmax(RNG.normal(size=(N, 4)) + 1.5 * np.eye(4)[CLASSES])
SAID = PROBABILITIES.argmax(axis=1)
YES = RNG.integers(0, 2, N)
CHANCES = np.round(np.clip(0.5 + 0.3 * (YES - 0.5) + 0.25 * RNG.normal(size=N), 0.01, 0.99), 2)  # many of them equal
LABELS = RNG.integers(0, 2, (N, 3))
MARKS = np.round(np.clip(0.5 + 0.3 * (LABELS - 0.5) + 0.25 * RNG.normal(size=(N, 3)), 0.01, 0.99), 2)

OF_CLASSES = {
    "accuracy": lambda w: theirs.accuracy_score(CLASSES, SAID, sample_weight=w),
    "balanced_accuracy": lambda w: theirs.balanced_accuracy_score(CLASSES, SAID, sample_weight=w),
    "zero_one": lambda w: theirs.zero_one_loss(CLASSES, SAID, sample_weight=w),
    "top_2_accuracy": lambda w: theirs.top_k_accuracy_score(CLASSES, PROBABILITIES, k=2, sample_weight=w),
    "top_3_accuracy": lambda w: theirs.top_k_accuracy_score(CLASSES, PROBABILITIES, k=3, sample_weight=w),
    "log_loss": lambda w: theirs.log_loss(CLASSES, PROBABILITIES, sample_weight=w),
    "precision": lambda w: theirs.precision_score(CLASSES, SAID, average="macro", sample_weight=w),
    "recall": lambda w: theirs.recall_score(CLASSES, SAID, average="macro", sample_weight=w),
    **{
        name: lambda w, a=average: theirs.f1_score(CLASSES, SAID, average=a, sample_weight=w)
        for name, average in (
            ("f1", "macro"),
            ("f1_macro", "macro"),
            ("f1_micro", "micro"),
            ("f1_weighted", "weighted"),
        )
    },
    "auc": lambda w: theirs.roc_auc_score(CLASSES, PROBABILITIES, multi_class="ovr", sample_weight=w),
    "average_precision": lambda w: theirs.average_precision_score(CLASSES, PROBABILITIES, sample_weight=w),
}

OF_ONE_ANSWER = {
    "accuracy": lambda w: theirs.accuracy_score(YES, CHANCES >= 0.5, sample_weight=w),
    "balanced_accuracy": lambda w: theirs.balanced_accuracy_score(YES, CHANCES >= 0.5, sample_weight=w),
    "zero_one": lambda w: theirs.zero_one_loss(YES, CHANCES >= 0.5, sample_weight=w),
    "log_loss": lambda w: theirs.log_loss(YES, CHANCES, sample_weight=w),
    "precision": lambda w: theirs.precision_score(YES, CHANCES >= 0.5, sample_weight=w),
    "recall": lambda w: theirs.recall_score(YES, CHANCES >= 0.5, sample_weight=w),
    "f1": lambda w: theirs.f1_score(YES, CHANCES >= 0.5, sample_weight=w),
    "f1_macro": lambda w: theirs.f1_score(YES, CHANCES >= 0.5, average="macro", sample_weight=w),
    "auc": lambda w: theirs.roc_auc_score(YES, CHANCES, sample_weight=w),
    "average_precision": lambda w: theirs.average_precision_score(YES, CHANCES, sample_weight=w),
    "mae": lambda w: theirs.mean_absolute_error(YES, CHANCES, sample_weight=w),
}

OF_LABELS = {
    "accuracy": lambda w: np.average(((MARKS >= 0.5) == LABELS).mean(axis=1), weights=w),
    "balanced_accuracy": lambda w: np.mean(
        [theirs.balanced_accuracy_score(LABELS[:, k], MARKS[:, k] >= 0.5, sample_weight=w) for k in range(3)]
    ),
    "zero_one": lambda w: theirs.zero_one_loss(LABELS, MARKS >= 0.5, sample_weight=w),
    "log_loss": lambda w: np.mean([theirs.log_loss(LABELS[:, k], MARKS[:, k], sample_weight=w) for k in range(3)]),
    "precision_micro": lambda w: theirs.precision_score(LABELS, MARKS >= 0.5, average="micro", sample_weight=w),
    "recall_weighted": lambda w: theirs.recall_score(LABELS, MARKS >= 0.5, average="weighted", sample_weight=w),
    "f1": lambda w: theirs.f1_score(LABELS, MARKS >= 0.5, average="macro", sample_weight=w),
    "auc": lambda w: theirs.roc_auc_score(LABELS, MARKS, sample_weight=w),
    "average_precision": lambda w: theirs.average_precision_score(LABELS, MARKS, sample_weight=w),
}


@each_weight
@pytest.mark.parametrize("name", OF_CLASSES)
def test_metrics_of_classes_are_scikit_learns(name, w):
    close(as_metric(name)(CLASSES, PROBABILITIES, w), OF_CLASSES[name](w))
    close(as_metric(name)(np.eye(4)[CLASSES], PROBABILITIES, w), OF_CLASSES[name](w))


@each_weight
@pytest.mark.parametrize("name", OF_ONE_ANSWER)
def test_metrics_of_yes_and_no_are_scikit_learns(name, w):
    close(as_metric(name)(YES, CHANCES, w), OF_ONE_ANSWER[name](w))
    close(as_metric(name)(YES[:, np.newaxis], CHANCES[:, np.newaxis], w), OF_ONE_ANSWER[name](w))
    if name not in ("mae", "accuracy", "zero_one", "balanced_accuracy", "f1_macro"):  # two outputs: of class 1
        pair = np.stack([1 - CHANCES, CHANCES + 1e-9], axis=1)
        assert as_metric(name)(YES, pair, w) == pytest.approx(OF_ONE_ANSWER[name](w), abs=1e-6)


@each_weight
@pytest.mark.parametrize("name", OF_LABELS)
def test_metrics_of_several_answers_are_scikit_learns(name, w):
    close(as_metric(name)(LABELS, MARKS, w, multilabel=True), OF_LABELS[name](w))


def test_a_class_that_does_not_occur_counts_as_it_does_in_scikit_learn():
    y, rows = np.array([0, 0, 2, 2]), np.eye(4)[[0, 2, 2, 3]]
    for average in ("macro", "micro", "weighted"):
        close(F1(average)(y, rows), theirs.f1_score(y, rows.argmax(axis=1), average=average))
    close(metrics.balanced_accuracy(y, rows), 0.5)
    scores = softmax(RNG.normal(size=(4, 3)))
    expected = np.mean([theirs.roc_auc_score(y == k, scores[:, k]) for k in (0, 2)])
    close(metrics.auc(y, scores), expected)
    for metric in (metrics.auc, metrics.average_precision):
        assert math.isnan(metric([0, 0], [0.5, 0.25]))
    close(metrics.average_precision([1, 1], [0.5, 0.25]), 1.0)
    assert math.isnan(metrics.auc([1, 1], [0.5, 0.25]))


def test_predicted_classes_may_be_given_in_place_of_outputs():
    close(metrics.accuracy(CLASSES, SAID), theirs.accuracy_score(CLASSES, SAID))
    close(metrics.f1(CLASSES, SAID), theirs.f1_score(CLASSES, SAID, average="macro"))
    close(metrics.f1(YES, (CHANCES >= 0.5).astype(int)), theirs.f1_score(YES, CHANCES >= 0.5))
    close(metrics.recall([0, 1, 2], [0, 1, 1]), 2 / 3)


def test_of_equal_outputs_the_first_is_the_larger():
    rows = [[0.25, 0.25, 0.25, 0.25]] * 4
    assert metrics.accuracy([0, 1, 2, 3], rows) == TopKAccuracy(1)([0, 1, 2, 3], rows) == 0.25
    assert TopKAccuracy(2)([0, 1, 2, 3], rows) == 0.5
    assert TopKAccuracy(4)([0, 1, 2, 3], rows) == 1.0


def test_a_lost_network_has_no_good_metric():
    lost = np.full((4, 3), np.nan)
    assert TopKAccuracy(2)([0, 1, 2, 0], lost) == 0.0
    assert math.isnan(metrics.log_loss([0, 1, 2, 0], lost))
    assert math.isnan(metrics.auc([0, 1, 2, 0], lost))
    assert math.isnan(metrics.mae(np.zeros(4), lost[:, 0]))


# ---- quantities -----------------------------------------------------------------------------------------------------

TARGETS = {"one": np.exp(RNG.normal(size=N)), "three": np.exp(RNG.normal(size=(N, 3)))}
ESTIMATES = {name: y * np.exp(0.3 * RNG.normal(size=y.shape)) for name, y in TARGETS.items()}


def cosine_similarity(y, a, w):
    """One less than what scikit-learn calls the distance, of each row."""
    from sklearn.metrics.pairwise import paired_cosine_distances

    return np.average(1 - paired_cosine_distances(*(np.reshape(rows, (len(rows), -1)) for rows in (y, a))), weights=w)


OF_QUANTITIES = {
    "cosine_similarity": cosine_similarity,
    "mae": lambda y, a, w: theirs.mean_absolute_error(y, a, sample_weight=w),
    "mse": lambda y, a, w: theirs.mean_squared_error(y, a, sample_weight=w),
    "rmse": lambda y, a, w: theirs.root_mean_squared_error(y, a, sample_weight=w),
    "mape": lambda y, a, w: theirs.mean_absolute_percentage_error(y, a, sample_weight=w),
    "pinball": lambda y, a, w: theirs.mean_pinball_loss(y, a, sample_weight=w),
    "pinball_0.9": lambda y, a, w: theirs.mean_pinball_loss(y, a, sample_weight=w, alpha=0.9),
    "r2": lambda y, a, w: theirs.r2_score(y, a, sample_weight=w),
    "d2": lambda y, a, w: theirs.r2_score(y, a, sample_weight=w),
    "d2_absolute_error": lambda y, a, w: theirs.d2_absolute_error_score(y, a, sample_weight=w),
    "d2_pinball": lambda y, a, w: theirs.d2_pinball_score(y, a, sample_weight=w),
    "d2_pinball_0.9": lambda y, a, w: theirs.d2_pinball_score(y, a, sample_weight=w, alpha=0.9),
}


@each_weight
@pytest.mark.parametrize("width", TARGETS)
@pytest.mark.parametrize("name", OF_QUANTITIES)
def test_metrics_of_quantities_are_scikit_learns(name, width, w):
    y, a = TARGETS[width], ESTIMATES[width]
    close(as_metric(name)(y, a, w), OF_QUANTITIES[name](y, a, w))


@each_weight
@pytest.mark.parametrize(
    ("loss", "power"), [("poisson", 1), ("gamma", 2), (fastmlp.Tweedie(1.5), 1.5), ("squared_error", 0)]
)
def test_d2_of_a_loss_is_scikit_learns_of_a_power(loss, power, w):
    y, a = TARGETS["one"], ESTIMATES["one"]
    close(D2(loss)(y, a, w), theirs.d2_tweedie_score(y, a, power=power, sample_weight=w))


def test_what_explains_constant_targets():
    for metric in (metrics.r2, metrics.d2_absolute_error, D2("poisson")):
        assert (metric([2.0, 2.0], [2.0, 2.0]), metric([2.0, 2.0], [2.0, 3.0])) == (1.0, 0.0)


# ---- what there is --------------------------------------------------------------------------------------------------

FUNCTIONS = [name for name in metrics.__all__ if isinstance(getattr(metrics, name), Metric)]


def test_every_metric_is_compared_with_scikit_learn():
    compared = {*OF_CLASSES, *OF_ONE_ANSWER, *OF_LABELS, *OF_QUANTITIES}
    averages = {f"{kind}_{average}" for kind in ("precision", "recall") for average in ("macro", "micro", "weighted")}
    assert set(METRICS) - compared <= averages | {"top_5_accuracy"}  # which are F1's averages, and another k
    assert set(FUNCTIONS) <= compared


def test_a_metric_is_known_by_its_name_and_says_what_is_best():
    for name, metric in METRICS.items():
        assert metric.name == name
        assert as_metric(name) == metric
        assert metric.mode in ("max", "min")
        assert pickle.loads(pickle.dumps(metric)) == copy.deepcopy(metric) == metric
    assert {alias: as_metric(alias).name for alias in METRIC_ALIASES} == METRIC_ALIASES
    for metric in (TopKAccuracy(3), Pinball(0.25), metrics.D2Pinball(0.9)):
        assert as_metric(metric.name) == metric
    assert {name for name, metric in METRICS.items() if metric.mode == "min"} == {
        "zero_one", "log_loss", "mae", "mse", "rmse", "mape", "pinball",
    }  # fmt: skip


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_every_loss_has_its_metric(name):
    assert LOSSES[name].metric in METRICS


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("acuracy", ValueError, r"metrics\[0\] must be one of .*did you mean 'accuracy'\?"),
        ("top_0_accuracy", ValueError, r"metrics\[0\]: k must be >= 1, got 0"),
        ("pinball_1.5", ValueError, r"metrics\[0\]: q must be >= 0 and < 1"),
        ("pinball_1.5.2", ValueError, r"metrics\[0\]: could not convert"),
        (F1, TypeError, r"metrics\[0\] must be a name.*did you mean F1\(\)\?"),
        (3, TypeError, r"metrics\[0\] must be a name, a metric or a function"),
        (lambda y, a: 1.0, ValueError, r"metrics\[0\] must have a __name__.*use a def"),
        ("top_4_accuracy", ValueError, r"metrics\[0\]: k of top_4_accuracy must be from 1 to 3"),
        (F1("binary"), ValueError, r"metrics\[0\]: average of f1 must be 'macro'"),
        ("d2", ValueError, r"metrics\[0\]: d2 is a share of a deviance, and cross_entropy has none"),
    ],
    ids=lambda value: "a function without a name" if callable(value) and not isinstance(value, type) else str(value),
)
def test_a_wrong_metric_is_refused_before_training(backend, toy, given, error, message):
    net = classifier(backend)
    before = parameters(net)
    for use in (net.fit, net.evaluate):
        with pytest.raises(error, match=message):
            use(*toy, metrics=[given])
    assert (parameters(net), net.optimizer, net.n_epochs) == (before, None, 0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("accuracy", "metrics must be a list"),
        ({"accuracy"}, "metrics must be a list"),
    ],
)
def test_metrics_are_a_list(backend, toy, given, message):
    with pytest.raises(TypeError, match=message):
        classifier(backend).fit(*toy, metrics=given)


def test_names_of_metrics_are_their_own(backend, toy):
    def loss(y_true, y_pred):
        return 0.0

    def val_mine(y_true, y_pred):
        return 0.0

    net = classifier(backend)
    for own in (loss, val_mine):
        with pytest.raises(ValueError, match=rf"metrics\[1\] is called '{own.__name__}', which is the name of"):
            net.fit(*toy, metrics=["auc", own])
    with pytest.raises(ValueError, match=r"metrics\[2\] is the second one called 'auc'"):
        net.fit(*toy, metrics=["auc", "f1", "roc_auc"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [0.5]), "y_true has shape"),
        (([0, 1], np.zeros((2, 2, 2))), "y_pred has shape"),
        (([], []), "with at least one row"),
        (([0, 3], np.zeros((2, 3))), "y_true must hold the numbers of classes, integers from 0 to 2"),
        (([0.0, 1.5], np.zeros((2, 3))), "y_true must hold the numbers of classes"),
        (([0, 1], [0, -1]), "y_pred must hold the numbers of classes"),
        (([0, 1], [0.5, 0.5], [1.0, -1.0]), "sample_weight has -1.0"),
    ],
    ids=str,
)
def test_a_function_says_what_is_wrong_with_its_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        metrics.accuracy(*arguments)


def test_metrics_of_classes_want_classes():
    one = fastmlp.MLP([2, 1], seed=0)
    with pytest.raises(ValueError, match=r"metrics\[0\]: accuracy is a metric of classes; the loss squared_error"):
        one.evaluate([[0, 1]], [0.0], metrics=["accuracy"])
    two = fastmlp.MLP([2, 2], seed=0, loss="squared_error")
    assert two.evaluate(np.eye(2), two.predict(np.eye(2)), metrics=["accuracy"])["accuracy"] == 1.0
    with pytest.raises(ValueError, match=r"metrics\[0\]: log_loss is of probabilities"):
        two.evaluate([[0, 1]], [[0.0, 1.0]], metrics=["log_loss"])
    labels = fastmlp.MLP([2, 3], seed=0, loss="binary_cross_entropy")
    with pytest.raises(ValueError, match=r"top_2_accuracy is a metric of classes, one of several"):
        labels.evaluate([[0, 1]], [[0, 1, 1]], metrics=["top_2_accuracy"])


# ---- in training ----------------------------------------------------------------------------------------------------


def names_of(net):
    from fastmlp.metrics import Task

    def fits(metric):
        try:
            metric.check(Task.of(net._learner.spec))
        except ValueError:
            return False
        return True

    return [name for name, metric in METRICS.items() if fits(metric)]


NETWORKS = {
    "classes": (CLASSES, {"output": "softmax"}, 4),
    "distributions": (softmax(RNG.normal(size=(N, 4))), {"output": "softmax"}, 4),
    "answer": (YES, {"loss": "binary_cross_entropy"}, 1),
    "answers": (LABELS, {"loss": "binary_cross_entropy"}, 3),
    "counts": (np.round(TARGETS["one"]), {"loss": "poisson"}, 1),
    "numbers": (TARGETS["three"], {}, 3),
}


@each_weight
@pytest.mark.parametrize("kind", NETWORKS)
def test_evaluate_gives_what_the_functions_give(backend, kind, w, monkeypatch):
    y, arguments, width = NETWORKS[kind]
    net = fastmlp.MLP([3, width], seed=1, dtype="float64", backend=backend, **arguments)
    X = RNG.normal(size=(N, 3))
    net.fit(X, y, epochs=2)
    wanted = names_of(net)
    found = net.evaluate(X, y, w, metrics=wanted)
    assert list(found) == ["loss", *wanted]
    assert found["loss"] == net.evaluate(X, y, w)["loss"]
    targets = y if kind == "classes" or np.ndim(y) > 1 else y[:, np.newaxis]
    for name in wanted:
        metric = D2("poisson") if name == "d2" and kind == "counts" else as_metric(name)
        multilabel = {"multilabel": True} if kind == "answers" and metric.of_classes else {}
        numbers = np.eye(4)[y] if kind == "classes" and not metric.of_classes else targets
        close(found[name], metric(numbers, net.predict(X), w, **multilabel))
    monkeypatch.setattr("fastmlp.data.rows.CHUNK", 40)  # in chunks of a few rows the sums differ in the last bits
    assert net.evaluate(X, y, w, metrics=wanted) == pytest.approx(found, rel=1e-12)


def test_metrics_are_measured_on_validation_data_or_else_on_the_training_data(backend, toy):
    def share_of_zeros(y_true, y_pred):
        return float((y_true == 0).mean())

    wanted = ["f1", TopKAccuracy(2), share_of_zeros]
    names = ["f1", "top_2_accuracy", "share_of_zeros"]
    general = {"epoch", "loss", "seconds", "samples_per_second"}
    validation = {"val_loss", *(f"val_{name}" for name in names)}
    X, y = toy
    half = X[::2], y[::2]
    plain = classifier(backend)
    plain.fit(X, y, epochs=3)
    for arguments, expected in (
        ({"metrics": wanted}, {*general, *names}),
        ({"metrics": wanted, "validation_data": half}, {*general, *validation}),
        ({"metrics": wanted, "validation_data": half, "train_metrics": True}, {*general, *validation, *names}),
        ({"metrics": []}, general),
        ({"metrics": [], "validation_data": half, "train_metrics": True}, {*general, "val_loss"}),
    ):
        net, told = classifier(backend), []
        history = net.fit(X, y, epochs=3, callbacks=[lambda net, logs, told=told: told.append(logs)], **arguments)
        assert set(history) == set(told[-1]) == expected
        assert parameters(net) == parameters(plain)
        on_train, on_half = net.evaluate(X, y, metrics=wanted), net.evaluate(*half, metrics=wanted)
        for name in expected - general:
            assert history[name][-1] == (on_half[name[4:]] if name.startswith("val_") else on_train[name])
    assert "val_f1" in repr(history) or "val_loss" in repr(history)


def test_a_function_is_given_what_it_takes(backend):
    told = []

    def plain(y_true, y_pred):
        told.append((y_true, y_pred))
        return np.float32(0.5)

    def weighted(y_true, y_pred, sample_weight=None):
        told.append(sample_weight)
        return 1

    X = RNG.normal(size=(N, 3))
    for y, arguments, width in NETWORKS.values():
        net = fastmlp.MLP([3, width], seed=1, backend=backend, **arguments)
        told.clear()
        found = net.evaluate(X, y, WEIGHTS["weight"], metrics=[plain, weighted])
        assert (found["plain"], found["weighted"]) == (0.5, 1.0)
        (y_true, y_pred), w = told
        assert np.array_equal(y_true, y)
        np.testing.assert_allclose(y_pred, net.predict(X)[:, 0] if width == 1 else net.predict(X), rtol=1e-5)
        assert np.array_equal(w, WEIGHTS["weight"])
    net = fastmlp.MLP([3, 1], loss="binary_cross_entropy", seed=1, backend=backend)
    found = net.evaluate(X, YES, metrics=[theirs.roc_auc_score, "auc"])
    close(found["roc_auc_score"], found["auc"])


def test_a_function_that_returns_no_number_is_an_error_that_names_it(backend, toy):
    def words(y_true, y_pred):
        return "good"

    with pytest.raises(TypeError, match="the metric words must return a number, got 'good'"):
        classifier(backend).evaluate(*toy, metrics=[words])


def test_early_stopping_knows_the_direction_of_every_metric(backend, toy):
    X, y = toy
    for name in ("val_auc", "val_log_loss", "val_zero_one", "f1"):
        stop = fastmlp.EarlyStopping(name, patience=3)
        arguments = {"metrics": [name.removeprefix("val_")], "validation_data": toy, "train_metrics": True}
        history = classifier(backend).fit(X, y, epochs=20, callbacks=[stop], optimizer="adam", **arguments)
        best = min if as_metric(name.removeprefix("val_")).mode == "min" else max
        assert stop.best == best(history[name])


def test_early_stopping_asks_for_the_direction_of_a_function_that_does_not_tell_it(backend, toy):
    def worst(y_true, y_pred):
        return float(y_pred.max())

    def my_error(y_true, y_pred):
        return worst(y_true, y_pred)

    def my_score(y_true, y_pred):
        return worst(y_true, y_pred)

    def told(y_true, y_pred):
        return worst(y_true, y_pred)

    told.mode = "min"
    net = classifier(backend)
    before = parameters(net)
    with pytest.raises(ValueError, match="EarlyStopping's mode must be 'max' or 'min' for 'worst'"):
        net.fit(*toy, metrics=[worst], callbacks=[fastmlp.EarlyStopping("worst")])
    assert (parameters(net), net.n_epochs) == (before, 0)
    for function, mode, best in (
        (worst, "min", min), (worst, "max", max), (my_error, "auto", min), (my_score, "auto", max), (told, "auto", min),
        (my_score, "min", min),
    ):  # fmt: skip
        stop = fastmlp.EarlyStopping(function.__name__, patience=99, mode=mode)
        history = classifier(backend).fit(*toy, epochs=4, metrics=[function], callbacks=[stop])
        assert stop.best == best(history[function.__name__])
    with pytest.raises(ValueError, match="mode must be one of 'auto', 'max', 'min'"):
        fastmlp.EarlyStopping(mode="up")
    assert repr(fastmlp.EarlyStopping(mode="max")).endswith("mode='max')")


def test_callbacks_are_told_what_is_best(backend, toy):
    class Ears(fastmlp.Callback):
        def on_train_begin(self, net, logs):
            self.modes = logs["modes"]

    ears = Ears()
    classifier(backend).fit(*toy, epochs=1, metrics=["auc", "mae"], validation_data=toy, callbacks=[ears])
    assert ears.modes == {"loss": "min", "val_loss": "min", "val_auc": "max", "val_mae": "min"}
