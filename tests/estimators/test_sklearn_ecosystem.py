"""fastmlp.sklearn inside what others build on scikit-learn: searches, ensembles, pipelines, inspection, storage."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

import joblib
import sklearn
from sklearn import inspection, neural_network
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_iris, make_regression
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    cross_val_predict,
    cross_val_score,
    learning_curve,
    train_test_split,
    validation_curve,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.utils import estimator_html_repr

from fastmlp.sklearn import AdalineClassifier, MLPClassifier, MLPRegressor, PerceptronClassifier

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::FutureWarning",
    "ignore:scipy.optimize:DeprecationWarning",  # an old scikit-learn with a new SciPy
    "ignore:fastmlp runs on its NumPy reference:RuntimeWarning",  # in other processes, where there is no extension
)


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    return X[order], y[order]


def quick(**parameters):
    return MLPClassifier(
        **{"hidden_layer_sizes": 8, "max_iter": 60, "learning_rate_init": 0.02, "random_state": 0} | parameters
    )


def quick_regressor():
    return MLPRegressor(hidden_layer_sizes=8, max_iter=60, learning_rate_init=0.05, random_state=0)


GRID = {"mlpclassifier__alpha": [1e-4, 1e-2], "mlpclassifier__activation": ["relu", "tanh"]}


@pytest.mark.parametrize("way", ["one", "threading", "loky", "multiprocessing"])
def test_grid_search_gives_the_same_scores_however_it_runs(iris, way):
    search = GridSearchCV(
        make_pipeline(StandardScaler(), quick(max_iter=20)), GRID, cv=3, n_jobs=1 if way == "one" else 2
    )
    expected = GridSearchCV(make_pipeline(StandardScaler(), quick(max_iter=20)), GRID, cv=3).fit(*iris)
    with joblib.parallel_config("sequential" if way == "one" else way):
        search.fit(*iris)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"])
    assert search.best_score_ > 0.75


@pytest.mark.parametrize("way", ["sequential", "threading", "loky"])
def test_halving_search(iris, way):
    halving = {"cv": 3, "random_state": 0, "min_resources": 40, "n_jobs": 1 if way == "sequential" else 2}
    search = HalvingGridSearchCV(quick(), {"alpha": [1e-4, 1e-2, 1.0]}, **halving)
    with joblib.parallel_config(way):
        assert search.fit(*iris).best_score_ > 0.7
    assert search.n_iterations_ == 2


def test_learning_and_validation_curves(iris):
    _, train, test = learning_curve(quick(), *iris, train_sizes=[0.3, 1.0], cv=3)
    assert train.shape == test.shape == (2, 3)
    assert test[-1].mean() > 0.75
    train, _ = validation_curve(quick(), *iris, param_name="hidden_layer_sizes", param_range=[(2,), (8,)], cv=3)
    assert train[1].mean() > train[0].mean() - 0.05


ENSEMBLES = {
    "bagging": lambda: BaggingClassifier(quick(), n_estimators=4, random_state=0),
    "adaboost": lambda: AdaBoostClassifier(quick(max_iter=20), n_estimators=4, random_state=0),
    "calibrated": lambda: CalibratedClassifierCV(quick(), cv=3),
    "calibrated_perceptron": lambda: CalibratedClassifierCV(PerceptronClassifier(max_iter=50, random_state=0), cv=3),
    "stacking": lambda: StackingClassifier(
        [("mlp", quick()), ("ada", AdalineClassifier())], LogisticRegression(), cv=3
    ),
    "voting": lambda: VotingClassifier([("a", quick()), ("b", quick(random_state=1))], voting="soft"),
    "one_vs_rest": lambda: OneVsRestClassifier(quick()),
    "one_vs_one": lambda: OneVsOneClassifier(PerceptronClassifier(max_iter=100, random_state=0)),
    "self_training": lambda: SelfTrainingClassifier(quick()),
}


@pytest.mark.parametrize("name", ENSEMBLES)
def test_ensembles(iris, name):
    X, X_test, y, y_test = train_test_split(*iris, random_state=0)
    if name == "self_training":
        y = np.where(np.arange(len(y)) % 4 == 0, -1, y)
    model = make_pipeline(StandardScaler(), ENSEMBLES[name]()).fit(X, y)
    assert model.score(X_test, y_test) > 0.8


def test_adaboost_really_weighs_rows(iris):
    X, y = iris
    boosted = AdaBoostClassifier(quick(), n_estimators=3, random_state=0).fit(X, y)
    first, second = boosted.estimators_[:2]
    assert not np.allclose(first.coefs_[0], second.coefs_[0])


def test_several_outputs(iris):
    X, y = iris
    Y = np.column_stack([y == 0, y == 1]).astype(int)
    for model in (MultiOutputClassifier(quick()), ClassifierChain(quick()), quick()):
        assert (model.fit(X, Y).predict(X) == Y).mean() > 0.7
    X, Y = make_regression(100, 5, n_targets=2, random_state=0)
    Y /= Y.std(axis=0)
    assert MultiOutputRegressor(quick_regressor()).fit(X, Y).score(X, Y) > 0.8
    assert (
        TransformedTargetRegressor(quick_regressor(), transformer=MinMaxScaler()).fit(X, Y).predict(X).shape == Y.shape
    )
    stack = StackingRegressor([("mlp", quick_regressor())], Ridge(), cv=3)
    assert stack.fit(X, Y[:, 0]).score(X, Y[:, 0]) > 0.8
    assert AdaBoostRegressor(quick_regressor(), n_estimators=2, random_state=0).fit(X, Y[:, 0]).score(X, Y[:, 0]) > 0.5


def test_cross_validation_is_that_of_scikit_learns_class(iris):
    X, y = iris
    theirs = neural_network.MLPClassifier(8, max_iter=20, random_state=0)
    ours = MLPClassifier(8, max_iter=20, random_state=0)
    np.testing.assert_array_equal(cross_val_score(ours, X, y, cv=3), cross_val_score(theirs, X, y, cv=3))
    ours, theirs = (cross_val_predict(model, X, y, cv=3, method="predict_proba") for model in (ours, theirs))
    np.testing.assert_allclose(ours, theirs, rtol=1e-8)


def test_inspection(iris):
    X, y = iris
    clf = quick().fit(X, y)
    importance = inspection.permutation_importance(clf, X, y, n_repeats=3, random_state=0, n_jobs=2)
    assert importance.importances_mean.argmax() in (2, 3)  # the petals
    curves = inspection.partial_dependence(clf, X, [2], grid_resolution=5)
    assert curves["average"].shape == (3, 5)


@pytest.mark.parametrize("kind", ["average", "both"])
def test_partial_dependence_display(iris, kind):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    X, y = iris
    show = inspection.PartialDependenceDisplay.from_estimator
    display = show(quick().fit(X, y), X, [2, 3], target=1, grid_resolution=5, kind=kind)
    assert display.axes_.shape == (1, 2)
    Y = X[:, 2] + X[:, 3]
    display = show(quick_regressor().fit(X[:, :3], Y), X[:, :3], [2, (0, 1)] if kind == "average" else [2], kind=kind)
    average = display.pd_results[0]["average"][0]
    assert average[-1] > average[0]  # what the petal's length adds
    plt.close("all")


def test_columns_names_and_routing(iris):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(iris[0], columns=list("abcd"))
    clf = quick().fit(frame, iris[1])
    assert clf.feature_names_in_.tolist() == list("abcd")
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        clf.predict(iris[0])
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(frame[list("dcba")])
    model = make_pipeline(
        ColumnTransformer([("scale", StandardScaler(), ["a", "c"])]).set_output(transform="pandas"), quick()
    )
    assert model.fit(frame, iris[1]).score(frame, iris[1]) > 0.9
    assert model[-1].feature_names_in_.tolist() == ["scale__a", "scale__c"]
    with sklearn.config_context(enable_metadata_routing=True):
        routed = quick().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scores = cross_val_score(routed, *iris, cv=3, params={"sample_weight": np.ones(len(iris[1]))})
    np.testing.assert_array_equal(scores, cross_val_score(quick(), *iris, cv=3))


def test_html_and_text_representations(iris):
    assert repr(MLPClassifier(8)) == "MLPClassifier(hidden_layer_sizes=8)"
    assert "MLPClassifier" in estimator_html_repr(quick().fit(*iris))
    assert "AdalineClassifier" in estimator_html_repr(make_pipeline(StandardScaler(), AdalineClassifier()))


@pytest.mark.skipif(not hasattr(MLPClassifier, "set_callbacks"), reason="callbacks came with scikit-learn 1.9")
def test_progress_bar_and_scoring_monitor_of_scikit_learn(iris):
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar, ScoringMonitor

    clf = quick(max_iter=5).set_callbacks(ProgressBar()).fit(*iris)
    assert clf.n_iter_ == 5
    monitor = ScoringMonitor(scoring="accuracy")
    clf = quick(max_iter=5).set_callbacks(monitor).fit(*iris)
    assert len(monitor.get_logs().data) >= 5
    search = GridSearchCV(quick(max_iter=5), {"alpha": [0.1, 0.2]}, cv=2).set_callbacks(
        ProgressBar(max_propagation_depth=None)
    )
    assert len(search.fit(*iris).cv_results_["params"]) == 2


class Recorder:
    """A callback that a meta-estimator hands on to its sub-estimators."""

    max_propagation_depth = None

    def __init__(self, stop_below=None):
        self.stop_below, self.told = stop_below, []

    def setup(self, estimator, context):
        self.told.append(f"setup {type(estimator).__name__}")

    def teardown(self, estimator, context):
        self.told.append(f"teardown {type(estimator).__name__}")

    def on_fit_task_begin(self, estimator, context):
        self.told.append(f"{context.estimator_name} {context.task_name}")

    def on_fit_task_end(self, estimator, context):
        return context.task_name == "epoch" and self.stop_below is not None and estimator.loss_ < self.stop_below


@pytest.mark.skipif(not hasattr(MLPClassifier, "set_callbacks"), reason="callbacks came with scikit-learn 1.9")
def test_callbacks_are_propagated_by_pipelines_and_searches(iris):
    recorder = Recorder()
    make_pipeline(StandardScaler(), quick(max_iter=2)).set_callbacks(recorder).fit(*iris)
    within = ["Pipeline fit", "StandardScaler fit", "MLPClassifier fit", "MLPClassifier epoch", "MLPClassifier epoch"]
    assert recorder.told == ["setup Pipeline", *within, "teardown Pipeline"]
    recorder = Recorder()
    GridSearchCV(quick(max_iter=2), {"alpha": [0.1, 0.2]}, cv=2).set_callbacks(recorder).fit(*iris)
    assert recorder.told.count("MLPClassifier epoch") == 2 * (2 * 2 + 1)  # every setting and fold, and the refit


@pytest.mark.skipif(not hasattr(MLPClassifier, "set_callbacks"), reason="callbacks came with scikit-learn 1.9")
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_early_stop_by_a_callback(iris, solver):
    whole = quick(solver=solver, max_iter=40).fit(*iris)
    stop = Recorder(stop_below=0.6)
    stopped = quick(solver=solver, max_iter=40).set_callbacks(stop).fit(*iris)
    assert not hasattr(stopped, "_callback_fit_ctx")
    assert stopped.n_iter_ < whole.n_iter_
    assert stop.told.count("MLPClassifier epoch") == stopped.n_iter_
    assert stop.told[-1] == "teardown MLPClassifier"


@pytest.mark.skipif(not hasattr(MLPClassifier, "set_callbacks"), reason="callbacks came with scikit-learn 1.9")
def test_callbacks_are_torn_down_after_an_error(iris):
    class Fail(Recorder):
        def on_fit_task_end(self, estimator, context):
            raise RuntimeError("enough")

    clf = quick(max_iter=5).set_callbacks(Fail())
    with pytest.raises(RuntimeError, match="enough"):
        clf.fit(*iris)
    assert clf._skl_callbacks[0].told[-1] == "teardown MLPClassifier"
    assert clf.set_callbacks().fit(*iris).n_iter_ == 5


def test_imbalanced_learn(iris):
    pytest.importorskip("imblearn")
    from imblearn.ensemble import BalancedBaggingClassifier
    from imblearn.over_sampling import RandomOverSampler
    from imblearn.pipeline import make_pipeline as make_sampling_pipeline

    X, y = iris
    rows = np.concatenate([np.flatnonzero(y == 0)[:10], np.flatnonzero(y == 1)])
    model = make_sampling_pipeline(StandardScaler(), RandomOverSampler(random_state=0), quick())
    assert model.fit(X[rows], y[rows]).score(X[rows], y[rows]) > 0.95
    model = BalancedBaggingClassifier(quick(), n_estimators=3, random_state=0)
    assert model.fit(X[rows], y[rows]).score(X[rows], y[rows]) > 0.9


def test_skops(iris, tmp_path):
    io = pytest.importorskip("skops.io")
    clf = quick().fit(*iris)
    io.dump(clf, tmp_path / "m.skops")
    trusted = io.get_untrusted_types(file=tmp_path / "m.skops")
    assert all(name.startswith("fastmlp.") for name in trusted)
    same = io.load(tmp_path / "m.skops", trusted=trusted)
    assert same.predict_proba(iris[0]).tobytes() == clf.predict_proba(iris[0]).tobytes()
    same.partial_fit(*iris)


def test_optuna_prunes_by_partial_fit(iris):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    X, X_val, y, y_val = train_test_split(*iris, random_state=0)

    def objective(trial):
        clf = quick(learning_rate_init=trial.suggest_float("rate", 1e-5, 1e-1, log=True))
        for epoch in range(50):
            score = clf.partial_fit(X, y, classes=[0, 1, 2]).score(X_val, y_val)
            trial.report(score, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return score

    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.RandomSampler(0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
    )
    study.optimize(objective, n_trials=12)
    assert study.best_value > 0.8
    assert any(trial.state is optuna.trial.TrialState.PRUNED for trial in study.trials)


@pytest.mark.skipif(not hasattr(MLPClassifier, "set_callbacks"), reason="callbacks came with scikit-learn 1.9")
def test_optuna_prunes_by_callback(iris):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    class Prune:
        def __init__(self, trial):
            self.trial = trial

        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context):
            if context.task_name == "epoch":
                self.trial.report(estimator.loss_, estimator.n_iter_)
                if self.trial.should_prune():
                    raise optuna.TrialPruned

    def objective(trial):
        rate = trial.suggest_float("rate", 1e-5, 1e-1, log=True)
        return quick(learning_rate_init=rate, max_iter=30).set_callbacks(Prune(trial)).fit(*iris).loss_

    study = optuna.create_study(
        sampler=optuna.samplers.RandomSampler(0), pruner=optuna.pruners.MedianPruner(n_startup_trials=3)
    )
    study.optimize(objective, n_trials=12)
    assert study.best_value < 0.5
    assert any(trial.state is optuna.trial.TrialState.PRUNED for trial in study.trials)
