"""patch_sklearn: whose classes a program gets, and that it can be undone."""

import functools
import os
import pickle
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

import scipy.sparse
from conftest import EXTENSION
from places import ROOT
from sklearn import neural_network
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import has_fit_parameter

import fastmlp.sklearn as ours
from fastmlp import patch
from fastmlp.sklearn import patched

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.skipif(EXTENSION is None, reason="without the extension nothing is patched"),
]

EXAMPLES = ROOT / "examples"
THEIRS = patched.SklearnClassifier
X, Y = np.random.default_rng(0).random((60, 4)), np.arange(60) % 3


@pytest.fixture
def patched_sklearn():
    patched._warned.clear()
    assert patch.patch_sklearn()
    yield neural_network
    patch.unpatch_sklearn()


def test_there_and_back(patched_sklearn):
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    assert issubclass(MLPClassifier, ours.MLPClassifier)
    assert issubclass(MLPRegressor, ours.MLPRegressor)
    clf = MLPClassifier(8, random_state=0, max_iter=5).fit(X, Y)
    np.testing.assert_array_equal(clf.predict(X), THEIRS(8, random_state=0, max_iter=5).fit(X, Y).predict(X))
    same = pickle.loads(pickle.dumps(clf))
    assert same.predict_proba(X).tobytes() == clf.predict_proba(X).tobytes()
    assert type(clone(clf)) is MLPClassifier
    patch.unpatch_sklearn()
    assert neural_network.MLPClassifier is THEIRS
    assert clf.predict(X).shape == (60,)


def test_twice_is_once(patched_sklearn):
    assert patch.patch_sklearn()
    patch.unpatch_sklearn()
    patch.unpatch_sklearn()
    assert neural_network.MLPClassifier is THEIRS


def test_pickles_of_scikit_learn_stay_its_own(patched_sklearn):
    theirs = THEIRS(8, random_state=0, max_iter=2).fit(X, Y)
    assert type(pickle.loads(pickle.dumps(theirs))) is THEIRS
    assert isinstance(ours.from_sklearn(theirs), ours.MLPClassifier)
    assert type(ours.to_sklearn(ours.MLPClassifier(8, max_iter=2).fit(X, Y))) is THEIRS


def test_a_subclass_of_public_methods_is_ours(patched_sklearn):
    class Named(neural_network.MLPClassifier):
        def predict(self, X):
            return np.array(["abc"[label] for label in super().predict(X)])

    assert issubclass(Named, ours.MLPClassifier)
    assert set(Named(8, max_iter=2).fit(X, Y).predict(X)) <= set("abc")


def test_a_subclass_of_private_methods_is_theirs_with_one_warning(patched_sklearn):
    class Mixin:
        pass

    def make():
        class Counting(Mixin, neural_network.MLPClassifier):
            calls = 0

            def _backprop(self, *arguments):
                self.calls += 1
                return super()._backprop(*arguments)

        return Counting

    with pytest.warns(UserWarning, match="Counting overrides _backprop"):
        kind = make()
    make()  # warns no more: warnings are errors here
    assert issubclass(kind, THEIRS)
    assert not issubclass(kind, ours.MLPClassifier)
    assert issubclass(kind, BaseEstimator)
    assert kind(8, max_iter=2).fit(X, Y).calls == 2


def test_isinstance_is_true_of_what_is_left_to_scikit_learn(patched_sklearn):
    theirs = THEIRS()
    assert isinstance(theirs, neural_network.MLPClassifier)
    assert isinstance(neural_network.MLPClassifier(), neural_network.MLPClassifier)
    assert not isinstance(theirs, neural_network.MLPRegressor)
    assert not isinstance(theirs, ours.MLPClassifier)


