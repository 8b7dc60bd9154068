"""The common base of `TabularClassifier` and `TabularRegressor`: columns to rows, rows to networks, and back."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from fastmlp.data.frames import arrow_table, library_of
from fastmlp.many import Ensemble
from fastmlp.sklearn.compat import check_sample_weight, remember_features
from fastmlp.spec.activations.registry import ACTIVATION_NAMES
from fastmlp.spec.checks import choice, fraction, inner_fraction, integer, not_negative, positive
from fastmlp.tabular import files, plots
from fastmlp.tabular.columns import NamedColumns, columns_of
from fastmlp.tabular.encoding import Encoder
from fastmlp.tabular.importance import permutation_importances
from fastmlp.tabular.recipe import EFFORTS, Recipe, recipe_for
from fastmlp.tabular.splits import as_groups, split
from fastmlp.tabular.targets import as_target
from fastmlp.tabular.training import Rows, train
from fastmlp.train.callbacks import as_callbacks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastmlp.files.tensors import FilePath
    from fastmlp.spec import Array
    from fastmlp.tabular.columns import Column
    from fastmlp.tabular.training import Training

__all__ = ["BaseTabular"]

#: Parameters that are the recipe's own: None leaves each of them to it.
_CHECKS: dict[str, Any] = {
    "n_estimators": lambda value, name: integer(value, name, 1),
    "epochs": lambda value, name: integer(value, name, 1),
    "batch_size": lambda value, name: integer(value, name, 1),
    "learning_rate": positive,
    "activation": lambda value, name: choice(value, name, ACTIVATION_NAMES),
    "dropout": fraction,
    "n_bins": lambda value, name: integer(value, name, 0, 1024),
    "label_smoothing": fraction,
}


class BaseTabular(BaseEstimator):  # type: ignore[misc]
    """Base of the estimators, with everything but the meaning of targets and outputs."""

    _classes: ClassVar[bool]

    # Attributes that fit leaves.
    n_features_in_: int
    ensemble_: Ensemble
    recipe_: Recipe
    evals_result_: dict[str, dict[str, list[float]]]
    _encoder: Encoder

    # ---- what the classes know of their targets and outputs ---------------------------------------------------------

    @abstractmethod
    def _learn_targets(self, y: Array, weight: NDArray[np.float64] | None) -> Array:
        """Learn what targets there are; return them as networks learn them."""

    @abstractmethod
    def _encode_targets(self, y: Array, name: str) -> Array:
        """Return targets as networks learn them."""

    @abstractmethod
    def _class_counts(self, targets: Array) -> NDArray[np.int64] | None:
        """Return how many rows each class has; None for a regression."""

    @abstractmethod
    def _count_outputs(self) -> int:
        """Return the number of outputs that a network has."""

    @abstractmethod
    def _choose_metric(self, targets: Array) -> str:
        """Return the metric that tells the best epoch, where users leave it to us."""

    @abstractmethod
    def _calibrate(self, outputs: Array | None, targets: Array, weight: NDArray[np.float64] | None) -> None:
        """Learn from outputs for rows that were held out what they are worth; None: there were no such rows."""

    @abstractmethod
    def _weigh_classes(self, y: Array, weight: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        """Return weights of rows, with those of their classes."""

    # ---- training ---------------------------------------------------------------------------------------------------

    def _fit(self, X: Any, y: Any, sample_weight: Any, eval_set: Any, groups: Any) -> Self:
        before = self.__dict__.copy()
        try:
            self._learn(X, y, sample_weight, eval_set, groups)
        except BaseException:  # a fit that is refused, or interrupted, loses none that there was
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        return self

    def _learn(self, X: Any, y: Any, sample_weight: Any, eval_set: Any, groups: Any) -> None:
        begun = time.perf_counter()
        effort, given, limit, held_share = self._checked_parameters()
        callbacks = as_callbacks(self.callbacks)
        X = _as_table(X)
        columns = columns_of(X)
        n_rows = len(columns[0])
        y = as_target(y, n_rows, type(self).__name__)
        weight = _as_weight(sample_weight, n_rows)
        group_of = as_groups(groups, n_rows)
        if weight is not None:
            columns, y, weight, group_of = _weighing(columns, y, weight, group_of)
            n_rows = len(columns[0])
        if n_rows < 2:
            raise ValueError(f"X has {n_rows} sample: from one row alone nothing can be learnt (n_samples={n_rows})")
        targets = self._learn_targets(y, weight)
        _remember(self, X, reset=True)
        categorical = self._categorical(columns)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        counts = self._class_counts(targets)
        recipe = recipe_for(effort, n_rows, counts, given)
        metric = self._choose_metric(targets) if self.metric == "auto" else self.metric
        encoder = Encoder.of(columns, self._column_names(), categorical, recipe.n_bins)
        self._encoder = encoder
        validation = None if eval_set is None else self._validation(eval_set)
        folds = None
        if validation is None:
            several = effort == "best" and recipe.n_estimators > 1
            folds = split(n_rows, None if counts is None else targets, group_of, fraction=held_share,
                          count=recipe.n_estimators if several else 1, seed=seed)  # fmt: skip
        rows = Rows(encoder(columns), targets, self._weigh_classes(y, weight))
        training = train(
            rows,
            self._count_outputs(),
            recipe,
            metric,
            classes=self._classes,
            folds=folds,
            validation=validation,
            seed=seed,
            n_threads=self.n_threads,
            deadline=None if limit is None else begun + limit,
            callbacks=callbacks,
        )
        self.recipe_, self.metric_ = recipe, metric
        self._keep(training, columns, targets, weight, validation)

    def _keep(
        self,
        training: Training,
        columns: Sequence[Column],
        targets: Array,
        weight: NDArray[np.float64] | None,
        validation: Rows | None,
    ) -> None:
        """Set what fit leaves."""
        self.ensemble_ = Ensemble(training.networks)
        self.evals_result_ = {
            f"network_{number}": {name: list(result.history[name]) for name in result.history}
            for number, result in enumerate(training.results)
        }
        self.__dict__.pop("_importances", None)
        if training.held is not None:
            held = training.held
            self._calibrate(training.outputs, targets[held], None if weight is None else weight[held])
            some = held[:: max(1, len(held) // 2000)]
            self._seen = ([column[some] for column in columns], targets[some])
        elif validation is not None:
            self._calibrate(training.outputs, validation.y, validation.weight)
        else:
            self._calibrate(None, targets, None)
            self._seen = (list(columns), targets)

    def _checked_parameters(self) -> tuple[str, dict[str, Any], float | None, float]:
        """Check parameters; return the effort, what is chosen of the recipe, the time, and the share to hold out."""
        effort = choice(self.effort, "effort", tuple(EFFORTS))
        given: dict[str, Any] = {}
        for name, check in _CHECKS.items():
            value = getattr(self, name, None)
            given[name] = None if value is None else check(value, name)
        hidden = self.hidden_layer_sizes
        if hidden is not None:
            hidden = tuple(integer(width, "hidden_layer_sizes", 1) for width in np.atleast_1d(hidden).tolist())
        given["hidden_layer_sizes"] = hidden
        limit = None if self.time_limit is None else positive(self.time_limit, "time_limit")
        if self.metric != "auto":
            from fastmlp.metrics import as_metric

            as_metric(self.metric)
        return effort, given, limit, inner_fraction(self.validation_fraction, "validation_fraction")

    def _column_names(self) -> list[str]:
        names = getattr(self, "feature_names_in_", None)
        return [str(place) for place in range(self.n_features_in_)] if names is None else [repr(str(n)) for n in names]

    def _categorical(self, columns: Sequence[Column]) -> frozenset[int]:
        """Return the places of the columns that users call categories."""
        asked = self.categorical_features
        if asked is None or (isinstance(asked, str) and asked == "auto"):
            return frozenset()
        array = np.asarray(asked)
        if array.ndim != 1:
            raise TypeError(
                f"categorical_features must be 'auto' or names, places or yes and no of columns, got {asked!r:.80}"
            )
        if array.dtype.kind == "b" and len(array) == len(columns):
            return frozenset(np.flatnonzero(array).tolist())
        if array.dtype.kind in "iu":
            return frozenset(integer(int(place), "categorical_features", 0, len(columns) - 1) for place in array)
        names = list(getattr(self, "feature_names_in_", ()))
        unknown = [name for name in array.tolist() if name not in names]
        if unknown:
            raise ValueError(f"categorical_features has {unknown[0]!r}, which is no column of X: {names!r:.200}")
        return frozenset(names.index(name) for name in array.tolist())

    def _validation(self, eval_set: Any) -> Rows:
        """Check rows to validate on, (X, y) or (X, y, sample_weight), or a list with one such."""
        if isinstance(eval_set, list) and len(eval_set) == 1:
            eval_set = eval_set[0]
        if not isinstance(eval_set, tuple | list) or len(eval_set) not in (2, 3):
            raise ValueError("eval_set must be (X, y) or (X, y, sample_weight), or a list with one of them")
        X = _as_table(eval_set[0])
        columns = columns_of(X, "eval_set[0]")
        _remember(self, X, reset=False)
        y = as_target(eval_set[1], len(columns[0]), type(self).__name__, "eval_set[1]")
        weight = _as_weight(eval_set[2] if len(eval_set) == 3 else None, len(y))
        if weight is not None:
            columns, y, weight, _ = _weighing(columns, y, weight, None)
        targets = self._encode_targets(y, "eval_set[1]")
        some = slice(None, None, max(1, len(y) // 2000))
        self._seen = ([column[some] for column in columns], targets[some])
        return Rows(self._encoder(columns), targets, weight)

    # ---- what is learnt ---------------------------------------------------------------------------------------------

    def _outputs(self, X: Any) -> Array:
        """Return the mean of the networks' outputs for the rows of a table."""
        check_is_fitted(self, "ensemble_")
        X = _as_table(X)
        columns = columns_of(X)
        _remember(self, X, reset=False)
        return self.ensemble_.predict(self._encoder(columns), threads=self.n_threads)  # type: ignore[arg-type]

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """How much worse predictions are for rows with a column shuffled, as shares that sum to 1.

        Of at most 2000 of the rows that were validated on, which are kept for this; computed when it is first asked
        for (Breiman 2001). A file has it if it was asked for before.
        """
        check_is_fitted(self, "ensemble_")
        if "_importances" not in self.__dict__:
            if "_seen" not in self.__dict__:
                raise AttributeError(
                    "feature_importances_ was not asked for before the estimator was saved, and a file has no rows"
                )
            self._importances = permutation_importances(self.ensemble_, self._encoder, *self._seen)
        return self._importances

    def plot(self, ax: Any = None) -> Any:
        """Draw what each epoch measured on the rows that were validated on, a line for each network.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw. Default: new ones.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        check_is_fitted(self, "ensemble_")
        return plots.plot_epochs(self.evals_result_, getattr(self.metric_, "name", self.metric_), ax)

    def save(self, path: FilePath) -> None:
        """Save the estimator with all that predictions need, in one file of the safetensors layout.

        Parameters
        ----------
        path : str or path-like
            Written aside and renamed: an interruption leaves the old file or the new one. `fastmlp.tabular.load` reads
            it, also where pandas is missing, and `fastmlp.Ensemble.load` its networks alone.
        """
        check_is_fitted(self, "ensemble_")
        files.save(self, path)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        tags.non_deterministic = False
        return tags

    def _more_tags(self) -> dict[str, Any]:
        return {"allow_nan": True, "X_types": ["2darray", "string", "categorical"]}  # before scikit-learn 1.6


def _as_weight(sample_weight: Any, n_rows: int) -> NDArray[np.float64] | None:
    if sample_weight is None:
        return None
    weight: NDArray[np.float64] = check_sample_weight(sample_weight, np.zeros(n_rows), dtype=np.float64)
    not_negative(float(weight.min()), "sample_weight")
    return weight


def _remember(estimator: BaseTabular, X: Any, *, reset: bool) -> None:
    """Remember the number and the names of X's columns, or compare them with those that are remembered."""
    if not isinstance(X, NamedColumns):
        remember_features(estimator, X, reset=reset)
    elif reset:
        estimator.n_features_in_, estimator.feature_names_in_ = X.shape[1], np.array(X.names, object)
    else:
        known = tuple(getattr(estimator, "feature_names_in_", X.names))  # without names, their number is all there is
        if X.names != known or len(known) != estimator.n_features_in_:
            raise ValueError(f"X has the columns {X.names!r:.200}, in the place of {known!r:.200}")


def _as_table(X: Any) -> Any:
    return arrow_table(X, "X") if library_of(X) == "arrow" else X


def _weighing(
    columns: Sequence[Column], y: Array, weight: NDArray[np.float64], groups: NDArray[np.int64] | None
) -> tuple[list[Column], Array, NDArray[np.float64], NDArray[np.int64] | None]:
    """Return the rows that weigh anything: one that does not is as if it were not there."""
    kept = weight > 0.0
    if kept.all():
        return list(columns), y, weight, groups
    return [column[kept] for column in columns], y[kept], weight[kept], None if groups is None else groups[kept]
