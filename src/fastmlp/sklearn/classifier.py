"""`MLPClassifier`: scikit-learn's parameters, attributes, warnings and errors over fastmlp's engine.

What it takes over of scikit-learn's behaviour, and what it does not, is in docs/sklearn.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels

from fastmlp.sklearn.base import BaseMLP
from fastmlp.sklearn.compat import StrOptions, fit_context
from fastmlp.sklearn.constraints import LOSS
from fastmlp.sklearn.labels import class_weights, decode, encode
from fastmlp.sklearn.validation import validate_rows, validate_weights
from fastmlp.spec import Array, as_loss

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["MLPClassifier"]


def _is_stochastic(est: Any) -> bool:
    if est._uses_lbfgs():
        raise AttributeError(
            f"partial_fit is only available for stochastic optimizers. {est.solver} is not stochastic."
        )
    return True


class MLPClassifier(ClassifierMixin, BaseMLP):  # type: ignore[misc]
    """Multi-layer perceptron for classification, trained on the log loss: scikit-learn's class, many times faster.

    For the same ``random_state`` it makes the same networks as `sklearn.neural_network.MLPClassifier`. Parameters up to
    ``max_fun`` are scikit-learn's, with its defaults; those after it are fastmlp's and change nothing unless used.

    Parameters
    ----------
    hidden_layer_sizes : array-like of int or int, default=(100,)
        Widths of the hidden layers; ``()`` for none.
    activation : str, Activation or sequence of them, default="relu"
        Activation of the hidden layers: "identity", "logistic", "tanh", "relu" as in scikit-learn, and fastmlp's
        other activations (`fastmlp.MLP` lists them), `fastmlp.LeakyReLU`, `fastmlp.ELU` and `fastmlp.Softplus`. A
        sequence has one for each hidden layer.
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
        Source of initial weights and biases, of shuffles, and of the split for early stopping.
    tol : float, default=1e-4
        Changes of loss or score that are smaller are no improvement.
    verbose : bool, default=False
        Whether to print the loss of every epoch.
    warm_start : bool, default=False
        Whether fit goes on from the network of the fit before.
    momentum : float, default=0.9
        Momentum of solver "sgd".
    nesterovs_momentum : bool, default=True
        Whether the momentum is Nesterov's.
    early_stopping : bool, default=False
        Whether to hold out rows, and stop when their score no longer improves, with the best network so far. Those rows
        are drawn within each class if there are two classes (as in scikit-learn), else at random.
    validation_fraction : float, default=0.1
        Share of rows to hold out.
    beta_1, beta_2 : float, default=0.9 and 0.999
        Decay of Adam's moments.
    epsilon : float, default=1e-8
        Term of Adam's denominator, against division by zero.
    n_iter_no_change : int or inf, default=10
        How many epochs may pass without improvement before training stops.
    max_fun : int, default=15000
        Most evaluations of the loss by "lbfgs".
    loss : {"log_loss", "squared_error"}, a name of fastmlp's or Loss, default="log_loss"
        What is minimised; the squared error is that of the probabilities. Others of fastmlp's that go with them: for
        several classes ``fastmlp.CrossEntropy(label_smoothing=0.1)``, ``fastmlp.Focal(2.0)``; for two classes and for
        labels ``fastmlp.BinaryCrossEntropy(pos_weight=5.0)``, ``fastmlp.BinaryFocal()``; or a `fastmlp.CustomLoss`.
    optimizer : str, Optimizer or None, default=None
        An optimizer of fastmlp, such as ``fastmlp.AdamW(3e-4)`` or its name, with its own rules and rates, in the place
        of the solver, whose parameters then count for nothing.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, ``{label: weight}``; "balanced" makes all classes weigh the same. They multiply the
        weights of the rows.
    n_threads : int or None, default=None
        Number of threads; None lets the size of the work decide. The result does not depend on it.
    max_seconds : float or None, default=None
        Training stops when this time is over, between two steps: the epoch that it was in the middle of is in no curve.
    dropout : float or list of float, default=0.0
        Share of each hidden layer's outputs that are dropped in a training step, >= 0 and < 1, or one per hidden layer.
        Which, is drawn by a seed from ``random_state``.
    input_dropout : float, default=0.0
        The same for the inputs.
    input_noise : float, default=0.0
        Standard deviation of Gaussian noise that is added to the inputs in training.
    mixup : float, default=0.0
        Rows of a batch are mixed in training, targets and weights with them, by shares from Beta(mixup, mixup), as in
        `fastmlp.MLP.fit`; 0: none is.
    l1 : float or list of float, default=0.0
        Strength of a penalty l1 * sum of |weights| that is added to each batch's loss, not divided by its rows as
        `alpha` is; or one per layer. With it, the squared error is reported as its sum over outputs.
    max_norm : float, list or None, default=None
        Largest norm of the weights into a unit, kept after each step; or one per layer.
    clip_norm, clip_value : float or None, default=None
        Largest norm of a batch's gradient, or largest magnitude of its entries, as in `fastmlp.MLP.fit`.
    ema : float or None, default=None
        Decay, > 0 and < 1, of a moving average of the weights (`fastmlp.MLP.fit`), which is what is validated, and what
        ``fit`` ends with.
    lr_factors : dict or None, default=None
        Factors of the learning rate by tensors, such as ``{"bias": 2.0, "layers.0": 0.1}`` (`fastmlp.MLP.fit`).
    metrics : list or None, default=None
        Names, functions or objects of `fastmlp.metrics`, measured after each epoch on the rows of ``validation_data``
        or of early stopping, as "val_" and their name, or else on those of the training. Into ``metric_curves_``.
    callbacks : list or None, default=None
        Callbacks and functions of `fastmlp`, such as ``fastmlp.EarlyStopping("val_loss")``. They are called with an
        `fastmlp.MLP` of the estimator's network and the measures of the epoch.
    residual : bool, default=False
        Whether hidden layers as wide as the one before add their inputs to their outputs.

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
    metric_curves_ : dict of str to list of float
        Measures of every epoch, "val_loss" among them where rows are held out; if there are ``metrics`` or
        ``callbacks``.
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
        "loss": [StrOptions({"log_loss"}), *LOSS],
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
        dropout: Any = 0.0,
        input_dropout: float = 0.0,
        input_noise: float = 0.0,
        mixup: float = 0.0,
        l1: Any = 0.0,
        max_norm: Any = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        lr_factors: Any = None,
        metrics: Any = None,
        callbacks: Any = None,
        residual: bool = False,
    ) -> None:
        self._keep(locals())  # get_params reads the names from this signature, so each class writes its own

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
        X, y = validate_rows(self, X, y, reset)
        weight = None if sample_weight is None else validate_weights(sample_weight, X)
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
            by_class = class_weights(self.class_weight, y, incremental)
            weight = by_class if weight is None else weight * by_class
        return X, self._encode(y), weight

    def _encode(self, y: Array) -> Array:
        as_numbers = self.loss == "log_loss" or as_loss(self.loss).labels
        return encode(y, self.classes_, self._label_binarizer, as_numbers)

    def _count_outputs(self, targets: Array) -> int:
        return len(self.classes_) if targets.ndim == 1 else int(targets.shape[1])

    def _choose_output(self) -> str:
        output = "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"
        if self.loss != "log_loss":
            loss = as_loss(self.loss)
            probable = loss.targets.low == 0 or loss.targets.low == -np.inf
            if loss.output not in ("", output) or not probable or (loss.labels and output == "logistic"):
                raise ValueError(
                    f"loss={self.loss!r} cannot be that of a network whose output is {output!r}, as it is for "
                    f"{self._label_binarizer.y_type_} targets"
                )
        return output

    def _strata(self, targets: Array) -> Array | None:
        return targets.astype(bool) if targets.ndim == 2 and targets.shape[1] == 1 else None

    def _validation_score(self, outputs: Array, targets: Array, weight: NDArray[np.float64] | None) -> float:
        if self.out_activation_ == "softmax":
            right = outputs.argmax(axis=1) == (targets if targets.ndim == 1 else targets.argmax(axis=1))
        elif len(self.classes_) == 1:
            right = np.ones(len(targets), dtype=bool)  # there is nothing else to predict, whatever the output says
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
        return decode(self._outputs(X), self.classes_, self._label_binarizer)

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
