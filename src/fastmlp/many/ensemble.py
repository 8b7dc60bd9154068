"""`Ensemble`: several networks that answer together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np

from fastmlp.files import load_models, save_models
from fastmlp.many.jobs import as_networks
from fastmlp.network import MLP
from fastmlp.runtime import choose_backend
from fastmlp.spec.checks import flag

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike

    from fastmlp.files.checkpoint import Checkpoint
    from fastmlp.network.state import Path
    from fastmlp.spec import Array, BackendName

__all__ = ["Ensemble"]


class Ensemble:
    """Networks with the same inputs and outputs, whose mean is the answer, and whose disagreement says how sure it is.

    For networks of other seeds that are trained alike, a "deep ensemble" (Lakshminarayanan, Pritzel and Blundell 2017).

    Parameters
    ----------
    networks : sequence of MLP
        One or more; they are kept, not copied: what trains them later changes the ensemble.

    Raises
    ------
    TypeError, ValueError
        If they are no networks, or differ in inputs, outputs or the output's activation.

    Examples
    --------
    >>> import numpy as np, fastmlp
    >>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
    >>> nets = [fastmlp.MLP([1, 16, 1], seed=seed) for seed in range(4)]
    >>> results = fastmlp.fit_many(nets, X, X[:, 0] ** 2, epochs=100, optimizer=fastmlp.Adam(0.01))
    >>> mean, deviation = fastmlp.Ensemble(nets).predict([[0.5], [5.0]], return_std=True)
    >>> bool(deviation[1, 0] > deviation[0, 0])  # far from the data they disagree
    True
    """

    def __init__(self, networks: Sequence[MLP]) -> None:
        self._networks = tuple(as_networks(networks))
        for place, net in enumerate(self._networks):
            if _ends(net) != _ends(self._networks[0]):
                raise ValueError(
                    f"networks[{place}] has {_told(net)}, and networks[0] {_told(self._networks[0])}: their mean means "
                    "nothing"
                )

    @property
    def networks(self) -> tuple[MLP, ...]:
        """The networks."""
        return self._networks

    def __len__(self) -> int:
        return len(self._networks)

    def __iter__(self) -> Iterator[MLP]:
        return iter(self._networks)

    def __getitem__(self, place: int) -> MLP:
        return self._networks[place]

    def __repr__(self) -> str:
        return f"<Ensemble of {len(self)} networks: {_told(self._networks[0])}>"

    @overload
    def predict(self, X: ArrayLike, *, return_std: Literal[False] = False, threads: int | None = None) -> Array: ...

    @overload
    def predict(
        self, X: ArrayLike, *, return_std: Literal[True], threads: int | None = None
    ) -> tuple[Array, Array]: ...

    def predict(
        self, X: ArrayLike, *, return_std: bool = False, threads: int | None = None
    ) -> Array | tuple[Array, Array]:
        """Compute the mean of the networks' outputs, and their standard deviation if it is asked for.

        Parameters
        ----------
        X : array_like of shape (n, n_inputs)
            As for `MLP.predict`.
        return_std : bool
            Whether to return how much the networks disagree, too.
        threads : int, optional
            As for `MLP.predict`.

        Returns
        -------
        mean : ndarray of shape (n, n_outputs)
            In the widest dtype of the networks; probabilities, where outputs are.
        std : ndarray of shape (n, n_outputs)
            With ``return_std=True``: sqrt(mean of (output - mean)^2 over the networks). Where they estimate variances
            (`GaussianNLL`), that of the mixture, sqrt(mean of v + (output - mean)^2) (Lakshminarayanan et al. 2017).

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.
        """
        return_std = flag(return_std, "return_std")
        dtype = np.result_type(*(net.dtype for net in self._networks))
        mean = squares = np.zeros(())
        for count, net in enumerate(self._networks, 1):  # Welford 1962: equal outputs have exactly them as the mean
            own = None
            if return_std and net._learner.spec.loss.deviations:
                outputs, own = net.predict(X, return_std=True, threads=threads)
            else:
                outputs = net.predict(X, threads=threads)
            change = outputs.astype(np.float64) - mean
            before, mean = mean, mean + change / count
            if return_std:
                squares = squares + change * (change - (mean - before))
                squares = squares if own is None else squares + np.square(own, dtype=np.float64)
        if not return_std:
            return mean.astype(dtype)
        return mean.astype(dtype), np.sqrt(squares / len(self._networks)).astype(dtype)

    def save(self, path: Path) -> None:
        """Save all networks, and all that training needs to go on, in one file of the safetensors layout.

        Parameters
        ----------
        path : str or path-like
            Written aside and renamed: an interruption leaves the old file or the new one.
        """
        save_models(path, self._checkpoints())

    @classmethod
    def load(cls, path: Path, backend: BackendName | None = None) -> Self:
        """Load an ensemble that `save` wrote.

        Parameters
        ----------
        path : str or path-like
        backend : {"cython", "numpy"}, optional
            As for `MLP`.

        Returns
        -------
        Ensemble

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is not such a file, or damaged.

        Examples
        --------
        >>> import fastmlp, tempfile, pathlib
        >>> both = fastmlp.Ensemble([fastmlp.MLP([2, 1], seed=seed) for seed in (0, 1)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     both.save(pathlib.Path(folder) / "both.safetensors")
        ...     same = fastmlp.Ensemble.load(pathlib.Path(folder) / "both.safetensors")
        >>> bool(same.predict([[1, 2]]) == both.predict([[1, 2]]))
        True
        """
        choose_backend(backend, stacklevel=3)  # wrong arguments are reported before a wrong file
        checkpoints = load_models(path)
        try:
            return cls._of(checkpoints, backend)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{os.fsdecode(path)}: {error}") from error

    @classmethod
    def _of(cls, checkpoints: Sequence[Checkpoint], backend: BackendName | None = None) -> Self:
        """Make an ensemble of what a file has of its networks."""
        networks = []
        for checkpoint in checkpoints:
            net = MLP.__new__(MLP)
            net._resume(checkpoint, backend)
            networks.append(net)
        return cls(networks)

    def _checkpoints(self) -> list[Checkpoint]:
        """Return what a file has of the networks."""
        return [net._checkpoint() for net in self._networks]


def _ends(net: MLP) -> Any:
    return net.sizes[0], net.sizes[-1], net.layers[-1].activation, net._learner.spec.loss.deviations


def _told(net: MLP) -> str:
    kind = ", means and deviations" if net._learner.spec.loss.deviations else ""
    return f"{net.sizes[0]} inputs and {net.sizes[-1]} {net.layers[-1].activation.name} outputs{kind}"