@pytest.mark.parametrize("how", ["method", "property", "class method", "lambda", "inner function", "decorated"])
def test_a_subclass_that_calls_private_methods_is_theirs(patched_sklearn, how):
    def hidden(self, X):
        return self._forward_pass_fast(X)

    def outer(self, X):
        def inner():
            return self._forward_pass_fast(X)

        return inner()

    def wrapper(*arguments):
        return hidden(*arguments)

    value = {
        "method": hidden,
        "property": property(hidden),
        "class method": classmethod(hidden),
        "lambda": lambda self, X: self._forward_pass_fast(X),
        "inner function": outer,
        "decorated": functools.wraps(hidden)(wrapper),
    }[how]
    with pytest.warns(UserWarning, match="Peeping calls _forward_pass_fast"):
        kind = type(neural_network.MLPClassifier)("Peeping", (neural_network.MLPClassifier,), {"peep": value})
    assert issubclass(kind, THEIRS)
    if how == "method":
        clf = kind(8, max_iter=2).fit(X, Y)
        np.testing.assert_array_equal(clf.peep(X), clf.predict_proba(X))


def test_a_mixin_that_overrides_private_methods_makes_it_theirs(patched_sklearn):
    class Base:
        def _initialize(self, *arguments):
            super()._initialize(*arguments)
            self.initialized = True

    class Mixin(Base):
        pass

    with pytest.warns(UserWarning, match="Base overrides _initialize"):

        class Both(Mixin, neural_network.MLPClassifier):
            pass

    assert issubclass(Both, THEIRS)
    assert Both(8, max_iter=2).fit(X, Y).initialized


def test_a_subclass_of_a_subclass_is_warned_that_it_is_too_late(patched_sklearn):
    class Plain(neural_network.MLPClassifier):
        pass

    with pytest.warns(UserWarning, match=r"Late overrides _backprop.*base Plain is fastmlp's already"):

        class Late(Plain):
            def _backprop(self):
                pass

    assert issubclass(Late, ours.MLPClassifier)


def test_positional_arguments_are_those_of_the_installed_scikit_learn(patched_sklearn):
    theirs = patched.SklearnRegressor
    arguments = ("squared_error", 7, "tanh") if "loss" in theirs().get_params() else (7, "tanh")
    mine = neural_network.MLPRegressor(*arguments)
    assert (mine.hidden_layer_sizes, mine.activation, mine.loss) == (7, "tanh", "squared_error")
    for wrong in (arguments * 9, arguments):
        with pytest.raises(TypeError, match="too many positional|multiple values for argument 'activation'"):
            neural_network.MLPRegressor(*wrong, activation="relu")


# ---- data and values of parameters: ours take what scikit-learn's take ---------------------------------------------

REAL = X @ [1.0, -2.0, 3.0, 0.5]
SPARSE = scipy.sparse.csr_matrix(X * (X > 0.5))
MANY = np.column_stack([Y == 0, Y == 1]).astype(int)


def frame(array, **options):
    return pytest.importorskip("pandas").DataFrame(array, **options)


def series(array, dtype=None):
    return pytest.importorskip("pandas").Series(array, dtype=dtype)


