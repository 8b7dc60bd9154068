"""A table of what people pass by mistake: what each one answers, and that nothing has changed afterwards.

The second table holds what looks wrong and is not.
"""

import math
import pickle

import numpy as np
import pytest
from conftest import parameters
from engine_calls import states_of

import fastmlp

X = np.array([[0.5, -1.0], [1.0, 2.0], [0.0, 0.25], [3.0, 1.0]])
CLASSES = np.array([0, 1, 2, 1])
TARGETS = np.array([[1.0], [0.0], [0.5], [-1.0]])
YES = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.5], [0.0, 1.0, 0.0]])

BAD_ROWS = {
    "one row as 1-D": (X[0], ValueError, r"X has shape \(2,\); it must be 2-D.*reshape"),
    "3-D": (X[None], ValueError, r"X has shape \(1, 4, 2\)"),
    "scalar": (3.0, ValueError, r"X has shape \(\)"),
    "too many columns": (np.ones((4, 3)), ValueError, "X has shape .4, 3., 3 features; the network takes 2"),
    "no columns": (np.ones((4, 0)), ValueError, "X has shape"),
    "NaN": (np.where(X == 0.25, np.nan, X), ValueError, "X has nan at row 2, column 1"),
    "inf": (np.where(X == 3.0, np.inf, X), ValueError, "X has inf at row 3, column 0"),
    "float16 inf": (np.where(X == 3.0, -np.inf, X).astype(np.float16), ValueError, "X has -inf at row 3, column 0"),
    "big-endian NaN": (np.where(X == 0.5, np.nan, X).astype(">f8"), ValueError, "X has nan at row 0, column 0"),
    "strided NaN": (np.where(X == 0.5, np.nan, X)[::-1], ValueError, "X has nan at row 3, column 0"),
    "complex": (X + 0j, TypeError, "X has dtype complex128"),
    "strings": (X.astype(str), TypeError, "X has dtype <U"),
    "bytes": (X.astype("S"), TypeError, "X has dtype "),
    "objects": (X.astype(object), TypeError, "X has dtype object"),
    "numbers and booleans": (np.array([[0.5, True]] * 4, object), TypeError, r"several dtypes, pass X.astype\(float\)"),
    "numbers and nothing": (np.array([[0.5, None]] * 4, object), TypeError, "encode its categories and missing values"),
    "dates": (np.ones((4, 2), "datetime64[s]"), TypeError, "X has dtype datetime64"),
    "structured": (np.ones(4, [("a", "f8"), ("b", "f8")]), TypeError, "X has dtype "),
    "None": (None, TypeError, "X is None"),
    "a string": ("abc", TypeError, "X is a str"),
    "a dict": ({"a": [1, 2]}, TypeError, "X is a dict"),
    "ragged lists": ([[1, 2], [3]], ValueError, "X is not a rectangular array"),
    "list with None": ([[1, None]], TypeError, "X has dtype object"),
    "masked": (np.ma.masked_equal(X, 0.5), ValueError, "X is a masked array"),
}

BAD_TARGETS = {  # (loss, y, error, message)
    "class out of range": (
        "cross_entropy",
        [0, 1, 2, 3],
        ValueError,
        r"y has 3 at row 3; classes must lie in \[0, 3\)",
    ),
    "negative class": ("cross_entropy", [0, 1, -1, 2], ValueError, "y has -1 at row 2"),
    "float classes": (
        "cross_entropy",
        CLASSES.astype(float),
        TypeError,
        "y has dtype float64; classes must be integers",
    ),
    "names of classes": ("cross_entropy", ["a", "b", "c", "a"], TypeError, "y has dtype <U1.*numpy.unique"),
    "too few": ("cross_entropy", CLASSES[:3], ValueError, "y has 3 rows, the inputs have 4"),
    "probabilities do not sum to 1": ("cross_entropy", YES, ValueError, "y has a sum of 2 in row 0"),
    "negative probability": ("cross_entropy", [[1.5, -0.5, 0]] * 4, ValueError, "y has -0.5 at row 0, column 1"),
    "column of classes": ("cross_entropy", CLASSES[:, None], ValueError, r"y has shape \(4, 1\); cross_entropy takes"),
    "above one": ("binary_cross_entropy", 2 * YES, ValueError, r"y has 2.0 at row 0, column 0; .*\[0, 1\]"),
    "1-D for three outputs": ("binary_cross_entropy", YES[:, 0], ValueError, r"y has shape \(4,\)"),
    "wrong columns": ("squared_error", np.ones((4, 2)), ValueError, r"y has shape \(4, 2\); squared_error takes"),
    "NaN": ("squared_error", np.full((4, 3), np.nan), ValueError, "y has nan at row 0, column 0"),
    "inf": ("squared_error", np.full((4, 3), -np.inf), ValueError, "y has -inf at row 0, column 0"),
    "objects": ("squared_error", np.full((4, 3), None), TypeError, "y has dtype object"),
    "None": ("squared_error", None, TypeError, "y is None"),
    "empty": ("squared_error", np.empty((0, 3)), ValueError, "y has 0 rows, the inputs have 4"),
}

