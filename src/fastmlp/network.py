"""`MLP`: what a user holds. Every argument is checked before anything changes; then, under the network's lock,
train/loop.py or the engine do the work. Nothing is computed here.
"""

from __future__ import annotations

import math
import os
import secrets
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike  # noqa: TC002 - for those who ask for the types of MLP's methods

from fastmlp.access import Access
from fastmlp.data import (
    Finite,
    as_inputs,
    as_real,
    as_targets,
    as_weights,
    check_finite,
    count_classes,
    refuse_overflow,
)
from fastmlp.files import ModelFile, load_model, save_model
from fastmlp.initializers import draw
from fastmlp.runtime import choose_backend, engine_threads, optimizer_state, set_optimizer_state
from fastmlp.runtime.measure import thread_peak
from fastmlp.spec import (
    Activation,
    ActivationName,
    Array,
    BackendName,
    Float,
    Layer,
    Loss,
    LossName,
    NetworkSpec,
    Operation,
    Optimizer,
    OptimizerName,
    OutputName,
    as_optimizer,
    name_tensors,
    weights_and_biases,
)
from fastmlp.spec.checks import flag, integer
from fastmlp.spec.hints import explained, no_attribute
from fastmlp.spec.initializers import Function, Initializer, InitName, as_initializer, default
from fastmlp.train import loop
from fastmlp.train.callbacks import CallbackLike, as_callbacks
from fastmlp.train.history import History  # noqa: TC001 - for those who ask for the types of MLP's methods
from fastmlp.train.learner import Learner
from fastmlp.train.metrics import evaluate
from fastmlp.train.profile import Profile  # noqa: TC001
from fastmlp.train.progress import Bar, ProgressBar
from fastmlp.train.source import Data

__all__ = ["MLP", "Trace", "load"]

Path: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """What happens inside a network for given rows: lists of one array (n, n_out) per layer, the output layer last.

    Attributes
    ----------
    signals : list of ndarray
        z = a W + b, what enters the activation function.
    outputs : list of ndarray
        a = f(z), what leaves it; the last are the network's outputs.
    sensitivities : list of ndarray or None
        dE/dz of each row's own loss E, not divided by the number of rows; None if no targets were given.

    Examples
    --------
    The derivatives of the rows' losses by their inputs are one product away:

    >>> import fastmlp
    >>> net = fastmlp.MLP([2, 3, 1], seed=0)
    >>> trace = net.trace([[1.0, 2.0], [0.5, -1.0]], [1.0, 0.0])
    >>> trace
    <Trace of 2 rows through layers of 3 and 1: signals, outputs, sensitivities>
    >>> (trace.sensitivities[0] @ net.weights[0].T).shape
    (2, 2)
    """

    signals: list[Array]
    outputs: list[Array]
    sensitivities: list[Array] | None = None

    def __repr__(self) -> str:
        """Its shape: the numbers themselves would flood a notebook."""
        *widths, last = (str(z.shape[1]) for z in self.signals)
        layers = f"layers of {', '.join(widths)} and {last}" if widths else f"one layer of {last}"
        rows = len(self.signals[-1])
        return (
            f"<Trace of {rows} row{'' if rows == 1 else 's'} through {layers}: "
            f"signals, outputs{'' if self.sensitivities is None else ', sensitivities'}>"
        )


