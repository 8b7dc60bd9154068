"""A network out of a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fastmlp.files import load_model
from fastmlp.network.mlp import MLP
from fastmlp.runtime import choose_backend
from fastmlp.spec import as_loss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastmlp.network.state import Path
    from fastmlp.spec import Activation, ActivationName, BackendName, Loss, LossName

__all__ = ["from_onnx", "load"]


def load(
    path: Path,
    backend: BackendName | None = None,
    *,
    loss: LossName | Loss | None = None,
    activation: ActivationName | Activation | Sequence[ActivationName | Activation] | None = None,
    output: ActivationName | Activation | None = None,
) -> MLP:
    """Load a network that `MLP.save` wrote; training goes on as if it had never stopped.

    Parameters
    ----------
    path : str or path-like
    backend : {"cython", "numpy"}, optional
        As for `MLP`.
    loss : str or Loss, optional
        Takes the place of the file's. Needed where that was a `CustomLoss`: a file holds no functions.
    activation : str, Activation or sequence of them, optional
        The same of the hidden layers, one for all or one each. Needed where one was a `CustomActivation`.
    output : str or Activation, optional
        The same of the output layer.

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

    Examples
    --------
    >>> import fastmlp, tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "m.safetensors"
    ...     fastmlp.MLP([4, 3], seed=7).save(path)
    ...     fastmlp.load(path).seed
    7
    """
    choose_backend(backend, stacklevel=3)  # wrong arguments are reported before a wrong file
    loss = None if loss is None else as_loss(loss)
    net = MLP.__new__(MLP)
    checkpoint = load_model(path, loss, activation, output)
    try:
        net._resume(checkpoint, backend)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{os.fsdecode(path)}: {error}") from error
    return net


def from_onnx(path: Path, *, loss: LossName | Loss | None = None, backend: BackendName | None = None) -> MLP:
    """Read a multi-layer perceptron from an ONNX model, as PyTorch, scikit-learn and Keras export it.

    Parameters
    ----------
    path : str or path-like
    loss : str or Loss, optional
        To train on with. Default: what goes with the output, or the squared error.
    backend : {"cython", "numpy"}, optional
        As for `MLP`.

    Returns
    -------
    MLP
        Of the model's dtype, float32 or float64. Its predictions are what the model computes, up to rounding;
        scalings of the inputs and batch normalisation are in the weights of the layer beside them. A classifier of
        scikit-learn for two classes has one logistic output here, the probability of the second.

    Raises
    ------
    ImportError
        If onnx is missing: ``pip install 'fastmlp[onnx]'``.
    OSError
        If the file cannot be read.
    ValueError
        If it is no such model. The message names the node.

    Notes
    -----
    Read are Gemm, MatMul and Add, activations (also those that a model makes of several operators), Softmax, scalings
    of columns, BatchNormalization behind a product, LayerNormalization behind those of all layers but the last, Scaler,
    Cast, Flatten, Reshape, Dropout, and what skl2onnx puts behind probabilities.

    Examples
    --------
    A network by way of a file; of PyTorch's, ``torch.onnx.export(model, (rows,), "model.onnx")`` writes it.

    >>> import fastmlp, pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "model.onnx"
    ...     fastmlp.MLP([64, 32, 10], output="softmax", seed=0).to_onnx(path)
    ...     fastmlp.from_onnx(path).sizes
    (64, 32, 10)
    """
    from fastmlp.files.onnx_read import perceptron_of

    choose_backend(backend, stacklevel=3)  # wrong arguments are reported before a wrong file
    found = perceptron_of(path)
    try:
        hidden, output = found.activations[:-1], found.activations[-1]
        net = MLP(
            found.sizes,
            activation=hidden or "relu",
            output=output,
            loss=loss,
            dtype=found.dtype,
            backend=backend,
            seed=0,
            norm="layer" if found.gammas else None,
        )
        net.weights = [layer.W for layer in found.layers]
        net.biases = [layer.b for layer in found.layers]
        net.slopes = found.slopes
        if found.gammas:
            net.gammas = found.gammas
    except (TypeError, ValueError) as error:
        raise ValueError(f"{os.fsdecode(path)}: {error}") from error
    return net