ROWS = {
    "float32": lambda: X.astype("f4"),
    "float16": lambda: X.astype("f2"),
    "uint64": lambda: (9 * X).astype("u8"),
    "bool": lambda: X > 0.5,
    "objects": lambda: X.astype(object),
    "objects that are strings": lambda: X.astype(str).astype(object),
    "lists": X.tolist,
    "big-endian": lambda: X.astype(">f8"),
    "Fortran order": lambda: np.asfortranarray(X),
    "strided": lambda: np.repeat(X, 2, axis=0)[::2],
    "a buffer": lambda: memoryview(X),
    "a masked array": lambda: np.ma.masked_array(X, X > 0.9),
    "a matrix": lambda: np.matrix(X),
    "complex": lambda: X.astype(complex),
    "sparse complex": lambda: SPARSE.astype(complex),
    "words": lambda: np.full(X.shape, "word"),
    "NaN": lambda: np.where(X > 0.9, np.nan, X),
    "infinity": lambda: np.where(X > 0.9, np.inf, X),
    "one dimension": lambda: X[:, 0],
    "three dimensions": lambda: X[np.newaxis],
    "no rows": lambda: X[:0],
    "no columns": lambda: X[:, :0],
    "fewer rows than targets": lambda: X[:7],
    **{name: lambda name=name: SPARSE.asformat(name) for name in ("csr", "csc", "coo", "lil", "dok", "bsr", "dia")},
    "csr array": lambda: scipy.sparse.csr_array(SPARSE),
    "csr of integers": lambda: (9 * SPARSE).astype(int),
    "csr of float32": lambda: SPARSE.astype("f4"),
    "csr with entries that add up": lambda: scipy.sparse.csr_matrix(
        (np.ones(120), np.zeros(120, int), np.arange(0, 121, 2)), (60, 4)
    ),
    "frame": lambda: frame(X, columns=list("abcd")),
    "frame of several dtypes": lambda: frame(X, columns=list("abcd")).assign(a=Y),
    "frame of nullable dtypes": lambda: frame(X, columns=list("abcd")).convert_dtypes(),
    "frame of objects": lambda: frame(X.astype(object)),
    "frame with a column of words": lambda: frame(X, columns=list("abcd")).assign(a="word"),
}
CLASSES = {
    "strings": lambda: np.array(["a", "b", "c"])[Y],
    "bytes": lambda: np.array([b"a", b"b", b"c"])[Y],
    "objects": lambda: np.array(["a", "bb", "c"], object)[Y],
    "integers as objects": lambda: Y.astype(object),
    "objects of several kinds": lambda: np.array(["a", 1, 2.0], object)[Y],
    "whole floats": lambda: Y.astype(float),
    "floats": lambda: REAL,
    "bool": lambda: Y == 0,
    "negative": lambda: Y - 1,
    "dates": lambda: Y.astype("M8[D]"),
    "complex": lambda: Y.astype(complex),
    "a list": Y.tolist,
    "a column": lambda: Y[:, np.newaxis],
    "one class": lambda: np.zeros_like(Y),
    "several labels": lambda: MANY,
    "several labels, sparse": lambda: scipy.sparse.csr_matrix(MANY),
    "several labels, float": lambda: MANY.astype(float),
    "several labels, one column": lambda: MANY[:, :1],
    "several classes": lambda: np.column_stack([Y, Y]),
    "sequences": lambda: [[1, 2], [0]] * 30,
    "too few": lambda: Y[:7],
    "none": lambda: None,
    "NaN": lambda: np.where(Y == 0, np.nan, 1.0),
    "series": lambda: series(Y),
    "series of categories": lambda: series(np.array(["a", "b", "c"])[Y], "category"),
    "series of strings": lambda: series(np.array(["a", "b", "c"])[Y], "string"),
    "series of Int64": lambda: series(Y, "Int64"),
    "series of booleans": lambda: series(Y == 0, "boolean"),
    "frame": lambda: frame(MANY),
}
TARGETS = {
    "float32": lambda: REAL.astype("f4"),
    "integers": lambda: Y,
    "bool": lambda: Y == 0,
    "objects": lambda: REAL.astype(object),
    "strings as objects": lambda: REAL.astype(str).astype(object),
    "long double": lambda: REAL.astype(np.longdouble),
    "big-endian": lambda: REAL.astype(">f8"),
    "a list": REAL.tolist,
    "a column": lambda: REAL[:, np.newaxis],
    "two columns": lambda: np.column_stack([REAL, -REAL]),
    "complex": lambda: REAL.astype(complex),
    "NaN": lambda: np.where(Y == 0, np.nan, 1.0),
    "infinity": lambda: np.where(Y == 0, np.inf, 1.0),
    "three dimensions": lambda: REAL[:, np.newaxis, np.newaxis],
    "none": lambda: None,
    "series of Float64": lambda: series(REAL, "Float64"),
    "frame": lambda: frame(np.column_stack([REAL, -REAL])),
}
WEIGHTS = {
    "floats": lambda: X[:, 0],
    "a list": X[:, 0].tolist,
    "float32": lambda: X[:, 0].astype("f4"),
    "integers": lambda: Y,
    "bool": lambda: Y > 0,
    "a number": lambda: 2.0,
    "negative": lambda: X[:, 0] - 0.5,
    "NaN": lambda: np.where(Y == 0, np.nan, 1.0),
    "a column": lambda: X[:, :1],
    "too few": lambda: X[:7, 0],
    "complex": lambda: X[:, 0].astype(complex),
}
VALUES = [
    *(("hidden_layer_sizes", value) for value in (5, np.int64(5), [5], np.array([5, 3]), (), (0,), -1, (5.0,), "5")),
    *(("batch_size", value) for value in (1, 7, np.int32(7), 100, 0, 7.0, "all", None)),
    *(("alpha", value) for value in (0, 1, np.float32(0.1), -1, np.inf, np.nan, "a", None)),
    *(("learning_rate_init", value) for value in (1, np.float32(0.1), 0, np.inf, "a")),
    *(("max_iter", value) for value in (1, np.int64(3), 0, 2.0, True)),
    *(("shuffle", value) for value in (False, np.bool_(True), 1, None)),
    *(("random_state", value) for value in (np.int64(3), "a", 1.5, 2**32, np.random.default_rng(0))),
    *(("tol", value) for value in (0, 1, -1, np.inf, None)),
    *(("beta_1", value) for value in (0, 0.5, 1, None)),
    *(("epsilon", value) for value in (1e-300, 1, 0)),
    *(("n_iter_no_change", value) for value in (1, np.inf, 0, 1.5)),
    *(("solver", value) for value in ("sgd", "lbfgs", np.str_("sgd"), "rmsprop", None)),
]