class MLP:
    """Multi-layer perceptron: dense layers a = f(a W + b), trained by mini-batch gradient descent.

    Parameters
    ----------
    sizes : sequence of int
        The architecture vector: number of inputs, widths of the hidden layers, number of outputs.
    activation : str, Activation or sequence of them
        Of the hidden layers, one for all or one each: "identity", "sign", "logistic", "tanh", "relu", "leaky_relu",
        "elu", "softplus", "exp", or `LeakyReLU` and `ELU` with a parameter.
    output : str or Activation, optional
        Of the output layer: one of these or, for two and more outputs, "softmax". Default: what goes with the loss.
    loss : str or Loss, optional
        "squared_error", "cross_entropy" (of a softmax), "binary_cross_entropy" (of logistic outputs) or "poisson" (of
        exp outputs). Default: what goes with the output; the squared error for those that no other loss is named with.
    dtype : {"float32", "float64"}
        Of parameters and arithmetic.
    seed : int, optional
        Of all random numbers, 0 <= seed < 2**64: initial weights and the order of rows in every epoch. Same seed and
        same data give the same model bit for bit, whatever the processor and the number of threads. Default: drawn from
        the system.
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

    __slots__ = (
        "__weakref__",
        "_access",
        "_learner",
        "_loss_by_default",
        "_requested_backend",
        "profile_",
    )

    @explained
    def __init__(
        self,
        sizes: Sequence[int],
        *,
        activation: ActivationName | Activation | Sequence[ActivationName | Activation] = "relu",
        output: OutputName | Activation | None = None,
        loss: LossName | Loss | None = None,
        dtype: Float = "float32",
        seed: int | None = None,
        init: InitName | Initializer | Function | None = None,
        backend: BackendName | None = None,
    ) -> None:
        spec = NetworkSpec.make(sizes, activation=activation, output=output, loss=loss, dtype=dtype)
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
        weights = self._checked(
            [
                draw(initializer, self.seed, number, layer.n_in, layer.n_out)
                for number, (layer, initializer) in enumerate(zip(spec.layers, initializers, strict=True))
            ],
            "init",
        )
        biases = [np.zeros(layer.n_out, spec.dtype) for layer in spec.layers]
        self._learner.engine.write(name_tensors(weights, biases))
        self._loss_by_default = output is None and loss is None

    def _set_up(self, spec: NetworkSpec, seed: int, backend: str | None, stacklevel: int = 4) -> None:
        chosen = choose_backend(backend, stacklevel=stacklevel)
        self._requested_backend = backend
        self._learner = Learner(spec, chosen, chosen.engine(spec), seed)
        self._access = Access(self._learner.engine)
        self._loss_by_default = False
        self.profile_: Profile | None = None

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
            "sgd", "adam", or an object of `SGD` or `Adam`. Default: the one in use, or ``Adam()``. One of the same rule
            as before goes on with its state, one of another rule starts fresh.
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
        data = self._data(X, y, sample_weight, n_threads)
        if self._loss_by_default:
            self._doubt_regression(data.y)
        validation = self._validation(validation_data)
        bar = ProgressBar(len(data), epochs) if progress else Bar()
        if profile:
            thread_peak(self.isa, self._learner.spec.dtype)  # what a profile needs, before the network is locked
        learner = self._learner
        with self._access.training("fit"), learner.profiled(self._keep_profile) if profile else nullcontext():
            return loop.fit(
                learner,
                self,
                data,
                epochs=epochs,
                batch_size=batch_size,
                optimizer=chosen or learner.optimizer or as_optimizer(None),
                validation=validation,
                shuffle=shuffle,
                threads=n_threads,
                callbacks=called,
                lent=self._access.lent,
                bar=bar,
                train_metrics=train_metrics,
            )

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
        data = self._data(X, y, sample_weight)
        learner = self._learner
        with self._access.training("step"):
            return loop.step(learner, data, chosen or learner.optimizer or as_optimizer(None), n_threads)

    @explained
    def loss_and_grad(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, *, threads: int | None = None
    ) -> tuple[float, list[Array], list[Array]]:
        """Compute the loss of a batch and its gradient, for an optimizer of your own.

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
        data = self._data(X, y, sample_weight)
        with self._access.reading("loss_and_grad"):
            gradient: dict[str, Array] = {}
            loss = self._learner.engine.gradient(data.X, data.y, data.weight, n_threads, gradient)
            if math.isnan(loss):
                loss = evaluate(self._learner.engine, self._learner.spec, data, n_threads)["loss"]
        self._refuse_overflow(loss, data)
        return loss, *weights_and_biases(gradient)

    # ---- use ------------------------------------------------------------------------------------------------------

    def predict(self, X: ArrayLike, *, out: Array | None = None, threads: int | None = None) -> Array:
        """Compute the network's outputs.

        Parameters
        ----------
        X : array_like of shape (n, n_inputs)
            As for `fit`; n may be 0. Values beyond the network's dtype (1e39 in float32) count as infinite; where they
            make an output NaN, a ValueError names the first of them (`out` is then filled already).
        out : ndarray of shape (n, n_outputs), optional
            Where to put the result: C-contiguous, writeable, of the network's dtype.
        threads : int, optional
            As for `fit`.

        Returns
        -------
        ndarray of shape (n, n_outputs)
            `out` if given. Of the network's dtype; probabilities where the output is softmax or logistic.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.

        Examples
        --------
        >>> import fastmlp
        >>> fastmlp.MLP([3, 2], init="zeros", output="softmax").predict([[1, 2, 3]])
        array([[0.5, 0.5]], dtype=float32)
        """
        if out is None and threads is None:
            small = self._learner.engine.predict_small(X)
            if small is not None:
                return small
        n_threads = engine_threads(threads)
        # Nothing of the caller's may change before X is known to be good; a new array the engine fills while it checks.
        rows = self._inputs(X, allow_empty=True, check=out is not None)
        shape = (len(rows), self.sizes[-1])
        if out is None:
            target = result = np.empty(shape, self.dtype)
        else:
            result = self._checked_out(out, shape)
            target = np.empty(shape, self.dtype) if np.may_share_memory(rows, result) else result
        if len(rows):
            self._fill(target, rows, n_threads, check=out is None)
            if rows.dtype == np.float64 != self.dtype and np.isnan(target.min()):
                refuse_overflow(rows, self.dtype, "X")
        if target is not result:
            result[...] = target
        return result

    def _fill(self, out: Array, rows: Array, threads: int, check: bool) -> None:
        self._access.check_whole()
        engine = self._learner.engine
        try:
            if not engine.predict(rows, out, threads, check):
                # The parameters are just changing: wait for whoever changes them.
                with self._access.reading("predict"):
                    if not engine.predict(rows, out, threads, check):
                        raise RuntimeError("predict was called while other code changes this network's engine")
        except ValueError:
            check_finite(rows, "X")  # says which value, and where
            raise

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
        data = self._data(X, y, sample_weight)
        with self._access.reading("evaluate"):
            result = evaluate(self._learner.engine, self._learner.spec, data, n_threads)
        self._refuse_overflow(result["loss"], data)
        return result

    def _refuse_overflow(self, loss: float, data: Data) -> None:
        """A ValueError if the loss is NaN for values that the network's dtype cannot hold."""
        if math.isnan(loss):
            refuse_overflow(data.X, self.dtype, "X")
            refuse_overflow(data.y, self.dtype, "y")

    def trace(self, X: ArrayLike, y: ArrayLike | None = None, *, threads: int | None = None) -> Trace:
        """Record what every layer does: signals, outputs and, with targets, sensitivities.

        Parameters
        ----------
        X, y, threads
            As for `fit`; `y` may be left out.

        Returns
        -------
        Trace

        Examples
        --------
        >>> import fastmlp
        >>> net = fastmlp.MLP([2, 3, 1], activation="tanh", init="zeros")
        >>> trace = net.trace([[1.0, 2.0]], [1.0])
        >>> [z.shape for z in trace.signals], trace.sensitivities[-1]
        ([(1, 3), (1, 1)], array([[-1.]], dtype=float32))
        """
        n_threads = engine_threads(threads)
        rows = self._inputs(X)
        targets = None if y is None else self._targets(y, len(rows))
        with self._access.reading("trace"):
            return Trace(*self._learner.engine.trace(rows, targets, n_threads))

    # ---- state ----------------------------------------------------------------------------------------------------

    @property
    def weights(self) -> tuple[Array, ...]:
        """Weight matrices of all layers, (n_in, n_out) each: read-only copies.

        Set all of them with a sequence of such arrays; they are checked and copied. (The tuple and its arrays are
        read-only because a change of a copy would be lost.) The optimizer's state stays as it is.

        Examples
        --------
        >>> import fastmlp
        >>> net = fastmlp.MLP([2, 3, 1], seed=0)
        >>> net.weights = [2 * W for W in net.weights]
        >>> net.weights[0].shape
        (2, 3)
        """
        with self._access.reading("weights"):
            return _frozen(weights_and_biases(self._learner.engine.read())[0])

    @weights.setter
    def weights(self, value: Sequence[ArrayLike]) -> None:
        checked = self._checked(value, "weights")
        with self._access.setting("weights ="):
            self._learner.undo.forget()
            biases = weights_and_biases(self._learner.engine.read())[1]
            self._learner.engine.write(name_tensors(checked, biases))

    @property
    def biases(self) -> tuple[Array, ...]:
        """Bias vectors of all layers, (n_out,) each: read-only copies; set like `weights`."""
        with self._access.reading("biases"):
            return _frozen(weights_and_biases(self._learner.engine.read())[1])

    @biases.setter
    def biases(self, value: Sequence[ArrayLike]) -> None:
        checked = self._checked(value, "biases")
        with self._access.setting("biases ="):
            self._learner.undo.forget()
            weights = weights_and_biases(self._learner.engine.read())[0]
            self._learner.engine.write(name_tensors(weights, checked))

    @property
    def sizes(self) -> tuple[int, ...]:
        """The architecture vector: inputs, hidden widths, outputs."""
        return self._learner.spec.sizes

    @property
    def layers(self) -> tuple[Layer, ...]:
        """One (n_in, n_out, activation) for each layer, the output layer last."""
        return self._learner.spec.layers

    @property
    def loss(self) -> str:
        """Name of the loss."""
        return self._learner.spec.loss.name

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of parameters, arithmetic and outputs."""
        return np.dtype(self._learner.spec.dtype)

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""
        return self._learner.spec.n_parameters

    @property
    def seed(self) -> int:
        """Seed of all random numbers."""
        return self._learner.seed

    @property
    def optimizer(self) -> Optimizer | None:
        """The optimizer in use; None before the first training.

        Set it to change its hyperparameters, also from a callback: the state stays if the rule is the same, and starts
        fresh with another rule.

        Examples
        --------
        >>> import dataclasses, fastmlp
        >>> net = fastmlp.MLP([2, 3, 1], seed=0)
        >>> net.optimizer = fastmlp.Adam(0.01)
        >>> net.optimizer = dataclasses.replace(net.optimizer, learning_rate=0.001)
        >>> net.optimizer.learning_rate
        0.001
        """
        return self._learner.optimizer

    @optimizer.setter
    def optimizer(self, value: OptimizerName | Optimizer) -> None:
        if value is None:
            raise TypeError("optimizer must be a name or an optimizer, got None; reset_optimizer() begins anew")
        chosen = as_optimizer(value)
        with self._access.setting("optimizer ="):
            self._learner.use(chosen)

    def reset_optimizer(self) -> None:
        """Forget the optimizer's state and count its updates from 0; its hyperparameters stay.

        Examples
        --------
        >>> import fastmlp
        >>> net = fastmlp.MLP([2, 3, 1], seed=0)
        >>> loss = net.step([[0.0, 1.0]], [1.0])
        >>> net.n_steps, net.reset_optimizer(), net.n_steps
        (1, None, 0)
        """
        with self._access.setting("reset_optimizer"):
            self._learner.reset_optimizer()

    @property
    def n_epochs(self) -> int:
        """Epochs that training has completed so far."""
        return self._learner.epoch

    @property
    def n_steps(self) -> int:
        """Updates that the optimizer's state has seen: since its rule was first used, or `reset_optimizer`."""
        return self._learner.step

    @property
    def history(self) -> History:
        """What all calls of `fit` measured."""
        return self._learner.history

    @property
    def backend(self) -> str:
        """What computes: "cython" or "numpy"."""
        return self._learner.backend.name

    @property
    def isa(self) -> str:
        """Instruction set of the compiled engine; "numpy" for the reference."""
        return self._learner.engine.isa

    def save(self, path: Path) -> None:
        """Save the network, and all that training needs to go on, in a file of the safetensors layout.

        Parameters
        ----------
        path : str or path-like
            Written aside and renamed: an interruption leaves the old file or the new one. The history is not saved.

        Examples
        --------
        >>> import fastmlp, tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     net = fastmlp.MLP([4, 3], seed=0)
        ...     net.save(pathlib.Path(folder) / "m.safetensors")
        ...     same = fastmlp.load(pathlib.Path(folder) / "m.safetensors")
        >>> bool((same.weights[0] == net.weights[0]).all())
        True
        """
        save_model(path, self._model())

    def _model(self) -> ModelFile:
        with self._access.reading("save"):
            learner = self._learner
            weights, biases = weights_and_biases(learner.engine.read())
            return ModelFile(
                spec=learner.spec,
                weights=weights,
                biases=biases,
                seed=learner.seed,
                epoch=learner.epoch,
                optimizer=None if learner.optimizer is None else learner.optimizer.to_dict(),
                step=0 if learner.optimizer is None else learner.step,
                state=[] if learner.optimizer is None else optimizer_state(learner.engine),
            )

    def _resume(self, model: ModelFile, backend: str | None) -> None:
        """Become the network of a model file."""
        optimizer = None if model.optimizer is None else Optimizer.from_dict(model.optimizer)
        self._set_up(model.spec, model.seed, backend)
        learner, engine = self._learner, self._learner.engine
        engine.write(name_tensors(model.weights, model.biases))
        learner.position = model.epoch, None
        if optimizer is not None:
            learner.use(optimizer)
            slots = len(optimizer_state(engine))
            if len(model.state) != slots:
                raise ValueError(
                    f"optimizer {optimizer.name} has {slots} arrays of state per layer, not {len(model.state)}"
                )
            set_optimizer_state(engine, model.state, model.step)

    def __getstate__(self) -> dict[str, Any]:
        with self._access.reading("pickle"):
            return {
                "attributes": getattr(self, "__dict__", {}),  # of a subclass
                "model": self._model(),
                "history": self.history,
                "backend": self._requested_backend,
                "loss_by_default": self._loss_by_default,
            }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._resume(state["model"], state["backend"])
        self._learner.history = state["history"].since(0)
        self._loss_by_default = state.get("loss_by_default", False)
        for name, value in state.get("attributes", {}).items():
            setattr(self, name, value)

    def __repr__(self) -> str:
        spec = self._learner.spec
        kinds = [_shown(activation) for activation in spec.activations]
        hidden = kinds[0] if len(set(kinds)) == 1 else f"[{', '.join(kinds)}]"
        return (
            f"{type(self).__name__}({list(spec.sizes)}, {f'activation={hidden}, ' if kinds else ''}"
            f"output={_shown(spec.output)}, loss={_shown(spec.loss)}, dtype={spec.dtype!r}, seed={self.seed})"
        )

    def __str__(self) -> str:
        spec = self._learner.spec
        trained = (
            f"{self.n_epochs} epoch{'' if self.n_epochs == 1 else 's'} trained" if self.n_epochs else "not trained"
        )
        lines = [
            f"{type(self).__name__} {'-'.join(map(str, spec.sizes))}, {spec.loss.name}, {spec.dtype}, "
            f"{spec.n_parameters:,} parameters, {trained}, {self.backend}"
            + (f" ({self.isa})" * (self.isa != self.backend))
        ]
        for number, layer in enumerate(spec.layers, 1):
            shape = f"{layer.n_in} -> {layer.n_out}"
            lines.append(f"  {number}  {shape:<16} {layer.activation.name:<12} {(layer.n_in + 1) * layer.n_out:>12,}")
        return "\n".join(lines)

    # ---- attributes that there are not ------------------------------------------------------------------------------

    # No __getattr__ beside it: it would make every attribute, and so the prediction of a row, slower by a tenth.
    if not TYPE_CHECKING:  # which would take it for a promise that every attribute can be set

        def __setattr__(self, name: str, value: object) -> None:
            try:
                object.__setattr__(self, name, value)
            except AttributeError:
                if hasattr(type(self), name):
                    raise  # it is there, and cannot be set
                no_attribute(self, name)

    # ---- arguments ------------------------------------------------------------------------------------------------

    def _inputs(
        self, X: ArrayLike, name: str = "X", *, allow_empty: bool = False, check: bool = True, threads: int = 1
    ) -> Array:
        n_features = self._learner.spec.sizes[0]
        return as_inputs(X, n_features, name, allow_empty=allow_empty, check=check, finite=self._finite(threads))

    def _targets(self, y: ArrayLike, n_rows: int, name: str = "y", threads: int = 1) -> Array:
        spec = self._learner.spec
        return as_targets(y, spec.loss, spec.sizes[-1], n_rows, name, finite=self._finite(threads))

    def _finite(self, threads: int) -> Finite | None:
        finite = self._learner.backend.finite
        return None if finite is None else partial(finite, threads=threads)

    def _data(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, threads: int = 1) -> Data:
        rows = self._inputs(X, threads=threads)
        return Data(rows, self._targets(y, len(rows), threads=threads), as_weights(sample_weight, len(rows)))

    def _validation(self, given: Sequence[ArrayLike] | None) -> Data | None:
        if given is None:
            return None
        if not isinstance(given, tuple | list) or not 2 <= len(given) <= 3:
            what = f"{len(given)} of them" if isinstance(given, tuple | list) else type(given).__name__
            raise TypeError(f"validation_data must be (X, y) or (X, y, sample_weight), got {what}")
        rows = self._inputs(given[0], "validation_data[0]")
        targets = self._targets(given[1], len(rows), "validation_data[1]")
        weight = as_weights(given[2], len(rows), "validation_data[2]") if len(given) == 3 else None
        return Data(rows, targets, weight)

    def _checked(self, arrays: Sequence[ArrayLike], name: str) -> list[Array]:
        """Copies of arrays for every layer in the network's dtype, after all of them have been checked."""
        layers = self.layers
        if isinstance(arrays, str | bytes) or not isinstance(arrays, Sequence | np.ndarray):
            raise TypeError(f"{name} must be a list of {len(layers)} arrays, got {type(arrays).__name__}")
        if len(arrays) != len(layers):
            raise ValueError(f"{name} must be {len(layers)} arrays, one per layer, got {len(arrays)}")
        checked = []
        for place, (given, layer) in enumerate(zip(arrays, layers, strict=True)):
            shape = (layer.n_out,) if name == "biases" else (layer.n_in, layer.n_out)
            array = as_real(given, f"{name}[{place}]")
            if array.shape != shape:
                raise ValueError(f"{name}[{place}] must have shape {shape}, got {array.shape}")
            with np.errstate(over="ignore"):  # too large for the dtype: infinite, and refused as such
                array = np.array(array, dtype=self.dtype, order="C")
            check_finite(array, f"{name}[{place}] (as {self.dtype})")
            checked.append(array)
        return checked

    def _checked_out(self, out: Any, shape: tuple[int, ...]) -> Array:
        if not isinstance(out, np.ndarray):
            raise TypeError(f"out must be a NumPy array, got {type(out).__name__}")
        if out.dtype != self.dtype or not out.dtype.isnative:
            raise TypeError(f"out must have the network's dtype {self.dtype}, got {out.dtype.str}")
        if out.shape != shape:
            raise ValueError(f"out must have shape {shape}, got {out.shape}")
        if not (out.flags.c_contiguous and out.flags.aligned):
            raise ValueError("out must be C-contiguous and aligned")
        if not out.flags.writeable:
            raise ValueError("out must be writeable, got a read-only array")
        return out


def load(path: Path, backend: BackendName | None = None) -> MLP:
    """Load a network that `MLP.save` wrote; training goes on as if it had never stopped.

    Parameters
    ----------
    path : str or path-like
    backend : {"cython", "numpy"}, optional
        As for `MLP`.

    Returns
    -------
    MLP

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not such a file, or damaged. Nothing in a file is executed, and memory is not taken for more than it
        holds.
    """
    choose_backend(backend, stacklevel=3)  # a wrong argument is reported before a wrong file
    net = MLP.__new__(MLP)
    model = load_model(path)
    try:
        net._resume(model, backend)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{os.fsdecode(path)}: {error}") from error
    return net


def _frozen(arrays: list[Array]) -> tuple[Array, ...]:
    for array in arrays:
        array.flags.writeable = False
    return tuple(arrays)


def _shown(operation: Operation) -> str:
    """An activation or loss as one writes it in MLP's arguments: by name where its parameters are the default ones."""
    kind = type(operation)
    return repr(operation.name) if operation == kind() else f"{kind.__name__}({', '.join(map(repr, operation.params))})"