BAD_WEIGHTS = {
    "negative": ([1, 1, -1, 1], ValueError, "sample_weight has -1.0 at row 2"),
    "NaN": ([1, math.nan, 1, 1], ValueError, "sample_weight has nan at row 1"),
    "all zero": ([0, 0, 0, 0], ValueError, "sample_weight is all zero"),
    "too few": ([1, 1], ValueError, r"sample_weight has shape \(2,\)"),
    "column": (np.ones((4, 1)), ValueError, r"sample_weight has shape \(4, 1\)"),
    "strings": (list("abcd"), TypeError, "sample_weight has dtype"),
    "scalar": (1.0, ValueError, r"sample_weight has shape \(\)"),
}

BAD_FIT = {
    "epochs 0": ({"epochs": 0}, ValueError, "epochs must be >= 1, got 0"),
    "epochs negative": ({"epochs": -3}, ValueError, "epochs must be"),
    "epochs float": ({"epochs": 2.0}, TypeError, "epochs must be an integer, got 2.0 of type float"),
    "epochs bool": ({"epochs": True}, TypeError, "epochs must be"),
    "epochs None": ({"epochs": None}, TypeError, "epochs must be"),
    "batch_size 0": ({"batch_size": 0}, ValueError, "batch_size must be >= 1, got 0"),
    "batch_size string": ({"batch_size": "auto"}, TypeError, "batch_size must be"),
    "threads 0": ({"threads": 0}, ValueError, "threads must be"),
    "threads negative": ({"threads": -1}, ValueError, "threads must be"),
    "threads huge": ({"threads": 10**6}, ValueError, "threads must be from 1 to 1024, got 1000000"),
    "threads float": ({"threads": 2.0}, TypeError, "threads must be an integer, got 2.0"),
    "threads bool": ({"threads": True}, TypeError, "threads must be"),
    "optimizer unknown": (
        {"optimizer": "magic"},
        ValueError,
        "optimizer must be one of 'sgd', .*'adam'.*, got 'magic'",
    ),
    "optimizer case": ({"optimizer": "Adam"}, ValueError, "'sgd', .*'adam'.*, got 'Adam'; did you mean 'adam'"),
    "optimizer class": ({"optimizer": fastmlp.Adam}, TypeError, "optimizer must be"),
    "optimizer number": ({"optimizer": 0.1}, TypeError, "optimizer must be"),
    "shuffle": ({"shuffle": 1}, TypeError, "shuffle must be True or False, got 1"),
    "progress": ({"progress": "yes"}, TypeError, "progress must be True or False"),
    "train_metrics": ({"train_metrics": None}, TypeError, "train_metrics must be True or False"),
    "validation_data alone": ({"validation_data": X}, TypeError, r"validation_data must be \(X, y\) or"),
    "validation_data of one": ({"validation_data": (X,)}, TypeError, "validation_data must be.*got 1 of them"),
    "validation_data[0]": ({"validation_data": (X[:, :1], CLASSES)}, ValueError, r"validation_data\[0\] has shape"),
    "validation_data[1]": ({"validation_data": (X, CLASSES + 1)}, ValueError, r"validation_data\[1\] has 3 at row 2"),
    "validation_data[2]": ({"validation_data": (X, CLASSES, [1])}, ValueError, r"validation_data\[2\] has shape"),
    "validation_data NaN": ({"validation_data": (X * np.nan, CLASSES)}, ValueError, r"validation_data\[0\] has nan"),
    "callbacks alone": ({"callbacks": fastmlp.EarlyStopping("loss")}, TypeError, "callbacks must be a list"),
    "callbacks number": ({"callbacks": [3]}, TypeError, r"callbacks\[0\] must be a Callback or a function"),
    "callbacks class": ({"callbacks": [fastmlp.EarlyStopping]}, TypeError, r"did you mean EarlyStopping\(\)"),
    "callbacks string": ({"callbacks": "stop"}, TypeError, "callbacks must be a list"),
}