def outcome(kind, rows, targets, weight=None, **parameters):
    """Fit, and return what comes of it: error and message, or warnings, predictions and loss."""
    parameters = {"hidden_layer_sizes": 5, "random_state": 0, "max_iter": 3} | parameters
    weights = {} if weight is None else {"sample_weight": weight}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model = kind(**parameters).fit(rows, targets, **weights)
            answer = model.predict(rows)
        except Exception as error:
            return type(error), sorted(re.findall(r"[^\s,{}]+", str(error)))  # options are in a set's order
    told = {(each.category, str(each.message)) for each in caught if each.category is not DeprecationWarning}
    return told, answer.dtype, answer.shape, model


def compare(name, rows, targets, weight=None, **parameters):
    assert type(getattr(neural_network, name)()).__module__ == patched.__name__
    kinds = (getattr(patched, f"Sklearn{name[3:]}"), getattr(neural_network, name))
    theirs, mine = (outcome(kind, rows, targets, weight, **parameters) for kind in kinds)
    assert mine[:-1] == theirs[:-1]
    if len(mine) == 2:
        assert mine == theirs
        return
    single = mine[-1].coefs_[0].dtype == np.float32
    rtol, atol = (1e-3, 1e-4) if single else (1e-7, 1e-9)
    probabilities = "predict_proba" if name == "MLPClassifier" else "predict"
    found, expected = (getattr(model, probabilities)(rows) for model in (mine[-1], theirs[-1]))
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)
    np.testing.assert_allclose(mine[-1].loss_, theirs[-1].loss_, rtol=rtol)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize("rows", ROWS)
def test_rows_of_every_kind(patched_sklearn, name, rows):
    compare(name, ROWS[rows](), Y if name == "MLPClassifier" else REAL)


@pytest.mark.parametrize("classes", CLASSES)
def test_classes_of_every_kind(patched_sklearn, classes):
    compare("MLPClassifier", X, CLASSES[classes]())


@pytest.mark.parametrize("targets", TARGETS)
def test_targets_of_every_kind(patched_sklearn, targets):
    compare("MLPRegressor", X, TARGETS[targets]())


@pytest.mark.skipif(not has_fit_parameter(THEIRS, "sample_weight"), reason="this scikit-learn has no weights")
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_weights_of_every_kind(patched_sklearn, name, weights):
    compare(name, X, Y if name == "MLPClassifier" else REAL, WEIGHTS[weights]())


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize(("parameter", "value"), VALUES, ids=lambda value: str(value)[:20])
def test_values_of_parameters_of_every_kind(patched_sklearn, name, parameter, value):
    compare(name, X, Y if name == "MLPClassifier" else REAL, **{parameter: value})


