"""A model out of a file, of the kind that it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastmlp.cli.models.network import NetworkModel

if TYPE_CHECKING:
    from fastmlp.cli.models.base import Model

__all__ = ["open_model"]


def open_model(path: str) -> Model:
    """Read a model.

    Raises
    ------
    OSError, ValueError
        The file cannot be read, or holds none.
    """
    return NetworkModel(path)
