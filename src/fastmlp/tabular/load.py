"""An estimator out of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastmlp.tabular.classifier import TabularClassifier
from fastmlp.tabular.files import read
from fastmlp.tabular.regressor import TabularRegressor

if TYPE_CHECKING:
    from fastmlp.files.tensors import FilePath

__all__ = ["load"]


def load(path: FilePath) -> TabularClassifier | TabularRegressor:
    """Load an estimator that `TabularClassifier.save` or `TabularRegressor.save` wrote; it predicts the same bits.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    TabularClassifier or TabularRegressor

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not such a file, or damaged. Nothing in a file is executed.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> from fastmlp.tabular import TabularRegressor, load
    >>> X = np.linspace(-1, 1, 100).reshape(-1, 1)
    >>> reg = TabularRegressor("fast", epochs=3, random_state=0).fit(X, X[:, 0] ** 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     reg.save(pathlib.Path(folder) / "reg.safetensors")
    ...     same = load(pathlib.Path(folder) / "reg.safetensors")
    >>> bool((same.predict(X) == reg.predict(X)).all())
    True
    """
    found: TabularClassifier | TabularRegressor = read(
        path, {kind.__name__: kind for kind in (TabularClassifier, TabularRegressor)}
    )
    return found
