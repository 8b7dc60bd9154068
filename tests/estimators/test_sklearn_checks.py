"""scikit-learn's checks of what an estimator has to be, on all of ours."""

import inspect

import pytest

pytest.importorskip("sklearn")

from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from fastmlp.sklearn import AdalineClassifier, AdalineRegressor, MLPClassifier, MLPRegressor, PerceptronClassifier
from fastmlp.tabular import TabularClassifier, TabularRegressor

pytestmark = pytest.mark.filterwarnings("ignore")

ESTIMATORS = [
    MLPClassifier(max_iter=100),
    MLPRegressor(max_iter=100),
    MLPClassifier(solver="lbfgs", hidden_layer_sizes=10, max_iter=30),
    MLPRegressor(solver="lbfgs", hidden_layer_sizes=10, max_iter=30),
    MLPClassifier(solver="sgd", batch_size=10, learning_rate_init=0.1, max_iter=50),
    PerceptronClassifier(max_iter=30),
    AdalineClassifier(max_iter=200),
    AdalineRegressor(max_iter=200),
    TabularClassifier("fast", epochs=20),
    TabularRegressor("fast", epochs=20),
]


# A row of weight 2 is not two rows where batches are drawn from rows: scikit-learn's own MLP fails these checks, too.
# Ours, like it, passes them where a batch is all rows: with "lbfgs", and with few rows.
SHUFFLED_BATCHES = dict.fromkeys(
    ("check_sample_weight_equivalence_on_dense_data", "check_sample_weight_equivalence_on_sparse_data"),
    "mini-batches are drawn from rows, not from their weights",
)


def expected_failures(estimator):
    mini_batches = getattr(estimator, "batch_size", None) == 10 or hasattr(estimator, "effort")
    return SHUFFLED_BATCHES if mini_batches else {}


@pytest.fixture(autouse=True, scope="module")
def _one_blas_thread():
    with threadpool_limits(1, "blas"):
        yield


if "expected_failed_checks" in inspect.signature(parametrize_with_checks).parameters:
    OPTIONS = {"expected_failed_checks": expected_failures}
else:  # before scikit-learn 1.6
    OPTIONS = {}
    ESTIMATORS = [estimator for estimator in ESTIMATORS if not expected_failures(estimator)]

CHECKS = parametrize_with_checks(ESTIMATORS, **OPTIONS).mark  # with a generator before scikit-learn 1.6


@pytest.mark.parametrize(CHECKS.args[0], list(CHECKS.args[1]), **CHECKS.kwargs)
def test_estimator(estimator, check):
    check(estimator)