@pytest.mark.filterwarnings("ignore:scipy.optimize:DeprecationWarning")  # an old scikit-learn with a new SciPy
def test_a_regressor_with_lbfgs_has_a_partial_fit(patched_sklearn):
    fitted = []
    for kind in (patched.SklearnRegressor, neural_network.MLPRegressor):
        model = kind(hidden_layer_sizes=5, solver="lbfgs", random_state=0, max_iter=5)
        fitted.append(model.partial_fit(X, REAL).partial_fit(X, REAL).predict(X))
    np.testing.assert_allclose(*fitted, rtol=1e-6)
    assert not hasattr(neural_network.MLPClassifier(solver="lbfgs"), "partial_fit")


def test_sparse_targets_are_refused_by_name(patched_sklearn):
    with pytest.raises(TypeError, match=r"y is a sparse csr_matrix; .* y\.toarray\(\)"):
        neural_network.MLPRegressor().fit(X, scipy.sparse.csr_matrix(MANY))


# ---- what ours do not know ------------------------------------------------------------------------------------------


def test_a_parameter_that_only_scikit_learn_has(patched_sklearn, monkeypatch):
    class Future(THEIRS):
        def __init__(self, hidden_layer_sizes=(100,), *, max_iter=200, quantum=False):
            super().__init__(hidden_layer_sizes, max_iter=max_iter)
            self.quantum = quantum

    monkeypatch.setitem(patched.ORIGINALS, patched.MLPClassifier, Future)
    with pytest.warns(UserWarning, match="does not know its parameter 'quantum'"):
        clf = neural_network.MLPClassifier(8, quantum=True, max_iter=3)
    assert type(clf) is Future
    assert type(neural_network.MLPClassifier(8, quantum=True)) is Future
    with pytest.raises(TypeError, match="nonsense"):
        neural_network.MLPClassifier(nonsense=1)


def test_without_the_extension_nothing_is_patched(monkeypatch):
    patched._warned.clear()
    monkeypatch.setattr(patched, "load_passes", lambda: (None, "no compiler"))
    with pytest.warns(UserWarning, match="no compiler"):
        assert not patch.patch_sklearn()
    assert neural_network.MLPClassifier is THEIRS


def run(*arguments, cwd, patched=True):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    environment["OPENBLAS_NUM_THREADS"] = "1"
    command = [sys.executable, *(("-m", "fastmlp.patch") if patched else ()), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)


def test_a_script_runs_as_it_would_by_itself(tmp_path):
    (tmp_path / "helper.py").write_text("from sklearn.neural_network import MLPClassifier as Imported\n")
    (tmp_path / "script.py").write_text(
        "import sys\nfrom helper import Imported\n"
        "if __name__ == '__main__':\n    print(Imported.__module__, sys.argv, __file__)\n    sys.exit(3)\n"
    )
    done = run(str(tmp_path / "script.py"), "-m", "--flag", cwd="/")
    path = str(tmp_path / "script.py")
    assert done.stdout.strip() == f"fastmlp.sklearn.patched {[path, '-m', '--flag']} {path}", done.stderr
    assert done.returncode == 3
    done = run("-m", "helper", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "name a script" in run(cwd=tmp_path).stderr


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the examples are in the sources only")
@pytest.mark.parametrize("example", [("sklearn_training_curves.py",), ("sklearn_filters.py", "--digits")])
def test_examples_print_the_same_with_and_without(example, tmp_path):
    script, *arguments = example
    printed = []
    for is_patched in (True, False):
        done = run(str(EXAMPLES / script), *arguments, cwd=tmp_path, patched=is_patched)
        assert done.returncode == 0, done.stderr
        printed.append([line for line in done.stdout.splitlines() if not line.startswith("#")])
        assert ("fastmlp.sklearn.patched" in done.stdout) == is_patched
    assert printed[0] == printed[1]
    assert len(printed[0]) >= 9
