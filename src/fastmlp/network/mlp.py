"""`MLP`: how a network is made, learns and is measured.

Every argument is checked before anything changes; then, under the network's lock, train/loop.py or the engine do the
work. Nothing is computed here.
"""

from __future__ import annotations

import math
import secrets
import warnings
from collections.abc import Sequence  # noqa: TC003 - for those who ask for the types of MLP's methods
from contextlib import nullcontext

import numpy as np
from numpy.typing import ArrayLike  # noqa: TC002

from fastmlp.data import Data, as_data, as_parameters, as_validation, count_classes, refuse_overflow
from fastmlp.initializers import draw
from fastmlp.network.outputs import Outputs
from fastmlp.runtime import engine_threads
from fastmlp.runtime.measure import thread_peak
from fastmlp.spec import (
    Activation,
    ActivationName,
    Adam,
    Array,
    BackendName,
    Float,
    Loss,
    LossName,
    NetworkSpec,
    Optimizer,
    OptimizerName,
    OutputName,
    as_optimizer,
    name_tensors,
    weights_and_biases,
)
from fastmlp.spec.checks import flag, integer
from fastmlp.spec.hints import explained
from fastmlp.spec.initializers import Function, Initializer, InitName, as_initializer, default
from fastmlp.train import loop
from fastmlp.train.callbacks import CallbackLike, Lent, as_callbacks
from fastmlp.train.epoch import Epoch
from fastmlp.train.history import History, count_epochs
from fastmlp.train.metrics import Measured, evaluate
from fastmlp.train.profile import Profile, profiled
from fastmlp.train.progress import ProgressBar
from fastmlp.train.safety import Safety
from fastmlp.train.source import Arrays, in_order, shuffled

__all__ = ["MLP"]


