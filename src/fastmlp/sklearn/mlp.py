"""`MLPClassifier` and `MLPRegressor`: scikit-learn's parameters, attributes, warnings and errors over fastmlp's engine.

What they take over of scikit-learn's behaviour, and what they do not, is in docs/sklearn.md.
"""

from __future__ import annotations

import operator
import warnings
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted

from fastmlp.data import SOURCE_DTYPES, as_source
from fastmlp.runtime import engine_threads
from fastmlp.sklearn import schedules
from fastmlp.sklearn.compat import (
    CallbackSupport,
    Interval,
    Options,
    StrOptions,
    TagSupport,
    check_sample_weight,
    fit_context,
    validate_data,
)
from fastmlp.sklearn.fitting import (
    NOT_FINITE,
    Epochs,
    Problem,
    Watch,
    dense_blocks,
    fit_lbfgs,
    fit_stochastic,
    is_sparse,
    predict_rows,
)
from fastmlp.sklearn.network import Network
from fastmlp.sklearn.sparse import pays
from fastmlp.spec import ACTIVATION_ALIASES, ACTIVATION_NAMES, Activation, NetworkSpec, Optimizer, as_optimizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastmlp.runtime import Engine

__all__ = ["MLPClassifier", "MLPRegressor"]

Array = NDArray[Any]

STOCHASTIC_SOLVERS = ("sgd", "adam")
#: What a training by mini-batches goes on counting where it goes on.
COUNTED = (
    "loss_curve_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
    "_no_improvement_count",
    "_best_parameters",
)
#: The engine's loss by the output's activation, unless the loss is the squared error.
LOSS_OF_OUTPUT = {
    "softmax": "cross_entropy",
    "logistic": "binary_cross_entropy",
    "exp": "poisson",
    "identity": "squared_error",
}
# Below so many multiply-adds one thread does it, and nobody asks how many there are.
ONE_THREAD = 1 << 18


def _is_stochastic(est: Any) -> bool:
    if est.solver not in STOCHASTIC_SOLVERS:
        raise AttributeError(
            f"partial_fit is only available for stochastic optimizers. {est.solver} is not stochastic."
        )
    return True


def _source_dtype(X: Any) -> Any:
    """What scikit-learn's validation is to make of X: nothing, if the engine reads it as it is."""
    if isinstance(X, np.ndarray) and X.dtype in SOURCE_DTYPES:
        return None
    return (np.float64, np.float32)


def _as_rows(X: Any) -> Any:
    """Validated X as the engine reads it; sparse rows as CSR."""
    return X.tocsr() if is_sparse(X) else as_source(X)


