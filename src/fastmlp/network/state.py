"""A network's state, whatever it does: parameters, optimizer, counters, copies in files and pickles, text."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence  # noqa: TC003 - for those who ask for the types of the methods
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np

from fastmlp.access import Access
from fastmlp.files import Checkpoint, save_model
from fastmlp.network.resuming import Unfinished
from fastmlp.runtime import Backend, choose_backend, warn_of_emulation
from fastmlp.spec import (
    Layer,
    NetworkSpec,
    NormName,
    Operation,
    Optimizer,
    OptimizerName,
    as_optimizer,
)
from fastmlp.spec.hints import no_attribute
from fastmlp.train.history import History
from fastmlp.train.learner import Learner
from fastmlp.train.profile import Profile  # noqa: TC001
from fastmlp.train.samples import PerSample  # noqa: TC001

if TYPE_CHECKING:
    from fastmlp.data import Finite

__all__ = ["Path", "State"]

Path: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]


class State:
    """A network's learner, who may use it when, and what it has measured."""

    __slots__ = (
        "__weakref__",
        "_access",
        "_backend",
        "_history",
        "_learner",
        "_loss_by_default",
        "_requested_backend",
        "_tapes",
        "_unfinished",
        "per_sample_",
        "profile_",
    )

    def _set_up(self, spec: NetworkSpec, seed: int, backend: str | None, stacklevel: int = 4) -> None:
        chosen = choose_backend(backend, stacklevel=stacklevel)
        if spec.bfloat16:
            warn_of_emulation(chosen, stacklevel)
        self._requested_backend = backend
        learner = Learner(spec, chosen.engine(spec), seed)
        self._show(learner, Access(learner.engine), chosen)

    def _show(self, learner: Learner, access: Access, backend: Backend) -> None:
        """Become the network of a learner, perhaps somebody else's, who shares its access."""
        self._learner, self._access, self._backend = learner, access, backend
        self._history = History()
        self._unfinished: Unfinished | None = None
        self._loss_by_default = False
        self._tapes = threading.local()  # what each Python thread's last forward keeps for its backward
        self.profile_: Profile | None = None
        self.per_sample_: PerSample | None = None

    @classmethod
    def _of(cls, learner: Learner, access: Access, backend: Backend) -> Self:
        """Make a network of somebody else's learner."""
        net = cls.__new__(cls)
        net._requested_backend = backend.name
        net._show(learner, access, backend)
        return net

    def _finite(self, threads: int = 1) -> Finite | None:
        """The backend's quick answer to whether an array is finite."""
        finite = self._backend.finite
        return None if finite is None else partial(finite, threads=threads)

    # ---- what it is -------------------------------------------------------------------------------------------------

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
    def dropout(self) -> tuple[float, ...]:
        """Dropout of the outputs of each hidden layer, in training."""
        return self._learner.spec.dropout_rates[1:]

    @property
    def input_dropout(self) -> float:
        """Dropout of the inputs, in training."""
        return self._learner.spec.input_dropout

    @property
    def input_noise(self) -> float:
        """Standard deviation of the noise that is added to the inputs, in training."""
        return self._learner.spec.input_noise

    @property
    def residual(self) -> bool:
        """Whether hidden layers as wide as the one before add their inputs to their outputs."""
        return self._learner.spec.residual

    @property
    def norm(self) -> NormName | None:
        """What hidden layers normalise between their products and their activations."""
        return self._learner.spec.norm

    @property
    def dtype(self) -> np.dtype[Any]:
        """Number format of parameters, arithmetic and outputs: of a network of bfloat16, float32."""
        return np.dtype(self._learner.spec.dtype)

    @property
    def number_format(self) -> str:
        """The dtype that the network was made with: "float32", "float64" or "bfloat16"."""
        return self._learner.spec.number_format

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

    def averaged(self) -> Self:
        """Make a network with the moving average of this one's weights and biases in their place.

        It is a network of its own, whose training has not begun; this one goes on as it is, also when it is called in
        the middle of a training, by a callback.

        Raises
        ------
        RuntimeError
            If there is no average: ``fit(ema=0.999)``, or ``fit(swa=...)``, keeps one.

        Examples
        --------
        >>> import fastmlp
        >>> net = fastmlp.MLP([1, 8, 1], seed=0)
        >>> history = net.fit([[0.0], [1.0]], [0.0, 1.0], epochs=50, ema=0.9)
        >>> net.averaged().predict([[0.5]]).shape
        (1, 1)
        """
        with self._access.reading("averaged"):
            learner = self._learner
            if "average" not in learner.engine.kinds:
                raise RuntimeError("there is no average of the weights: fit(ema=0.999) keeps one")
            tensors = {"parameters": learner.engine.read("average")}
            names, normalizing = learner.feature_names, learner.normalizing
            checkpoint = Checkpoint(learner.spec, tensors, learner.seed, learner.epoch, None, 0, 0, names, normalizing)
        net = type(self).__new__(type(self))
        net._resume(checkpoint, self._requested_backend)
        return net

    def reset_average(self) -> None:
        """Forget the moving average of the weights; the next ``fit(ema=...)`` begins another."""
        with self._access.setting("reset_average"):
            self._learner.reset_average()

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """Names of the columns that training began with; None if they had none.

        They are those of the first frame that `fit` or `step` is given. Later ones must have the same columns in the
        same order; arrays have no names, and pass. Files have them, too.
        """
        return self._learner.feature_names

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
        """Measurements of all calls of `fit`."""
        return self._history

    @property
    def backend(self) -> str:
        """Name of the backend that computes: "cython" or "numpy"."""
        return self._backend.name

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
        save_model(path, self._checkpoint())

    def _checkpoint(self) -> Checkpoint:
        with self._access.reading("save"):
            checkpoint, unfinished = self._learner.checkpoint(), self._unfinished
            if unfinished is None or unfinished.checkpoint is not None:  # callbacks may have changed the weights since
                return checkpoint
            return replace(checkpoint, training=unfinished.record)

    def _save_training(self, path: Path, record: Mapping[str, Any]) -> bool:
        """Save the network with the training that it is in the middle of; False on ranks whose first one does."""
        if self._learner.follows:
            return False
        with self._access.reading("save"):
            checkpoint = self._learner.checkpoint()
        save_model(path, replace(checkpoint, training=record))
        return True

    def _adopt(self, other: State) -> None:
        """Become what a copy of this network has become by a training elsewhere."""
        self._learner.undo = None
        self._learner.resume(other._learner.checkpoint())
        learnt = other._history.since(len(self._history.epoch))
        for place in range(len(learnt.epoch)):
            self._history.append({name: learnt[name][place] for name in learnt})
        self._history.stopped = learnt.stopped
        self._unfinished, self.per_sample_ = other._unfinished, other.per_sample_

    def _resume(self, checkpoint: Checkpoint, backend: str | None) -> None:
        """Become the network of a checkpoint."""
        self._set_up(checkpoint.spec, checkpoint.seed, backend)
        self._learner.resume(checkpoint)
        if checkpoint.training is not None:
            self._unfinished = Unfinished(checkpoint.training)

    def __getstate__(self) -> dict[str, Any]:
        with self._access.reading("pickle"):
            return {
                "attributes": getattr(self, "__dict__", {}),  # of a subclass
                "checkpoint": self._checkpoint(),
                "history": self.history,
                "backend": self._requested_backend,
                "loss_by_default": self._loss_by_default,
                **({} if self.per_sample_ is None else {"per_sample": self.per_sample_}),
            }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._resume(state["checkpoint"], state["backend"])
        self._history = state["history"].since(0)
        self._loss_by_default = state.get("loss_by_default", False)
        self.per_sample_ = state.get("per_sample")
        for name, value in state.get("attributes", {}).items():
            setattr(self, name, value)

    def __repr__(self) -> str:
        spec = self._learner.spec
        kinds = [activation.written() for activation in spec.activations]
        hidden = kinds[0] if len(set(kinds)) == 1 else f"[{', '.join(kinds)}]"
        return (
            f"{type(self).__name__}({list(spec.sizes)}, {f'activation={hidden}, ' if kinds else ''}"
            f"output={spec.output.written()}, loss={spec.loss.written()}, dtype={spec.number_format!r}, "
            f"seed={self.seed}{_written('l1', spec.l1)}{_written('l2', spec.l2)}{_written('max_norm', spec.max_norm)}"
            f"{_written('dropout', spec.dropout)}"
            f"{_written('input_dropout', (spec.input_dropout,) * (spec.input_dropout > 0))}"
            f"{_written('input_noise', (spec.input_noise,) * (spec.input_noise > 0))}"
            f"{', residual=True' if spec.residual else ''}{f', norm={spec.norm!r}' if spec.norm else ''}"
            f"{self._learner.normalizing.written()})"
        )

    def __str__(self) -> str:
        """Return what `summary` prints."""
        spec, n = self._learner.spec, self.n_epochs
        trained = f"{n} epoch{'' if n == 1 else 's'} trained" if n else "not trained"
        backend = self.backend if self.isa == self.backend else f"{self.backend} ({self.isa})"
        rows = [("layer", "shape", "activation", "parameters")]
        of_layers = zip(spec.layers, spec.residuals, spec.norms, spec.vectors, strict=True)
        for number, (layer, adds, norm, vectors) in enumerate(of_layers, 1):
            count = f"{layer.n_in * layer.n_signals + sum(vectors.values()):,}"
            rows.append(
                (
                    str(number),
                    f"{layer.n_in} -> {layer.n_out}",
                    (f"{norm} norm, " if norm else "") + _named(layer.activation) + (" + inputs" if adds else ""),
                    count,
                )
            )
        rows.append(("total", "", "", f"{spec.n_parameters:,}"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        left = [f"  {a:{widths[0]}}  {b:{widths[1]}}  {c:{widths[2]}}  " for a, b, c, _ in rows]
        return "\n".join(
            [
                f"{type(self).__name__} {'-'.join(map(str, spec.sizes))}, {spec.number_format}, {trained}, {backend}",
                *(first + row[-1].rjust(widths[-1]) for first, row in zip(left, rows, strict=True)),
                f"  loss {_named(spec.loss)}, optimizer {self.optimizer or 'not chosen'}",
            ]
        )

    def _repr_html_(self) -> str:
        """Show what `summary` prints as a table in a notebook."""
        from fastmlp.markup import summary

        return summary(str(self))

    def summary(self) -> None:
        """Print a table: layers with their shapes, activations and parameters; loss and optimizer.

        ``str(net)`` is its text.

        Examples
        --------
        >>> import fastmlp
        >>> fastmlp.MLP([784, 128, 10], output="softmax", backend="numpy").summary()
        MLP 784-128-10, float32, not trained, numpy
          layer  shape       activation  parameters
          1      784 -> 128  relu           100,480
          2      128 -> 10   softmax          1,290
          total                             101,770
          loss cross_entropy, optimizer not chosen
        """
        print(self)

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


def _named(operation: Operation) -> str:
    """Return an activation or a loss as one writes it, its name without quotes."""
    return operation.written().strip("'")


def _written(name: str, each: Sequence[float | None]) -> str:
    """What each layer has a number of as an argument of MLP; nothing where there is none."""
    return f", {name}={each[0] if len(set(each)) == 1 else list(each)}" if each else ""
