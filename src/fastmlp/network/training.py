"""Training: epochs over rows, and single steps.

Every argument is checked before anything changes; then, under the network's lock, train/loop.py does the work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence  # noqa: TC003 - for those who ask for the types of the methods
from contextlib import nullcontext
from typing import Any, Literal

from numpy.typing import ArrayLike  # noqa: TC002

from fastmlp.data import as_data, names_of
from fastmlp.network.arguments import Rows, as_limits, as_rows, as_steps, refuse_beside, refuse_dense
from fastmlp.network.batches import InBatches, as_stream
from fastmlp.network.gradients import Gradients
from fastmlp.network.plan import Plan
from fastmlp.network.state import Path  # noqa: TC001
from fastmlp.network.together import as_resumed_by, epoch_of, join, refuse_alone, refuse_together, together
from fastmlp.runtime import engine_threads, get_num_threads
from fastmlp.runtime.measure import thread_peak
from fastmlp.spec import LBFGS, Adam, ClassWeight, Method, MetricLike, Optimizer, OptimizerName, as_optimizer
from fastmlp.spec.checks import flag, integer
from fastmlp.spec.hints import explained_as
from fastmlp.train import loop
from fastmlp.train.callbacks import CallbackLike, LoopCallback, as_callbacks
from fastmlp.train.checkpoint import refuse_checkpoints
from fastmlp.train.due import refuse_steps
from fastmlp.train.exchange import Ranks  # noqa: TC001
from fastmlp.train.history import History  # noqa: TC001
from fastmlp.train.lines import Lines
from fastmlp.train.metrics import Measured
from fastmlp.train.profile import Profile, profiled
from fastmlp.train.progress import ProgressBar
from fastmlp.train.samples import PerSample
from fastmlp.train.stream import Batches  # noqa: TC001

__all__ = ["Training"]


class Training(Gradients):
    """A network that learns."""

    __slots__ = ()

    @explained_as("MLP.fit")
    @together
    def fit(
        self,
        X: ArrayLike | Batches,
        y: ArrayLike | None = None,
        *,
        epochs: int | None = 10,
        batch_size: int = 32,
        optimizer: Method | None = None,
        validation_data: Sequence[ArrayLike] | Mapping[str, Sequence[ArrayLike]] | None = None,
        sample_weight: ArrayLike | None = None,
        class_weight: ClassWeight | None = None,
        shuffle: bool = True,
        threads: int | None = None,
        callbacks: Sequence[CallbackLike] = (),
        progress: bool = False,
        metrics: Sequence[MetricLike] | None = None,
        train_metrics: bool = False,
        profile: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        lr_factors: Mapping[str, float] | None = None,
        per_sample: bool = False,
        swa: int | None = None,
        mixup: float = 0.0,
        lazy: bool = False,
        validate_average: bool = False,
        max_steps: int | None = None,
        max_seconds: float | None = None,
        tol: float | None = None,
        patience: int = 10,
        target_loss: float | None = None,
        verbose: int = 0,
        validation_split: float | None = None,
        resume: bool | Path | None = None,
        comm: Any = None,
        exact: bool | int = False,
        sync_every: int | Literal["epoch"] = 1,
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
            welcome (see Notes). Also frames of pandas and polars and Arrow tables, which are read column by column
            (`feature_names` then has their names; `fastmlp.data.table` gives codes of categories), whatever has an
            Arrow stream, DLPack or a buffer, sparse rows of SciPy (CSR, or CSC, which is converted), and a list of such
            pieces, one below the other; nothing is put together as a whole.
            Or batches, without y: an iterable of (X, y) or (X, y, sample_weight), such as a list or a DataLoader of
            PyTorch, which is gone through anew in every epoch, or a function that returns one. Each batch is a step. A
            thread reads the next one meanwhile: there this network cannot be used. `batch_size` and `shuffle` are for
            arrays.
        y : array_like
            For cross_entropy integer classes (n,) from 0, or probabilities (n, n_outputs); for the other losses
            (n, n_outputs), or (n,) if there is one output. A UserWarning says so when a network of one output, for
            which neither `output` nor `loss` was given, is to fit integers that look like classes: 0, 1, ..., k - 1,
            all of them, with k from 3 to 20. A list of pieces as X may be; they are joined.
        epochs : int, optional
            How many times to go over the rows, at most. None: until something else ends the training (`max_steps`,
            `max_seconds`, `tol`, `target_loss` or a callback), whichever comes first.
        batch_size : int
            Rows per update. The last batch of an epoch takes what is left and is averaged over its own rows.
        optimizer : str or Optimizer, optional
            "sgd", "adam", "adamw", "amsgrad", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "lion",
            "rprop", "schedule_free_adamw", "muon", or an object of their classes (`SGD`, `AdamW`, ...). Default: the
            one in use, or ``Adam()``. One of the same rule as before goes on with its state, one of another rule starts
            fresh. Or "lbfgs" or `LBFGS`, which takes all rows at once and leaves the one in use as it is.
        validation_data : (X, y) or (X, y, sample_weight), or mapping of str to such, optional
            Evaluated after every epoch: "val_loss", "val_accuracy" and so on. Several sets have names of their own:
            with ``{"val": ..., "test": ...}``, "test_loss" is measured, too.
        sample_weight : array_like of shape (n,), optional
            A batch's loss is the mean over its rows with these weights: sum w l / sum w.
        class_weight : "balanced" or mapping, optional
            Weights of the classes, which multiply those of their rows; one for each class that occurs, as in
            ``{0: 1.0, 1: 5.0}``. "balanced": n / (number of classes * rows of the class), as in scikit-learn. For rows
            of one class: integers, one-hot rows, or 0 and 1 for one output. Metrics and validation data are without.
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
        metrics : sequence of str, Metric or callable, optional
            What to measure after every epoch on the validation data, where it is called "val_" and its name, or else on
            the training data. "accuracy", "balanced_accuracy", "zero_one", "top_5_accuracy" (or another k), "log_loss",
            "f1", "precision" and "recall" (and "f1_macro", "f1_micro", "f1_weighted", ...), "auc", "average_precision",
            "mae", "mse", "rmse", "mape", "pinball" (and "pinball_0.9", ...), "r2", "d2", "d2_absolute_error",
            "d2_pinball", an object of `fastmlp.metrics`, or a function ``f(y_true, y_pred)``, with a parameter
            ``sample_weight`` if it is to have that. Default: the one that goes with the loss (see `evaluate`), on
            validation data.
        train_metrics : bool
            Whether to measure on the training data as well, at the cost of a forward pass per epoch.
        clip_norm : float, optional
            > 0. Where the norm of a batch's gradient, by all weights and biases together, is larger, it is scaled to
            this one: g *= min(1, clip_norm / (norm + 1e-6)), as by PyTorch's ``clip_grad_norm_``. (Keras'
            ``global_clipnorm`` adds no 1e-6.) The gradient is that of the loss, with the network's `l1` and `l2`; an
            optimizer's weight_decay comes later, and is not clipped.
        clip_value : float, optional
            > 0. The same gradient's entries are brought into the range from -clip_value to clip_value, as by PyTorch's
            ``clip_grad_value_`` and Keras' ``clipvalue``. Not together with `clip_norm`.
        ema : float, optional
            > 0 and < 1, such as 0.999: after each step, average = ema * average + (1 - ema) * weights, for weights and
            biases (Polyak and Juditsky 1992). It begins at the weights before the first step, as timm's does (PyTorch's
            and Keras' at those behind it), and goes on in later calls with `ema`; without, it stays as it is.
            `averaged` gives a network with it; files and pickles have it.
        lr_factors : mapping of str to float, optional
            >= 0: what the learning rate is multiplied by, of "bias" or "weight" (all of them), of a layer ("layers.0")
            or of one of its two ("layers.0.bias"); where several are of a tensor, their product. 0 leaves it as it is.
            What decays by the learning rate (`AdamW`, `Lion`) decays so much faster or more slowly, too.
        per_sample : bool
            Whether to note each row's own loss and the norm of its gradient in passing: `per_sample_` then has a
            `PerSample`, which a callback can read after every epoch.
        swa : int, optional
            >= 1: stochastic weight averaging (Izmailov et al. 2018). From the end of this epoch on, counted from 1
            since the network was made as `History.epoch` counts, the average is the mean of the weights and biases at
            the ends of the epochs; before, it is the network as it was when the training began. A later call with the
            same number goes on with it. As for `ema`, instead of which it is, `averaged` gives a network with it.
            (PyTorch's `swa_utils.AveragedModel`, updated once an epoch; its rate is a matter of the schedule.)
        mixup : float, default 0.0
            >= 0: alpha of mixup (Zhang et al. 2018). Each step draws a share from Beta(alpha, alpha) and mixes its
            batch with itself, rotated by a row: (1 - share) x + share x' with x' the next row, or for the last one the
            first. Targets are mixed as well, classes as one-hot rows, so that their loss is that mixture of the losses
            of both (of quantities, it is the loss of the mixed one), and so are weights. The history's loss is that of
            mixed rows; what is measured is not mixed. Not for hinges and the perceptron criterion, whose targets have
            nothing between them, and not together with `per_sample`. 0: nothing is mixed.
        lazy : bool
            For sparse rows: whether a step updates only those weights of the first layer, and their part of the
            optimizer's state, whose columns its batch has, as PyTorch's `SparseAdam` does behind an
            ``EmbeddingBag(sparse=True)``: it costs what the batch's entries do. Momentum, moments, decay and gradients
            of `l1` and `l2` stand still where a column does not occur; t and epsilon of `Adam` are as ever. Not with
            `clip_norm`, `per_sample`, `comm`, changed inputs, "muon", "rprop", "schedule_free_adamw" and "lbfgs".
        validate_average : bool
            Whether what is measured after every epoch, validation data and metrics, is the average of the weights that
            `ema` or `swa` keeps, in the place of the weights. `EarlyStopping` and others then decide by it, and where
            the best weights are restored, so is the average beside them. (Before the epoch of `swa`, the weights.)
        max_steps : int, optional
            How many updates to make, at most, also where that is in the middle of an epoch.
        max_seconds : float, optional
            > 0. The time to stop after, between two updates: within 50 ms where an update and `validation_data` take
            less. The unfinished epoch is not in the history and counts as not begun; its updates stay.
        tol : float, optional
            >= 0. Stop where the loss (on the validation data if there are any, else on the training data) has not
            fallen by more than this for `patience` epochs in a row. `EarlyStopping` can do more.
        patience : int
            Of `tol`.
        target_loss : float, optional
            Stop after an epoch with this loss (of which, see `tol`), or a lower one.
        verbose : {0, 1, 2}
            Lines on standard output, as Keras prints them: 2 gives each epoch its measurements; 1 has a bar, too, that
            moves where the output is a terminal.
        validation_split : float, optional
            > 0 and < 1. The share of the rows that is held out as the validation data "val": of each class the same,
            at random by the network's seed. Nothing is copied but targets and weights (and, for L-BFGS, the rows).
        resume : True or path, optional
            Go on with a training that was stopped, as if it had not been: with one in a file that `Checkpoint` wrote,
            which takes the place of this network's own state (where there is no file, the training begins), or (True)
            with this network's last one, which max_steps, max_seconds or Ctrl-C stopped, also after `save` and `load`
            (not those of one with `callbacks`, which may have changed the network behind it: `Checkpoint` saves it).
            Data and the other arguments have to be the same; `epochs`, limits, `threads` and `optimizer` may be others.
            Both `epochs` and `max_steps` count from the training's beginning, `max_seconds` from the call's.
        comm : mpi4py.MPI.Intracomm, optional
            Train on all of its ranks, such as ``MPI.COMM_WORLD``, each of which makes this call with a part of the rows
            of its own, X, y and the others, `validation_data` too, of any length; the network and its state become
            rank 0's. Every step takes of each part its share of `batch_size` rows in proportion, and its gradient is
            that of all of them. What is measured is of all ranks' rows, and is the same on all of them. `Checkpoint`
            writes on rank 0, where `resume` is read. `threads` is of each rank (default: its part of the machine's).
        exact : bool or int
            With `comm`: whether the weights are to be the same bits on any number of ranks. The rows, in the order of
            the ranks, are cut into 12 shares (or so many), of which every step takes as many; each share's gradient is
            summed up alone, and then they are added in their order. A share goes to the rank with most of it, so that
            rows move where parts are no multiples of shares. More ranks than shares cannot take part.
        sync_every : int or "epoch"
            With `comm`: how many steps each rank makes alone, on its part of the batch, before weights and the
            optimizer's states are averaged by the numbers of rows. For slow networks; 1 exchanges each gradient.

        Returns
        -------
        History
            Of this call; `history` has that of all calls. Its `stopped` says why the call came to its end.

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
        Batches that are no good, that end at once or before their ``len``, or whose iterable raises, end the call with
        that error; the network is as after the last whole step, and the epoch counts as not begun. An iterator, such as
        a generator, has one epoch.

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
        ranks: Ranks | None = comm  # by `together`
        if ranks is None:
            refuse_alone(exact, sync_every)
        batch_size, verbose = integer(batch_size, "batch_size", 1), integer(verbose, "verbose", 0, 2)
        shuffle, progress = flag(shuffle, "shuffle"), flag(progress, "progress")
        train_metrics, profile = flag(train_metrics, "train_metrics"), flag(profile, "profile")
        per_sample, validate_average = flag(per_sample, "per_sample"), flag(validate_average, "validate_average")
        called = as_callbacks(callbacks)
        limits = as_limits(epochs, max_steps, max_seconds, tol, patience, target_loss, called)
        steps = as_steps(
            self,
            optimizer,
            clip_norm=clip_norm,
            clip_value=clip_value,
            ema=ema,
            swa=swa,
            mixup=mixup,
            lr_factors=lr_factors,
            lazy=lazy,
        )
        method = steps.method
        refuse_beside(steps.options, per_sample=per_sample, comm=ranks is not None)
        if per_sample and self.norm == "batch":
            raise ValueError(
                "per_sample notes each row's own gradient, and with norm='batch' rows have none of their own"
            )
        if isinstance(method, LBFGS):
            if self.norm == "batch":
                raise ValueError(
                    "LBFGS makes no steps, in which norm='batch' would take its statistics: take norm='layer'"
                )
            limits = limits.of_search(method)
            if profile:
                raise ValueError("profile=True measures steps, of which LBFGS makes none")
            if per_sample:
                raise ValueError("per_sample=True notes rows in steps, of which LBFGS makes none")
            if resume is not None and resume is not False:
                raise ValueError("resume goes on between two steps, of which LBFGS makes none")
            refuse_steps(called, "and LBFGS makes no steps")
            refuse_checkpoints(called, "of which LBFGS makes none")
        if ranks is not None:
            others = {"per_sample": per_sample, "class_weight='balanced'": isinstance(class_weight, str)}
            others |= {"validation_split with exact": bool(exact) and validation_split is not None}
            refuse_together(self, method, steps.options, others)
        resumed, seed = as_resumed_by(ranks, self, resume)
        n_threads = engine_threads(threads)
        if y is None and not isinstance(X, Rows):
            self._refuse_unmeasured()
            if per_sample:
                raise ValueError("per_sample notes rows by their numbers, and X is batches, which have none")
            rows: Rows | InBatches = as_stream(
                self,
                X,
                limits.epochs,
                method,
                sample_weight=sample_weight,
                class_weight=class_weight,
                validation_data=validation_data,
                validation_split=validation_split,
                measured=train_metrics or (metrics is not None and validation_data is None),
            )
        else:
            rows = as_rows(
                self,
                X,
                y,
                sample_weight,
                class_weight=class_weight,
                validation_data=validation_data,
                validation_split=validation_split,
                seed=seed,
                finite=self._finite(n_threads),
                stacklevel=5,
            )
            refuse_dense(rows.data.X, steps.options)
        dealing = None
        if ranks is not None:
            call: dict[str, object] = {
                "epochs": epochs,
                "batch_size": batch_size,
                "optimizer": method,
                "shuffle": shuffle,
                "steps": steps,
            }
            call |= {"sets of validation_data": list(rows.validation), "metrics": metrics, "exact": exact}
            dealing = join(self, ranks, rows, {**call, "sync_every": sync_every, "train_metrics": train_metrics})
            n_threads = n_threads if threads is not None else -ranks.threads(get_num_threads())
        learner, n_rows = self._learner, rows.n_rows and (rows.n_rows if dealing is None else dealing.n_rows)
        asked = metrics is not None or train_metrics or rows.validation
        measured = self._metrics(metrics) if asked else ()
        if validate_average and not (steps.options.average or steps.options.swa):
            raise ValueError("validate_average=True measures an average: give ema or swa, which keep one")
        if validate_average and not asked:
            raise ValueError("validate_average=True is of what is measured: give validation_data or metrics")
        averaged = self._backend.engine(learner.spec) if validate_average else None
        train = rows.plain if measured and (train_metrics or not rows.validation) else None
        first, made = (learner.epoch, 0) if resumed is None else resumed.place
        first_rank = ranks is None or ranks.rank == 0
        bar: list[LoopCallback] = []
        if progress and first_rank:
            bar = [ProgressBar(n_rows, limits.epochs, made * batch_size)]
        if profile:
            thread_peak(self.isa, learner.spec.number_format)  # what a profile needs, before the network is locked
        if n_rows is not None:
            batch_size = n_rows if isinstance(method, LBFGS) else min(batch_size, n_rows)
        noted = PerSample(len(rows.data)) if per_sample and isinstance(rows, Rows) else None
        options = steps.options._replace(noted=noted)
        epoch = epoch_of(self, rows, dealing, batch_size, shuffle, seed, n_threads, options)
        if verbose and first_rank:
            bar.append(Lines(epoch, None if limits.epochs is None else first + limits.epochs, verbose))
        plan = Plan(epoch, rows, limits, method, called, shuffle, resumed)
        with self._access.training("fit"), profiled(learner, self._keep_profile) if profile else nullcontext():
            report = Measured(self._history, train, rows.validation, measured, averaged, ranks)
            if not learner.normalizing.measured and isinstance(rows, Rows):
                learner.normalize(self._measured(rows.data.X, rows.data.y, rows.part))
            learner.rates, learner.feature_names = steps.rates, rows.names
            if per_sample:
                self.per_sample_ = noted
            learner.follows = not first_rank
            return plan.run(self, report, bar)

    def _keep_profile(self, profile: Profile) -> None:
        self.profile_ = profile

    @explained_as("MLP.step")
    def step(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        optimizer: OptimizerName | Optimizer | None = None,
        threads: int | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        lr_factors: Mapping[str, float] | None = None,
        lazy: bool = False,
    ) -> float:
        """Make one update on exactly this batch.

        Parameters
        ----------
        X, y, sample_weight, optimizer, threads, clip_norm, clip_value, lr_factors, lazy
            As for `fit`. The optimizer's state goes on from step to step, and between `step` and `fit`, also when
            ``optimizer=Adam(rate)`` has another learning rate in every step.

        Returns
        -------
        float
            The batch's loss before the update, with the network's `l1` and `l2`.

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
        chosen = None if optimizer is None else as_optimizer(optimizer)  # not LBFGS
        steps = as_steps(self, chosen, clip_norm=clip_norm, clip_value=clip_value, lr_factors=lr_factors, lazy=lazy)
        n_threads = engine_threads(threads)
        data = as_data(self._learner.spec, X, y, sample_weight, finite=self._finite(), columns=self.feature_names)
        refuse_dense(data.X, steps.options)
        learner = self._learner
        with self._access.training("step"):
            self._refuse_unmeasured()
            learner.rates, learner.feature_names = steps.rates, self.feature_names or names_of(X)
            return loop.step(learner, data, chosen or learner.optimizer or Adam(), n_threads, steps.options)