class MLP(Outputs):
    """Multi-layer perceptron: dense layers a = f(a W + b), trained by mini-batch gradient descent.

    Parameters
    ----------
    sizes : sequence of int
        The architecture vector: number of inputs, widths of the hidden layers, number of outputs.
    activation : str, Activation or sequence of them
        Of the hidden layers, one for all or one each: "identity", "sign", "logistic", "tanh", "relu", "leaky_relu",
        "elu", "softplus", "exp", "selu", "gelu", "gelu_tanh", "silu" (or "swish"), "mish", "softsign", "relu6",
        "hardtanh", "hard_sigmoid", "hard_swish", or `LeakyReLU`, `ELU` and `Softplus` with a parameter.
    output : str or Activation, optional
        Of the output layer: one of these or, for two and more outputs, "softmax". Default: what goes with the loss.
    loss : str or Loss, optional
        "squared_error", "absolute_error", "huber", "log_cosh", "quantile", "cross_entropy" (of a softmax),
        "binary_cross_entropy" (of logistic outputs), "poisson", "gamma" or "tweedie" (of exp outputs), or an object
        with a parameter, such as `Huber(0.5)` or `Quantile(0.9)`. Default: what goes with the output; the squared error
        for those that no other loss is named with.
    dropout : float or sequence of float
        Probability, in [0, 1), that an output of a hidden layer is dropped in a step of `fit` or `step`, met to 2**-17:
        one for all hidden layers or one each. What stays is multiplied by 1 / (1 - dropout), so that all other methods
        do without: `predict`, `evaluate`, `trace`, and `loss_and_grad` too.
    input_dropout : float
        The same for the inputs.
    dtype : {"float32", "float64"}
        Of parameters and arithmetic.
    seed : int, optional
        Of all random numbers, 0 <= seed < 2**64: initial weights, the order of rows in every epoch, and dropout. Same
        seed and same data give the same model bit for bit, whatever the processor and the number of threads. Default:
        drawn from the system.
    init : str, Initializer or callable, optional
        How weights are drawn: "normal", "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform",
        "lecun_normal", "zeros", or a function ``f(n_in, n_out)`` that returns a matrix of that shape; see
        `fastmlp.initializers`. Default: by each layer's activation. Biases are zero.
    backend : {"cython", "numpy"}, optional
        The compiled engine or the pure-NumPy reference. Default: compiled, or the reference with a warning where it is
        missing.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    ImportError
        If ``backend="cython"`` and the extension cannot be used.

    Notes
    -----
    A network may be used from several Python threads: they wait for each other. A signal's handler runs where the call
    that it interrupts is at rest, a training after a whole step: there it may read the network (`save` it, for
    example), and what would change it is refused. A child process forked at such a moment, or while nothing trains, has
    the network as it is then; in one that was forked while another thread was in the middle of a step, using it is an
    error.

    What is dropped (Srivastava and others: Dropout, JMLR 15, 2014) is a function of the seed, `n_steps`, the layer, the
    row's place in the batch and the unit: a training that was saved and loaded goes on as if it had not been.

    Examples
    --------
    >>> import fastmlp
    >>> net = fastmlp.MLP([2, 16, 2], activation="tanh", output="softmax", seed=1)
    >>> net
    MLP([2, 16, 2], activation='tanh', output='softmax', loss='cross_entropy', dtype='float32', seed=1)
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> history = net.fit(X, y, epochs=200, optimizer=fastmlp.Adam(0.05))
    >>> net.evaluate(X, y)["accuracy"]
    1.0
    """

    __slots__ = ()

    @explained
    def __init__(
        self,
        sizes: Sequence[int],
        *,
        activation: ActivationName | Activation | Sequence[ActivationName | Activation] = "relu",
        output: OutputName | Activation | None = None,
        loss: LossName | Loss | None = None,
        dropout: float | Sequence[float] = 0.0,
        input_dropout: float = 0.0,
        dtype: Float = "float32",
        seed: int | None = None,
        init: InitName | Initializer | Function | None = None,
        backend: BackendName | None = None,
    ) -> None:
        spec = NetworkSpec.make(sizes, activation, output, loss, dtype, dropout, input_dropout)
        if spec.output.name == "softmax" and spec.sizes[-1] == 1:  # which the engine computes, but nobody means
            raise ValueError(
                f"output is the softmax of one number in sizes {list(spec.sizes)}, which is always 1: for two classes "
                "take one output with loss='binary_cross_entropy', or two outputs with output='softmax'"
            )
        try:
            initializers = [
                default(layer.activation) if init is None else as_initializer(init) for layer in spec.layers
            ]
        except (TypeError, ValueError) as error:
            raise type(error)(f"init: {error}") from None
        number = secrets.randbits(63) if seed is None else integer(seed, "seed", 0, 2**64 - 1)
        self._set_up(spec, number, backend, stacklevel=5)
        weights = as_parameters(
            spec,
            [
                draw(initializer, self.seed, number, layer.n_in, layer.n_out)
                for number, (layer, initializer) in enumerate(zip(spec.layers, initializers, strict=True))
            ],
            "init",
        )
        biases = [np.zeros(layer.n_out, spec.dtype) for layer in spec.layers]
        self._learner.engine.write(name_tensors(weights, biases))
        self._loss_by_default = output is None and loss is None

    # ---- learning -------------------------------------------------------------------------------------------------

    @explained
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        epochs: int = 10,
        batch_size: int = 32,
        optimizer: OptimizerName | Optimizer | None = None,
        validation_data: Sequence[ArrayLike] | None = None,
        sample_weight: ArrayLike | None = None,
        shuffle: bool = True,
        threads: int | None = None,
        callbacks: Sequence[CallbackLike] = (),
        progress: bool = False,
        train_metrics: bool = False,
        profile: bool = False,
    ) -> History:
        """Train for some epochs, going on from where the network is.

        The optimizer's state (momentum, moments, the count of updates) and the sequence of shuffles go on too:
        ``fit(epochs=5)`` twice equals ``fit(epochs=10)`` bit for bit, also when the network was saved and loaded in
        between. The state belongs to the rule: ``Adam(1e-4)`` after ``Adam(1e-3)`` goes on with the same moments and
        another learning rate; `SGD` after `Adam` starts with a fresh state, as does `reset_optimizer`.

        Parameters
        ----------
        X : array_like of shape (n, n_inputs)
            Real numbers of any dtype; float64, float32, float16, uint8, int16, int32 and int64 are read in place,
            whatever their strides, and never converted as a whole. Read-only arrays and memmaps larger than memory are
            welcome (see Notes).
        y : array_like
            For cross_entropy integer classes (n,) from 0, or probabilities (n, n_outputs); for the other losses
            (n, n_outputs), or (n,) if there is one output. A UserWarning says so when a network of one output, for
            which neither `output` nor `loss` was given, is to fit integers that look like classes: 0, 1, ..., k - 1,
            all of them, with k from 3 to 20.
        epochs : int
            How many times to go over the rows.
        batch_size : int
            Rows per update. The last batch of an epoch takes what is left and is averaged over its own rows.
        optimizer : str or Optimizer, optional
            "sgd", "adam", "adamw", "amsgrad", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "lion",
            "rprop", or an object of their classes (`SGD`, `Adam`, `AdamW`, ...). Default: the one in use, or
            ``Adam()``. One of the same rule as before goes on with its state, one of another rule starts fresh.
        validation_data : (X, y) or (X, y, sample_weight), optional
            Evaluated after every epoch.
        sample_weight : array_like of shape (n,), optional
            A batch's loss is the mean over its rows with these weights: sum w l / sum w.
        shuffle : bool
            Whether each epoch takes the rows in a new random order, keyed by the network's seed and the epoch's number.
        threads : int, optional
            Number of threads; by default chosen by the size of the work (see `fastmlp.set_num_threads`). The result
            does not depend on it.
        callbacks : sequence of Callback or callable
            Called after every epoch; see `Callback` and `EarlyStopping`.
        progress : bool
            Whether to draw a progress bar (needs tqdm).
        profile : bool
            Whether to note where the time goes, for a few clock readings per step: `profile_` then has a `Profile`,
            which prints as a table with advice. A process's first one measures the machine as well, for 0.05 s.
        train_metrics : bool
            Whether to evaluate the metric on the training data as well, at the cost of a forward pass per epoch.

        Returns
        -------
        History
            Of this call; `history` has that of all calls.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described; the network is as it was.
        TrainingDiverged
            If the loss becomes NaN or infinite; the network is back at its last good weights.
        KeyboardInterrupt, or what a signal's handler raises
            After a whole step. The network stays usable and keeps what it learnt; the unfinished epoch counts as not
            begun.

        Notes
        -----
        A memmap whose file is too short for it when a call begins is refused. To cut the file *during* a call, from
        another process, ends this one with SIGBUS, as reading it with NumPy does: replace files by renaming them.

        Examples
        --------
        >>> import numpy as np, fastmlp
        >>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
        >>> net = fastmlp.MLP([1, 20, 1], activation="tanh", seed=0)
        >>> history = net.fit(X, X[:, 0] ** 2, epochs=100, batch_size=10, optimizer=fastmlp.Adam(0.01))
        >>> history.loss[-1] < 0.1 * history.loss[0]
        True
        """
        epochs, batch_size = integer(epochs, "epochs", 1), integer(batch_size, "batch_size", 1)
        shuffle, progress = flag(shuffle, "shuffle"), flag(progress, "progress")
        train_metrics, profile = flag(train_metrics, "train_metrics"), flag(profile, "profile")
        chosen = None if optimizer is None else as_optimizer(optimizer)
        n_threads = engine_threads(threads)
        called = as_callbacks(callbacks)
        learner = self._learner
        data = as_data(learner.spec, X, y, sample_weight, finite=self._finite(n_threads))
        if self._loss_by_default:
            self._doubt_regression(data.y)
        validation = as_validation(learner.spec, validation_data, self._finite())
        bar = [ProgressBar(len(data), epochs)] if progress else []
        if profile:
            thread_peak(self.isa, self._learner.spec.dtype)  # what a profile needs, before the network is locked
        history = self._history
        order = shuffled(self._backend.permutation, learner.seed, len(data)) if shuffle else in_order(len(data))
        epoch = Epoch(learner, Arrays(data, order), min(batch_size, len(data)), n_threads)
        with self._access.training("fit"), profiled(learner, self._keep_profile) if profile else nullcontext():
            start, safety = count_epochs(history), Safety(epoch, history)
            report = Measured(history, data if train_metrics else None, validation, learner.spec.loss.metric)
            users = [Lent(called, self._access.lent)] if called else []
            loop.fit(epoch, epochs, report, [*bar, safety, *users], self, chosen or learner.optimizer or Adam())
            return history.since(start)

    def _doubt_regression(self, y: Array) -> None:
        """Warn the caller of `fit` where the targets look like the numbers of classes, and nobody chose the loss."""
        classes = count_classes(y)
        if classes:
            sizes = [*self.sizes[:-1], classes]
            warnings.warn(
                f"y has the whole numbers 0 to {classes - 1}, which look like classes, and this network fits them as "
                f"quantities, by the squared error. If they are classes, make it MLP({sizes}, output='softmax'); "
                "if not, MLP(..., loss='squared_error') says so.",
                UserWarning,
                stacklevel=4,  # this, fit, what explains its arguments, the caller
            )

    def _keep_profile(self, profile: Profile) -> None:
        self.profile_ = profile

    @explained
    def step(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        optimizer: OptimizerName | Optimizer | None = None,
        threads: int | None = None,
    ) -> float:
        """Make one update on exactly this batch.

        Parameters
        ----------
        X, y, sample_weight, optimizer, threads
            As for `fit`. The optimizer's state goes on from step to step, and between `step` and `fit`, also when
            ``optimizer=Adam(rate)`` has another learning rate in every step.

        Returns
        -------
        float
            The batch's loss before the update.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described; the network is as it was.
        TrainingDiverged
            If this batch's loss is NaN or infinite; the network is as it was. If it is finite and the update overflows,
            the network goes back to its parameters, optimizer state and counters of before the step, or, with more than
            32,768 parameters, of at most 16 updates before.

        Examples
        --------
        >>> import fastmlp
        >>> net = fastmlp.MLP([2, 1], init="zeros")
        >>> net.step([[1.0, 2.0]], [1.0], optimizer=fastmlp.SGD(0.1))
        0.5
        >>> net.weights[0].tolist(), net.biases[0].tolist()
        ([[0.10000000149011612], [0.20000000298023224]], [0.10000000149011612])
        """
        chosen = None if optimizer is None else as_optimizer(optimizer)
        n_threads = engine_threads(threads)
        data = as_data(self._learner.spec, X, y, sample_weight, finite=self._finite())
        learner = self._learner
        with self._access.training("step"):
            return loop.step(learner, data, chosen or learner.optimizer or Adam(), n_threads)

    @explained
    def loss_and_grad(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, *, threads: int | None = None
    ) -> tuple[float, list[Array], list[Array]]:
        """Compute the loss of a batch and its gradient, without dropout, for an optimizer of your own.

        Where the loss is NaN or infinite, there is no gradient: the arrays hold anything.

        Parameters
        ----------
        X, y, sample_weight, threads
            As for `fit`.

        Returns
        -------
        loss : float
            Mean of the rows' losses, weighted if weights are given; without weight decay.
        weight_gradients : list of ndarray of shape (n_in, n_out)
        bias_gradients : list of ndarray of shape (n_out,)
            One per layer, in the network's dtype.

        Examples
        --------
        >>> import fastmlp
        >>> net = fastmlp.MLP([2, 1], init="zeros", dtype="float64")
        >>> loss, dW, db = net.loss_and_grad([[1.0, 2.0]], [1.0])
        >>> loss, dW[0].tolist(), db[0].tolist()
        (0.5, [[-1.0], [-2.0]], [-1.0])
        """
        n_threads = engine_threads(threads)
        data = as_data(self._learner.spec, X, y, sample_weight, finite=self._finite())
        with self._access.reading("loss_and_grad"):
            gradient: dict[str, Array] = {}
            loss = self._learner.engine.gradient(data.X, data.y, data.weight, n_threads, gradient)
            if math.isnan(loss):
                loss = evaluate(self._learner.engine, self._learner.spec, data, n_threads)["loss"]
        self._refuse_overflow(loss, data)
        return loss, *weights_and_biases(gradient)

    @explained
    def evaluate(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, *, threads: int | None = None
    ) -> dict[str, float]:
        """Compute loss and metric on data.

        Parameters
        ----------
        X, y, sample_weight, threads
            As for `fit`. Memory does not grow with the number of rows.

        Returns
        -------
        dict
            "loss": mean of the rows' losses; and, by the loss,

            - cross_entropy: "accuracy", the share of rows whose largest output is their class (or largest probability);
            - binary_cross_entropy: "accuracy", the share of outputs on the same side of 1/2 as their targets;
            - squared_error: "r2", the coefficient of determination 1 - SS_residual / SS_total, averaged over the
              outputs; an output with constant targets counts 1 if it is met exactly and 0 otherwise;
            - poisson: "d2", the same with the Poisson deviance in the place of the squares.

            All of them count rows by `sample_weight` if it is given.

        Examples
        --------
        >>> import fastmlp
        >>> fastmlp.MLP([1, 1], init="zeros").evaluate([[1.0], [2.0]], [1.0, -1.0])
        {'loss': 0.5, 'r2': 0.0}
        """
        n_threads = engine_threads(threads)
        data = as_data(self._learner.spec, X, y, sample_weight, finite=self._finite())
        with self._access.reading("evaluate"):
            result = evaluate(self._learner.engine, self._learner.spec, data, n_threads)
        self._refuse_overflow(result["loss"], data)
        return result

    def _refuse_overflow(self, loss: float, data: Data) -> None:
        """A ValueError if the loss is NaN for values that the network's dtype cannot hold."""
        if math.isnan(loss):
            refuse_overflow(data.X, self.dtype, "X")
            refuse_overflow(data.y, self.dtype, "y")