BAD_NETWORKS = {  # positional and keyword arguments of MLP
    "one size": (([3],), {}, ValueError, "sizes must have at least 2 entries"),
    "no sizes": (([],), {}, ValueError, "sizes"),
    "zero width": (([3, 0, 1],), {}, ValueError, r"sizes\[1\] must be from 1"),
    "negative width": (([3, -4, 1],), {}, ValueError, r"sizes\[1\]"),
    "float width": (([3, 4.0, 1],), {}, TypeError, r"sizes\[1\] must be an integer"),
    "bool width": (([True, 1],), {}, TypeError, r"sizes\[0\] must be an integer"),
    "sizes number": ((3,), {}, TypeError, "sizes must be a sequence"),
    "sizes string": (("32",), {}, TypeError, "sizes must be a sequence"),
    "too large": (([2**31 - 1] * 4,), {}, ValueError, "sizes must make at most"),
    "activation unknown": (([2, 3, 1],), {"activation": "rleu"}, ValueError, "activation must be one of.*got 'rleu'"),
    "activation number": (([2, 3, 1],), {"activation": 3}, TypeError, "activation must be"),
    "activations too few": (([2, 3, 3, 1],), {"activation": ["relu"]}, ValueError, "one per hidden layer"),
    "output unknown": (([2, 1],), {"output": "soft"}, ValueError, "output must be one of"),
    "activation case": (([2, 3, 1],), {"activation": "ReLU"}, ValueError, "got 'ReLU'; did you mean 'relu'"),
    "softmax of one": (
        ([2, 1],),
        {"output": "softmax"},
        ValueError,
        r"one number in sizes \[2, 1\].*binary_cross_entropy",
    ),
    "cross entropy of one": (([2, 3, 1],), {"loss": "cross_entropy"}, ValueError, "one number.*always 1"),
    "squared error of one": (
        ([2, 1],),
        {"output": "softmax", "loss": "squared_error"},
        ValueError,
        "two outputs with output='softmax'",
    ),
    "output and loss": (([2, 1],), {"output": "relu", "loss": "cross_entropy"}, ValueError, "output must be 'softmax'"),
    "loss unknown": (([2, 1],), {"loss": "mze"}, ValueError, "loss must be one of"),
    "loss class": (([2, 1],), {"loss": fastmlp.SquaredError}, TypeError, "loss must be"),
    "dtype float16": (([2, 1],), {"dtype": "float16"}, ValueError, "dtype"),
    "dtype int": (([2, 1],), {"dtype": int}, ValueError, "dtype"),
    "dtype nonsense": (([2, 1],), {"dtype": "nonsense"}, (ValueError, TypeError), "dtype"),
    "seed negative": (([2, 1],), {"seed": -1}, ValueError, "seed must be from 0 to 18446744073709551615"),
    "seed huge": (([2, 1],), {"seed": 2**64}, ValueError, "seed must be"),
    "seed float": (([2, 1],), {"seed": 1.0}, TypeError, "seed must be"),
    "seed bool": (([2, 1],), {"seed": True}, TypeError, "seed must be"),
    "init unknown": (([2, 1],), {"init": "xavier"}, ValueError, "init: .*must be one of"),
    "init case": (([2, 1],), {"init": "He_Normal"}, ValueError, "init: .*did you mean 'he_normal'"),
    "init number": (([2, 1],), {"init": 0}, TypeError, "init: "),
    "init shape": (([2, 1],), {"init": lambda i, o: np.ones((o, i))}, ValueError, r"shape \(2, 1\)"),
    "init NaN": (([2, 1],), {"init": lambda i, o: np.full((i, o), np.nan)}, ValueError, "finite"),
    "init too large": (
        ([2, 1],),
        {"init": lambda i, o: np.full((i, o), 1e300)},
        ValueError,
        r"init\[0\].*float32.* inf",
    ),
    "backend unknown": (([2, 1],), {"backend": "cuda"}, ValueError, "backend must be 'cython', 'numpy' or None"),
    "backend case": (([2, 1],), {"backend": "NumPy"}, ValueError, "backend must be.*did you mean 'numpy'"),
    "backend number": (([2, 1],), {"backend": 1}, TypeError, "backend must be"),
}

