"""`class_weight` of `fit`: repeated rows, scikit-learn's formula, errors that name what is wrong."""

import numpy as np
import pytest
from conftest import parameters

import fastmlp

RNG = np.random.default_rng(5)
N = 60
X = RNG.normal(size=(N, 4))
CLASSES = RNG.choice(3, N, p=[0.6, 0.3, 0.1])
YES = RNG.choice(2, N, p=[0.8, 0.2])

KINDS = {  # targets, and the classes that they mean
    "classes": (CLASSES, CLASSES, {"output": "softmax"}, 3),
    "one-hot": (np.eye(3)[CLASSES], CLASSES, {"output": "softmax"}, 3),
    "yes and no": (YES, YES, {"loss": "binary_cross_entropy"}, 1),
    "a column of yes and no": (YES[:, np.newaxis].astype(np.uint8), YES, {"loss": "binary_cross_entropy"}, 1),
}
each_kind = pytest.mark.parametrize(("y", "classes", "arguments", "width"), KINDS.values(), ids=KINDS)
WEIGHTS = {0: 1, 1: 3, 2: 2}


def trained(backend, X, y, arguments, width, **fitting):
    net = fastmlp.MLP([4, 6, width], activation="tanh", seed=2, dtype="float64", backend=backend, **arguments)
    net.fit(X, y, epochs=30, batch_size=len(X), shuffle=False, optimizer=fastmlp.SGD(0.2, momentum=0.9), **fitting)
    return net


def apart(first, second):
    return max(np.abs(a - b).max() for a, b in zip(first.weights + first.biases, second.weights + second.biases,
                                                   strict=True))  # fmt: skip


@each_kind
def test_an_integer_weight_of_a_class_is_its_rows_repeated(backend, y, classes, arguments, width):
    times = np.array([WEIGHTS[each] for each in classes])
    repeated = trained(backend, np.repeat(X, times, axis=0), np.repeat(y, times, axis=0), arguments, width)
    weights = {k: WEIGHTS[k] for k in set(classes.tolist())}
    weighted = trained(backend, X, y, arguments, width, class_weight=weights)
    assert apart(repeated, weighted) <= 1e-10
    np.testing.assert_allclose(repeated.history.loss, weighted.history.loss, rtol=1e-12)
    twice = trained(backend, X, y, arguments, width, class_weight=weights, sample_weight=times)
    by_hand = trained(backend, X, y, arguments, width, sample_weight=times * times)
    assert parameters(twice) == parameters(by_hand)


@each_kind
def test_balanced_weights_are_scikit_learns(backend, y, classes, arguments, width):
    sample = pytest.importorskip("sklearn.utils.class_weight").compute_sample_weight
    ours = trained(backend, X, y, arguments, width, class_weight="balanced")
    theirs = trained(backend, X, y, arguments, width, sample_weight=sample("balanced", classes))
    assert parameters(ours) == parameters(theirs)
    w = RNG.random(N)
    ours = trained(backend, X, y, arguments, width, class_weight="balanced", sample_weight=w)
    theirs = trained(backend, X, y, arguments, width, sample_weight=sample("balanced", classes) * w)
    assert parameters(ours) == parameters(theirs)


def test_classes_without_rows_do_not_count(backend):
    sample = pytest.importorskip("sklearn.utils.class_weight").compute_sample_weight
    few = np.where(CLASSES == 1, 0, CLASSES)
    ours = trained(backend, X, few, {"output": "softmax"}, 3, class_weight="balanced")
    theirs = trained(backend, X, few, {"output": "softmax"}, 3, sample_weight=sample("balanced", few))
    assert parameters(ours) == parameters(theirs)
    chosen = trained(backend, X, few, {"output": "softmax"}, 3, class_weight={0: 1.0, 2: 4.0})
    assert parameters(chosen) == parameters(
        trained(backend, X, few, {"output": "softmax"}, 3, sample_weight=np.where(few == 2, 4.0, 1.0))
    )


def test_metrics_and_validation_data_are_without(backend):
    y, arguments = CLASSES, {"output": "softmax"}
    net = trained(backend, X, y, arguments, 3, class_weight=WEIGHTS, validation_data=(X, y), train_metrics=True)
    found = net.evaluate(X, y)
    assert net.history.accuracy[-1] == net.history.val_accuracy[-1] == found["accuracy"]
    assert net.history.val_loss[-1] == found["loss"]


SOFT = np.full((N, 3), 1 / 3)
SOFT[:7] = np.eye(3)[0]


@pytest.mark.parametrize(
    ("kind", "y", "given", "error", "message"),
    [
        ("classes", CLASSES, "balance", ValueError, "class_weight must be 'balanced' or a mapping.*got 'balance'"),
        ("classes", CLASSES, [1.0, 2.0, 3.0], TypeError, "class_weight must be 'balanced' or a mapping"),
        ("classes", CLASSES, {0: 1, 1: 1, 2: 1, 3: 1}, ValueError, "class_weight has 3, which is no class.* 0 to 2"),
        ("classes", CLASSES, {"0": 1}, ValueError, "class_weight has '0', which is no class"),
        ("classes", CLASSES, {0: 1, 1: 1}, ValueError, "every class of y, and has none for 2"),
        ("classes", CLASSES, {0: 1, 1: -1, 2: 1}, ValueError, r"class_weight\[1\] must be >= 0"),
        ("classes", CLASSES, {0: 1, 1: np.nan, 2: 1}, ValueError, r"class_weight\[1\] must be finite"),
        ("classes", CLASSES, {0: 1, 1: "2", 2: 1}, TypeError, r"class_weight\[1\] must be a real number"),
        ("classes", CLASSES, {0: 0, 1: 0, 2: 0}, ValueError, "class_weight is all zero"),
        ("one-hot", SOFT, "balanced", ValueError, "needs a class for every row, and row 7 of y is mixed"),
        ("yes and no", YES, {1: 1, 2: 1}, ValueError, "class_weight has 2, which is no class.* 0 and 1"),
        ("yes and no", np.where(np.arange(N) == 5, 0.25, YES), "balanced", ValueError, "row 5 of y is neither 0 nor 1"),
    ],
    ids=str,
)
def test_wrong_class_weights_are_refused_before_training(backend, kind, y, given, error, message):
    _, _, arguments, width = KINDS[kind]
    net = fastmlp.MLP([4, width], seed=0, backend=backend, **arguments)
    before = parameters(net)
    with pytest.raises(error, match=message):
        net.fit(X, y, class_weight=given)
    assert (parameters(net), net.optimizer, net.n_epochs) == (before, None, 0)


def test_rows_without_one_class_have_no_class_weight(backend):
    with pytest.raises(ValueError, match="class_weight is for classes, and the loss squared_error has none"):
        fastmlp.MLP([4, 1], seed=0, backend=backend).fit(X, YES, class_weight="balanced")
    with pytest.raises(ValueError, match="class_weight is for rows of one class; with 3 answers"):
        net = fastmlp.MLP([4, 3], loss="binary_cross_entropy", seed=0, backend=backend)
        net.fit(X, np.eye(3)[CLASSES], class_weight="balanced")
