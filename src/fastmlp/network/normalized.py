"""What a network normalises as it reads: inputs, and the targets of a regression."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike  # noqa: TC002 - for those who ask for the types of the methods

from fastmlp.data import as_inputs, as_targets, measure_scaling
from fastmlp.network.parameters import Parameters
from fastmlp.spec import Normalization, Normalizing
from fastmlp.spec.hints import explained_as

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastmlp.data import Inputs
    from fastmlp.spec import Array

__all__ = ["Normalized"]


class Normalized(Parameters):
    """A network that may normalise what it reads."""

    __slots__ = ()

    @property
    def normalize(self) -> Normalization | None:
        """How inputs are normalised: "standard", "minmax", "robust", or None if they are not."""
        return self._learner.normalizing.inputs

    @property
    def normalize_targets(self) -> Normalization | None:
        """How targets are normalised, as `normalize` says."""
        return self._learner.normalizing.targets

    @explained_as("MLP.adapt")
    def adapt(self, X: ArrayLike, y: ArrayLike | None = None) -> None:
        """Measure what inputs and targets are normalised by, on these rows, in the place of what was.

        `fit` does so on its own rows where nothing has been measured yet; batches and `step` need it before.

        Parameters
        ----------
        X : array_like of shape (n, n_inputs)
            As for `fit`.
        y : array_like, optional
            As for `fit`; to be given where targets are normalised.

        Raises
        ------
        RuntimeError
            If the network was made without `normalize` and `normalize_targets`.
        TypeError, ValueError
            If X or y is not as described; the network is as it was.

        Examples
        --------
        >>> import fastmlp
        >>> net = fastmlp.MLP([1, 1], normalize="minmax", init="zeros")
        >>> net.weights = [[[1.0]]]
        >>> net.adapt([[10.0], [20.0]])
        >>> net.predict([[15.0]])
        array([[0.5]], dtype=float32)
        """
        if not any(self._learner.normalizing.kinds):
            raise RuntimeError("this network normalises nothing: make it with MLP(..., normalize='standard')")
        spec, finite = self._learner.spec, self._finite()
        rows = as_inputs(X, spec.sizes[0], finite=finite, names=self.feature_names)
        targets = None
        if self.normalize_targets is not None:
            if y is None:
                raise ValueError(f"normalize_targets={self.normalize_targets!r} is measured on targets: adapt(X, y)")
            targets = as_targets(y, spec.loss, spec.sizes[-1], len(rows), finite=finite)
        measured = self._measured(rows, targets, None)
        with self._access.setting("adapt"):
            self._learner.normalize(measured)

    def _measured(self, X: Inputs, y: Array | None, part: NDArray[np.int64] | None) -> Normalizing:
        """Measure what is to be normalised, on all of these rows or a part of them."""
        kinds = self._learner.normalizing
        return replace(
            kinds,
            input_scaling=None if kinds.inputs is None else measure_scaling(X, kinds.inputs, part),
            target_scaling=None if kinds.targets is None or y is None else measure_scaling(y, kinds.targets, part, "y"),
        )

    def _refuse_unmeasured(self) -> None:
        """Refuse to train where something is to be normalised, and nothing has told by what."""
        kinds = self._learner.normalizing
        if not kinds.measured:
            which = "normalize" if kinds.inputs is not None else "normalize_targets"
            given = "adapt(X)" if kinds.targets is None else "adapt(X, y)"
            raise ValueError(
                f"{which}={kinds.inputs or kinds.targets!r} needs the statistics of all rows: call {given} before the "
                "first batch"
            )

    def _by_raw_inputs(self, derivatives: Array) -> Array:
        """Take derivatives (..., n_inputs) by what the first layer has to those by inputs as they were given."""
        scaling = self._learner.normalizing.input_scaling
        if scaling is not None:
            derivatives[...] = derivatives * scaling.scale
        return derivatives