BAD_OPTIMIZERS = {
    "negative rate": (fastmlp.Adam, {"learning_rate": -1e-3}, ValueError, "learning_rate must be > 0, got -0.001"),
    "zero rate": (fastmlp.SGD, {"learning_rate": 0}, ValueError, "learning_rate must be > 0"),
    "NaN rate": (fastmlp.SGD, {"learning_rate": math.nan}, ValueError, "learning_rate must be finite"),
    "string rate": (fastmlp.SGD, {"learning_rate": "0.1"}, TypeError, "learning_rate must be a real number"),
    "momentum 1": (fastmlp.SGD, {"momentum": 1.0}, ValueError, "momentum must be"),
    "beta2 negative": (fastmlp.Adam, {"beta2": -0.1}, ValueError, "beta2 must be"),
    "weight_decay negative": (fastmlp.Adam, {"weight_decay": -1}, ValueError, "weight_decay must be"),
    "nesterov alone": (fastmlp.SGD, {"nesterov": True}, ValueError, "nesterov=True needs momentum"),
}

BAD_PARAMETERS = {  # of a 2-3-3 network
    "too few": ("weights", [np.ones((2, 3))], ValueError, "weights must be 2 arrays, one per layer, got 1"),
    "transposed": ("weights", [np.ones((3, 2)), np.ones((3, 3))], ValueError, r"weights\[0\] must have shape \(2, 3\)"),
    "second wrong": ("weights", [np.ones((2, 3)), np.ones(3)], ValueError, r"weights\[1\] must have shape \(3, 3\)"),
    "NaN": (
        "weights",
        [np.ones((2, 3)), np.full((3, 3), np.nan)],
        ValueError,
        r"weights\[1\].* nan at row 0, column 0",
    ),
    "overflow": (
        "weights",
        [np.ones((2, 3)), np.full((3, 3), 1e39)],
        ValueError,
        r"weights\[1\] \(as float32\) has inf",
    ),
    "complex": ("weights", [np.ones((2, 3)) + 0j, np.ones((3, 3))], TypeError, r"weights\[0\] has dtype complex128"),
    "strings": ("weights", [[["a"] * 3] * 2, np.ones((3, 3))], TypeError, r"weights\[0\] has dtype"),
    "None": ("weights", None, TypeError, "weights must be a list of 2 arrays, got NoneType"),
    "dict": ("weights", {0: 1, 1: 2}, TypeError, "weights must be a list"),
    "biases 2-D": ("biases", [np.ones((1, 3)), np.ones(3)], ValueError, r"biases\[0\] must have shape \(3,\)"),
    "biases NaN": ("biases", [np.ones(3), [0, math.inf, 0]], ValueError, r"biases\[1\].* inf at row 1"),
}

