"""A model out of a file, of the kind that it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastmlp.cli.models.network import NetworkModel
from fastmlp.cli.models.tabular import TabularModel
from fastmlp.files.tensors import reading

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
    with reading(path) as (_, _, metadata):
        pass
    return TabularModel.read(path, metadata) if "fastmlp.tabular" in metadata else NetworkModel(path)
