"""The recipe: sizes, rates and numbers of a training, by the data and by how much effort is wanted.

It follows RealMLP (Holzmüller, Grinsztajn and Steinwart, NeurIPS 2024) where that helps this engine's networks, too:
smooth units whose biases begin spread out, cycles of the learning rate, quick second moments, smoothed labels, the best
epoch. docs/tabular.md has what each is worth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

__all__ = ["EFFORTS", "Recipe", "recipe_for"]

#: A class of fewer rows than this share of what is even has labels as they are: smoothed ones would hide it.
RARE: Final = 0.1
#: Few rows are gone over more often, so that there are so many steps at least.
FEWEST_STEPS: Final = 1_000
#: Many rows less often: an epoch of this many is worth one of fewer.
ROWS_OF_AN_EPOCH: Final = 50_000


@dataclass(frozen=True)
class Recipe:
    """How the networks are made and trained.

    Attributes
    ----------
    n_estimators : int
        Networks.
    hidden_layer_sizes : tuple of int
    activation : str
        Of the hidden layers.
    n_bins : int or None
        Bins of each column of numbers; 0: none; None: from 8, where such columns are many, to 48.
    epochs, batch_size : int
        Of each network.
    learning_rate : float
        The peaks of its cycles.
    dropout : float
    label_smoothing : float

    Examples
    --------
    >>> Recipe(n_estimators=4, hidden_layer_sizes=(256, 256), epochs=20).learning_rate
    0.00375
    """

    n_estimators: int
    hidden_layer_sizes: tuple[int, ...]
    epochs: int
    learning_rate: float = 0.00375
    activation: str = "mish"
    n_bins: int | None = None
    batch_size: int = 128
    dropout: float = 0.0
    label_smoothing: float = 0.1


#: By effort: how many networks, of what layers, for how many epochs.
EFFORTS: Final = {
    "fast": Recipe(1, (128, 128, 128), 20),
    "default": Recipe(3, (128, 128, 128), 20),
    "best": Recipe(5, (256, 256, 256), 20),
}


def recipe_for(effort: str, n_rows: int, class_counts: Any, given: dict[str, Any]) -> Recipe:
    """Return the recipe for data of so many rows.

    Parameters
    ----------
    effort : {"fast", "default", "best"}
    n_rows : int
        Rows to train on.
    class_counts : sequence of int or None
        How many rows each class has; None for a regression.
    given : dict
        What users have chosen themselves, by the names of `Recipe`; None leaves the choice here.
    """
    recipe = EFFORTS[effort]
    batch_size = recipe.batch_size
    while batch_size > 16 and batch_size * 20 > n_rows:
        batch_size //= 2
    while batch_size < 2048 and n_rows > 1000 * batch_size:
        batch_size *= 2
    epochs = min(max(recipe.epochs, -(-FEWEST_STEPS * batch_size // n_rows)), 8 * recipe.epochs)
    epochs = max(4, min(epochs, recipe.epochs * ROWS_OF_AN_EPOCH // n_rows)) if n_rows > ROWS_OF_AN_EPOCH else epochs
    recipe = replace(recipe, batch_size=batch_size, epochs=epochs)
    if class_counts is None:
        recipe = replace(recipe, learning_rate=0.0044, activation="selu", label_smoothing=0.0)
    elif is_rare(class_counts):
        recipe = replace(recipe, label_smoothing=0.0)
    return replace(recipe, **{name: value for name, value in given.items() if value is not None})


def is_rare(class_counts: Any) -> bool:
    """Tell whether a class has far fewer rows than an even share."""
    return bool(min(class_counts) * len(class_counts) < RARE * sum(class_counts))
