"""What a network has learnt: weights, biases and other vectors, which may be read and set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence  # noqa: TC003 - for those who ask for the types of the methods

from numpy.typing import ArrayLike  # noqa: TC002

from fastmlp.data import as_parameters
from fastmlp.network.state import State
from fastmlp.spec import Array

__all__ = ["Parameters"]


class Parameters(State):
    """A network whose parameters may be read and set."""

    __slots__ = ()

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
        return self._read_kind("weight", "weights")

    @weights.setter
    def weights(self, value: Sequence[ArrayLike]) -> None:
        self._set_kind("weight", value, "weights")

    @property
    def biases(self) -> tuple[Array, ...]:
        """Bias vectors of all layers, (n_out,) each: read-only copies; set like `weights`.

        Those of a layer that normalises are its beta, which comes behind gamma.
        """
        return self._read_kind("bias", "biases")

    @biases.setter
    def biases(self, value: Sequence[ArrayLike]) -> None:
        self._set_kind("bias", value, "biases")

    @property
    def gammas(self) -> tuple[Array, ...]:
        """What each layer that normalises multiplies by, (n_out,) each: read-only copies; set like `weights`.

        They are those of the hidden layers with ``norm``, and none without.

        Examples
        --------
        >>> import fastmlp
        >>> net = fastmlp.MLP([2, 3, 1], norm="layer")
        >>> net.gammas
        (array([1., 1., 1.], dtype=float32),)
        """
        return self._read_kind("gamma", "gammas")

    @gammas.setter
    def gammas(self, value: Sequence[ArrayLike]) -> None:
        self._set_kind("gamma", value, "gammas")

    @property
    def slopes(self) -> tuple[Array, ...]:
        """Slopes below 0 of each layer that learns them, (n_out,) or (1,) each: read-only copies; set like `weights`.

        They are those of the layers with the activation `PReLU`.

        Examples
        --------
        >>> import fastmlp
        >>> net = fastmlp.MLP([2, 3, 1], activation="prelu")
        >>> net.slopes = [[0.1, 0.2, 0.3]]
        >>> net.slopes
        (array([0.1, 0.2, 0.3], dtype=float32),)
        """
        return self._read_kind("slope", "slopes")

    @slopes.setter
    def slopes(self, value: Sequence[ArrayLike]) -> None:
        self._set_kind("slope", value, "slopes")

    @property
    def running_statistics(self) -> tuple[tuple[Array, Array], ...]:
        """Means and variances that hidden layers normalise by outside of training, with ``norm="batch"``: read-only.

        A pair of arrays (n_out,) for each hidden layer; none without.

        Examples
        --------
        >>> import fastmlp
        >>> net = fastmlp.MLP([1, 2, 1], norm="batch", init="zeros")
        >>> loss = net.step([[0.0], [1.0]], [0.0, 0.0])
        >>> net.running_statistics
        ((array([0., 0.], dtype=float32), array([0.9, 0.9], dtype=float32)),)
        """
        means, variances = (self._read_kind(kind, "running_statistics") for kind in ("running_mean", "running_var"))
        return tuple(zip(means, variances, strict=True))

    @property
    def n_parameters(self) -> int:
        """Number of weights, biases, gammas and slopes: of all that is trained."""
        return self._learner.spec.n_parameters

    def _read_kind(self, kind: str, call: str) -> tuple[Array, ...]:
        """Copies of each layer's tensor of a kind, of those that have it."""
        with self._access.reading(call):
            tensors = self._learner.engine.read()
        found = [array for name, array in tensors.items() if name.endswith(f".{kind}")]
        for array in found:
            array.flags.writeable = False
        return tuple(found)

    def _set_kind(self, kind: str, value: Sequence[ArrayLike], called: str) -> None:
        spec = self._learner.spec
        names = [name for name in spec.shapes if name.endswith(f".{kind}")]
        checked = as_parameters(spec, value, called, kind=kind)
        self._set_tensors(dict(zip(names, checked, strict=True)), f"{called} =")

    def _tensors(self) -> dict[str, Array]:
        """Copies of all that has been learnt, by name."""
        with self._access.reading("weights"):
            return self._learner.engine.read()

    def _set_tensors(self, tensors: Mapping[str, Array], call: str = "weights =") -> None:
        """Set some tensors, and leave the others as they are."""
        with self._access.setting(call):
            self._learner.undo = None
            self._learner.engine.write({**self._learner.engine.read(), **tensors})

    def _average(self) -> dict[str, Array] | None:
        """Copies of the average of all that, if there is one."""
        with self._access.reading("averaged"):
            return self._learner.engine.read("average") if "average" in self._learner.engine.kinds else None

    def _set_average(self, tensors: Mapping[str, Array]) -> None:
        """Set the average, of a network that has one."""
        with self._access.setting("average ="):
            self._learner.undo = None
            self._learner.engine.write(tensors, "average")
