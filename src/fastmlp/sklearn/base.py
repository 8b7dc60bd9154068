"""The common base of `MLPClassifier` and `MLPRegressor`: training, and the parts that they fill in."""

from __future__ import annotations

import operator
import warnings
from abc import abstractmethod
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state

from fastmlp.network.arguments import check_together
from fastmlp.runtime import engine_threads
from fastmlp.sklearn import solvers
from fastmlp.sklearn.compat import CallbackSupport, TagSupport
from fastmlp.sklearn.constraints import CONSTRAINTS
from fastmlp.sklearn.follow import NOT_FINITE, LossReport, SolverLearner, UntilLost, fit_stochastic, stream
from fastmlp.sklearn.initial import initial_parameters
from fastmlp.sklearn.lbfgs import minimize
from fastmlp.sklearn.observers import Callbacks, Observers
from fastmlp.sklearn.prediction import NetworkOutputs
from fastmlp.sklearn.sparse import predict_rows
from fastmlp.sklearn.task import ATTRIBUTES, Problem, Progress, Rules
from fastmlp.sklearn.validation import as_rows, validate_features, validate_weights
from fastmlp.sklearn.watch import Watch, averaged, evaluate
from fastmlp.spec import Array, as_clip, as_loss, as_optimizer, as_rates, weights_and_biases
from fastmlp.train.callbacks import as_callbacks
from fastmlp.train.checkpoint import refuse_checkpoints
from fastmlp.train.due import refuse_steps
from fastmlp.train.epoch import Epoch
from fastmlp.train.learner import Learner, StepOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from fastmlp.runtime import Engine
    from fastmlp.sklearn.watch import Rows

__all__ = ["BaseMLP"]

#: Parameters of what happens in steps, which L-BFGS does not make.
STEPS_ONLY = (
    *("dropout", "input_dropout", "input_noise", "mixup"),
    *("max_norm", "clip_norm", "clip_value", "ema", "lr_factors"),
)