BAD_OUT = {
    "list": ([[0.0] * 3] * 4, TypeError, "out must be a NumPy array, got list"),
    "dtype": (np.empty((4, 3)), TypeError, "out must have the network's dtype float32, got <f8"),
    "big-endian": (np.empty((4, 3), ">f4"), TypeError, "out must have the network's dtype float32, got >f4"),
    "shape": (np.empty((3, 4), "f4"), ValueError, r"out must have shape \(4, 3\), got \(3, 4\)"),
    "strided": (np.empty((4, 6), "f4")[:, ::2], ValueError, "out must be C-contiguous"),
    "Fortran": (np.empty((4, 3), "f4", order="F"), ValueError, "out must be C-contiguous"),
    "read-only": (np.frombuffer(bytes(48), "f4").reshape(4, 3), ValueError, "out must be writeable"),
}


def table(entries):
    return pytest.mark.parametrize("case", entries.values(), ids=entries.keys())


@pytest.fixture
def net(backend):
    """A network that has been trained a little; afterwards it must be what it was, to the last bit."""
    net = fastmlp.MLP([2, 3, 3], output="softmax", seed=0, backend=backend)
    net.fit(X, CLASSES, epochs=2)
    yield from unchanged(net)


def state(net):
    optimizer = [a.tobytes() for slot in states_of(net._learner.engine) for arrays in slot for a in arrays]
    return parameters(net), optimizer, net.n_epochs, net.n_steps, net.optimizer, len(net.history.loss)


def unchanged(net):
    before = state(net)
    yield net
    assert state(net) == before


@table(BAD_ROWS)
@pytest.mark.parametrize("method", ["fit", "step", "evaluate", "loss_and_grad", "predict", "trace"])
def test_bad_rows(net, method, case):
    rows, error, message = case
    with pytest.raises(error, match=message):
        getattr(net, method)(rows, *([] if method in ("predict", "trace") else [CLASSES]))


@pytest.mark.parametrize("method", ["fit", "step", "evaluate", "loss_and_grad", "trace"])
def test_no_rows(net, method):
    with pytest.raises(ValueError, match=r"X has shape \(0, 2\); it must have at least one row"):
        getattr(net, method)(np.empty((0, 2)), np.empty(0, int))
    assert net.predict(np.empty((0, 2))).shape == (0, 3)


@pytest.mark.parametrize(
    ("method", "case"),
    [
        pytest.param(method, case, id=f"{method}-{name}")
        for method in ("fit", "step", "evaluate", "loss_and_grad", "trace")
        for name, case in BAD_TARGETS.items()
        if method != "trace" or case[1] is not None  # trace may have no targets
    ],
)
def test_bad_targets(backend, method, case):
    loss, y, error, message = case
    for net in unchanged(fastmlp.MLP([2, 3, 3], loss=loss, seed=0, backend=backend)):
        with pytest.raises(error, match=message):
            getattr(net, method)(X, y)


@table(BAD_WEIGHTS)
@pytest.mark.parametrize("method", ["fit", "step", "evaluate", "loss_and_grad"])
def test_bad_sample_weights(net, method, case):
    weight, error, message = case
    with pytest.raises(error, match=message):
        getattr(net, method)(X, CLASSES, sample_weight=weight)


@table(BAD_FIT)
def test_bad_fit_arguments(net, case):
    arguments, error, message = case
    with pytest.raises(error, match=message):
        net.fit(X, CLASSES, **arguments)


@pytest.mark.parametrize("method", ["step", "evaluate", "loss_and_grad", "predict", "trace"])
@pytest.mark.parametrize("case", [BAD_FIT[name] for name in BAD_FIT if name.startswith("threads")], ids=str)
def test_bad_threads(net, method, case):
    arguments, error, message = case
    with pytest.raises(error, match=message):
        getattr(net, method)(X, *([] if method in ("predict", "trace") else [CLASSES]), **arguments)


def test_bad_step_optimizer(net):
    with pytest.raises(ValueError, match="optimizer must be one of"):
        net.step(X, CLASSES, optimizer="magic")


@table(BAD_NETWORKS)
def test_bad_networks(backend, case):
    positional, keywords, error, message = case
    with pytest.raises(error, match=message):
        fastmlp.MLP(*positional, **({"backend": backend} | keywords))


@table(BAD_OPTIMIZERS)
def test_bad_optimizers(case):
    kind, arguments, error, message = case
    with pytest.raises(error, match=message):
        kind(**arguments)


