"""What `MLPClassifier` and `MLPRegressor` share: constraints, the parameters of the network, training, prediction."""

from __future__ import annotations

import operator
import warnings
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.validation import check_is_fitted

from fastmlp.data import SOURCE_DTYPES, as_source
from fastmlp.runtime import engine_threads
from fastmlp.sklearn import schedules
from fastmlp.sklearn.compat import (
    CallbackSupport,
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
    TagSupport,
    check_sample_weight,
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
from fastmlp.spec import (
    ACTIVATION_ALIASES,
    ACTIVATION_NAMES,
    Activation,
    NetworkSpec,
    Optimizer,
    as_activation,
    as_optimizer,
    loss_of_output,
    name_tensors,
    weights_and_biases,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastmlp.runtime import Engine

__all__ = ["BaseMLP"]

Array = NDArray[Any]

ACTIVATIONS = {*ACTIVATION_NAMES, *ACTIVATION_ALIASES}
#: What a training by mini-batches goes on counting where it goes on.
COUNTED = (
    "loss_curve_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
    "_no_improvement_count",
    "_best_parameters",
)
# Below so many multiply-adds one thread does it, and nobody asks how many there are.
ONE_THREAD = 1 << 18


def source_dtype(X: Any) -> Any:
    """What scikit-learn's validation is to make of X: nothing, if the engine reads it as it is."""
    if isinstance(X, np.ndarray) and X.dtype in SOURCE_DTYPES:
        return None
    return (np.float64, np.float32)


def _as_rows(X: Any) -> Any:
    """Validated X as the engine reads it; sparse rows as CSR."""
    return X.tocsr() if is_sparse(X) else as_source(X)


class ActivationPerLayer(Options):  # type: ignore[misc]
    """A list or tuple of activations; that there is one for each hidden layer is seen when those are known."""

    def __init__(self) -> None:
        super().__init__(object, set())  # a kind of constraint that scikit-learn lets others derive from

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether it is one."""
        return isinstance(val, list | tuple) and all(
            isinstance(kind, Activation) or (isinstance(kind, str) and kind in ACTIVATIONS) for kind in val
        )

    def __str__(self) -> str:
        return "a list or tuple of them, one for each hidden layer"


class BaseMLP(CallbackSupport, TagSupport, BaseEstimator):  # type: ignore[misc]
    """What classifier and regressor share: parameters, training, and the arrays that a user sees."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(ACTIVATIONS), Activation, ActivationPerLayer()],
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

    def _keep(self, arguments: dict[str, Any]) -> None:
        """Be an estimator with these parameters: the arguments, by their names, of the `__init__` that calls this."""
        for name, value in arguments.items():
            if value is not self:
                setattr(self, name, value)

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
            raise InvalidParameterError(
                f"activation must be one for all or one per hidden layer ({len(sizes) - 2}), got {activation!r}"
            )
        loss = "squared_error" if self.loss == "squared_error" else loss_of_output(self.out_activation_)
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
            name = as_activation(kind).name
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
        hidden = self._hidden_sizes()
        first_pass = not self._has_parameters() or (not self.warm_start and not incremental)
        given, targets, weight = self._validate_input(X, y, sample_weight, incremental, first_pass)
        problem = Problem(_as_rows(given), targets, weight)
        if validation_data is not None:
            problem.validation_set = self._validate_validation_data(validation_data)
        n_outputs = self._count_outputs(targets)
        sizes = [self.n_features_in_, *hidden, n_outputs]
        data = {"X": X, "y": y, "metadata": None if sample_weight is None else {"sample_weight": sample_weight}}
        with self._own_network().access.training("fit"):
            self._random_state = check_random_state(self.random_state)
            if first_pass:
                self._start(sizes, given.dtype)
            engine = self._engine()
            self._refuse_other_sizes(sizes)
            self.n_outputs_ = n_outputs
            context = self._callback_context(incremental)
            if context is not None:
                context.call_on_fit_task_begin(estimator=self, **data)
            watch = Watch(self, self._record_validation(problem, first_pass), context, data)
            try:
                if self.solver == "lbfgs":
                    fit_lbfgs(self, engine, problem, self._loss_scale(), engine_threads(self.n_threads), watch)
                else:
                    self._fit_stochastic(engine, problem, incremental, watch)
            finally:
                self._network.trained()
            if context is not None:
                context.call_on_fit_task_end(estimator=self, reconstruction_attributes=dict, **data)
            if not self._network.is_finite():
                raise ValueError(NOT_FINITE)
        return self

    def _hidden_sizes(self) -> list[int]:
        hidden = self.hidden_layer_sizes
        hidden = list(hidden) if hasattr(hidden, "__iter__") else [hidden]
        if np.any(np.array(hidden) <= 0):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
        return list(map(operator.index, hidden))

    def _refuse_other_sizes(self, sizes: list[int]) -> None:
        spec = self._network.spec
        assert spec is not None
        if list(spec.sizes) != sizes:
            raise ValueError(
                f"The network has layers of sizes {list(spec.sizes)} and cannot go on with {sizes}: "
                "hidden_layer_sizes, features and outputs must stay as they were in the previous call to fit."
            )

    def _loss_scale(self) -> float:
        """By which the engine's loss is multiplied: scikit-learn's squared error is a mean over outputs."""
        return 1.0 / self.n_outputs_ if self.loss == "squared_error" else 1.0

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
        with network.access.reading("fit"):
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

    def _fit_stochastic(self, engine: Engine, problem: Problem, incremental: bool, watch: Watch) -> None:
        threads = engine_threads(self.n_threads)
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
        batch_size = self._rows_of_a_batch(problem.n if rows is None else len(rows))
        self._begin_counting(self.early_stopping)
        if self.early_stopping and "_best_parameters" not in vars(self):
            self._best_parameters = weights_and_biases(engine.read())
        epochs = Epochs(
            engine, problem, self._optimizer, rows, batch_size, float(self.alpha), self._loss_scale(), threads
        )

        def score(alive: bool) -> float:
            assert held_out is not None
            outputs = np.full((held_out[0].shape[0], self.n_outputs_), np.nan, self._network_dtype())
            if alive:  # else the outputs would be NaN, of which a classifier makes its first class
                predict_rows(engine, held_out[0], outputs, threads)
            return self._validation_score(outputs, held_out[1], held_out[2])

        fit_stochastic(
            self, epochs, incremental=incremental, early_stopping=self.early_stopping, score=score, watch=watch
        )
        if self.early_stopping:
            engine.write(name_tensors(*self._best_parameters))

    def _rows_of_a_batch(self, n: int) -> int:
        if self.batch_size == "auto":
            return min(200, n)
        if self.batch_size > n:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=6
            )
        return int(np.clip(self.batch_size, 1, n))

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

    def _record_validation(self, problem: Problem, first_pass: bool) -> Callable[[], None] | None:
        if first_pass:
            self.__dict__.pop("validation_loss_curve_", None)
        if problem.validation_set is None:
            return None
        X, y, weight = problem.validation_set
        threads, loss_scale = engine_threads(self.n_threads), self._loss_scale()
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

    def _validate_rows(self, X: Any, y: Any, reset: bool, **options: Any) -> tuple[Any, Array]:
        """X and y as scikit-learn validates them."""
        X, y = validate_data(
            self, X, y, accept_sparse=["csr", "csc"], multi_output=True, dtype=source_dtype(X), reset=reset, **options
        )
        return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

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
        X = validate_data(self, given[0], accept_sparse=["csr", "csc"], dtype=source_dtype(given[0]), reset=False)
        weight = weights_of(given[2], X) if len(given) == 3 else None
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
            rows = _as_rows(validate_data(self, X, accept_sparse=["csr", "csc"], dtype=source_dtype(X), reset=False))
        return self._predict_rows(rows)

    def _predict_rows(self, rows: Any) -> Array:
        network = self._network
        key = (self.activation, self.out_activation_, self.loss)
        current = network.current(key)
        if current is None:
            with network.access.reading("predict"):
                self._engine()
                current = network.both()
        engine, spec = current
        outputs = np.empty((rows.shape[0], spec.sizes[-1]), spec.dtype)
        if is_sparse(rows) and pays(rows, spec.sizes[1]):
            with network.access.reading("predict"):
                self._engine()
                network.sparse_prediction().outputs(rows, outputs, engine_threads(self.n_threads))
            return outputs
        small = rows.shape[0] * network.n_parameters <= ONE_THREAD
        threads = 1 if small else engine_threads(self.n_threads)
        if not predict_rows(engine, rows, outputs, threads):
            # Side by side with other predictions, but not with training.
            with network.access.reading("predict"):
                if not predict_rows(self._engine(), rows, outputs, threads):
                    raise RuntimeError("predict was called while other code changes this estimator's engine")
        return outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def weights_of(sample_weight: ArrayLike, X: Any) -> NDArray[np.float64]:
    return np.ascontiguousarray(check_sample_weight(sample_weight, X), dtype=np.float64)
