"""Searches for the best of many networks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastmlp.many import fit_many
from fastmlp.many.jobs import as_networks, per_network
from fastmlp.many.results import rises
from fastmlp.spec.checks import integer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from fastmlp.many import Result, Results
    from fastmlp.many.results import Mode
    from fastmlp.network import MLP

__all__ = ["Halving", "halving"]

#: Arguments of `fit_many` that are no network's own.
_SHARED = frozenset({"sample_weight", "validation_data", "executor", "threads"})


@dataclass(eq=False)
class Halving:
    """What `halving` found.

    Attributes
    ----------
    best : MLP
        The network that measured the best in the last round.
    best_index : int
        Its place in the list.
    value : float
        What it measured.
    rounds : list of Results
        Of each round, of the networks that took part; the best comes first. Their `index` is the place in the list.

    Examples
    --------
    >>> import fastmlp
    >>> nets = [fastmlp.MLP([1, 4, 1], seed=seed) for seed in range(3)]
    >>> found = fastmlp.search.halving(nets, [[0.0], [1.0]], [0.0, 1.0], epochs=3, monitor="loss")
    >>> found.best is nets[found.best_index], [len(results) for results in found.rounds]
    (True, [3, 1])
    """

    best: MLP
    best_index: int
    value: float
    rounds: list[Results]


def halving(
    networks: Sequence[MLP],
    X: ArrayLike,
    y: ArrayLike,
    *,
    epochs: int = 27,
    first_epochs: int = 1,
    factor: int = 3,
    monitor: str = "val_loss",
    mode: Mode = "auto",
    **arguments: Any,
) -> Halving:
    """Train all networks for a little while, then the best of them for longer, and so on (Jamieson and Talwalkar 2016).

    From each round, a `factor`-th of the networks goes on, from where it is, to `factor` times as many epochs. Networks
    that are left behind keep what they have learnt.

    Parameters
    ----------
    networks, X, y
        As for `fit_many`.
    epochs : int
        Which the last one of them, or the last few, are trained for in all.
    first_epochs : int
        Of the first round.
    factor : int
        2 or more.
    monitor : str
        What is compared: a name in the history at the end of a round, such as "val_loss" or "val_accuracy".
    mode : {"auto", "max", "min"}
        Whether the best is the largest; "auto": as losses and metrics say of themselves.
    **arguments
        All else that `fit_many` takes but `folds`; lists have one for each network.

    Returns
    -------
    Halving

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described; no network has changed.
    RuntimeError
        If no network of a round comes to its end.

    Examples
    --------
    >>> import numpy as np, fastmlp
    >>> X = np.linspace(-1, 1, 64).reshape(-1, 1)
    >>> nets = [fastmlp.MLP([1, 8, 1], seed=0) for _ in range(9)]
    >>> rates = [fastmlp.Adam(10.0**-k) for k in range(9)]
    >>> found = fastmlp.search.halving(nets, X, X[:, 0] ** 2, epochs=9, optimizer=rates, monitor="loss")
    >>> [len(results) for results in found.rounds], found.best.n_epochs
    ([9, 3, 1], 9)
    """
    epochs, first_epochs = integer(epochs, "epochs", 1), integer(first_epochs, "first_epochs", 1)
    factor, upwards = integer(factor, "factor", 2), rises(monitor, mode)
    if "folds" in arguments:
        raise ValueError("halving goes on with networks from round to round, which folds train copies of: give none")
    if monitor.startswith("val_") and arguments.get("validation_data") is None:
        raise ValueError(f"monitor={monitor!r} is measured on validation_data: give them, or another monitor")
    networks = as_networks(networks)
    places = list(range(len(networks)))
    rounds: list[Results] = []
    done, until = 0, min(first_epochs, epochs)
    while True:
        own = {
            name: value if name in _SHARED else _of(places, value, name, len(networks))
            for name, value in arguments.items()
        }
        results = fit_many([networks[place] for place in places], X, y, epochs=until - done, **own)
        for result, place in zip(results, places, strict=True):
            result.index = place
        results.sort(key=lambda result: _rank(result, monitor, upwards))
        rounds.append(results)
        if math.isnan(results[0].value(monitor)):
            raise RuntimeError(f"no network has measured {monitor!r}: {results[0].error or sorted(results[0].history)}")
        if until == epochs:
            best = results[0]
            return Halving(best.network, best.index, best.value(monitor), rounds)
        done, until = until, min(until * factor, epochs)
        kept = [result for result in results if not math.isnan(result.value(monitor))]
        places = [result.index for result in kept[: math.ceil(len(places) / factor)]]


def _of(places: Sequence[int], value: Any, name: str, n_networks: int) -> Any:
    """Return the values of an argument of those networks that take part."""
    own = [per_network(value, name, n_networks, place) for place in range(n_networks)]
    return value if all(each is value for each in own) else [own[place] for place in places]


def _rank(result: Result, monitor: str, upwards: bool) -> tuple[bool, float, int]:
    value = result.value(monitor)
    return math.isnan(value), 0.0 if math.isnan(value) else -value if upwards else value, result.index
