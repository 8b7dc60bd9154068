"""Copies of weights at times of a training, for pictures of what is learnt."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.spec import Optimizer
from fastmlp.train.due import Timed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from fastmlp.network import MLP
    from fastmlp.train.callbacks import Logs

__all__ = ["WeightHistory"]


class WeightHistory(Timed):
    """Keep copies of weights and biases as they are at the training's beginning, and then every so often.

    Parameters
    ----------
    every : str, int or float, default "1 epoch"
        As for `Checkpoint`: "5 epochs", "100 steps", "30 seconds"; an int counts steps, a float seconds.
    layers : iterable of int, optional
        Which layers, counted from 0; -1 is the last. Default: all.

    Attributes
    ----------
    epochs, steps : list of int
        The network's `n_epochs` and `n_steps` at each of the times.
    weights, biases : dict of list of ndarray
        By the layer's number, from 0: one array for each of the times, (n_in, n_out) and (n_out,), read-only.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described; by `fit`, before anything changes, if the network has no such layer, or if
        `every` is not in epochs where nothing makes steps: L-BFGS, estimators.

    Notes
    -----
    A training that is resumed goes on with the copies that there were, which are in the files of `Checkpoint`, too.
    Memory: the chosen layers' parameters times the number of copies.

    Examples
    --------
    >>> import numpy as np, fastmlp
    >>> X = np.linspace(-1, 1, 64).reshape(-1, 1)
    >>> seen = fastmlp.WeightHistory(every="2 epochs", layers=[0])
    >>> net = fastmlp.MLP([1, 8, 1], seed=0)
    >>> history = net.fit(X, X[:, 0] ** 2, epochs=6, callbacks=[seen])
    >>> seen.epochs, seen.steps, np.stack(seen.weights[0]).shape
    ([0, 2, 4, 6], [0, 4, 8, 12], (4, 1, 8))
    """

    def __init__(self, every: str | float = "1 epoch", layers: Iterable[int] | None = None) -> None:
        super().__init__(every)
        self.layers = None if layers is None else _as_numbers(layers)
        self._forget()

    def _forget(self) -> None:
        self.epochs: list[int] = []
        self.steps: list[int] = []
        self.weights: dict[int, list[NDArray[Any]]] = {}
        self.biases: dict[int, list[NDArray[Any]]] = {}

    def on_train_begin(self, net: MLP, logs: Logs) -> None:
        n_layers = len(net.layers)
        for layer in self.layers or ():
            if not -n_layers <= layer < n_layers:
                raise ValueError(
                    f"WeightHistory's layers must be numbers from {-n_layers} to {n_layers - 1}, for the network has "
                    f"{n_layers} layers; got {layer}"
                )
        self._forget()
        chosen = range(n_layers) if self.layers is None else sorted({layer % n_layers for layer in self.layers})
        self.weights = {layer: [] for layer in chosen}
        self.biases = {layer: [] for layer in chosen}
        self.look(net, logs)
        used = logs["optimizer"]
        if isinstance(used, Optimizer) and used.name != getattr(net.optimizer, "name", None):
            self.steps[0] = 0  # of the rule that is about to begin

    def look(self, net: MLP, logs: Logs) -> None:  # noqa: ARG002
        self.epochs.append(net.n_epochs)
        self.steps.append(net.n_steps)
        weights, biases = net.weights, net.biases
        for layer in self.weights:
            self.weights[layer].append(weights[layer])
            self.biases[layer].append(biases[layer])

    def state_dict(self) -> dict[str, Any]:
        return {
            "epochs": list(self.epochs),
            "steps": list(self.steps),
            "layers": list(self.weights),
            "weights": [list(arrays) for arrays in self.weights.values()],
            "biases": [list(arrays) for arrays in self.biases.values()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epochs, self.steps = list(state["epochs"]), list(state["steps"])
        self.weights, self.biases = (
            {layer: [_frozen(array) for array in arrays] for layer, arrays in zip(state["layers"], kept, strict=True)}
            for kept in (state["weights"], state["biases"])
        )

    def __repr__(self) -> str:
        count = f"{len(self.steps)} copies of layers {list(self.weights)}" if self.steps else "no copies"
        return f"<WeightHistory every {self.every[1]} {self.every[0]}: {count}>"


def _as_numbers(layers: object) -> tuple[int, ...]:
    """Check the argument ``layers``: whole numbers, at least one of them."""
    message = f"layers must be a list of layers' numbers, such as [0, -1], got {layers!r:.80}"
    try:
        numbers = tuple(operator.index(layer) for layer in layers)  # type: ignore[attr-defined]
    except TypeError:
        raise TypeError(message) from None
    if not numbers:
        raise ValueError(message)
    return numbers


def _frozen(array: Any) -> NDArray[Any]:
    """Return an array that is nobody else's to write to."""
    kept = np.array(array)
    kept.flags.writeable = False
    return kept