class BaseMLP(CallbackSupport, TagSupport, NetworkOutputs):  # type: ignore[misc]
    """Base of the estimators, with everything but the meaning of targets and outputs.

    It is no ABC: that would ask its subclasses whether something is an instance, and those of `patched` take
    scikit-learn's estimators for theirs.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = CONSTRAINTS

    # Attributes that fit leaves and this file reads.
    n_outputs_: int
    n_features_in_: int

    def _keep(self, arguments: dict[str, Any]) -> None:
        """Set the parameters from the arguments, by their names, of the `__init__` that calls this."""
        for name, value in arguments.items():
            if value is not self:
                setattr(self, name, value)

    # ---- what the classes know of their targets and outputs ---------------------------------------------------------

    @abstractmethod
    def _validate_input(
        self, X: Any, y: Any, sample_weight: ArrayLike | None, incremental: bool, reset: bool
    ) -> tuple[Any, Array, NDArray[np.float64] | None]:
        """Return X as scikit-learn validates it, targets as the engine reads them, and weights."""

    @abstractmethod
    def _encode(self, y: Array) -> Array:
        """Return validated y as the engine reads it."""

    @abstractmethod
    def _count_outputs(self, targets: Array) -> int:
        """Return the number of outputs that a network for these targets has."""

    @abstractmethod
    def _choose_output(self) -> str:
        """Return the name of the activation of the network's outputs."""

    @abstractmethod
    def _strata(self, targets: Array) -> Array | None:
        """Return the class of each row if rows are to be held out within classes, else None."""

    @abstractmethod
    def _validation_score(self, outputs: Array, targets: Array, weight: NDArray[np.float64] | None) -> float:
        """Return the score that early stopping watches, of a network with these outputs."""

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
        problem = Problem(as_rows(given), targets, weight)
        if validation_data is not None:
            problem.validation_set = self._validate_validation_data(validation_data)
        n_outputs = self._count_outputs(targets)
        sizes = [self.n_features_in_, *hidden, n_outputs]
        self._check_together(len(sizes) - 1, incremental)
        data = {"X": X, "y": y, "metadata": None if sample_weight is None else {"sample_weight": sample_weight}}
        with self._own_parameters().access.training("fit"):
            self._random_state = check_random_state(self.random_state)
            if first_pass:
                self._start(sizes, given.dtype)
            engine = self._engine(training=True)
            self._refuse_other_sizes(sizes)
            self.n_outputs_ = n_outputs
            callbacks = self._callbacks(engine, incremental, data)
            if callbacks is not None:
                callbacks.begin_fit()
            observers = Observers(self.max_seconds, self._record_validation(engine, problem, first_pass), callbacks)
            try:
                if self._uses_lbfgs():
                    self._fit_lbfgs(engine, problem, observers)
                else:
                    self._fit_stochastic(engine, problem, incremental, observers)
            finally:
                self._shared.trained()
            if callbacks is not None:
                callbacks.end_fit()
            if not engine.is_finite():
                raise ValueError(NOT_FINITE)
        return self

    def _hidden_sizes(self) -> list[int]:
        hidden = self.hidden_layer_sizes
        hidden = list(hidden) if hasattr(hidden, "__iter__") else [hidden]
        if np.any(np.array(hidden) <= 0):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
        return list(map(operator.index, hidden))

    def _refuse_other_sizes(self, sizes: list[int]) -> None:
        spec = self._shared.both()[1]
        if list(spec.sizes) != sizes:
            raise ValueError(
                f"The network has layers of sizes {list(spec.sizes)} and cannot go on with {sizes}: "
                "hidden_layer_sizes, features and outputs must stay as they were in the previous call to fit."
            )

    def _loss_scale(self) -> float:
        """Return the factor of the engine's loss: scikit-learn's squared error is a mean over outputs.

        With penalties in it, it is reported as it is.
        """
        return 1.0 / self.n_outputs_ if self.loss == "squared_error" and not np.any(self.l1) else 1.0

    def _uses_lbfgs(self) -> bool:
        return self.solver == "lbfgs" and self.optimizer is None

    def _step_options(self) -> StepOptions:
        average = 0.0 if self.ema is None else 1.0 - self.ema
        return StepOptions(as_clip(self.clip_norm, self.clip_value), average, mixup=float(self.mixup))

    def _check_together(self, n_layers: int, incremental: bool) -> None:
        """Refuse parameters that do not go together, before anything has changed."""
        callbacks = as_callbacks(self.callbacks)
        refuse_steps(callbacks, "and an estimator's callbacks hear of whole epochs")
        refuse_checkpoints(callbacks, "and an estimator cannot go on there: a function (net, logs) may net.save(path)")
        optimizer = None if self.optimizer is None else as_optimizer(self.optimizer)
        check_together(optimizer, as_rates(self.lr_factors, n_layers), self._step_options(), self.max_norm)
        if self.ema is not None and incremental:
            raise ValueError(f"partial_fit does not support ema={self.ema}: fit ends with the average in place")
        if self._uses_lbfgs():
            for name in STEPS_ONLY:
                value = getattr(self, name)
                if any(value if isinstance(value, list | tuple) else (value,)):
                    raise ValueError(f"{name} is for steps, of which solver='lbfgs' makes none, got {name}={value!r}")
        loss = as_loss(self.loss)
        if self.mixup and (loss.leaves_out or not loss.mixes):
            raise ValueError(f"mixup must be 0 with loss={self.loss!r}, of which targets do not mix, got {self.mixup}")
        if loss.heads > 1:
            raise ValueError(
                f"loss={self.loss!r} has {loss.heads} outputs for each target, and an estimator has one: take an "
                "estimator for each, or fastmlp.MLP"
            )

    def _start(self, sizes: list[int], source: np.dtype[Any]) -> None:
        """Begin a new network, and set back everything that counts its training, once it is known to be one."""
        output, dtype = self._choose_output(), "float32" if source == np.float32 else "float64"
        spec = self._spec(sizes, "float64" if self._uses_lbfgs() else dtype, output)
        if self.metrics:
            from fastmlp.metrics import as_metrics

            as_metrics(self.metrics, spec)
        for name in ATTRIBUTES.values():
            if name != "loss_":
                self.__dict__.pop(name, None)
        self.__dict__.pop("_noise_seed", None)
        self.__dict__.pop("metric_curves_", None)
        self.n_iter_ = 0
        self.t_ = 0
        self.n_layers_ = len(sizes)
        self.out_activation_ = output
        weights, biases = initial_parameters(self._random_state, self.activation, sizes, dtype)
        if spec.dtype != dtype:
            weights, biases = ([array.astype(spec.dtype) for array in part] for part in (weights, biases))
        shared = self._own_parameters()
        with shared.access.reading("fit"):
            shared.start(spec, weights, biases)
            self._keep_keys()

    def _show(self, progress: Progress) -> None:
        """Set the attributes that say how far training has come."""
        for name, value in progress.attributes().items():
            setattr(self, name, value)

    def _make_solver(self) -> solvers.Solver:
        if self.optimizer is not None:
            return solvers.OptimizerSolver(as_optimizer(self.optimizer))
        if self.solver == "adam":
            return solvers.AdamSolver(self.learning_rate_init, self.beta_1, self.beta_2, self.epsilon)
        return solvers.SGDSolver(
            self.learning_rate_init, self.learning_rate, self.momentum, self.nesterovs_momentum, self.power_t
        )

    def _fit_stochastic(self, engine: Engine, problem: Problem, incremental: bool, observers: Observers) -> None:
        if not incremental or not hasattr(self, "_optimizer"):
            self._optimizer = self._make_solver()
            self._shared.use_optimizer(self._optimizer.name)
        elif self._shared.optimizer != self._optimizer.name:  # its state was of other shapes
            self._shared.use_optimizer(self._optimizer.name)
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        rows, held_out = np.arange(problem.n, dtype=np.int64), problem.validation_set
        if self.early_stopping and held_out is None:
            rows, held_out = self._split(problem)
        solver, alpha, threads = self._optimizer, float(self.alpha), engine_threads(self.n_threads)
        learner = self._learner(engine, solver, alpha)
        options = self._step_options()
        order = stream(rows, self._random_state if self.shuffle else None)
        source = UntilLost(problem, order, learner.reads_sparse(options))
        batch_size = self._rows_of_a_batch(len(rows))
        share = options.average
        epoch = Epoch(learner, source, batch_size, threads, squared_weights=bool(alpha), options=options)
        watch = self._watch(learner, problem, held_out)
        names = ("max_iter", "tol", "n_iter_no_change", "verbose", "early_stopping")
        rules = Rules(**{name: getattr(self, name) for name in names}, incremental=incremental)
        progress = Progress.of(vars(self), self.early_stopping)
        if self.early_stopping and progress.best_parameters is None:
            progress.best_parameters = engine.read()
        observers.show = partial(self._show, progress)

        def score(alive: bool) -> float:
            assert held_out is not None
            outputs = np.full((held_out[0].shape[0], self.n_outputs_), np.nan, self._network_dtype())
            if alive and share:
                with averaged(engine):
                    predict_rows(engine, held_out[0], outputs, threads)
            elif alive:  # else the outputs would be NaN, of which a classifier makes its first class
                predict_rows(engine, held_out[0], outputs, threads)
            return self._validation_score(outputs, held_out[1], held_out[2])

        try:
            report = LossReport(self._loss_scale(), alpha, watch)
            fit_stochastic(epoch, source, report, rules, progress, solver, observers, score)
            self.__dict__.setdefault("loss_", float("nan"))  # where the time was over before the first epoch was
            if share:
                engine.write(engine.read("average"))
        finally:
            self._show(progress)
            if share:
                learner.reset_average()
        if progress.best_parameters is not None and self.early_stopping:
            engine.write(progress.best_parameters)

    def _learner(self, engine: Engine, solver: solvers.Solver, alpha: float) -> SolverLearner:
        spec = self._shared.both()[1]
        seed = 0
        if any((*spec.dropout_rates, spec.input_noise, self.mixup)):  # keyed by a seed and the count of steps
            if "_noise_seed" not in self.__dict__:
                self._noise_seed = int(self._random_state.randint(np.iinfo(np.int32).max))
            seed, engine.n_steps = self._noise_seed, solver.t
        optimizer = solver.optimizer if isinstance(solver, solvers.OptimizerSolver) else None
        learner = SolverLearner(spec, engine, seed, optimizer, solver=solver, alpha=alpha)
        learner.rates = as_rates(self.lr_factors, len(spec.layers))
        return learner

    def _watch(self, learner: Learner, problem: Problem, held_out: Rows | None) -> Watch | None:
        """Return what measures and calls, if users want to see anything; without rows held out, those of training."""
        if not self.metrics and not self.callbacks:
            return None
        from fastmlp.metrics import as_metrics

        return Watch(
            learner,
            self._shared,
            as_callbacks(self.callbacks),
            as_metrics(self.metrics or [], learner.spec),
            held_out or (problem.X, problem.y, problem.weight),
            held_out=held_out is not None,
            loss_scale=self._loss_scale(),
            threads=engine_threads(self.n_threads),
            curves=self.__dict__.setdefault("metric_curves_", {}),
            average=self.ema is not None and not self._uses_lbfgs(),
        )

    def _fit_lbfgs(self, engine: Engine, problem: Problem, observers: Observers) -> None:
        watch = self._watch(Learner(self._shared.both()[1], engine), problem, problem.validation_set)
        users = () if watch is None else watch.callbacks

        def after_iteration(iteration: int, loss: float) -> bool:
            self.n_iter_, self.loss_ = iteration, loss
            if self.verbose:
                print(f"Iteration {iteration}, loss = {loss:.8f}")
            logs = {"epoch": iteration, "loss": loss} if watch is None else watch(iteration, loss)
            observers.on_epoch_begin(self, logs)
            stop = observers.on_epoch_end(self, logs)
            for user in users:
                assert watch is not None
                stop |= bool(user.on_epoch_end(watch.net, logs))
            return stop

        seen = observers.look_at_parameters or watch is not None
        watched = self.verbose or seen or self.max_seconds is not None
        for user in users:
            assert watch is not None
            told = {"epochs": self.max_iter, "names": watch.names, "modes": watch.modes, "optimizer": None}
            user.on_train_begin(watch.net, told)
        self.n_iter_, self.loss_ = minimize(
            engine,
            problem,
            alpha=self.alpha,
            loss_scale=self._loss_scale(),
            max_iter=self.max_iter,
            max_fun=self.max_fun,
            tol=self.tol,
            threads=engine_threads(self.n_threads),
            after_iteration=after_iteration if watched else None,
            show_parameters=seen,
        )
        for user in users:
            assert watch is not None
            user.on_train_end(watch.net, {"epoch": self.n_iter_, "loss": self.loss_})

    def _rows_of_a_batch(self, n: int) -> int:
        if self.batch_size == "auto":
            return min(200, n)
        if self.batch_size > n:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=6
            )
        return int(np.clip(self.batch_size, 1, n))

    def _split(self, problem: Problem) -> tuple[NDArray[np.int64], tuple[Any, Array, NDArray[np.float64] | None]]:
        """Draw rows to hold out, as scikit-learn does; return the numbers of the others, and the rows held out."""
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

    def _record_validation(self, engine: Engine, problem: Problem, first_pass: bool) -> Callable[[], None] | None:
        if first_pass:
            self.__dict__.pop("validation_loss_curve_", None)
        if problem.validation_set is None:
            return None
        threads, loss_scale = engine_threads(self.n_threads), self._loss_scale()
        curve = self.__dict__.setdefault("validation_loss_curve_", [])
        rows, average = problem.validation_set, self.ema is not None and not self._uses_lbfgs()

        def record() -> None:
            with averaged(engine) if average else nullcontext():
                losses = evaluate(engine, rows, self.n_outputs_, self._network_dtype(), threads)[1]
            curve.append(loss_scale * float(np.average(losses, weights=rows[2])))

        return record

    def _callbacks(self, engine: Engine, incremental: bool, data: dict[str, Any]) -> Callbacks | None:
        """Return scikit-learn's callbacks (1.9 and later), if the estimator has any."""
        if incremental or not getattr(self, "_skl_callbacks", None):
            return None
        context = self._init_callback_context(max_subtasks=self.max_iter)

        def parameters() -> dict[str, Any]:
            weights, biases = weights_and_biases(engine.read())
            return {"coefs_": weights, "intercepts_": biases}

        # Whoever holds coefs_ sees those of the epoch.
        return Callbacks(self, context, data, self._shared.trained, parameters)

    def _validate_validation_data(self, given: Any) -> tuple[Any, Array, NDArray[np.float64] | None]:
        if not isinstance(given, tuple | list) or not 2 <= len(given) <= 3:
            raise ValueError("validation_data must be (X, y) or (X, y, sample_weight)")
        X = validate_features(self, given[0])
        weight = validate_weights(given[2], X) if len(given) == 3 else None
        return as_rows(X), self._encode(np.asarray(given[1])), weight

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
