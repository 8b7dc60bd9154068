"""patch_sklearn: whose classes a program gets, and that it can be undone."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

from conftest import EXTENSION
from sklearn import neural_network
from sklearn.base import BaseEstimator, clone

import fastmlp.sklearn as ours
from fastmlp import patch
from fastmlp.sklearn import patched

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.skipif(EXTENSION is None, reason="without the extension nothing is patched"),
]

EXAMPLES = Path(__file__).parents[1] / "examples"
THEIRS = neural_network.MLPClassifier
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