class BaseMLP(CallbackSupport, TagSupport, BaseEstimator):  # type: ignore[misc]
    """What classifier and regressor share: parameters, training, and the arrays that a user sees."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions({*ACTIVATION_NAMES, *ACTIVATION_ALIASES}), Activation, list, tuple],
        "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "optimizer": [StrOptions({"sgd", "adam"}), Optimizer, None],
        "n_threads": [Interval(Integral, 1, 1024, closed="both"), None],
        "max_seconds": [Interval(Real, 0, None, closed="neither"), None],
    }

    # Attributes that fit leaves and this file reads.
    n_outputs_: int
    n_features_in_: int
    out_activation_: str
    _network: Network

    # ---- the parameters that a user sees ------------------------------------------------------------------------

    @property
    def coefs_(self) -> list[Array]:
        """Weight matrices, (n_in, n_out) for each layer. They may be changed in place or replaced."""
        return self._parameters("coefs_")

    @coefs_.setter
    def coefs_(self, value: list[Array]) -> None:
        self._own_network().put("coefs_", value)

    @property
    def intercepts_(self) -> list[Array]:
        """Bias vectors, (n_out,) for each layer."""
        return self._parameters("intercepts_")

    @intercepts_.setter
    def intercepts_(self, value: list[Array]) -> None:
        self._own_network().put("intercepts_", value)

    def _parameters(self, name: str) -> list[Array]:
        try:
            return self._network.get(name)
        except (AttributeError, KeyError):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}") from None

    def _own_network(self) -> Network:
        if "_network" not in self.__dict__:
            self._network = Network()
        return self._network

    def _has_parameters(self) -> bool:
        return "_network" in self.__dict__ and self._network.has_parameters()

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        network = state.pop("_network", None)
        return state if network is None else {**state, **network.state()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if "coefs_" in state:
            state["_network"] = Network.from_state(state)
        super().__setstate__(state)

    # ---- the network ------------------------------------------------------------------------------------------------

    def _spec(self, sizes: Sequence[int], dtype: str) -> NetworkSpec:
        activation = self.activation
        if not isinstance(activation, str | Activation) and len(activation) != len(sizes) - 2:
            raise ValueError(
                f"activation must be one for all or one per hidden layer ({len(sizes) - 2}), got {activation!r}"
            )
        loss = "squared_error" if self.loss == "squared_error" else LOSS_OF_OUTPUT[self.out_activation_]
        return NetworkSpec.make(sizes, activation, self.out_activation_, loss, dtype)

    def _engine(self) -> Engine:
        """The engine with the parameters as they are now. The caller holds the network's lock."""
        network = self._network
        engine = network.engine(self._spec)
        wanted = (self.activation, self.out_activation_, self.loss)
        if network.key != wanted:
            spec = network.spec
            assert spec is not None
            network.reshape(self._spec(spec.sizes, spec.dtype))
            network.key = wanted
            engine = network.engine(self._spec)
        return engine

    def _initial_parameters(self, sizes: Sequence[int], dtype: str) -> tuple[list[Array], list[Array]]:
        """Glorot's uniform distribution in scikit-learn's form: biases are drawn, too, layer by layer."""
        weights, biases = [], []
        kinds = [self.activation] * (len(sizes) - 1) if isinstance(self.activation, str | Activation) else None
        if kinds is None:
            kinds = [*self.activation, *self.activation[-1:]] or ["identity"]
        for kind, fan_in, fan_out in zip(kinds, sizes[:-1], sizes[1:], strict=True):
            name = kind.name if isinstance(kind, Activation) else ACTIVATION_ALIASES.get(kind, kind)
            bound = np.sqrt((2.0 if name == "logistic" else 6.0) / (fan_in + fan_out))
            weights.append(self._random_state.uniform(-bound, bound, (fan_in, fan_out)).astype(dtype, copy=False))
            biases.append(self._random_state.uniform(-bound, bound, fan_out).astype(dtype, copy=False))
        return weights, biases

    # ---- training ---------------------------------------------------------------------------------------------------

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        incremental: bool = False,
        validation_data: Any = None,
    ) -> Self:
        hidden = self.hidden_layer_sizes
        hidden = list(hidden) if hasattr(hidden, "__iter__") else [hidden]
        if np.any(np.array(hidden) <= 0):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
        first_pass = not self._has_parameters() or (not self.warm_start and not incremental)

        given, targets, weight = self._validate_input(X, y, sample_weight, incremental, first_pass)
        problem = Problem(_as_rows(given), targets, weight)
        if validation_data is not None:
            problem.validation_set = self._validate_validation_data(validation_data)
        n_outputs = self._count_outputs(targets)
        sizes = [self.n_features_in_, *map(operator.index, hidden), n_outputs]
        self._random_state = check_random_state(self.random_state)
        if first_pass:
            self._start(sizes, given.dtype)

        network = self._network
        with network.lock:
            engine = self._engine()
            assert network.spec is not None
            if list(network.spec.sizes) != sizes:
                raise ValueError(
                    f"The network has layers of sizes {list(network.spec.sizes)} and cannot go on with {sizes}: "
                    "hidden_layer_sizes, features and outputs must stay as they were in the previous call to fit."
                )
            self.n_outputs_ = n_outputs
            threads = engine_threads(self.n_threads)
            loss_scale = 1.0 / self.n_outputs_ if self.loss == "squared_error" else 1.0
            context = self._callback_context(incremental)
            data = {"X": X, "y": y, "metadata": None if sample_weight is None else {"sample_weight": sample_weight}}
            if context is not None:
                context.call_on_fit_task_begin(estimator=self, **data)
            record = self._record_validation(problem, loss_scale, threads, first_pass)
            watch = Watch(self, record, context, data)
            try:
                if self.solver == "lbfgs":
                    fit_lbfgs(self, engine, problem, loss_scale, threads, watch)
                else:
                    self._fit_stochastic(engine, problem, incremental, loss_scale, threads, watch)
            finally:
                network.trained()
            if context is not None:
                context.call_on_fit_task_end(estimator=self, reconstruction_attributes=dict, **data)
            if not network.is_finite():
                raise ValueError(NOT_FINITE)
        return self

    def _start(self, sizes: list[int], source: np.dtype[Any]) -> None:
        """Begin a new network, and everything that counts its training."""
        self.n_iter_ = 0
        self.t_ = 0
        self.n_layers_ = len(sizes)
        self.out_activation_ = self._choose_output()
        dtype = "float32" if source == np.float32 else "float64"
        spec = self._spec(sizes, "float64" if self.solver == "lbfgs" else dtype)
        weights, biases = self._initial_parameters(sizes, dtype)
        if spec.dtype != dtype:
            weights, biases = ([array.astype(spec.dtype) for array in part] for part in (weights, biases))
        network = self._own_network()
        with network.lock:
            network.start(spec, weights, biases)
            network.key = (self.activation, self.out_activation_, self.loss)
        for name in COUNTED:
            self.__dict__.pop(name, None)

    def _begin_counting(self, early_stopping: bool) -> None:
        """What a first fit, or one that goes on from a fit of another kind, has to find."""
        attributes = self.__dict__
        attributes.setdefault("loss_curve_", [])
        attributes.setdefault("_no_improvement_count", 0)
        if early_stopping:
            self.best_loss_ = None
            if attributes.get("validation_scores_") is None:
                self.validation_scores_: list[float] | None = []
                self.best_validation_score_ = -np.inf
        else:
            if attributes.get("best_loss_") is None:
                self.best_loss_ = np.inf
            attributes.setdefault("validation_scores_", None)
            attributes.setdefault("best_validation_score_", None)

    def _make_schedule(self) -> schedules.Schedule:
        if self.optimizer is not None:
            return schedules.UserOptimizer(as_optimizer(self.optimizer))
        if self.solver == "adam":
            return schedules.Adam(self.learning_rate_init, self.beta_1, self.beta_2, self.epsilon)
        return schedules.Momentum(
            self.learning_rate_init, self.learning_rate, self.momentum, self.nesterovs_momentum, self.power_t
        )

    def _fit_stochastic(
        self,
        engine: Engine,
        problem: Problem,
        incremental: bool,
        loss_scale: float,
        threads: int,
        watch: Watch,
    ) -> None:
        if not incremental or not hasattr(self, "_optimizer"):
            self._optimizer = self._make_schedule()
            self._network.use_optimizer(self._optimizer.name)
        elif self._network.optimizer != self._optimizer.name:  # its state was of other shapes
            self._network.use_optimizer(self._optimizer.name)
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        rows: NDArray[np.int64] | None = None
        held_out = problem.validation_set
        if self.early_stopping and held_out is None:
            rows, held_out = self._split(problem)
        n = problem.n if rows is None else len(rows)
        if self.batch_size == "auto":
            batch_size = min(200, n)
        else:
            if self.batch_size > n:
                warnings.warn(
                    "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=5
                )
            batch_size = int(np.clip(self.batch_size, 1, n))
        self._begin_counting(self.early_stopping)
        if self.early_stopping and "_best_parameters" not in vars(self):
            self._best_parameters = engine.get_parameters()
        epochs = Epochs(engine, problem, self._optimizer, rows, batch_size, float(self.alpha), loss_scale, threads)

        def score() -> float:
            assert held_out is not None
            outputs = np.empty((held_out[0].shape[0], self.n_outputs_), self._network_dtype())
            predict_rows(engine, held_out[0], outputs, threads)
            return self._validation_score(outputs, held_out[1], held_out[2])

        fit_stochastic(
            self, epochs, incremental=incremental, early_stopping=self.early_stopping, score=score, watch=watch
        )
        if self.early_stopping:
            engine.set_parameters(*self._best_parameters)

    def _split(self, problem: Problem) -> tuple[NDArray[np.int64], tuple[Any, Array, NDArray[np.float64] | None]]:
        """Row numbers to train on, and the rows held out, drawn as scikit-learn draws them."""
        train, held = train_test_split(
            np.arange(problem.n, dtype=np.int64),
            random_state=self._random_state,
            test_size=self.validation_fraction,
            stratify=self._strata(problem.y),
        )
        if len(held) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        weight = None if problem.weight is None else problem.weight[held]
        return train, (problem.X[held], problem.y[held], weight)

    def _record_validation(
        self, problem: Problem, loss_scale: float, threads: int, first_pass: bool
    ) -> Callable[[], None] | None:
        if first_pass:
            self.__dict__.pop("validation_loss_curve_", None)
        if problem.validation_set is None:
            return None
        X, y, weight = problem.validation_set
        curve = self.__dict__.setdefault("validation_loss_curve_", [])
        row_loss, outputs = np.empty(X.shape[0]), np.empty((X.shape[0], self.n_outputs_), self._network_dtype())

        def record() -> None:
            engine = self._engine()
            if is_sparse(X):
                for part, block in dense_blocks(X):
                    engine.evaluate(block, y[part], outputs[part], row_loss[part], threads)
            else:
                engine.evaluate(X, y, outputs, row_loss, threads)
            curve.append(loss_scale * float(np.average(row_loss, weights=weight)))

        return record

    def _callback_context(self, incremental: bool) -> Any:
        """scikit-learn's view of this fit, if somebody looks (scikit-learn 1.9 and later)."""
        if incremental or not getattr(self, "_skl_callbacks", None):
            return None
        return self._init_callback_context(max_subtasks=self.max_iter)

    def _network_dtype(self) -> str:
        spec = self._network.spec
        assert spec is not None
        return spec.dtype

    # ---- validation -------------------------------------------------------------------------------------------------

    def _validate_input(
        self, X: Any, y: Any, sample_weight: ArrayLike | None, incremental: bool, reset: bool
    ) -> tuple[Any, Array, NDArray[np.float64] | None]:
        """X as scikit-learn validates it, targets as the engine reads them, weights."""
        raise NotImplementedError

    def _encode(self, y: Array) -> Array:
        """Validated y as the engine reads it."""
        raise NotImplementedError

    def _count_outputs(self, targets: Array) -> int:
        raise NotImplementedError

    def _choose_output(self) -> str:
        raise NotImplementedError

    def _strata(self, targets: Array) -> Array | None:
        raise NotImplementedError

    def _validation_score(self, outputs: Array, targets: Array, weight: NDArray[np.float64] | None) -> float:
        raise NotImplementedError

    def _validate_validation_data(self, given: Any) -> tuple[Any, Array, NDArray[np.float64] | None]:
        if not isinstance(given, tuple | list) or not 2 <= len(given) <= 3:
            raise ValueError("validation_data must be (X, y) or (X, y, sample_weight)")
        X = validate_data(self, given[0], accept_sparse=["csr", "csc"], dtype=_source_dtype(given[0]), reset=False)
        weight = _weights(given[2], X) if len(given) == 3 else None
        return _as_rows(X), self._encode(np.asarray(given[1])), weight

    # ---- prediction -------------------------------------------------------------------------------------------------

    def _outputs(self, X: Any) -> Array:
        """The network's outputs (n, n_outputs) for X, checked here."""
        network = self.__dict__.get("_network")
        if (
            type(X) is np.ndarray
            and X.ndim == 2
            and network is not None
            and X.dtype in SOURCE_DTYPES
            and "feature_names_in_" not in self.__dict__
            and X.shape[1] == self.__dict__.get("n_features_in_")
            and X.shape[0]
            and (X.dtype.kind != "f" or network.is_finite_array(X))
        ):
            rows = as_source(X)  # what validate_data would say takes longer than the network
        else:
            check_is_fitted(self)
            rows = _as_rows(validate_data(self, X, accept_sparse=["csr", "csc"], dtype=_source_dtype(X), reset=False))
        return self._predict_rows(rows)

    def _predict_rows(self, rows: Any) -> Array:
        network = self._network
        with network.lock:
            engine = self._engine()
            spec = network.spec
            assert spec is not None
            outputs = np.empty((rows.shape[0], spec.sizes[-1]), spec.dtype)
            if is_sparse(rows) and pays(rows, spec.sizes[1]):
                network.sparse_prediction().outputs(rows, outputs, engine_threads(self.n_threads))
                return outputs
        small = rows.shape[0] * network.n_parameters <= ONE_THREAD
        threads = 1 if small else engine_threads(self.n_threads)
        if not predict_rows(
            engine, rows, outputs, threads
        ):  # side by side with other predictions, but not with training
            with network.lock:
                predict_rows(self._engine(), rows, outputs, threads)
        return outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _weights(sample_weight: ArrayLike, X: Any) -> NDArray[np.float64]:
    return np.ascontiguousarray(check_sample_weight(sample_weight, X), dtype=np.float64)


