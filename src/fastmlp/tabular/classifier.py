"""`TabularClassifier`: classes of a table's rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight

from fastmlp.tabular.base import BaseTabular
from fastmlp.tabular.calibration import sharpened, temperature_of, tempered
from fastmlp.tabular.recipe import is_rare
from fastmlp.tabular.targets import Classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.spec import Array

__all__ = ["TabularClassifier"]


class TabularClassifier(ClassifierMixin, BaseTabular):  # type: ignore[misc]
    """Neural networks for the classes of a table's rows, to be tried first: take a frame as it is, fit, predict.

    Numbers are scaled and cut into bins, categories encoded, gaps told, dates taken apart; rows are held out to stop at
    the best epoch and to calibrate probabilities. ``predict_proba`` is the mean of the networks.

    Parameters
    ----------
    effort : {"fast", "default", "best"}, default="default"
        How much work to put in: a small network, a larger one, or several.
    time_limit : float, optional
        Seconds that `fit` may take: where that is less than the effort needs, there are fewer epochs, or fewer rows.
        Results then depend on how fast the machine is.
    n_estimators : int, optional
        Networks, whose mean is the answer. Default, as of all parameters that may be None: as `effort` says.
    hidden_layer_sizes : int or sequence of int, optional
        Widths of the hidden layers.
    epochs, batch_size : int, optional
        How often each network goes over the rows, and rows of a step.
    learning_rate : float, optional
        Peak of the learning rate, which comes in cycles (`fastmlp.schedules.CosLog`).
    activation : str, optional
        Of the hidden layers, a name that `fastmlp.MLP` knows.
    dropout : float, optional
        Share of the hidden layers' outputs that are dropped in a step.
    label_smoothing : float, optional
        Share of each label that is spread over all classes. By default none where a class is rare.
    n_bins : int, optional
        Bins of each column of numbers; 0: none. By default from 8, where such columns are many, to 48.
    categorical_features : "auto" or sequence, default="auto"
        Which columns are categories though they hold numbers: their names, places, or yes and no for each. Columns of
        text and of a frame's categories always are.
    metric : "auto", str or metric, default="auto"
        What tells the best epoch: a name or object of `fastmlp.metrics`, such as "log_loss" or "auc". "auto": accuracy,
        or the area under the ROC curve where one of two classes is rare.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, which multiply those of their rows.
    calibrate : bool, default=True
        Whether probabilities are freed of what smoothed labels add to them, and brought nearer to or farther from each
        other by one temperature for all, as is best for rows held out.
    validation_fraction : float, default=0.2
        Share of the rows to hold out where no `eval_set` is given. ``effort="best"`` holds out another part of all rows
        for each of its networks.
    n_threads : int, optional
        Number of threads; the result does not depend on it. Default: as `fastmlp.get_num_threads` says.
    random_state : int, RandomState instance or None, default=None
        Source of all random numbers: the same one gives the same bits.
    callbacks : sequence of Callback or callable, default=()
        As for `MLP.fit`; each network gets copies of them, as in `fit_many`. What stops a training leaves the network
        as it was best.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, in their order.
    ensemble_ : Ensemble
        The networks.
    recipe_ : Recipe
        The numbers of the training.
    metric_ : str or metric
        What told the best epoch.
    temperature_ : float
        Of the calibration; 1 without.
    evals_result_ : dict of str to dict of str to list
        For "network_0" and so on, what each epoch measured: "loss", and with rows held out "val_loss" and "val_" with
        the metric.
    feature_importances_ : ndarray of shape (n_features_in_,)
        Shares of the columns in what is known, by shuffling each; computed when first asked for.
    n_features_in_, feature_names_in_ : int, ndarray
        Columns, and their names if they have any.

    See Also
    --------
    TabularRegressor : For numbers.
    fastmlp.sklearn.MLPClassifier : scikit-learn's estimator, for rows of numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.tabular import TabularClassifier
    >>> rng = np.random.default_rng(0)
    >>> color, size = rng.choice(["red", "green", "blue"], 300), rng.normal(size=300)
    >>> size[::10] = np.nan
    >>> X, y = np.array([color, size], object).T, np.where(color == "red", "stop", "go")
    >>> clf = TabularClassifier(effort="fast", epochs=5, random_state=0).fit(X, y)
    >>> clf.predict([["red", 0.5], ["blue", None]])
    array(['stop', 'go'], dtype='<U4')
    """

    _classes: ClassVar[bool] = True
    classes_: Array
    temperature_: float

    def __init__(
        self,
        effort: str = "default",
        *,
        time_limit: float | None = None,
        n_estimators: int | None = None,
        hidden_layer_sizes: Any = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        activation: Any = None,
        dropout: float | None = None,
        label_smoothing: float | None = None,
        n_bins: int | None = None,
        categorical_features: Any = "auto",
        metric: Any = "auto",
        class_weight: Any = None,
        calibrate: bool = True,
        validation_fraction: float = 0.2,
        n_threads: int | None = None,
        random_state: Any = None,
        callbacks: Any = (),
    ) -> None:
        self.effort = effort
        self.time_limit = time_limit
        self.n_estimators = n_estimators
        self.hidden_layer_sizes = hidden_layer_sizes
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.activation = activation
        self.dropout = dropout
        self.label_smoothing = label_smoothing
        self.n_bins = n_bins
        self.categorical_features = categorical_features
        self.metric = metric
        self.class_weight = class_weight
        self.calibrate = calibrate
        self.validation_fraction = validation_fraction
        self.n_threads = n_threads
        self.random_state = random_state
        self.callbacks = callbacks

    def fit(self, X: Any, y: Any, *, sample_weight: Any = None, eval_set: Any = None, groups: Any = None) -> Self:
        """Learn from the rows of a table.

        Parameters
        ----------
        X : DataFrame of pandas or polars, Arrow table, or array_like of shape (n, n_features)
            Columns of numbers, booleans, text, categories and dates, with gaps (NaN, None).
        y : array_like of shape (n,)
            Labels: text, integers, booleans.
        sample_weight : array_like of shape (n,), optional
            Weights of the rows.
        eval_set : (X, y) or (X, y, sample_weight), optional
            Rows that tell the best epoch and calibrate; then none of X are held out for that.
        groups : array_like of shape (n,), optional
            What rows belong together (a patient, a household): such are not torn apart where rows are held out.

        Returns
        -------
        self : TabularClassifier

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described: a column with infinity in it, targets with gaps or of one class.
        """
        return self._fit(X, y, sample_weight, eval_set, groups)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Predict the probability of each class.

        Parameters
        ----------
        X : as for `fit`
            A category that was not there in `fit` is taken as one of the rare ones, a new gap as what is usual.

        Returns
        -------
        ndarray of shape (n, n_classes)
        """
        outputs = self._outputs(X)
        return tempered(self._sharp(outputs), self.temperature_)

    def predict(self, X: Any) -> Array:
        """Predict the label of each row.

        Parameters
        ----------
        X : as for `predict_proba`

        Returns
        -------
        ndarray of shape (n,)
        """
        outputs = self._outputs(X)  # an estimator that is not fitted says so here
        labels: Array = self.classes_[outputs.argmax(axis=1)]
        return labels

    def _sharp(self, outputs: Array) -> Array:
        """Return outputs as they would be of labels that are not smoothed."""
        return sharpened(outputs, self.recipe_.label_smoothing) if self.calibrate else outputs

    def _learn_targets(self, y: Array, weight: NDArray[np.float64] | None) -> Array:  # noqa: ARG002
        self._labels = Classes.of(y)
        self.classes_ = self._labels.labels
        return self._labels.numbers(y)

    def _encode_targets(self, y: Array, name: str) -> Array:
        return self._labels.numbers(y, name)

    def _class_counts(self, targets: Array) -> NDArray[np.int64] | None:
        return np.bincount(targets, minlength=len(self.classes_))

    def _count_outputs(self) -> int:
        return len(self.classes_)

    def _choose_metric(self, targets: Array) -> str:
        counts = np.bincount(targets, minlength=len(self.classes_))
        return "auc" if len(counts) == 2 and is_rare(counts) else "accuracy"

    def _weigh_classes(self, y: Array, weight: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        if self.class_weight is None:
            return weight
        of_classes: NDArray[np.float64] = compute_sample_weight(self.class_weight, y)
        return of_classes if weight is None else of_classes * weight

    def _calibrate(self, outputs: Array | None, targets: Array, weight: NDArray[np.float64] | None) -> None:
        few = outputs is None or len(targets) < 50  # a temperature of a few rows is chance
        self.temperature_ = 1.0 if few or not self.calibrate else temperature_of(self._sharp(outputs), targets, weight)  # type: ignore[arg-type]
