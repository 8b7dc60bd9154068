"""A network out of a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fastmlp.files import load_model
from fastmlp.network.mlp import MLP
from fastmlp.runtime import choose_backend

if TYPE_CHECKING:
    from fastmlp.network.state import Path
    from fastmlp.spec import BackendName

__all__ = ["load"]


def load(path: Path, backend: BackendName | None = None) -> MLP:
    """Load a network that `MLP.save` wrote; training goes on as if it had never stopped.

    Parameters
    ----------
    path : str or path-like
    backend : {"cython", "numpy"}, optional
        As for `MLP`.

    Returns
    -------
    MLP

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not such a file, or damaged. Nothing in a file is executed, and memory is not taken for more than it
        holds.
    """
    choose_backend(backend, stacklevel=3)  # a wrong argument is reported before a wrong file
    net = MLP.__new__(MLP)
    checkpoint = load_model(path)
    try:
        net._resume(checkpoint, backend)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{os.fsdecode(path)}: {error}") from error
    return net
