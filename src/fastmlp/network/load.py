"""A network out of a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fastmlp.files import load_model
from fastmlp.network.mlp import MLP
from fastmlp.runtime import choose_backend
from fastmlp.spec import as_loss

if TYPE_CHECKING:
    from fastmlp.network.state import Path
    from fastmlp.spec import BackendName, Loss, LossName

__all__ = ["load"]


def load(path: Path, backend: BackendName | None = None, *, loss: LossName | Loss | None = None) -> MLP:
    """Load a network that `MLP.save` wrote; training goes on as if it had never stopped.

    Parameters
    ----------
    path : str or path-like
    backend : {"cython", "numpy"}, optional
        As for `MLP`.
    loss : str or Loss, optional
        Takes the place of the file's. Needed where that was a `CustomLoss`: a file holds no functions.

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
    choose_backend(backend, stacklevel=3)  # wrong arguments are reported before a wrong file
    loss = None if loss is None else as_loss(loss)
    net = MLP.__new__(MLP)
    checkpoint = load_model(path, loss)
    try:
        net._resume(checkpoint, backend)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{os.fsdecode(path)}: {error}") from error
    return net