@table(BAD_PARAMETERS)
def test_bad_parameters(net, case):
    name, value, error, message = case
    with pytest.raises(error, match=message):
        setattr(net, name, value)


@table(BAD_OUT)
def test_bad_out(net, case):
    out, error, message = case
    with pytest.raises(error, match=message):
        net.predict(X, out=out)


def test_bad_files(backend, tmp_path):
    with pytest.raises(FileNotFoundError):
        fastmlp.load(tmp_path / "nothing", backend=backend)
    (tmp_path / "short").write_bytes(b"abc")
    with pytest.raises(ValueError, match="short: truncated"):
        fastmlp.load(tmp_path / "short", backend=backend)
    with pytest.raises(ValueError, match="backend must be"):
        fastmlp.load(tmp_path / "short", backend="cuda")
    with pytest.raises(OSError):
        fastmlp.MLP([2, 1], backend=backend).save(tmp_path / "no" / "such" / "folder")


CLASSES_OF_60 = np.arange(60) % 10


@pytest.mark.parametrize("y", [CLASSES_OF_60, CLASSES_OF_60.tolist(), CLASSES_OF_60[:, None].astype("u1")], ids=type)
@pytest.mark.parametrize("copied", [False, True])
def test_a_regression_on_class_numbers_is_doubted_once_per_fit(backend, y, copied):
    net = fastmlp.MLP([2, 3, 1], seed=0, backend=backend)
    net = pickle.loads(pickle.dumps(net)) if copied else net
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"0 to 9.*make it MLP\(\[2, 3, 10\], output='softmax'\)") as caught:
            net.fit(np.resize(X, (60, 2)), y, epochs=3)
        assert [warning.filename for warning in caught] == [__file__]
    assert net.n_epochs == 6


@pytest.mark.parametrize(
    ("arguments", "y"),
    [
        ({"loss": "squared_error"}, CLASSES_OF_60),
        ({"output": "identity"}, CLASSES_OF_60),
        ({"loss": "poisson"}, CLASSES_OF_60),
        ({}, CLASSES_OF_60.astype(float)),
        ({}, CLASSES_OF_60 % 2),
        ({}, CLASSES_OF_60 > 4),
        ({}, CLASSES_OF_60 + 1),
        ({}, CLASSES_OF_60 - 3),
        ({}, 2 * CLASSES_OF_60),
        ({}, np.arange(60)),
        ({}, np.arange(60) % 25),
    ],
)
def test_other_targets_are_not_doubted(backend, arguments, y):
    """Warnings are errors here."""
    fastmlp.MLP([2, 3, 1], seed=0, backend=backend, **arguments).fit(np.resize(X, (60, 2)), y, epochs=1)


def test_a_few_rows_are_not_doubted(backend):
    fastmlp.MLP([2, 3, 1], seed=0, backend=backend).fit(X, [0, 1, 2, 3], epochs=1)


def test_properties_that_cannot_be_set(net):
    for name in ("sizes", "seed", "n_parameters", "history", "dtype", "backend"):
        with pytest.raises(AttributeError):
            setattr(net, name, None)


# ---- what looks wrong and is not ------------------------------------------------------------------------------------

WHOLE = np.array([[0, 1], [1, 2], [0, 0], [3, 1]])

