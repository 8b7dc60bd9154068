"""Training by a recipe: networks side by side, each with the weights of its best epoch, within a time if one is set."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fastmlp.data import Data, chosen
from fastmlp.many import Ensemble, fit_many
from fastmlp.network import MLP
from fastmlp.runtime import engine_threads, get_num_threads
from fastmlp.schedules import CosLog
from fastmlp.spec import Adam, CrossEntropy, SquaredError
from fastmlp.spec.activations.registry import as_activation
from fastmlp.tabular.budget import budget, pace_of
from fastmlp.train.callbacks import EarlyStopping

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastmlp.data import Inputs
    from fastmlp.many import Result, Results
    from fastmlp.spec import Array
    from fastmlp.tabular.recipe import Recipe
    from fastmlp.train.callbacks import CallbackLike

__all__ = ["Fold", "Rows", "Training", "train"]

Fold = tuple["NDArray[np.int64]", "NDArray[np.int64]"]

#: Nobody waits for it: the epochs are over before.
NEVER: Final = 1 << 30


@dataclass(frozen=True)
class Rows:
    """Encoded rows with targets as networks learn them, and weights."""

    X: Inputs
    y: Array
    weight: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Training:
    """What has been trained: networks, and how each of them fares on rows that it has not learnt from.

    `outputs` are means over the networks that did not learn from a row, for the rows `held` of those to learn from, or
    of all rows that were given to validate on (None); without either, they are None.
    """

    networks: list[MLP]
    results: list[Result]
    held: NDArray[np.int64] | None
    outputs: Array | None


def train(
    rows: Rows,
    n_outputs: int,
    recipe: Recipe,
    metric: str,
    *,
    classes: bool,
    folds: Sequence[Fold] | None,
    validation: Rows | None,
    seed: int,
    n_threads: int | None,
    deadline: float | None,
    callbacks: Sequence[CallbackLike] = (),
) -> Training:
    """Train the recipe's networks on all folds, or with other rows to validate on, or on all rows to the last epoch.

    With several folds each network is of one of them, and the recipe's number of networks is not asked.

    Raises
    ------
    TrainingDiverged
        If no network came to its end.
    """
    threads = get_num_threads() if n_threads is None else engine_threads(n_threads)
    several = folds is not None and len(folds) > 1
    count = 1 if several else recipe.n_estimators
    networks = [_network(rows.X.shape[1], n_outputs, recipe, classes, seed + number) for number in range(count)]
    if deadline is not None:
        recipe, networks, folds = _within(deadline, recipe, networks, rows, folds, validation, threads)
    n_train = len(rows) if folds is None else len(folds[0][0])
    at_once = len(networks) if folds is None else len(networks) * len(folds)
    seconds = None if deadline is None else max(0.02, deadline - time.perf_counter()) / -(-at_once // threads)
    results = _fit(networks, rows, recipe, metric, n_train, folds, validation, threads, seconds, callbacks)
    trained = [result for result in results if result.error is None]
    if not trained:
        assert results[0].error is not None
        raise results[0].error
    if len(trained) < len(results):
        warnings.warn(
            f"{len(results) - len(trained)} of {len(results)} networks were lost: {results.failed[0].error}",
            RuntimeWarning,
            stacklevel=4,
        )
    networks = [result.network for result in trained]
    for net in networks:
        net.reset_optimizer()  # whose state would be two thirds of a file
    held, outputs = _outputs(trained, rows, folds, validation, threads)
    return Training(networks, trained, held, outputs)


def _network(n_inputs: int, n_outputs: int, recipe: Recipe, classes: bool, seed: int) -> MLP:
    loss = CrossEntropy(label_smoothing=recipe.label_smoothing) if classes else SquaredError()
    net = MLP(
        [n_inputs, *recipe.hidden_layer_sizes, n_outputs],
        activation=as_activation(recipe.activation),
        output="softmax" if classes else "identity",
        loss=loss,
        dropout=recipe.dropout if recipe.hidden_layer_sizes else 0.0,
        seed=seed,
    )
    # Units that bend at different places from the start, as RealMLP's do.
    rng = np.random.default_rng(seed)
    net.biases = [*(rng.standard_normal(width) for width in recipe.hidden_layer_sizes), np.zeros(n_outputs)]
    return net


def _fit(
    networks: list[MLP],
    rows: Rows,
    recipe: Recipe,
    metric: str,
    n_train: int,
    folds: Sequence[Fold] | None,
    validation: Rows | None,
    threads: int,
    seconds: float | None,
    callbacks: Sequence[CallbackLike],
) -> Results:
    measured = folds is not None or validation is not None
    steps = recipe.epochs * -(-n_train // recipe.batch_size)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"\d+ of \d+ trainings failed", RuntimeWarning)  # which `train` says itself
        return fit_many(
            networks,
            rows.X,  # type: ignore[arg-type] # a table of ours, or an array
            rows.y,
            sample_weight=rows.weight,
            epochs=recipe.epochs,
            batch_size=recipe.batch_size,
            optimizer=Adam(CosLog(recipe.learning_rate, steps=max(1, steps)), beta2=0.95),
            folds=folds,
            validation_data=None if validation is None else _triple(validation),
            metrics=[metric] if measured else None,
            callbacks=[*([EarlyStopping(f"val_{metric}", patience=NEVER)] if measured else []), *callbacks],
            max_seconds=seconds,
            threads=threads,
        )


def _triple(rows: Rows) -> tuple[Any, ...]:
    return (rows.X, rows.y) if rows.weight is None else (rows.X, rows.y, rows.weight)


def _within(
    deadline: float,
    recipe: Recipe,
    networks: list[MLP],
    rows: Rows,
    folds: Sequence[Fold] | None,
    validation: Rows | None,
    threads: int,
) -> tuple[Recipe, list[MLP], Sequence[Fold] | None]:
    """Return the recipe, the networks and the folds that there is time for."""
    several = folds is not None and len(folds) > 1
    n_train, n_held = len(rows), 0 if validation is None else len(validation)
    if folds is not None:
        n_train, n_held = len(folds[0][0]), len(folds[0][1])
    pace = pace_of(networks[0], rows.X, rows.y, recipe.batch_size)
    count = len(folds) if folds is not None and several else len(networks)
    left = max(0.0, deadline - time.perf_counter())
    found = budget(left, pace, n_train, n_held, epochs=recipe.epochs, count=count, threads=threads)
    recipe = replace(recipe, epochs=found.epochs)
    if not several:
        networks = networks[: found.count]
    elif folds is not None:
        folds = folds[: found.count]
    if folds is not None and found.share < 1.0:
        folds = [(_some(train, found.share), _some(test, found.share)) for train, test in folds]
    return recipe, networks, folds


def _some(numbers: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Return a share of row numbers, which lie evenly among all."""
    count = min(len(numbers), max(1, int(share * len(numbers))))
    return numbers[np.linspace(0, len(numbers) - 1, count).astype(np.int64)] if len(numbers) else numbers


def _outputs(
    trained: list[Result], rows: Rows, folds: Sequence[Fold] | None, validation: Rows | None, threads: int
) -> tuple[NDArray[np.int64] | None, Array | None]:
    if folds is None:
        if validation is None:
            return None, None
        return None, _mean([result.network for result in trained], validation.X, threads)
    parts = []
    for number, (_, test) in enumerate(folds):
        networks = [result.network for result in trained if result.fold == number]
        if networks:
            parts.append((test, _mean(networks, chosen(Data(rows.X, rows.y, None), test).X, threads)))
    held, outputs = (np.concatenate(each) for each in zip(*parts, strict=True))
    return held, outputs


def _mean(networks: Sequence[MLP], X: Inputs, threads: int) -> Array:
    return Ensemble(networks).predict(X, threads=threads)  # type: ignore[arg-type]