class MLPClassifier(ClassifierMixin, BaseMLP):  # type: ignore[misc]
    """Multi-layer perceptron for classification, trained on the log loss: scikit-learn's class, many times faster.

    For the same ``random_state`` it makes the same networks as `sklearn.neural_network.MLPClassifier`. Parameters up to
    ``max_fun`` are scikit-learn's, with its defaults; those after it are fastmlp's and change nothing unless used.

    Parameters
    ----------
    hidden_layer_sizes : array-like of int or int, default=(100,)
        Widths of the hidden layers; ``()`` for none.
    activation : str, Activation or sequence of them, default="relu"
        Of the hidden layers: "identity", "logistic", "tanh", "relu" as in scikit-learn, and fastmlp's "leaky_relu",
        "elu", "softplus", "exp", "sign", `fastmlp.LeakyReLU` and `fastmlp.ELU`. A sequence has one for each hidden
        layer.
    solver : {"lbfgs", "sgd", "adam"}, default="adam"
        "sgd" and "adam" go over the rows in mini-batches; "lbfgs" takes all of them at once and is good for few rows.
    alpha : float, default=0.0001
        Strength of the L2 penalty on weights, which is divided by the number of rows (sum of weights) of a batch.
    batch_size : int or "auto", default="auto"
        Rows of a batch; "auto" means ``min(200, n_samples)``.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        How solver "sgd" changes its rate. "invscaling" divides it by ``t ** power_t``, where t counts the rows
        seen; "adaptive" divides it by 5 whenever training no longer improves, and stops below 1e-6.
    learning_rate_init : float, default=0.001
        First rate of "sgd" and "adam".
    power_t : float, default=0.5
        Exponent of "invscaling".
    max_iter : int, default=200
        Most epochs of "sgd" and "adam", iterations of "lbfgs".
    shuffle : bool, default=True
        Whether each epoch takes the rows in a new order.
    random_state : int, RandomState instance or None, default=None
        Of initial weights and biases, of shuffles, and of the split for early stopping.
    tol : float, default=1e-4
        Changes of loss or score that are smaller are no improvement.
    verbose : bool, default=False
        Whether to print the loss of every epoch.
    warm_start : bool, default=False
        Whether fit goes on from the network of the fit before.
    momentum : float, default=0.9
        Of solver "sgd".
    nesterovs_momentum : bool, default=True
        Whether that is Nesterov's.
    early_stopping : bool, default=False
        Whether to hold out rows, and stop when their score no longer improves, with the best network so far. Those rows
        are drawn within each class if there are two classes (as in scikit-learn), else at random.
    validation_fraction : float, default=0.1
        Share of rows to hold out.
    beta_1, beta_2 : float, default=0.9 and 0.999
        Decay of Adam's moments.
    epsilon : float, default=1e-8
        Of Adam, against division by zero.
    n_iter_no_change : int or inf, default=10
        How many epochs may pass without improvement before training stops.
    max_fun : int, default=15000
        Most evaluations of the loss by "lbfgs".
    loss : {"log_loss", "squared_error"}, default="log_loss"
        What is minimised; the squared error is that of the probabilities.
    optimizer : {"sgd", "adam"}, Optimizer or None, default=None
        An optimizer of fastmlp, such as ``fastmlp.Adam(3e-4)``, with its own rules and constant rate, in the place of
        the solver's.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, ``{label: weight}``; "balanced" makes all classes weigh the same. They multiply the
        weights of the rows.
    n_threads : int or None, default=None
        Number of threads; None lets the size of the work decide. The result does not depend on it.
    max_seconds : float or None, default=None
        Training stops after the epoch in which this time is over.

    Attributes
    ----------
    classes_ : ndarray or list of ndarray of shape (n_classes,)
        Class labels.
    loss_ : float
        Loss of the last epoch, L2 term included: mean over the rows, each under the weights before its batch's update.
    best_loss_ : float or None
        Least loss of any epoch; None with early stopping.
    loss_curve_ : list of float
        Loss of every epoch.
    validation_scores_ : list of float or None
        Accuracy on the held-out rows after every epoch; None without early stopping.
    best_validation_score_ : float or None
        Best of them.
    validation_loss_curve_ : list of float
        Loss on ``validation_data`` after every epoch, if fit was given any.
    t_ : int
        Rows seen in training.
    coefs_, intercepts_ : list of ndarray
        Weights (n_in, n_out) and biases (n_out,) of the layers. Arrays may be changed in place or replaced.
    n_features_in_ : int
        Features of the data.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if X had names that are strings.
    n_iter_ : int
        Epochs (iterations) of the last fit.
    n_layers_ : int
        Layers, counting that of the inputs.
    n_outputs_ : int
        Outputs of the network.
    out_activation_ : str
        "softmax" for several classes, "logistic" for two and for multi-label targets.

    See Also
    --------
    MLPRegressor : For regression.
    fastmlp.MLP : The network itself, without scikit-learn's conventions.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.model_selection import train_test_split
    >>> from fastmlp.sklearn import MLPClassifier
    >>> X, y = make_classification(n_samples=100, random_state=1)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=1)
    >>> clf = MLPClassifier(random_state=1, max_iter=300).fit(X_train, y_train)
    >>> clf.predict_proba(X_test[:1]).round(3)
    array([[0.038, 0.962]])
    >>> clf.score(X_test, y_test) > 0.8
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions({"log_loss", "squared_error"})],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }
    _multilabel = True
    classes_: Array

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: str = "log_loss",
        optimizer: Any = None,
        class_weight: Any = None,
        n_threads: int | None = None,
        max_seconds: float | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.loss = loss
        self.optimizer = optimizer
        self.class_weight = class_weight
        self.n_threads = n_threads
        self.max_seconds = max_seconds

    # ---- training ---------------------------------------------------------------------------------------------------

    @fit_context  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None, *, validation_data: Any = None) -> Self:
        """Fit the network to data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            float32 is computed in float32, all else in float64. Sparse rows are made dense batch by batch, never whole.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels, or 0 and 1 for each label of a multi-label problem.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.
        validation_data : (X, y) or (X, y, sample_weight), default=None
            Rows whose loss after every epoch goes to ``validation_loss_curve_``. With ``early_stopping=True`` they take
            the place of the rows held out.

        Returns
        -------
        self : MLPClassifier
        """
        return self._fit(X, y, sample_weight=sample_weight, validation_data=validation_data)

    @available_if(_is_stochastic)  # type: ignore[untyped-decorator]
    @fit_context  # type: ignore[untyped-decorator]
    def partial_fit(
        self, X: Any, y: Any, sample_weight: ArrayLike | None = None, classes: ArrayLike | None = None
    ) -> Self:
        """Go over the given rows once, from where the network is.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come; needed in the first call.

        Returns
        -------
        self : MLPClassifier
        """
        if getattr(self, "classes_", None) is None:
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            self.classes_ = unique_labels(classes)
            self._label_binarizer = LabelBinarizer()
            self._label_binarizer.fit(y if type_of_target(y).startswith("multilabel") else classes)
        elif classes is not None and not np.array_equal(self.classes_, unique_labels(classes)):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {self.classes_!r}"
            )
        return self._fit(X, y, sample_weight=sample_weight, incremental=True)

    def _validate_input(
        self, X: Any, y: Any, sample_weight: ArrayLike | None, incremental: bool, reset: bool
    ) -> tuple[Any, Array, NDArray[np.float64] | None]:
        X, y = validate_data(
            self, X, y, accept_sparse=["csr", "csc"], multi_output=True, dtype=_source_dtype(X), reset=reset
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        weight = None if sample_weight is None else _weights(sample_weight, X)
        if getattr(self, "classes_", None) is None or (not self.warm_start and not incremental):
            self._label_binarizer = LabelBinarizer()
            self._label_binarizer.fit(y)
            self.classes_ = self._label_binarizer.classes_
        elif self.warm_start:
            found = unique_labels(y)
            if set(found) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                    f"Previously got {self.classes_}, `y` has {found}"
                )
        if self.class_weight is not None:
            by_class = self._class_weights(y, incremental)
            weight = by_class if weight is None else weight * by_class
        return X, self._encode(y), weight

    def _class_weights(self, y: Array, incremental: bool) -> NDArray[np.float64]:
        if incremental and self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all rows at once: for partial_fit, pass the weights that "
                "sklearn.utils.class_weight.compute_class_weight gives for all of them, as a dict"
            )
        weights: NDArray[np.float64] = compute_sample_weight(self.class_weight, y)
        return weights

    def _encode(self, y: Array) -> Array:
        kind = self._label_binarizer.y_type_
        if kind.startswith("multilabel"):
            self._refuse_unknown(y)
            indicator: Array = np.ascontiguousarray(self._label_binarizer.transform(y), dtype=np.uint8)
            return indicator
        labels = np.searchsorted(self.classes_, y).astype(np.int32) if y.dtype.kind != "O" else self._look_up(y)
        labels[labels == len(self.classes_)] = 0
        if not np.array_equal(self.classes_[labels], y):
            self._refuse_unknown(y)
        if kind == "multiclass":
            return labels if self.loss == "log_loss" else np.eye(len(self.classes_), dtype=np.uint8)[labels]
        return labels.astype(np.uint8)[:, np.newaxis]

    def _look_up(self, y: Array) -> NDArray[np.int32]:
        numbers = {label: number for number, label in enumerate(self.classes_)}
        return np.array([numbers.get(label, 0) for label in y], dtype=np.int32)

    def _refuse_unknown(self, y: Any) -> None:
        found = unique_labels(y)
        if len(np.setdiff1d(found, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {found}."
            )

    def _count_outputs(self, targets: Array) -> int:
        return len(self.classes_) if targets.ndim == 1 else int(targets.shape[1])

    def _choose_output(self) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _strata(self, targets: Array) -> Array | None:
        return targets.astype(bool) if targets.ndim == 2 and targets.shape[1] == 1 else None

    def _validation_score(self, outputs: Array, targets: Array, weight: NDArray[np.float64] | None) -> float:
        if self.out_activation_ == "softmax":
            right = outputs.argmax(axis=1) == (targets if targets.ndim == 1 else targets.argmax(axis=1))
        else:
            right = ((outputs > 0.5) == targets).all(axis=1)
        return float(np.average(right, weights=weight))

    # ---- prediction -------------------------------------------------------------------------------------------------

    def predict(self, X: Any) -> Any:
        """Predict class labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        outputs = self._outputs(X)
        if self.out_activation_ == "softmax":
            return self.classes_.take(outputs.argmax(axis=1))
        if outputs.shape[1] == 1:
            outputs = outputs.ravel()
            if len(self.classes_) == 2 and not self._label_binarizer.y_type_.startswith("multilabel"):
                return self.classes_.take(outputs > 0.5)
        return self._label_binarizer.inverse_transform(outputs)

    def predict_proba(self, X: Any) -> Array:
        """Estimate the probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns are in the order of ``classes_``. Rows of a multi-label problem do not sum to one.
        """
        outputs = self._outputs(X)
        if outputs.shape[1] == 1:
            return np.hstack([1 - outputs, outputs])
        return outputs

    def predict_log_proba(self, X: Any) -> Array:
        """Compute the logarithm of `predict_proba`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        probabilities = self.predict_proba(X)
        logarithms: Array = np.log(probabilities, out=probabilities)
        return logarithms

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, BaseMLP):  # type: ignore[misc]
    """Multi-layer perceptron for regression: scikit-learn's class, many times faster.

    For the same ``random_state`` it makes the same networks as `sklearn.neural_network.MLPRegressor`. Parameters up to
    ``max_fun`` are scikit-learn's, with its defaults; those after it are fastmlp's and change nothing unless used.

    Parameters
    ----------
    loss : {"squared_error", "poisson"}, default="squared_error"
        What is minimised: half the squared error, or half the Poisson deviance of a network whose output is an
        exponential; the latter needs ``y >= 0``.
    hidden_layer_sizes : array-like of int or int, default=(100,)
        Widths of the hidden layers; ``()`` for none.
    activation : str, Activation or sequence of them, default="relu"
        Of the hidden layers, as for `MLPClassifier`.
    solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter, shuffle, random_state, tol, verbose
        As for `MLPClassifier`.
    warm_start, momentum, nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, epsilon
        As for `MLPClassifier`; early stopping watches the coefficient of determination.
    n_iter_no_change, max_fun, optimizer, n_threads, max_seconds
        As for `MLPClassifier`.

    Attributes
    ----------
    loss_, best_loss_, loss_curve_, t_, coefs_, intercepts_, n_features_in_, feature_names_in_, n_iter_, n_layers_
        As for `MLPClassifier`. The squared error is reported as its mean over the outputs.
    validation_scores_, best_validation_score_, validation_loss_curve_
        As for `MLPClassifier`, with R2 for the accuracy.
    n_outputs_ : int
        Outputs of the network.
    out_activation_ : str
        "identity", or "exp" for the loss "poisson".

    See Also
    --------
    MLPClassifier : For classification.
    fastmlp.MLP : The network itself, without scikit-learn's conventions.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from fastmlp.sklearn import MLPRegressor
    >>> X, y = make_regression(n_samples=200, n_features=20, random_state=1)
    >>> regr = MLPRegressor(random_state=1, max_iter=2000, tol=0.1).fit(X, y)
    >>> regr.score(X, y) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions({"squared_error", "poisson"})],
    }

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        optimizer: Any = None,
        n_threads: int | None = None,
        max_seconds: float | None = None,
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.optimizer = optimizer
        self.n_threads = n_threads
        self.max_seconds = max_seconds

    @fit_context  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None, *, validation_data: Any = None) -> Self:
        """Fit the network to data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            float32 is computed in float32, all else in float64. Sparse rows are made dense batch by batch, never whole.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.
        validation_data : (X, y) or (X, y, sample_weight), default=None
            As for `MLPClassifier.fit`.

        Returns
        -------
        self : MLPRegressor
        """
        return self._fit(X, y, sample_weight=sample_weight, validation_data=validation_data)

    @fit_context  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Go over the given rows once, from where the network is; with solver "lbfgs", minimise from there.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        self : MLPRegressor
        """
        return self._fit(X, y, sample_weight=sample_weight, incremental=True)

    def _validate_input(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        incremental: bool,  # noqa: ARG002 - only classes differ
        reset: bool,
    ) -> tuple[Any, Array, NDArray[np.float64] | None]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=True,
            dtype=_source_dtype(X),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, self._encode(y), None if sample_weight is None else _weights(sample_weight, X)

    def _encode(self, y: Array) -> Array:
        if is_sparse(y):
            raise TypeError(f"y is a sparse {type(y).__name__}; targets must be dense: pass y.toarray()")
        if y.dtype.kind not in "fiub":
            y = y.astype(np.float64)
        if self.loss == "poisson" and y.size and y.min() < 0:
            raise ValueError("Some value(s) of y are out of the valid range of the loss 'poisson', which is y >= 0.")
        return as_source(y if y.ndim == 2 else y[:, np.newaxis])

    def _count_outputs(self, targets: Array) -> int:
        return int(targets.shape[1])

    def _choose_output(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def _strata(self, targets: Array) -> Array | None:  # noqa: ARG002 - there are no classes
        return None

    def _validation_score(self, outputs: Array, targets: Array, weight: NDArray[np.float64] | None) -> float:
        if not np.isfinite(outputs).all():
            return float("nan")
        with np.errstate(over="ignore"):  # of a network that diverges: its score is minus infinity
            return float(r2_score(targets, outputs, sample_weight=weight))

    def predict(self, X: Any) -> Array:
        """Predict targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            In the dtype of the network.
        """
        outputs = self._outputs(X)
        return outputs.ravel() if outputs.shape[1] == 1 else outputs