GOOD_ROWS = {
    "lists": X.tolist(),
    "tuples": tuple(map(tuple, X)),
    "Fortran order": np.asfortranarray(X),
    "every second row": np.repeat(X, 2, axis=0)[::2],
    "backwards": X[::-1][::-1],
    "every second column": np.repeat(X, 2, axis=1)[:, ::2],
    "broadcast": np.broadcast_to(X[1], (4, 2)),
    "unaligned": np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(np.float64).reshape(4, 2),
    "big-endian": X.astype(">f8"),
    "big-endian integers": WHOLE.astype(">i2"),
    "longdouble": X.astype(np.longdouble),
    "masked without masks": np.ma.masked_array(X),
    "matrix rows": [X[0], X[1], X[2], X[3]],
    **{dtype: WHOLE.astype(dtype) for dtype in ("f2", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?")},
}


def read_only(array):
    array = np.array(array)
    array.flags.writeable = False
    return array


@table(GOOD_ROWS | {"read-only": read_only(X)})
def test_good_rows(backend, case):
    """Rows of any kind give the same bits as a plain float64 copy."""
    plain = np.array(case, dtype=np.float64, order="C")
    before = case.tobytes() if isinstance(case, np.ndarray) else repr(case)
    nets = [fastmlp.MLP([2, 3, 3], output="softmax", seed=0, backend=backend) for _ in range(2)]
    for net, rows in zip(nets, (case, plain), strict=True):
        net.fit(rows, CLASSES, epochs=2, batch_size=3, validation_data=(rows, CLASSES))
        net.step(rows, CLASSES)
    assert parameters(nets[0]) == parameters(nets[1])
    np.testing.assert_array_equal(nets[0].predict(case), nets[0].predict(plain))
    assert nets[0].evaluate(case, CLASSES) == nets[0].evaluate(plain, CLASSES)
    assert before == (case.tobytes() if isinstance(case, np.ndarray) else repr(case))


GOOD_TARGETS = {
    "list of classes": ("cross_entropy", CLASSES.tolist(), CLASSES),
    "classes as u1": ("cross_entropy", CLASSES.astype("u1"), CLASSES),
    "classes as big-endian": ("cross_entropy", CLASSES.astype(">i8"), CLASSES),
    "classes as u8": ("cross_entropy", CLASSES.astype("u8"), CLASSES),
    "strided classes": ("cross_entropy", np.repeat(CLASSES, 3)[::3], CLASSES),
    "read-only classes": ("cross_entropy", read_only(CLASSES), CLASSES),
    "one-hot bool": ("cross_entropy", np.eye(3, dtype=bool)[CLASSES], np.eye(3)[CLASSES]),
    "yes and no": ("binary_cross_entropy", YES > 0.5, (YES > 0.5).astype(float)),
    "big-endian numbers": ("squared_error", YES.astype(">f4"), YES),
    "Fortran": ("squared_error", np.asfortranarray(YES), YES),
    "lists": ("squared_error", YES.tolist(), YES),
}


@table(GOOD_TARGETS)
def test_good_targets(backend, case):
    loss, given, plain = case
    nets = [fastmlp.MLP([2, 3, 3], loss=loss, seed=0, backend=backend) for _ in range(2)]
    for net, y in zip(nets, (given, plain), strict=True):
        net.fit(X, y, epochs=2, batch_size=3)
    assert parameters(nets[0]) == parameters(nets[1])
    assert nets[0].evaluate(X, given) == nets[0].evaluate(X, plain)


@pytest.mark.parametrize("loss", ["squared_error", "binary_cross_entropy"])
def test_one_output_takes_a_vector(backend, loss):
    y = np.clip(TARGETS, 0, 1)
    nets = [fastmlp.MLP([2, 3, 1], loss=loss, seed=0, backend=backend) for _ in range(2)]
    nets[0].fit(X, y, epochs=2)
    nets[1].fit(X, y[:, 0], epochs=2)
    assert parameters(nets[0]) == parameters(nets[1])


def test_numbers_of_numpy_are_numbers(backend):
    net = fastmlp.MLP(np.array([2, 3, 3]), output="softmax", seed=np.int32(4), backend=backend)
    net.fit(X, CLASSES, epochs=np.int64(2), batch_size=np.uint8(3), threads=np.int16(1), shuffle=np.True_)
    assert (net.seed, net.n_epochs, net.n_steps) == (4, 2, 4)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("row", [0, 2500, 4999])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_bad_row_among_many_is_found_by_predict(backend, bad, row, threads):
    """predict takes rows in chunks, and looks at each just before it reads it."""
    net = fastmlp.MLP([20, 64, 3], seed=0, backend=backend)
    X = np.zeros((5000, 20), np.float32)
    X[row, 7] = bad
    with pytest.raises(ValueError, match=rf"X has {bad} at row {row}, column 7"):
        net.predict(X, threads=threads)
    X[row, 7] = 0
    assert np.isfinite(net.predict(X, threads=threads)).all()
